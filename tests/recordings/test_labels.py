"""labels.csv: what was answered is on the disk, comes back whole, and is never overwritten."""

import numpy as np
import pytest

from acssm_lib.files import DataError
from acssm_lib.recordings.labels import COLUMNS, NO, OPEN, UNSURE, YES, Labels, Places, targets

WINDOW = ("A/20240514_040000.WAV", 1.5, 4.5)


def stored(labels):
    """What another process would read now."""
    return [(row.window, row.label, row.answer) for row in Labels(labels.path).rows()]


@pytest.fixture
def labels(tmp_path):
    return Labels(tmp_path / "labels.csv")


def test_an_answer_is_in_the_file_at_once_with_all_its_columns(labels):
    labels.add(WINDOW, {"frog": "yes", "owl": "no"}, "Ada", "margin", {"frog": 0.5123456789}, (300, 4000.0))
    lines = labels.path.read_text().splitlines()
    assert lines[0] == ",".join(COLUMNS) == ("file,start_s,end_s,low_hz,high_hz,class,answer,by,at,asked_because,score")
    assert lines[1].startswith("A/20240514_040000.WAV,1.500,4.500,300,4000,frog,yes,Ada,")
    assert lines[1].endswith(",margin,0.512346") and lines[2].endswith(",margin,")
    assert stored(labels) == [(WINDOW, "frog", "yes"), (WINDOW, "owl", "no")]


def test_several_classes_none_of_these_and_unsure(labels):
    labels.add(WINDOW, {"frog": "yes", "owl": "yes"}, "Ada", "spread")
    other = (WINDOW[0], 3.0, 6.0)
    labels.add(other, {"frog": "no", "owl": "no"}, "Ada", "spread")
    labels.add((WINDOW[0], 4.5, 7.5), {"frog": "unsure", "owl": "unsure"}, "Ada", "spread")
    assert len(labels) == 3
    places = Places([WINDOW[0]], np.zeros(6), 1.5 * np.arange(6), 3.0)
    found = targets(Labels(labels.path).rows(), ["owl", "frog", "toad"], places)
    assert found.tolist() == [
        [OPEN] * 3,
        [YES, YES, OPEN],
        [NO, NO, OPEN],
        [UNSURE, UNSURE, OPEN],
        [OPEN] * 3,
        [OPEN] * 3,
    ]


def test_undo_is_one_more_line_and_takes_back_the_listeners_own_last_answer(labels):
    labels.add(WINDOW, {"frog": "yes", "owl": "no"}, "Ada", "random")
    labels.add((WINDOW[0], 3.0, 6.0), {"frog": "no", "owl": "no"}, "Bo", "random")
    before = labels.path.read_bytes()
    assert [row.label for row in labels.undo("Ada")] == ["frog", "owl"] and labels.undo("Ada") == []
    assert labels.path.read_bytes().startswith(before) and labels.path.read_text().count("undo") == 1
    assert stored(labels) == [((WINDOW[0], 3.0, 6.0), "frog", "no"), ((WINDOW[0], 3.0, 6.0), "owl", "no")]


def test_undo_brings_back_the_answer_before_and_the_later_answer_counts(labels):
    labels.add(WINDOW, {"frog": "no"}, "Ada", "random")
    labels.add(WINDOW, {"frog": "yes"}, "Ada", "margin")
    assert stored(labels) == [(WINDOW, "frog", "yes")]
    Labels(labels.path).undo("Ada")
    assert stored(labels) == [(WINDOW, "frog", "no")]


def test_undo_leaves_what_somebody_else_said_of_the_same_window(labels):
    labels.add(WINDOW, {"frog": "no"}, "Ada", "random")
    labels.add(WINDOW, {"frog": "yes"}, "Bo", "random")
    labels.undo("Ada")
    assert [(row.by, row.answer) for row in labels.rows()] == [("Bo", "yes")]
    assert [(row.by, row.answer) for row in Labels(labels.path).rows()] == [("Bo", "yes")]


