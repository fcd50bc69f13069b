"""README and docs/: tables are those of the committed records, commands parse, paths and names are there."""

import ast
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from acssm_lib.cli.arguments import require
from acssm_lib.cli.main import _parser
from acssm_lib.names import METHOD_NAMES
from acssm_lib.presets import preset
from tools import tables

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))
}
TABLES = {
    name: text
    for page, whole in PAGES.items()
    for _, name, text in re.findall(r"(?s)(<!-- table: ([\w-]+) -->)\n(.*?)<!-- end -->", whole)
}
# Programs of others: named in a page, not ours to check.
OTHERS = {
    "dask",
    "git",
    "mkdir",
    "cp",
    "openssl",
    "pip",
    "apt",
    "brew",
    "voila",
    "playwright",
    "lint-imports",
    "ruff",
    "pre-commit",
    "conda",
}


@pytest.mark.parametrize("name", tables.TABLES)
def test_a_table_is_what_the_records_say(name):
    assert TABLES[name].split("\n") == ["", *tables.TABLES[name](), "", ""], "make docs-tables writes it again"


def test_every_table_stands_once_and_no_number_with_an_interval_outside_of_one():
    marks = [name for page in PAGES.values() for name in re.findall(r"<!-- table: ([\w-]+) -->", page)]
    assert sorted(marks) == sorted(tables.TABLES)
    for page, text in PAGES.items():
        assert not re.search(r"\d ± \d", tables.PLACE.sub("", text)), page


def test_a_table_agrees_with_the_numbers_of_the_records_taken_apart_by_hand():
    cells = [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((ROOT / "figures" / "metrics" / "esc50").glob("*/acoustic-ssm1/seed*/metrics.json"))
    ]
    groups = [np.mean([run["accuracy_mean"] for run in cells if run["group"] == group]) for group in ("E1", "E2")]
    frozen = [
        np.mean(
            [
                value
                for run in cells
                if run["group"] == group
                for entry in run["readouts"]
                if (entry["name"], entry["n_shot"], entry["shuffled"]) == ("logistic", 5, False)
                for value in entry["accuracy_unshared_sources"]
            ]
        )
        for group in ("E1", "E2")
    ]
    row = next(line for line in TABLES["esc10"].splitlines() if line.startswith("| acoustic-ssm1 |")).split("|")
    assert row[2].split(" ± ")[0].strip() == f"{100 * np.mean(groups):.1f}"
    assert row[4].split(" ± ")[0].strip() == f"{100 * np.mean(frozen):.1f}"
    losses = cells[0]["pretraining"]["losses"]
    assert losses[-1] < losses[0]


def test_pages_are_rewritten_in_place_and_a_wrong_mark_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr(tables, "TABLES", {"one": lambda: ["| a |"]})
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "page.md"
    page.write_text("before\n<!-- table: one -->\nold\n<!-- end -->\nafter\n", encoding="utf-8")
    assert tables.main(["--check"]) == 1 and "old" in page.read_text(encoding="utf-8")
    assert tables.main([]) == 0 and tables.main(["--check"]) == 0
    assert page.read_text(encoding="utf-8") == "before\n<!-- table: one -->\n\n| a |\n\n<!-- end -->\nafter\n"
    for wrong, why in (("<!-- table: two -->\n<!-- end -->", "two"), ("<!-- table: one -->\n", "without an end")):
        with pytest.raises(ValueError, match=f"{why}.*there are one"):
            tables.renewed(wrong)
    capsys.readouterr()


def commands(text):
    """Every command of a page: lines of fenced blocks without a language, and code in running text."""
    found = []
    for language, block in re.findall(r"(?ms)^```(\w*)\n(.*?)^```", text):
        if not language:
            found += [line.split("  #")[0] for line in block.replace("\\\n", " ").splitlines() if line.strip()]
    text = re.sub(r"(?ms)^```.*?^```", "", text)
    found += [
        code
        for code in re.findall(r"`([^`\n]+)`", text)
        if re.match(r"(\w+=\w+ )?(make|acssm|python3?|\.venv/bin/\w+) \S", code)
    ]
    return [words for words in (shlex.split(code) for code in found) if words]


