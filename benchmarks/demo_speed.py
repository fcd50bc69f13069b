"""Whole runs: two at a time against one, and ``make demo`` from nothing: ``python benchmarks/demo_speed.py``.

Both sides of the first row run two of the demo's methods on its two groups, shortened; each run is a process of its own
with its share of the cores, start-up included. The demo is the Makefile's, without clips, encoders or results from
before; ``--no-demo`` leaves it out. ``--profile`` says in which cells of the page the demo's minutes went.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import faster, finish, within

from acssm_lib.data import datasets
from acssm_lib.fewshot.groups import load_group
from acssm_lib.presets import PRESETS

GROUPS, METHODS = ("natural", "order"), "acoustic-ssm1,supervised"
SHORTENED = ("pretrain_epochs=3", "finetune_epochs=2", "n_episodes=1", "n_frozen_episodes=50")
DEMO_S, FIRST_S = 240, 60
PARTS = {"imports": "import torch\n", "pre-training": "def shelf(", "measuring": "measure(encoder,"}  # their words
HERE = Path(__file__).parent


def environment(cache):
    """Of the commands: nothing cached, and threads as `acssm` shares them out, whatever is set here."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    return kept | {"ACSSM_CACHE": str(cache)}


def batch_seconds(jobs, folder):
    """Wall-clock of the shortened grid with ``jobs`` runs at a time, into a folder of its own."""
    started = time.monotonic()
    subprocess.run(
        [
            sys.executable,
            *"-m acssm_lib reproduce --dataset synthetic-frogs --groups".split(),
            ",".join(GROUPS),
            "--preset",
            "quick",
            "--methods",
            METHODS,
            "--jobs",
            str(jobs),
            "--out",
            folder / f"jobs{jobs}",
            "--set",
            *SHORTENED,
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=HERE.parent,
        env=environment(folder / "cache"),
    )
    return time.monotonic() - started


def two_jobs():
    """Row of two runs at a time against one."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["ACSSM_CACHE"] = str(folder / "cache")
        config = PRESETS["quick"]  # the clips are made beforehand: the side that comes first must not pay for both
        for group in GROUPS:
            load_group(datasets.load("synthetic-frogs", preset=config), group, config, seed=0, progress=False)
        one, two = (batch_seconds(jobs, folder) for jobs in (1, 2))
    return faster("acssm reproduce, four short runs: --jobs 2 against 1", one, two, 1.7)


def demo(profile, keep):
    """Rows of ``make demo``: until the first accuracy is on the screen, and until the end."""
    first = None
    with tempfile.TemporaryDirectory() as name:
        runs, started = keep or Path(name) / "runs", time.monotonic()
        make = subprocess.Popen(
            ["make", "demo", f"RUNS={runs}"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=HERE.parent,
            env=environment(Path(name) / "cache"),
        )
        for line in make.stdout:
            if first is None and line.startswith("[") and "accuracy" in line:
                first = time.monotonic() - started
            print(line, end="", flush=True)
        seconds = time.monotonic() - started
        if make.wait():
            raise RuntimeError(f"make demo ended with status {make.returncode}")
        if profile or seconds > DEMO_S:
            where_it_went(runs)
    return [
        within("make demo: first accuracy on the screen", None, first, FIRST_S, "s"),
        within("make demo", None, seconds, DEMO_S, "s"),
    ]


def where_it_went(runs):
    """Seconds of each run in the parts of its page, from what papermill stores in the executed copy."""
    names = ("kernel", *PARTS, "other cells")
    print(f"\n{'seconds of':<30}" + "".join(f"{name:>14}" for name in names))
    for path in sorted(runs.glob("*/*/*/*/notebook.ipynb")):
        page = json.loads(path.read_text(encoding="utf-8"))
        cells = [("".join(cell["source"]), cell["metadata"]["papermill"]["duration"] or 0.0) for cell in page["cells"]]
        parts = [sum(seconds for source, seconds in cells if word in source) for word in PARTS.values()]
        total = sum(seconds for _, seconds in cells)
        values = [page["metadata"]["papermill"]["duration"] - total, *parts, total - sum(parts)]
        run = "/".join(path.relative_to(runs).parts[1:3])
        print(f"{run:<30}" + "".join(f"{value:>14.1f}" for value in values), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-demo", action="store_true", help="only the first row")
    parser.add_argument("--profile", action="store_true", help="where the demo's time went; always, if it is too long")
    parser.add_argument("--runs", type=Path, help="an empty folder that the demo's results shall stay in")
    parser.add_argument("--json", type=Path, help="where to write the rows")
    args = parser.parse_args()
    rows = [two_jobs()]
    if not args.no_demo:
        rows += demo(args.profile, args.runs and args.runs.resolve())
    finish(rows, args.json)


if __name__ == "__main__":
    main()