def test_the_files_of_two_listeners_may_stand_one_behind_the_other(labels, tmp_path):
    labels.add(WINDOW, {"frog": "yes"}, "Ada", "random")
    labels.add(WINDOW, {"frog": "no"}, "Ada", "random")
    labels.undo("Ada")
    second = Labels(tmp_path / "bo.csv")
    second.add((WINDOW[0], 3.0, 6.0), {"frog": "no"}, "Bo", "random")
    labels.path.write_bytes(labels.path.read_bytes() + second.path.read_bytes())
    assert stored(labels) == [(WINDOW, "frog", "yes"), ((WINDOW[0], 3.0, 6.0), "frog", "no")]
    assert Labels(labels.path).damaged == []
    with labels.path.open("a") as file:
        file.write("x.wav,zero,3,,,frog,yes,Ada,,random,\n")
    with pytest.raises(DataError, match="line 7: could not convert string to float: 'zero'"):
        Labels(labels.path)


@pytest.mark.parametrize("cut", range(1, 70))
def test_a_power_cut_in_the_last_line_costs_that_line_alone(labels, cut):
    labels.add(WINDOW, {"frog": "yes"}, "Ada", "random")
    whole = labels.path.read_bytes()
    labels.add((WINDOW[0], 3.0, 6.0), {'an "odd", name': "yes"}, "Ada", "random", {'an "odd", name': 1e-7})
    labels.path.write_bytes(labels.path.read_bytes()[: len(whole) + cut])
    again = Labels(labels.path)
    again.add((WINDOW[0], 4.5, 7.5), {"frog": "no"}, "Ada", "random")
    rows = [row for row in stored(again) if row[1] == "frog"]
    assert rows == [(WINDOW, "frog", "yes"), ((WINDOW[0], 4.5, 7.5), "frog", "no")]
    assert Labels(labels.path).damaged == [3]


def test_names_of_any_kind_come_back(labels):
    window = ('Süd, "am Bach"/ räka 1.wav', 0.0, 3.0)
    labels.add(window, {"Rana; 'temporaria', 蛙": "yes"}, "Ада", "example")
    assert stored(labels) == [(window, "Rana; 'temporaria', 蛙", "yes")]
    with pytest.raises(DataError, match="rename it"):
        labels.add(("two\nlines.wav", 0, 3), {"frog": "yes"}, "Ada", "random")


@pytest.mark.parametrize(
    "line, why",
    [
        ("a.wav,1,4,,,frog,maybe,Ada,now,random,", "line 2: answer 'maybe', expected yes"),
        ("a.wav,one,4,,,frog,yes,Ada,now,random,", "line 2: could not convert string to float: 'one'"),
        ("a.wav,4,1,,,frog,yes,Ada,now,random,", "line 2: the mark goes from 4 to 1 s"),
    ],
)
def test_what_somebody_wrote_wrongly_is_named(labels, line, why):
    labels.path.write_text(",".join(COLUMNS) + "\n" + line + "\n")
    with pytest.raises(DataError, match=why):
        Labels(labels.path)


def test_a_file_saved_by_a_spreadsheet_with_semicolons_is_refused_and_with_a_byte_order_mark_read(labels):
    labels.add(WINDOW, {"frog": "yes"}, "Ada", "random")
    text = labels.path.read_text()
    labels.path.write_text("\ufeff" + text.replace("\n", "\r\n"), encoding="utf-8", newline="")
    assert stored(labels) == [(WINDOW, "frog", "yes")]
    labels.path.write_text(text.replace(",", ";"))
    with pytest.raises(DataError, match="expected file,start_s"):
        Labels(labels.path)


def test_a_mark_by_hand_speaks_of_the_windows_it_fills(tmp_path):
    labels = Labels(tmp_path / "labels.csv")
    labels.add(("a.wav", 4.0, 4.6), {"frog": "yes"}, "Ada", "example")  # in windows from 1.5 and 3 s
    labels.add(("b.wav", 0.0, 6.0), {"frog": "no"}, "Ada", "example")
    labels.add(("gone.wav", 0.0, 6.0), {"frog": "yes"}, "Ada", "example")
    file_of, start_s = np.repeat([0, 1], 5), np.tile(1.5 * np.arange(5), 2)
    found = targets(labels.rows(), ["frog"], Places(["a.wav", "b.wav"], file_of, start_s, 3.0))[:, 0]
    assert found.tolist() == [OPEN, YES, YES, OPEN, OPEN, NO, NO, NO, OPEN, OPEN]


def test_a_wrong_answer_writes_nothing(labels):
    for answers in ({}, {"frog": "perhaps"}):
        with pytest.raises(ValueError, match="expected yes, no or unsure"):
            labels.add(WINDOW, answers, "Ada", "random")
    assert not labels.path.exists()
