"""One run in a process of its own: started, watched, tried again where that can help, ended on request.

A thread of `runner` or of a Dask worker (`dask_workers`) calls `execute` and waits in it. It has to be the same
thread from start to end: on Linux the process ends when the thread that started it does.
"""

import dataclasses
import json
import os
import secrets
import signal
import site
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from acssm_lib.batch.family import end_marked
from acssm_lib.batch.run_one import FAILED, NO_ROOM, REASON

TRIES = 3  # a run whose process was killed or never answered is started up to three times
_LOOK_S = 0.2  # s between two looks at whether to stop
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "BLIS_NUM_THREADS",
)
_MARK = "ACSSM_RUN"  # in the environment of a run's processes; its value is the try's own
_ROOT = str(Path(__file__).resolve().parents[2])  # where this package was imported from


@dataclass(frozen=True)
class Outcome:
    """How a run ended: ``reason`` is None when it finished, else why not, in one line."""

    reason: str | None = None
    stopped: bool = False  # it was told to
    no_room: bool = False  # the disk is full or read-only: the next run would end the same way
    seconds: float = 0.0


def execute(run, out, notebook, environment, stopped, cwd=None):
    """Execute one run and wait for its end.

    Args:
        run, out, notebook: see `acssm_lib.batch.runner.reproduce`.
        environment: of the process, see `child_environment`.
        stopped: function without arguments; once it returns true the process is ended.
        cwd: folder that relative paths start from.
    Returns:
        Outcome.
    """
    started = time.monotonic()
    job = json.dumps(
        {"run": dataclasses.asdict(run), "out": str(out), "notebook": str(notebook), "parent": os.getpid()}
    )
    status, errors = 1, ""
    try:
        for _ in range(TRIES):
            if stopped():
                break
            status, errors = _start(job, environment, stopped, cwd)
            if status in (0, FAILED, NO_ROOM):
                break
    except OSError as error:
        errors = f"{REASON}{error}"
    seconds = time.monotonic() - started
    if status == 0:
        return Outcome(seconds=seconds)
    if status not in (FAILED, NO_ROOM) and stopped():
        return Outcome("stopped", stopped=True, seconds=seconds)
    return Outcome(_reason(status, errors), no_room=status == NO_ROOM, seconds=seconds)


def _start(job, environment, stopped, cwd):
    """One process for one try: its exit status and what it wrote to stderr."""
    mark = secrets.token_hex(8)
    child = subprocess.Popen(  # in its own session, so that Ctrl-C reaches this process only
        [sys.executable, "-m", "acssm_lib.batch.run_one"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment | {_MARK: mark},
        cwd=cwd,
        start_new_session=True,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    given = job
    while True:
        try:
            errors = child.communicate(given, timeout=_LOOK_S)[1]  # stderr is the kernel's too: both have gone now
            if child.returncode < 0:  # it was killed, and could not end what it had started
                end_marked(_MARK, mark)
            return child.returncode, errors
        except subprocess.TimeoutExpired:
            given = None
            if child.poll() is not None:  # what it has started holds stderr open
                end_marked(_MARK, mark)
            elif stopped():
                child.terminate()
        except BaseException:
            child.kill()
            end_marked(_MARK, mark)
            raise


def child_environment(jobs=1, threads=None):
    """Environment of a run: its share of the cores, figures drawn inline, and this very package.

    Args:
        jobs: runs at a time on this machine; a number of threads that the user has set is kept, and holds for every
            library that the user has not set another for: torch would follow MKL_NUM_THREADS.
        threads: exact number of threads instead, whatever the environment says.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    environment = dict(os.environ)
    given = {name: environment[name] for name in _THREAD_VARIABLES if environment.get(name, "").strip()}
    common = next(iter(given.values()), str(max(1, cores // jobs))).split(",")[0].strip()  # OpenMP takes a list
    share = dict.fromkeys(_THREAD_VARIABLES, common) | given
    environment |= share if threads is None else dict.fromkeys(_THREAD_VARIABLES, str(threads))
    environment.pop("MPLBACKEND", None)  # the kernel chooses the inline backend only where none is set
    # No module of the working directory stands for one of Python's; this package is found wherever that is.
    environment["PYTHONSAFEPATH"] = "1"
    own = [] if _ROOT in site.getsitepackages() + [site.getusersitepackages()] else [_ROOT]
    given = environment.pop("PYTHONPATH", "").split(os.pathsep)
    path = own + [str(Path(entry).absolute()) for entry in given if entry]  # the process may start in another folder
    return environment | ({"PYTHONPATH": os.pathsep.join(path)} if path else {})


def _reason(status, errors):
    """Why a process ended, in one line."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    told = [line.removeprefix(REASON) for line in lines if line.startswith(REASON)]
    if told:
        return told[-1]
    if status < 0:
        return f"its process was ended from outside ({signal.strsignal(-status)}; out of memory?), {TRIES} tries"
    return lines[-1] if lines else f"its process ended with status {status} and no message"
