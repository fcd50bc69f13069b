"""The same runs on other machines: Dask workers that somebody started, or Slurm jobs that we submit.

Every worker executes one run at a time, in a child process as `acssm_lib.batch.runner` does on one machine. The driver
(the process that called `reproduce`) hands out as many runs as there are workers; a run whose worker dies goes to
another one. Workers and driver see the same RUNS folder, by the same path, and have the same code: a worker that has
not is sent away before it gets a run.

Dask carries out whatever it is sent. Whoever reaches a scheduler runs code as its user, unless it asks for
certificates (TLS).
"""

import contextlib
import hashlib
import json
import logging
import os
import queue
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from acssm_lib.batch.handshake import about_here, differences, question
from acssm_lib.batch.process import Outcome, child_environment, execute
from acssm_lib.text import visible

RESOURCE = "job"  # a worker started with --resources job=1 takes one run at a time
_TOPIC = "acssm-started"
_CONNECT_S = 15  # s for the scheduler to answer
_LOOK_S = 2  # s between two looks at which workers are there
_ANSWER_S = 20  # s for a worker to say what it is made of
TLS_FILES = ("ca.pem", "cert.pem", "key.pem")  # in the folder given as --tls
_LISTS = ("job_extra_directives", "job_script_prologue", "worker_extra_args", "job_directives_skip")


@contextlib.contextmanager
def connect(scheduler, cluster, jobs, options, out, tls=None):
    """A Dask client of the scheduler at that address, or of a new one whose workers are ``jobs`` Slurm jobs.

    Args:
        scheduler: address as in "tcp://127.0.0.1:8786", or None.
        cluster: "slurm", or None.
        jobs: Slurm jobs, of one worker each.
        options: dict, arguments of ``dask_jobqueue.SLURMCluster``.
        out: folder for the output of the Slurm jobs.
        tls: folder with ``TLS_FILES``, for connections that are encrypted and open to owners of a certificate only.
    Raises:
        ValueError: the packages are missing, no scheduler answers, Slurm refuses the job, or a certificate is missing.
    """
    if scheduler is not None and cluster is not None:
        raise ValueError("give a scheduler or a cluster, not both")
    try:
        from distributed import Client
    except ImportError:
        raise ValueError("the packages for clusters are missing: pip install 'acoustic-ssm[cluster]'") from None
    # Lost and returning workers are reported by run_on_workers; Dask's own words would tear the table.
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    security = _security(scheduler, tls)
    with contextlib.ExitStack() as stack:
        target = scheduler
        if cluster is not None:
            target = stack.enter_context(slurm_cluster(options, out, security))
            _check_submission(target)
            target.adapt(minimum_jobs=jobs, maximum_jobs=jobs)  # asks again for a job whose time is up
        try:
            client = stack.enter_context(Client(target, timeout=_CONNECT_S, set_as_default=False, security=security))
        except (OSError, ValueError) as error:
            raise ValueError(
                f"no Dask scheduler answers at {scheduler} ({error}); start one with: "
                f"dask scheduler{_tls_words(tls)}, and workers with: {start_workers(scheduler, tls)}"
            ) from None
        yield client


def _security(scheduler, tls):
    """Dask's settings for the certificates in the folder ``tls``; None without one."""
    if tls is None:
        if scheduler is not None and scheduler.startswith("tls:"):
            raise ValueError(
                f"{scheduler} is reached with a certificate; name the folder with {', '.join(TLS_FILES)} as --tls"
            )
        return None
    if scheduler is not None and not scheduler.startswith("tls:"):
        raise ValueError(f"--tls {tls} is for an address that begins with tls://, {scheduler} is not encrypted")
    missing = [name for name in TLS_FILES if not (Path(tls) / name).is_file()]
    if missing:
        raise ValueError(f"--tls {tls}: there is no {' and no '.join(missing)}")
    from distributed.security import Security

    ca, certificate, key = (str(Path(tls).absolute() / name) for name in TLS_FILES)
    roles = {
        f"tls_{role}_{what}": path
        for role in ("client", "scheduler", "worker")
        for what, path in (("cert", certificate), ("key", key))
    }
    return Security(tls_ca_file=ca, require_encryption=True, **roles)


def worker_command(address, tls=None):
    """The command that starts workers for us; ``--nthreads`` is the number of cores of one run."""
    return f"dask worker {address} --nworkers 2 --nthreads 1 --resources {RESOURCE}=1 --memory-limit 0" + _tls_words(
        tls
    )


def _tls_words(tls):
    return (
        ""
        if tls is None
        else "".join(
            f" --tls-{option} {Path(tls) / name}" for option, name in zip(("ca-file", "cert", "key"), TLS_FILES)
        )
    )


