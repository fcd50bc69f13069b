"""Records of strangers: what a report takes, what it leaves out, and where it writes."""

import json
import os
import re
import unicodedata

import pytest

from acssm_lib import plots
from acssm_lib.cli.main import main
from acssm_lib.report.build import write_report
from acssm_lib.report.readings import read_runs

NAMES = [
    "../../../evil",
    "/{outside}/evil",
    "..\\evil",
    "..",
    "",
    "nul",
    "x" * 190,
    "a\0\ud800b",
    "a|b\n# c",
    "`x`",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "$\\frac{$",
    "$x$",
    "\x1b[31m\x1b]0;owned\x07",
    "\u202egnp",
    "gr\udce9n",
    "²",
    "9" * 190,
    "=1+1",
    "-rf",
    "蛙",
]


def write(folder, content):
    """A record, or bytes in its place, as a finished run below a folder."""
    path = folder / "seed0" / "metrics.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


@pytest.fixture
def run(synthetic_records):
    return synthetic_records(("G1",), ("acoustic-ssm1",), n_episodes=2, n_frozen=2)[0]


def changed(path, value):
    """A function that sets what stands at a path of keys, as in "episodes.0.seed"."""
    *way, last = [int(key) if key.isdecimal() else key for key in path.split(".")]

    def change(run):
        place = run
        for key in way:
            place = place[key]
        place[last] = value
        return run

    return pytest.param(change, id=f"{path}={str(value)[:20]!a}")


def text(name, replace):
    """A function that gives the text of a record with a change in it, for what ``json.dumps`` would not write."""
    return pytest.param(lambda run: replace(json.dumps(run)).encode("utf-8", "surrogateescape"), id=name)


HUGE = 10**400


@pytest.mark.parametrize(
    "spoil",
    [
        *(
            changed(path, value)
            for path in ("dataset", "group", "method", "preset")
            for value in (["G1"], None, 7, "x" * 300)
        ),
        *(
            changed(path, value)
            for path in (
                "seed",
                "n_way",
                "n_shot",
                "parameters",
                "episodes.0.seed",
                "pretraining.clips",
                "episodes.1.n_query",
                "readouts.0.seeds.0",
            )
            for value in (HUGE, 1e999, "5")
        ),
        *(
            changed(path, value)
            for path in (
                "episodes",
                "readouts",
                "classes",
                "pretraining",
                "versions",
                "settings",
                "episodes.0",
                "readouts.0",
                "labelled_clips",
                "confusion",
                "confusion.0",
                "overrides",
                "readouts.0.accuracy",
            )
            for value in (3, "many", None)
        ),
        changed("method", "x, frames shuffled at test"),
        changed("n_way", 0),
        changed("n_way", 6),
        changed("n_shot", 0),
        changed("classes", ["a", ["b"], "c", "d", "e"]),
        changed("classes", []),
        changed("episodes.0.n_query", 0),
        changed("confusion", [[1, 2], [3]]),
        changed("confusion", [[1] * 4] * 4),
        changed("confusion.2", [1, 2, 3, 4, "5"]),
        changed("confusion.0.0", HUGE),
        changed("episodes.0.support", "clip"),
        changed("episodes.0.support", [["clip"]]),
        changed("readouts.0.supports", "0x" + "f" * 14),
        changed("readouts.0.supports", "not hexadecimal!"),
        changed("readouts.0.supports", "f" * 17),
        changed("readouts.0.accuracy.0", None),
        changed("synthetic", {"a": 1}),
        changed("settings", {"<b>": 1}),
        changed("settings", {"n_layers": {"a": 1}}),
        changed("versions", {"": "1"}),
        changed("overrides", {"widths": [[1], [2]]}),
        changed("protocol", ["transductive"]),
        changed("readout", {}),
        changed("finetuning.seconds", -1),
        changed("pretraining.final_loss", 1e300),
        changed("accuracy_ci95", [0.1]),
        changed("labelled_clips", {"training": {}, "selection": 0}),
        changed("pretraining.saw_query_clips", "no"),
        text("NaN", lambda text: text.replace('"seconds": 900.0', '"seconds": NaN')),
        text("-Infinity", lambda text: text.replace('"seconds": 900.0', '"seconds": -Infinity')),
        text("twice", lambda text: text.replace("{", '{"dataset": "other", ', 1)),
        text("twice-deep", lambda text: text.replace('"steps"', '"clips": 3, "steps"')),
        text("deep", lambda text: text.replace("{", '{"deep": ' + "[" * 99_999 + "]" * 99_999 + ", ", 1)),
        text("digits", lambda text: text.replace('"seed": 0', '"seed": ' + "9" * 5000, 1)),
        text("latin-1", lambda text: text.replace("G1 class 0", "gr\udce9n").replace("\\udce9", "\udce9")),
        text("cut", lambda text: text[:300]),
        text("empty", lambda text: ""),
        text("number", lambda text: "7"),
        text("list", lambda text: f"[{text}]"),
        text("null", lambda text: "null"),
        text("page", lambda text: "<html>"),
        text("escape", lambda text: text.replace('"dataset"', '"\\u001b[31m"')),
    ],
)
def test_a_record_that_is_none_is_left_out_with_a_sentence_and_the_others_stay(tmp_path, run, spoil):
    write(tmp_path / "good", run)
    content = spoil(json.loads(json.dumps(run)))
    if not isinstance(content, bytes):
        content["seed"] = content["seed"] if content["seed"] != 0 else 1
    write(tmp_path / "bad", content)
    runs, problems = read_runs(tmp_path)
    assert [found["dataset"] for found in runs] == ["esc50"] and len(problems) == 1
    assert problems[0].startswith("bad/seed0/metrics.json: left out, ") and len(problems[0]) < 500
    assert problems[0].isprintable()


