"""Clips that a reader marks on a map, the labels given to them, and a table of both; the last step can be undone."""

import csv
import io
import os
from collections import deque
from pathlib import Path

from acssm_lib.files import write_text
from acssm_lib.text import in_csv

MOST_STEPS = 1_000  # that can be undone


class Marks:
    """What is marked, and which clip has which label of the reader's own.

    Args:
        n: number of clips.
    Attributes:
        marked: indices, ascending.
        labels: (n,) list; None where no label was given.
    """

    def __init__(self, n: int) -> None:
        self.marked: list[int] = []
        self.labels: list[str | None] = [None] * n
        self._steps: deque = deque(maxlen=MOST_STEPS)

    def mark(self, indices):
        """Mark these clips and no others.

        Raises:
            ValueError: an index is none of a clip.
        """
        marked = sorted({int(index) for index in indices})
        if marked and not 0 <= marked[0] <= marked[-1] < len(self.labels):
            raise ValueError(f"clips {marked[0]} to {marked[-1]} marked; there are 0 to {len(self.labels) - 1}")
        if marked != self.marked:
            self._keep()
            self.marked = marked

    def label(self, text):
        """Give the marked clips a label; an empty one takes labels away.

        Raises:
            ValueError: nothing is marked.
        """
        if not self.marked:
            raise ValueError("no clip is marked: draw a loop around some, or press m on one")
        self._keep()
        for index in self.marked:
            self.labels[index] = text.strip() or None

    def undo(self):
        """Take back the last step (marks or labels); whether there was one."""
        if not self._steps:
            return False
        self.marked, self.labels = self._steps.pop()
        return True

    def _keep(self):
        self._steps.append((self.marked, list(self.labels)))


def write_new(folder, stem, columns):
    """A CSV table with a name that nothing has yet: ``stem.csv``, else ``stem-2.csv``, ``stem-3.csv`` ...

    Args:
        folder: made if it is not there.
        columns: name -> values, one per row; None is an empty cell.
    Returns:
        path, absolute.
    Raises:
        OSError: the folder cannot be written to.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([in_csv(name) for name in columns])
    for row in zip(*columns.values()):
        writer.writerow(["" if cell is None else in_csv(cell) if isinstance(cell, str) else cell for cell in row])
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = folder / (f"{stem}.csv" if number == 1 else f"{stem}-{number}.csv")
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # the name is ours from here on
            break
        except FileExistsError:
            number += 1
    try:
        return write_text(path, out.getvalue())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
