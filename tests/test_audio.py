"""Reading, resampling, trimming and caching of audio files, and what is said about bad ones."""

import multiprocessing
import os

import numpy as np
import pytest
import soundfile
import torch

from acssm_lib import audio
from acssm_lib.audio import DataError, default_cache_dir, prepare, read, resample, trim_ends


def sine(frequency_hz, sample_rate, duration_s=0.5, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * frequency_hz * np.arange(round(duration_s * sample_rate)) / sample_rate)


def write(path, samples, sample_rate=44_100, subtype=None):
    soundfile.write(path, samples, sample_rate, subtype=subtype)
    return path


def level_db(waveform, reference):
    """Level of the middle half against a sine of amplitude ``reference``."""
    middle = waveform[len(waveform) // 4:-len(waveform) // 4].double()
    return 10 * torch.log10(middle.square().mean() / (reference**2 / 2) + 1e-20).item()


@pytest.mark.parametrize("suffix, subtype, tolerance", [
    (".wav", "PCM_U8", 1 / 64), (".wav", "PCM_16", 1e-4), (".wav", "PCM_24", 1e-6), (".wav", "PCM_32", 1e-6),
    (".wav", "FLOAT", 1e-6), (".wav", "DOUBLE", 1e-6), (".flac", "PCM_24", 1e-6), (".aiff", "PCM_16", 1e-4),
    (".ogg", "VORBIS", 0.1), (".mp3", "MPEG_LAYER_III", 0.1)])
def test_every_format_and_depth_gives_the_same_waveform(tmp_path, suffix, subtype, tolerance):
    samples = sine(440, 44_100)
    waveform, sample_rate = read(write(tmp_path / f"clip{suffix}", samples, subtype=subtype))
    assert waveform.dtype == torch.float32 and waveform.shape == samples.shape and sample_rate == 44_100
    np.testing.assert_allclose(waveform[2000:-2000].numpy(), samples[2000:-2000], atol=tolerance)


def test_channels_are_averaged(tmp_path):
    stereo = np.stack([sine(440, 8_000), np.zeros(4_000)], axis=1)
    waveform, sample_rate = read(write(tmp_path / "stereo.wav", stereo, 8_000, "FLOAT"))
    np.testing.assert_allclose(waveform.numpy(), stereo[:, 0] / 2, atol=1e-7)
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


@pytest.mark.parametrize("from_rate, frequency_hz", [(44_100, 10_100), (44_100, 15_000), (44_100, 21_500),
                                                     (47_998, 12_000), (96_000, 40_000)])
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
    samples = prepare(write(tmp_path / "clip.wav", padded, 20_000), cache_dir=tmp_path)
    assert samples.dtype == np.int16 and abs(len(samples) - 5_000) <= 2
    assert samples.max() == pytest.approx(16_384, abs=2)


def test_full_scale_does_not_wrap_around(tmp_path):
    square = np.sign(sine(500, 44_100, amplitude=1.0))  # the resampler overshoots at its edges
    samples = prepare(write(tmp_path / "loud.wav", square, subtype="FLOAT"), cache_dir=tmp_path)
    assert samples.max() == 32_767 and samples.min() == -32_768
    assert np.mean(np.abs(samples.astype(int)) > 16_000) > 0.9


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[:int(len(content) * share)])
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
        prepare(path, cache_dir=tmp_path / "cache")
    assert str(raised.value).startswith(f"{path}: ") and "\n" not in str(raised.value)
    assert not (tmp_path / "cache").exists(), "nothing of a bad file is kept"


@pytest.mark.parametrize("name, share", [
    ("a.wav", 0.97), ("a.wav", 0.5), ("a.aiff", 0.5), ("a.flac", 0.9), ("a.flac", 0.5), ("a.ogg", 0.95),
    ("a.ogg", 0.6), ("a.mp3", 0.5)])
def test_a_file_that_was_cut_is_truncated(tmp_path, name, share):
    noise = np.random.default_rng(0).normal(0, 0.1, 88_200)
    with pytest.raises(DataError, match=f"{name}: truncated"):
        read(cut(write(tmp_path / name, noise), share))


def test_an_ogg_stream_cut_between_two_pages_is_truncated(tmp_path):
    path = write(tmp_path / "a.ogg", np.random.default_rng(0).normal(0, 0.1, 200_000))
    content = path.read_bytes()
    path.write_bytes(content[:content.rfind(b"OggS")])
    with pytest.raises(DataError, match="a.ogg: truncated"):
        read(path)


def test_a_wav_written_into_a_pipe_announces_no_length_and_is_whole(tmp_path):
    path = write(tmp_path / "piped.wav", sine(440, 20_000), 20_000)
    content = bytearray(path.read_bytes())
    size = content.find(b"data") + 4
    content[size:size + 4] = b"\xff" * 4
    path.write_bytes(content)
    assert len(read(path)[0]) == 10_000


