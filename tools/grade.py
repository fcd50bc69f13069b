"""Grade a class: one table, student x exercise, from the notebooks that were handed in.

    python -m tools.grade CLASS --out grades

CLASS has a folder per student with copies of the pages, by the names that ``make student`` gives them, at any depth.
Every page is run once, from the course's own copy, and the exercises of all students are tried in forks of it
(``tools.grading.page`` says how); what a student's notebook prints is never looked at.
"""

import argparse
import csv
import io
import json
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat

from acssm_lib.files import DataError, write_text
from tools.grading.classroom import parts

ROOT = Path(__file__).resolve().parents[1]
VERDICTS = ("correct", "wrong", "not attempted", "error")
# Namespaces of its own for network and processes: a process of a student reaches nobody, and ends with its page.
CUT_OFF = (
    ["unshare", "--net", "--pid", "--fork", "--kill-child"],
    ["unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"],
)


def code_cells(path):
    """Code cells of a notebook as {"id", "source", "tags"}.

    Raises:
        DataError: the file is no notebook.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
        return [
            {"id": cell.get("id", ""), "source": cell.source, "tags": list(cell.metadata.get("tags", []))}
            for cell in notebook.cells
            if cell.cell_type == "code"
        ]
    except Exception as error:
        raise DataError(f"{path}: no notebook that can be read ({type(error).__name__})") from error


def copies(folder, page):
    """What every student has handed in of one page.

    Args:
        folder: of the class; page: file name of the page.
    Returns:
        name of the student -> path of the copy nearest to the student's own folder, or None.
    Raises:
        DataError: there is no folder of a student.
    """
    students = sorted(path for path in Path(folder).iterdir() if path.is_dir() and not path.name.startswith("."))
    if not students:
        raise DataError(f"{folder}: no folder of a student; each has one, with the pages in it")
    found = {}
    for student in students:
        paths = [
            path
            for path in student.rglob(page)
            if not any(part.startswith(".") for part in path.relative_to(student).parts)
        ]
        found[student.name] = min(paths, key=lambda path: (len(path.parts), path), default=None)
    return found


def cut_off():
    """Words that start a command without a network, or [] where this system has no such thing."""
    for words in CUT_OFF:
        try:
            if subprocess.run([*words, "true"], capture_output=True).returncode == 0:
                return words
        except OSError:
            break
    return []


def grade_page(page, folder, page_s=60.0, cell_s=10.0, lesson_s=1800.0):
    """Grade one page of a whole class.

    Args:
        page: path of the course's own notebook; folder: of the class.
        page_s, cell_s: seconds for all exercises of one student, and for one cell or one call.
        lesson_s: seconds for the page itself.
    Returns:
        (student, exercise) -> (verdict, reason); an exercise is "03 discretise_pole".
    Raises:
        DataError: the course's own page does not run, or takes longer.
    """
    cells, found, students = code_cells(page), {}, []
    names = [name for name, *_ in parts(cells)[1]]
    for student, path in copies(folder, page.name).items():
        if path is None:
            found |= {(student, name): ("not attempted", "") for name in names}
            continue
        try:
            students.append((student, code_cells(path)))
        except DataError as error:
            found |= {(student, name): ("error", str(error).removeprefix(f"{folder}/")) for name in names}
    if students:
        prefix = cut_off()
        with tempfile.TemporaryDirectory() as temporary:
            job, out = Path(temporary) / "job.json", Path(temporary) / "grades.jsonl"
            job.write_text(
                json.dumps(
                    {
                        "cells": cells,
                        "students": students,
                        "folder": str(page.parent.resolve()),
                        "out": str(out),
                        "page_s": page_s,
                        "cell_s": cell_s,
                        "refuse_network": not prefix,
                    }
                ),
                encoding="utf-8",
            )
            command = [*prefix, sys.executable, "-m", "tools.grading.page", str(job)]
            _run(command, page, lesson_s + len(students) * page_s)
            for line in out.read_text(encoding="utf-8").splitlines():
                student, name, *verdict = json.loads(line)
                found[student, name] = tuple(verdict)
    return {
        (student, f"{page.name[:2]} {name}"): found[student, name]
        for student in sorted({student for student, _ in found})
        for name in names
    }


def _run(command, page, limit_s):
    own = {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "OMP_NUM_THREADS": "1",
        "MPLBACKEND": "agg",
    }  # one thread: a fork has no other
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | own,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=limit_s,
        )
    except subprocess.TimeoutExpired:
        raise DataError(f"{page}: not done after {limit_s:.0f} s") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise DataError(f"{page}: the course's own copy does not run: {last}")


def tables(found):
    """The grades as files.

    Args:
        found: (student, exercise) -> (verdict, reason).
    Returns:
        name -> text: ``grades.csv``, a row per student; ``reasons.csv``, a row per exercise that is not right;
        ``grades.md``, both to read.
    """
    students, exercises = sorted({student for student, _ in found}), list(dict.fromkeys(name for _, name in found))
    wide = [["student", *exercises, "correct"]]
    for student in students:
        row = [found[student, exercise][0] for exercise in exercises]
        wide.append([student, *row, str(row.count("correct"))])
    reasons = [["student", "exercise", "verdict", "reason"]] + [
        [*key, *found[key]] for key in sorted(found, key=lambda key: key[0]) if found[key][1]
    ]
    counts = ", ".join(f"{sum(one == word for one, _ in found.values())} {word}" for word in VERDICTS)
    title = f"# Grades: {len(students)} students, {len(exercises)} exercises"
    page = [title, "", f"{counts}.", "", *_markdown(wide), ""]
    if len(reasons) > 1:
        page += ["## Reasons", "", *_markdown(reasons), ""]
    return {"grades.csv": _csv(wide), "reasons.csv": _csv(reasons), "grades.md": "\n".join(page)}


def _csv(rows):
    buffer = io.StringIO()
    # A spreadsheet would run a cell that begins like a formula.
    csv.writer(buffer).writerows([["'" + cell if cell[:1] in "=+-@" else cell for cell in row] for row in rows])
    return buffer.getvalue()


def _markdown(rows):
    lines = ["| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in row) + " |" for row in rows]
    return [lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]


def main(argv=None):
    """The command line above; 0 when every page was graded."""
    parser = argparse.ArgumentParser(prog="python -m tools.grade", description="Grade the notebooks of a class.")
    parser.add_argument("folder", type=Path, help="of the class: a folder per student")
    parser.add_argument("--out", type=Path, default=Path("grades"), help="where the tables go (default: grades)")
    parser.add_argument(
        "--pages",
        nargs="+",
        type=Path,
        default=sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")),
        help="the course's own notebooks (default: all)",
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="pages at a time (default: all cores)")
    parser.add_argument("--cell-seconds", type=float, default=10.0, help="for one cell or one call (default: 10)")
    parser.add_argument("--page-seconds", type=float, default=60.0, help="for one student's page (default: 60)")
    args = parser.parse_args(argv)
    print(
        "without a network"
        if cut_off()
        else "this system cannot cut off the network: Python refuses connections, other programs would not",
        flush=True,
    )
    found, failed = {}, []
    with ThreadPoolExecutor(args.jobs) as pool:
        pages = {
            page: pool.submit(grade_page, page, args.folder, args.page_seconds, args.cell_seconds)
            for page in args.pages
        }
        for page, future in pages.items():
            try:
                found |= future.result()
                print(f"{page.name}: graded", flush=True)
            except DataError as error:
                failed.append(str(error))
    for name, text in tables(found).items() if found else ():
        write_text(args.out / name, text)
    print("\n".join([*failed, f"{args.out / 'grades.md'}" if found else "nothing was graded"]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
