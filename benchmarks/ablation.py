"""Ingredients of preset ``best``, taken away one at a time: ``python benchmarks/ablation.py --data PATH``.

Every variant is an `acssm reproduce` of its own on the ESC-10 groups, with half of its 280 steps and one view at test,
frozen, so that all of them take about half an hour on two cores; finished ones are not run again. The table is
written as CSV too.
"""

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

READOUTS = ("logistic", "clusters")
VARIANTS = {  # what is changed -> method, settings
    "best, half the steps": ("acoustic-ssm1", []),
    "no state-space layers": ("adapted-cnn", []),
    "no gain, no equaliser": ("acoustic-ssm1", ["gain_db=0", "equaliser_db=0"]),
    "no masks": ("acoustic-ssm1", ["masked_span=0"]),
    "no change of pitch and tempo": ("acoustic-ssm1", ["mel_shift=0", "max_stretch=1"]),
    "two views instead of four": ("acoustic-ssm1", ["n_views=2"]),
    "mixed with other clips as well": ("acoustic-ssm1", ["mix_max=0.4"]),
    "views are segments of the waveform": ("acoustic-ssm1", ["views=segments"]),
    "mean over time alone": ("acoustic-ssm1", ["pooling=mean"]),
    "random weights": ("supervised", []),
}


def run(name, args):
    """Runs one variant unless it is there; returns its folder."""
    method, settings = VARIANTS[name]
    out = args.out / name.replace(" ", "-").replace(",", "")
    subprocess.run(
        [
            sys.executable,
            *"-m acssm_lib reproduce --dataset esc50 --data".split(),
            args.data,
            "--groups",
            args.groups,
            "--preset",
            "best",
            "--methods",
            method,
            "--seeds",
            args.seeds,
            "--jobs",
            str(args.jobs),
            "--out",
            out,
            "--set",
            f"pretrain_epochs={args.epochs}",
            "test_views=1",
            "finetuning=false",
            *settings,
        ],
        check=True,
    )
    return out


def rows_of(name, out):
    """Of every finished run: means over the draws, queries whose recording is not among the labelled clips."""
    for path in sorted(out.glob("*/*/*/*/metrics.json")):
        metrics = json.loads(path.read_text(encoding="utf-8"))
        scores = {
            reading["name"]: np.mean(reading["accuracy_unshared_sources"])
            for reading in metrics["readouts"]
            if reading["n_shot"] == metrics["n_shot"] and not reading["shuffled"]
        }
        yield {
            "variant": name,
            "group": metrics["group"],
            "seed": metrics["seed"],
            **{readout: round(float(scores[readout]), 4) for readout in READOUTS},
        }


def show(rows):
    """One line per variant: mean of its runs by readout, and what that is less than the first variant's."""
    print(f"\n{'':<36}" + "".join(f"{readout:>12}{'change':>10}" for readout in READOUTS))
    first = {
        readout: np.mean([row[readout] for row in rows if row["variant"] == rows[0]["variant"]]) for readout in READOUTS
    }
    for name in dict.fromkeys(row["variant"] for row in rows):
        means = {readout: np.mean([row[readout] for row in rows if row["variant"] == name]) for readout in READOUTS}
        print(
            f"{name:<36}"
            + "".join(
                f"{100 * means[readout]:>12.1f}{100 * (means[readout] - first[readout]):>+10.1f}"
                for readout in READOUTS
            )
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="a folder in ESC-50's layout")
    parser.add_argument("--out", type=Path, default=Path("runs/ablation"), help="folder of the runs")
    parser.add_argument("--groups", default="all")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--epochs", type=int, default=20, help="passes over the pool (default: 20, 140 steps)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--csv", type=Path, help="where to write the rows")
    args = parser.parse_args()
    rows = [row for name in VARIANTS for row in rows_of(name, run(name, args))]
    show(rows)
    if args.csv:
        with open(args.csv, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
