"""What a recorder did to level, offset and channels: mended and said, or left alone."""

from types import SimpleNamespace

import numpy as np
import pytest
from made_calls import RATE, call, kept, wav

from acssm_lib.data.audio import prepare, read
from acssm_lib.data.reading import channels, decoding
from acssm_lib.data.reading.channels import Choice, choose
from acssm_lib.data.reading.decoding import Recording
from acssm_lib.data.reading.levels import gain_of, measure


@pytest.mark.parametrize(
    "subtype, level, note",
    [
        ("FLOAT", 10.0, "scaled down by 9.8 dB"),
        ("DOUBLE", 14.0, "scaled down"),
        ("PCM_24", 0.0002, "raised by 72 dB"),
        ("FLOAT", 0.0001, "raised by 78 dB"),
        ("PCM_32", 0.00005, "raised"),
    ],
)
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
    both, heard, word = CHANNELS[case]
    path = wav(tmp_path / "a.wav", np.clip(np.stack(both, 1), -1, 1), "FLOAT")
    assert word in kept(path, 2.0)
    if heard is not None:
        np.testing.assert_allclose(read(path)[0], both[heard], atol=1e-6)


def test_channels_that_agree_are_averaged_and_any_can_be_asked_for(tmp_path):
    stereo = np.stack([call(seed=1), 0.7 * call(seed=2)], 1)
    path = wav(tmp_path / "a.wav", stereo, "FLOAT")
    for channel, wanted in (
        ("auto", stereo.mean(1)),
        ("mix", stereo.mean(1)),
        ("left", stereo[:, 0]),
        ("right", stereo[:, 1]),
    ):
        np.testing.assert_allclose(read(path, channel)[0], wanted, atol=1e-6)
    opposed = wav(tmp_path / "b.wav", np.stack([call(noise=0), -call(noise=0)], 1))
    assert read(opposed, "mix")[0].abs().max() < 1e-3
    with pytest.raises(ValueError, match="channel='middle': choose one of auto, mix, left, right"):
        read(path, "middle")


def recorded(tmp_path, *samples, subtype="FLOAT"):
    return Recording(wav(tmp_path / "a.wav", np.stack(samples, 1), subtype))


def test_a_clipped_channel_is_not_the_better_one(tmp_path):
    clipped = np.clip(20 * call(seed=1), -0.9, 0.9)
    for both in ([call(), clipped], [clipped, call()]):
        heard = choose(recorded(tmp_path, *both))
        assert both[1 - heard.channel] is clipped and "differ by much" in heard.note
    for share, flat in ((0.004, False), (0.03, True)):  # of the samples stand at the very top
        peaks = call(seed=1)
        highest = np.argsort(np.abs(peaks))[-round(share * len(peaks)) :]
        peaks[highest] = 0.35 * np.sign(peaks[highest])
        assert choose(recorded(tmp_path, call(), peaks)).channel == (0 if flat else None)


def test_two_channels_of_a_still_night_are_heard_unless_one_is_dead_beside_the_other(tmp_path):
    quiet = 4e-4 * call(noise=3e-4)
    assert choose(recorded(tmp_path, quiet, 0.5 * quiet)).channel is None
    assert choose(recorded(tmp_path, 0.05 * quiet, quiet)) == Choice(
        1, "only channel 2 of 2 has a signal; it is used alone"
    )
    assert choose(recorded(tmp_path, 0 * quiet, 0 * quiet)) == Choice(None)


@pytest.mark.parametrize("factor, alone", [(2.0, False), (200.0, True)])
def test_one_channel_is_taken_where_its_sound_stands_out_by_ten_decibels(tmp_path, factor, alone):
    heard = choose(recorded(tmp_path, call(noise=1e-3, seed=1), call(noise=1e-3 * factor, seed=2) / factor))
    assert heard.channel == (0 if alone else None)


def test_what_was_asked_for_is_said_and_one_channel_needs_no_choice(tmp_path):
    stereo = recorded(tmp_path, call(), 0.1 * call())
    assert choose(stereo, "left") == Choice(0, "left channel of 2, as asked")
    assert choose(stereo, "right") == Choice(1, "right channel of 2, as asked")
    assert choose(stereo, "mix") == Choice(None)
    assert choose(recorded(tmp_path, call()), "right") == Choice(None)


