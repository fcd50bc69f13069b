"""What a recorder did to level, offset and channels: mended and said, or left alone."""

import numpy as np
import pytest
from made_calls import RATE, call, kept, wav

from acssm_lib.data.audio import prepare, read


@pytest.mark.parametrize("subtype, level, note", [
    ("FLOAT", 10.0, "scaled down by 9.8 dB"), ("DOUBLE", 14.0, "scaled down"), ("PCM_24", 0.0002, "raised by 72 dB"),
    ("FLOAT", 0.0001, "raised by 78 dB"), ("PCM_32", 0.00005, "raised")])
def test_levels_that_16_bits_cannot_hold_are_scaled(tmp_path, subtype, level, note):
    path = wav(tmp_path / "a.wav", level * call(), subtype)
    assert note in kept(path)
    samples = prepare(path) / 32768
    assert 0.2 < np.abs(samples).max() <= 1.0 and np.mean(np.abs(samples) > 0.999) < 0.001
    loud = np.abs(samples) > 0.01 * np.abs(samples).max()
    assert len(np.unique(samples[loud])) > 500  # not two counts


def test_ordinary_levels_are_left_alone(tmp_path):
    quiet = wav(tmp_path / "quiet.wav", 0.001 * call())  # 16 bits have no more to give
    assert np.abs(prepare(quiet)).max() < 15 and kept(wav(tmp_path / "a.wav", call(), "PCM_24")) == ""
    assert np.abs(prepare(tmp_path / "a.wav")).max() == pytest.approx(0.3 * 32768, rel=0.05)


@pytest.mark.parametrize("offset", [0.4, -0.05])
def test_an_offset_is_taken_away_and_silent_ends_stay_silent(tmp_path, offset):
    padded = np.concatenate([np.zeros(4_000), call() + offset, np.zeros(4_000)])
    path = wav(tmp_path / "a.wav", padded, "FLOAT")
    assert f"offset of {offset:+.3f}" in kept(path)
    assert abs(prepare(path).mean() / 32768) < 0.001


RNG = np.random.default_rng(1)
TIME = np.arange(2 * RATE) / RATE
SQUARE = 0.95 * np.sign(np.sin(2 * np.pi * 50 * TIME))
HUM = 0.5 * np.sin(2 * np.pi * 60 * TIME) + 0.2 * np.sin(2 * np.pi * 180 * TIME)
CHANNELS = {  # channels, the one that is heard, word of the note
    "opposed": ([call(noise=0), -call(noise=0)], None, "opposed"),
    "opposed with noise": ([call(seed=1), -call(seed=2)], None, "opposed"),
    "opposed and softer": ([call(seed=1), -0.5 * call(seed=2)], None, "opposed"),
    "hum": ([call(noise=0) / 30, SQUARE], 0, "differ by much"),
    "hum of 60 Hz": ([HUM + call(noise=3e-4, level=0), call(level=0.01, noise=3e-4)], 1, "differ by much"),
    "hiss": ([call() / 10, 0.3 * RNG.standard_normal(len(TIME))], 0, "differ by much"),
    "dead": ([np.zeros(len(TIME)), call()], 1, "only channel 2"),
    "last bit": ([call(), 1e-5 * RNG.standard_normal(len(TIME))], 0, "only channel 1"),
    "stuck": ([call(), np.full(len(TIME), 0.7)], 0, "only channel 1"),
    "one of eight": ([0.3 * call(noise=0) * (i == 3) for i in range(8)], 3, "only channel 4 of 8"),
    "best of four": ([call(level=0.3 * (i == 2), noise=0.003, seed=i) for i in range(4)], 2, "channel 3 of 4"),
}


@pytest.mark.parametrize("case", CHANNELS)
def test_the_better_channel_is_taken_and_said(tmp_path, case):
    channels, heard, word = CHANNELS[case]
    path = wav(tmp_path / "a.wav", np.clip(np.stack(channels, 1), -1, 1), "FLOAT")
    assert word in kept(path, 2.0)
    if heard is not None:
        np.testing.assert_allclose(read(path)[0], channels[heard], atol=1e-6)


def test_channels_that_agree_are_averaged_and_any_can_be_asked_for(tmp_path):
    stereo = np.stack([call(seed=1), 0.7 * call(seed=2)], 1)
    path = wav(tmp_path / "a.wav", stereo, "FLOAT")
    for channel, wanted in (("auto", stereo.mean(1)), ("mix", stereo.mean(1)), ("left", stereo[:, 0]),
                            ("right", stereo[:, 1])):
        np.testing.assert_allclose(read(path, channel)[0], wanted, atol=1e-6)
    opposed = wav(tmp_path / "b.wav", np.stack([call(noise=0), -call(noise=0)], 1))
    assert read(opposed, "mix")[0].abs().max() < 1e-3
    with pytest.raises(ValueError, match="channel='middle': choose one of auto, mix, left, right"):
        read(path, "middle")
