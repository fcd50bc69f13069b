"""Reading, resampling and trimming of audio files, and what is said about bad ones."""

import os
import sys
import time

import numpy as np
import pytest
import soundfile
import torch

from acssm_lib.baselines.mel_statistics import MelStatistics
from acssm_lib.cli.data_check import check
from acssm_lib.data.audio import MIN_DURATION_S, preparation_key, prepare, read, resample, trim_ends
from acssm_lib.data.clips import Clips
from acssm_lib.experiment.methods import build_encoder
from acssm_lib.fewshot.embedding import embed
from acssm_lib.files import DataError, default_cache_dir
from acssm_lib.presets import preset
from acssm_lib.pretraining.spectrogram_views import SpectrogramViews


def sine(frequency_hz, sample_rate, duration_s=0.5, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(round(duration_s * sample_rate)) / sample_rate)


def write(path, samples, sample_rate=44_100, subtype=None):
    soundfile.write(path, samples, sample_rate, subtype=subtype)
    return path


def level_db(waveform, reference):
    """Level of the middle half against a sine of amplitude ``reference``."""
    middle = waveform[len(waveform) // 4 : -len(waveform) // 4].double()
    return 10 * torch.log10(middle.square().mean() / (reference**2 / 2) + 1e-20).item()


@pytest.mark.parametrize(
    "suffix, subtype, tolerance",
    [
        (".wav", "PCM_U8", 1 / 64),
        (".wav", "PCM_16", 1e-4),
        (".wav", "PCM_24", 1e-6),
        (".wav", "PCM_32", 1e-6),
        (".wav", "FLOAT", 1e-6),
        (".wav", "DOUBLE", 1e-6),
        (".flac", "PCM_24", 1e-6),
        (".aiff", "PCM_16", 1e-4),
        (".ogg", "VORBIS", 0.1),
        (".mp3", "MPEG_LAYER_III", 0.1),
    ],
)
def test_every_format_and_depth_gives_the_same_waveform(tmp_path, suffix, subtype, tolerance):
    samples = sine(440, 44_100)
    waveform, sample_rate = read(write(tmp_path / f"clip{suffix}", samples, subtype=subtype))
    assert waveform.dtype == torch.float32 and waveform.shape == samples.shape and sample_rate == 44_100
    np.testing.assert_allclose(waveform[2000:-2000].numpy(), samples[2000:-2000], atol=tolerance)


def test_channels_are_averaged(tmp_path):
    stereo = np.stack([sine(440, 8_000), sine(700, 8_000)], axis=1)
    waveform, sample_rate = read(write(tmp_path / "stereo.wav", stereo, 8_000, "FLOAT"))
    np.testing.assert_allclose(waveform.numpy(), stereo.mean(1), atol=1e-7)
    assert sample_rate == 8_000


@pytest.mark.parametrize("from_rate", [8_000, 22_050, 44_100, 47_998, 96_000])
def test_resampling_keeps_pitch_and_level(from_rate):
    heard = resample(torch.from_numpy(sine(3_000, from_rate)).float(), from_rate, 20_000)
    assert abs(len(heard) - 10_000) <= 2
    assert torch.fft.rfft(heard, n=10_000).abs().argmax().item() * 2 == 3_000  # Hz; bins are 2 Hz apart
    assert abs(level_db(heard, 0.5)) < 0.01


@pytest.mark.parametrize("from_rate", [8_000, 44_100])
def test_resampling_adds_no_delay(from_rate):
    heard = resample(torch.from_numpy(sine(3_000, from_rate)).float(), from_rate, 20_000)
    np.testing.assert_allclose(heard[500:9_500].numpy(), sine(3_000, 20_000)[500:9_500], atol=1e-3)


@pytest.mark.parametrize(
    "from_rate, frequency_hz",
    [(44_100, 10_100), (44_100, 15_000), (44_100, 21_500), (47_998, 12_000), (96_000, 40_000)],
)
def test_what_lies_above_the_new_nyquist_frequency_does_not_fold_back(from_rate, frequency_hz):
    heard = resample(torch.from_numpy(sine(frequency_hz, from_rate)).float(), from_rate, 20_000)
    assert level_db(heard, 0.5) < -70


def test_equal_rates_leave_the_samples_alone():
    waveform = torch.linspace(-1, 1, 100)
    assert torch.equal(resample(waveform, 20_000, 20_000), waveform)


def test_trimming_cuts_the_ends_only():
    samples = np.array([0, 0, 1, -3, 0, 0, -32768, 2, 0], dtype=np.int16)
    np.testing.assert_array_equal(trim_ends(samples), [1, -3, 0, 0, -32768, 2])
    np.testing.assert_array_equal(trim_ends(samples, level=2), [-3, 0, 0, -32768])
    assert len(trim_ends(np.zeros(5, dtype=np.int16))) == 0


def test_a_prepared_clip_is_16_bit_at_the_new_rate_without_its_padding(tmp_path):
    padded = np.concatenate([np.zeros(20_000), sine(1_000, 20_000, 0.25, amplitude=0.5), np.zeros(3_000)])
    samples = prepare(write(tmp_path / "clip.wav", padded, 20_000))
    assert samples.dtype == np.int16 and abs(len(samples) - 5_000) <= 2
    assert samples.max() == pytest.approx(16_384, abs=2)


def test_full_scale_does_not_wrap_around(tmp_path):
    square = np.sign(sine(500, 44_100, amplitude=1.0))  # the resampler overshoots at its edges
    samples = prepare(write(tmp_path / "loud.wav", square, subtype="FLOAT"))
    assert samples.max() == 32_767 and samples.min() == -32_768
    assert np.mean(np.abs(samples.astype(int)) > 16_000) > 0.9


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


def bad_text(path):
    path.write_text("field notes, 3 March")
    return path


def bad_values(path, value):
    samples = sine(440, 20_000)
    samples[100] = value
    return write(path, samples, 20_000, "FLOAT")


def bad_rate(path):
    content = bytearray(write(path, sine(440, 20_000), 20_000).read_bytes())
    content[24:28] = (1).to_bytes(4, "little")
    path.write_bytes(content)
    return path


BAD_FILES = {
    "no file": (lambda folder: folder / "gone.wav", "cannot be read"),
    "folder": (lambda folder: folder, "cannot be read"),
    "no bytes": (lambda folder: cut(bad_text(folder / "a.wav"), 0), "empty, 0 bytes"),
    "no samples": (lambda folder: write(folder / "a.wav", np.zeros(0)), "empty, 0 samples"),
    "text": (lambda folder: bad_text(folder / "notes.wav"), "not an audio file"),
    "headerless": (lambda folder: bad_text(folder / "notes.raw"), "not an audio file"),
    "NaN": (lambda folder: bad_values(folder / "a.wav", np.nan), "1 of 10000 samples are NaN or infinite"),
    "infinite": (lambda folder: bad_values(folder / "a.wav", np.inf), "1 of 10000 samples are NaN or infinite"),
    "integer counts": (lambda folder: bad_values(folder / "a.wav", 12_000.0), "samples reach 1.2e[+]04"),
    "silent": (lambda folder: write(folder / "a.wav", np.zeros(20_000)), "silent, 0 samples are left"),
    "one click": (lambda folder: write(folder / "a.wav", np.eye(1, 20_000, 9_000)[0], 20_000), "silent, 1 samples"),
    "too short": (lambda folder: write(folder / "a.wav", sine(440, 20_000, 0.09), 20_000), "too short, 0.090 s"),
    "rate": (lambda folder: bad_rate(folder / "a.wav"), "the header says 1 Hz"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path, case):
    make, message = BAD_FILES[case]
    path = make(tmp_path)
    with pytest.raises(DataError, match=message) as raised:
        prepare(path)
    assert str(raised.value).startswith(f"{path}: ") and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "name, share",
    [
        ("a.wav", 0.97),
        ("a.wav", 0.5),
        ("a.aiff", 0.5),
        ("a.flac", 0.9),
        ("a.flac", 0.5),
        ("a.ogg", 0.95),
        ("a.ogg", 0.6),
        ("a.mp3", 0.5),
    ],
)
def test_a_file_that_was_cut_is_truncated(tmp_path, name, share):
    noise = np.random.default_rng(0).normal(0, 0.1, 88_200)
    with pytest.raises(DataError, match=f"{name}: truncated"):
        read(cut(write(tmp_path / name, noise), share))


def test_a_wav_written_into_a_pipe_announces_no_length_and_is_whole(tmp_path):
    path = write(tmp_path / "piped.wav", sine(440, 20_000), 20_000)
    content = bytearray(path.read_bytes())
    size = content.find(b"data") + 4
    content[size : size + 4] = b"\xff" * 4
    path.write_bytes(content)
    assert len(read(path)[0]) == 10_000


def test_a_chunk_after_the_sound_does_not_look_like_a_cut(tmp_path):
    path = write(tmp_path / "a.wav", sine(440, 20_000)[:9_999], 20_000, "PCM_U8")  # odd size: a padding byte follows
    path.write_bytes(path.read_bytes() + b"LIST\x04\x00\x00\x00abcd")
    assert len(read(path)[0]) == 9_999


def swap(path):
    other = write(path.with_name("other.wav"), sine(880, 20_000), 20_000)
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)


