"""Readouts of frozen embeddings beside each other: accuracy on unshared queries, and ms per support draw.

    python -m benchmarks.readouts --data PATH [--runs RUN ...] [--beside RUN] [--groups E1,E2] [--draws 200]

RUN is a folder of a finished run, with its ``classifier.pt`` and ``encoder.pt``; without one, mel statistics are
read. With ``--beside`` the two are combined: RUN is the second, or ``mel-stats``. What was found stands in
``figures/research_log_readouts.csv``.
"""

import argparse
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from acssm_lib.baselines.mel_statistics import MelStatistics
from acssm_lib.data import datasets
from acssm_lib.experiment.classifier import load_classifier
from acssm_lib.experiment.measure import HEARING
from acssm_lib.fewshot.combination import Combination
from acssm_lib.fewshot.em_lda import SoftLDA
from acssm_lib.fewshot.embedding import embed
from acssm_lib.fewshot.evaluation import evaluate
from acssm_lib.fewshot.groups import load_group
from acssm_lib.fewshot.propagation import LabelPropagation
from acssm_lib.fewshot.readout import LogisticReadout
from acssm_lib.fewshot.transduction import SeededClusters
from acssm_lib.presets import preset

SEARCHED = {
    **{
        f"em-lda d={d} shrinkage={share}": partial(SoftLDA, d=d, shrinkage=share)
        for d in (10, 20, 30)
        for share in (0.2, 0.5, 0.8)
    },
    **{
        f"propagation neighbours={k} alpha={alpha}": partial(LabelPropagation, neighbours=k, alpha=alpha)
        for k in (5, 10, 20)
        for alpha in (0.5, 0.8, 0.95)
    },
    **{f"clusters balance={b}": partial(SeededClusters, balance=b) for b in (0.0, 0.25, 0.5, 0.75, 1.0)},
}


def embedding_of(run, data, config, weights=None):
    """(name, embedding of every clip, C of its logistic regression)"""
    members = np.arange(len(data.labels))
    if run in (None, "mel-stats"):
        return "mel-stats", MelStatistics(data.clips, config).features(members), 1.0
    made = load_classifier(Path(run) / "classifier.pt", weights=weights)
    if (before := Path(run) / "encoder.pt").exists():  # as before any fine-tuning; an embedder is as it was downloaded
        made.encoder.load_state_dict(torch.load(before, weights_only=True))
    return str(run), embed(made.encoder, data.clips, members, made.config).numpy(), made.config.logistic_C


def main():
    parser = argparse.ArgumentParser(description="Readouts of frozen embeddings beside each other.")
    parser.add_argument("--dataset", default="esc50")
    parser.add_argument("--data", required=True)
    parser.add_argument("--runs", nargs="*", default=[None])
    parser.add_argument("--beside")
    parser.add_argument("--weights", help="file of the embedder that --beside is a run of, if it is not in the cache")
    parser.add_argument("--groups", default="E2")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--search", action="store_true", help="their settings, in place of the readouts of a run")
    parser.add_argument("--support-sources", default="any")
    args = parser.parse_args()
    config = preset("best", n_episodes=args.draws, support_sources=args.support_sources)
    recordings = datasets.load(args.dataset, args.data, preset=config)
    for group in args.groups.split(","):
        data = load_group(recordings, group, replace(config, pool="group"), 0, progress=False)
        for run in args.runs:
            name, embedding, penalty = embedding_of(run, data, config)
            readouts = {"logistic": partial(LogisticReadout, C=penalty), **(SEARCHED if args.search else HEARING)}
            if args.beside:
                _, second, other = embedding_of(args.beside, data, config, args.weights)
                readouts = {
                    "logistic": readouts["logistic"],
                    f"{args.beside}, logistic": lambda _, second=second, C=other: LogisticReadout(second, C),
                    "combination": partial(Combination, second=second, C=(penalty, other)),
                }
            for readout, made in readouts.items():
                started = time.monotonic()
                draws = evaluate(made(embedding), data.labels, data.sources, data.names, config, 0, progress=False)
                spent = 1000 * (time.monotonic() - started) / len(draws)
                mean = 100 * np.mean([draw["accuracy_unshared_sources"] for draw in draws])
                print(f"{group}  {name}  {readout:<36} {mean:5.1f} %  {spent:5.1f} ms a draw", flush=True)


if __name__ == "__main__":
    main()
