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


def sample_episode(
    labels: ArrayLike,
    n_way: int,
    n_shot: int,
    seed: int,
    sources: Sequence | None = None,
    distinct_sources: bool = False,
    support_sources: str = "any",
) -> Episode:
    """Draw ``n_shot`` labelled clips of each of ``n_way`` classes; all other clips of these classes are queries.

    The draw depends on labels and seed alone, so every method gets the same supports; of ``support_sources`` other than
    "any" also on the sources.

    Args:
        labels: int, (clips,); negative values mark unlabelled clips, which are never drawn.
        n_way: classes; with more classes than that, ``n_way`` of them are drawn.
        n_shot: labelled clips per class.
        seed: any int.
        sources: recording of each clip (None where unknown); then no query shares a source with the
            support of any class.
        distinct_sources: the supports of a class come from ``n_shot`` different recordings; needs ``sources``.
        support_sources: "any"; "one": one source gives the labelled clips of all classes; "spread": each of ``n_shot``
            sources gives one clip of every class. The last two need ``sources``, and are fair where a source is easier
            to tell than a class: no class has a source to itself.
    Returns:
        ``Episode`` of indices into ``labels``.
    Raises:
        DataError: too few classes, a class with too few clips (or recordings) for ``n_shot`` and one query, or too few
            sources with enough clips of every class, and one more to ask.
    Taught in: 05_few_shot_finetuning.
    Source: paper section III (5-way 5-shot); sources are ours, since ESC-50 cuts several clips from one recording.
    """
    labels = np.asarray(labels)
    support = sample_support(labels, n_way, n_shot, seed, sources, distinct_sources, support_sources)
    query = np.setdiff1d(np.flatnonzero(np.isin(labels, labels[support])), support)
    if sources is not None:
        query = query[~shares_source(query, support, sources)]
    if support_sources != "any" and not len(query):
        raise DataError(
            f"support_sources={support_sources} with n_shot={n_shot} leaves nothing to ask: every clip "
            "shares its source with a labelled one; label fewer clips, or add sources"
        )
    return Episode(support, query)


def sample_support(labels, n_way, n_shot, seed, sources=None, distinct_sources=False, support_sources="any"):
    """The labelled clips of ``sample_episode``, ascending, whatever is asked."""
    generator = np.random.default_rng(seed)
    classes = np.unique(labels[labels >= 0])
    if len(classes) < n_way:
        raise DataError(f"{n_way}-way episodes need {n_way} classes, there are {len(classes)}")
    if len(classes) > n_way:
        classes = np.sort(generator.choice(classes, n_way, replace=False))
    if support_sources != "any":
        return _of_few_sources(labels, classes, n_shot, sources, support_sources, generator)
    drawn: list[int] = []
    for label in classes:
        members = generator.permutation(np.flatnonzero(labels == label))
        if distinct_sources:
            members = _one_per_source(members, sources)
            if len(members) < n_shot:
                raise DataError(
                    f"class {label} has {len(members)} recordings, too few for {n_shot} labelled clips "
                    "of different recordings"
                )
        elif len(members) <= n_shot:
            raise DataError(
                f"class {label} has {len(members)} clips; {n_shot} labelled clips and a query "
                f"need at least {n_shot + 1}"
            )
        drawn.extend(members[:n_shot])
    return np.sort(drawn)


def _of_few_sources(labels, classes, n_shot, sources, rule, generator):
    """Support of all classes from the same source or sources: "one", or one clip per class from each, "spread"."""
    n_sources, n_each = (1, n_shot) if rule == "one" else (n_shot, 1)
    clips = complete_sources(labels, classes, sources, n_each)
    if len(clips) < n_sources:
        raise DataError(
            f"support_sources={rule} with n_shot={n_shot} needs {n_sources} source(s) with {n_each} "
            f"clip(s) of each of the {len(classes)} classes; there are {len(clips)} (sources.csv says "
            "which recording or individual a clip comes from)"
        )
    chosen = generator.choice(list(clips), n_sources, replace=False)
    return np.sort(
        [clip for source in chosen for members in clips[source] for clip in generator.permutation(members)[:n_each]]
    )


def complete_sources(labels, classes, sources, n_each):
    """The known sources with ``n_each`` clips of every class or more: source -> its clips, a list per class."""
    found: dict = {source: [[] for _ in classes] for source in sorted(set(sources or ()) - {None})}
    place = {label: position for position, label in enumerate(classes)}
    for clip in np.flatnonzero(np.isin(labels, classes)):
        if sources and sources[clip] is not None:
            found[sources[clip]][place[labels[clip]]].append(clip)
    return {source: members for source, members in found.items() if min(map(len, members)) >= n_each}


def most_shots(labels, sources, support_sources="any"):
    """Most labelled clips per class that can be drawn so that a clip, or one source that has every class, is left.

    Args:
        labels: 0 ... n_way - 1 of the clips that may be labelled, (clips,).
        sources, support_sources: as for ``sample_episode``.
    """
    counts = np.bincount(labels)
    if support_sources == "any":
        return counts.min() - 1
    complete = complete_sources(labels, np.arange(len(counts)), sources, 1)
    if support_sources == "spread":
        return len(complete) - 1
    return max((min(map(len, members)) for members in complete.values() if len(complete) > 1), default=0)


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
