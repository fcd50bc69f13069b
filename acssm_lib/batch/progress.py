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
_EXACT = 300  # waiting runs up to which their order is looked at for the time that is left
_REDRAW_S = 0.2  # s between two drawings of the table that events ask for


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
        # What `time_left` needs, kept up to date: a batch of thousands asks for it thousands of times.
        self._in_state = {state: {} for state in _ORDER}  # state -> {name: row}
        self._in_state[WAITING].update(self.rows)
        self._waiting = Counter(row.run.method for row in self.rows.values())
        self._known = {}  # method -> (number of measured runs, their seconds); None: all methods

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False

    def started(self, run, where=""):
        """``run`` runs now, for the first time or again; ``where`` names its machine."""
        with self.lock:
            row = self._move(run, RUNNING)
            row.words, row.started = where, self.clock()

    def finished(self, run, words, seconds=None):
        """``run`` is done; ``seconds`` is None when it had been before."""
        self._end(run, DONE, words, seconds)

    def failed(self, run, reason, seconds=None):
        """``run`` has failed."""
        self._end(run, FAILED, f"failed: {reason}", seconds)

    def again(self, run):
        """``run`` has stopped and waits for its next start."""
        with self.lock:
            self._move(run, WAITING)

    def note(self, text):
        """Something about the batch as a whole."""
        print(visible(text), flush=True)

    def _end(self, run, state, words, seconds):
        with self.lock:
            row = self._move(run, state)
            row.words, row.seconds = words, seconds
            if state == DONE and seconds is not None:
                for method in (run.method, None):
                    count, total = self._known.get(method, (0, 0.0))
                    self._known[method] = count + 1, total + seconds
            self.ended += 1
            parts = [
                f"[{self.ended}/{len(self.rows)}] {run.name}",
                "" if seconds is None else f"{seconds:.1f} s",
                words,
                self.time_left(),
            ]
        self._show("  ".join(part for part in parts if part))  # unlocked: the table's thread takes locks the other way

    def _show(self, line):
        print(visible(line), flush=True)

    def _move(self, run, state):
        """The run's row, now in another state."""
        row = self.rows[run.name]
        del self._in_state[row.state][run.name]
        self._waiting[run.method] += (state == WAITING) - (row.state == WAITING)
        self._in_state[state][run.name] = row
        row.state = state
        return row

    def time_left(self):
        """``about 4 min left``; empty before the first run has ended and after the last.

        A run is expected to take as long as the finished ones of its method took on average, or all of them. Of many
        waiting runs only the sum is looked at: which slot takes which changes little.
        """
        waiting, running = self._in_state[WAITING], self._in_state[RUNNING]
        if not self._known or not (waiting or running):
            return ""
        free = [
            max(0.0, self._expected(row.run.method) - (self.clock() - row.started)) for row in running.values()
        ]  # when each slot is free, s from now
        if len(waiting) > _EXACT:
            work = sum(count * self._expected(method) for method, count in self._waiting.items() if count)
            return _about((sum(free) + work) / self.slots)
        free += [0.0] * (self.slots - len(free))
        heapq.heapify(free)
        for row in waiting.values():
            heapq.heapreplace(free, free[0] + self._expected(row.run.method))
        return _about(max(free))

    def _expected(self, method):
        count, seconds = self._known.get(method) or self._known[None]
        return seconds / count


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
        self.console, self.whole, self._drawn = console or Console(), False, 0.0
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
        if time.monotonic() - self._drawn >= _REDRAW_S:  # what is missed is drawn by the table's own thread
            self.live.refresh()
            self._drawn = time.monotonic()

    def _table(self):
        from rich.markup import escape
        from rich.table import Table

        with self.lock:
            count = Counter({state: len(self._in_state[state]) for state in _ORDER})
            title = ", ".join([f"{count[state]} {state}" for state in _ORDER if count[state]])
            table = Table(
                title=f"{title}   {self.time_left()}".strip(),
                title_justify="left",
                box=None,
                pad_edge=False,
                expand=False,
            )
            for name in ("run", "state", "time", "result"):
                table.add_column(
                    name, justify="right" if name == "time" else "left", no_wrap=name != "result", overflow="ellipsis"
                )
            for row, hidden in self._chosen(count):
                if row is None:
                    table.add_row(f"[dim]{hidden}[/]")
                    continue
                colour = {DONE: "green", FAILED: "red", RUNNING: "bold cyan", WAITING: "dim"}[row.state]
                table.add_row(
                    escape(visible(row.run.name)),
                    f"[{colour}]{row.state}[/]",
                    self._elapsed(row),
                    escape(visible(row.words.removeprefix("failed: "))),
                )
        return table

    def _chosen(self, count):
        """(row, "") from top to bottom, and (None, words) for those that do not fit: the first of the done runs,
        the last of the others."""
        rows = {state: [row for row in self.rows.values() if row.state == state] for state in _ORDER}  # as planned
        room = len(self.rows) if self.whole else max(4, self.console.height - 8)
        shown = {}
        for state, kept in ((RUNNING, 0), (FAILED, 0), (DONE, min(3, count[WAITING])), (WAITING, 0)):
            shown[state] = min(count[state], max(0, room - kept))  # ``kept``: for those who come after
            room -= shown[state]
        for state in _ORDER:
            hidden = count[state] - shown[state]
            rest = [(None, f"{hidden} more {state}")] if hidden else []
            some = [(row, "") for row in (rows[state][hidden:] if state == DONE else rows[state][: shown[state]])]
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
