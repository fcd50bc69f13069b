import dataclasses

import numpy as np
import pytest

from acssm_lib.data.clips import Clips
from acssm_lib.fewshot.groups import GroupData
from acssm_lib.fewshot.protocols import pretraining_pool, splits
from acssm_lib.files import DataError
from acssm_lib.presets import preset

CONFIG = preset("quick", n_shot=2)


def group(n_classes=3, per_class=20, recordings=8, unlabelled=4, folds=None):
    """Clips of which several share a recording, then some unlabelled ones of recordings of their own."""
    labels = np.repeat(np.arange(n_classes), per_class)
    sources = [f"{label}-{number % recordings}" for label in range(n_classes) for number in range(per_class)]
    labels = np.concatenate([labels, np.full(unlabelled, -1)])
    sources += [f"other {number}" for number in range(unlabelled)]
    return GroupData(
        Clips([np.zeros(4)] * len(labels)),
        labels,
        sources,
        [f"clip{n}" for n in range(len(labels))],
        [f"class {n}" for n in range(n_classes)],
        np.array([], dtype=int),
        folds,
    )


def inductive(kind, **changes):
    return dataclasses.replace(CONFIG, protocol=f"inductive-{kind}", **changes)


def test_transductive_pool_holds_the_queries():
    data = group()
    (split,) = splits(data, CONFIG, 0)
    episode = split.episode(data.labels, 3, 2, seed=5)
    assert split.query is None and len(split.pool) == len(data.labels)
    assert len(episode.support) == 6 and len(episode.query) == 54
    assert set(episode.query) <= set(split.pool)


@pytest.mark.parametrize("kind", ["clip", "recording"])
def test_inductive_queries_are_neither_heard_nor_labelled_and_each_clip_is_asked_once(kind):
    data = group()
    found = splits(data, inductive(kind), 0)
    assert len(found) == 5
    assert sorted(np.concatenate([split.query for split in found])) == list(range(60))
    for split in found:
        assert not set(split.query) & set(split.pool) and not set(split.query) & set(split.support)
        assert set(range(60, 64)) <= set(split.pool)  # the unlabelled clips are always heard
        episode = split.episode(data.labels, 3, 2, seed=1)
        assert episode.query is split.query and set(episode.support) <= set(split.support)
        assert np.bincount(data.labels[episode.support]).tolist() == [2, 2, 2]


def test_by_recording_nothing_of_a_queried_recording_is_heard_but_by_clip_it_is():
    data = group()
    shared = {
        kind: [
            bool({data.sources[i] for i in split.query} & {data.sources[i] for i in split.pool})
            for split in splits(data, inductive(kind), 0)
        ]
        for kind in ("clip", "recording")
    }
    assert shared == {"clip": [True] * 5, "recording": [False] * 5}


def test_folds_of_the_data_set_are_used_and_a_recording_in_two_folds_is_kept_out():
    data = group(recordings=60, unlabelled=0, folds=np.tile(np.arange(1, 6), 12))
    data.sources[0] = data.sources[21] = "the same"  # folds 1 and 2
    found = splits(data, inductive("recording"), 0)
    assert [set(data.folds[split.query]) for split in found] == [{1}, {2}, {3}, {4}, {5}]
    assert 21 not in found[0].pool and 21 not in found[0].support and 0 not in found[1].pool
    assert len(found[0].pool) == 47 and len(found[2].pool) == 48


@pytest.mark.parametrize(
    "changes",
    [
        {"protocol": "inductive-clip"},
        {"protocol": "inductive-recording"},
        {"pool_size": 30},
        {"protocol": "inductive-clip", "pool_size": 30},
        {"pool": "unlabelled", "n_episodes": 1},
    ],
)
def test_same_seed_same_split_and_another_seed_another(changes):
    data, config = group(), dataclasses.replace(CONFIG, **changes)
    parts = [
        [
            (split.pool.tolist(), None if split.query is None else split.query.tolist())
            for split in splits(data, config, seed)
        ]
        for seed in (0, 0, 1)
    ]
    assert parts[0] == parts[1] != parts[2]


def test_a_pool_is_thinned_to_one_size_for_comparison():
    data = group()
    sizes = {
        len(set(split.pool))  # no clip twice
        for kind in ("clip", "recording")
        for split in [
            *splits(data, inductive(kind, pool_size=30), 0),
            *splits(data, dataclasses.replace(CONFIG, pool_size=30), 0),
        ]
    }
    assert sizes == {30}


def test_withheld_support_stays_out_of_every_inductive_pool():
    data = group()
    for split in splits(data, inductive("clip", pool="unlabelled", n_episodes=1), seed=3):
        support = split.episode(data.labels, 3, 2, seed=3000).support
        assert not set(support) & set(split.pool) and len(split.pool) == 64 - 12 - 6


def test_several_draws_cannot_each_be_withheld():
    with pytest.raises(ValueError, match="n_episodes=4"):
        splits(group(), inductive("clip", pool="unlabelled"), 0)


def test_the_pool_of_notebook_4_is_the_transductive_one():
    assert pretraining_pool(group(), inductive("clip"), 0).tolist() == list(range(64))


def test_too_few_recordings_for_the_support_are_named():
    data = group(per_class=5, recordings=5)
    split = splits(data, inductive("clip"), 0)[0]
    with pytest.raises(DataError, match="class 0 has 4 clips"):
        split.episode(data.labels, 3, 5, seed=0)


@pytest.mark.parametrize("protocol", ["transductive", "inductive-clip", "inductive-recording"])
def test_support_of_one_source_asks_no_clip_of_it_whatever_the_protocol(protocol):
    data = group(unlabelled=0)
    sources = [f"singer {number % 5}" for number in range(60)]
    for split in splits(
        dataclasses.replace(data, sources=sources),
        dataclasses.replace(CONFIG, protocol=protocol, support_sources="one"),
        0,
    ):
        episode = split.episode(data.labels, 3, 2, 1, sources, "one")
        labelled = {sources[index] for index in episode.support}
        assert len(labelled) == 1 and not labelled & {sources[index] for index in episode.query}
        assert len(episode.query) == 48 or protocol != "transductive"


def test_everything_is_one_pool_for_all_groups_and_leaves_several_draws():
    pools = [
        splits(group(), dataclasses.replace(CONFIG, pool=pool, n_episodes=3), 0)[0].pool
        for pool in ("group", "everything")
    ]
    assert pools[0].tolist() == pools[1].tolist() == list(range(64))
    with pytest.raises(ValueError, match="withholds"):
        splits(group(), dataclasses.replace(CONFIG, pool="all", n_episodes=3), 0)
