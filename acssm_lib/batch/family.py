"""Processes that a run has started, and their ends: none outlives it."""

import contextlib
import ctypes
import os
import signal
import sys
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>
groups: list[int] = []  # process groups that this process has started, for systems without /proc


def adopt_orphans():
    """On Linux: processes whose parent has ended become children of this one, so that `end_descendants` sees them."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_descendants(patience_s=5.0):
    """End every process that this one has started: by their groups, on Linux also by their parents."""
    if os.name == "nt":
        return
    while groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(groups.pop(), signal.SIGKILL)
    end = time.monotonic() + patience_s
    while (found := descendants(os.getpid())) and time.monotonic() < end:
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def descendants(pid):
    """Living processes below a process, as /proc knows them; none where there is no /proc."""
    parents, dead = {}, set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            state, parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            parents[int(folder.name)] = int(parent)
            if state in "ZX":  # its children may still be its own for a moment: its other threads are ending
                dead.add(int(folder.name))
    found = [pid]
    for above in found:  # grows while it is walked
        found += [child for child, parent in parents.items() if parent == above]
    return [child for child in found[1:] if child not in dead]


def end_marked(name, value, patience_s=5.0):
    """On Linux: end the processes whose environment says ``name=value``, for when their parent could not."""
    mark = f"{name}={value}".encode()
    end = time.monotonic() + patience_s
    while True:
        found = [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if mark in _environment(folder)]
        if not found or time.monotonic() > end:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _environment(folder):
    try:
        return (folder / "environ").read_bytes().split(b"\0")
    except OSError:  # ended meanwhile, or somebody else's
        return ()
