"""Runs on Dask workers: a real scheduler and real workers on loopback."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_batch import is_alive, make_notebook, start_driver, tries, wait_until

from acssm_lib.batch.runner import reproduce
from acssm_lib.batch.runs import is_finished, plan

pytest.importorskip("distributed", reason="needs pip install 'acoustic-ssm[cluster]'")
pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")

from acssm_lib.batch import dask_workers  # noqa: E402
from acssm_lib.batch.handshake import about_here, differences, question  # noqa: E402

WORKER = ["worker", "--nthreads", "1", "--memory-limit", "0", "--no-dashboard", "--host", "127.0.0.1"]
OURS = ["--resources", "job=1"]


class Dask:
    """A scheduler and workers in processes of their own; all of them gone at the end."""

    def __init__(self, folder, protocol="tcp", tls=()):
        self.folder, self.processes, self.tls = folder, [], tls
        file = folder / "scheduler.json"
        self.start(
            *"scheduler --host 127.0.0.1 --port 0 --no-dashboard --scheduler-file".split(),
            str(file),
            "--protocol",
            protocol,
            *tls,
        )
        wait_until(lambda: file.exists() and "127.0.0.1" in file.read_text())
        self.address = re.search(protocol + r"://127\.0\.0\.1:\d+", file.read_text())[0]

    def start(self, *words, code=None):
        log = (self.folder / f"log{len(self.processes)}.txt").open("w")
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *words],
            stdout=log,
            stderr=log,
            cwd=self.folder,
            start_new_session=True,
            env=os.environ | ({"PYTHONPATH": str(code)} if code else {}),
        )
        self.processes.append(process)
        return process

    def worker(self, *words, code=None):
        """``code``: folder of the package that it loads, for another than ours."""
        return self.start(*WORKER, "--local-directory", str(self.folder), *self.tls, *words, self.address, code=code)

    def close(self):
        for process in reversed(self.processes):
            kill_group(process)


def kill_group(process):
    """kill -9 for a nanny and its worker, which are in one session."""
    for pid in [process.pid, *descendants(process.pid)]:
        if "run_one" not in command(pid) and "ipykernel" not in command(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()


def command(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def descendants(pid):
    try:
        children = Path(f"/proc/{pid}/task").glob("*/children")
        found = [int(child) for file in children for child in file.read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return found + [deeper for child in found for deeper in descendants(child)]


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    dask = Dask(tmp_path_factory.mktemp("dask"))
    yield dask
    dask.close()


def test_workers_that_would_never_take_a_run_are_refused(dask, tmp_path):
    worker = dask.worker()
    wait_until(lambda: "Starting established connection" in (dask.folder / "log1.txt").read_text())
    runs = plan("synthetic-frogs", ["one"], ["mel-stats"], [0])
    with pytest.raises(ValueError, match="1 Dask workers at tcp.*dask worker tcp.*--resources job=1"):
        reproduce(runs, tmp_path / "runs", notebook=make_notebook(tmp_path), scheduler=dask.address)
    assert not runs[0].folder(tmp_path / "runs").exists()
    kill_group(worker)


def test_a_killed_worker_costs_no_run_and_a_failed_run_no_other(dask, tmp_path):
    """Two workers, four runs; the worker (and its nanny) of a run that would not end by itself is killed."""
    out, notebook = tmp_path / "runs", make_notebook(tmp_path)
    groups = ["slow", "raises", "one", "two"]
    runs = plan("synthetic-frogs", groups, ["mel-stats"], [0])
    workers = [dask.worker(*OURS), dask.worker(*OURS)]
    kernel_file = runs[0].folder(out) / "kernel"
    driver = start_driver(tmp_path, groups, notebook, scheduler=dask.address)
    try:
        wait_until(lambda: kernel_file.exists() or driver.poll() is not None)
        kernel, parent = map(int, kernel_file.read_text().split())
        kill_group(next(worker for worker in workers if parent in descendants(worker.pid)))
        printed, errors = driver.communicate(timeout=60)
    finally:
        driver.kill()
    assert driver.returncode == 1, errors
    assert [run.group for run in runs if is_finished(run, out)] == ["slow", "one", "two"]
    assert [tries(run, out) for run in runs] == ["xx", "x", "x", "x"]
    assert not is_alive(kernel) and not is_alive(parent)
    assert len([line for line in printed.splitlines() if "accuracy 0.800 ± 0.100" in line]) == 3
    assert "raises/mel-stats/seed0: ValueError: no clips in this group (runs/" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
def test_stopped_driver_stops_its_runs_and_a_second_start_completes(dask, tmp_path, ending):
    """Uses the worker that the test before has left alive."""
    out, notebook = tmp_path / "runs", make_notebook(tmp_path)
    runs = plan("synthetic-frogs", ["slow", "one"], ["mel-stats"], [0])
    kernel_file = runs[0].folder(out) / "kernel"
    driver = start_driver(tmp_path, ["slow", "one"], notebook, scheduler=dask.address)
    try:
        wait_until(lambda: kernel_file.exists() or driver.poll() is not None)
        driver.send_signal(ending)
        driver.communicate(timeout=60)
    finally:
        driver.kill()
    processes = [int(pid) for pid in kernel_file.read_text().split()]
    wait_until(lambda: not any(is_alive(pid) for pid in processes), seconds=30)
    assert not runs[1].folder(out).exists()
    assert reproduce(runs, out, notebook=notebook, scheduler=dask.address) == []
    assert [tries(run, out) for run in runs] == ["xx", "x"]


def test_a_worker_with_other_code_or_none_gets_no_run(tmp_path, capsys):
    """It is named and sent away within seconds; a worker that fits does the runs."""
    other, none = tmp_path / "other", tmp_path / "none" / "acssm_lib"
    shutil.copytree(Path(dask_workers.__file__).parents[1], other / "acssm_lib")
    with (other / "acssm_lib" / "batch" / "runs.py").open("a") as file:
        file.write("# edited\n")
    none.mkdir(parents=True)
    (none / "__init__.py").write_text("raise ImportError('not here')\n")
    runs = plan("synthetic-frogs", ["one"], ["mel-stats"], [0])
    out, notebook = tmp_path / "runs", make_notebook(tmp_path)
    dask = Dask(tmp_path)
    try:
        workers = [dask.worker(*OURS, code=other), dask.worker(*OURS, code=none.parent)]
        wait_until(lambda: established(dask) == 2)
        with pytest.raises(ValueError, match=r"tcp://\S+ is refused: acssm_lib code \w+ \(here code \w+\)") as caught:
            reproduce(runs, out, notebook=notebook, scheduler=dask.address)
        assert "acssm_lib cannot be loaded (ImportError: not here)" in str(caught.value)
        assert not runs[0].folder(out).exists()
        wait_until(lambda: None not in [worker.poll() for worker in workers], seconds=30)
        dask.worker(*OURS)
        dask.worker(*OURS, code=other)
        wait_until(lambda: established(dask) == 4)
        assert reproduce(runs, out, notebook=notebook, scheduler=dask.address) == []
        assert is_finished(runs[0], out) and "is refused: acssm_lib code" in capsys.readouterr().out
    finally:
        dask.close()


def established(dask):
    """How many workers have reached the scheduler since its start."""
    return sum("Starting established connection" in log.read_text() for log in dask.folder.glob("log[1-9].txt"))


def test_the_answers_of_workers_are_compared_word_by_word():
    here = about_here()
    assert eval(question()) == here and "code " in here["acssm_lib"]  # as on a worker
    assert differences(here | {"host": "elsewhere"}, here) == ""
    assert differences(here | {"Python": "3.8.1"}, here) == f"Python 3.8.1 (here {here['Python']})"
    fields = here["fields of Run"]
    less = fields.rpartition(" ")[0]
    assert differences(here | {"fields of Run": less}, here) == f"fields of Run {less} (here {fields})"
    assert differences(TimeoutError("20 s"), here) == "it does not answer (TimeoutError: 20 s)"


def test_the_command_for_workers_says_what_it_opens():
    words = dask_workers.start_workers("tcp://lab:8786")
    assert words.startswith("dask worker tcp://lab:8786 --nworkers") and "can run code as the user" in words
    words = dask_workers.start_workers("tls://lab:8786", "keys")
    assert "--tls-ca-file keys/ca.pem --tls-cert keys/cert.pem --tls-key keys/key.pem" in words
    assert "can run code" not in words


@pytest.fixture
def certificate(tmp_path):
    """A folder with a certificate that vouches for itself."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here to make a certificate")
    folder = tmp_path / "keys"
    folder.mkdir()
    subprocess.run(
        [*"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=acssm -keyout key.pem -out cert.pem".split()],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    shutil.copy(folder / "cert.pem", folder / "ca.pem")
    return folder


def test_with_certificates_a_run_is_done_and_without_one_nobody_gets_in(certificate, tmp_path, monkeypatch):
    options = [
        f"--tls-{option}={certificate / name}"
        for option, name in zip(("ca-file", "cert", "key"), dask_workers.TLS_FILES)
    ]
    runs = plan("synthetic-frogs", ["one"], ["mel-stats"], [0])
    out, notebook = tmp_path / "runs", make_notebook(tmp_path)
    dask = Dask(tmp_path, "tls", options)
    try:
        dask.worker("--protocol", "tls", *OURS)
        assert reproduce(runs, out, notebook=notebook, scheduler=dask.address, tls=certificate) == []
        assert is_finished(runs[0], out)
        monkeypatch.setattr(dask_workers, "_CONNECT_S", 2)
        with pytest.raises(ValueError, match="no Dask scheduler answers"):
            reproduce(runs, tmp_path / "again", notebook=notebook, scheduler=dask.address.replace("tls:", "tcp:"))
        with pytest.raises(ValueError, match="is reached with a certificate; name the folder with ca.pem, cert.pem"):
            reproduce(runs, tmp_path / "again", notebook=notebook, scheduler=dask.address)
    finally:
        dask.close()


def test_certificates_are_looked_at_before_anything_is_asked(certificate, tmp_path):
    with pytest.raises(ValueError, match="tcp://x:1 is not encrypted"):
        dask_workers._security("tcp://x:1", certificate)
    with dask_workers.slurm_cluster(
        {"cores": 1, "memory": "1GB", "interface": "lo"}, tmp_path, dask_workers._security(None, certificate)
    ) as slurm:
        assert f"--tls-ca-file {certificate}/ca.pem" in slurm.job_script()
    (certificate / "key.pem").unlink()
    with pytest.raises(ValueError, match="there is no key.pem"):
        dask_workers._security("tls://x:1", certificate)


def test_unreachable_scheduler_and_missing_packages_are_one_sentence(tmp_path, monkeypatch):
    runs = plan("synthetic-frogs", ["one"], ["mel-stats"], [0])
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "distributed", None)
        with pytest.raises(ValueError, match=r"pip install 'acoustic-ssm\[cluster\]'"):
            reproduce(runs, tmp_path / "runs", notebook=make_notebook(tmp_path), scheduler="tcp://127.0.0.1:1")
    monkeypatch.setattr(dask_workers, "_CONNECT_S", 1)
    with pytest.raises(ValueError, match="no Dask scheduler answers at tcp://127.0.0.1:1 .*dask worker"):
        reproduce(runs, tmp_path / "runs", notebook=make_notebook(tmp_path), scheduler="tcp://127.0.0.1:1")


def test_task_without_an_outcome_of_its_own_is_explained():
    def task(status, error=None):
        return SimpleNamespace(status=status, exception=lambda: error)

    class KilledWorker(Exception):
        pass

    assert "workers that ran it were killed" in dask_workers._outcome(task("error", KilledWorker()), "tcp://x").reason
    raised = dask_workers._outcome(task("error", ModuleNotFoundError("No module named 'acssm_lib'")), "tcp://x")
    assert raised.reason == "its worker raised ModuleNotFoundError: No module named 'acssm_lib'"
    with pytest.raises(ValueError, match="scheduler at tcp://x has gone or was restarted"):
        dask_workers._outcome(task("cancelled"), "tcp://x")