@pytest.mark.parametrize(
    "make, reason",
    [
        (lambda path: os.mkfifo(path), "not a file"),
        (lambda path: path.mkdir(), "not a file"),
        (lambda path: path.symlink_to("/dev/zero"), "not a file"),
        (lambda path: path.write_text("") or os.truncate(path, 10**8), "100 MB, a run record has at most 32"),
    ],
    ids=["pipe", "folder", "device", "100 MB"],
)
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files on Windows")
def test_what_is_no_file_of_sensible_size_is_not_opened(tmp_path, run, make, reason):
    write(tmp_path / "good", run)
    (tmp_path / "bad").mkdir()
    make(tmp_path / "bad" / "metrics.json")
    runs, problems = read_runs(tmp_path)
    assert len(runs) == 1 and len(problems) == 1 and reason in problems[0]


def test_keys_that_no_record_has_go_no_further(tmp_path, run):
    write(tmp_path, run | {"variant": {"a": ["b"]}, "../x": 1})
    (found,), problems = read_runs(tmp_path)
    assert not problems and not {"variant", "../x"} & set(found)


def test_runs_of_one_group_with_other_classes_are_not_mixed(tmp_path, run):
    write(tmp_path / "a", run)
    write(tmp_path / "b", run | {"seed": 1, "classes": list("abcde")})
    runs, problems = read_runs(tmp_path)
    assert len(runs) == 1 and "b/seed0/metrics.json: left out, its classes are not those of" in problems[0]


@pytest.mark.parametrize("field", ["dataset", "group", "method", "classes"])
def test_hostile_names_write_nothing_outside_and_run_nothing(tmp_path, monkeypatch, synthetic_records, field):
    """Nearly eighty records in four reports: every name in every field."""
    monkeypatch.setattr(plots, "DPI", 12)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    (run,) = synthetic_records(("G1",), ("acoustic-ssm1",), n_episodes=2, n_frozen=2)
    if field != "classes":  # one figure per kind is enough
        run |= {"readouts": []}
        del run["confusion"]
    for number, name in enumerate(NAMES[:7] if field == "dataset" else NAMES):  # a data set has its own figures
        name = name.replace("{outside}", str(tmp_path).strip("/"))
        write(tmp_path / f"runs/{number}", run | {"seed": number} | {field: [name] * 5 if field == "classes" else name})
    before = snapshot(tmp_path)
    files = write_report(tmp_path / "runs", tmp_path / "here" / "out")
    assert {path for path in snapshot(tmp_path) - before if path.is_file()} == set(files)
    assert {path.parent for path in files} == {tmp_path / "here" / "out"}
    assert len({file.name.casefold() for file in files}) == len(files)
    page, *tables = (file.read_text(encoding="utf-8") for file in files[:4])
    for text in (page, *tables):
        acting = {letter for letter in text if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")}
        assert acting <= {"\n"}
    assert not re.search(r"<(?!\d)", page) and not re.search(r"(?<!\\)\]\(javascript", page)
    assert not re.search(r'(^|,)"?[=@]', "\n".join(tables), re.MULTILINE)


def snapshot(folder):
    return set(folder.rglob("*"))


def test_a_link_that_came_with_the_runs_is_not_followed(tmp_path, run, capsys):
    write(tmp_path / "runs", run)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs/report").symlink_to(tmp_path / "elsewhere")
    assert main(["report", str(tmp_path / "runs")]) == 2
    assert "is a link to" in capsys.readouterr().err
    assert not list((tmp_path / "elsewhere").iterdir())
