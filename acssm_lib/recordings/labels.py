"""What people answered, in ``labels.csv``: the one file of a survey that cannot be made again.

It is only ever appended to, and every answer is on the disk before the next question is asked. One answer is one row
per class that was asked, written at once: ``yes`` for what was heard, ``no`` for the others ("none of these": ``no``
throughout), or ``unsure``. Rows of one answer share file, window and ``at``. Undo is one more row. What a power cut
left of a last line is passed over and counted.
"""

import csv
import getpass
import io
import math
import os
from collections import Counter
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from acssm_lib.files import DataError

YES, NO, UNSURE, OPEN = 1, 0, 2, -1  # in arrays of targets; OPEN: never asked
_CODES = {"yes": YES, "no": NO, "unsure": UNSURE}
_SPECIAL = "undo"
REVIEW = "review"  # first word of ``asked_because`` of a blind review, which never trains


@dataclass(frozen=True)
class Answer:
    """One row of the file.

    Attributes:
        file: path of the recording below the folder of recordings, with "/".
        start_s, end_s: of the window or mark, s from the start of the recording.
        low_hz, high_hz: of the band that was shown or marked, Hz; None where nobody said.
        label: name of the class (column ``class``).
        answer: "yes", "no", "unsure" or "undo".
        by, at: who, and when (UTC, ISO 8601).
        asked_because: order that brought the window up: "similar", "margin", "spread", "random", "example",
            "review ..." (see ``review``).
        score: of the class when it was asked; None where there was none.
    """

    file: str
    start_s: float
    end_s: float
    low_hz: float | None
    high_hz: float | None
    label: str
    answer: str
    by: str
    at: str
    asked_because: str
    score: float | None

    @property
    def window(self):
        """What is asked about: (file, start, end); times to the millisecond, as they are written."""
        return self.file, round(self.start_s, 3), round(self.end_s, 3)


def user_name():
    """Who listens, where nobody says: the user of this machine."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run as a number without a name
        return "listener"


COLUMNS = tuple("class" if field.name == "label" else field.name for field in fields(Answer))


class Labels:
    """The answers of one survey.

    Args:
        path: of ``labels.csv``; made with its header at the first answer.
    Attributes:
        damaged: numbers of lines (from 1) that are not whole rows, as a power cut leaves them.
    Raises:
        DataError: the file is not one of these, or a row holds a word or number that cannot be; the message names
            the line.
    """

    def __init__(self, path):
        self.path = Path(path)
        self._standing, self.damaged = [], []  # list of answers, each a list of rows
        for number, row in self._rows():
            answer = _parse(row, self.path, number)
            if answer is None:
                self.damaged.append(number)
            else:
                self._take([answer])

    def _rows(self):
        """(number, row) of what stands behind the header, line by line: a torn quote swallows no line behind it.

        The file of a second listener may be put behind that of the first, header and all.
        """
        if not self.path.exists() or not self.path.stat().st_size:
            return []
        text = self.path.read_bytes().decode("utf-8-sig", errors="replace")
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()  # the end of the last line
        header = next(csv.reader([lines[0].rstrip("\r")]), [])
        if tuple(header) != COLUMNS:
            raise DataError(
                f"{self.path}: its first line is {lines[0][:80]!r}, expected {','.join(COLUMNS)}; "
                "a spreadsheet may have saved it with other separators"
            )
        rows = (next(csv.reader([line.rstrip("\r")]), []) for line in lines[1:])
        return [(number, row) for number, row in enumerate(rows, 2) if tuple(row) != COLUMNS]

    def _take(self, rows):
        """Put rows that were read or written where they belong."""
        first = rows[0]
        if first.answer == _SPECIAL:
            for place in range(len(self._standing) - 1, -1, -1):
                standing = self._standing[place][0]
                if (standing.window, standing.by) == (first.window, first.by):
                    del self._standing[place]
                    return
            return
        last = self._standing[-1][0] if self._standing else None
        if last is not None and (last.window, last.at, last.by) == (first.window, first.at, first.by):
            self._standing[-1].extend(rows)
        else:
            self._standing.append(list(rows))

    def __len__(self):
        """Number of answers that stand: windows answered, not rows."""
        return len(self._standing)

    def rows(self):
        """Every row that stands, in the order of answering; of two answers to one question the later counts."""
        latest = {}
        for answer in self._standing:
            for row in answer:
                latest.pop((row.window, row.label), None)
                latest[row.window, row.label] = row
        return list(latest.values())

    def history(self):
        """(asked_because, was any class heard) of every answer that stands, in time."""
        return [(rows[0].asked_because, any(row.answer == "yes" for row in rows)) for rows in self._standing]

    def add(self, window, answers, by, asked_because, scores=None, band=(None, None)):
        """Write one answer to the disk.

        Args:
            window: (file, start_s, end_s).
            answers: class -> "yes", "no" or "unsure", for every class that was asked.
            by: who listened.
            asked_because: what brought the window up.
            scores: class -> score; may lack classes.
            band: (low, high) in Hz, None where unknown.
        Returns:
            the rows, now on the disk.
        Raises:
            ValueError: no class, or a word that is no answer; OSError: the disk is full, or the file is not ours.
        """
        wrong = [word for word in answers.values() if word not in _CODES]
        if wrong or not answers:
            raise ValueError(f"expected yes, no or unsure for at least one class, got {answers}")
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        last = self._standing[-1][0] if self._standing else None
        if last is not None and last.at >= at:  # two answers within a millisecond, or a clock set back
            at = datetime.now(UTC).isoformat(timespec="microseconds")
        file, start_s, end_s = window
        rows = [
            Answer(
                file,
                float(start_s),
                float(end_s),
                *band,
                label,
                answer,
                by,
                at,
                asked_because,
                (scores or {}).get(label),
            )
            for label, answer in answers.items()
        ]
        self._write(rows)
        return rows

    def undo(self, by):
        """Take back the last answer of this listener that stands; the rows stay in the file, and one is added.

        Returns:
            rows taken back, [] where there is nothing left.
        """
        for answer in reversed(self._standing):
            first = answer[0]
            if first.by == by:
                at = datetime.now(UTC).isoformat(timespec="milliseconds")
                self._write([Answer(*first.window, None, None, "", _SPECIAL, by, at, first.asked_because, None)])
                return answer
        return []

    def _write(self, rows):
        """One write call and one sync for all rows of an answer; a torn line before it gets its end first."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        new = not self.path.exists() or not self.path.stat().st_size
        if new:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            writer.writerow(COLUMNS)
        else:
            with open(self.path, "rb") as file:
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    buffer.write("\n")
        for row in rows:
            writer.writerow(_written(row))
        place = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        try:
            content = buffer.getvalue().encode("utf-8")
            while content:
                content = content[os.write(place, content) :]
            os.fsync(place)
        finally:
            os.close(place)
        self._take(rows)


