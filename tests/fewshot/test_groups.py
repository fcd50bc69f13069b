"""The bank of a run: which clips are in it, in which order, under which labels."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from acssm_lib.data.clips import Clips
from acssm_lib.fewshot.episodes import episode_seeds, sample_episode
from acssm_lib.fewshot.groups import load_group
from acssm_lib.presets import preset

CLASSES = ["ant", "bee", "cat", "dog", "eel"]
GROUPS = {"two": ["bee", "ant"], "three": ["cat", "dog", "eel"], "others": ["ant", "eel"]}
LABELS = np.array([*np.tile(range(5), 4), -1, -1, -1])  # the classes in turn, three unlabelled clips behind
CONFIG = preset("quick", n_shot=2, n_episodes=1)


class Recordings(SimpleNamespace):
    """A data set of 23 clips, each as loud as its number says; clip 21 cannot be used."""

    classes, groups, default_groups, labels = CLASSES, GROUPS, ["two", "three"], LABELS
    sources, names = [f"night {n // 10}" for n in range(23)], [f"clip {n}" for n in range(23)]

    def __len__(self):
        return 23

    def clips_of(self, group):
        return np.flatnonzero(np.isin(LABELS, [CLASSES.index(name) for name in GROUPS[group]]))

    def unlabelled(self):
        return np.array([20, 21, 22])

    def usable(self, clips, progress):
        return np.array([clip for clip in clips if clip != 21], dtype=int)

    def clips(self, chosen, progress):
        return Clips([torch.full((10,), n / 32) for n in chosen.tolist()])


def is_bank_of(data, wanted, classes):
    """Whether every part of a bank is of those clips of the data set, in that order."""
    labels = [
        classes.index(CLASSES[LABELS[n]]) if LABELS[n] >= 0 and CLASSES[LABELS[n]] in classes else -1 for n in wanted
    ]
    return (
        data.names == [f"clip {n}" for n in wanted]
        and data.labels.tolist() == labels
        and data.sources == [f"night {n // 10}" for n in wanted]
        and data.classes == classes
        and [round(float(data.clips.waveform(n)[0] * 32)) for n in range(len(wanted))] == list(wanted)
    )


@pytest.mark.parametrize(
    "group, members", [("two", [0, 1, 5, 6, 10, 11, 15, 16]), ("three", [2, 3, 4, 7, 8, 9, 12, 13, 14, 17, 18, 19])]
)
@pytest.mark.parametrize("pool", ["group", "unlabelled", "all", "everything"])
def test_the_clips_of_a_group_stand_first_and_what_else_may_be_heard_behind(group, members, pool):
    data = load_group(Recordings(), group, replace(CONFIG, pool=pool), 0, progress=False)
    others = [n for n in range(23) if n not in members and n != 21]
    wanted = {"all": members + others, "everything": [n for n in range(23) if n != 21]}.get(pool, [*members, 20, 22])
    assert is_bank_of(data, wanted, GROUPS[group]) and data.folds is None
    assert (len(data.withheld) > 0) == (pool == "all")


@pytest.mark.parametrize("support_sources", ["any", "one"])
def test_of_all_other_classes_those_that_other_groups_label_are_withheld(support_sources):
    config = replace(CONFIG, pool="all", support_sources=support_sources, n_shot=1)
    data = load_group(Recordings(), "two", config, 3, progress=False)
    labelled = set()
    for name in ("two", "three"):
        clips = Recordings().clips_of(name)
        draw = sample_episode(
            LABELS[clips],
            len(GROUPS[name]),
            1,
            episode_seeds(3, 1)[0],
            [f"night {n // 10}" for n in clips],
            support_sources=support_sources,
        )
        labelled |= {f"clip {clips[n]}" for n in draw.support}
    assert {data.names[n] for n in data.withheld} == labelled and len(labelled) == 5


def test_folds_go_with_their_clips():
    folds = np.arange(23) % 5 + 1
    data = load_group(Recordings(folds=folds), "two", CONFIG, 0, progress=False)
    assert data.folds.tolist() == [folds[int(name.split()[1])] for name in data.names]
