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
import time
from pathlib import Path

import filelock
import nbformat
import pytest
import torch

from acssm_lib.batch import process, run_one, runner
from acssm_lib.batch.runner import reproduce
from acssm_lib.batch.runs import Run, RunConflict, finished_or_why, is_finished, plan

PARAMETERS = """\
dataset = "synthetic-frogs"  # no download
data = None
group = "good"
method = "mel-stats"
seed = 0
preset = "quick"
overrides = {}
weights = None
encoders = None
out = None
"""

# The group says what happens; tries.txt counts the starts of the run.
BODY = """\
import json, os, pathlib, signal, sys, time
folder = pathlib.Path(out)
with open(folder / "tries.txt", "a") as file:
    file.write("x")
first, second = ((folder / "tries.txt").stat().st_size == n for n in (1, 2))
if group == "raises":
    raise ValueError("no clips in this group" + chr(10) + "second line")
if group == "full":
    raise OSError(28, "No space left on device", "encoder.pt")
if group == "early":
    sys.exit(0)
if group == "dies" and first:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(60)
if group == "dies" and second:
    os._exit(1)
if "forks" in group:
    import subprocess
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    (folder / "child").write_text(str(child.pid))
if group.startswith("slow") and first:
    (folder / "kernel.part").write_text(f"{os.getpid()} {os.getppid()}")
    os.replace(folder / "kernel.part", folder / "kernel")
    time.sleep(60)
metrics = {"schema": 1, "accuracy_mean": 0.8, "accuracy_ci95": [0.7, 0.9], "seed": seed, "preset": preset, "data": data,
           "overrides": overrides, "weights": weights, "encoders": encoders,
           "backend": os.environ["MPLBACKEND"], "threads": os.environ["OMP_NUM_THREADS"]}
(folder / ".metrics.part").write_text(json.dumps(metrics))
os.replace(folder / ".metrics.part", folder / "metrics.json")
"""


def make_notebook(folder, parameters=PARAMETERS):
    cells = [nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}),
             nbformat.v4.new_code_cell(BODY)]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    path = folder / "tiny_reproduce_group.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), path)
    return path


def files_of(folder):
    return sorted(path.name for path in folder.iterdir())


def leave_run(run, out, *, finished=True):
    """The files of a run, as the runner and the notebook would leave them."""
    folder = run.folder(out)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(run.config()))
    if finished:
        (folder / "notebook.ipynb").write_text("{}")
        record = {"schema": 1, "accuracy_mean": 0.5, "accuracy_ci95": [0.4, 0.6]}
        (folder / "metrics.json").write_text(json.dumps(record))
    return folder


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    """One call of reproduce with a good run, one that raises, one that ends early and one that is killed twice."""
    root = tmp_path_factory.mktemp("batch")
    notebook = make_notebook(root)
    runs = plan("synthetic-frogs", ["raises", "dies", "early", "good"], ["mel-stats"], [3],
                overrides={"n_layers": 4, "pretrain_lr": 1e-5})
    printed, errors = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MPLBACKEND", "agg")
        patch.setenv("OMP_NUM_THREADS", "1")
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
            failures = reproduce(runs, root / "runs", jobs=2, notebook=notebook)
    return {"out": root / "runs", "notebook": notebook, "runs": {run.group: run for run in runs},
            "failures": failures, "printed": printed.getvalue(), "errors": errors.getvalue()}


def test_plan_keeps_the_order_and_drops_repetitions():
    names = [run.name for run in plan("esc50", ["E1", "E2"], ["supervised", "mel-stats", "supervised"], [1, 0])]
    assert names == [f"esc50/{group}/{method}/seed{seed}"
                     for group in ("E1", "E2") for method in ("supervised", "mel-stats") for seed in (1, 0)]


def test_folder_is_the_documented_one():
    assert Run("esc50", "E1", "supervised", 2).folder("RUNS") == Path("RUNS/esc50/E1/supervised/seed2")


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


