"""The page of the demo: sentences by their intervals, one table, and names that stay text."""

import re

import numpy as np
import pytest

from acssm_lib.report import tables
from acssm_lib.report.page import READOUTS, accuracies, png, verdicts, write_page

METHODS = ("mel-stats", "lag-covariance", "supervised", "adapted-cnn", "acoustic-ssm1")
CLEAR = {"mel-stats": 0.2, "lag-covariance": 0.4, "supervised": 0.3, "adapted-cnn": 0.2, "acoustic-ssm1": 0.8}


@pytest.fixture
def records(synthetic_records):
    return lambda **means: synthetic_records(("phrases",), METHODS, means=CLEAR | means, n_episodes=4)


def test_three_sentences_each_shown_by_all_of_its_intervals(records):
    sentences = verdicts(tables.paired_differences(records()))
    assert [shown for _, shown in sentences] == [True, True, True]
    text = sentences[0][0]
    assert text.startswith("Pre-training on clips without labels helps: shown (+")
    assert text.count("points over supervised") == 2 and "fine-tuned" in text and "frozen" in text
    assert sentences[2][0].count("points over") == 4


def test_what_an_interval_does_not_exclude_is_not_shown(records):
    sentences = verdicts(tables.paired_differences(records(**{"adapted-cnn": 0.8})))
    assert [shown for _, shown in sentences] == [True, False, True]
    assert "The state-space layers help: not shown (" in sentences[1][0]


def test_what_was_not_measured_is_not_shown(records):
    runs = [run for run in records() if run["method"] != "supervised"]
    (text, shown), *others = verdicts(tables.paired_differences(runs))
    assert not shown and text.count("not measured over supervised") == 2 and all(shown for _, shown in others)


def test_statistics_are_never_fine_tuned(records):
    rows = accuracies({readout: tables.comparison_table(records(), readout) for readout in READOUTS})
    assert [row[0] for row in rows if ", " not in row[0]] == list(METHODS)
    assert rows[0][1] == "–" and re.fullmatch(r"[\d.]+ ± [\d.]+", rows[0][2])
    assert all(re.fullmatch(r"[\d.]+ ± [\d.]+", cell) for row in rows[-2:] for cell in row[1:])


def test_names_stay_text_and_nothing_is_asked_from_outside(tmp_path):
    from matplotlib.figure import Figure

    evil, picture = '<script>alert("x")</script>\x1b', png(Figure(figsize=(1, 1)))
    path = write_page(
        tmp_path / "page.html",
        evil,
        [evil],
        [(evil, False)],
        [(evil, evil, evil)],
        [(evil, np.zeros(20_000), 20_000, picture)],
        [(evil, picture)],
    )
    page = path.read_text(encoding="utf-8")
    assert "<script" not in page and "\x1b" not in page and page.count("&lt;script&gt;") >= 8
    assert not re.search(r"""(src|href)=["'](?!data:)""", page) and page.count("data:audio/mpeg") == 1
