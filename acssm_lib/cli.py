"""The ``acssm`` command: run the notebook over groups, methods and seeds, report, fetch and check data.

Exit status: 0 when everything asked for was done, 1 for failed work, 2 for bad arguments.
"""

import argparse
import contextlib
import difflib
import re
import signal
import sys
import threading
from pathlib import Path

from acssm_lib.presets import EMBEDDER_NAMES, METHOD_NAMES

DATASETS = ("synthetic-frogs", "esc50", "folder")
PROTOCOLS = ("transductive", "inductive-clip", "inductive-recording")
DEFAULT_METHODS = ",".join(name for name in METHOD_NAMES if name not in EMBEDDER_NAMES)

# Modules that import torch are imported inside the functions below, so that ``acssm --help`` answers at once.


class BadArguments(Exception):
    """The command line asks for something that cannot be; exit status 2.

    Taught in: 08_reproduce_group.
    """


class _Parser(argparse.ArgumentParser):
    def error(self, message):
        raise BadArguments(f"{message}; see {self.prog} --help")


def main(argv=None):
    """The ``acssm`` command.

    Args:
        argv: list of words, by default those of the command line.
    Returns:
        exit status: 0 everything done, 1 failed work, 2 bad arguments, 130 stopped by Ctrl-C.
    Raises:
        Exception: whatever went wrong, when ``--debug`` was given; otherwise it is one paragraph on stderr.
    Taught in: 08_reproduce_group.
    """
    debug = "--debug" in (sys.argv[1:] if argv is None else argv)
    try:
        args = _parser().parse_args(argv)
        return args.command(args)
    except KeyboardInterrupt:
        print("\nacssm: stopped; the same command goes on from here", file=sys.stderr)
        return 128 + signal.SIGINT
    except Exception as error:
        if debug:
            raise
        print(f"acssm: {_sentence(error)}", file=sys.stderr)
        return 2 if isinstance(error, BadArguments) else 1


def _sentence(error):
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, (BadArguments, ValueError, OSError)):
        return str(error)
    return f"{type(error).__name__}: {error} (--debug shows where)"


def _parser():
    parser = _Parser(prog="acssm", description="Acoustic few-shot classification with state-space models.",
                     allow_abbrev=False)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=_Parser)
    _add_reproduce(commands)

    report = _add(commands, "report", _report, "tables and figures from the runs that have finished")
    report.add_argument("runs", type=Path, metavar="RUNS", help="folder given to reproduce as --out")
    report.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: RUNS/report)")

    data = commands.add_parser("data", help="fetch or check a data set", allow_abbrev=False)
    data_commands = data.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=_Parser)
    esc50 = _add(data_commands, "esc50", _data_esc50, "download, verify and unpack ESC-50; resumes")
    esc50.add_argument("--to", type=Path, required=True, metavar="PATH", help="folder to put it in")
    esc50.add_argument("--sha256", type=_sha256, metavar="HEX", help="digest that the archive must have")
    weights = _add(data_commands, "weights", _data_weights, "the downloaded files of the embedders: list or fetch them",
                   "Without NAME: a table with size, licence and place of each file.")
    weights.add_argument("names", nargs="*", metavar="NAME", help="of the table, as in byol-a")
    weights.add_argument("--to", type=Path, metavar="DIR", help="folder to put them in (default: the cache)")
    frogs = _add(data_commands, "frogs", _data_frogs, "write SYNTHETIC calls in the layout of the paper's frog task")
    frogs.add_argument("--to", type=Path, required=True, metavar="PATH", help="folder to make")
    check = _add(data_commands, "check", _data_check, "what is wrong with a data folder, file by file")
    check.add_argument("path", type=Path, metavar="PATH")
    check.add_argument("--n-shot", type=_positive, default=5, metavar="N", help="clips per class (default: 5)")
    return parser


