"""A batch whose page takes a second, and what its runs leave: shared by the tests of `batch`."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import nbformat

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
    cells = [nbformat.v4.new_code_cell(parameters, metadata={"tags": ["parameters"]}), nbformat.v4.new_code_cell(BODY)]
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


def start_driver(root, groups, notebook, **where):
    """`reproduce` in a process of its own, which ends with the number of failed runs."""
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from acssm_lib.batch.runner import reproduce; from acssm_lib.batch.runs import plan\n"
        f"runs = plan('synthetic-frogs', {groups}, ['mel-stats'], [0])\n"
        f"sys.exit(len(reproduce(runs, 'runs', notebook={str(notebook)!r}, **{where!r})))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program], cwd=root, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def tries(run, out):
    return (run.folder(out) / "tries.txt").read_text()
