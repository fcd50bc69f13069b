"""Grading: every student gets what the answers deserve, whatever the notebook prints, breaks or patches."""

import shutil

import nbformat
import numpy as np
import pytest
import torch

from acssm_lib.files import DataError
from tools import grade
from tools.grading.classroom import handed_in
from tools.grading.plain_data import decode, encode

DOUBLE = 'def double(x):\n    """Twice x."""\n    return None'
ENDS = "def ends(text, apply):\n    return None"
PAGE = [
    ("offset = 0", ["parameters"]),
    ("import math\n\nfrom acssm_lib.course import checks", []),
    (DOUBLE, ["exercise"]),
    ("double_cases = [((3,), 6 + offset), ((math.pi,), 2 * math.pi)]\nchecks.attempt(double, *double_cases)", []),
    ("def double_answer(x):\n    return 2 * x\n\nchecks.attempt(double_answer, *double_cases)", ["solution"]),
    (ENDS, ["exercise"]),
    (
        "def judge(function):\n    text = function('abc', str.upper)\n    return 'good' if text == 'AC' else text\n\n"
        "checks.attempt(judge, ((ends,), 'good'))",
        [],
    ),
    ("def ends_answer(text, apply):\n    return apply(text[0] + text[-1])", ["solution"]),
]
RIGHT = "def double(x):\n    return x + x"
CHEATS = {  # none of them doubles
    "printed": 'print("correct"); raise SystemExit',
    "exits": 'def double(x):\n    print("correct")\n    raise SystemExit',
    "leaves": "import os\ndef double(x):\n    os._exit(0)",
    "patched": "def double(x):\n    return 7\nchecks.attempt = lambda *a, **k: print('correct')\n"
    "checks.difference = lambda *a: None",
    "modules": "import sys\nsys.modules['acssm_lib.course.checks'] = checks = None\ndef double(x):\n    return 7",
    "equal": "class Anything(float):\n    __eq__ = lambda self, other: True\n    __sub__ = lambda *a: 0\n"
    "def double(x):\n    return Anything(7)",
    "copied": "def double(x):\n    return dict(double_cases)[(x,)]",
    "kills": "import os\ndef double(x):\n    os.kill(os.getppid(), 9)",
}


def notebook(cells, changed=None, added=()):
    """A page of (source, tags); ``changed``: place -> source; ``added``: sources that stand first."""
    made = [
        nbformat.v4.new_code_cell((changed or {}).get(place, source), metadata={"tags": tags}, id=f"c-{place}")
        for place, (source, tags) in enumerate(cells)
        if changed is None or "solution" not in tags
    ]
    return nbformat.v4.new_notebook(cells=[*map(nbformat.v4.new_code_cell, added), *made])


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class")
    nbformat.write(notebook(PAGE), folder / "00_page.ipynb")
    students = {
        "all right": notebook(PAGE, {2: RIGHT, 5: "def ends(text, apply):\n    return apply(text[0] + text[-1])"}),
        "untouched": notebook(PAGE, {}),
        "other parameters": notebook(PAGE, {0: "offset = 100", 2: RIGHT}),
        "syntax": notebook(PAGE, {2: "def double(x):\n    return 2 x", 5: "def ends(text, apply):\n    return text"}),
        "raises": notebook(PAGE, {2: "def double(x):\n    return x / 0"}),
        "endless": notebook(PAGE, {2: "def double(x):\n    while True: pass"}),
        "helper": notebook(PAGE, {2: "%time\ndef double(x):\n    return twice(x)"}, ["def twice(x): return 2 * x"]),
        "hanging helper": notebook(PAGE, {2: RIGHT}, ["import time\ntime.sleep(99)"]),
        "network": notebook(PAGE, {2: "import socket\ndef double(x):\n    socket.create_connection(('::1', 22))"}),
    } | {name: notebook(PAGE, {2: source}) for name, source in CHEATS.items()}
    for name, page in students.items():
        (folder / "students" / name / "notebooks").mkdir(parents=True)
        nbformat.write(page, folder / "students" / name / "notebooks" / "00_page.ipynb")
    (folder / "students" / "damaged").mkdir()
    (folder / "students" / "damaged" / "00_page.ipynb").write_text("{")
    (folder / "students" / "absent").mkdir()
    return grade.grade_page(folder / "00_page.ipynb", folder / "students", cell_s=1.5)


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="grading forks")
@pytest.mark.parametrize(
    "student, double, ends",
    [
        ("all right", "correct", "correct"),
        ("untouched", "not attempted", "not attempted"),
        ("other parameters", "correct", "not attempted"),
        ("syntax", "error: SyntaxError", "wrong: case 1: I expected 'good'"),
        ("raises", "error: ZeroDivisionError", "not attempted"),
        ("endless", "error: nothing after 1.5 s", "not attempted"),
        ("helper", "correct", "not attempted"),
        ("hanging helper", "correct", "not attempted"),
        ("network", "error", "not attempted"),
        ("damaged", "error", "error"),
        ("absent", "not attempted", "not attempted"),
        ("printed", "error: SystemExit", "not attempted"),
        ("exits", "error: SystemExit", "not attempted"),
        ("leaves", "error", "not attempted"),
        ("patched", "wrong: case 1: I expected 6, got 7", "not attempted"),
        ("modules", "wrong", "not attempted"),
        ("equal", "error: TypeError", "not attempted"),
        ("copied", "error: NameError", "not attempted"),
    ],
)
def test_a_verdict_is_what_the_answer_deserves(graded, student, double, ends):
    for exercise, said in (("00 double", double), ("00 ends", ends)):
        assert ": ".join(graded[student, exercise]).startswith(said), graded[student, exercise]


