"""Many runs of one notebook: what is not finished yet is started, on this machine or on Dask workers.

Finished runs are never run again, stopped ones go on from their own checkpoint.
"""

import contextlib
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from acssm_lib.batch.process import child_environment, execute
from acssm_lib.batch.progress import show_progress
from acssm_lib.batch.run_one import PART
from acssm_lib.batch.runs import Run, accuracy, finished_or_why
from acssm_lib.files import settle
from acssm_lib.text import visible

_ARRIVAL_S = 60  # s until files written on another machine show here


@dataclass(frozen=True)
class Failure:
    """A run that did not finish: why, in one line, and the notebook that stopped (None if none was kept)."""

    run: Run
    reason: str
    notebook: Path | None = None


def find_notebook(notebook=None):
    """The notebook of a run: the one given, else the page that was installed with the package, else the repository's.

    Raises:
        FileNotFoundError: it is not there.
    """
    if notebook is not None:
        if not Path(notebook).is_file():
            raise FileNotFoundError(f"there is no notebook {notebook}")
        return Path(notebook).resolve()
    installed = Path(__file__).resolve().with_name("page.ipynb")  # see setup.py
    if installed.is_file():
        return installed
    folder = installed.parents[2] / "notebooks"
    found = sorted(folder.glob("*_reproduce_group.ipynb"))
    if len(found) != 1:
        raise FileNotFoundError(
            f"expected {installed}, or one *_reproduce_group.ipynb in {folder}, of which there are "
            f"{len(found)}; install the package again, or give --notebook"
        )
    return found[0]


def reproduce(runs, out, jobs=1, notebook=None, scheduler=None, cluster=None, cluster_options=None, tls=None):
    """Run what is not finished yet, several runs at a time, each in its own process, and show how it goes.

    Ctrl-C stops the running processes and leaves everything so that the same call goes on from there.

    Args:
        runs: list of Run, see `plan`.
        out: the RUNS folder, created if need be.
        jobs: runs at a time; the CPU cores are shared evenly between them. With ``cluster``: workers to ask for.
        notebook: see `find_notebook`.
        scheduler: address of a Dask scheduler whose workers do the work; they see the same files as this process.
        cluster: "slurm" to submit Slurm jobs for the workers instead.
        cluster_options: dict, arguments of ``dask_jobqueue.SLURMCluster``.
        tls: folder with the certificates of a Dask scheduler at "tls://...", see `dask_workers.connect`.
    Returns:
        list of Failure, in the order of ``runs``; empty when every run is finished.
    Raises:
        RunConflict: a folder holds a run of other settings; raised before anything starts.
        ValueError: there is no such cluster, or its workers cannot do the work.
        FileNotFoundError: no notebook.
        OSError: ``out`` cannot be written, or the disk is full; what was running goes on next time.
        KeyboardInterrupt: Ctrl-C, after every process on this machine has ended; those of workers end in seconds.
    """
    notebook = find_notebook(notebook)
    _check_writable(Path(out))
    states = [finished_or_why(run, out) for run in runs]
    finished = [done for done, _ in states]
    wanted = [run for run, done in zip(runs, finished, strict=True) if not done]
    elsewhere = scheduler is not None or cluster is not None
    batch = _Batch(Path(out), show_progress(runs, 1 if elsewhere else jobs), arrival_s=_ARRIVAL_S * elsewhere)
    with batch.progress:
        for fault in (fault for _, faults in states for fault in faults):
            batch.progress.note(fault)
        for run, done in zip(runs, finished, strict=True):
            if done:
                batch.progress.finished(run, f"already done  {accuracy(run.folder(out))}")
        if wanted and elsewhere:
            from acssm_lib.batch.dask_workers import connect, run_on_workers

            with connect(scheduler, cluster, min(jobs, len(wanted)), cluster_options or {}, Path(out), tls) as client:
                run_on_workers(client, wanted, out, notebook, batch)
        elif wanted:
            # Threads as if nothing had been finished: a batch that goes on must round as it began.
            _run_here(wanted, out, min(jobs, len(runs)), notebook, batch)
    failures = [batch.failures[run.name] for run in runs if run.name in batch.failures]
    if failures:
        lines = [f"{len(failures)} of {len(runs)} runs failed:"]
        lines += [
            visible(f"  {failure.run.name}: {failure.reason}" + (f" ({failure.notebook})" if failure.notebook else ""))
            for failure in failures
        ]
        print("\n".join(lines), file=sys.stderr, flush=True)
    return failures


class _Batch:
    """What became of the runs of one call of `reproduce`."""

    def __init__(self, out, progress, arrival_s):
        self.out, self.progress, self.arrival_s = out, progress, arrival_s
        self.failures = {}  # name of a run -> Failure

    def ended(self, run, outcome):
        """Note and show the Outcome of a run.

        Raises:
            OSError: there is no room left to write; the other runs would only fail as well.
        """
        folder = run.folder(self.out)
        reason = outcome.reason
        if reason is None and not self._arrived(folder):
            reason = f"it has run, but {folder} is not here: the workers and this machine must share {self.out}"
        if reason is None:
            return self.progress.finished(run, accuracy(folder), outcome.seconds)
        self.failures[run.name] = Failure(run, reason, _keep_failed(folder))
        self.progress.failed(run, reason, outcome.seconds)
        if outcome.no_room:
            raise OSError(f"{run.name}: {reason}; make room below {self.out}, then the same command goes on from here")

    def _arrived(self, folder):
        """Whether the files are here; a network file system may take a while to show them."""
        end = time.monotonic() + self.arrival_s
        while not (folder / "metrics.json").exists():
            if time.monotonic() >= end:
                return False
            time.sleep(1)
        return True


def _run_here(runs, out, jobs, notebook, batch):
    """``jobs`` runs at a time, each in a process that a thread of ours waits for."""
    stop = threading.Event()
    environment = child_environment(jobs)

    def start(run):
        if not stop.is_set():
            batch.progress.started(run)
        return execute(run, out, notebook, environment, stop.is_set)

    pool = ThreadPoolExecutor(jobs)
    try:
        futures = {pool.submit(start, run): run for run in runs}
        for future in as_completed(futures):
            batch.ended(futures[future], future.result())
    except BaseException:
        stop.set()  # first, or the threads would start the next try
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _keep_failed(folder):
    """Path of ``failed.ipynb``, for a dead kernel the notebook up to its last saved cell; None without either.

    None, and nothing is moved, while another process is at work in the folder.
    """
    failed = folder / "failed.ipynb"
    try:
        with FileLock(folder / ".lock", timeout=0):
            if (folder / PART).exists():
                settle(folder / PART, failed)
    except (Timeout, OSError):  # OSError: no room, or the folder cannot be written
        return None
    return failed if failed.exists() else None


def _check_writable(out):
    """Fail now rather than after the first training."""
    probe = out / f".writable-{os.getpid()}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe.write_text("if this was left behind, delete it\n" * 100, encoding="utf-8")
    except OSError as error:
        raise OSError(f"cannot write into {out} ({error.strerror}); choose another --out or make room") from None
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()