def edit(path):
    before = path.stat()
    write(path, sine(880, 20_000), 20_000)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        swap,
        pytest.param(
            edit,
            marks=pytest.mark.skipif(
                sys.platform == "win32", reason="Windows keeps no time of the last change of any kind"
            ),
        ),
    ],
)
def test_a_file_has_another_key_when_it_changes_even_if_size_and_date_stay(tmp_path, monkeypatch, change):
    path = write(tmp_path / "clip.wav", sine(440, 20_000), 20_000)
    key, before = preparation_key(path, 20_000, 0), path.stat()
    monkeypatch.chdir(tmp_path)
    assert preparation_key("clip.wav", 20_000, 0) == key
    time.sleep(0.02)  # file systems count time in steps of a few milliseconds
    change(path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert preparation_key(path, 20_000, 0) != key


def test_a_key_depends_on_the_settings(tmp_path):
    path = write(tmp_path / "clip.wav", sine(440, 20_000), 20_000)
    assert len({preparation_key(path, *settings) for settings in ((20_000, 0), (16_000, 0), (20_000, 3))}) == 3
    with pytest.raises(DataError, match="gone.wav: cannot be read"):
        preparation_key(tmp_path / "gone.wav", 20_000, 0)


def test_the_cache_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("ACSSM_CACHE", str(tmp_path / "mine"))
    assert default_cache_dir() == tmp_path / "mine"
    monkeypatch.delenv("ACSSM_CACHE")
    assert default_cache_dir() == tmp_path / "xdg" / "acssm"


@pytest.mark.parametrize("sound_s", [0.011, 0.015, 0.025])
def test_a_click_that_passes_the_check_is_long_enough_for_every_method(tmp_path, sound_s):
    click = np.zeros(4_000)
    click[-round(20_000 * sound_s) :] = sine(2_000, 20_000, sound_s)
    for label in ("one", "two"):
        (tmp_path / label).mkdir()
        for clip in range(2):
            level = 1 if label == "one" else 0.5
            write(tmp_path / label / f"{clip}.wav", level * np.roll(click, -700 * clip), 20_000)
    assert not [problem for problem in check(tmp_path, 1, cache_dir=tmp_path / "cache") if problem.severity == "error"]
    waveforms = [prepare(path) for path in sorted(tmp_path.glob("*/*.wav"))]
    assert {len(waveform) for waveform in waveforms} == {round(20_000 * MIN_DURATION_S)}
    config = preset("quick", widths="4,8", blocks="1,1", d_state=4, d_projection=4)
    bank = Clips(waveforms)
    assert np.isfinite(MelStatistics(bank, config).features(range(4))).all()
    encoder = build_encoder("acoustic-ssm1", bank, range(4), config, 0)
    loss = SpectrogramViews(encoder, config)(encoder, bank, torch.arange(4), torch.Generator().manual_seed(0))
    assert loss.isfinite() and embed(encoder.eval(), bank, np.arange(4), config).isfinite().all()


def test_16_bit_counts_are_left_as_they_are(tmp_path):
    counts = np.random.default_rng(0).integers(-32_768, 32_768, 4_000).astype(np.int16)
    counts[[1, -2]] = -32_768, 32_767
    path = write(tmp_path / "counts.wav", counts, 20_000, "PCM_16")
    np.testing.assert_array_equal(prepare(path), counts)
    np.testing.assert_array_equal(read(path)[0].numpy(), counts / 32_768)
