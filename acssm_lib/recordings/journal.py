"""What has been embedded so far, file by file: numbers at the end of one file, and then a line in another.

The rows of a recording are on the disk before its line is. Whatever a kill or a power cut leaves behind the last whole
line is cut off at the next start, and the recording it belonged to is heard again.
"""

import json
import os
import time
from pathlib import Path

import numpy as np

from acssm_lib.files import DamagedFile

_SETTLE_S = 1.0  # at most so much work is lost; every settling waits for the disk


class Journal:
    """An index that grows.

    Args:
        folder: of the index. head: plain values that every start must share (settings, encoder); they open the file.
    Attributes:
        lines: list of dicts, one for each recording, in the order in which they were embedded or given up.
        rows: embeddings so far.
    Raises:
        DamagedFile: a line in the middle cannot be read. ValueError: it was begun with another ``head``.
    """

    def __init__(self, folder, head, width):
        self.folder, self.width = Path(folder), width
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "journal.jsonl"
        before = read(self.folder)
        if before is None:
            self.lines, end = [], 0
        else:
            found, self.lines, end = before
            if found != json.loads(json.dumps(head)):
                raise ValueError(_other(self.folder, found, json.loads(json.dumps(head))))
        self.rows = sum(line["n_windows"] for line in self.lines)
        self._text, self._numbers = _opened(path, end), _opened(self.folder / "embeddings.f32", 4 * width * self.rows)
        self._waiting, self._settled = [], time.monotonic()
        if not end:
            self._waiting.append(head)
            self.settle()

    def add(self, line, embeddings):
        """A recording and its embeddings, float32 (windows, d); ``line``: plain values."""
        line = {**line, "n_windows": len(embeddings)}
        self._numbers.write(np.ascontiguousarray(embeddings, "<f4").tobytes())
        self._waiting.append(line)
        self.lines.append(line)
        self.rows += len(embeddings)
        if time.monotonic() - self._settled > _SETTLE_S:
            self.settle()

    def embeddings(self, first, n):
        """``n`` rows from row ``first`` on, read from the disk: float32 (n, d)."""
        self.settle()
        place = self.folder / "embeddings.f32"
        return np.fromfile(place, "<f4", n * self.width, offset=4 * self.width * first).reshape(n, self.width)

    def settle(self):
        """Everything so far is on the disk when this returns: first the numbers, then the lines that speak of them."""
        for file, what in ((self._numbers, b""), (self._text, _as_lines(self._waiting))):
            file.write(what)
            file.flush()
            os.fsync(file.fileno())
        self._waiting, self._settled = [], time.monotonic()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.settle()
        self._text.close()
        self._numbers.close()


TIMES = ("site", "night", "recorded_at", "clock")  # of a recording; a time zone may be set when it is indexed already


def latest(lines):
    """name -> what the lines of a journal say of each recording at last.

    A recording that was mended has two lines, of which the second counts; one whose time was set later has a line with
    ``TIMES`` alone.
    """
    found: dict = {}
    for line in lines:
        if "source" in line or "skipped" in line:
            found[line["name"]] = line
        elif "name" in line:
            found[line["name"]] = found[line["name"]] | {key: line[key] for key in TIMES}
    return found


def read(folder):
    """(head, lines, bytes up to the last whole line) of an index, or None where none was begun.

    Raises:
        DamagedFile: a line in the middle cannot be read.
    """
    path = Path(folder) / "journal.jsonl"
    if not path.is_file():
        return None
    found, end = [], 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                break
            try:
                found.append(json.loads(line))
            except ValueError:
                raise DamagedFile(
                    f"{path}: line {number} is damaged; remove the folder {folder} and index again; labels stay"
                ) from None
            end += len(line)
    return (found[0], found[1:], end) if found else None


def _as_lines(values):
    return "".join(json.dumps(value, allow_nan=False) + "\n" for value in values).encode()


def _opened(path, size):
    """A file to append to, cut to ``size`` bytes.

    Raises:
        DamagedFile: it is shorter.
    """
    file = open(path, "ab")
    if os.path.getsize(path) < size:
        file.close()
        raise DamagedFile(
            f"{path}: {os.path.getsize(path)} bytes, and {size} are spoken of; remove the folder "
            f"{Path(path).parent} and index again; labels stay"
        )
    file.truncate(size)
    return file


def _other(folder, found, wanted):
    """Says in what an index and what is asked for differ."""
    names = [key for key in wanted if found.get(key) != wanted[key]] or ["version"]
    told = "; ".join(f"{key} was {found.get(key)}, and now is {wanted.get(key)}" for key in names)
    return (
        f"{folder}: this index was begun with other settings ({told}); set them back, or remove the folder (labels "
        "stay)"
    )
