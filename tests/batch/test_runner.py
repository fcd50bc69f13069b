"""The batch runner, with a tiny notebook in place of a training."""

import contextlib
import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import filelock
import pytest
import torch
from tiny_batch import PARAMETERS, files_of, is_alive, leave_run, make_notebook, wait_until

from acssm_lib.batch import process, run_one, runner
from acssm_lib.batch.runner import reproduce
from acssm_lib.batch.runs import Run, finished_or_why, is_finished, plan


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """One call of reproduce with a good run, one that raises, one that ends early and one that is killed twice."""
    root = tmp_path_factory.mktemp("batch")
    notebook = make_notebook(root)
    runs = plan(
        "synthetic-frogs",
        ["raises", "dies", "early", "good"],
        ["mel-stats"],
        [3],
        overrides={"n_layers": 4, "pretrain_lr": 1e-5},
    )
    printed, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "agg")
        patch.setenv("OMP_NUM_THREADS", "1")
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
            failures = reproduce(runs, root / "runs", jobs=2, notebook=notebook)
    return {
        "out": root / "runs",
        "notebook": notebook,
        "runs": {run.group: run for run in runs},
        "failures": failures,
        "printed": printed.getvalue(),
        "errors": errors.getvalue(),
    }


def test_notebook_gets_the_exact_parameters(batch):
    folder = batch["runs"]["good"].folder(batch["out"])
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["seed"] == 3 and metrics["preset"] == "quick" and metrics["data"] is None
    assert metrics["overrides"] == {"n_layers": 4, "pretrain_lr": 1e-5}
    assert metrics["weights"] is None and metrics["encoders"] == str(batch["out"] / "encoders")
    assert files_of(folder) == ["config.json", "metrics.json", "notebook.ipynb", "tries.txt"]


def test_config_says_every_setting(batch):
    config = json.loads((batch["runs"]["good"].folder(batch["out"]) / "config.json").read_text())
    assert config["settings"]["n_layers"] == 4 and config["settings"]["n_mels"] == 32
    assert (config["group"], config["seed"], config["overrides"]["pretrain_lr"]) == ("good", 3, 1e-5)


def test_figures_are_inline_and_the_user_keeps_the_thread_count(batch):
    metrics = json.loads((batch["runs"]["good"].folder(batch["out"]) / "metrics.json").read_text())
    assert "inline" in metrics["backend"]
    assert metrics["threads"] == "1"


@pytest.mark.parametrize(
    "given, expected",
    [
        ({"OMP_NUM_THREADS": "1"}, {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "VECLIB_MAXIMUM_THREADS": "1"}),
        ({"MKL_NUM_THREADS": "3"}, {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"}),
        ({"OMP_NUM_THREADS": "5", "NUMEXPR_NUM_THREADS": "7"}, {"MKL_NUM_THREADS": "5", "NUMEXPR_NUM_THREADS": "7"}),
        ({"OMP_NUM_THREADS": "4,2"}, {"OMP_NUM_THREADS": "4,2", "MKL_NUM_THREADS": "4"}),
        ({"OMP_NUM_THREADS": " ", "MKL_NUM_THREADS": "2"}, {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}),
    ],
)
def test_the_user_s_thread_count_holds_for_every_library(monkeypatch, given, expected):
    for name in process._THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    environment = process.child_environment(1)
    assert {name: environment[name] for name in expected} == expected
    exact = process.child_environment(threads=6)
    assert {exact[name] for name in process._THREAD_VARIABLES} == {"6"}


def test_a_run_imports_what_this_process_does_wherever_it_starts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["", "mine", "/else/where"]))
    path = process.child_environment()["PYTHONPATH"].split(os.pathsep)
    assert path[-2:] == [str(tmp_path / "mine"), "/else/where"] and set(path[:-2]) <= {process._ROOT}
    monkeypatch.setattr(process.site, "getsitepackages", lambda: [process._ROOT])
    monkeypatch.setenv("PYTHONPATH", "")
    assert "PYTHONPATH" not in process.child_environment()


def test_cores_are_shared_between_jobs(monkeypatch):
    for name in process._THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    cores = int(process.child_environment(1)["OMP_NUM_THREADS"])
    assert cores >= 1
    assert process.child_environment(10 * cores)["OMP_NUM_THREADS"] == "1"


