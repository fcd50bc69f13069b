"""The index: bad files are listed, a stop at any byte is gone on from, and the result is the same."""

import shutil

import numpy as np
import pytest
import soundfile

from acssm_lib.files import DamagedFile, DataError
from acssm_lib.presets import preset
from acssm_lib.recordings import embedding, journal
from acssm_lib.recordings.encoders import WindowEncoder
from acssm_lib.recordings.folder import Survey
from acssm_lib.recordings.index import Index
from acssm_lib.recordings.indexing import index_survey


def recording(path, seed=0, sample_rate=8_000, duration_s=1.3):
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = 0.1 * np.random.default_rng(seed).standard_normal(round(sample_rate * duration_s))
    soundfile.write(path, sound, sample_rate, "PCM_16")
    return path


@pytest.fixture
def card(tmp_path):
    for seed, name in enumerate(
        ("creek/20240514_200000.wav", "creek/20240515_050000.flac", "pond/a.wav", "pond/20240514_210000.wav")
    ):
        recording(tmp_path / "recordings" / name, seed)
    (tmp_path / "recordings/pond/cut.wav").write_bytes(recording(tmp_path / "x.wav").read_bytes()[:5_000])
    (tmp_path / "recordings/pond/empty.wav").write_bytes(b"")
    return Survey.create(tmp_path, window_s=0.5, step_s=0.25, sample_rate=8_000)


def files_of(survey):
    return [(survey.index_folder / name).read_bytes() for name in ("journal.jsonl", "embeddings.f32", "skipped.csv")]


def test_every_window_is_embedded_and_every_bad_file_named(card):
    said = []
    index = index_survey(card, "mel-stats", tell=said.append)
    assert [file.name for file in index.files] == [
        "creek/20240514_200000.wav",
        "creek/20240515_050000.flac",
        "pond/20240514_210000.wav",
        "pond/a.wav",
    ]
    assert index.embeddings.shape == (16, 192) and index.start_s[:5].tolist() == [0, 0.25, 0.5, 0.75, 0]
    assert [file.night for file in index.files] == ["2024-05-14"] * 3 + [""] and index.complete
    assert [len(set(index.site_nights[index.file_of == n])) for n in range(4)] == [1] * 4
    assert len(set(index.site_nights)) == 3
    (cut, why), (empty, nothing) = index.skipped
    assert cut == "pond/cut.wav" and "truncated" in why and "empty" in nothing
    assert any("pond/cut.wav" in line for line in said)
    row = index.encoder()(index.waveform(7)[None])[0]  # read alone, from its file
    assert np.allclose(row, index.embeddings[7], atol=0.2)


def test_a_copy_and_a_renamed_recording_are_counted_once_and_named(card):
    creek, said = card.recordings / "creek", []
    shutil.copy(creek / "20240514_200000.wav", card.recordings / "pond/20240520_200000.wav")
    first = index_survey(card, "mel-stats", tell=said.append)
    assert len(first.files) == 4 and dict(first.skipped)["pond/20240520_200000.wav"] == (
        "a copy of creek/20240514_200000.wav, which is indexed"
    )
    (creek / "20240515_050000.flac").rename(creek / "20240515_060000.flac")
    recording(creek / "20240516_050000.wav", seed=9)
    then = index_survey(card, "mel-stats", tell=said.append)
    assert [file.name for file in then.files] == [*(file.name for file in first.files), "creek/20240516_050000.wav"]
    assert dict(then.skipped)["creek/20240515_060000.flac"].startswith(
        "it was indexed as creek/20240515_050000.flac, and counts under that name; give it its name back"
    )
    assert any(line.startswith("warning  creek/20240515_050000.flac: indexed, and not there") for line in said)
    (creek / "20240515_060000.flac").rename(creek / "20240515_050000.flac")
    del said[:]
    assert len(index_survey(card, "mel-stats", tell=said.append).files) == 5 and said == []


def test_a_time_zone_that_is_set_later_holds_for_what_is_indexed_already(card):
    before, said = index_survey(card, "mel-stats", tell=lambda line: None), []
    rows = np.array(before.embeddings)
    card.change(time_zone="+10:00")
    after = index_survey(card, "mel-stats", tell=said.append)
    assert said == ["3 recordings of the index got another time: detections and tables are to be made again"]
    assert [file.recorded_at for file in after.files] == [
        "2024-05-14T20:00:00+10:00",
        "2024-05-15T05:00:00+10:00",
        "2024-05-14T21:00:00+10:00",
        "",
    ]
    assert after.complete and np.array_equal(after.embeddings, rows)
    assert "2024-05-14T20:00:00+10:00" in (card.index_folder / "files.csv").read_text()
    del said[:]
    index_survey(card, "mel-stats", tell=said.append)
    assert said == []