def checked(words):
    """Raises, or fails, where a command of a page would not be understood.

    A command that is only named, without options, has to exist; any other has to be whole.
    """
    while re.fullmatch(r"[A-Z_]+=\S+", words[0]):
        words = words[1:]
    program, *arguments = words
    program = program.removeprefix(".venv/bin/")
    if program == "acssm":
        if not any(word.startswith("--") for word in arguments):
            with pytest.raises(SystemExit, match="^0$"):
                _parser().parse_args([*arguments, "--help"])
            return
        args = _parser().parse_args(arguments)
        pairs = [word.split("=", 1) for word in getattr(args, "set", ())]
        assignments = {key.rpartition(":")[2]: value for key, value in pairs}  # METHOD:FIELD=VALUE
        if getattr(args, "preset", None):
            preset(args.preset, **assignments)
        for method in getattr(args, "methods", None) or ():
            require("method", method, METHOD_NAMES)
    elif program == "make":
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        target, *variables = arguments
        assert re.search(rf"(?m)^{re.escape(target)}:", makefile), target
        for variable in variables:
            assert f"$({variable.split('=')[0]})" in makefile, variable
    elif program in ("python", "python3") and arguments[:2] == ["-m", "pytest"]:
        assert all((ROOT / word).exists() for word in arguments[2:] if "/" in word), arguments
    elif program in ("python", "python3"):
        script = ROOT / (arguments[1].replace(".", "/") + ".py") if arguments[0] == "-m" else ROOT / arguments[0]
        source = script.read_text(encoding="utf-8") + (ROOT / "benchmarks/common.py").read_text(encoding="utf-8")
        for option in arguments[1:]:
            assert not option.startswith("--") or option == "--help" or f'"{option}"' in source, option
    else:
        assert program in OTHERS, f"{program}: no page may name a command that nobody checks"


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_is_understood(page):
    for words in commands(PAGES[page]):
        try:
            checked(words)
        except Exception as error:
            pytest.fail(f"{' '.join(words)}: {error}")


def test_a_wrong_command_is_noticed():
    for words in (
        ["acssm", "reproduce", "--dataset", "esc51", "--out", "runs"],
        ["acssm", "raport", "RUNS"],
        ["acssm", "reproduce", "--dataset", "folder", "--out", "runs", "--set", "n_shots=3"],
        ["make", "tabels"],
        ["python", "benchmarks/bench.py", "--jsn", "x"],
        ["acsm", "report"],
    ):
        with pytest.raises((Exception, AssertionError)):
            checked(words)
    assert commands("`make demo` and `make_demo`\n```\nacssm report a \\\n    --out b  # why\n```\n") == [
        ["acssm", "report", "a", "--out", "b"],
        ["make", "demo"],
    ]


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_are_there(page):
    for path in re.findall(
        r"`((?:acssm_lib|docs|figures|tests|tools|benchmarks|notebooks|\.ci|\.github)/[^`\s*<>]*)`", PAGES[page]
    ):
        assert (ROOT / path.split("::")[0]).exists(), path


@pytest.mark.parametrize("room", sorted(path.parent for path in (ROOT / "acssm_lib").glob("*/**/__init__.py")))
def test_a_room_names_all_its_files_and_holds_no_code(room):
    tree = ast.parse((room / "__init__.py").read_text(encoding="utf-8"))
    files = {path.stem for path in room.glob("*.py")} | {path.parent.name for path in room.glob("*/__init__.py")}
    words = ast.get_docstring(tree).partition("reading order")[2]
    assert set(re.findall(r"``(\w+)``", words)) == files - {"__init__"} and len(tree.body) == 1


def test_the_readme_is_one_screen_and_lists_the_course():
    readme = PAGES["README.md"]
    assert len(readme.split()) <= 720
    pages = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
    for text in (readme, PAGES["docs/course.md"]):
        assert re.findall(r"(?m)^\| \[(\w+)\]", text) == pages
    assert set(re.findall(r"\]\((docs/\w+\.md)\)", readme)) == {page for page in PAGES if page.startswith("docs/")}