def test_a_batch_that_goes_on_gives_a_run_the_threads_it_had_before(tmp_path, monkeypatch):
    asked, original = [], process.child_environment
    monkeypatch.setattr(runner, "child_environment", lambda jobs: asked.append(jobs) or original(jobs))
    runs = plan("synthetic-frogs", ["one", "good"], ["mel-stats"], [0])
    leave_run(runs[0], tmp_path / "runs")
    assert reproduce(runs, tmp_path / "runs", jobs=2, notebook=make_notebook(tmp_path)) == []
    assert asked == [2]


def test_killed_process_and_dead_kernel_are_tried_again(batch):
    folder = batch["runs"]["dies"].folder(batch["out"])
    assert (folder / "tries.txt").read_text() == "xxx"
    assert is_finished(batch["runs"]["dies"], batch["out"])
    assert not (folder / "failed.ipynb").exists()


def test_failed_run_is_reported_kept_and_not_repeated(batch):
    failed = {failure.run.group: failure for failure in batch["failures"]}
    assert list(failed) == ["raises", "early"]
    folder = batch["runs"]["raises"].folder(batch["out"])
    assert failed["raises"].reason == "ValueError: no clips in this group"
    assert failed["raises"].notebook == folder / "failed.ipynb"
    assert "no clips in this group" in (folder / "failed.ipynb").read_text()
    assert files_of(folder) == [".lock", "config.json", "failed.ipynb", "tries.txt"]
    assert (folder / "tries.txt").read_text() == "x"


def test_notebook_that_ends_without_metrics_has_failed(batch):
    early = batch["failures"][1]
    assert early.reason == "the notebook ended without writing metrics.json (not there)"
    assert not is_finished(early.run, batch["out"])


def test_one_line_per_run_and_the_failures_last(batch):
    lines = batch["printed"].splitlines()
    assert len(lines) == 4
    assert any("good/mel-stats/seed3" in line and " s  accuracy 0.800 ± 0.100" in line for line in lines)
    assert batch["errors"].splitlines()[0] == "2 of 4 runs failed:"
    assert "no clips in this group" in batch["errors"] and "failed.ipynb" in batch["errors"]
    assert "Traceback" not in batch["errors"]


def test_the_list_of_failures_shows_what_would_act_in_a_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runner, "execute", lambda *_: process.Outcome("bad \x1b[2J\nname"))
    runs = plan("synthetic-frogs", ["one"], ["mel-stats"], [0])
    assert len(reproduce(runs, tmp_path / "runs", notebook=make_notebook(tmp_path))) == 1
    errors = capsys.readouterr().err
    assert "\x1b" not in errors and len(errors.splitlines()) == 2 and r"bad \x1b[2J\nname" in errors


def test_finished_run_is_not_run_again(batch, capsys):
    run = batch["runs"]["good"]
    assert reproduce([run], batch["out"], notebook=batch["notebook"]) == []
    assert (run.folder(batch["out"]) / "tries.txt").read_text() == "x"
    assert "already done  accuracy 0.800" in capsys.readouterr().out


def test_a_second_try_sweeps_what_the_first_left_half_written(tmp_path):
    run = Run("synthetic-frogs", "good", "mel-stats", 0)
    folder = leave_run(run, tmp_path, finished=False)
    (folder / "progress" / "split0").mkdir(parents=True)
    left = [folder / ".encoder.host.12.0123abcd.part.pt", folder / "progress" / "split0" / ".draw0.12.part.ckpt"]
    for path in left:
        path.write_text("half")
    assert run_one._locked(run, tmp_path, make_notebook(tmp_path)) == (0, None)
    assert not any(path.exists() for path in left)


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("metrics.json", "{}", r"no record of schema 1 \(schema: none\)"),
        ("metrics.json", '{"schema": 0, "accuracy_mean": 0.5}', r"no record of schema 1 \(schema: 0\)"),
        ("metrics.json", '{"schema": 1}', "a record without accuracy_mean"),
        ("metrics.json", "", "empty"),
        ("metrics.json", '{"schema": 1, "accur', "not JSON"),
        ("metrics.json", "[]", "not JSON of a run"),
        ("config.json", "{", "not JSON"),
    ],
)
def test_a_damaged_or_older_file_is_named_and_its_run_done_again(tmp_path, capsys, name, content, words):
    run = Run("synthetic-frogs", "good", "mel-stats", 0)
    file = leave_run(run, tmp_path, finished=name == "metrics.json") / name
    file.write_text(content)
    finished, (fault,) = finished_or_why(run, tmp_path)
    assert not finished and re.fullmatch(f"{re.escape(str(file))}: {words}; this run is done again", fault)
    if content in ("{}", "{"):
        assert reproduce([run], tmp_path, notebook=make_notebook(tmp_path)) == []
        assert fault in capsys.readouterr().out and is_finished(run, tmp_path)


