"""Who may see what: the clips to pre-train on, those that may carry a label, and those that are asked.

transductive         as in the paper: the queries are in the pre-training pool, without labels
inductive-clip       the queries are withheld from the pool: clips that nothing has heard
inductive-recording  so is every clip of their recordings: nights, rooms and individuals that nothing has heard
"""

from dataclasses import dataclass, replace

import numpy as np

from acssm_lib.fewshot.episodes import Episode, episode_seeds, sample_episode, sample_support, shares_source
from acssm_lib.files import DataError

N_SPLITS = 5  # of an inductive protocol; ESC-50 comes in five folds


@dataclass(frozen=True)
class Split:
    """Indices into the clips of a ``GroupData``.

    Attributes:
        pool: recordings to pre-train on, without labels.
        support: clips that may be drawn as labelled ones.
        query: clips that are asked; None for all clips of the group that are not in the support drawn.
    Taught in: 05_few_shot_finetuning.
    """

    pool: np.ndarray
    support: np.ndarray
    query: np.ndarray | None = None

    def episode(self, labels, n_way, n_shot, seed, sources=None, support_sources="any"):
        """An ``Episode`` with its support drawn by ``sample_episode`` among the clips that may be labelled.

        Args:
            sources, support_sources: which recordings label and which are asked, see ``sample_episode``.
        """
        labels = np.asarray(labels)
        allowed = np.full_like(labels, -1)
        allowed[self.support] = labels[self.support]
        known = None if support_sources == "any" else sources  # else every clip but the support is asked
        if self.query is None:
            return sample_episode(allowed, n_way, n_shot, seed, known, support_sources=support_sources)
        support = sample_support(allowed, n_way, n_shot, seed, known, support_sources=support_sources)
        query = self.query if known is None else self.query[~shares_source(self.query, support, known)]
        if not len(query):
            raise DataError(
                f"support_sources={support_sources}: every clip that a split asks shares its source with "
                "a labelled one; use protocol=transductive or inductive-recording"
            )
        return Episode(support, query)


def splits(data, config, seed):
    """The splits of a run: one for the transductive protocol, five for the inductive ones.

    An inductive split asks a fifth of the group and leaves four fifths to pool and support; over the five, every clip
    is asked once. By clip the fifths are drawn at random within each class. By recording they are the folds of the
    data set where it has some (ESC-50), else drawn so that no recording is divided; clips of a recording that lies in
    several fifths are kept from the pool and the support while one of them is asked.

    Which of the clips that may be heard make the pool is ``config.pool``: see ``pretraining_pool``. A pool of more
    than ``config.pool_size`` clips is thinned to that size, so that protocols can be compared at one size.

    Args:
        data: a ``GroupData``.
        config: a ``Preset``.
        seed: of the fifths, and of the thinning.
    Returns:
        list of Split.
    Raises:
        ValueError: a pool that withholds the support, with more than one support draw.
        DataError: a class that is too small for the support of a split.
    Taught in: 05_few_shot_finetuning.
    Source: paper section III (transductive); the inductive protocols are ours.
    """
    everyone = np.arange(len(data.labels))
    members = np.flatnonzero(data.labels >= 0)
    if config.protocol == "transductive":
        return [_split(data, config, seed, everyone, members, None)]
    found = []
    for query in _fifths(data, members, config.protocol, seed):
        barred = np.isin(everyone, query)
        if config.protocol == "inductive-recording":
            asked = {data.sources[index] for index in query} - {None}
            barred |= np.array([source in asked for source in data.sources])
        found.append(_split(data, config, seed, everyone[~barred], members[~barred[members]], query))
    return found


def pretraining_pool(data, config, seed):
    """Indices of the recordings to pre-train on in the transductive protocol; the queries are among them.

    "group": every clip of the group, so that one pre-training serves many support draws (the support is then in
    the pool too, without its labels). "unlabelled": the group less the support of the run's only draw, as
    published. "all": every clip of the data set less the supports of all groups, nearest to the authors' code.
    "everything": every clip of the data set, as "group" for several support draws; groups then share one encoder.

    Raises:
        ValueError: "unlabelled" or "all" with more than one support draw, each of which would need its own pool.
    Taught in: 04_contrastive_pretraining.
    Source: paper section III.
    """
    return splits(data, replace(config, protocol="transductive"), seed)[0].pool


def _split(data, config, seed, heard, support, query):
    """A Split of what may be heard and labelled; the pool as ``config`` asks for."""
    split, pool = Split(heard, support, query), heard
    if config.pool not in ("group", "everything"):
        if config.n_episodes != 1:
            raise ValueError(
                f"pool={config.pool!r} withholds the labelled clips of one support draw, but "
                f"n_episodes={config.n_episodes}; use n_episodes=1 and several seeds, or pool='group'"
            )
        drawn = split.episode(
            data.labels,
            len(data.classes),
            config.n_shot,
            episode_seeds(seed, 1)[0],
            data.sources,
            config.support_sources,
        ).support
        pool = np.setdiff1d(heard, np.concatenate([drawn, data.withheld]))
    if config.pool_size is not None and len(pool) > config.pool_size:
        pool = np.sort(np.random.default_rng(seed).choice(pool, config.pool_size, replace=False))
    return Split(pool, support, query)


def _fifths(data, members, protocol, seed):
    """The clips of the group in five parts, each the queries of a split."""
    if protocol == "inductive-recording" and data.folds is not None:
        return [members[data.folds[members] == fold] for fold in np.unique(data.folds[members])]
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # here: seconds that others save

    if protocol == "inductive-clip":
        parts = StratifiedKFold(N_SPLITS, shuffle=True, random_state=seed).split(members, data.labels[members])
    else:
        own = [data.sources[index] if data.sources[index] is not None else f"clip {index}" for index in members]
        kind = StratifiedGroupKFold(N_SPLITS, shuffle=True, random_state=seed)
        parts = kind.split(members, data.labels[members], own)
    return [members[query] for _, query in parts]
