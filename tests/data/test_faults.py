"""What is doubtful about recordings that can be read."""

import numpy as np
import pytest
import soundfile

from acssm_lib.data import likeness
from acssm_lib.data.audio import prepare_and_tell
from acssm_lib.data.clips import Clips
from acssm_lib.data.faults import Facts, Listener, long_clips, recorder_tells_class, too_high
from acssm_lib.data.likeness import alike, landmarks

RNG = np.random.default_rng(0)


def heard(waveform, rate):
    listener = Listener()
    for first in range(0, len(waveform), 5_000):
        listener(np.float32(waveform[first : first + 5_000]), rate)
    return listener


def pulses(hz, rate, seconds=1.0, noise=0.003, seed=0):
    t = np.arange(round(seconds * rate)) / rate
    return 0.3 * (np.sin(2 * np.pi * 4 * t) > 0) * np.sin(2 * np.pi * hz * t) + noise * np.random.default_rng(
        seed
    ).standard_normal(len(t))


@pytest.mark.parametrize(
    "hz, rate, told",
    [
        (45_000, 384_000, True),
        (25_000, 192_000, True),
        (3_000, 384_000, False),
        (3_000, 44_100, False),
        (13_000, 48_000, True),
        (9_000, 20_000, False),
    ],
)
def test_sound_above_the_working_rate_is_told(hz, rate, told):
    problem = too_high("a.wav", heard(pulses(hz, rate), rate).above(10_000), 20_000)
    assert (problem is not None) == told
    if told:
        assert "lies above 10 kHz, which is not heard at the working rate of 20,000 Hz" in problem.message


def test_white_noise_and_an_offset_are_no_sound_above():
    for offset in (0.0, 0.5):
        assert too_high("a", heard(0.01 * RNG.standard_normal(96_000) + offset, 48_000).above(10_000), 20_000) is None


@pytest.mark.parametrize("band", [4_000, 8_000])
def test_the_end_of_the_spectrum_betrays_another_rate(band):
    spectrum = np.fft.rfft(RNG.standard_normal(96_000))
    spectrum[int(band * 2) :] = 0  # two seconds at 48 kHz
    listener = heard(0.05 * np.fft.irfft(spectrum), 48_000)
    assert listener.edge_hz() == pytest.approx(band, rel=0.1)
    assert heard(0.05 * RNG.standard_normal(96_000), 48_000).edge_hz() == pytest.approx(24_000, rel=0.02)


def facts(category, n=8, **changes):
    usual = {
        "sample_rate": 48_000,
        "n_channels": 1,
        "subtype": "PCM_16",
        "offset": 0.0,
        "peak_db": -10.0,
        "edge_hz": 24_000.0,
        "duration_s": 1.6,
        "loudest_s": 0.2,
    } | changes
    return [Facts(category, f"{category}/{i}.wav", **usual) for i in range(n)]


@pytest.mark.parametrize(
    "changes, word",
    [
        ({"sample_rate": 16_000}, "sample rate"),
        ({"n_channels": 2}, "number of channels"),
        ({"subtype": "aac"}, "format"),
        ({"offset": 0.005}, "offset"),
        ({"peak_db": -40.0}, "peak"),
        ({"edge_hz": 8_000.0}, "upper end of the spectrum"),
    ],
)
def test_a_recorder_that_tells_the_class_is_told(changes, word):
    (problem,) = recorder_tells_class(facts("rubella", **changes) + facts("caerulea") + facts("rothii"))
    assert problem.path == "class rubella" and word in problem.message and problem.severity == "warning"


def test_recorders_that_all_classes_share_are_no_matter():
    mixed = [
        fact
        for category in "abc"
        for fact in facts(category, 4) + facts(category, 4, sample_rate=16_000, offset=0.01, subtype="FLOAT")
    ]
    assert not recorder_tells_class(mixed)
    assert not recorder_tells_class(facts("a", 2) + facts("b", 2, sample_rate=8_000))  # too few to say


