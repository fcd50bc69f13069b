"""The notebooks as files: execute them in place for the repository, and copy them for students.

python -m tools.notebooks execute notebooks/03_s4d.ipynb ...
python -m tools.notebooks student notebooks student
python -m tools.notebooks check notebooks/*.ipynb
python -m tools.notebooks times notebooks/*.ipynb
"""

import argparse
import base64
import io
import math
import re
import sys
import time
from pathlib import Path

import nbformat
from PIL import Image

from acssm_lib.files import write_text

KERNEL_TRIES = 3  # starts of a kernel that never answers
WORDS_PER_MINUTE = 150  # read aloud
TIME = re.compile(r"\n\n\*About \d+ minutes: \d+ of text, (\d+) of running.*\*$")
# What a widget leaves in a file shows as an error where no kernel runs; its text stays, and says to run the cell.
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
BAR = re.compile(r"(?m)^.*\d+%\|.*\| \d+/\d+ \[.*\]\n?")  # of progress: how busy one machine was on one day


def with_a_kernel(start, *given, **named):
    """Call what starts a kernel, once more where the kernel never answered.

    A kernel is told its ports before it opens them: of two that start at once, one may find them taken.
    """
    for left in range(KERNEL_TRIES - 1, -1, -1):
        try:
            return start(*given, **named)
        except RuntimeError as error:  # one that dies at work, later, says "Kernel died"
            if not left or "before replying" not in str(error):
                raise


def run(path, out=None, parameters=None):
    """Run a notebook from its own folder.

    Args:
        out: file to write, also where a cell raises; None writes nothing.
        parameters: values put after the cell tagged "parameters".
    Returns:
        the executed notebook.
    Raises:
        papermill.PapermillExecutionError: a cell raised.
    """
    import papermill  # here: writing the student edition does without
    from traitlets.config import Config

    quiet = Config({"KernelManager": {"transport_encryption": "auto"}})  # no warning about sockets of this machine
    return with_a_kernel(
        papermill.execute_notebook,
        str(path),
        out and str(out),
        parameters,
        kernel_name="python3",
        progress_bar=False,
        cwd=str(Path(path).parent),
        coalesce_streams=True,
        config=quiet,
    )


def execute(path):
    """Run a notebook from its own folder and store it with its outputs, free of times, paths and widget state.

    Returns:
        seconds of wall-clock.
    Raises:
        papermill.PapermillExecutionError: a cell raised; the file is left as it was.
    """
    path, started = Path(path), time.monotonic()
    done = run(path)
    source = nbformat.read(path, as_version=4)
    done.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, (cell, original) in enumerate(zip(done.cells, source.cells, strict=True)):
        cell.metadata = {
            key: value for key, value in original.metadata.items() if key not in ("execution", "papermill")
        }
        cell.id = f"cell-{number:02d}"
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = BAR.sub("", output.text)
            output.get("data", {}).pop(WIDGET_VIEW, None)
            if "image/png" in output.get("data", {}):
                output.data["image/png"] = _fewer_colours(output.data["image/png"])
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("text", "more than text")]
    seconds = time.monotonic() - started
    if done.cells[0].cell_type == "markdown":
        state_time(done, seconds)
    write_text(path, nbformat.writes(done) + "\n")
    return seconds


def _fewer_colours(png):
    """A picture (base64) with a palette of 256 colours: a third of the bytes, and no difference that the eye finds."""
    picture, small = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"), io.BytesIO()
    picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(small, "png", optimize=True)
    encoded = base64.b64encode(small.getvalue()).decode()
    return encoded if len(encoded) < len(png) else png


def words(notebook):
    """Words of a page that are read: (in its thread, in the folded sections, which can be skipped).

    Code, and what stands from the references on, is not counted.
    """
    counts, folded = [0, 0], 0  # level of the heading whose section is folded
    for cell in notebook.cells:
        if cell.cell_type != "markdown":
            continue
        text = TIME.sub("", cell.source).partition("**References")[0]
        heading = re.match(r"(#+) ", text)
        if heading and (not folded or len(heading[1]) <= folded):
            folded = len(heading[1]) if cell.metadata.get("jp-MarkdownHeadingCollapsed") else 0
        counts[bool(folded)] += len(re.findall(r"[^\s|]*\w[^\s|]*", re.sub(r"(?s)```.*?```", "", text)))
    return tuple(counts)


