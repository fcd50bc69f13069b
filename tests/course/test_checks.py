"""Checks of a notebook: stable sentences, errors for the course, words for the reader."""

import numpy as np
import pytest
import torch

from acssm_lib.course import checks


def test_between_prints_a_stable_sentence_or_raises_with_the_value(capsys):
    checks.between("loss", 0.51234, 0.4, 0.9)
    assert capsys.readouterr().out == "ok  loss within 0.4 to 0.9\n"
    with pytest.raises(AssertionError, match="loss is 1.2, expected 0.4 to 0.9"):
        checks.between("loss", 1.2, 0.4, 0.9)
    with pytest.raises(AssertionError):
        checks.between("loss", float("nan"), 0.4, 0.9)


def test_close_compares_elements_and_shapes(capsys):
    one = torch.tensor([1.0, 2.0])
    checks.close("loop and matrix", one, one + 1e-7, 1e-6)
    assert capsys.readouterr().out == "ok  loop and matrix agree to 1e-06\n"
    checks.close("lists", [1 / 3, 2 / 3], np.array([1, 2]) / 3, 1e-12)
    assert capsys.readouterr().out == "ok  lists agree to 1e-12\n"
    with pytest.raises(AssertionError, match="loop and matrix differ by 0.1, expected 1e-06"):
        checks.close("loop and matrix", one, one + 0.1, 1e-6)
    with pytest.raises(AssertionError, match="shapes"):
        checks.close("loop and matrix", one, one[:1], 1e-6)
    with pytest.raises(AssertionError):
        checks.close("loop and matrix", one, one * float("nan"), 1e-6)


@pytest.mark.parametrize(
    "function, said",
    [
        (lambda x: None, "not attempted yet"),
        (lambda x: 2 * x, "correct"),
        (lambda x: 2 * x + 1, "not yet: <lambda>(3): I expected 6, got 7\nhint: double it"),
        (lambda x: 1 / 0, "it raised ZeroDivisionError: division by zero"),
        (lambda x: torch.ones(2), "I expected shape (), got (2,)"),
        (lambda x: "six", "it raised"),
    ],
)
def test_an_attempt_is_answered_in_words(capsys, function, said):
    checks.attempt(function, ((3,), 6), ((-1,), -2), hint="double it")
    assert said in capsys.readouterr().out


def test_an_attempt_compares_tensors_texts_and_truth(capsys):
    checks.attempt(lambda: torch.eye(2), ((), [[1.0, 0.0], [0.0, 1.0]]))
    checks.attempt(lambda: "G1", ((), "G1"))
    checks.attempt(lambda: False, ((), True), hint="look again")
    checks.attempt(lambda: torch.tensor([1.0, 2.5]), ((), [1.0, 2.0]))
    assert capsys.readouterr().out.splitlines() == [
        "correct",
        "correct",
        "not yet: <lambda>(): I expected True, got False",
        "hint: look again",
        "not yet: <lambda>(): the largest difference from what I expected is 0.5",
    ]


def test_environment_ends_in_a_verdict(capsys, monkeypatch):
    assert checks.environment()
    assert capsys.readouterr().out.endswith("verdict: ready\n")

    def missing(package):
        raise checks.importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(checks.importlib.metadata, "version", missing)
    assert not checks.environment()
    assert "verdict: not ready" in capsys.readouterr().out


def test_no_line_of_a_shown_source_goes_on_at_the_margin(monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython.display, "display", shown.append)
    checks.show_source(checks.between)
    page = shown[0]._repr_html_()
    style = page.partition("<pre")[2].partition(">")[0]
    assert "white-space: pre;" in style and "overflow-x: auto" in style
    assert "def" in page and repr(shown[0]).startswith("def between(name, value, low, high):")


def test_a_page_goes_on_or_ends_with_a_sentence_and_no_trace():
    checks.go_on_if(True, "no labels")
    with pytest.raises(checks.Stop, match="no labels") as stopped:
        checks.go_on_if(0, "no labels")
    assert stopped.value._render_traceback_() == ["no labels"]
