"""Ways to fine-tune one pre-trained encoder beside its frozen readout: accuracy on unshared queries, s per draw.

    python -m benchmarks.finetuning --data PATH [--group E2] [--methods acoustic-ssm1] [--draws 8] [--csv FILE]

Every way gets the same support draws, none of which is a reported one (draws of run seed 1000). What was found stands
in ``figures/research_log_finetuning.csv``; preset ``best`` has the way that loses least.
"""

import argparse
import csv
import sys
import time
from dataclasses import replace

import numpy as np

from acssm_lib.data import datasets
from acssm_lib.experiment.shelf import pretrained_encoder
from acssm_lib.fewshot.embedding import embed
from acssm_lib.fewshot.evaluation import evaluate
from acssm_lib.fewshot.finetuning import FineTuning
from acssm_lib.fewshot.groups import load_group
from acssm_lib.fewshot.protocols import splits
from acssm_lib.fewshot.readout import LogisticReadout
from acssm_lib.presets import preset

UNREPORTED = 1000  # run seed of the support draws
MLP = {"finetune_head": "mlp", "finetune_lr": 3e-3}
WAYS = [
    MLP | {"finetune_encoder_lr": 1e-3},
    MLP | {"finetune_encoder_lr": 1e-4},
    MLP | {"finetune_encoder_lr": 0.0, "finetune_ssm_lr": 0.0},
    {"finetune_lr": 1e-3},
    {"finetune_lr": 1e-4, "finetune_encoder_lr": 1e-3},
    {"finetune_lr": 1e-4, "finetune_encoder_lr": 3e-4},
    {"finetune_lr": 1e-4},
    {"finetune_lr": 3e-5},
]


def scores(learner, data, config, split):
    """Unshared accuracy of every draw, and seconds a draw."""
    started = time.monotonic()
    draws = evaluate(learner, data.labels, data.sources, data.names, config, UNREPORTED, split=split, progress=False)
    return [draw["accuracy_unshared_sources"] for draw in draws], (time.monotonic() - started) / len(draws)


def measured(method, data, config, encoders):
    """One row for the frozen readout, then one for every way."""
    split = splits(data, config, 0)[0]
    encoder, _ = pretrained_encoder(method, data, config, 0, pool=split.pool, folder=encoders)
    members = np.flatnonzero(data.labels >= 0)
    values = embed(encoder, data.clips, members, config).numpy()
    embedding = np.zeros((len(data.labels), values.shape[1]))
    embedding[members] = values
    yield "frozen, logistic", *scores(LogisticReadout(embedding, config.logistic_C), data, config, split)
    for way in WAYS:
        words = " ".join(f"{name}={value}" for name, value in way.items())
        tuned = FineTuning(encoder, data.clips, replace(config, **way), progress=False)
        yield words, *scores(tuned, data, tuned.config, split)


def main():
    parser = argparse.ArgumentParser(description="Ways to fine-tune one pre-trained encoder.")
    parser.add_argument("--dataset", default="esc50")
    parser.add_argument("--data", required=True)
    parser.add_argument("--group", default="E2")
    parser.add_argument("--methods", default="acoustic-ssm1")
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--encoders", help="folder of pre-trained encoders; default: the user's cache")
    parser.add_argument("--set", nargs="*", default=[], metavar="FIELD=VALUE")
    parser.add_argument("--csv")
    given = parser.parse_args()
    config = preset("best", n_episodes=given.draws, test_views=1, **dict(pair.split("=", 1) for pair in given.set))
    data = load_group(datasets.load(given.dataset, given.data, preset=config), given.group, config, 0)
    rows = [("group", "method", "changed", "accuracy", "deviation", "draws")]
    for method in given.methods.split(","):
        for words, accuracy, seconds in measured(method, data, config, given.encoders):
            mean, deviation = np.mean(accuracy), np.std(accuracy, ddof=1)
            rows.append((given.group, method, words, f"{mean:.3f}", f"{deviation:.3f}", len(accuracy)))
            print(
                f"{given.group} {method:14} {words:60} {100 * mean:5.1f} (deviation {100 * deviation:.1f}), "
                f"{seconds:.1f} s a draw",
                flush=True,
            )
    if given.csv:
        with open(given.csv, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
