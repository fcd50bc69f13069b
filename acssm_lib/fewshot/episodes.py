"""Few-shot episodes: which clips carry a label, which are asked, and which share a recording."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from acssm_lib.files import DataError


@dataclass(frozen=True)
class Episode:
    """Indices of the labelled (``support``) and of the asked clips (``query``), both ascending.

    Taught in: 05_few_shot_finetuning.
    """

    support: np.ndarray
    query: np.ndarray


def sample_episode(labels: ArrayLike, n_way: int, n_shot: int, seed: int, sources: Sequence | None = None,
                   distinct_sources: bool = False) -> Episode:
    """Draw ``n_shot`` labelled clips of each of ``n_way`` classes; all other clips of these classes are queries.

    The draw depends on labels and seed alone, so every method gets the same supports.

    Args:
        labels: int, (clips,); negative values mark unlabelled clips, which are never drawn.
        n_way: classes; with more classes than that, ``n_way`` of them are drawn.
        n_shot: labelled clips per class.
        seed: any int.
        sources: recording of each clip (None where unknown); then no query shares a source with the
            support of any class.
        distinct_sources: the supports of a class come from ``n_shot`` different recordings; needs ``sources``.
    Returns:
        ``Episode`` of indices into ``labels``.
    Raises:
        DataError: too few classes, or a class with too few clips (or recordings) for ``n_shot`` and one query.
    Taught in: 05_few_shot_finetuning.
    Source: paper section III (5-way 5-shot); sources are ours, since ESC-50 cuts several clips from one recording.
    """
    labels = np.asarray(labels)
    generator = np.random.default_rng(seed)
    classes = np.unique(labels[labels >= 0])
    if len(classes) < n_way:
        raise DataError(f"{n_way}-way episodes need {n_way} classes, there are {len(classes)}")
    if len(classes) > n_way:
        classes = np.sort(generator.choice(classes, n_way, replace=False))
    drawn: list[int] = []
    for label in classes:
        members = generator.permutation(np.flatnonzero(labels == label))
        if distinct_sources:
            members = _one_per_source(members, sources)
            if len(members) < n_shot:
                raise DataError(f"class {label} has {len(members)} recordings, too few for {n_shot} labelled clips "
                                "of different recordings")
        elif len(members) <= n_shot:
            raise DataError(f"class {label} has {len(members)} clips; {n_shot} labelled clips and a query "
                            f"need at least {n_shot + 1}")
        drawn.extend(members[:n_shot])
    support = np.sort(drawn)
    query = np.setdiff1d(np.flatnonzero(np.isin(labels, classes)), support)
    if sources is not None:
        query = query[~shares_source(query, support, sources)]
    return Episode(support, query)


def shares_source(query, support, sources):
    """Which queries come from a recording that also gave a support clip, of whatever class; bool, (query,).

    Taught in: 05_few_shot_finetuning.
    """
    known = {sources[index] for index in support} - {None}
    return np.array([sources[index] in known for index in query], dtype=bool)


def _one_per_source(members, sources):
    seen, kept = set(), []
    for index in members:
        if sources[index] is None or sources[index] not in seen:
            seen.add(sources[index])
            kept.append(index)
    return kept


def episode_seeds(seed, n_episodes):
    """Seeds of a run's support draws: the same for every method, different for every run seed.

    The first thousand count on from 1000 * seed, as they always did; those beyond would be another run's, and come from
    streams of their own (40 bits of ``numpy.random.SeedSequence``, above whatever the former reach).

    Taught in: 05_few_shot_finetuning.
    """
    return [1000 * seed + episode if episode < 1000 else _far(seed, episode) for episode in range(n_episodes)]


def _far(seed, episode):
    return 2**41 + int(np.random.SeedSequence((seed, episode)).generate_state(1, np.uint64)[0] >> np.uint64(24))
