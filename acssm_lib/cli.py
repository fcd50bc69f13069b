"""The ``acssm`` command: run the notebook over groups, methods and seeds, report, fetch and check data.

Exit status: 0 when everything asked for was done, 1 for failed work, 2 for bad arguments.
"""

import argparse
import difflib
import re
import signal
import sys
from pathlib import Path

from acssm_lib.presets import METHOD_NAMES

DATASETS = ("synthetic-frogs", "esc50", "folder")
DEFAULT_METHODS = ",".join(METHOD_NAMES)

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
    reproduce.add_argument("--set", action="extend", nargs="+", default=[], metavar="FIELD=VALUE",
                           help="change fields of the preset, as in n_layers=4 widths=16,32")
    reproduce.add_argument("--out", required=True, type=Path, metavar="RUNS", help="folder of the results")
    reproduce.add_argument("--jobs", type=_positive, default=1, metavar="N", help="runs at a time (default: 1)")
    reproduce.add_argument("--notebook", type=Path, metavar="PATH", help="another notebook with the same parameters")


def _add(commands, name, function, summary, more=""):
    command = commands.add_parser(name, help=summary, description=f"{summary}. {more}".strip(), allow_abbrev=False)
    command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    command.set_defaults(command=function)
    return command


def _reproduce(args):
    settings, overrides = _settings(args.preset, args.set)
    _check_paths(args)

    from acssm_lib import datasets, runner
    from acssm_lib.methods import METHODS

    for method in args.methods:
        _require("method", method, METHODS)
    dataset = datasets.load(args.dataset, args.data, preset=settings)
    groups = args.groups or dataset.default_groups
    groups = list(dataset.groups) if groups == ["all"] else groups
    for group in groups:
        _require("group", group, dataset.groups)
    for group in groups:
        datasets.require_shots(dataset, group, settings.n_shot)
    runs = runner.plan(args.dataset, groups, args.methods, args.seeds, args.preset, overrides, args.data)
    try:
        failures = runner.reproduce(runs, args.out, jobs=args.jobs, notebook=args.notebook)
    except runner.RunConflict as error:
        raise BadArguments(str(error)) from None
    return 1 if failures else 0


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
