"""What is on a card: the demo's faults are all named, nothing is changed, and only a card without sound is an error."""

import csv
import hashlib
import os
import shutil

import numpy as np
import pytest
import soundfile
from made_folders import FIELD_FAULTS, field_fault

from acssm_lib.cli.main import main
from acssm_lib.files import DataError
from acssm_lib.recordings.demo_card import write_demo_card
from acssm_lib.recordings.folder import Survey, SurveySettings
from acssm_lib.recordings.indexing import index_survey
from acssm_lib.recordings.look import as_text, look


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return write_demo_card(tmp_path_factory.mktemp("demo") / "survey", seed=3, duration_s=6.0)


def digest(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def test_the_demo_card_is_looked_at(demo, capsys):
    before = digest(demo.recordings)
    assert main(["survey", "look", str(demo.folder)]) == 0
    said = capsys.readouterr().out
    lines = [line for line in said.splitlines() if not line.startswith("  ")]  # a slow machine says how far it is
    assert lines[0].startswith("error") and "truncated" in lines[0]  # the worst first
    assert sum("its clock says 1970-01-01" in line for line in lines) == 4
    assert "its channels are opposed" in said and "at 384 kHz mono" in said and "2024-05-14" in said
    assert "Can be used: 25 recordings" in said and "Cannot: 1 file." in said
    assert (demo.folder / "look.png").stat().st_size > 5_000 and digest(demo.recordings) == before


def test_a_copy_is_named(tmp_path):
    sound = 0.1 * np.random.default_rng(0).standard_normal((2, 8_000))
    for name, samples in (("a/20240514_200000.wav", sound[0]), ("b/20240514_200000.wav", sound[1])):
        (tmp_path / name).parent.mkdir()
        soundfile.write(tmp_path / name, samples, 8_000)
    shutil.copy(tmp_path / "a/20240514_200000.wav", tmp_path / "b/copy.wav")
    said = as_text(look(tmp_path, SurveySettings(sample_rate=8_000), tell=lambda line: None))
    assert [line for line in said.splitlines() if "the same bytes" in line] == [
        "warning  b/copy.wav: holds the same bytes as a/20240514_200000.wav; index takes one of them, the hours above "
        "count both"
    ]


def test_the_truth_names_files_that_are_there(demo):
    with open(demo.folder / "truth.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["class"] for row in rows} <= set(demo.settings.classes) and len(rows) > 5
    assert all((demo.recordings / row["file"]).is_file() and float(row["end_s"]) <= 6.0 for row in rows)


def test_the_same_seed_is_the_same_card(demo, tmp_path):
    again = write_demo_card(tmp_path / "survey", seed=3, duration_s=6.0)
    assert digest(again.recordings) == digest(demo.recordings)
    with pytest.raises(DataError, match="is there already"):
        write_demo_card(tmp_path / "survey")


def test_a_card_without_sound_is_an_error(tmp_path, capsys):
    (tmp_path / "a.wav").write_bytes(b"")
    assert main(["survey", "look", str(tmp_path)]) == 1
    assert "a.wav: empty" in capsys.readouterr().out
    assert main(["survey", "look", str(tmp_path / "gone")]) == 1


@pytest.mark.skipif(os.environ.get("ACSSM_SLOW") != "1", reason="a minute; ACSSM_SLOW=1 runs it")
@pytest.mark.parametrize("name", [name for name in FIELD_FAULTS if name != "absent"])
def test_no_fault_of_the_field_stops_a_look_or_an_index(tmp_path, name):
    fault = field_fault(name, tmp_path)
    found = look(fault["root"], SurveySettings(), tell=lambda line: None)
    assert found.files or any(problem.severity == "error" for problem in found.problems) or as_text(found)
    if found.files:
        survey = Survey.create(tmp_path / "survey", fault["root"])
        index = index_survey(survey, "mel-stats", tell=lambda line: None)
        copies = sum("holds the same bytes" in problem.message for problem in found.problems)
        assert len(index.files) == len(found.files) - copies
