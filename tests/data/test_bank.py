"""The bank of clips on disk: what is made once, what survives a kill, and what is said when it cannot be written."""

import multiprocessing
import os
import signal
import sys

import numpy as np
import pytest
import torch

from acssm_lib.data import bank
from acssm_lib.data.bank import DiskBank
from acssm_lib.data.clips import Clips
from acssm_lib.files import DataError

KEYS = [f"clip {i}" for i in range(150)]  # more than are saved at a time


def noise(place):
    return np.random.default_rng(place).integers(-9_000, 9_000, 100 + place).astype(np.int16)


def never(place):
    raise AssertionError(f"clip {place} made again")


def same(clips, places):
    assert clips.lengths.tolist() == [100 + place for place in places]
    for i, place in enumerate(places):
        np.testing.assert_array_equal(clips.waveform(i), noise(place).astype(np.float32) / 32768)
    return True


def test_clips_are_made_once_and_found_in_any_order(tmp_path):
    first = DiskBank("frogs", tmp_path).clips(KEYS, noise)
    again = DiskBank("frogs", tmp_path).clips(KEYS[::-1], never)
    assert same(first, range(150)) and same(again, range(149, -1, -1))
    assert (again.digests() == Clips([noise(place) for place in range(149, -1, -1)]).digests()).all()
    with pytest.raises(AssertionError, match="clip 0 made again"):
        DiskBank("toads", tmp_path).clips(KEYS, never)


def test_a_bank_grows_and_what_was_opened_before_stays(tmp_path):
    store = DiskBank("frogs", tmp_path)
    first = store.clips(KEYS[:3], noise)
    made = []
    second = store.clips(KEYS[:6], lambda place: made.append(place) or noise(place))
    assert made == [3, 4, 5] and same(second, range(6)) and same(first, range(3))


def test_floating_point_waveforms_are_rounded_as_in_memory(tmp_path):
    waveform = torch.linspace(-1, 1, 500)
    stored = DiskBank("frogs", tmp_path).clips(["ramp"], lambda place: waveform)
    assert torch.equal(stored.waveform(0), Clips([waveform]).waveform(0))


def test_a_failure_keeps_what_was_made_before_it(tmp_path):
    def failing(place):
        if place == 5:
            raise KeyboardInterrupt
        return noise(place)

    store = DiskBank("frogs", tmp_path)
    with pytest.raises(KeyboardInterrupt):
        store.clips(KEYS, failing)
    assert same(store.clips(KEYS[:5], never), range(5))
    assert same(store.clips(KEYS, noise), range(150))


@pytest.mark.parametrize("damage", ["index cut", "index flipped", "index empty", "index gone"])
def test_a_damaged_index_is_started_anew_and_mapped_samples_stay(tmp_path, damage):
    store = DiskBank("frogs", tmp_path)
    before = store.clips(KEYS[:4], noise)
    index = store.folder / "index.npy"
    whole = index.read_bytes()
    index.write_bytes(
        {"cut": whole[:-40], "flipped": whole[:200] + bytes([whole[200] ^ 1]) + whole[201:], "empty": b"", "gone": b""}[
            damage.split()[1]
        ]
    )
    if damage == "index gone":
        index.unlink()
    with pytest.raises(AssertionError, match="made again"):
        store.clips(KEYS[:4], never)
    assert same(store.clips(KEYS[:4], noise), range(4)) and same(before, range(4))
    assert same(store.clips(KEYS[:4], never), range(4))


@pytest.mark.parametrize("left", [0, 2 * 250 + 1, None])
def test_of_a_file_that_was_cut_only_the_clips_that_are_gone_are_made_again(tmp_path, left):
    store = DiskBank("frogs", tmp_path)
    store.clips(KEYS[:5], noise)
    samples, made = store.folder / "samples.i16", []
    if left is None:
        samples.unlink()
    else:
        os.truncate(samples, left)
    again = store.clips(KEYS[:5], lambda place: made.append(place) or noise(place))
    assert made == ([2, 3, 4] if left else [0, 1, 2, 3, 4]) and same(again, range(5))  # 100 + 101 samples are whole


