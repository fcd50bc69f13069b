"""The search behind `acssm demo`: one method on phrases of a development seed, a line of the log for each trial.

    .venv/bin/python benchmarks/phrases_search.py acoustic-ssm1 --data-seed 100 --set pooling=products mel_shift=4

The demo and the committed records ask seeds of the data that were never searched on. Lines go to
``figures/research_log_phrases.csv``; the columns are those of ``COLUMNS``.
"""

import argparse
import csv
import json
import sys
import time
from pathlib import Path

import numpy as np

from acssm_lib.data.phrases import SyntheticPhrases
from acssm_lib.experiment.measure import measure
from acssm_lib.experiment.methods import METHODS, build_encoder, objective_of
from acssm_lib.fewshot.groups import load_group
from acssm_lib.fewshot.protocols import splits
from acssm_lib.presets import preset
from acssm_lib.pretraining.contrastive import pretrain

LOG = Path(__file__).resolve().parents[1] / "figures" / "research_log_phrases.csv"
COLUMNS = (
    "method",
    "data seed",
    "seed",
    "settings",
    "steps",
    "seconds",
    "last loss",
    "frozen",
    "frozen, shuffled",
    "fine-tuned",
    "remark",
)


def trial(method, data_seed, seed, overrides):
    """A row of the log for one pre-training and its readouts; accuracies are means over the draws."""
    config = preset("quick", n_frozen_episodes=100, frozen_shots="5", **overrides)
    data = load_group(SyntheticPhrases(seed=data_seed), "phrases", config, seed, progress=False)
    split = splits(data, config, seed)[0]
    started, losses, encoder = time.monotonic(), [], None
    if METHODS[method].encoder is not None:
        encoder = build_encoder(method, data.clips, split.pool, config, seed).eval()
    if METHODS[method].pretrained:
        losses = pretrain(
            encoder, data.clips, split.pool, config, seed, objective=objective_of(method, config), progress=False
        ).losses
    seconds = time.monotonic() - started
    print([round(float(np.mean(part)), 2) for part in np.array_split(losses, 10) if len(part)], f"{seconds:.0f} s")
    measured = measure(encoder, data, split, config, seed, progress=False)

    def mean(draws):
        return f"{np.mean([draw['accuracy'] for draw in draws]):.4f}" if draws else ""

    frozen, tuned = measured["logistic", 5], measured.get(("finetuned", 5), [])
    return (
        method,
        data_seed,
        seed,
        " ".join(f"{name}={value}" for name, value in overrides.items()),
        len(losses),
        round(seconds),
        round(float(np.mean(losses[-20:])), 3) if losses else "",
        mean(frozen),
        mean([draw["shuffled"] for draw in frozen if "shuffled" in draw]),
        mean(tuned),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("--data-seed", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="+", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--remark", default="")
    args = parser.parse_args()
    row = (*trial(args.method, args.data_seed, args.seed, dict(pair.split("=", 1) for pair in args.set)), args.remark)
    print(json.dumps(dict(zip(COLUMNS, row)), indent=1))
    new = not LOG.exists()
    with open(LOG, "a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([COLUMNS, row] if new else [row])


if __name__ == "__main__":
    sys.exit(main())