def _written(row):
    """A row as words; line ends within a name would tear the file."""
    values = [
        row.file,
        f"{row.start_s:.3f}",
        f"{row.end_s:.3f}",
        *("" if hz is None else f"{hz:g}" for hz in (row.low_hz, row.high_hz)),
        row.label,
        row.answer,
        row.by,
        row.at,
        row.asked_because,
        "" if row.score is None else f"{row.score:.6g}",
    ]
    for column, value in zip(COLUMNS, values):
        if "\n" in value or "\r" in value:
            raise DataError(f"{value!r}: a {column} with a line end in it cannot be written to labels.csv; rename it")
    return values


def _parse(row, path, number):
    """A row as an ``Answer``; None for what a power cut left, an error for what somebody wrote wrongly."""
    if len(row) != len(COLUMNS):
        return None
    values = dict(zip(COLUMNS, row))
    try:
        low_hz, high_hz = (float(values[name]) if values[name] else None for name in ("low_hz", "high_hz"))
        start_s, end_s = float(values["start_s"]), float(values["end_s"])
    except ValueError as error:
        raise DataError(f"{path}, line {number}: {error}; expected seconds and Hz as numbers") from None
    if not (math.isfinite(start_s) and math.isfinite(end_s) and 0 <= start_s < end_s):
        raise DataError(f"{path}, line {number}: the mark goes from {values['start_s']} to {values['end_s']} s")
    if values["answer"] not in (*_CODES, _SPECIAL):
        raise DataError(f"{path}, line {number}: answer {values['answer']!r}, expected yes, no, unsure or undo")
    try:
        score = float(values["score"])
    except ValueError:  # empty, or the last field that a power cut tore
        score = None
    return Answer(
        values["file"],
        start_s,
        end_s,
        low_hz,
        high_hz,
        values["class"],
        values["answer"],
        values["by"],
        values["at"],
        values["asked_because"],
        score,
    )


def of_no_class(rows, classes):
    """Class -> number of answers about it, for classes that the survey does not name (any more)."""
    return Counter(row.label for row in rows if row.label not in classes)


class Places:
    """Which windows of an index a row speaks of.

    A row about a window of the index is that window's. A mark of another length, made by hand, speaks of windows
    that hold at least half of it or are filled to at least half by it; "no" only of windows that lie wholly in it.

    Args:
        names: of the recordings, one per file of the index.
        file_of: (windows,), whole numbers into ``names``, ascending.
        start_s: (windows,), s, ascending within a file.
        window_s: length of a window, s.
    """

    def __init__(self, names, file_of, start_s, window_s):
        self.files = {name: place for place, name in enumerate(names)}
        self.file_of, self.start_s, self.window_s = np.asarray(file_of), np.asarray(start_s), window_s

    @classmethod
    def of_index(cls, index):
        """Of an ``index.Index``."""
        return cls([file.name for file in index.files], index.file_of, index.start_s, index.window_s)

    def of(self, row):
        """Windows (k,), ascending; none where the recording is not in the index."""
        if row.file not in self.files:
            return np.zeros(0, dtype=np.int64)
        first, last = np.searchsorted(self.file_of, [self.files[row.file], self.files[row.file] + 1])
        starts = self.start_s[first:last]
        near = np.arange(*np.searchsorted(starts, [row.start_s - self.window_s, row.end_s]))
        exact = near[np.abs(starts[near] - row.start_s) < 2e-3]
        if len(exact) and abs(row.end_s - row.start_s - self.window_s) < 2e-3:
            return first + exact
        shared = np.minimum(starts[near] + self.window_s, row.end_s) - np.maximum(starts[near], row.start_s)
        needed = self.window_s - 1e-6 if row.answer == "no" else 0.5 * min(self.window_s, row.end_s - row.start_s)
        return first + near[shared >= needed]


def targets(rows, classes, places):
    """Answers as an array over the windows of an index.

    Args:
        rows: of ``Labels.rows()``.
        classes: names, the columns.
        places: ``Places``.
    Returns:
        int8, (windows, classes): YES, NO, UNSURE or OPEN.
    """
    found = np.full((len(places.file_of), len(classes)), OPEN, dtype=np.int8)
    columns = {name: k for k, name in enumerate(classes)}
    for row in rows:
        if row.label in columns:
            found[places.of(row), columns[row.label]] = _CODES[row.answer]
    return found
