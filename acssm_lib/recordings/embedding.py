"""Every window of every recording through an encoder, into the journal of an index.

Recordings are taken one after another, whatever is wrong with some of them; what has been embedded is in the journal,
and the same call goes on after a stop of any kind, to the same bytes.
"""

import contextlib
import hashlib
import time

import numpy as np
from filelock import FileLock, Timeout

from acssm_lib.data.reading.decoding import Recording
from acssm_lib.files import DataError
from acssm_lib.recordings import journal
from acssm_lib.recordings.tables import write_table
from acssm_lib.recordings.windows import Source, windows
from acssm_lib.text import many, visible

FORMAT = 1  # raise it when the same recordings and encoder would give other windows
_TELL_S = 10.0  # s between two lines about what is left
_ENDS = 1 << 16  # bytes at both ends of a recording by which it is known again


@contextlib.contextmanager
def locked(folder):
    """Raises:
    DataError: another process works on this index.
    """
    try:
        with FileLock(folder / "lock", timeout=0):
            yield
    except Timeout:
        raise DataError(f"{folder}: another acssm works on this index; wait for it, or stop it") from None


def embed_files(folder, recordings, files, settings, encoder, tell=print, needed_hz=0.0, gone_may_stay=True):
    """Every window of every recording through an encoder, into the journal of an index; goes on where one was stopped.

    A recording that is there twice, or under another name than before, is embedded and counted once. Site and time are
    those that its name, its header and the time zone give today.

    Args:
        files: list of CardFile. encoder: WindowEncoder.
        needed_hz: a recording that holds no sound up to here is refused.
        gone_may_stay: whether recordings that were indexed and are not there any more stay in the index.
    Raises:
        DataError: a recording is another than when it was indexed, or all are gone; without ``gone_may_stay`` any is.
    """
    head = {
        "format": FORMAT,
        "windows": settings.of_windows(),
        "encoder": encoder.digest,
        "width": encoder.width,
        "needed_hz": needed_hz,
    }
    with journal.Journal(folder, head, encoder.width) as kept:
        todo = _todo(files, kept.lines)
        _tell_gone(folder, recordings, files, kept.lines, tell, gone_may_stay)
        left, heard = _TimeLeft(todo, len(files), tell), _Heard(kept)
        for file in todo:
            line, embeddings = _embedded(file, settings, encoder, needed_hz)
            twin = heard.twin(line, embeddings)
            if twin is not None:
                line, embeddings = _as_twin(line, twin, recordings), embeddings[:0]
            if "skipped" in line and not recordings.is_dir():
                raise DataError(
                    f"{recordings}: the recordings are gone (a disk that was taken out?); put it back, and "
                    "the same command goes on"
                )
            if "skipped" in line:
                tell(f"skipped  {visible(file.name)}: {visible(line['skipped'])}")
            first = kept.rows
            kept.add(line, embeddings)
            heard.take(line, first, len(embeddings))
            left.done(file, line)
        _set_times(files, kept, tell)
        if todo or not kept.lines or "complete" not in kept.lines[-1]:
            kept.add({"complete": True}, np.zeros((0, encoder.width), np.float32))
    _write_lists(folder)


class _Heard:
    """The recordings of a journal by their size and their ends, to find one that is there twice."""

    def __init__(self, kept):
        self._kept, self._places, first = kept, {}, 0  # (size, ends) -> (name, first row, windows)
        for line in kept.lines:
            self.take(line, first, line["n_windows"])
            first += line["n_windows"]

    def twin(self, line, embeddings):
        """Name of the recording that was heard under another name, to the same embeddings; None."""
        name, first, n = self._places.get((line["size"], line["ends"]), (None, 0, 0))
        if "source" not in line or name in (None, line["name"]) or n != len(embeddings):
            return None
        return name if np.allclose(self._kept.embeddings(first, n), embeddings, atol=1e-3) else None

    def take(self, line, first, n):
        """A line of the journal, whose windows are the ``n`` rows from ``first`` on."""
        if "source" in line:
            self._places.setdefault((line["size"], line["ends"]), (line["name"], first, n))


def _as_twin(line, twin, recordings):
    """The line of a recording that is in the index already."""
    why = (
        f"a copy of {twin}, which is indexed"
        if (recordings / twin).is_file()
        else f"it was indexed as {twin}, and counts under that name; give it its name back, or remove the folder index "
        "and begin again (labels stay, under the former name)"
    )
    return {key: value for key, value in line.items() if key != "source"} | {"skipped": why}


def _set_times(files, kept, tell):
    """Site and time of recordings of which another time zone, name or header says something else now."""
    last, count = journal.latest(kept.lines), 0
    for file in files:
        now = _times(file)
        if "source" in last.get(file.name, {}) and any(last[file.name][key] != now[key] for key in now):
            kept.add({"name": file.name, **now}, np.zeros((0, kept.width), np.float32))
            count += 1
    if count:
        tell(f"{many(count, 'recording')} of the index got another time: detections and tables are to be made again")


def _times(file):
    return dict(zip(journal.TIMES, (file.site, file.moment.night, file.moment.text, file.moment.origin), strict=True))


