"""Many runs of one notebook: which are wanted, which are finished, and how the rest is started.

A run is one group, method and seed. It is finished when its folder holds the executed notebook and its
metrics; finished runs are never run again, stopped ones go on from their own checkpoint.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from acssm_lib.files import write_json
from acssm_lib.presets import preset as named_preset
from acssm_lib.run_one import FAILED, PART, REASON

TRIES = 3  # a run whose process was killed or never answered is started up to three times
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class RunConflict(ValueError):
    """The run folder holds a run of other settings; nothing was changed.

    Taught in: 08_reproduce_group.
    """


@dataclass(frozen=True)
class Run:
    """One execution of the notebook: what it is given, and where its files go.

    Raises:
        ValueError: from ``config``, when ``preset`` or a name in ``overrides`` is unknown.
    Taught in: 08_reproduce_group.
    """

    dataset: str
    group: str
    method: str
    seed: int
    preset: str = "quick"
    overrides: dict = field(default_factory=dict)  # preset field -> value
    data: str | None = None  # path of the data set, None for synthetic-frogs

    @property
    def name(self):
        """The run in one word, also its folder below RUNS."""
        return f"{self.dataset}/{self.group}/{self.method}/seed{self.seed}"

    def folder(self, out):
        """RUNS/<dataset>/<group>/<method>/seed<k>."""
        return Path(out) / self.name

    def config(self):
        """What ``config.json`` says: the parameters of the run, and every setting they lead to."""
        return {"dataset": self.dataset, "data": self.data, "group": self.group, "method": self.method,
                "seed": self.seed, "preset": self.preset, "overrides": self.overrides,
                "settings": named_preset(self.preset, **self.overrides).as_dict()}

    def parameters(self, out):
        """What papermill writes into the notebook: plain values only."""
        config = self.config()
        return {key: config[key] for key in config if key != "settings"} | {"out": str(self.folder(out))}


@dataclass(frozen=True)
class Failure:
    """A run that did not finish: why, in one line, and the notebook that stopped (None if none was kept).

    Taught in: 08_reproduce_group.
    """

    run: Run
    reason: str
    notebook: Path | None = None


def plan(dataset, groups, methods, seeds, preset="quick", overrides=None, data=None):
    """The runs in the order they are started: group by group, the methods in the order given, then the seeds.

    Returns:
        list of Run, without repetitions.
    Taught in: 08_reproduce_group.
    """
    return [Run(dataset, group, method, seed, preset, dict(overrides or {}), data)
            for group in dict.fromkeys(groups) for method in dict.fromkeys(methods) for seed in dict.fromkeys(seeds)]


def is_finished(run, out):
    """Whether the run's notebook and metrics are both there.

    Raises:
        RunConflict: the folder holds a run, finished or not, of other parameters or settings.
    Taught in: 08_reproduce_group.
    """
    folder = run.folder(out)
    wanted = json.loads(json.dumps(run.config()))  # as a file would give it back
    for path in (folder / "config.json", folder / "metrics.json"):
        if path.exists():
            differences = _differences(_read_json(path), wanted)
            if differences:
                holds, asked = (", ".join(f"{key}={pair[side]}" for key, pair in differences[:3]) for side in (0, 1))
                more = f" (and {len(differences) - 3} more)" if len(differences) > 3 else ""
                raise RunConflict(f"{folder} holds a run with {holds}, you asked for {asked}{more}; "
                                  "choose another --out or delete it")
    return (folder / "notebook.ipynb").exists() and (folder / "metrics.json").exists()


def _differences(stored, wanted):
    """[(name, (stored value, wanted value))]; other presets differ in many fields, only the preset is named."""
    names = [key for key in wanted if key in stored and key not in ("settings", "overrides")]
    pairs = {key: (stored[key], wanted[key]) for key in names}
    if "data" in pairs and None not in pairs["data"]:
        if os.path.realpath(pairs["data"][0]) == os.path.realpath(pairs["data"][1]):
            del pairs["data"]
    if stored.get("preset", wanted["preset"]) == wanted["preset"]:
        settings = stored.get("settings", wanted["settings"])
        for key in {**wanted["settings"], **settings}:
            pairs[key] = (settings.get(key, "(not there)"), wanted["settings"].get(key, "(not there)"))
    return [(key, pair) for key, pair in pairs.items() if pair[0] != pair[1]]


def _read_json(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunConflict(f"{path} is not JSON ({error}); delete {path.parent} to run it again") from None


def find_notebook(notebook=None):
    """The notebook of a run: the one given, else ``notebooks/*_reproduce_group.ipynb`` beside the package.

    Raises:
        FileNotFoundError: it is not there, as in an installation without the repository.
    Taught in: 08_reproduce_group.
    """
    if notebook is not None:
        if not Path(notebook).is_file():
            raise FileNotFoundError(f"there is no notebook {notebook}")
        return Path(notebook).resolve()
    folder = Path(__file__).resolve().parent.parent / "notebooks"
    found = sorted(folder.glob("*_reproduce_group.ipynb"))
    if len(found) != 1:
        raise FileNotFoundError(f"expected one *_reproduce_group.ipynb in {folder}, found {len(found)}; "
                                "install the package from its repository (pip install -e .) or give --notebook")
    return found[0]


def reproduce(runs, out, jobs=1, notebook=None):
    """Run what is not finished yet, ``jobs`` runs at a time, each in its own process; print a line per run.

    Ctrl-C stops the running processes and leaves everything so that the same call goes on from there.

    Args:
        runs: list of Run, see `plan`.
        out: the RUNS folder, created if need be.
        jobs: runs at a time; the CPU cores are shared evenly between them.
        notebook: see `find_notebook`.
    Returns:
        list of Failure, in the order of ``runs``; empty when every run is finished.
    Raises:
        RunConflict: a folder holds a run of other settings; raised before anything starts.
        FileNotFoundError: no notebook.
        OSError: ``out`` cannot be written.
        KeyboardInterrupt: Ctrl-C, after every process has ended.
    Taught in: 08_reproduce_group.
    """
    notebook = find_notebook(notebook)
    finished = [is_finished(run, out) for run in runs]
    _check_writable(Path(out))
    batch = _Batch(Path(out), jobs, notebook, len(runs))
    for run, done in zip(runs, finished, strict=True):
        if done:
            batch.say(run, "already done", _accuracy(run.folder(out)))
    failures = batch.execute([run for run, done in zip(runs, finished, strict=True) if not done])
    if failures:
        lines = [f"{len(failures)} of {len(runs)} runs failed:"]
        lines += [f"  {failure.run.name}: {failure.reason}" + (f" ({failure.notebook})" if failure.notebook else "")
                  for failure in failures]
        print("\n".join(lines), file=sys.stderr, flush=True)
    return failures


class _Batch:
    """The running processes of one call of `reproduce`."""

    def __init__(self, out, jobs, notebook, total):
        self.out, self.jobs, self.notebook = out, jobs, notebook
        self.total, self.count = total, 0
        self.children = set()
        self.stopped = False
        self.lock = threading.Lock()  # of the four above

    def say(self, run, *words):
        with self.lock:
            self.count += 1
            print(f"[{self.count}/{self.total}] {run.name}", *words, sep="  ", flush=True)

    def execute(self, runs):
        """Failures of ``runs``, in their order."""
        pool = ThreadPoolExecutor(self.jobs)
        try:
            futures = [pool.submit(self.run, run) for run in runs]
            for future in as_completed(futures):
                future.result()
        except BaseException:
            self.stop()  # first, or the threads would start the next try
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return [failure for future in futures if (failure := future.result())]

    def stop(self):
        with self.lock:
            self.stopped = True
            for child in self.children:
                child.terminate()

    def run(self, run):
        """Execute one run, with further tries where that can help; a Failure, or None."""
        started = time.monotonic()
        folder = run.folder(self.out)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_json(folder / "config.json", run.config())
            for _ in range(TRIES):
                status, errors = self.start(run)
                if status in (0, FAILED) or self.stopped:
                    break
        except OSError as error:
            status, errors = 1, f"{REASON}{error}"
        if self.stopped and status != 0:
            return None
        seconds = f"{time.monotonic() - started:.1f} s"
        if status == 0:
            return self.say(run, seconds, _accuracy(folder))
        failure = Failure(run, _reason(status, errors), _keep_failed(folder))
        self.say(run, seconds, f"failed: {failure.reason}")
        return failure

    def start(self, run):
        """One process for one try: its exit status and what it wrote to stderr."""
        job = {"notebook": str(self.notebook), "parameters": run.parameters(self.out)}
        with self.lock:
            if self.stopped:
                return 1, ""
            child = subprocess.Popen(  # in its own session, so that Ctrl-C reaches this process only
                [sys.executable, "-m", "acssm_lib.run_one"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE, env=child_environment(self.jobs), start_new_session=True,
                text=True, encoding="utf-8", errors="replace")
            self.children.add(child)
        try:
            errors = child.communicate(json.dumps(job))[1]  # stderr is the kernel's too: it has gone as well now
            return child.returncode, errors
        finally:
            with self.lock:
                self.children.discard(child)


def child_environment(jobs):
    """Environment of a run: its share of the cores, unless the user has set one, and figures drawn inline.

    Taught in: 08_reproduce_group.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = {name: str(max(1, cores // jobs)) for name in _THREAD_VARIABLES}
    environment = threads | dict(os.environ)
    environment.pop("MPLBACKEND", None)  # the kernel chooses the inline backend only where none is set
    return environment


def _reason(status, errors):
    """Why a process ended, in one line."""
    lines = [line.strip() for line in errors.splitlines() if line.strip()]
    told = [line.removeprefix(REASON) for line in lines if line.startswith(REASON)]
    if told:
        return told[-1]
    if status < 0:
        return f"its process was ended from outside ({signal.strsignal(-status)}; out of memory?), {TRIES} tries"
    return lines[-1] if lines else f"its process ended with status {status} and no message"


def _keep_failed(folder):
    """Path of ``failed.ipynb``, for a dead kernel the notebook up to its last saved cell; None without either."""
    failed = folder / "failed.ipynb"
    if (folder / PART).exists():
        os.replace(folder / PART, failed)
    return failed if failed.exists() else None


def _accuracy(folder):
    """``accuracy 0.812 ± 0.034`` from the metrics of a finished run; 95 % interval, half its width."""
    metrics = _read_json(folder / "metrics.json")
    low, high = metrics.get("accuracy_ci95") or (None, None)
    half = "" if None in (low, high) else f" ± {(high - low) / 2:.3f}"  # one episode has no interval
    return f"accuracy {metrics.get('accuracy_mean', float('nan')):.3f}{half}"


def _check_writable(out):
    """Fail now rather than after the first training."""
    probe = out / f".writable-{os.getpid()}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe.write_text("if this was left behind, delete it\n" * 100, encoding="utf-8")
        probe.unlink()
    except OSError as error:
        raise OSError(f"cannot write into {out} ({error.strerror}); choose another --out or make room") from None
