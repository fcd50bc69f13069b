"""A class of twenty with planted mistakes, graded: is every verdict the planted one, and how long does it take?

    python benchmarks/grading.py [--pages notebooks/01_audio_preprocessing.ipynb ...] [--out FOLDER]

Every page that is named is executed once (all of them by default), with the encoders of the cache or without.
"""

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools import grade  # noqa: E402
from tools.notebooks import student_edition  # noqa: E402

BACKGROUND = "import threading, sys\nthreading.Thread(target=lambda: sys.stdout.write('correct'), daemon=True).start()"
# What a student does: (verdict, edit: (name, stub, answer) -> source of the stub's cell, a cell that stands first).
CLASS = {
    "01 knows it all": ("correct", lambda name, stub, answer: answer, ""),
    "02 has not begun": ("not attempted", lambda name, stub, answer: stub, ""),
    "03 wrote a comment": ("not attempted", lambda name, stub, answer: "# later\n" + stub, ""),
    "04 guesses a number": ("wrong", lambda name, stub, answer: stub.replace("return None", "return -12345"), ""),
    "05 off by a little": (
        "wrong",
        lambda name, stub, answer: (
            f"{answer}\n_right = {name}\ndef {name}(*given):\n    return _nudged(_right(*given))"
        ),
        "def _nudged(value):\n    if isinstance(value, (bool, str, list, tuple)):\n"
        "        return (not value) if isinstance(value, bool) else str(value) + '?'\n"
        "    return 1.01 * value + 0.01",
    ),
    "06 forgot a colon": ("error", lambda name, stub, answer: answer.replace("):", ")", 1), ""),
    "07 divides by zero": ("error", lambda name, stub, answer: stub.replace("return None", "return 1 / 0"), ""),
    "08 loops": ("error", lambda name, stub, answer: stub.replace("return None", "while True:\n        pass"), ""),
    "09 sleeps in C": (
        "error",
        lambda name, stub, answer: stub.replace("return None", "import time\n    time.sleep(600)"),
        "",
    ),
    "10 prints the verdict": ("error", lambda name, stub, answer: 'print("correct")\nraise SystemExit', ""),
    "11 prints it when called": (
        "error",
        lambda name, stub, answer: stub.replace("return None", 'print("correct")\n    raise SystemExit'),
        "",
    ),
    "12 leaves": ("error", lambda name, stub, answer: stub.replace("return None", "import os\n    os._exit(0)"), ""),
    "13 patches the checker": (
        "wrong",
        lambda name, stub, answer: stub.replace("return None", "return -12345"),
        "from acssm_lib.course import checks\n"
        "checks.attempt = lambda *a, **k: print('correct')\n"
        "checks.difference = lambda *a: None",
    ),
    "14 equals everything": (
        "error",
        lambda name, stub, answer: stub.replace("return None", "return _Yes()"),
        "class _Yes:\n    __eq__ = lambda self, other: True\n    __bool__ = lambda self: True",
    ),
    "15 ends its parent": (
        "error",
        lambda name, stub, answer: stub.replace("return None", "import os\n    os.kill(os.getppid(), 9)"),
        "",
    ),
    "16 asks the network": (
        "error",
        lambda name, stub, answer: stub.replace(
            "return None", "import urllib.request\n    return urllib.request.urlopen('http://127.0.0.1:8888')"
        ),
        "",
    ),
    "17 has a helper in a cell": ("correct", lambda name, stub, answer: "%time\n" + answer, BACKGROUND),
    "18 a cell above hangs": ("correct", lambda name, stub, answer: answer, "while True: pass"),
    "19 handed in half a file": ("error", None, ""),
    "20 handed in nothing": ("not attempted", None, ""),
}


def answers(cells):
    """name -> (stub, right answer by the stub's name) of a page with its solutions."""
    found = {}
    for place, cell in enumerate(cells):
        if "exercise" in cell["tags"]:
            name, solution = re.search(r"(?m)^def (\w+)", cell["source"])[1], cells[place + 2]["source"]
            right = re.search(r"(?m)^def (\w+)", solution)[1]
            found[name] = cell["source"], f"{solution.partition('checks.')[0].rstrip()}\n\n{name} = {right}"
    return found


def hand_in(page, folder):
    """Writes twenty copies of a page into the folders of a class."""
    known, edition = answers(grade.code_cells(page)), student_edition(nbformat.read(page, as_version=4))
    for student, (_, edit, first) in CLASS.items():
        (folder / student).mkdir(parents=True, exist_ok=True)
        if student.startswith("19"):
            (folder / student / page.name).write_text(nbformat.writes(edition)[:5000], encoding="utf-8")
        if edit is None:
            continue
        copy = nbformat.from_dict(edition)
        for cell in copy.cells:
            if "exercise" in cell.metadata.get("tags", []):
                name = re.search(r"(?m)^def (\w+)", cell.source)[1]
                cell.source = edit(name, *known[name])
        if first:
            copy.cells.insert(0, nbformat.v4.new_code_cell(first))
        nbformat.write(copy, folder / student / page.name)


def main():
    parser = argparse.ArgumentParser(description="Grade twenty made copies with planted mistakes.")
    parser.add_argument("--pages", nargs="+", type=Path, default=sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")))
    parser.add_argument("--out", type=Path, help="keep the class and its grades there")
    parser.add_argument("--cell-seconds", type=float, default=3.0)
    parser.add_argument("--jobs", default="2", help="pages at a time (default: 2)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.out or Path(temporary)
        for page in args.pages:
            hand_in(page, folder / "class")
        started = time.monotonic()
        grade.main(
            [
                str(folder / "class"),
                "--out",
                str(folder / "grades"),
                "--cell-seconds",
                str(args.cell_seconds),
                "--jobs",
                args.jobs,
                "--pages",
                *map(str, args.pages),
            ]
        )
        rows = [line.split(",") for line in (folder / "grades" / "grades.csv").read_text().splitlines()]
        wrong = [
            (row[0], exercise, got, CLASS[row[0]][0])
            for row in rows[1:]
            for exercise, got in zip(rows[0][1:-1], row[1:])
            if got != CLASS[row[0]][0]
        ]
    n_verdicts = len(CLASS) * (len(rows[0]) - 2)
    for student, exercise, got, planted in wrong:
        print(f"{student}, {exercise}: {got}, planted: {planted}")
    print(
        f"{len(CLASS)} copies of {len(args.pages)} pages, {len(rows[0]) - 2} exercises: {n_verdicts - len(wrong)} of "
        f"{n_verdicts} verdicts as planted, {time.monotonic() - started:.0f} s"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
