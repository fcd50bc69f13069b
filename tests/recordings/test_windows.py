"""Windows by streaming, one by one, and cut from the whole recording are the same."""

import json

import numpy as np
import pytest
import soundfile
import torch

from acssm_lib.data import audio
from acssm_lib.data.audio import prepare
from acssm_lib.files import DataError
from acssm_lib.recordings.folder import SurveySettings
from acssm_lib.recordings.windows import Source, in_band, windows

SETTINGS = SurveySettings(window_s=0.5, step_s=0.2, sample_rate=8_000)


def noise(path, sample_rate, duration_s=2.03, channels=1, **kind):
    generator = np.random.default_rng(1)
    sound = 0.1 * generator.standard_normal((round(sample_rate * duration_s), 1))
    soundfile.write(path, sound * [1, -1][:channels], sample_rate, **kind)
    return path


@pytest.mark.parametrize(
    "name, sample_rate, channels",
    [
        ("a.wav", 8_000, 1),
        ("b.wav", 22_050, 1),
        ("c.flac", 48_000, 2),
        ("d.wav", 96_000, 2),
        ("e.wav", 4_000, 1),
        ("f.wav", 47_998, 1),
        ("g.ogg", 16_000, 1),
    ],
)
def test_streamed_windows_are_those_of_the_whole_recording(tmp_path, monkeypatch, name, sample_rate, channels):
    monkeypatch.setattr(audio, "_AT_ONCE", 5_000)
    monkeypatch.setattr(audio, "_PIECE", 3_000)
    monkeypatch.setattr("acssm_lib.data.reading.decoding.BLOCK", 2_000)
    path = noise(tmp_path / name, sample_rate, channels=channels)
    recording, source = Source.of(path, SETTINGS)
    streamed = torch.cat(list(windows(recording, source, at_once=3)))
    assert len(streamed) == len(source.starts) and source.starts[-1] + source.window == source.length
    whole = torch.from_numpy(prepare(path, 8_000).astype(np.float32)) / 32768
    again = Source.from_dict(json.loads(json.dumps(source.as_dict())))
    assert again == source
    for start, window in zip(source.starts, streamed):
        assert (window - whole[start : start + 4_000]).abs().max() <= 1.01 / 32768
        assert (window - again.read(path, int(start))).abs().max() <= 1.01 / 32768
    if channels == 2:
        assert "opposed" in source.heard.notes[0] and streamed.abs().max() > 0.1


def test_a_short_recording_is_one_window_with_zeros_behind(tmp_path):
    recording, source = Source.of(noise(tmp_path / "a.wav", 8_000, 0.3), SETTINGS)
    (only,) = torch.cat(list(windows(recording, source)))
    assert source.starts.tolist() == [0] and only[:2_400].abs().min() >= 0 and not only[2_400:].any()


def test_times_of_an_awkward_rate_do_not_drift(tmp_path):
    recording, source = Source.of(noise(tmp_path / "a.wav", 47_998, 30), SETTINGS)
    seconds = source.starts_s[-1] / source.starts[-1]  # of a sample; 1 / 8,000 would be 1.3 ms off in the end
    assert source.length * seconds == pytest.approx(source.duration_s, abs=0.0003)


def test_silence_and_another_recording_are_named(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(8_000), 8_000)
    with pytest.raises(DataError, match="a.wav: silent"):
        Source.of(tmp_path / "a.wav", SETTINGS)
    _, source = Source.of(noise(tmp_path / "b.wav", 8_000), SETTINGS)
    noise(tmp_path / "b.wav", 16_000)
    with pytest.raises(DataError, match="16000 Hz, and 8000 Hz when it was indexed"):
        source.read(tmp_path / "b.wav", 0)


def test_a_band_keeps_what_lies_in_it():
    seconds = torch.arange(8_000) / 8_000
    low, high = (torch.sin(2 * torch.pi * hertz * seconds) for hertz in (200, 2_000))
    kept = in_band(low + high, 1_000, 4_000, 8_000)
    assert (kept - high).abs().max() < 0.01
    assert in_band(low, 0, 4_000, 8_000) is low