def test_long_clips_and_one_very_long_one_are_told():
    assert not long_clips(facts("a"), 1.5)
    (problem,) = long_clips(facts("a", duration_s=60.0, loudest_s=7.0), 1.5)
    assert "8 of 8 clips" in problem.path and "outside of the middle in 8 of them" in problem.message
    problems = long_clips(facts("a") + facts("b", 1, duration_s=3600.0), 1.5)
    assert "2,250 times as long as the median clip" in problems[0].message


def test_where_a_clip_is_loudest(tmp_path):
    soundfile.write(
        tmp_path / "a.wav",
        np.concatenate([pulses(1_000, 20_000) * 0.01, pulses(1_000, 20_000), pulses(1_000, 20_000, 3.0) * 0.01]),
        20_000,
    )
    fact = Facts.of(
        type("Clip", (), {"category": "a", "name": "a.wav"}), prepare_and_tell(tmp_path / "a.wav"), Listener(), 20_000
    )
    assert fact.loudest_s == pytest.approx(1.0, abs=0.15) and fact.duration_s == pytest.approx(5.0, abs=0.1)


def groups_of(*waveforms):
    clips = Clips([np.clip(np.round(waveform * 32768), -32768, 32767).astype(np.int16) for waveform in waveforms])
    return alike(
        [landmarks((clips.waveform(i) * 32768).numpy().astype(np.int16), 20_000) for i in range(len(clips))],
        clips,
        20_000,
    )


@pytest.mark.parametrize("hz", [1_000, 2_500, 5_000])
def test_overlapping_pieces_and_softer_copies_are_found(hz):
    night = pulses(hz, 20_000, 4.0, seed=1)
    others = [pulses(hz * factor, 20_000, 1.6, seed=seed) for seed, factor in ((2, 1.01), (3, 1.0), (4, 0.97))]
    pieces = [night[start : start + 32_000] for start in (0, 13_337, 26_001)]
    assert groups_of(pieces[0], others[0], pieces[1], others[1], pieces[2], others[2]) == [[0, 2, 4]]
    assert groups_of(night, others[0], 0.1 * night[777:]) == [[0, 2]]
    assert groups_of(*others) == []


def test_a_lossy_copy_at_another_level_is_found(tmp_path):
    noise = np.convolve(RNG.standard_normal(60_000), np.ones(8) / 8, "same")
    night = 0.2 * np.sin(2 * np.pi * 900 * np.arange(60_000) / 20_000) * (RNG.random(60_000) > 0.2) + 0.1 * noise
    soundfile.write(tmp_path / "a.wav", night, 20_000)
    soundfile.write(tmp_path / "a.mp3", night, 24_000)  # as another rate: it plays faster, so it is another sound
    soundfile.write(tmp_path / "b.ogg", 0.4 * night, 20_000)
    waveforms = [prepare_and_tell(tmp_path / name).samples / 32768 for name in ("a.wav", "a.mp3", "b.ogg")]
    assert groups_of(*waveforms) == [[0, 2]]


def test_the_work_grows_with_the_clips_and_not_with_their_pairs(monkeypatch):
    compared = []
    monkeypatch.setattr(likeness, "_candidates", lambda marks: [(a, b, 0) for a in range(len(marks)) for b in range(a)])
    monkeypatch.setattr(likeness, "_same", lambda a, b, shift, sample_rate: compared.append(shift))
    assert alike([None] * 100, Clips([np.zeros(4, np.float32)] * 100), 20_000) == []
    assert 400 <= len(compared) <= 800
    monkeypatch.setattr(likeness, "_same", lambda a, b, shift, sample_rate: compared.append(shift) or True)
    assert alike([None] * 100, Clips([np.zeros(4, np.float32)] * 100), 20_000) == [list(range(100))]


def test_short_clips_have_nothing_to_compare():
    assert groups_of(np.zeros(1_000), np.ones(1_500) / 2, pulses(500, 20_000, 0.1)) == []