def _add_reproduce(commands):
    reproduce = _add(commands, "reproduce", _reproduce, "one executed notebook per group, method and seed",
                     "A run that has finished is not run again; one that was stopped goes on.")
    reproduce.add_argument("--dataset", required=True, type=_one_of("data set", DATASETS), metavar="NAME",
                           help=", ".join(DATASETS))
    reproduce.add_argument("--data", metavar="PATH", help="folder of the data set (esc50 and folder)")
    reproduce.add_argument("--groups", type=_words, metavar="G1,G2", help="groups of classes, or all "
                           "(default: those that the data set proposes)")
    reproduce.add_argument("--methods", type=_words, default=DEFAULT_METHODS, metavar="A,B",
                           help=f"(default: {DEFAULT_METHODS})")
    reproduce.add_argument("--seeds", type=_seeds, default="0", metavar="0,1,2", help="(default: 0)")
    reproduce.add_argument("--preset", default="quick", metavar="NAME",
                           help="quick: minutes on a laptop (default); paper: everything as published")
    reproduce.add_argument("--protocol", type=_one_of("protocol", PROTOCOLS), metavar="NAME",
                           help=f"what pre-training may hear of the queries: {', '.join(PROTOCOLS)}; "
                           "the same as --set protocol=NAME")
    reproduce.add_argument("--set", action="extend", nargs="+", default=[], metavar="[GROUP:]FIELD=VALUE",
                           help="change fields of the preset, as in n_layers=4 widths=16,32; "
                           "in one group alone, as in G1:n_layers=4")
    reproduce.add_argument("--out", required=True, type=Path, metavar="RUNS", help="folder of the results")
    reproduce.add_argument("--weights", action="append", default=[], metavar="[METHOD=]PATH",
                           help="downloaded file of an embedder, where `acssm data weights` did not put it")
    reproduce.add_argument("--jobs", type=_positive, metavar="N",
                           help="runs at a time (default: 1); with --cluster: workers to ask for")
    where = reproduce.add_mutually_exclusive_group()
    where.add_argument("--scheduler", metavar="ADDRESS", help="run on the workers of this Dask scheduler")
    where.add_argument("--cluster", type=_one_of("cluster", ("slurm",)), metavar="slurm",
                       help="run on Dask workers in Slurm jobs")
    reproduce.add_argument("--cluster-option", action="append", default=[], metavar="NAME=VALUE",
                           help="of the Slurm jobs: cores=8, memory=16GB, queue=gpu, walltime=08:00:00, account=bio")
    reproduce.add_argument("--notebook", type=Path, metavar="PATH", help="another notebook with the same parameters")


def _add(commands, name, function, summary, more=""):
    command = commands.add_parser(name, help=summary, description=f"{summary}. {more}".strip(), allow_abbrev=False)
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    command.set_defaults(command=function)
    return command


def _reproduce(args):
    assignments = _by_group(_with_protocol(args.set, args.protocol))
    settings = {group: _settings(args.preset, assignments[None] + (of_group if group else []))
                for group, of_group in assignments.items()}
    _check_paths(args)
    where = _where(args)

    for method in args.methods:
        _require("method", method, METHOD_NAMES)

    from acssm_lib import datasets, runner
    from acssm_lib.runs import RunConflict, plan

    weights = _weights(args.methods, args.weights)
    dataset = datasets.load(args.dataset, args.data, preset=settings[None][0])
    groups = args.groups or dataset.default_groups
    groups = list(dict.fromkeys(dataset.groups if groups == ["all"] else groups))
    for group in groups:
        _require("group", group, dataset.groups)
    for group in set(settings) - {None}:
        _require("group in --set", group, groups)
    runs = []
    for group in groups:
        chosen, overrides = settings.get(group, settings[None])
        datasets.require_shots(dataset, group, chosen.n_shot)
        runs += plan(args.dataset, [group], args.methods, args.seeds, args.preset, overrides, args.data, weights)
    try:
        with _terminated_is_ctrl_c():
            failures = runner.reproduce(runs, args.out, notebook=args.notebook, **where)
    except RunConflict as error:
        raise BadArguments(str(error)) from None
    return 1 if failures else 0


def _with_protocol(assignments, protocol):
    """``--set`` with ``--protocol`` in it."""
    if protocol is None:
        return assignments
    for assignment in assignments:
        field, _, value = assignment.partition("=")
        if field.rpartition(":")[2] == "protocol" and value != protocol:
            raise BadArguments(f"--protocol {protocol} and --set {assignment} contradict each other; leave one out")
    return [*assignments, f"protocol={protocol}"]


def _by_group(assignments):
    """group -> its assignments, None -> those that hold in every group."""
    found = {None: []}
    for assignment in assignments:
        group, colon, _ = assignment.partition("=")[0].rpartition(":")
        found.setdefault(group if colon else None, []).append(assignment.removeprefix(group + colon))
    return found


def _where(args):
    """What `runner.reproduce` has to know about the machines."""
    if args.scheduler is not None and args.jobs is not None:
        raise BadArguments("--jobs counts runs on this machine or workers of --cluster; "
                           "with --scheduler each worker takes one run, leave it out")
    options = {}
    for option in args.cluster_option:
        name, equals, value = option.partition("=")
        if args.cluster is None or not equals:
            raise BadArguments(f"--cluster-option {option}: " + (
                "it describes the jobs of --cluster slurm, which was not given" if args.cluster is None
                else "expected NAME=VALUE, as in cores=8"))
        value = int(value) if value.isdecimal() else value
        known = options.get(name)
        options[name] = value if known is None else [*known, value] if isinstance(known, list) else [known, value]
    return {"jobs": args.jobs or 1, "scheduler": args.scheduler, "cluster": args.cluster, "cluster_options": options}