def state_time(notebook, run_s=None):
    """Write into a page's first cell how long the page takes.

    Args:
        notebook: changed in place.
        run_s: seconds of a whole run; None keeps what the page says.
    """
    first, stated = notebook.cells[0], TIME.search(notebook.cells[0].source)
    thread, aside = (math.ceil(count / WORDS_PER_MINUTE) for count in words(notebook))
    run = math.ceil(run_s / 60) if run_s is not None else int(stated[1]) if stated else 1
    more = f"; {aside} more in folded sections, which can be skipped" if aside else ""
    line = f"\n\n*About {thread + run} minutes: {thread} of text, {run} of running{more}.*"
    first.source = TIME.sub("", first.source) + line


def student_edition(notebook):
    """A copy of a notebook without its answers; outputs stay, so that the page still reads well.

    Args:
        notebook: ``nbformat`` notebook; cells tagged "solution" are answers.
    Returns:
        the copy; where an answer was, nothing is left.
    """
    copy = nbformat.from_dict(notebook)
    copy.cells = [cell for cell in copy.cells if "solution" not in cell.metadata.get("tags", [])]
    return copy


def write_student_edition(notebooks, out):
    """Copies of all notebooks of a folder without answers, by the same names, in another folder.

    Returns:
        number of notebooks written.
    Raises:
        ValueError: both folders are the same, which would overwrite the answers, or there is no notebook.
    """
    notebooks, out = Path(notebooks), Path(out)
    if notebooks.resolve() == out.resolve():
        raise ValueError(f"{out}: the student edition needs a folder of its own")
    paths = sorted(notebooks.glob("[0-9]*.ipynb"))
    if not paths:
        raise ValueError(f"{notebooks}: no notebook there")
    for path in paths:
        write_text(out / path.name, nbformat.writes(student_edition(nbformat.read(path, as_version=4))) + "\n")
    return len(paths)


def unclean(notebook):
    """What keeps a notebook from being committed as it is.

    Args:
        notebook: ``nbformat`` notebook.
    Returns:
        list of sentences: a cell that was not run in order, an error or a warning among the outputs, a path or an
        address of one machine in what was printed, widget state, a cell of more than 30 lines.
    """
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    found = []
    if [cell.execution_count for cell in cells] != list(range(1, len(cells) + 1)):
        found.append("its cells were not run once, from the first to the last")
    for number, cell in enumerate(cells, 1):
        if sum(1 for line in cell.source.splitlines() if line.strip()) > 30:
            found.append(f"cell [{number}] has more than 30 lines")
        for output in cell.outputs:
            printed = output.get("text", "")
            machine = re.search(r"(?<![\w.)/}])/\w[\w.-]*/|0x[0-9a-f]{8}|site-packages", printed)
            if output.output_type == "error" or output.get("name") == "stderr":
                found.append(f"cell [{number}] ends in an error or a warning")
            if machine:
                found.append(f"cell [{number}] prints a path or an address of one machine ({machine[0]})")
            if WIDGET_VIEW in output.get("data", {}):
                found.append(f"cell [{number}] holds the state of a widget")
    return found


def main(argv=None):
    """The command line above."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.notebooks", description="Execute, copy or check the notebooks."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("execute", help="run in place and store the outputs").add_argument("paths", nargs="+")
    student = commands.add_parser("student", help="write copies without solutions")
    student.add_argument("notebooks")
    student.add_argument("out")
    commands.add_parser("check", help="say what keeps them from being committed (default: all)").add_argument(
        "paths", nargs="*", default=sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("[0-9]*.ipynb"))
    )
    commands.add_parser("times", help="write how long they take to read").add_argument("paths", nargs="+")
    args = parser.parse_args(argv)
    if args.command == "times":
        for path in args.paths:
            page = nbformat.read(path, as_version=4)
            state_time(page)
            write_text(path, nbformat.writes(page) + "\n")
        return 0
    if args.command == "check":
        found = [f"{path}: {why}" for path in args.paths for why in unclean(nbformat.read(path, as_version=4))]
        print("\n".join(found) or f"{len(args.paths)} notebooks are clean")
        return 1 if found else 0
    if args.command == "student":
        print(f"{write_student_edition(args.notebooks, args.out)} notebooks without solutions in {args.out}")
        return 0
    for path in args.paths:
        print(f"{path}: {execute(path):.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