def _tell_gone(folder, recordings, files, lines, tell, may_stay):
    """Recordings of the index that are not there any more.

    Raises:
        DataError: there are some, and they may not stay.
    """
    known = journal.latest(lines)
    gone = {name for name in known if "source" in known[name]} - {file.name for file in files}
    if not gone:
        return
    which = f"{visible(min(gone))}{f' and {len(gone) - 1} more' if len(gone) > 1 else ''}"
    if not may_stay:
        raise DataError(
            f"{folder.parent}: holds results of {which}, not in {recordings}; choose another --out, or "
            "remove that folder"
        )
    tell(f"warning  {which}: indexed, and not there any more; windows stay in the index, but cannot be listened to")


def _todo(files, lines):
    """Recordings that are not in the journal, or were skipped and have changed since.

    Raises:
        DataError: one that was embedded is another now.
    """
    known = journal.latest(lines)
    todo = []
    for file in files:
        line = known.get(file.name)
        same = (
            line is not None
            and line["size"] == file.size
            and (line["mtime_ns"] == file.mtime_ns or line["ends"] == ends(file.path))
        )
        if line is not None and "skipped" not in line and not same:
            raise DataError(
                f"{file.path}: this recording was indexed, and has changed since; put the former one back, "
                "or remove the folder index and begin again (labels stay)"
            )
        if line is None or "skipped" in line and (not same or "cannot be read" in line["skipped"]):
            todo.append(file)
    return todo


def ends(path):
    """16 hexadecimal digits of a file's first and last bytes; "" if it cannot be read."""
    try:
        with open(path, "rb") as file:
            first = file.read(_ENDS)
            file.seek(max(0, file.seek(0, 2) - _ENDS))
            return hashlib.sha256(first + file.read()).hexdigest()[:16]
    except OSError:
        return ""


def _embedded(file, settings, encoder, needed_hz):
    """(line of the journal, embeddings); of a recording that cannot be used the line says why."""
    line = {"name": file.name, "size": file.size, "mtime_ns": file.mtime_ns, "ends": ends(file.path), **_times(file)}
    try:
        held_hz = Recording(file.path).sample_rate / 2 if needed_hz else 0.0
        if held_hz < 0.99 * needed_hz:
            raise DataError(
                f"{file.path}: holds sound up to {held_hz / 1000:g} kHz, and this recogniser was trained "
                f"on sound up to {needed_hz / 1000:g} kHz; its scores would mean nothing here"
            )
        recording, source = Source.of(file.path, settings)
        parts = [encoder(batch) for batch in windows(recording, source)]
        embeddings = np.concatenate(parts)
        if not np.isfinite(embeddings).all():
            raise DataError(f"{file.path}: its embeddings are not finite")
        return {**line, "source": source.as_dict()}, embeddings
    except Exception as error:  # one recording must never stop the others
        why = str(error).removeprefix(f"{file.path}: ")
        why = why if isinstance(error, DataError) else f"{type(error).__name__}: {why}"
        return {**line, "skipped": why}, np.zeros((0, encoder.width), np.float32)


class _TimeLeft:
    """A line every few seconds: how far it is, how fast, and how long it may take."""

    def __init__(self, todo, n_files, tell):
        self._bytes, self._left, self._n, self._tell = 0, sum(file.size for file in todo), len(todo), tell
        self._count, self._skipped, self._sound_s = 0, 0, 0.0
        self._started = self._said = time.monotonic()
        if todo and len(todo) < n_files:
            tell(f"{n_files - len(todo):,} of {n_files:,} recordings are indexed; going on")

    def done(self, file, line):
        self._count += 1
        self._bytes += file.size
        self._left -= file.size
        self._skipped += "skipped" in line
        if "source" in line:
            self._sound_s += line["source"]["heard"]["count"] / line["source"]["sample_rate"]
        now = time.monotonic()
        if now - self._said > _TELL_S or self._count == self._n:
            self._said, took = now, now - self._started
            left_s = took * self._left / max(self._bytes, 1)
            skipped = f", {self._skipped:,} skipped" if self._skipped else ""
            left = "done" if self._count == self._n else f"about {_duration(left_s)} left"
            self._tell(
                f"  {self._count:,} of {self._n:,} recordings, {self._sound_s / 3600:.2f} h of sound{skipped}; "
                f"{self._sound_s / max(took, 1e-9):,.0f} h of sound per hour; {left}"
            )


def _duration(seconds):
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3600:.1f} h"


def _write_lists(folder):
    """``files.csv`` and ``skipped.csv``, for people: the journal in tables."""
    _, lines, _ = journal.read(folder)
    last = journal.latest(lines)
    good = [
        (
            name,
            line["site"],
            line["night"],
            line["recorded_at"],
            line["clock"],
            line["source"]["sample_rate"],
            round(line["source"]["heard"]["count"] / line["source"]["sample_rate"], 3),
            line["n_windows"],
            " / ".join(line["source"]["heard"]["notes"]),
        )
        for name, line in sorted(last.items())
        if "source" in line
    ]
    bad = [(name, line["skipped"]) for name, line in sorted(last.items()) if "skipped" in line]
    write_table(
        folder / "files.csv",
        ("file", "site", "night", "recorded_at", "clock", "sample_rate", "duration_s", "windows", "notes"),
        good,
    )
    write_table(folder / "skipped.csv", ("file", "why"), bad)