@pytest.mark.parametrize("by", ["clips", "refresh"])
def test_a_clip_that_has_changed_on_the_disk_is_named_and_made_again(tmp_path, capsys, monkeypatch, by):
    store = DiskBank("frogs", tmp_path)
    store.clips(KEYS[:5], noise)
    samples = store.folder / "samples.i16"
    with open(samples, "r+b") as file:  # one bit, in the third clip
        file.seek(2 * (100 + 101) + 20)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 8]))
    monkeypatch.setattr(bank, "_read_before", set())  # as in another process
    made = []
    if by == "clips":
        again = store.clips(KEYS[:5], lambda place: made.append(place) or noise(place))
        assert made == [2] and same(again, range(5))
    else:
        store.refresh(KEYS[:5], noise)
    said = capsys.readouterr().out
    assert f"{samples}: 1 of 5 kept clips have changed on the disk; they are made again" in said
    assert same(store.clips(KEYS[:5], never), range(5)) and capsys.readouterr().out == ""


def test_a_process_reads_each_clip_against_its_digest_once(tmp_path, monkeypatch):
    store = DiskBank("frogs", tmp_path)
    store.clips(KEYS[:3], noise)
    monkeypatch.setattr(bank, "_read_before", set())
    store.clips(KEYS[:2], never)
    assert len(bank._read_before) == 2
    (store.folder / "samples.i16").write_bytes(bytes(700))  # too late for this process: mapped files are trusted
    assert len(store.clips(KEYS[:2], never).lengths) == 2
    with pytest.raises(AssertionError, match="clip 2 made again"):
        store.clips(KEYS[:3], never)


def test_samples_that_no_index_speaks_of_are_passed_over(tmp_path):
    store = DiskBank("frogs", tmp_path)
    store.clips(KEYS[:2], noise)
    with open(store.folder / "samples.i16", "ab") as file:
        file.write(b"killed while writing.")  # 21 bytes: half a sample too many
    assert same(store.clips(KEYS[:4], noise), range(4)) and same(store.clips(KEYS[:4], never), range(4))


def test_refreshing_makes_all_again_and_keeps_what_differs(tmp_path):
    store = DiskBank("frogs", tmp_path)
    store.clips(KEYS[:3], noise)
    size, made = (store.folder / "samples.i16").stat().st_size, []
    store.refresh(KEYS[:3], lambda place: made.append(place) or noise(place))
    assert made == [0, 1, 2] and (store.folder / "samples.i16").stat().st_size == size
    store.refresh(KEYS[:4], lambda place: noise(7) if place == 1 else None)
    assert same(store.clips(KEYS[:3], never), [0, 7, 2])
    with pytest.raises(AssertionError, match="clip 3"):
        store.clips(KEYS[:4], never)


def test_a_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file.*cannot be written.*set ACSSM_CACHE to a folder with room"):
        DiskBank("frogs", tmp_path / "file").clips(KEYS, noise)

    def full(path, write):
        raise OSError(28, "No space left on device")

    store = DiskBank("frogs", tmp_path)
    monkeypatch.setattr(bank, "write_sealed", full)
    with pytest.raises(DataError, match="No space left on device"):
        store.clips(KEYS[:2], noise)
    monkeypatch.undo()
    assert same(store.clips(KEYS[:2], noise), range(2))


def test_a_whole_bank_opens_in_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    store = DiskBank("frogs", tmp_path)
    store.clips(KEYS[:2], noise)
    monkeypatch.setattr(bank, "FileLock", never)
    assert same(store.clips(KEYS[:2], never), range(2))


def fill(cache_dir, barrier):
    made = []
    barrier.wait(timeout=120)
    clips = DiskBank("frogs", cache_dir).clips(KEYS, lambda place: made.append(place) or noise(place))
    assert same(clips, range(150))
    return made


def fill_elsewhere(cache_dir, barrier, results):
    results.put(fill(cache_dir, barrier))


def test_two_processes_at_once_make_each_clip_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    other = context.Process(target=fill_elsewhere, args=(tmp_path, barrier, results))
    other.start()
    made = fill(tmp_path, barrier) + results.get(timeout=120)
    other.join(timeout=120)
    assert other.exitcode == 0 and sorted(made) == list(range(150))


def die(cache_dir):
    def dying(place):
        if place == 140:
            os.kill(os.getpid(), signal.SIGKILL)
        return noise(place)

    DiskBank("frogs", cache_dir).clips(KEYS, dying)


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_process_that_was_killed_leaves_a_bank_that_goes_on(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=die, args=(tmp_path,))
    process.start()
    process.join(timeout=120)
    assert process.exitcode == -signal.SIGKILL
    made = []
    clips = DiskBank("frogs", tmp_path).clips(KEYS, lambda place: made.append(place) or noise(place))
    assert same(clips, range(150)) and made == list(range(128, 150))  # 64 are saved at a time
