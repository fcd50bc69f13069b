"""What surrounds a run: other kernelspecs, modules of the working directory, odd names, and what its page starts."""

import json
import os
import signal
import subprocess
import sys

import pytest
from tiny_batch import is_alive, make_notebook, wait_until

from acssm_lib.batch.runner import reproduce
from acssm_lib.batch.runs import plan


def test_a_false_kernelspec_a_random_py_and_braces_in_the_path_change_nothing(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "{group} {0} {"
    folder.mkdir()
    spec = folder / "jupyter" / "kernels" / "python3"
    spec.mkdir(parents=True)
    (spec / "kernel.json").write_text(
        json.dumps(
            {"argv": [str(folder / "no-such-python"), "{connection_file}"], "display_name": "x", "language": "python"}
        )
    )
    for name in ("random", "json", "select"):
        (folder / f"{name}.py").write_text("raise ImportError('the wrong module')\n")
    monkeypatch.setenv("JUPYTER_PATH", str(folder / "jupyter"))
    monkeypatch.chdir(folder)
    runs = plan("synthetic-frogs", ["good"], ["mel-stats"], [0])
    assert reproduce(runs, "{seed} runs", notebook=make_notebook(folder)) == []
    assert (runs[0].folder(folder / "{seed} runs") / "notebook.ipynb").is_file()


def test_the_command_starts_beside_a_random_py_too(tmp_path):
    (tmp_path / "random.py").write_text("raise ImportError('the wrong module')\n")
    done = subprocess.run(
        [sys.executable, *"-m acssm_lib reproduce --dataset synthetic-frogs --groups nowhere --out runs".split()],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and "unknown group 'nowhere'" in done.stderr


@pytest.mark.parametrize(
    "locale",
    [{"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
)
def test_a_terminal_without_a_plus_minus_sign_gets_a_question_mark(tmp_path, locale):
    program = (
        "import sys\nfrom acssm_lib.cli import main\n"
        "main._report = lambda args: print('accuracy 0.800 \\xb1 0.100 \\udcff') or 0\n"
        "sys.exit(main.main(['report', 'x']))"
    )
    done = subprocess.run([sys.executable, "-c", program], env=os.environ | locale, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "accuracy 0.800 ? 0.100 ?\n"), done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="looks for orphans in /proc")
def test_what_a_page_has_started_ends_with_it(tmp_path):
    runs = plan("synthetic-frogs", ["forks"], ["mel-stats"], [0])
    assert reproduce(runs, tmp_path / "runs", notebook=make_notebook(tmp_path)) == []
    assert not is_alive(int((runs[0].folder(tmp_path / "runs") / "child").read_text()))


@pytest.mark.skipif(sys.platform != "linux", reason="looks for orphans in /proc")
@pytest.mark.parametrize("ending", ["SIGHUP", "SIGTERM", "SIGKILL", "SIGKILL of the run"])
def test_a_closed_terminal_or_a_kill_ends_the_batch_and_all_below(tmp_path, ending):
    notebook = make_notebook(tmp_path)
    run = plan("synthetic-frogs", ["slow-forks"], ["mel-stats"], [0])[0]
    program = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whatever started the tests\n"
        "from acssm_lib.batch.runner import reproduce\nfrom acssm_lib.batch.runs import plan\n"
        "from acssm_lib.cli.reproduce import terminated_is_ctrl_c\n"
        "runs = plan('synthetic-frogs', ['slow-forks'], ['mel-stats'], [0])\n"
        "with terminated_is_ctrl_c():\n"
        f"    reproduce(runs, {str(tmp_path / 'runs')!r}, notebook={str(notebook)!r})\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder = run.folder(tmp_path / "runs")
    try:
        wait_until(lambda: (folder / "kernel").exists() or parent.poll() is not None)
        kernel, run_one = map(int, (folder / "kernel").read_text().split())
        below = [kernel, run_one, int((folder / "child").read_text())]
        assert all(map(is_alive, below))
        if ending == "SIGKILL of the run":
            os.kill(run_one, signal.SIGKILL)
        else:
            parent.send_signal(getattr(signal, ending))
            parent.wait(60)
        wait_until(lambda: not any(map(is_alive, below)), seconds=20)
    finally:
        parent.kill()
        parent.wait()


def test_a_hang_up_that_is_ignored_stays_ignored():
    program = (
        "import os, signal\nfrom acssm_lib.cli.reproduce import terminated_is_ctrl_c\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "with terminated_is_ctrl_c():\n    os.kill(os.getpid(), signal.SIGHUP)\n    print('goes on')\n"
    )
    if not hasattr(signal, "SIGHUP"):
        pytest.skip("no hang-up here")
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "goes on\n"