def test_an_empty_notebook_is_none(tmp_path):
    run = Run("synthetic-frogs", "good", "mel-stats", 0)
    (leave_run(run, tmp_path) / "notebook.ipynb").write_text("")
    assert not is_finished(run, tmp_path)


def test_unknown_parameter_is_refused_without_a_kernel(tmp_path):
    notebook = make_notebook(tmp_path, PARAMETERS.replace("seed = 0", "sead = 0"))
    (failure,) = reproduce(plan("synthetic-frogs", ["good"], ["mel-stats"], [0]), tmp_path / "runs", notebook=notebook)
    assert failure.reason.startswith("tiny_reproduce_group.ipynb has no parameter seed;")
    assert files_of(failure.run.folder(tmp_path / "runs")) == [".lock", "config.json"]


def test_missing_notebook_and_unwritable_out_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.ipynb"):
        reproduce([], tmp_path, notebook=tmp_path / "nowhere.ipynb")
    notebook = make_notebook(tmp_path)
    with pytest.raises(OSError, match="cannot write into .*choose another --out"):
        reproduce([], notebook / "runs", notebook=notebook)


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT to one process")
def test_ctrl_c_leaves_no_process_and_a_second_start_completes(tmp_path):
    notebook = make_notebook(tmp_path)
    runs = plan("synthetic-frogs", ["slow1", "slow2", "good"], ["mel-stats"], [0])
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from acssm_lib.batch.runner import reproduce\nfrom acssm_lib.batch.runs import plan\n"
        "runs = plan('synthetic-frogs', ['slow1', 'slow2', 'good'], ['mel-stats'], [0])\n"
        f"reproduce(runs, {str(tmp_path / 'runs')!r}, jobs=2, notebook={str(notebook)!r})\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)
    kernels = [run.folder(tmp_path / "runs") / "kernel" for run in runs[:2]]
    try:
        wait_until(lambda: all(kernel.exists() for kernel in kernels) or parent.poll() is not None)
        parent.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in parent.communicate(timeout=60)[1]
    finally:
        parent.kill()
    processes = [int(pid) for kernel in kernels for pid in kernel.read_text().split()]
    assert [pid for pid in processes if is_alive(pid)] == []
    assert not runs[2].folder(tmp_path / "runs").exists()
    assert reproduce(runs[:1], tmp_path / "runs", notebook=notebook) == []
    assert (kernels[0].parent / "tries.txt").read_text() == "xx"


