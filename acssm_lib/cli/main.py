"""The ``acssm`` command: run the notebook over groups, methods and seeds, report, fetch and check data.

Exit status: 0 when everything asked for was done, 1 for failed work, 2 for bad arguments.
"""

import contextlib
import os
import signal
import sys
from pathlib import Path

from acssm_lib.cli.arguments import BadArguments, Parser, add_command, positive, require, sentence, sha256_digits
from acssm_lib.cli.demo import add_demo
from acssm_lib.cli.reproduce import add_reproduce
from acssm_lib.cli.survey import add_predict, add_survey
from acssm_lib.text import visible

# Modules that import torch are imported inside the functions below, so that ``acssm --help`` answers at once.


def main(argv=None):
    """The ``acssm`` command.

    Args:
        argv: list of words, by default those of the command line.
    Returns:
        exit status: 0 everything done, 1 failed work, 2 bad arguments, 130 stopped by Ctrl-C, 141 nobody reads
        what is printed any more.
    Raises:
        Exception: whatever went wrong, when ``--debug`` was given; otherwise it is one paragraph on stderr.
    """
    for stream in (sys.stdout, sys.stderr):  # a locale without ± gets a question mark, not an exception
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    debug = "--debug" in (sys.argv[1:] if argv is None else argv)
    try:
        args = _parser().parse_args(argv)
        status = args.command(args)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # whoever read what is printed has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left goes nowhere, without a word
        return 128 + 13  # as a shell says of a program that a closed pipe has ended
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):  # the terminal may be what has gone
            print("\nacssm: stopped; the same command goes on from here", file=sys.stderr)
        return 128 + signal.SIGINT
    except Exception as error:
        if debug:
            raise
        lines = [visible(line) for line in sentence(error).split("\n")]  # names of files may hold escape bytes
        print("acssm: " + "\n".join(lines), file=sys.stderr)
        return 2 if isinstance(error, BadArguments) else 1


def _parser():
    parser = Parser(
        prog="acssm", description="Acoustic few-shot classification with state-space models.", allow_abbrev=False
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=Parser)
    add_demo(commands)
    add_reproduce(commands)

    report = add_command(commands, "report", _report, "tables and figures from the runs that have finished")
    report.add_argument("runs", type=Path, metavar="RUNS", help="folder given to reproduce as --out")
    report.add_argument("--out", type=Path, metavar="DIR", help="where to write (default: RUNS/report)")

    add_survey(commands)
    add_predict(commands)

    data = commands.add_parser("data", help="fetch or check a data set", allow_abbrev=False)
    data_commands = data.add_subparsers(title="commands", required=True, metavar="COMMAND", parser_class=Parser)
    esc50 = add_command(data_commands, "esc50", _data_esc50, "download, verify and unpack ESC-50; resumes")
    esc50.add_argument("--to", type=Path, required=True, metavar="PATH", help="folder to put it in")
    esc50.add_argument("--sha256", type=sha256_digits, metavar="HEX", help="digest that the archive must have")
    weights = add_command(
        data_commands,
        "weights",
        _data_weights,
        "the downloaded files of the embedders: list or fetch them",
        "Without NAME: a table with size, licence and place of each file.",
    )
    weights.add_argument("names", nargs="*", metavar="NAME", help="of the table, as in byol-a")
    weights.add_argument("--to", type=Path, metavar="DIR", help="folder to put them in (default: the cache)")
    frogs = add_command(
        data_commands, "frogs", _data_frogs, "write SYNTHETIC calls in the layout of the paper's frog task"
    )
    frogs.add_argument("--to", type=Path, required=True, metavar="PATH", help="folder to make")
    check = add_command(data_commands, "check", _data_check, "what is wrong with a data folder, file by file")
    check.add_argument("path", type=Path, metavar="PATH")
    check.add_argument("--n-shot", type=positive, default=5, metavar="N", help="clips per class (default: 5)")
    return parser


def _report(args):
    from acssm_lib.report import build

    if not args.runs.is_dir():
        raise BadArguments(f"{args.runs}: there is no such folder; reproduce --out {args.runs} makes one")
    out = args.out or args.runs / "report"
    if args.out is None and out.is_symlink():  # runs of others may bring a link to anywhere
        raise BadArguments(f"{out} is a link to {out.resolve()}; say with --out where to write")
    paths = build.write_report(args.runs, out)
    print((out / "report.md").read_text(encoding="utf-8"))
    print("\n".join(str(path) for path in paths))
    return 0


def _data_esc50(args):
    from acssm_lib.cli import esc50_archive

    esc50_archive.download_esc50(args.to, sha256=args.sha256)
    return 0


def _data_frogs(args):
    from acssm_lib.cli import frog_folder

    folder = frog_folder.write_frog_folder(args.to)
    print(
        f"{folder}: five synthetic species, 40 clips each, and 250 unlabelled clips; "
        f"acssm reproduce --dataset folder --data {folder} --out RUNS runs on them"
    )
    return 0


def _data_weights(args):
    from acssm_lib.baselines import weights

    for name in args.names:
        require("file of weights", name, weights.WEIGHTS)
    if args.to is not None and not args.names:
        raise BadArguments(f"--to {args.to}: say which to fetch, of {', '.join(weights.WEIGHTS)}")
    if not args.names:
        print(weights.describe())
    for name in args.names:
        weights.download(name, args.to)
    return 0


def _data_check(args):
    from acssm_lib.cli import data_check

    problems = data_check.check(args.path, args.n_shot)
    print(data_check.format_report(problems))
    return 1 if any(problem.severity == "error" for problem in problems) else 0
