"""Marks, labels and their undoing; tables that take no other's name."""

import os

import pytest

from acssm_lib.course.clip_marks import Marks, write_new


def test_marks_and_labels_are_undone_step_by_step():
    marks = Marks(5)
    marks.mark([3, 1, 3])
    assert marks.marked == [1, 3]
    marks.label(" frog ")
    marks.mark([3, 4])
    marks.label("toad")
    assert marks.labels == [None, "frog", None, "toad", "toad"]
    marks.label("  ")
    assert marks.labels == [None, "frog", None, None, None]
    states = []
    while marks.undo():
        states.append((marks.marked, marks.labels))
    assert states == [
        ([3, 4], [None, "frog", None, "toad", "toad"]),
        ([3, 4], [None, "frog", None, "frog", None]),
        ([1, 3], [None, "frog", None, "frog", None]),
        ([1, 3], [None] * 5),
        ([], [None] * 5),
    ]


def test_the_same_marks_again_are_no_step():
    marks = Marks(5)
    marks.mark([2])
    marks.mark([2])
    assert marks.undo() and not marks.undo()


def test_a_label_needs_a_mark_and_a_mark_a_clip():
    marks = Marks(5)
    with pytest.raises(ValueError, match="no clip is marked"):
        marks.label("frog")
    for wrong in ([5], [-1, 2]):
        with pytest.raises(ValueError, match="there are 0 to 4"):
            marks.mark(wrong)
    assert not marks.undo()


def test_a_table_takes_a_new_name(tmp_path):
    paths = [write_new(tmp_path / "a" / "b", "labels", {"name": ["x, y", "ä"], "n": [1, None]}) for _ in range(3)]
    assert [path.name for path in paths] == ["labels.csv", "labels-2.csv", "labels-3.csv"]
    assert paths[0].is_absolute() and paths[0].read_text(encoding="utf-8") == 'name,n\n"x, y",1\nä,\n'
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == sorted(path.name for path in paths)


def test_a_table_that_cannot_be_written_leaves_no_name_behind(tmp_path, monkeypatch):
    def full(source, target):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        write_new(tmp_path, "labels", {"name": ["x"]})
    assert not list(tmp_path.iterdir())
