"""Prepared clips on disk, end to end in one file that is mapped into memory: opening them again decodes nothing.

A bank is a folder with two files. ``samples.i16`` holds 16-bit samples, one clip after the other, and only grows.
``index.npy`` has a row for each clip: its key, where it lies, and the SHA-256 of its samples; it is replaced in one
step, after the samples it speaks of are on the disk. Whatever lies beyond it, because a process was killed, is never
looked at. A key is a text that changes with everything the samples depend on, so nothing has to be read to know that a
clip is still the right one.
"""

import hashlib
import io
import os
import sys
from pathlib import Path

import numpy as np
from filelock import FileLock
from tqdm import tqdm

from acssm_lib.data.clips import Clips
from acssm_lib.files import DamagedFile, DataError, default_cache_dir, read_sealed, sweep, write_sealed

_ROW = np.dtype([("key", "S32"), ("offset", "<i8"), ("length", "<i8"), ("digest", "u1", 32)])
_read_before: set[tuple] = set()  # (path, key, offset) of the clips that this process has read against their digest


class DiskBank:
    """The prepared clips of one data set in the cache folder.

    Two processes may fill it at once: the second waits, and finds what the first one made. One that was killed goes on
    from the last saved index. A damaged index is started anew; of a file that was cut short, only the clips that are
    gone are made again. Every process reads a clip against its digest when it first opens it: one that has changed on
    the disk is made again, and the file is named. Deleting the folder is always safe.

    Args:
        source: the data folder, or the name of a data set that is generated; names the bank.
        cache_dir: folder of the cache, ``audio.default_cache_dir()`` if None.
    Taught in: 01_audio_preprocessing.
    """

    def __init__(self, source, cache_dir=None):
        name = f"{Path(source).name}-{hashlib.sha256(os.fsencode(str(source))).hexdigest()[:12]}"
        self.folder = Path(cache_dir or default_cache_dir()) / "banks" / name
        self._samples, self._index = self.folder / "samples.i16", self.folder / "index.npy"

    def clips(self, keys, make, progress=False):
        """The clips of ``keys`` as ``Clips`` over the mapped file; what is missing is made and kept first.

        Args:
            keys: one text per clip.
            make: place in ``keys`` -> waveform as ``Clips`` takes it; called for missing clips only.
            progress: whether to show a bar while clips are made.
        Raises:
            DataError: the cache cannot be written; and whatever ``make`` raises (clips made before it are kept).
        Taught in: 01_audio_preprocessing.
        """
        keys = _short(keys)
        index = self._sound(self._read(), keys)
        rows = _find(index, keys)
        if (rows < 0).any():
            index = self._fill(keys, make, progress)
            rows = _find(index, keys)
        index = index[rows]
        return Clips.mapped(self._samples, index["offset"], index["length"], index["digest"])

    def fill(self, keys, make, progress=False):
        """Make what is missing, where ``make`` does not return None; a bool array: which clips are there then.

        Raises:
            DataError: the cache cannot be written; and whatever ``make`` raises.
        """
        keys, index = _short(keys), self._read()
        if (_find(index, keys) < 0).any():
            index = self._fill(keys, make, progress)
        return _find(index, keys) >= 0

    def refresh(self, keys, make):
        """Make every clip again, there or not; one whose samples differ replaces what is kept.

        Where ``make`` returns None nothing is kept. What has changed on the disk is replaced.

        Raises:
            DataError: the cache cannot be written; and whatever ``make`` raises.
        Taught in: 01_audio_preprocessing.
        """
        self._fill(_short(keys), make, progress=None, again=True)

    def _fill(self, keys, make, progress, again=False):
        """Append the clips that are missing, with ``again`` those that differ too; returns the new index."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / "lock"), open(self._samples, "ab", buffering=0) as file:
                sweep(self.folder)
                file.write(bytes(file.tell() % 2))  # a write that failed halfway may have left half a sample
                index = self._sound(self._read(), keys, again)  # another process may have made some meanwhile
                rows = _find(index, keys)
                todo = range(len(keys)) if again else np.flatnonzero(rows < 0)
                hidden = None if progress is None else not progress  # None: shown in a terminal only
                return self._append(file, index, keys, rows, tqdm(todo, "clips", disable=hidden, file=sys.stdout), make)
        except OSError as error:
            raise DataError(
                f"{self.folder}: the cache of prepared clips cannot be written "
                f"({error.strerror or error}); set ACSSM_CACHE to a folder with room in it"
            ) from None

    def _append(self, file, index, keys, rows, todo, make):
        fresh = []
        try:
            for place in todo:
                waveform = make(int(place))
                if waveform is None:
                    continue
                samples = Clips([waveform]).samples.numpy()
                digest = hashlib.sha256(samples).digest()
                if rows[place] >= 0 and index["digest"][rows[place]].tobytes() == digest:
                    continue
                offset, rest = file.tell() // 2, memoryview(samples).cast("B")
                while rest:
                    rest = rest[file.write(rest) :]
                fresh.append((keys[place], offset, len(samples), np.frombuffer(digest, np.uint8)))
                if len(fresh) >= max(64, len(index) // 8):  # seldom enough that saving costs nothing
                    index = self._save(file, index, fresh)
                    rows, fresh = _find(index, keys), []
        finally:  # a bad clip, or Ctrl-C: what was made before it is not lost
            index = self._save(file, index, fresh)
        return index

    def _save(self, file, index, fresh):
        if not fresh:
            return index
        os.fsync(file.fileno())  # the samples reach the disk before the index that speaks of them
        fresh = np.array(fresh, _ROW)
        index = np.concatenate([index[~np.isin(index["key"], fresh["key"])], fresh])
        body = io.BytesIO()
        np.save(body, index)
        write_sealed(self._index, body.getvalue())
        return index

    def _read(self):
        """The rows whose samples are there; none if there is no index, or a damaged one."""
        try:
            content, size = read_sealed(self._index), self._samples.stat().st_size
        except (OSError, DamagedFile):
            return np.zeros(0, _ROW)
        index = np.load(io.BytesIO(content))
        return index[2 * (index["offset"] + index["length"]) <= size]

    def _sound(self, index, keys, again=False):
        """The rows without those of ``keys`` whose samples are not what was written; each is read once per process."""
        rows = _find(index, keys)
        known = {
            row: (str(self._samples), index["key"][row], int(index["offset"][row]))
            for row in np.unique(rows[rows >= 0])
        }
        unread = [row for row, name in known.items() if again or name not in _read_before]
        if not unread:
            return index
        damaged = []
        with open(self._samples, "rb", buffering=0) as file:
            for row in sorted(unread, key=lambda row: index["offset"][row]):
                file.seek(2 * index["offset"][row])
                samples = file.read(2 * int(index["length"][row]))
                if hashlib.sha256(samples).digest() != index["digest"][row].tobytes():
                    damaged.append(row)
                else:
                    _read_before.add(known[row])
        if damaged:
            print(
                f"{self._samples}: {len(damaged)} of {len(unread)} kept clips have changed on the disk; "
                "they are made again"
            )
        return np.delete(index, damaged)


def _short(keys):
    """Texts of any length as 32 hexadecimal digits each."""
    return np.array([hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:32] for key in keys], "S32")


def _find(index, keys):
    """Row of each key, -1 where it is not there."""
    if not len(index):
        return np.full(len(keys), -1)
    order = np.argsort(index["key"])
    place = order[np.searchsorted(index["key"], keys, sorter=order).clip(max=len(order) - 1)]
    return np.where(index["key"][place] == keys, place, -1)
