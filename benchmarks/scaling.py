"""Cost against size, measured and plotted: ``python benchmarks/scaling.py --figure figures/scaling.png``.

Six curves: length of a recording, clips in the bank, clips in a batch, widths of the network, and runs at a time. Every
point is measured here; memory in a process of its own. `make scaling` writes figure and numbers for docs/speed.md.
"""

import argparse
import dataclasses
import datetime
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from bank_speed import open_cost
from common import SMALL, alternate, in_own_process, machine
from matplotlib import pyplot as plt
from matplotlib.ticker import NullLocator

from acssm_lib.data.clips import Clips
from acssm_lib.model.encoder import AcousticSSM
from acssm_lib.presets import PRESETS
from acssm_lib.pretraining.contrastive import SegmentPairs, pretrain

SECONDS = (1.5, 5, 15, 60, 180, 600)  # length of a recording
CLIPS = (100, 1_000, 10_000, 100_000)
BATCHES = (2, 4, 8, 16, 32, 64)  # clips; two views each
WIDTHS = (1, 2, 4, 8)  # times those of a small network; 8 are the paper's
JOBS = (1, 2, 4)
CONFIGS = {"small": SMALL, "paper": PRESETS["paper"]}


_EMBED = """
import json, statistics, sys, time
import torch
from common import SMALL, peak_memory_mib
from acssm_lib.model.encoder import AcousticSSM
from acssm_lib.presets import PRESETS
name, seconds = sys.argv[1], float(sys.argv[2])
torch.manual_seed(0)
encoder = AcousticSSM({"small": SMALL, "paper": PRESETS["paper"]}[name]).eval()
waveform = 0.1 * torch.randn(1, int(seconds * encoder.front_end.sample_rate))
with torch.no_grad():
    encoder.embed(waveform[:, :30_225])
    before = peak_memory_mib()
    encoder.embed(waveform)
    mib, times = peak_memory_mib() - before, []
    for _ in range(3):
        started = time.perf_counter()
        encoder.embed(waveform)
        times.append(time.perf_counter() - started)
print(json.dumps({"seconds": statistics.median(times), "mib": mib}))
"""


def clip_length(name):
    """Seconds (the middle of three) and memory of embedding one recording of each length at once."""
    return [
        in_own_process(_EMBED, name, seconds, environment={"PYTHONPATH": str(Path(__file__).parent)})
        for seconds in SECONDS
    ]


def views_per_second(config, batch):
    """Of pre-training steps with ``batch`` clips, everything included."""
    generator = torch.Generator().manual_seed(0)
    clips = Clips([(0.1 * torch.randn(100_000, generator=generator)).clamp(-1, 1) for _ in range(batch)])
    torch.manual_seed(0)
    encoder = AcousticSSM(config)
    epochs = 4 if config.widths[0] > 16 else 12  # one step each
    settings = dataclasses.replace(config, pretrain_batch=batch, pretrain_epochs=epochs)

    def train():
        pretrain(encoder, clips, range(batch), settings, seed=0, objective=SegmentPairs, progress=False)

    return 2 * batch * epochs / alternate(train, repeats=1)[0]


def widened(times):
    """The small network with its widths multiplied."""
    return dataclasses.replace(SMALL, widths=tuple(times * width for width in SMALL.widths))