def start_workers(address, tls=None):
    """`worker_command`, and what it means for the safety of the machine."""
    return worker_command(address, tls) + (
        ""
        if tls is not None
        else (
            " (whoever reaches that address can run code as the user of the scheduler and of its workers: keep it "
            "within 127.0.0.1 or a network of people you trust, or use certificates, --tls)"
        )
    )


def slurm_cluster(options, out, security=None):
    """A ``SLURMCluster`` without jobs yet: one worker per job, which takes one run at a time.

    Args:
        options: dict of its arguments, as in {"queue": "gpu", "cores": 8, "memory": "16GB", "walltime": "08:00:00"};
            what is left out comes from the user's Dask configuration.
        out: RUNS; the jobs write what they print below it.
        security: of ``distributed``, for encrypted connections.
    Raises:
        ValueError: unknown or missing options, or no dask-jobqueue.
    """
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError:
        raise ValueError("the packages for clusters are missing: pip install 'acoustic-ssm[cluster]'") from None
    given = {"log_directory": str(Path(out).absolute() / "slurm"), "scheduler_options": {"dashboard_address": ":0"}}
    given |= {
        key: [value] if key in _LISTS and not isinstance(value, list) else value for key, value in options.items()
    }
    given |= {"security": security} if security is not None else {}
    given |= {
        "processes": 1,
        "worker_extra_args": [*given.get("worker_extra_args", []), "--resources", f"{RESOURCE}=1"],
    }
    try:
        return SLURMCluster(**given)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Slurm options {', '.join(options) or '(none)'}: {_first_sentence(error)}; as in "
            "--cluster-option cores=8 --cluster-option memory=16GB"
        ) from None


def _first_sentence(error):
    return " ".join(str(error).split()).split(", for example")[0].split(". ")[0].rstrip(".:")


def _check_submission(cluster):
    """Ask Slurm about the job first: an error of the real submission would be lost inside Dask.

    Raises:
        ValueError: Slurm refuses it, or is not here.
    """
    if shutil.which("sbatch") is None:
        raise ValueError("there is no sbatch here; use --cluster slurm on a machine that Slurm jobs are submitted from")
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "worker.sh"
        script.write_text(cluster.job_script(), encoding="utf-8")
        done = subprocess.run(["sbatch", "--test-only", str(script)], capture_output=True, text=True)
    if done.returncode != 0:
        raise ValueError(f"Slurm refuses the job: {' '.join((done.stderr or done.stdout).split())}")


def run_on_workers(client, runs, out, notebook, batch):
    """Execute ``runs``, one per worker at a time, and tell ``batch`` about each end.

    Args:
        client: see `connect`.
        runs, out, notebook: see `acssm_lib.batch.runner.reproduce`.
        batch: has ``progress`` (a Progress) and ``ended(run, Outcome)``.
    Raises:
        ValueError: workers are there, but none was started for us, or the scheduler has gone.
        OSError: from ``batch.ended``.
        KeyboardInterrupt: Ctrl-C; what is queued is cancelled, and the workers stop what they run.
    """
    address, progress = client.scheduler.address, batch.progress
    keys = {_key(run, out): run for run in runs}
    waiting, pending, ended = list(keys), {}, queue.SimpleQueue()

    def started(event):
        key, host = event[1]["key"], event[1]["host"]
        if key in pending:
            progress.started(keys[key], host)

    client.subscribe_topic(_TOPIC, started)
    said, checked = None, {}
    try:
        while waiting or pending:
            slots, sentence = _slots(client, address, checked, progress.note)
            if sentence != said and sentence is not None:
                progress.note(sentence)
            said, progress.slots = sentence, max(1, slots)
            while waiting and len(pending) < slots:
                key = waiting.pop(0)
                pending[key] = client.submit(
                    run_on_worker,
                    key,
                    keys[key],
                    str(out),
                    str(notebook),
                    os.getcwd(),
                    key=key,
                    pure=False,
                    resources={RESOURCE: 1},
                    retries=1,
                )
                pending[key].add_done_callback(lambda future: ended.put(future.key))
            with contextlib.suppress(queue.Empty):
                key = ended.get(timeout=_LOOK_S)
                outcome = _outcome(pending.pop(key), address)
                if outcome.stopped:  # by the end of an earlier driver, or of its worker
                    progress.again(keys[key])
                    waiting.insert(0, key)
                else:
                    batch.ended(keys[key], outcome)
    except BaseException:
        with contextlib.suppress(Exception):  # the scheduler may be what failed
            client.cancel(list(pending.values()), force=True)
        raise