def test_channels_are_compared_alike_in_pieces_and_over_the_whole_recording(tmp_path, monkeypatch):
    loud_at_the_end = call() * np.linspace(0.1, 3, len(TIME))
    stereo = loud_at_the_end.clip(-0.5, 0.5), 0.3 * call(seed=3) + 0.1
    spectra, covariance, flat = channels._spectra(recorded(tmp_path, *stereo))
    assert len(spectra) == len(TIME) // 1024
    np.testing.assert_allclose(covariance, np.cov(np.stack(stereo), bias=True), atol=1e-6)
    assert flat[0] == pytest.approx(np.mean(np.abs(stereo[0]) > 0.4995), abs=1e-4) and flat[1] < 1e-3
    monkeypatch.setattr(decoding, "BLOCK", 3_000)
    in_pieces = channels._spectra(recorded(tmp_path, *stereo))
    for one, other in zip(in_pieces, (spectra, covariance, flat)):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(channels, "_FRAMES", 7)
    some, _, _ = channels._spectra(recorded(tmp_path, *stereo))
    np.testing.assert_array_equal(some, spectra[:: len(TIME) // (7 * 1024)])


def test_a_recording_whose_length_nobody_announces_keeps_no_more_spectra_than_another(monkeypatch):
    """Chained Ogg and raw AAC say nothing of their length; hours of them must not be kept as spectra."""
    monkeypatch.setattr(channels, "_FRAMES", 16)
    sound = np.random.default_rng(0).standard_normal((1024 * 100, 2)).astype(np.float32)
    recording = SimpleNamespace(n_channels=2, samples=None, blocks=lambda: np.array_split(sound, 10))
    spectra, covariance, _ = channels._spectra(recording)
    known, same, _ = channels._spectra(SimpleNamespace(**vars(recording) | {"samples": 1024 * 64}))
    assert 16 <= len(spectra) < 32 and np.array_equal(covariance, same)
    assert np.array_equal(spectra[0], known[0]) and np.array_equal(spectra[1], known[1])  # every fourth, of both


def test_a_recording_shorter_than_one_spectrum_is_compared_too(tmp_path):
    short = call()[200:900]
    assert choose(recorded(tmp_path, short, -short)).note.startswith("its channels are opposed")


def measured(tmp_path, samples):
    return measure(recorded(tmp_path, samples), Choice(None))


def test_a_level_is_that_of_the_sound_between_the_zeros_in_pieces_too(tmp_path, monkeypatch):
    sound = call(0.5).astype(np.float32) + 0.1
    padded = np.concatenate([np.zeros(5_000, np.float32), sound, np.zeros(4_321, np.float32)])
    for block in (decoding.BLOCK, 3_000):
        monkeypatch.setattr(decoding, "BLOCK", block)
        level = measured(tmp_path, padded)
        assert (level.count, level.bad, level.first, level.last) == (len(padded), 0, 5_000, 5_000 + len(sound) - 1)
        assert (level.highest, level.lowest) == (sound.max(), sound.min())
        assert level.peak == sound.max() and measured(tmp_path, -padded).peak == sound.max()
        assert level.offset == pytest.approx(sound.mean(), rel=1e-4)
        assert level.deviation == pytest.approx(sound.std(), rel=1e-4)
    silent = measured(tmp_path, np.zeros(3_000))
    assert (silent.first, silent.peak, silent.offset, silent.deviation, silent.wrong_offset) == (None, 0, 0, 0, 0)
    padded[[6_000, 6_001, 9_000]] = np.nan, np.inf, -np.inf
    assert measured(tmp_path, padded).bad == 3


@pytest.mark.parametrize(
    "offset, deviation, n, wrong",
    [
        (0.02, 0.05, 3_000, True),
        (-0.02, 0.05, 3_000, True),
        (0.009, 0.05, 3_000, False),
        (0.02, 0.3, 3_000, False),
        (0.04, 0.3, 3_000, True),
        (0.02, 0.05, 2_002, True),
        (0.02, 0.05, 2_000, False),
    ],
)
def test_which_offset_is_the_recorder_s(tmp_path, offset, deviation, n, wrong):
    wave = deviation * np.resize([1, -1], n) + offset
    level = measured(tmp_path, np.concatenate([np.zeros(100), wave, np.zeros(100)]))
    assert level.wrong_offset == (pytest.approx(offset, rel=1e-4) if wrong else 0)


@pytest.mark.parametrize(
    "exact, deep, peak, decibels",
    [
        (True, False, 3.0, 0),
        (False, True, 1.0, 0),
        (False, True, 1.01, -20 * np.log10(1.01)),
        (False, False, 1.4, 0),
        (False, False, 1.42, -20 * np.log10(1.42)),
        (False, True, 128 / 32768, 0),
        (False, True, 127 / 32768, 42.14),
        (False, False, 16 / 32768, 0),
        (False, False, 15 / 32768, 60.21),
        (True, False, 1e-3, 0),
        (False, True, 2.0**-20, 0),
        (False, True, 2.0**-19, 108.37),
    ],
)
def test_how_far_a_peak_is_raised_or_lowered(exact, deep, peak, decibels):
    gain, notes = gain_of(SimpleNamespace(exact=exact, deep=deep), peak)
    assert 20 * np.log10(gain) == pytest.approx(decibels, abs=0.01) and len(notes) == (decibels != 0)
    if decibels > 0:
        assert np.log2(gain) % 1 == 0 and 0.25 < gain * peak <= 0.5
        assert f"{-20 * np.log10(peak):.0f} dB below full scale, and was raised by {decibels:.0f} dB" in notes[0]
    elif decibels:
        assert f"it reaches {peak:.3g} times full scale, and was scaled down by {-decibels:.1f} dB" in notes[0]


def compared(ahead_db=0.0, levels=(0.1, 0.1), correlation=0.9, flat=(0.0, 0.0)):
    """The choice between two channels with one call in a tenth of the time, in the first of ten bands.

    Args:
        ahead_db: by so much the sound stands out more in the first channel.
        levels: root mean squares. correlation: of the samples. flat: shares of samples at the top.
    """
    spectra = np.ones((100, 2, 10, 8), np.complex64)
    for channel, merit_db in ((0, 40.0), (1, 40.0 - ahead_db)):
        spectra[:10, channel, 0] = np.sqrt((10 ** (merit_db / 10) - 1) / 0.01)  # one in a hundred of (frame, band)
    level = np.array(levels)
    covariance = np.outer(level, level) * np.array([[1, correlation], [correlation, 1]])
    return channels._compare(spectra, covariance, np.array(flat)).channel


@pytest.mark.parametrize(
    "situation, channel",
    [
        ({"ahead_db": 9.7}, None),
        ({"ahead_db": 10.3}, 0),
        ({"ahead_db": -9.7}, None),
        ({"ahead_db": -10.3}, 1),
        ({"flat": (0.009, 0)}, None),
        ({"flat": (0.011, 0)}, 1),
        ({"flat": (0, 0.011)}, 0),
        ({"flat": (0.5, 0.5)}, None),
        ({"flat": (0.5, 0), "ahead_db": 9.7}, 1),
        ({"flat": (0.5, 0), "ahead_db": 10.3}, None),  # it counts 20 dB less
        ({"flat": (0.5, 0), "ahead_db": 30.3}, 0),
        ({"correlation": -0.45}, None),
        ({"correlation": -0.55}, 0),
        ({"correlation": -0.55, "ahead_db": -3}, 1),
        ({"levels": (1.1e-4, 1)}, None),
        ({"levels": (0.9e-4, 1)}, 1),
        ({"levels": (1, 0.9e-4)}, 0),
        ({"levels": (0.9e-4, 0.1e-4)}, None),
        ({"levels": (0.9e-4, 0.08e-4)}, 0),
        ({"levels": (0, 0)}, None),
    ],
)
def test_where_the_limits_of_the_choice_lie(situation, channel):
    assert compared(**situation) == channel


def test_steady_background_does_not_stand_out_and_a_moment_that_is_loud_in_all_bands_counts_less():
    power = np.random.default_rng(0).uniform(1, 2, (200, 16))
    assert not channels._outstanding(power * np.logspace(-3, 3, 16)).any()
    power[20:30] *= 1_000  # a knock: loud in all bands at once
    assert not channels._outstanding(power).any()
    power[50:60, 3] *= 1_000
    found = channels._outstanding(power)
    assert (found > 0).sum() == 10 and (found[50:60, 3] > 300).all()
