"""What a run works on: the clips of a group, and whatever else may be heard without labels, in one bank."""

from dataclasses import dataclass

import numpy as np

from acssm_lib.data.clips import Clips
from acssm_lib.fewshot.episodes import episode_seeds, sample_episode


@dataclass(frozen=True)
class GroupData:
    """The clips of one group, and whatever else may be pre-trained on, in one bank.

    Attributes:
        clips: ``Clips``; the group's clips first, in the order of the data set; with pool "everything" all clips of
            the data set in its order, the same for every group.
        labels: int64, (clips,), index into ``classes``; -1 for clips that are no part of the group.
        sources, names: of every clip.
        classes: names of the group's classes.
        withheld: for pool "all", support clips of the other groups, which stay out of the pool.
        folds: of every clip, int64, (clips,), where the data set has some (ESC-50), else None.
    Taught in: 04_contrastive_pretraining.
    """

    clips: Clips
    labels: np.ndarray
    sources: list
    names: list
    classes: list
    withheld: np.ndarray
    folds: np.ndarray | None = None


def load_group(dataset, group, config, seed, progress=True):
    """A group's clips, the unlabelled ones, and with ``config.pool`` "all" or "everything" those of all other classes.

    Raises:
        ValueError: no such group; DataError: a clip that cannot be used.
    Taught in: 04_contrastive_pretraining.
    """
    members = dataset.clips_of(group)
    whole = config.pool in ("all", "everything")
    others = np.setdiff1d(np.arange(len(dataset)), members) if whole else dataset.unlabelled()
    chosen = np.concatenate([members, dataset.usable(others, progress)])
    if config.pool == "everything":  # in one order, so that all groups share one pre-trained encoder
        chosen = np.sort(chosen)
    classes = dataset.groups[group]
    own = {dataset.classes.index(name): label for label, name in enumerate(classes)}
    withheld = []
    if config.pool == "all":
        for name in dataset.default_groups:
            clips = dataset.clips_of(name)
            episode = sample_episode(
                dataset.labels[clips],
                len(dataset.groups[name]),
                config.n_shot,
                episode_seeds(seed, 1)[0],
                [dataset.sources[clip] for clip in clips],
                support_sources=config.support_sources,
            )
            withheld.extend(clips[episode.support])
    return GroupData(
        clips=dataset.clips(chosen, progress),
        labels=np.array([own.get(int(dataset.labels[index]), -1) for index in chosen]),
        sources=[dataset.sources[index] for index in chosen],
        names=[dataset.names[index] for index in chosen],
        classes=classes,
        withheld=np.flatnonzero(np.isin(chosen, withheld)),
        folds=dataset.folds[chosen] if hasattr(dataset, "folds") else None,
    )
