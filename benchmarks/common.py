"""What the benchmarks share: rows of the table, seconds, memory of a process of its own, and the machine's name."""

import dataclasses
import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from acssm_lib.course.recipes import PUBLISHED_SMALL
from acssm_lib.presets import preset

SMALL = preset("paper", **PUBLISHED_SMALL)  # the published recipe in a small network


@dataclass(frozen=True)
class Row:
    """One line of the table: both sides, measured in one run.

    ``better`` says how many times better ours is; where a limit has to be kept instead, it is limit / ours.
    """

    what: str
    plain: str  # with its unit
    ours: str
    better: float
    reach: str  # what was asked for, in words
    reached: bool
    remark: str = ""


def faster(what, plain_s, ours_s, at_least, remark=""):
    """Row of two times in seconds; reached when ours is ``at_least`` times faster."""
    better = plain_s / ours_s
    return Row(what, readable(plain_s), readable(ours_s), better, f"{at_least:g}x", better >= at_least, remark)


def within(what, plain, ours, limit, unit, remark=""):
    """Row of a limit: reached when ``ours`` <= ``limit``; ``plain`` may be None where there is no such thing."""
    shown = "–" if plain is None else f"{plain:.3g} {unit}"
    return Row(what, shown, f"{ours:.3g} {unit}", limit / ours, f"≤ {limit:g} {unit}", ours <= limit, remark)


def readable(seconds):
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def alternate(*functions, repeats=5):
    """Median seconds of each function; they take turns, so that a slow moment of the machine meets all of them.

    One round of warming up is not counted.
    """
    laps = [[] for _ in functions]
    for turn in range(repeats + 1):
        for function, kept in zip(functions, laps):
            started = time.perf_counter()
            function()
            if turn:
                kept.append(time.perf_counter() - started)
    return [statistics.median(kept) for kept in laps]


def in_own_process(code, *arguments, environment=None):
    """What Python ``code`` prints last, as JSON, run in a process of its own from this folder's parent."""
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
        env=os.environ | (environment or {}),
    )
    if done.returncode:
        raise RuntimeError(f"a benchmark process ended with status {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def peak_memory_mib():
    """Largest resident memory of this process so far, MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux: ru_maxrss would begin with what the parent had when it started this process
        return int(re.search(r"VmHWM:\s+(\d+)", status.read_text()).group(1)) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 1024)


def machine():
    """Processor, cores, threads, versions: what a measurement should be read with."""
    name = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
        name = found.group(1) if found else name
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "processor": name,
        "cores": cores,
        "threads": torch.get_num_threads(),
        "gpu": gpu,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def show(rows):
    """The table as text."""
    head = ("what", "plain", "ours", "better", "reach", "reached")
    lines = [
        (row.what, row.plain, row.ours, f"{row.better:.1f}x", row.reach, "yes" if row.reached else "NO") for row in rows
    ]
    widths = [max(len(line[i]) for line in [head, *lines]) for i in range(len(head))]
    for line in [head, *lines]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip(), flush=True)
    for row in rows:
        if row.remark:
            print(f"  {row.what}: {row.remark}", flush=True)


def finish(rows, path=None):
    """End of a benchmark's ``main``: print the table; write the rows as JSON where ``make bench`` wants them."""
    show(rows)
    if path:
        Path(path).write_text(json.dumps([dataclasses.asdict(row) for row in rows]), encoding="utf-8")