def _weights(methods, given):
    """Path of the downloaded file of every embedder asked for: method -> path."""
    embedders = [method for method in methods if method in EMBEDDER_NAMES]
    paths = {}
    for text in given:
        method, equals, path = text.partition("=")
        if not equals or (method not in EMBEDDER_NAMES and Path(text).exists()):  # a path may have = in it
            if len(embedders) != 1:
                raise BadArguments(f"--weights {text}: say which method it is for, as in {EMBEDDER_NAMES[0]}={text}"
                                   if embedders else f"--weights {text}: no method asked for takes a file; "
                                   f"those that do are {', '.join(EMBEDDER_NAMES)}")
            method, path = embedders[0], text
        _require("embedder in --weights", method, EMBEDDER_NAMES)
        if method not in embedders:
            raise BadArguments(f"--weights {text}: {method} is not among --methods")
        if paths.setdefault(method, path) != path:
            raise BadArguments(f"--weights names two files for {method}: {paths[method]} and {path}")
    if not embedders:
        return {}

    from acssm_lib import weights

    try:
        return {method: str(weights.find(method, paths.get(method))) for method in embedders}
    except (ValueError, OSError) as error:
        raise BadArguments(_sentence(error)) from None


@contextlib.contextmanager
def _terminated_is_ctrl_c():
    """A plain ``kill`` ends the batch as Ctrl-C does: children stopped, terminal as it was."""
    def stop(number, frame):
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only there may handlers be set
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _check_paths(args):
    if args.dataset == "synthetic-frogs" and args.data is not None:
        raise BadArguments("synthetic-frogs is made on the spot and takes no --data; leave it out, "
                           "or choose --dataset esc50 or folder")
    if args.dataset != "synthetic-frogs" and args.data is None:
        raise BadArguments(f"--dataset {args.dataset} needs --data PATH, the folder with the recordings")
    if args.data is not None and not Path(args.data).is_dir():
        raise BadArguments(f"--data {args.data}: there is no such folder")
    if args.notebook is not None and not args.notebook.is_file():
        raise BadArguments(f"--notebook {args.notebook}: there is no such file")


def _settings(name, assignments):
    """The preset with its changes, and the changes alone as typed values."""
    from acssm_lib.presets import preset

    pairs = [assignment.partition("=") for assignment in assignments]
    for field, equals, _ in pairs:
        if not equals:
            raise BadArguments(f"--set {field}: expected FIELD=VALUE, as in n_layers=4")
        if field == "name":
            raise BadArguments("--set name=...: choose a preset with --preset")
    try:
        settings = preset(name, **{field: value for field, _, value in pairs})
    except ValueError as error:
        raise BadArguments(str(error)) from None
    return settings, {field: settings.as_dict()[field] for field, _, _ in pairs}


def _report(args):
    from acssm_lib import results

    if not args.runs.is_dir():
        raise BadArguments(f"{args.runs}: there is no such folder; reproduce --out {args.runs} makes one")
    out = args.out or args.runs / "report"
    paths = results.write_report(args.runs, out)
    print((out / "report.md").read_text(encoding="utf-8"))
    print("\n".join(str(path) for path in paths))
    return 0


def _data_esc50(args):
    from acssm_lib import download

    download.download_esc50(args.to, sha256=args.sha256)
    return 0


def _data_frogs(args):
    from acssm_lib import frog_folder

    folder = frog_folder.write_frog_folder(args.to)
    print(f"{folder}: five synthetic species, 40 clips each, and 250 unlabelled clips; "
          f"acssm reproduce --dataset folder --data {folder} --out RUNS runs on them")
    return 0


def _data_weights(args):
    from acssm_lib import weights

    for name in args.names:
        _require("file of weights", name, weights.WEIGHTS)
    if args.to is not None and not args.names:
        raise BadArguments(f"--to {args.to}: say which to fetch, of {', '.join(weights.WEIGHTS)}")
    if not args.names:
        print(weights.describe())
    for name in args.names:
        weights.download(name, args.to)
    return 0


def _data_check(args):
    from acssm_lib import data_check

    problems = data_check.check(args.path, args.n_shot)
    print(data_check.format_report(problems))
    return 1 if any(problem.severity == "error" for problem in problems) else 0


def _require(kind, name, names):
    if name not in names:
        close = difflib.get_close_matches(name, list(names), n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise BadArguments(f"unknown {kind} {name!r}{hint}; there are {', '.join(names)}")


def _one_of(kind, names):
    def convert(text):
        _require(kind, text, names)
        return text
    return convert


def _words(text):
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise argparse.ArgumentTypeError(f"expected names with commas between them, got {text!r}")
    return words


def _seeds(text):
    if not re.fullmatch(r"\d+(,\d+)*", text):
        raise argparse.ArgumentTypeError(f"expected whole numbers with commas between them, as in 0,1,2, got {text!r}")
    return [int(seed) for seed in text.split(",")]


def _positive(text):
    if not re.fullmatch(r"0*[1-9]\d*", text):
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def _sha256(text):
    if not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise argparse.ArgumentTypeError(f"expected 64 hexadecimal digits, got {len(text)} characters: {text!r}")
    return text.lower()


if __name__ == "__main__":
    sys.exit(main())