def test_an_index_goes_on_from_any_byte(card):
    index_survey(card, "mel-stats", tell=lambda line: None)
    whole = files_of(card)
    for share in (0.02, 0.3, 0.5, 0.8, 0.999):
        for name, content in zip(("journal.jsonl", "embeddings.f32"), whole):
            (card.index_folder / name).write_bytes(content)
        lines = whole[0][: int(share * len(whole[0]))]
        (card.index_folder / "journal.jsonl").write_bytes(lines)  # its last line may be cut in two
        index_survey(card, tell=lambda line: None)
        assert files_of(card) == whole
    assert index_survey(card, tell=lambda line: None).complete and files_of(card) == whole  # nothing to do


def test_a_mended_file_is_heard_and_new_ones_come_behind(card):
    index_survey(card, "mel-stats", tell=lambda line: None)
    recording(card.recordings / "pond/cut.wav", 9)
    recording(card.recordings / "a/20240601_200000.wav", 10)
    index = index_survey(card, tell=lambda line: None)
    assert [file.name for file in index.files[4:]] == ["a/20240601_200000.wav", "pond/cut.wav"]
    assert [name for name, _ in index.skipped] == ["pond/empty.wav"]


def test_what_no_longer_fits_is_refused_in_words(card):
    index_survey(card, "mel-stats", tell=lambda line: None)
    with pytest.raises(ValueError, match="begun with method mel-stats, and now lag-covariance"):
        index_survey(card, "lag-covariance")
    kept = (card.folder / "survey.toml").read_text()
    (card.folder / "survey.toml").write_text(kept.replace("window_s = 0.5", "window_s = 0.6"))
    with pytest.raises(ValueError, match="windows was .*0.5.* and now is .*0.6"):
        index_survey(Survey.open(card.folder))
    (card.folder / "survey.toml").write_text(kept)
    recording(card.recordings / "pond/a.wav", 11, duration_s=1.4)
    with pytest.raises(DataError, match="pond/a.wav: this recording was indexed, and has changed since"):
        index_survey(card)


def test_damage_in_the_middle_is_named(card):
    index_survey(card, "mel-stats", tell=lambda line: None)
    path = card.index_folder / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"{broken\n" + b"".join(lines[2:]))
    with pytest.raises(DamagedFile, match="line 2 is damaged"):
        Index.open(card)
    path.write_bytes(b"".join(lines))
    (card.index_folder / "embeddings.f32").write_bytes(b"")
    with pytest.raises(DamagedFile, match="0 bytes, and 12288 are spoken of"):
        index_survey(card)


def test_no_exception_of_one_recording_stops_the_others(card, monkeypatch):
    honest = embedding.windows

    def failing(recording, source):
        if recording.path.name == "a.wav":
            raise ZeroDivisionError("odd")
        return honest(recording, source)

    monkeypatch.setattr(embedding, "windows", failing)
    index = index_survey(card, "mel-stats", tell=lambda line: None)
    assert ("pond/a.wav", "ZeroDivisionError: odd") in index.skipped and len(index.files) == 3


def test_a_disk_that_is_taken_out_ends_it(card, monkeypatch):
    def gone(recording, source):
        shutil.move(card.recordings, card.folder / "elsewhere")
        raise OSError("no such device")

    monkeypatch.setattr(embedding, "windows", gone)
    with pytest.raises(DataError, match="the recordings are gone"):
        index_survey(card, "mel-stats", tell=lambda line: None)
    assert not journal.read(card.index_folder)[1]


def test_a_second_process_is_turned_away(card):
    card.index_folder.mkdir()
    with embedding.locked(card.index_folder), pytest.raises(DataError, match="another acssm works on this index"):
        index_survey(card, "mel-stats")


def test_the_encoder_is_trained_on_the_card_itself_and_kept(card):
    tiny = {
        "n_fft": 256,
        "hop_length": 128,
        "n_mels": 8,
        "widths": "4,8",
        "blocks": "1,1",
        "d_state": 4,
        "n_layers": 1,
        "d_projection": 8,
        "pretrain_epochs": 1,
        "n_samples": 3_000,
        "n_members": 1,
    }
    said = []
    index = index_survey(card, overrides=tiny, n_pool=12, tell=said.append)
    assert any("pre-trained on 8 windows of this card" in line for line in said)
    assert index.embeddings.std(0).max() > 0 and not (card.index_folder / "pretraining").exists()
    assert index.encoder().digest == index.head["encoder"]
    whole = files_of(card)
    shutil.rmtree(card.index_folder)
    index_survey(card, overrides=tiny, n_pool=12, tell=said.append)
    assert files_of(card) == whole


def test_an_encoder_of_before_a_setting_went_is_read():
    made = WindowEncoder("mel-stats", preset("quick"), (0, 4_000), 4_000, None)
    state = made.state()
    read = WindowEncoder.from_state(state, "survey").config
    state["settings"]["finetune_redraw"] = False
    assert WindowEncoder.from_state(state, "survey").config == read
