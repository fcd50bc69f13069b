"""What is shown of a batch: the lines, the time that is left, and the table of a terminal."""

import io
import os
import signal
import subprocess
import sys
import time

import pytest
from rich.console import Console

from acssm_lib.batch.progress import Progress, ProgressTable, show_progress
from acssm_lib.batch.runs import plan


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def runs_of(methods, seeds):
    return plan("synthetic-frogs", ["G1"], methods, seeds)


def test_time_left_is_that_of_the_same_method_shared_by_the_slots():
    runs, clock = runs_of(["a", "b"], [0, 1, 2]), Clock()
    progress = Progress(runs, slots=2, clock=clock)
    assert progress.time_left() == ""  # nothing is known yet
    progress.started(runs[0])
    progress.finished(runs[0], "accuracy 0.8", 600)
    assert progress.time_left() == "about 30 min left"  # five runs of 10 minutes, two at a time
    progress.started(runs[3])
    progress.finished(runs[3], "accuracy 0.8", 60)
    assert progress.time_left() == "about 11 min left"  # 2 times 10 minutes and 2 times 1 minute
    progress.started(runs[1])
    clock.now += 300
    assert progress.time_left() == "about 10 min left"  # 5 + 1 beside 10: the free slot takes the next long one


def test_thousands_of_runs_that_go_on_cost_no_more_each_than_a_few(capsys):
    runs = runs_of(["a", "b"], range(3000))
    progress, started = Progress(runs, slots=2, clock=Clock()), time.process_time()
    for run in runs[:4000]:
        progress.finished(run, "already done")
    for run in runs[4000:5000]:
        progress.started(run)
        progress.finished(run, "accuracy 0.8", 60)
    assert progress.time_left() == "about 8 h left"  # 1000 minutes, two at a time
    assert time.process_time() - started < 5  # 0.1 s; it took minutes
    assert capsys.readouterr().out.splitlines()[-1].endswith("about 8 h left")


def test_finished_before_and_failed_runs_say_nothing_about_the_time():
    runs = runs_of(["a"], [0, 1, 2])
    progress = Progress(runs)
    progress.finished(runs[0], "already done  accuracy 0.8")
    progress.failed(runs[1], "ValueError: no clips", 3.0)
    assert progress.time_left() == ""


def test_lines_count_and_say_what_is_left(capsys):
    runs, clock = runs_of(["a"], [0, 1, 2]), Clock()
    progress = Progress(runs, clock=clock)
    with progress:
        progress.started(runs[0])
        progress.finished(runs[0], "accuracy 0.800 ± 0.100", 30)
        progress.failed(runs[1], "ValueError: no clips", 2)
        progress.finished(runs[2], "accuracy 0.700", 90)
    assert capsys.readouterr().out.splitlines() == [
        "[1/3] synthetic-frogs/G1/a/seed0  30.0 s  accuracy 0.800 ± 0.100  about 1 min left",
        "[2/3] synthetic-frogs/G1/a/seed1  2.0 s  failed: ValueError: no clips  less than a minute left",
        "[3/3] synthetic-frogs/G1/a/seed2  90.0 s  accuracy 0.700",
    ]


def table_of(n, height, whole=False, finish=0, clock=None):
    """What a terminal of that height shows of a batch of ``n`` runs: text."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, height=height, color_system=None)
    runs, clock = runs_of(["a"], range(n)), clock or Clock()
    table = ProgressTable(runs, slots=2, clock=clock, console=console)
    for run in runs[:finish]:
        table.finished(run, "accuracy 0.800", 60)
    table.failed(runs[finish], "ValueError: [no] clips", 1)
    table.started(runs[finish + 1], "node7")
    clock.now += 75
    table.whole = whole
    console.print(table._table())
    return screen.getvalue()


def test_table_shows_what_is_done_failed_running_and_waiting():
    text = table_of(5, 40, finish=1)
    assert "1 done, 1 failed, 1 running, 2 waiting   about 1 min left" in text
    rows = [line.split() for line in text.splitlines()[2:]]
    assert rows == [
        ["synthetic-frogs/G1/a/seed0", "done", "0:01:00", "accuracy", "0.800"],
        ["synthetic-frogs/G1/a/seed1", "failed", "0:00:01", "ValueError:", "[no]", "clips"],
        ["synthetic-frogs/G1/a/seed2", "running", "0:01:15", "node7"],
        ["synthetic-frogs/G1/a/seed3", "waiting"],
        ["synthetic-frogs/G1/a/seed4", "waiting"],
    ]


def test_table_fits_the_screen_and_is_whole_at_the_end():
    text = table_of(100, 24, finish=50)
    assert len(text.splitlines()) <= 24
    assert "running" in text and "failed" in text and "waiting" in text
    assert "synthetic-frogs/G1/a/seed49" in text and "synthetic-frogs/G1/a/seed0 " not in text  # the latest
    assert "more done" in text and "more waiting" in text
    text = table_of(100, 24, whole=True, finish=50)
    assert sum("seed" in line for line in text.splitlines()) == 100 and "more" not in text


def test_a_pipe_gets_lines(capsys):
    assert type(show_progress(runs_of(["a"], [0]), 1)) is Progress


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_stopped_terminal_has_its_cursor_and_the_table(ending):
    program = (
        "import signal, time\nfrom acssm_lib.batch import progress as shown\n"
        "from acssm_lib.batch.runs import plan\n"
        "from acssm_lib.cli.reproduce import terminated_is_ctrl_c\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background starts without\n"
        "runs = plan('synthetic-frogs', ['G1'], ['a'], [0, 1])\n"
        "try:\n"
        "    with terminated_is_ctrl_c(), shown.show_progress(runs, 1) as progress:\n"
        "        progress.started(runs[0])\n"
        "        time.sleep(60)\n"
        "except KeyboardInterrupt:\n"
        "    print('stopped')\n"
    )
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "80", "LINES": "24"},
    )
    os.close(theirs)
    shown = b""
    try:
        while b"stopped\r\n" not in shown:
            if b"1 running" in shown and ending:
                process.send_signal(ending)
                ending = None
            shown += os.read(ours, 10_000)
        process.wait(timeout=30)
    finally:
        process.kill()
        os.close(ours)
    assert b"\x1b[?25l" in shown  # hidden, and then shown again
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")
    assert b"synthetic-frogs/G1/a/seed1" in shown[shown.rindex(b"1 running") :]