def runs_per_hour(jobs, runs=4):
    """Finished runs of ``acssm reproduce`` on a shortened grid, start-up included."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        subprocess.run(
            [
                sys.executable,
                *"-m acssm_lib reproduce --dataset synthetic-frogs --groups natural --preset quick".split(),
                *"--methods acoustic-ssm1 --seeds".split(),
                ",".join(map(str, range(runs))),
                "--jobs",
                str(jobs),
                "--out",
                f"{folder}/runs",
                *"--set pretrain_epochs=5 n_episodes=1 finetune_epochs=2 n_frozen_episodes=20".split(),
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"ACSSM_CACHE": f"{folder}/cache"},
        )
        return 3600 * runs / (time.monotonic() - started)


def measure():
    """All curves, as plain numbers."""

    def said(name, values):
        print(f"{name}: {values}", flush=True)
        return values

    return {
        "seconds": SECONDS,
        "clips": CLIPS,
        "batches": BATCHES,
        "widths": WIDTHS,
        "jobs": JOBS,
        "clip_length": {name: said(f"clip length, {name}", clip_length(name)) for name in CONFIGS},
        "bank": said("clips in the bank", [open_cost(clips, 0.5) for clips in CLIPS]),
        "batch": {
            name: said(
                f"batch, {name}",
                [views_per_second(CONFIGS[name], batch) for batch in BATCHES if name == "small" or batch <= 32],
            )
            for name in CONFIGS
        },
        "width": said("widths", [views_per_second(widened(times), 16) for times in WIDTHS]),
        "runs": said("runs at a time", [runs_per_hour(jobs) for jobs in JOBS]),
    }


def draw(measured, path):
    """Six panels."""
    fig, axes = plt.subplots(2, 3, figsize=(13, 7), layout="constrained")
    (time_ax, memory_ax, bank_ax), (batch_ax, width_ax, runs_ax) = axes
    for name, points in measured["clip_length"].items():
        for ax, key in ((time_ax, "seconds"), (memory_ax, "mib")):
            ax.loglog(measured["seconds"], [max(point[key], 1e-3) for point in points], "o-", label=name)
    first = measured["clip_length"]["small"][1]["seconds"] / measured["seconds"][1]
    time_ax.loglog(
        measured["seconds"],
        [first * seconds for seconds in measured["seconds"]],
        color="0.6",
        lw=0.8,
        label="proportional",
    )
    time_ax.set(title="embedding one recording", xlabel="recording (s)", ylabel="time (s)")
    memory_ax.set(title="memory for it", xlabel="recording (s)", ylabel="MiB beyond the model")
    for key, label in (("largest_mib", "largest resident"), ("anon_mib", "not backed by the file")):
        bank_ax.semilogx(measured["clips"], [point[key] for point in measured["bank"]], "o-", label=label)
    bank_ax.set(title="bank of clips, over 200 batches", xlabel="clips", ylabel="MiB more than before", ylim=(0, None))
    for name, views in measured["batch"].items():
        batch_ax.loglog(measured["batches"][: len(views)], views, "o-", label=name)
    batch_ax.set(title="pre-training", xlabel="clips in a batch", ylabel="views per s")
    width_ax.loglog(measured["widths"], measured["width"], "o-")
    width_ax.set(
        title="pre-training, 16 clips in a batch", xlabel="widths (times those of small)", ylabel="views per s"
    )
    runs_ax.plot(measured["jobs"], measured["runs"], "o-")
    runs_ax.set(
        title="acssm reproduce, short runs",
        xlabel="runs at a time",
        ylabel="runs per hour",
        ylim=(0, None),
        xticks=measured["jobs"],
    )
    for ax in (time_ax, memory_ax, bank_ax, batch_ax):
        ax.legend()
    for ax, sizes in ((time_ax, "seconds"), (memory_ax, "seconds"), (batch_ax, "batches"), (width_ax, "widths")):
        ax.set_xticks(measured[sizes], [f"{size:g}" for size in measured[sizes]])
        ax.xaxis.set_minor_locator(NullLocator())
    for ax, most in ((batch_ax, 2000), (width_ax, 1000)):
        ax.set_ylim(10, most)
    fig.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--figure", type=Path, default=Path("build/scaling.png"), help="(default: %(default)s)")
    parser.add_argument("--json", type=Path, help="where to keep the numbers")
    args = parser.parse_args()
    about = machine()
    print(", ".join(f"{key} {value}" for key, value in about.items() if value), flush=True)
    measured = measure()
    for path in filter(None, (args.figure, args.json)):
        path.parent.mkdir(parents=True, exist_ok=True)
    draw(measured, args.figure)
    if args.json:
        record = {"date": datetime.date.today().isoformat(), "machine": about, **measured}
        args.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
