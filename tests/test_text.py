"""Names from outside on their way to files, pages, figures and terminals."""

import re
import unicodedata
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from acssm_lib.text import in_figure, in_html, in_markdown, safe_name, visible

ORDINARY = ["G1", "synthetic-frogs", "Rana temporaria", "grenouille tachetée", "蛙", "می‌خواهم", "n_layers=4"]
HOSTILE = [
    "../../../evil",
    "/etc/passwd",
    "C:\\evil",
    "..",
    ".",
    "",
    "-rf",
    "nul",
    "COM1.txt",
    "a\0b",
    "a\nb",
    "a\rb",
    "\x1b]0;owned\x07",
    "\x9b2J",
    "\u202egnp.exe",
    "\u2028line",
    "\ud800",
    "gr\udce9n",
    "a|b",
    "`x`",
    "*b*",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "[x](javascript:alert(1))",
    "$\\frac{$",
    "$x$ $",
    "# head",
    "- item",
    "1. item",
    "=====",
    "x" * 5000,
    "é" * 5000,
]


@pytest.mark.parametrize("name", ORDINARY)
def test_ordinary_names_are_shown_as_they_are(name):
    assert visible(name) == name == in_html(name)
    assert in_markdown(name) == name == in_figure(name)


@pytest.mark.parametrize("name", HOSTILE + ORDINARY)
def test_a_safe_name_stays_in_its_folder_and_fits_any_system(tmp_path, name):
    safe = safe_name(name)
    assert re.fullmatch(r"[\w=][\w.=-]*", safe) and not safe.endswith(".")
    assert len(safe.encode()) <= 120
    assert safe.split(".")[0].lower() not in ("con", "nul", "com1")
    path = tmp_path / safe
    path.write_text("here")
    assert [entry.name for entry in tmp_path.iterdir()] == [safe] and path.resolve().parent == tmp_path.resolve()


def test_safe_names_keep_names_apart_and_ordinary_ones_as_they_are():
    assert safe_name("esc50_paper_transductive") == "esc50_paper_transductive"
    names = ["a/b", "a\\b", "a b", "a_b", "a:b", *("x" * 200 + end for end in "12")]
    assert len({safe_name(name) for name in names}) == len(names)
    nfd = unicodedata.normalize("NFD", "tachetée")
    assert nfd != "tachetée" and safe_name(nfd) == safe_name("tachetée") == "tachetée"


@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_that_acts_is_left_in_what_is_shown(name):
    for shown in (visible(name), in_html(name), in_markdown(name), in_figure(name)):
        assert not [letter for letter in shown if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
        shown.encode()  # can be written as UTF-8
    assert "<" not in in_html(name) and '"' not in in_html(name)
    assert "<" not in in_markdown(name) and not re.search(r"(?<!\\)[|`*\[\]#$]", in_markdown(name))


def test_what_was_hidden_is_written_out():
    assert visible("a\x1b[31m\n\u202e") == r"a\x1b[31m\n\u202e"
    assert visible("gr\udce9n") == r"gr\xe9n"
    assert in_markdown("- a | <b> _c_ x_y") == r"\- a \| &lt;b&gt; \_c\_ x_y"
    assert in_markdown("1. a") == r"1\. a"


@pytest.mark.parametrize("name", [name for name in HOSTILE if len(name) < 100])
def test_matplotlib_draws_every_name_as_it_is(tmp_path, name):
    fig = Figure(figsize=(1, 1))
    text = fig.text(0, 0, in_figure(name))
    fig.savefig(tmp_path / "figure.png", dpi=20)
    assert text._preprocess_math(text.get_text()) == (visible(name), False)
    assert in_figure(in_figure(name)) == in_figure(name)


def test_a_path_is_a_name_too():
    assert visible(Path("a\nb")) == r"a\nb"
