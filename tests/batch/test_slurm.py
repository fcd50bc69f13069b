"""Runs as Slurm jobs, with a stand-in for Slurm."""

import contextlib
import os
import re
import signal
import sys
from pathlib import Path

import pytest
from tiny_batch import is_alive, make_notebook, start_driver, tries, wait_until

from acssm_lib.batch.runner import reproduce
from acssm_lib.batch.runs import plan

pytest.importorskip("distributed", reason="needs pip install 'acoustic-ssm[cluster]'")
pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")

from acssm_lib.batch import dask_workers  # noqa: E402


def test_slurm_jobs_have_one_worker_that_takes_one_run(tmp_path):
    with dask_workers.slurm_cluster(
        {
            "queue": "gpu",
            "account": "bio",
            "cores": 8,
            "memory": "16GB",
            "walltime": "08:00:00",
            "job_extra_directives": "--gres=gpu:1",
            "interface": "lo",
        },
        tmp_path,
    ) as slurm:
        script = slurm.job_script()
    for line in (
        "-p gpu",
        "-A bio",
        "-t 08:00:00",
        "--cpus-per-task=8",
        "--mem=15G",
        "--gres=gpu:1",
        f"-o {tmp_path}/slurm/",
    ):
        assert f"#SBATCH {line}" in script
    assert sys.executable in script
    assert re.search(r"--nthreads 8 .*--resources job=1", script) and "--nworkers" not in script


@pytest.mark.parametrize(
    "options, expected",
    [
        ({}, "must specify how much cores and memory"),
        ({"cores": 2, "memory": "2GB", "colour": "red"}, "unexpected keyword argument 'colour'"),
    ],
)
def test_wrong_slurm_options_are_one_sentence(tmp_path, options, expected):
    with pytest.raises(ValueError, match=expected) as raised:
        dask_workers.slurm_cluster(options, tmp_path)
    assert "--cluster-option cores=8" in str(raised.value) and "\n" not in str(raised.value)


SBATCH = """\
#!/bin/sh
if [ "$1" = --test-only ]; then
    grep -q "SBATCH -p nowhere" "$2" && { echo "sbatch: error: invalid partition" >&2; exit 1; }
    exit 0
fi
cp "$1" "$SLURM_STAND_IN/job.sh"  # the caller deletes its copy
setsid sh "$SLURM_STAND_IN/job.sh" >> "$SLURM_STAND_IN/log.txt" 2>&1 &
echo $! >> "$SLURM_STAND_IN/jobs.txt"
echo "Submitted batch job $!"
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """``sbatch`` and ``scancel`` that run jobs here."""
    folder = tmp_path / "slurm-stand-in"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("scancel", "#!/bin/sh\nkill -TERM -- -$1\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_STAND_IN", str(folder))
    yield folder
    if (folder / "jobs.txt").exists():
        for job in (folder / "jobs.txt").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(int(job), signal.SIGKILL)


def test_slurm_jobs_do_the_runs_and_end_with_them(slurm, tmp_path):
    (run,) = plan("synthetic-frogs", ["one"], ["mel-stats"], [0])
    options = {"cores": 1, "memory": "1GB", "interface": "lo"}
    driver = start_driver(tmp_path, ["one"], make_notebook(tmp_path), cluster="slurm", cluster_options=options)
    try:
        printed, errors = driver.communicate(timeout=60)
    finally:
        driver.kill()
    assert driver.returncode == 0, errors
    assert "waiting for Slurm to start a worker" in printed
    assert tries(run, tmp_path / "runs") == "x"
    jobs = [int(job) for job in (slurm / "jobs.txt").read_text().split()]
    assert len(jobs) == 1
    wait_until(lambda: not is_alive(jobs[0]), seconds=20)


def test_a_job_that_slurm_refuses_is_told_at_once(slurm, tmp_path):
    runs = plan("synthetic-frogs", ["one"], ["mel-stats"], [0])
    options = {"cores": 1, "memory": "1GB", "interface": "lo", "queue": "nowhere"}
    with pytest.raises(ValueError, match="Slurm refuses the job: sbatch: error: invalid partition"):
        reproduce(runs, tmp_path / "runs", notebook=make_notebook(tmp_path), cluster="slurm", cluster_options=options)
    assert not (slurm / "jobs.txt").exists()