def test_a_chunk_after_the_sound_does_not_look_like_a_cut(tmp_path):
    path = write(tmp_path / "a.wav", sine(440, 20_000)[:9_999], 20_000, "PCM_U8")  # odd size: a padding byte follows
    path.write_bytes(path.read_bytes() + b"LIST\x04\x00\x00\x00abcd")
    assert len(read(path)[0]) == 9_999


def test_the_second_time_nothing_is_decoded(tmp_path, monkeypatch):
    path = write(tmp_path / "clip.ogg", sine(440, 44_100))
    first = prepare(path, cache_dir=tmp_path / "cache")

    def fail(*args, **kwargs):
        raise AssertionError("decoded again")

    monkeypatch.setattr(audio.soundfile, "SoundFile", fail)
    np.testing.assert_array_equal(prepare(path, cache_dir=tmp_path / "cache"), first)
    np.testing.assert_array_equal(prepare(path.rename(tmp_path / "moved.ogg"), cache_dir=tmp_path / "cache"), first)
    with pytest.raises(AssertionError, match="decoded again"):
        prepare(tmp_path / "moved.ogg", sample_rate=16_000, cache_dir=tmp_path / "cache")
    with pytest.raises(AssertionError, match="decoded again"):
        prepare(tmp_path / "moved.ogg", trim_level=3, cache_dir=tmp_path / "cache")


def test_an_edited_file_is_prepared_anew_even_if_its_time_and_size_stay(tmp_path):
    path = write(tmp_path / "clip.wav", sine(440, 20_000), 20_000)
    first, times = prepare(path, cache_dir=tmp_path / "cache"), path.stat()
    write(path, sine(880, 20_000), 20_000)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert not np.array_equal(prepare(path, cache_dir=tmp_path / "cache"), first)


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped"])
def test_a_damaged_cache_entry_is_made_again(tmp_path, damage):
    path = write(tmp_path / "clip.wav", sine(440, 20_000), 20_000)
    first = prepare(path, cache_dir=tmp_path / "cache")
    (entry,) = (tmp_path / "cache").iterdir()
    whole = entry.read_bytes()
    flipped = whole[:5_000] + bytes([whole[5_000] ^ 1]) + whole[5_001:]
    entry.write_bytes({"cut": whole[:3_000], "empty": b"", "flipped": flipped}[damage])
    np.testing.assert_array_equal(prepare(path, cache_dir=tmp_path / "cache"), first)
    assert entry.read_bytes() == whole


def test_an_entry_is_an_npy_file_and_no_temporary_file_stays(tmp_path):
    samples = prepare(write(tmp_path / "clip.wav", sine(440, 20_000), 20_000), cache_dir=tmp_path / "cache")
    (entry,) = (tmp_path / "cache").iterdir()
    np.testing.assert_array_equal(np.load(entry), samples)


def test_a_failed_write_leaves_nothing_behind_and_says_where(tmp_path, monkeypatch):
    path = write(tmp_path / "clip.wav", sine(440, 20_000), 20_000)

    def fail(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(audio.os, "replace", fail)
    with pytest.raises(DataError, match="No space left on device.*ACSSM_CACHE"):
        prepare(path, cache_dir=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def prepare_many(paths, cache_dir, barrier):
    barrier.wait(timeout=120)
    return [prepare(path, cache_dir=cache_dir) for path in paths * 3]


def prepare_elsewhere(paths, cache_dir, barrier, results):
    results.put(prepare_many(paths, cache_dir, barrier))


def test_two_processes_at_once_make_the_same_cache(tmp_path):
    paths = [write(tmp_path / f"{i}.wav", sine(300 + 50 * i, 44_100, 0.2)) for i in range(12)]
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    other = context.Process(target=prepare_elsewhere, args=(paths, tmp_path / "cache", barrier, results))
    other.start()
    here = prepare_many(paths, tmp_path / "cache", barrier)
    there = results.get(timeout=120)
    other.join(timeout=120)
    assert other.exitcode == 0 and len(there) == len(here) == 36
    for ours, theirs, path in zip(here, there, paths * 3):
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(ours, prepare(path, cache_dir=tmp_path / "alone"))
    entries = {entry.name for entry in (tmp_path / "cache").iterdir()}
    assert entries == {entry.name for entry in (tmp_path / "alone").iterdir()} and len(entries) == len(paths)


def test_the_cache_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("ACSSM_CACHE", str(tmp_path / "mine"))
    assert default_cache_dir() == tmp_path / "mine"
    prepare(write(tmp_path / "clip.wav", sine(440, 20_000), 20_000))
    assert len(list((tmp_path / "mine").iterdir())) == 1
    monkeypatch.delenv("ACSSM_CACHE")
    assert default_cache_dir() == tmp_path / "xdg" / "acssm"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(audio.sys, "platform", "linux")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / ".cache" / "acssm"