@pytest.mark.skipif(sys.platform != "linux", reason="a process ends with its parent on Linux only")
def test_kill_9_leaves_no_process_and_a_second_start_runs_only_what_is_missing(tmp_path):
    notebook, out = make_notebook(tmp_path), tmp_path / "runs"
    runs = plan("synthetic-frogs", ["good", "slow1", "slow2"], ["mel-stats"], [0])
    leave_run(runs[0], out)
    program = (
        "from acssm_lib.batch.runner import reproduce\nfrom acssm_lib.batch.runs import plan\n"
        "runs = plan('synthetic-frogs', ['good', 'slow1', 'slow2'], ['mel-stats'], [0])\n"
        f"reproduce(runs, {str(out)!r}, jobs=2, notebook={str(notebook)!r})\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program])
    kernels = [run.folder(out) / "kernel" for run in runs[1:]]
    try:
        wait_until(lambda: all(kernel.exists() for kernel in kernels) or parent.poll() is not None)
    finally:
        parent.kill()
        parent.wait()
    processes = [int(pid) for kernel in kernels for pid in kernel.read_text().split()]
    wait_until(lambda: not any(is_alive(pid) for pid in processes), seconds=20)
    assert reproduce(runs, out, jobs=2, notebook=notebook) == []
    assert not (runs[0].folder(out) / "tries.txt").exists()
    for run in runs[1:]:
        assert (run.folder(out) / "tries.txt").read_text() == "xx"
        assert files_of(run.folder(out)) == ["config.json", "kernel", "metrics.json", "notebook.ipynb", "tries.txt"]


def test_full_disk_ends_the_batch_with_one_sentence_and_nothing_half_written(tmp_path, capsys):
    runs = plan("synthetic-frogs", ["full", "good"], ["mel-stats"], [0])
    with pytest.raises(OSError, match="full/mel-stats/seed0: there is no room left to write .*; make room below"):
        reproduce(runs, tmp_path / "runs", notebook=make_notebook(tmp_path))
    assert "[1/2] synthetic-frogs/full/mel-stats/seed0" in capsys.readouterr().out
    assert files_of(runs[0].folder(tmp_path / "runs")) == [".lock", "config.json", "failed.ipynb", "tries.txt"]
    assert not (runs[1].folder(tmp_path / "runs") / "tries.txt").exists()


@pytest.mark.parametrize("number, status", [(errno.ENOSPC, run_one.NO_ROOM), (errno.EACCES, run_one.FAILED)])
def test_notebook_that_cannot_be_saved_leaves_no_half_of_it(tmp_path, monkeypatch, number, status):
    run = Run("synthetic-frogs", "good", "mel-stats", 0)

    def save_half(notebook, parameters):
        (run.folder(tmp_path) / run_one.PART).write_text("{")
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(run_one, "_execute", save_half)
    assert run_one._locked(run, tmp_path, make_notebook(tmp_path)) == (
        status,
        f"cannot write {run.folder(tmp_path)}: {os.strerror(number)}",
    )
    assert files_of(run.folder(tmp_path)) == [".lock", "config.json"]


def test_torch_with_no_room_reads_as_a_full_disk():
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with pytest.raises(RuntimeError) as raised:
        torch.save({"weights": torch.zeros(10_000)}, "/dev/full")
    assert run_one._FULL_WORDS.search(str(raised.value).splitlines()[0])


def test_two_processes_never_work_on_one_run(tmp_path, monkeypatch):
    run = Run("synthetic-frogs", "good", "mel-stats", 0)
    folder = run.folder(tmp_path)
    folder.mkdir(parents=True)
    monkeypatch.setattr(run_one, "LOCK_WAIT_S", 0.1)
    with filelock.FileLock(folder / ".lock"):
        status, reason = run_one._locked(run, tmp_path, make_notebook(tmp_path))
    assert status == run_one.FAILED and "another process is at work in" in reason
    assert files_of(folder) == [".lock"]


def test_a_second_call_leaves_the_notebook_of_the_one_at_work_where_it_is(tmp_path):
    (tmp_path / run_one.PART).write_text("{}")
    with filelock.FileLock(tmp_path / ".lock"):
        assert runner._keep_failed(tmp_path) is None
        assert files_of(tmp_path) == [run_one.PART, ".lock"] or files_of(tmp_path) == [".lock", run_one.PART]
    assert runner._keep_failed(tmp_path) == tmp_path / "failed.ipynb"  # nobody is at work: it was left by a dead kernel


def test_settings_are_compared_again_under_the_lock(tmp_path):
    folder = leave_run(Run("synthetic-frogs", "good", "mel-stats", 0, overrides={"n_layers": 2}), tmp_path)
    before = {name: (folder / name).read_bytes() for name in files_of(folder)}
    asked = Run("synthetic-frogs", "good", "mel-stats", 0, overrides={"n_layers": 4})
    status, reason = run_one._locked(asked, tmp_path, make_notebook(tmp_path))
    assert status == run_one.FAILED and "holds a run with n_layers=2" in reason
    assert {name: (folder / name).read_bytes() for name in before} == before


def test_the_page_of_a_run_loads_no_tables_and_no_statistics_package():
    page = json.loads(runner.find_notebook().read_text(encoding="utf-8"))
    code = ["".join(cell["source"]) for cell in page["cells"] if cell["cell_type"] == "code"]
    lines = "\n".join(code).splitlines()
    imports = [line for line in lines if line.startswith(("import ", "from "))]
    assert "import torch" in imports
    program = "\n".join([*imports, "import sys", "print(*sys.modules)"])
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "acssm_lib.experiment.measure" in loaded
    assert not {"pandas", "seaborn", "sklearn", "scipy.stats", "scipy.signal"}.intersection(loaded)
