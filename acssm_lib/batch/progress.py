"""What a batch is doing: a line per event, or in a terminal a table that changes in place."""

import heapq
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass

from acssm_lib.text import visible

WAITING, RUNNING, DONE, FAILED = "waiting", "running", "done", "failed"
_ORDER = (DONE, FAILED, RUNNING, WAITING)  # of the table, from top to bottom


@dataclass
class _Row:
    run: object
    state: str = WAITING
    words: str = ""
    started: float | None = None
    seconds: float | None = None  # None for a run that was finished before


class Progress:
    """Counts the runs of a batch and prints a line when one ends, with the time that is left.

    Use it as a context manager; its methods may be called from any thread.

    Args:
        runs: list of Run, in the order they are started.
        slots: runs at a time; may be changed at any moment.
        clock: function that gives the time in seconds.
    """

    def __init__(self, runs, slots=1, clock=time.monotonic):
        self.rows = {run.name: _Row(run) for run in runs}
        self.slots, self.clock = slots, clock
        self.ended = 0
        self.lock = threading.RLock()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False

    def started(self, run, where=""):
        """``run`` runs now, for the first time or again; ``where`` names its machine."""
        with self.lock:
            row = self.rows[run.name]
            row.state, row.words, row.started = RUNNING, where, self.clock()

    def finished(self, run, words, seconds=None):
        """``run`` is done; ``seconds`` is None when it had been before."""
        self._end(run, DONE, words, seconds)

    def failed(self, run, reason, seconds=None):
        """``run`` has failed."""
        self._end(run, FAILED, f"failed: {reason}", seconds)

    def again(self, run):
        """``run`` has stopped and waits for its next start."""
        with self.lock:
            self.rows[run.name].state = WAITING

    def note(self, text):
        """Something about the batch as a whole."""
        print(visible(text), flush=True)

    def _end(self, run, state, words, seconds):
        with self.lock:
            row = self.rows[run.name]
            row.state, row.words, row.seconds = state, words, seconds
            self.ended += 1
            parts = [f"[{self.ended}/{len(self.rows)}] {run.name}", "" if seconds is None else f"{seconds:.1f} s",
                     words, self.time_left()]
        self._show("  ".join(part for part in parts if part))  # unlocked: the table's thread takes locks the other way

    def _show(self, line):
        print(visible(line), flush=True)

    def time_left(self):
        """``about 4 min left``; empty before the first run has ended and after the last.

        A run is expected to take as long as the finished ones of its method took on average, or all of them.
        """
        rows = list(self.rows.values())
        waiting = [self._expected(row) for row in rows if row.state == WAITING]
        running = [(self._expected(row), self.clock() - row.started) for row in rows if row.state == RUNNING]
        if not waiting and not running or None in waiting or None in [expected for expected, _ in running]:
            return ""
        free = [max(0.0, expected - elapsed) for expected, elapsed in running]  # when each slot is free, s from now
        free += [0.0] * (self.slots - len(free))
        heapq.heapify(free)
        for expected in waiting:
            heapq.heapreplace(free, free[0] + expected)
        return _about(max(free))

    def _expected(self, row):
        known = [other for other in self.rows.values() if other.state == DONE and other.seconds is not None]
        known = [other for other in known if other.run.method == row.run.method] or known
        return sum(other.seconds for other in known) / len(known) if known else None


def _about(seconds):
    minutes = seconds / 60
    if minutes < 1:
        return "less than a minute left"
    return f"about {minutes:.0f} min left" if minutes < 100 else f"about {minutes / 60:.0f} h left"


class ProgressTable(Progress):
    """The same as a table in a terminal: done, failed, running and waiting runs, as many as fit.

    When the batch ends, whatever the reason, the cursor is back and the whole table stays.

    Args:
        console: of rich, by default that of the terminal.
    """

    def __init__(self, runs, slots=1, clock=time.monotonic, console=None):
        from rich.console import Console
        from rich.live import Live

        super().__init__(runs, slots, clock)
        self.console, self.whole = console or Console(), False
        self.live = Live(console=self.console, get_renderable=self._table, refresh_per_second=2)

    def __enter__(self):
        self.live.start()
        return self

    def __exit__(self, *error):
        self.whole = True
        self.live.stop()  # draws once more
        return False

    def note(self, text):
        self.console.print(visible(text), markup=False, highlight=False)

    def _show(self, line):
        self.live.refresh()

    def _table(self):
        from rich.markup import escape
        from rich.table import Table

        with self.lock:
            count = Counter(row.state for row in self.rows.values())
            title = ", ".join([f"{count[state]} {state}" for state in _ORDER if count[state]])
            table = Table(title=f"{title}   {self.time_left()}".strip(), title_justify="left", box=None,
                          pad_edge=False, expand=False)
            for name in ("run", "state", "time", "result"):
                table.add_column(name, justify="right" if name == "time" else "left", no_wrap=name != "result",
                                 overflow="ellipsis")
            for row, hidden in self._chosen(count):
                if row is None:
                    table.add_row(f"[dim]{hidden}[/]")
                    continue
                colour = {DONE: "green", FAILED: "red", RUNNING: "bold cyan", WAITING: "dim"}[row.state]
                table.add_row(escape(visible(row.run.name)), f"[{colour}]{row.state}[/]", self._elapsed(row),
                              escape(visible(row.words.removeprefix("failed: "))))
        return table

    def _chosen(self, count):
        """(row, "") from top to bottom, and (None, words) for those that do not fit: the first of the done runs,
        the last of the others."""
        rows = {state: [row for row in self.rows.values() if row.state == state] for state in _ORDER}
        room = len(self.rows) if self.whole else max(4, self.console.height - 8)
        shown = {}
        for state, kept in ((RUNNING, 0), (FAILED, 0), (DONE, min(3, count[WAITING])), (WAITING, 0)):
            shown[state] = min(count[state], max(0, room - kept))  # ``kept``: for those who come after
            room -= shown[state]
        for state in _ORDER:
            hidden = count[state] - shown[state]
            rest = [(None, f"{hidden} more {state}")] if hidden else []
            some = [(row, "") for row in (rows[state][hidden:] if state == DONE else rows[state][:shown[state]])]
            yield from (rest + some if state == DONE else some + rest)

    def _elapsed(self, row):
        seconds = self.clock() - row.started if row.state == RUNNING else row.seconds
        if seconds is None:
            return ""
        minutes, seconds = divmod(int(seconds), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"


def show_progress(runs, slots):
    """A `ProgressTable` in a terminal, `Progress` elsewhere (a pipe, a log file, a notebook)."""
    if sys.stdout.isatty():
        from rich.console import Console

        console = Console()
        if console.is_terminal and not console.is_dumb_terminal:
            return ProgressTable(runs, slots, console=console)
    return Progress(runs, slots)