@pytest.mark.parametrize("given, expected", [
    ({"OMP_NUM_THREADS": "1"}, {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "VECLIB_MAXIMUM_THREADS": "1"}),
    ({"MKL_NUM_THREADS": "3"}, {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"}),
    ({"OMP_NUM_THREADS": "5", "NUMEXPR_NUM_THREADS": "7"}, {"MKL_NUM_THREADS": "5", "NUMEXPR_NUM_THREADS": "7"}),
    ({"OMP_NUM_THREADS": "4,2"}, {"OMP_NUM_THREADS": "4,2", "MKL_NUM_THREADS": "4"}),
    ({"OMP_NUM_THREADS": " ", "MKL_NUM_THREADS": "2"}, {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}),
])
def test_the_user_s_thread_count_holds_for_every_library(monkeypatch, given, expected):
    for name in process._THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    environment = process.child_environment(1)
    assert {name: environment[name] for name in expected} == expected
    exact = process.child_environment(threads=6)
    assert {exact[name] for name in process._THREAD_VARIABLES} == {"6"}


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


def test_finished_run_is_not_run_again(batch, capsys):
    run = batch["runs"]["good"]
    assert reproduce([run], batch["out"], notebook=batch["notebook"]) == []
    assert (run.folder(batch["out"]) / "tries.txt").read_text() == "x"
    assert "already done  accuracy 0.800" in capsys.readouterr().out


@pytest.mark.parametrize("missing", ["notebook.ipynb", "metrics.json"])
def test_half_a_run_is_not_finished(tmp_path, missing):
    run = Run("synthetic-frogs", "good", "mel-stats", 0)
    (leave_run(run, tmp_path) / missing).unlink()
    assert not is_finished(run, tmp_path)


@pytest.mark.parametrize("finished", [True, False])
def test_other_settings_are_refused_before_anything_starts(tmp_path, finished):
    stored = Run("synthetic-frogs", "good", "mel-stats", 0, overrides={"n_layers": 2})
    folder = leave_run(stored, tmp_path, finished=finished)
    before = {name: (folder / name).read_bytes() for name in files_of(folder)}
    asked = plan("synthetic-frogs", ["aardvark", "good"], ["mel-stats"], [0], overrides={"n_layers": 4})
    with pytest.raises(RunConflict, match="holds a run with n_layers=2, you asked for n_layers=4"):
        reproduce(asked, tmp_path, notebook=make_notebook(tmp_path))
    assert {name: (folder / name).read_bytes() for name in files_of(folder)} == before
    assert not asked[0].folder(tmp_path).exists()


def test_other_preset_and_other_data_are_refused_by_name(tmp_path):
    leave_run(Run("esc50", "E1", "mel-stats", 0, data="one"), tmp_path)
    with pytest.raises(RunConflict, match="with preset=quick, you asked for preset=paper;"):
        is_finished(Run("esc50", "E1", "mel-stats", 0, preset="paper", data="one"), tmp_path)
    with pytest.raises(RunConflict, match="with data=/.*/one, you asked for data=/.*/two;"):
        is_finished(Run("esc50", "E1", "mel-stats", 0, data="two"), tmp_path)
    assert is_finished(Run("esc50", "E1", "mel-stats", 0, data="./one/"), tmp_path)


def test_a_relative_path_of_an_old_record_began_where_that_batch_was_started(tmp_path, monkeypatch):
    for place in ("here", "there"):
        (tmp_path / place / "recordings").mkdir(parents=True)
    (tmp_path / "there" / "recordings_too").mkdir()
    run = Run("esc50", "E1", "mel-stats", 0, data=str(tmp_path / "here" / "recordings"))
    folder = leave_run(run, tmp_path / "here" / "runs" / "first")
    (folder / "config.json").write_text(json.dumps(run.config() | {"data": "recordings/"}))
    monkeypatch.chdir(tmp_path / "there")  # where a folder of that name lies too
    assert is_finished(run, tmp_path / "here" / "runs" / "first")
    for other in ("recordings", "recordings_too"):
        with pytest.raises(RunConflict, match="holds a run with data=recordings/, you asked for data=/.*/there/"):
            is_finished(Run("esc50", "E1", "mel-stats", 0, data=other), tmp_path / "here" / "runs" / "first")


def test_a_run_is_given_whole_paths_wherever_it_was_planned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run, = plan("esc50", ["E1"], ["hubert"], [0], data="data", weights={"hubert": "hubert.pt"})
    assert (run.data, run.weights) == (str(tmp_path / "data"), str(tmp_path / "hubert.pt"))
    assert run.parameters("runs")["data"] == run.config()["data"] == run.data


def test_a_setting_that_came_later_stood_at_its_default_in_a_finished_run(tmp_path):
    run = Run("synthetic-frogs", "good", "mel-stats", 0)
    folder, config = leave_run(run, tmp_path), run.config()
    del config["settings"]["n_members"], config["settings"]["views"]
    (folder / "config.json").write_text(json.dumps(config))
    assert is_finished(run, tmp_path)
    with pytest.raises(RunConflict, match="with n_members=1, you asked for n_members=2;"):
        is_finished(Run("synthetic-frogs", "good", "mel-stats", 0, overrides={"n_members": 2}), tmp_path)


def test_the_device_reaches_the_page_and_is_no_part_of_what_a_run_is(tmp_path):
    here, there = (Run("synthetic-frogs", "good", "mel-stats", 0, device=device) for device in ("auto", "cuda:1"))
    assert there.parameters(tmp_path)["device"] == "cuda:1" and there.config() == here.config()
    assert "device" not in here.parameters(tmp_path)  # a page of one's own need not know it
    leave_run(here, tmp_path)
    assert is_finished(there, tmp_path)


def test_a_second_try_sweeps_what_the_first_left_half_written(tmp_path):
    run = Run("synthetic-frogs", "good", "mel-stats", 0)
    folder = leave_run(run, tmp_path, finished=False)
    (folder / "progress" / "split0").mkdir(parents=True)
    left = [folder / ".encoder.host.12.0123abcd.part.pt", folder / "progress" / "split0" / ".draw0.12.part.ckpt"]
    for path in left:
        path.write_text("half")
    assert run_one._locked(run, tmp_path, make_notebook(tmp_path)) == (0, None)
    assert not any(path.exists() for path in left)


def test_other_weights_are_refused_and_runs_from_before_there_were_any_count(tmp_path):
    stored = Run("esc50", "E1", "hubert", 0, data="one", weights="old.pth")
    folder = leave_run(stored, tmp_path)
    with pytest.raises(RunConflict, match="with weights=/.*/old.pth, you asked for weights=/.*/new.pth;"):
        is_finished(Run("esc50", "E1", "hubert", 0, data="one", weights="new.pth"), tmp_path)
    assert is_finished(Run("esc50", "E1", "hubert", 0, data="one", weights="./old.pth"), tmp_path)
    config = {key: value for key, value in stored.config().items() if key != "weights"}
    (folder / "config.json").write_text(json.dumps(config))
    assert is_finished(Run("esc50", "E1", "hubert", 0, data="one"), tmp_path)


def with_standardise(folder, value):
    """The run in ``folder`` as an earlier version left it."""
    for name in ("config.json", "metrics.json"):
        stored = json.loads((folder / name).read_text())
        if "settings" in stored:
            stored["settings"]["standardise"] = value
            (folder / name).write_text(json.dumps(stored))


def test_a_run_whose_standardisation_counted_padding_is_another_and_one_without_is_the_same(tmp_path):
    plain = Run("synthetic-frogs", "good", "mel-stats", 0, overrides={"standardise": "none"})
    with_standardise(leave_run(plain, tmp_path), False)
    assert is_finished(plain, tmp_path)
    scaled = Run("synthetic-frogs", "good", "mel-stats", 1)
    with_standardise(leave_run(scaled, tmp_path), True)
    with pytest.raises(RunConflict, match="standardise=band-with-padding, you asked for standardise=scale;"):
        is_finished(scaled, tmp_path)


def test_a_setting_that_is_gone_counts_only_where_it_was_set(tmp_path):
    run = Run("synthetic-frogs", "good", "mel-stats", 0)
    path = leave_run(run, tmp_path) / "config.json"

    def leave(value):
        config = run.config()
        path.write_text(json.dumps(config | {"settings": config["settings"] | {"finetune_redraw": value}}))

    leave(False)
    assert is_finished(run, tmp_path)
    leave(True)
    with pytest.raises(RunConflict, match="with finetune_redraw=True, you asked for finetune_redraw="):
        is_finished(run, tmp_path)


def test_metrics_of_other_settings_are_refused_without_config(tmp_path):
    run = Run("synthetic-frogs", "good", "mel-stats", 0)
    folder = leave_run(run, tmp_path)
    (folder / "config.json").unlink()
    (folder / "metrics.json").write_text(json.dumps({"schema": 1, "accuracy_mean": 0.5, "preset": "paper"}))
    with pytest.raises(RunConflict, match="preset=paper"):
        is_finished(run, tmp_path)


@pytest.mark.parametrize("name, content, words", [
    ("metrics.json", "{}", r"no record of schema 1 \(schema: none\)"),
    ("metrics.json", '{"schema": 0, "accuracy_mean": 0.5}', r"no record of schema 1 \(schema: 0\)"),
    ("metrics.json", '{"schema": 1}', "a record without accuracy_mean"),
    ("metrics.json", "", "empty"),
    ("metrics.json", '{"schema": 1, "accur', "not JSON"),
    ("metrics.json", "[]", "not JSON of a run"),
    ("config.json", "{", "not JSON"),
])
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
    program = ("import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
               "from acssm_lib.batch.runner import reproduce\nfrom acssm_lib.batch.runs import plan\n"
               "runs = plan('synthetic-frogs', ['slow1', 'slow2', 'good'], ['mel-stats'], [0])\n"
               f"reproduce(runs, {str(tmp_path / 'runs')!r}, jobs=2, notebook={str(notebook)!r})\n")
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
    program = ("from acssm_lib.batch.runner import reproduce\nfrom acssm_lib.batch.runs import plan\n"
               "runs = plan('synthetic-frogs', ['good', 'slow1', 'slow2'], ['mel-stats'], [0])\n"
               f"reproduce(runs, {str(out)!r}, jobs=2, notebook={str(notebook)!r})\n")
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
        status, f"cannot write {run.folder(tmp_path)}: {os.strerror(number)}")
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


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain"
        time.sleep(0.05)


def is_alive(pid):
    state = Path(f"/proc/{pid}/stat")
    try:
        if Path("/proc").is_dir():
            return state.read_text().rpartition(")")[2].split()[0] != "Z"  # Z: ended, only its entry is left
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return False
    return True