def _key(run, out):
    """Name of the task: its group in Dask's dashboard is what stands before the first dash."""
    digest = hashlib.sha256(json.dumps([os.path.realpath(out), run.config()]).encode()).hexdigest()[:8]
    return f"{run.method}__{run.group}__seed{run.seed}__{digest}".replace("-", "_")


def _slots(client, address, checked, note):
    """How many runs the workers take at a time, and a sentence where that is none.

    Args:
        checked: worker -> why it was refused, "" for one that fits; filled here.
        note: function that shows a sentence.
    Raises:
        ValueError: workers are there, but not one takes runs, or none has our code; or the scheduler has gone.
    """
    try:
        workers = client.scheduler_info(n_workers=-1)["workers"]
        offering = {name: int(worker["resources"].get(RESOURCE, 0)) for name, worker in workers.items()}
        new = [name for name, runs in offering.items() if runs and name not in checked]
        checked |= _refused(client, new)
    except Exception as error:  # whatever a broken connection raises
        raise _gone(address) from error
    reasons = [f"Dask worker {name} is refused: {checked[name]}" for name in new if checked[name]]
    slots = sum(runs for name, runs in offering.items() if runs and not checked[name])
    if reasons and not slots:
        raise ValueError(f"{'; '.join(reasons)}. Workers need the same installation as this process")
    for reason in reasons:
        note(reason)
    if slots:
        return slots, None
    tls = Path(client.security.tls_ca_file).parent if client.security.require_encryption else None
    if workers and not any(offering.values()):
        raise ValueError(
            f"{len(workers)} Dask workers at {address}, but none offers the resource {RESOURCE!r}; "
            f"start them with: {start_workers(address, tls)}"
        )
    if client.cluster is not None:
        return 0, "waiting for Slurm to start a worker; squeue shows the jobs"
    return 0, f"no worker at {address}, waiting for one; workers are started with: {start_workers(address, tls)}"


def _refused(client, workers):
    """worker -> why it gets no run, "" where it fits; those who do not fit are retired, so that no task reaches them.

    A worker with other code would measure something else, and one that cannot read our tasks never answers.
    """
    if not workers:
        return {}
    here, expression, answers = about_here(), question(), {}

    def ask(worker):
        try:  # ``eval`` is known to every worker
            answers.update(client.run(eval, expression, workers=[worker], on_error="return"))
        except Exception as error:
            answers[worker] = error

    threads = [threading.Thread(target=ask, args=(worker,), daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    end = time.monotonic() + _ANSWER_S
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    reasons = {name: differences(answers.get(name, TimeoutError(f"{_ANSWER_S} s")), here) for name in workers}
    away = [name for name, reason in reasons.items() if reason]
    if away:
        with contextlib.suppress(Exception):  # it may have gone by itself
            client.retire_workers(away, close_workers=True)
    return {name: visible(reason) for name, reason in reasons.items()}


def _gone(address):
    return ValueError(
        f"the Dask scheduler at {address} has gone or was restarted; "
        "once it and its workers are there again, the same command goes on from here"
    )


def _outcome(future, address):
    """The Outcome of a task, whatever became of it."""
    if future.status == "finished":
        return future.result()
    if future.status == "cancelled":
        raise _gone(address)
    error = future.exception()
    if type(error).__name__ == "KilledWorker":
        return Outcome("the workers that ran it were killed, one after the other (out of memory?)")
    return Outcome(f"its worker raised {type(error).__name__}: {error}")


def run_on_worker(key, run, out, notebook, cwd):
    """The task: execute one run in a child process of this worker, with as many threads as the worker has.

    The child ends when the task is cancelled, as it is when the driver has gone, and when the worker ends.

    Args:
        key: of this task.
        run, out, notebook: see `acssm_lib.batch.runner.reproduce`.
        cwd: working directory of the driver; relative paths start there.
    Returns:
        Outcome.
    """
    from distributed import Status, get_worker

    worker, host = get_worker(), socket.gethostname()
    for path in (Path(cwd), Path(cwd, out), Path(cwd, notebook)):
        if not path.exists():
            return Outcome(f"{host} does not see {path}: the workers and the starting machine must share their files")

    def stopped():
        task = worker.state.tasks.get(key)
        return task is None or task.state != "executing" or worker.status not in (Status.running, Status.paused)

    worker.log_event(_TOPIC, {"key": key, "host": host})
    environment = child_environment(threads=max(1, worker.state.nthreads))
    return execute(run, out, notebook, environment, stopped, cwd=cwd)
