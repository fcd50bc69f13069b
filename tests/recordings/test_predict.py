"""From heads to detections, tables that others read, and one file to share."""

import csv
import json
from datetime import datetime

import numpy as np
import pytest
import soundfile
import torch

from acssm_lib.cli.main import main
from acssm_lib.files import DataError
from acssm_lib.recordings import share
from acssm_lib.recordings.exports import write_tables
from acssm_lib.recordings.folder import Survey
from acssm_lib.recordings.heads import Heads
from acssm_lib.recordings.indexing import index_survey
from acssm_lib.recordings.predict import Detection, detect, predict_folder, predict_survey

RATE, CALLS_S = 8_000, (1.0, 4.0, 4.3)  # bursts of a tone, 0.4 s each: one call, and a bout of two


def night(path, calls=CALLS_S, sample_rate=RATE, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    seconds = np.arange(6 * sample_rate) / sample_rate
    sound = 0.02 * np.random.default_rng(seed).standard_normal(len(seconds))
    for start in calls:
        sound += 0.3 * np.sin(2 * np.pi * 1_500 * seconds) * ((seconds >= start) & (seconds < start + 0.4))
    soundfile.write(path, sound, sample_rate)


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """An indexed survey with a recogniser: a head for the tone, and one that was never trained."""
    folder = tmp_path_factory.mktemp("survey")
    night(folder / "recordings/pond/20240514_235958.wav")
    night(folder / "recordings/pond/REC-1.wav", (), seed=1)
    made = Survey.create(
        folder, window_s=0.5, step_s=0.25, sample_rate=RATE, classes=("tone", "rare"), time_zone="+10:00"
    )
    index = index_survey(made, "mel-stats", tell=lambda line: None)
    tone = [
        any(start < call + 0.35 and start + 0.5 > call + 0.05 for call in CALLS_S) and file == 0
        for start, file in zip(index.start_s, index.file_of)
    ]
    values = np.array(index.embeddings)
    mean, scale = values.mean(0), values.std(0) + 1e-6
    weight = np.zeros((2, values.shape[1]), np.float32)
    weight[0] = ((values - mean) / scale)[tone].mean(0) - ((values - mean) / scale)[~np.array(tone)].mean(0)
    logits = (values - mean) / scale @ weight[0]
    middle = (logits[tone].min() + logits[~np.array(tone)].max()) / 2
    assert logits[tone].min() > logits[~np.array(tone)].max()
    heads = Heads(
        ["tone", "rare"],
        weight,
        np.array([-middle, 0], np.float32),
        mean,
        scale,
        {"tone": 0.5, "rare": 0.5},
        {"tone": {"band": [1_200, 9_000], "yes": np.float64(5)}, "rare": {}},
    )
    share.write_recogniser(made.recogniser, heads, made)
    return made


def test_calls_are_found_once_with_time_and_box(survey):
    said = []
    found = predict_survey(survey, ("raven", "csv"), tell=said.append)
    assert [(one.name, one.start_s, one.end_s) for one in found] == [("tone", 0.75, 1.75), ("tone", 3.75, 5.0)]
    with open(survey.detections_csv, encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["file"] == "pond/20240514_235958.wav" and rows[0]["night"] == "2024-05-14"
    assert (rows[0]["low_hz"], rows[0]["high_hz"]) == ("1200.0", "4000.0")  # not above half the file's rate
    assert rows[0]["recorded_at"] == "2024-05-14T23:59:58+10:00" and rows[0]["clock"] == "name"
    assert rows[1]["absolute_start"] == "2024-05-15T00:00:01.750+10:00"  # past midnight, still the same night
    assert any("rare: no head" in line for line in said)
    table = (survey.tables_folder / "raven/pond/20240514_235958.Table.1.selections.txt").read_text().splitlines()
    assert len(table) == 3 and table[2].startswith("2\tSpectrogram 1\t1\t3.750000\t5.000000\t1200.0\t4000.0\t")
    assert len((survey.tables_folder / "raven/pond/REC-1.Table.1.selections.txt").read_text().splitlines()) == 1


def test_a_shared_file_needs_nothing_else_and_refuses_what_it_cannot_hear(survey, tmp_path, capsys):
    new = tmp_path / "new"
    night(new / "20240601_200000.wav", (2.0,))
    night(new / "low.wav", (2.0,), sample_rate=4_000)
    file, out = tmp_path / "frogs.acssm", tmp_path / "out"
    assert main(["survey", "share", str(survey.folder), "--to", str(file)]) == 0
    assert isinstance(torch.load(file, weights_only=True), dict)
    assert main(["predict", "--model", str(file), str(new), "--out", str(out), "--format", "audacity"]) == 0
    assert "trained on sound up to 4 kHz" in capsys.readouterr().out
    with open(out / "detections.csv", encoding="utf-8") as rows:
        (row,) = csv.DictReader(rows)
    assert row["file"] == "20240601_200000.wav" and float(row["start_s"]) <= 2.0 <= float(row["end_s"])
    assert row["absolute_start"].startswith("2024-06-01T20:00:01")
    other = Survey.create(tmp_path / "other", new, window_s=1.0, step_s=0.5, sample_rate=RATE)
    with pytest.raises(DataError, match="windows of 0.5 s, and not 1.0"):
        predict_folder(file, other.folder, tmp_path / "b")
    with pytest.raises(DataError, match="no recogniser, or damaged"):
        file.write_bytes(file.read_bytes()[:-40])
        share.read_recogniser(file)
    with pytest.raises(DataError, match="no recogniser there"):
        share.read_recogniser(tmp_path / "gone.acssm")


def test_results_of_two_folders_never_mix(survey, tmp_path, monkeypatch, capsys):
    """Both are called "card", as two cards are."""
    night(tmp_path / "one/card/20240601_200000.wav", (2.0,))
    night(tmp_path / "two/card/20240602_200000.wav", (2.0,))
    monkeypatch.chdir(tmp_path)
    command = ["predict", "--model", str(survey.recogniser)]
    assert main([*command, "one/card", "two/card"]) == 2
    assert "the results of several would be in detections-card; one at a time, with --out" in capsys.readouterr().err
    assert main([*command, "one/card"]) == 0
    before = (tmp_path / "detections-card/detections.csv").read_bytes()
    assert main([*command, "two/card"]) == 1
    assert (
        "detections-card: holds results of 20240601_200000.wav, not in two/card; choose another --out"
        in capsys.readouterr().err
    )
    assert (tmp_path / "detections-card/detections.csv").read_bytes() == before
    assert main([*command, "two/card", "--out", "second"]) == 0


def test_tables_of_a_former_threshold_do_not_stay(survey):
    predict_survey(survey, ("audacity", "kaleidoscope"), tell=lambda line: None)
    made = share.read_recogniser(survey.recogniser)
    made.heads.thresholds["tone"] = 1.1
    from acssm_lib.recordings.index import Index

    index = Index.open(survey)
    assert detect(index, made.heads, survey.settings) == []
    write_tables(survey.tables_folder, index, [], ("audacity", "kaleidoscope"))
    assert (survey.tables_folder / "audacity/pond/20240514_235958.labels.txt").read_text() == ""
    assert len((survey.tables_folder / "kaleidoscope/kaleidoscope.csv").read_text().splitlines()) == 1


def test_others_read_what_is_written(survey):
    crowsetta = pytest.importorskip("crowsetta")
    found = predict_survey(survey, ("raven", "audacity", "csv"), tell=lambda line: None)
    stem = "pond/20240514_235958"
    boxes = {
        "raven": crowsetta.formats.bbox.Raven.from_file(
            survey.tables_folder / f"raven/{stem}.Table.1.selections.txt"
        ).to_bbox(),
        "audacity": crowsetta.formats.bbox.AudBBox.from_file(
            survey.tables_folder / f"audacity/{stem}.labels.txt"
        ).to_bbox(),
    }
    for name, read in boxes.items():
        assert len(read) == len(found) == 2
        for box, one in zip(read, found):
            assert (box.onset, box.offset) == (one.start_s, one.end_s), name
            assert (box.low_freq, box.high_freq) == (one.low_hz, one.high_hz) and box.label.startswith("tone")
    plain = crowsetta.formats.seq.SimpleSeq.from_file(
        survey.tables_folder / f"csv/{stem}.csv",
        columns_map={"start_s": "onset_s", "end_s": "offset_s", "class": "label"},
    )
    assert plain.onsets_s.tolist() == [one.start_s for one in found] and set(plain.labels) == {"tone"}


def test_names_from_outside_break_no_table(survey):
    from acssm_lib.recordings.index import Index

    index = Index.open(survey)
    odd = Detection(index.files[0], 1.0, 2.0, 0.0, 4_000.0, "=cmd\tx\ny", 0.5)
    write_tables(survey.tables_folder, index, [odd], ("raven", "kaleidoscope", "csv"))
    (line,) = (survey.tables_folder / "raven/pond/20240514_235958.Table.1.selections.txt").read_text().splitlines()[1:]
    assert line.count("\t") == 10
    with open(survey.tables_folder / "kaleidoscope/kaleidoscope.csv", newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert row["TOP1MATCH"].startswith("'=") and row["FOLDER"] == "pond" and row["OFFSET"] == "1.000"
    assert datetime.fromisoformat(f"{row['DATE']}T{row['TIME']}") == datetime(2024, 5, 14, 23, 59, 59)


def test_evidence_is_plain(survey):
    assert json.dumps(share.read_recogniser(survey.recogniser).heads.evidence["tone"]["yes"]) == "5.0"
