"""Several pre-training seeds read as one encoder: ``python benchmarks/ensemble.py RUNS --data PATH``.

RUNS are finished runs of `acssm reproduce --preset best --methods acoustic-ssm1 --seeds 0,1,2` on ESC-10's groups. The
embeddings of all seeds, each coordinate standardised, are laid side by side; readouts and support draws are those of a
run. Three seeds of ``best`` train in a quarter of an hour per group on two cores.
"""

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np
import torch

from acssm_lib import datasets
from acssm_lib.experiment import load_group
from acssm_lib.fewshot import embed, evaluate
from acssm_lib.methods import build_encoder
from acssm_lib.neighbours import standardise
from acssm_lib.presets import preset
from acssm_lib.readout import LogisticReadout
from acssm_lib.transduction import SeededClusters


def embedding_of(run, data, config):
    """Embeddings of all clips of the group by the encoder of a finished run."""
    everyone = np.arange(len(data.labels))
    encoder = build_encoder("acoustic-ssm1", data.clips, everyone, config, 0)
    encoder.load_state_dict(torch.load(run / "encoder.pt", weights_only=True))
    return embed(encoder.eval(), data.clips, everyone, config).numpy()


def unshared(readout, data, config):
    draws = evaluate(readout, data.labels, data.sources, data.names, config, 0, progress=False)
    return np.mean([draw["accuracy_unshared_sources"] for draw in draws])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("--data", required=True)
    args = parser.parse_args()
    print(f"{'':<14}{'seeds':<10}{'logistic':>10}{'clusters':>10}   queries of unshared recordings")
    for folder in sorted(args.runs.glob("esc50/*/acoustic-ssm1")):
        runs = sorted(path.parent for path in folder.glob("seed*/metrics.json"))
        settings = json.loads((runs[0] / "metrics.json").read_text(encoding="utf-8"))["settings"]
        config = preset(settings.pop("name"), **settings)
        config = dataclasses.replace(config, n_episodes=config.n_frozen_episodes)
        recordings = datasets.load("esc50", args.data, preset=config)
        data = load_group(recordings, folder.parent.name, config, 0, progress=False)
        parts = [standardise(embedding_of(run, data, config)) for run in runs]
        for name, embedding in [*((run.name, part) for run, part in zip(runs, parts)), ("together", np.hstack(parts))]:
            scores = (unshared(LogisticReadout(embedding, config.logistic_C), data, config),
                      unshared(SeededClusters(embedding), data, config))
            print(f"{folder.parent.name:<14}{name:<10}{100 * scores[0]:>10.1f}{100 * scores[1]:>10.1f}", flush=True)


if __name__ == "__main__":
    main()