def test_who_ends_the_grading_harms_nobody_else(graded):
    assert graded["kills", "00 double"][0] == "error"
    assert len(graded) == 2 * 19 and [key for key in graded if key[0] == "untouched"]


def test_the_tables(graded, tmp_path):
    made = grade.tables(graded)
    assert made["grades.csv"].splitlines()[:3] == [
        "student,00 double,00 ends,correct",
        "absent,not attempted,not attempted,0",
        "all right,correct,correct,2",
    ]
    assert "| all right | correct | correct | 2 |" in made["grades.md"]
    assert "raises,00 double,error,ZeroDivisionError: division by zero" in made["reasons.csv"]
    sly = grade.tables({("=cmd()", "00 double"): ("wrong", "a | b")})
    assert "'=cmd()" in sly["grades.csv"] and "a \\| b" in sly["grades.md"]


def test_what_cannot_be_graded_is_said(tmp_path, capsys):
    nbformat.write(notebook([("1 / 0", []), *PAGE]), tmp_path / "00_page.ipynb")
    (tmp_path / "students" / "ann").mkdir(parents=True)
    with pytest.raises(DataError, match="no folder of a student"):
        grade.copies(tmp_path / "students" / "ann", "00_page.ipynb")
    shutil.copy(tmp_path / "00_page.ipynb", tmp_path / "students" / "ann")
    words = [str(tmp_path / "students"), "--pages", str(tmp_path / "00_page.ipynb"), "--out", str(tmp_path / "grades")]
    assert grade.main(words) == 1
    assert "own copy does not run: ZeroDivisionError" in capsys.readouterr().out and not (tmp_path / "grades").exists()


def test_the_cells_of_a_student_are_found_whatever_else_has_changed():
    pristine = [{"id": "a", "source": "x = 1", "tags": []}, {"id": "b", "source": DOUBLE, "tags": ["exercise"]}]
    stubs = {"double": DOUBLE}
    renumbered = [
        {"id": "q", "source": "x = 1", "tags": []},
        {"id": "a", "source": RIGHT, "tags": []},
        {"id": "n", "source": "double = abs", "tags": []},
    ]
    assert handed_in(renumbered, pristine, stubs) == ([RIGHT, "double = abs"], {"double": 1})
    assert handed_in(pristine, pristine, stubs) == ([], {})


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        2.5,
        "toad",
        float("nan"),
        1 - 2j,
        [1, (2.0, "x")],
        np.float32(0.5),
        np.arange(6.0).reshape(2, 3),
        torch.tensor([1]),
        torch.eye(2, dtype=torch.cfloat),
    ],
)
def test_answers_survive_the_way_as_plain_data(value):
    back = decode(encode(value))
    if isinstance(value, (np.ndarray, torch.Tensor)):
        assert type(back) is type(value) and back.dtype == value.dtype and (back == value).all()
    else:
        assert repr(back).replace("[", "(").replace("]", ")") == repr(value).replace("[", "(").replace("]", ")") or (
            back != back or back == value
        )


def test_what_is_no_plain_data_is_refused():
    for value in (object(), {"a": 1}, abs, np.array([object()])):
        with pytest.raises(TypeError, match="no answer"):
            encode(value)
