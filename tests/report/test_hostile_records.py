"""More than a hundred and fifty hostile records beside a good one, in one report."""

import csv
import hashlib
import json
import os
import unicodedata

import pytest
from matplotlib.figure import Figure

from acssm_lib.cli.main import main

NAMES = (  # they may stand in a report, made harmless
    "../../../evil",
    "{outside}/evil",
    "/etc/evil",
    "~/evil",
    "C:\\evil",
    "C:evil",
    "..\\..\\evil",
    "\\\\host\\share",
    "//host/evil",
    "file:///evil",
    "a/../../b",
    "..",
    ".",
    ".hidden",
    "evil/",
    "%2e%2e%2fevil",
    "\u2215evil\u2044x",
    "\uff0f..\uff0fevil",
    "CON",
    "nul.png",
    "lpt1",
    "COM\u00b9",
    "aux ",
    "evil.",
    "evil:stream",
    "*",
    "?",
    "x" * 255,
    "\U0001f438" * 255,
    "a\u0301" * 127,
    "evil\0.png",
    "\x1b[2J\x1b]0;owned\x07",
    "\x9b31mred",
    "line\r\nbreak",
    "line\u2028break",
    "\t",
    "\u202egnp.exe",
    "\u2066\u200b",
    "\ufeffbom",
    "\ud800",
    "\udc9b31m",
    "acoustic-ssm1\u200b",
    "\u0430coustic-ssm1",
    "<script>alert(1)</script>",
    "</title><script src=//evil>",
    "<img src=x onerror=alert(1)>",
    '" onload="alert(1)',
    "<!--",
    "&lt;script>",
    "[x](javascript:alert(1))",
    "![x](http://evil/x.png)",
    "a|b|c",
    "# heading",
    "`touch evil`",
    "$(touch evil)",
    "; touch evil",
    "-rf",
    "$\\frac{$",
    "$x$",
    "\\input{evil}",
    "{0.__class__}",
    "{{braces}}",
    "%s%n",
    "=1+1",
    "@SUM(1)",
    "+1",
    "-1+1",
    '=HYPERLINK("http://evil")',
    '"=1+1',
    "\t=1+1",
    "nan",
    " ",
)
WRONG = {  # key of a record -> values that it cannot have
    "schema": (0, "1", [1], None),
    "dataset": ("", [], {"a": 1}, 7, "x" * 256),
    "group": (None, ["G1"], True),
    "classes": ({}, "abcde", [], [["a"]] * 5, ["a"] * 4, [None] * 5),
    "method": ("a, frames shuffled at test", ["a"]),
    "preset": ({}, -1),
    "seed": (10**400, 1e999, -(2**64), "0", 0.5),
    "n_way": (0, -5, 10**9, "5"),
    "n_shot": (0, 10**30, []),
    "episodes": ([], {}, [None], [[]], [{}], "many"),
    "accuracy_mean": (float("nan"), float("inf"), -0.1, 1.1, "0.5"),
    "accuracy_ci95": ([0.1], [0, "1"], {}),
    "pretraining": ([], None, {}, 5),
    "finetuning": ({"seconds": -1}, []),
    "parameters": (-1, 10**400, "many"),
    "versions": ({"../x": "1"}, {"a": {"b": {}}}, []),
    "confusion": ([[1]], [[1] * 5] * 4, [[1] * 5] * 4 + [[1] * 4], [[10**400] * 5] * 5, [["<script>"] * 5] * 5, {}),
    "readouts": ([{}], [{"name": "<script>"}], {"name": "logistic"}),
    "settings": ({"<b>": 1}, [[]], {"a": [[1]]}),
    "labelled_clips": ([], {"training": {}}),
    "protocol": ("<script>", 3),
    "synthetic": ("\x1b[31m", 2),
}


def no_records(run):
    """What is no record at all, or several, or one that two readers would take for different ones."""
    text = json.dumps(run)
    return (
        b"",
        b"\0" * 4096,
        b"\xff\xfe{}",
        b"PK\x03\x04",
        b"null",
        b"7",
        b'"\\u001b[31m"',
        text.encode("utf-16"),
        text[:300].encode(),
        f"[{text}]".encode(),
        f"{text}{text}".encode(),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        text.replace("{", '{"dataset": "../evil", ', 1).encode(),
        b"\xef\xbb\xbf" + text.encode(),
        text.replace('"seed": 0', '"seed": ' + "9" * 5_000, 1).encode(),
        text.encode().replace(b"G1 class 0", b"gr\xe9n"),
        b"<html><script>alert(1)</script>",
        text.replace('"dataset"', '"__proto__": {"x": 1}, "DATASET"').encode(),
    )


