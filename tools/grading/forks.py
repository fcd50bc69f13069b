"""A child process to try something in: killed in the end, with everything that it has started or written."""

import contextlib
import json
import os
import resource
import select
import shutil
import signal
import tempfile
import time
from pathlib import Path

MOST_BYTES = 50_000_000  # of one message
MORE_MEMORY = 4 << 30  # bytes that a child may take beyond what its parent has


@contextlib.contextmanager
def forked(work):
    """A fork that calls ``work(tell)``; yields the reading end of its pipe, and kills it in the end.

    Args:
        work: a function; ``tell`` sends what JSON can hold to the parent.
    The child has a session and an empty folder of its own, and no open file of its parent but the three of every
    process. POSIX only.
    """
    reader, writer = os.pipe()
    folder = tempfile.mkdtemp(prefix="attempt-")
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            _move_out(folder, writer)
            work(lambda words: os.write(writer, json.dumps(words).encode() + b"\n"))
        os._exit(0)
    os.close(writer)
    try:
        yield reader
    finally:
        os.close(reader)
        for kill in (os.killpg, os.kill):  # its session; and itself, should it have none yet
            with contextlib.suppress(ProcessLookupError):
                kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        shutil.rmtree(folder, ignore_errors=True)


def _move_out(folder, writer):
    os.setsid()
    os.chdir(folder)
    os.closerange(3, writer)
    os.closerange(writer + 1, 4096)
    with contextlib.suppress(OSError, ValueError):  # not on macOS
        most = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + MORE_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def messages(reader, limit_s, ends_at=float("inf")):
    """What a child tells, one after the other, until its pipe ends.

    Args:
        limit_s: longest silence, s.
        ends_at: moment of ``time.monotonic`` at which it must have ended.
    Raises:
        TimeoutError: it took too long.
        ValueError: what it sends is no message, or too long for one.
    """
    buffer = b""
    while True:
        wait = min(limit_s, ends_at - time.monotonic())
        if wait <= 0 or not select.select([reader], [], [], wait)[0]:
            raise TimeoutError
        part = os.read(reader, 1 << 20)
        if not part:
            return
        *lines, buffer = (buffer + part).split(b"\n")
        if len(buffer) > MOST_BYTES:
            raise ValueError(f"an answer of more than {MOST_BYTES:,} bytes")
        yield from map(json.loads, lines)
