"""First labels that somebody has: an example in words, a Raven table, an Audacity track."""

import numpy as np
import pytest
import soundfile
from made_index import made_folder

from acssm_lib.files import DataError
from acssm_lib.recordings import marks
from acssm_lib.recordings.labels import Labels

RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tSpecies\n"
    "1\tWaveform 1\t1\t2.5\t4\t300\t900\tfrog\n1\tSpectrogram 1\t1\t2.5\t4\t300\t900\tfrog\n"
    "2\tSpectrogram 1\t1\t7\t8\t300\t900\tcar\n"
)
AUDACITY = "2.500000\t4.000000\tfrog\n\\\t300.0\t900.0\n7.0\t8.0\towl\n"


@pytest.fixture
def survey(tmp_path):
    made = made_folder(tmp_path / "survey")
    (made.recordings / "a").mkdir()
    soundfile.write(made.recordings / "a/20240514_213000.WAV", np.zeros(2_000 * 10), 2_000)
    return made


def rows(survey):
    return [
        (row.file, row.start_s, row.end_s, row.low_hz, row.label, row.answer, row.asked_because)
        for row in Labels(survey.labels_csv).rows()
    ]


def test_an_example_in_words(survey):
    marks.add_example(survey, "frog=a/20240514_213000.WAV@2.5-4", "Ada")
    assert rows(survey) == [("a/20240514_213000.WAV", 2.5, 4.0, None, "frog", "yes", "example")]


@pytest.mark.parametrize(
    "text, why",
    [
        ("frog a.wav", "expected CLASS=FILE@START-END"),
        ("bat=a/20240514_213000.WAV@1-2", "'bat' is no class"),
        ("frog=b.wav@1-2", "no such recording"),
        ("frog=a/20240514_213000.WAV@9-12", "the recording ends at 10.0 s"),
        ("frog=a/20240514_213000.WAV@4-2", "ends before it begins"),
    ],
)
def test_a_wrong_example_is_named_and_nothing_is_written(survey, text, why):
    with pytest.raises(DataError, match=why):
        marks.add_example(survey, text)
    assert not survey.labels_csv.exists()


@pytest.mark.parametrize(
    "name, text, found",
    [
        ("20240514_213000.Table.1.selections.txt", RAVEN, [("frog", 2.5)]),
        ("20240514_213000.txt", AUDACITY, [("frog", 2.5), ("owl", 7.0)]),
    ],
)
def test_tables_of_raven_and_audacity(survey, tmp_path, name, text, found):
    (tmp_path / name).write_text(text)
    taken, others = marks.add_table(survey, tmp_path / name, "Ada")
    assert taken == len(found) and others == ({"car": 1} if "car" in text else {})
    assert [(row[4], row[1]) for row in rows(survey)] == found and rows(survey)[0][3] == 300


def test_an_accent_may_be_one_letter_or_two(survey, tmp_path):
    survey.change(classes=("fr\u006f\u0308hlich", "owl"))
    assert survey.settings.classes == ("fr\u00f6hlich", "owl")
    (tmp_path / "20240514_213000.txt").write_text("1.0\t2.0\tfro\u0308hlich\n3.0\t4.0\tfr\u00f6hlich\n", "utf-8")
    assert marks.add_table(survey, tmp_path / "20240514_213000.txt") == (2, {})
    marks.add_example(survey, "fro\u0308hlich=a/20240514_213000.WAV@5-6")
    assert {row[4] for row in rows(survey)} == {"fr\u00f6hlich"} and len(rows(survey)) == 3


def test_a_raven_table_of_several_recordings_says_where_each_mark_is(survey, tmp_path):
    soundfile.write(survey.recordings / "a/20240515_213000.WAV", np.zeros(2_000 * 10), 2_000)
    head = "Selection\tBegin Time (s)\tEnd Time (s)\tBegin File\tFile Offset (s)\tSpecies\n"
    (tmp_path / "week.Table.1.selections.txt").write_text(
        head + "1\t2.5\t4\t20240514_213000.WAV\t2.5\tfrog\n2\t13\t14.5\t20240515_213000.WAV\t3\towl\n"
    )
    assert marks.add_table(survey, tmp_path / "week.Table.1.selections.txt")[0] == 2
    assert [(row[0], row[1], row[2], row[4]) for row in rows(survey)] == [
        ("a/20240514_213000.WAV", 2.5, 4.0, "frog"),
        ("a/20240515_213000.WAV", 3.0, 4.5, "owl"),
    ]
    (tmp_path / "other.txt").write_text(head + "1\t1\t2\t20240514_213000.WAV\t1\tfrog\n2\t3\t4\tlost.WAV\t0\tfrog\n")
    with pytest.raises(DataError, match="0 recordings are called lost.WAV"):
        marks.add_table(survey, tmp_path / "other.txt")
    assert len(rows(survey)) == 2


def test_a_table_under_another_name_belongs_to_the_recording_that_it_names(survey, tmp_path):
    (tmp_path / "mine.txt").write_text(
        "Begin Time (s)\tEnd Time (s)\tBegin File\tSpecies\n2.5\t4\t20240514_213000.WAV\tfrog\n"
    )
    assert marks.add_table(survey, tmp_path / "mine.txt")[0] == 1
    (tmp_path / "20240514_213000.txt").write_text(
        "Begin Time (s)\tEnd Time (s)\tBegin File\tSpecies\n6\t7\tbefore it was renamed.wav\tfrog\n"
    )
    assert marks.add_table(survey, tmp_path / "20240514_213000.txt")[0] == 1
    assert [row[:2] for row in rows(survey)] == [("a/20240514_213000.WAV", 2.5), ("a/20240514_213000.WAV", 6.0)]


def test_a_table_of_no_recording_or_no_class_is_refused(survey, tmp_path):
    (tmp_path / "other.txt").write_text(AUDACITY)
    with pytest.raises(DataError, match="0 recordings are called other"):
        marks.add_table(survey, tmp_path / "other.txt")
    (tmp_path / "20240514_213000.txt").write_text("1\t2\tcar\n")
    with pytest.raises(DataError, match="no mark is called frog or owl or toad"):
        marks.add_table(survey, tmp_path / "20240514_213000.txt")
    (tmp_path / "20240514_213000.txt").write_text("not a table\n")
    with pytest.raises(DataError, match="no Raven selection table"):
        marks.add_table(survey, tmp_path / "20240514_213000.txt")