def write(folder, content):
    path = folder / "seed0" / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


@pytest.fixture
def hostile(tmp_path, synthetic_records):
    """Folder of a good run and of hostile ones, some levels down; and the names of those that are no records."""
    runs, (good,) = tmp_path / "a" / "b" / "here" / "runs", synthetic_records(("G1",), ("acoustic-ssm1",), n_frozen=3)
    write(runs / "good", good)
    plain = {key: value for key, value in good.items() if key != "confusion"} | {"readouts": []}  # fewer figures
    for number, name in enumerate(NAMES, 1):
        name = name.replace("{outside}", str(tmp_path / "outside"))
        # A data set and a preset have tables and figures of their own, whose files bear their names.
        field = "dataset" if number < 14 else "preset" if number < 18 else ("method", "group", "classes")[number % 3]
        named = {"group": f"H{number}", "classes": [name] * 5} if field == "classes" else {field: name}
        write(runs / f"name{number}", plain | {"seed": number} | named)
    wrong = [good | {"seed": 1000} | {key: value} for key, values in WRONG.items() for value in values]
    wrong += [{key: good[key] for key in good if key != left_out} for left_out in ("schema", "episodes", "n_way")]
    wrong += no_records(good)
    for number, content in enumerate(wrong):
        write(runs / f"wrong{number}", content)
    write(runs / "\x1b[31m<script>\n", b"{}")
    return runs, [f"wrong{number}/seed0/metrics.json" for number in range(len(wrong))]


def link(tmp_path, runs, out):
    """Links that came with the records: to a file, to folders, to nothing, and under the names that a report writes."""
    outside = tmp_path / "outside"
    outside.mkdir()
    secret = outside / "secret.txt"
    secret.write_text("untouched")
    for place, target in (
        (runs / "link" / "metrics.json", secret),
        (runs / "folder", outside),
        (runs / "seed7", outside),
        (runs / "dead" / "metrics.json", outside / "nothing"),
        (runs / "loop", runs),
        *((out / f"{name}", secret) for name in ("report.md", "report.csv", "averages.csv", "differences.csv")),
    ):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)


def tree(folder):
    """Every file, folder and link below a folder, with what it holds."""
    return {
        path: path.readlink() if path.is_symlink() else path.is_dir() or hashlib.sha256(path.read_bytes()).digest()
        for path in folder.rglob("*")
    }


def rows(folder):
    with (folder / "report.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.skipif(os.name == "nt", reason="names of folders, and links, that Windows refuses")
def test_a_report_writes_into_its_folder_alone_and_the_good_record_stands(tmp_path, monkeypatch, capsys, hostile):
    monkeypatch.setattr(Figure, "savefig", lambda figure, part, **_: part.write_bytes(b""))  # seconds; tried elsewhere
    runs, wrong = hostile
    assert len(NAMES) + len(wrong) >= 150
    out = runs.parent / "out"
    link(tmp_path, runs, out)
    monkeypatch.chdir(runs.parent)
    before = tree(tmp_path)
    assert main(["report", "runs", "--out", "out"]) == 0
    after, printed = tree(tmp_path), "".join(capsys.readouterr())
    assert {path.parent for path in before.keys() | after.keys() if before.get(path) != after.get(path)} == {out}
    assert not [path for path in out.iterdir() if path.is_symlink() or not path.is_file()]

    page = (out / "report.md").read_text(encoding="utf-8")
    assert [name for name in wrong if f"{name}: left out, " not in page] == []
    assert main(["report", "runs/good", "--out", "alone"]) == 0
    table, alone = rows(out), rows(runs.parent / "alone")
    assert len(alone) > 2 and [row for row in alone if row not in table] == []
    assert len(table) == len(alone) + len(NAMES)

    for text in (printed, *(path.read_text(encoding="utf-8") for path in out.iterdir() if path.suffix != ".png")):
        acting = {letter for letter in text if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
        assert acting <= {"\n"} and "untouched" not in text
    assert "<script" not in page + printed and "<img" not in page + printed
