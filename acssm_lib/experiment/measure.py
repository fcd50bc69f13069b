"""What a run measures: an encoder fine-tuned and frozen, in time and shuffled, over many draws; and its record."""

from dataclasses import replace
from functools import partial

import numpy as np

from acssm_lib.baselines.mel_statistics import MelStatistics
from acssm_lib.fewshot.em_lda import SoftLDA
from acssm_lib.fewshot.embedding import CropFeatures, embed
from acssm_lib.fewshot.episodes import most_shots
from acssm_lib.fewshot.evaluation import evaluate
from acssm_lib.fewshot.finetuning import FineTuning
from acssm_lib.fewshot.propagation import LabelPropagation
from acssm_lib.fewshot.readout import LogisticReadout, NearestMean
from acssm_lib.fewshot.transduction import SeededClusters
from acssm_lib.training import count_parameters

# Readouts made from (embedding, heard), asked at the run's own number of shots; their titles stand in names.READOUTS
HEARING = {
    "nearest-mean": NearestMean,
    "clusters": SeededClusters,
    "transport": partial(SeededClusters, balance=0.5),
    "balanced-transport": partial(SeededClusters, balance=1.0),
    "em-lda": SoftLDA,
    "propagation": LabelPropagation,
}
CURVE_DRAWS = 100  # support draws at the other shots of the curve, at most


def measure(encoder, data, split, config, seed, *, checkpoint=None, device=None, progress=True):
    """Accuracy of an encoder on one split by every readout, over the support draws of a run.

    Fine-tuning costs seconds per draw and gets ``config.n_episodes`` of them; the frozen readouts share embeddings that
    are computed once and get ``config.n_frozen_episodes``, unless the pool was made for a single draw. Where there
    are frames, every query is asked a second time with its frames in random order.

    Args:
        encoder: in eval mode; None for mel statistics, which are read like an embedding.
        data: a ``GroupData``.
        split: a ``Split``.
        checkpoint: folder in which finished draws of the fine-tuning are kept.
    Returns:
        dict: (readout, n_shot) -> list of draws as from ``evaluate``; readouts "finetuned", "logistic", those of
        ``HEARING``, and "logistic" at every other number of ``config.frozen_shots`` that the classes allow.
    Source: paper section III (fine-tuning); frozen readouts and controls are ours.
    """
    group = (data.labels, data.sources, data.names)
    measured = {}
    features = None if encoder is None else CropFeatures(encoder, data.clips, config)  # of the test crops, for all uses
    embedding, shuffled = _embeddings(encoder, data, config, features)
    # logistic_C was chosen for encoders; a baseline keeps the one that suits it
    logistic = LogisticReadout(embedding, 1.0 if encoder is None else config.logistic_C, shuffled)
    frames = shuffled is not None
    if encoder is not None and config.finetuning and count_parameters(encoder):
        learner = FineTuning(encoder, data.clips, config, features=features, device=device, progress=False)
        measured["finetuned", config.n_shot] = evaluate(
            learner, *group, config, seed, split=split, shuffled=frames, checkpoint=checkpoint, progress=progress
        )
    n_frozen = config.n_frozen_episodes if config.pool in ("group", "everything") else config.n_episodes
    frozen = replace(config, n_episodes=max(n_frozen, config.n_episodes))
    measured["logistic", config.n_shot] = evaluate(
        logistic, *group, frozen, seed, split=split, shuffled=frames, progress=progress
    )
    heard = np.intersect1d(split.pool, np.flatnonzero(data.labels >= 0))
    for name, readout in HEARING.items():
        measured[name, config.n_shot] = evaluate(
            readout(embedding, heard), *group, frozen, seed, split=split, progress=False
        )
    most = most_shots(
        data.labels[split.support], [data.sources[index] for index in split.support], config.support_sources
    )
    for n_shot in config.frozen_shots:
        if n_shot != config.n_shot and n_shot <= most:
            curve = replace(frozen, n_shot=n_shot, n_episodes=min(frozen.n_episodes, CURVE_DRAWS))
            measured["logistic", n_shot] = evaluate(logistic, *group, curve, seed, split=split, progress=False)
    return measured


def _embeddings(encoder, data, config, features):
    """Of every clip, in time and with shuffled frames (None without frames); rows outside of the group are zero."""
    members = np.flatnonzero(data.labels >= 0)
    if encoder is None:
        return _rows(MelStatistics(data.clips, config).features(members), members, len(data.labels)), None
    in_time = _rows(embed(encoder, data.clips, members, config, None, features), members, len(data.labels))
    if not encoder.has_frames:
        return in_time, None
    return in_time, _rows(embed(encoder, data.clips, members, config, 0, features), members, len(data.labels))


def _rows(values, members, n_clips):
    table = np.zeros((n_clips, values.shape[1]), dtype=np.float32)
    table[members] = values
    return table


def pooled(parts):
    """The measurements of several splits as one: every draw counts the queries of all splits together.

    Args:
        parts: list of what ``measure`` returned.
    """
    keys = [key for key in parts[0] if all(key in part for part in parts)]
    return {key: [_pool(draws) for draws in zip(*(part[key] for part in parts), strict=True)] for key in keys}


def _pool(draws):
    """One draw of every split -> one draw."""
    if len(draws) == 1:
        return draws[0]
    plain, unshared = ([draw[key] for draw in draws] for key in ("n_query", "n_query_unshared_sources"))
    pooled = {
        "accuracy": _share(draws, "accuracy", plain),
        "n_query": sum(plain),
        "accuracy_unshared_sources": _share(draws, "accuracy_unshared_sources", unshared),
        "n_query_unshared_sources": sum(unshared),
        "seed": draws[0]["seed"],
        "confusion": np.sum([draw["confusion"] for draw in draws], axis=0).tolist(),
        "support": [name for draw in draws for name in draw["support"]],
        "seconds": sum(draw["seconds"] for draw in draws),
    }
    if "shuffled" in draws[0]:
        shuffled = [draw["shuffled"] for draw in draws]
        pooled["shuffled"] = {
            "accuracy": _share(shuffled, "accuracy", plain),
            "accuracy_unshared_sources": _share(shuffled, "accuracy_unshared_sources", unshared),
        }
    return pooled


def _share(draws, key, counts):
    """Right answers of all splits over queries of all splits; None where there is no query."""
    right = [draw[key] * count for draw, count in zip(draws, counts) if count]
    return sum(right) / sum(counts) if right else None
