"""A survey's folder and its settings."""

import pytest

from acssm_lib.files import DataError
from acssm_lib.recordings.folder import Survey, SurveySettings


def test_settings_are_written_and_read(tmp_path):
    (tmp_path / "card").mkdir()
    settings = {"window_s": 2.0, "classes": ('frog "a"', "é"), "time_zone": "+10:00", "high_hz": 4_000}
    made = Survey.create(tmp_path / "survey", tmp_path / "card", **settings)
    read = Survey.open(made.folder)
    assert read.settings == SurveySettings(**settings) and read.recordings == (tmp_path / "card").resolve()
    with pytest.raises(DataError, match="there is a survey already"):
        Survey.create(made.folder, tmp_path / "card")


def test_a_folder_with_recordings_is_a_survey(tmp_path):
    with pytest.raises(DataError, match="no survey; expected survey.toml"):
        Survey.open(tmp_path)
    (tmp_path / "recordings").mkdir()
    assert Survey.open(tmp_path).settings == SurveySettings() and (tmp_path / "survey.toml").exists()


@pytest.mark.parametrize(
    "line, words",
    [
        ("windows_s = 3", "unknown setting windows_s .did you mean window_s"),
        ("window_s = 'x'", "expected a number"),
        ("step_s = 9", "step_s=9"),
        ("step_s = 1e-9", "step_s=1e-09: from 0.01 s"),  # a thousand million windows a second
        ("high_hz = 30000", "half the sample rate"),
        ("time_zone = 'Mars'", "time_zone='Mars'"),
        ("classes = [1]", "expected names in quotes"),
        ("window_s = ", "cannot be read"),
        ("sample_rate = 1.5", "whole"),
        ("classes = ['a', 'a']", "every name once"),
        ("recordings = 'gone'", "is the disk mounted"),
    ],
)
def test_what_cannot_be_is_said_with_the_file(tmp_path, line, words):
    (tmp_path / "recordings").mkdir()
    (tmp_path / "survey.toml").write_text(line)
    with pytest.raises(DataError, match=f"survey.toml: .*{words}"):
        Survey.open(tmp_path)
