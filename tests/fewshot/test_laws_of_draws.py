"""What holds for any labels, recordings and numbers: episodes, splits, intervals."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from acssm_lib.data.clips import Clips
from acssm_lib.fewshot.episodes import sample_episode
from acssm_lib.fewshot.groups import GroupData
from acssm_lib.fewshot.protocols import splits
from acssm_lib.fewshot.statistics import mean_interval, over_cells
from acssm_lib.files import DataError
from acssm_lib.presets import preset

law = settings(deadline=None, derandomize=True, max_examples=40, database=None)
seeds = some.integers(0, 2**31 - 1)
accuracies = some.lists(some.floats(0, 1, width=32), min_size=2, max_size=12)


@law
@given(some.lists(some.integers(-1, 4), min_size=1, max_size=60), some.integers(1, 4), some.integers(1, 4), seeds)
def test_an_episode_has_its_shots_of_each_class_and_asks_all_others_once(labels, n_way, n_shot, seed):
    labels = np.array(labels)
    try:
        episode = sample_episode(labels, n_way, n_shot, seed)
    except DataError:
        counts = np.bincount(labels[labels >= 0], minlength=1)
        assert (counts > 0).sum() < n_way or (counts[counts > 0] <= n_shot).any()
        return
    again = sample_episode(labels, n_way, n_shot, seed)
    assert episode.support.tolist() == again.support.tolist() and episode.query.tolist() == again.query.tolist()
    classes, counts = np.unique(labels[episode.support], return_counts=True)
    assert len(classes) == n_way and classes.min() >= 0 and (counts == n_shot).all()
    both = np.concatenate([episode.support, episode.query])
    assert sorted(both) == np.flatnonzero(np.isin(labels, classes)).tolist()  # disjoint, and no clip is left out


@law
@given(some.integers(2, 3), some.integers(3, 8), some.integers(1, 3), some.sampled_from(["clip", "recording"]), seeds)
def test_no_query_of_a_split_is_heard_or_labelled(n_classes, recordings, clips_each, kind, seed):
    recordings = max(recordings, 5)  # one for each fifth
    labels = np.concatenate([np.repeat(np.arange(n_classes), recordings * clips_each), [-1, -1]])
    sources = [f"{place // clips_each}" for place in range(len(labels) - 2)] + ["0", None]
    data = GroupData(
        Clips([np.zeros(2)] * len(labels)),
        labels,
        sources,
        [str(n) for n in range(len(labels))],
        [str(n) for n in range(n_classes)],
        np.array([], dtype=int),
    )
    found = splits(data, dataclasses.replace(preset("quick", n_shot=1), protocol=f"inductive-{kind}"), seed)
    assert sorted(np.concatenate([split.query for split in found])) == np.flatnonzero(labels >= 0).tolist()
    for split in found:
        query = set(split.query.tolist())
        assert not query & set(split.pool.tolist()) and not query & set(split.support.tolist())
        if kind == "recording":
            asked = {sources[clip] for clip in query}
            assert not asked & {sources[clip] for clip in [*split.pool, *split.support]}


@law
@given(accuracies)
def test_an_interval_lies_about_its_mean_and_within_the_limits(values):
    estimate = over_cells(values)
    assert estimate.mean == pytest.approx(np.mean(values)) and estimate.half >= 0 and 0 <= estimate.p <= 1
    assert estimate.high - estimate.mean == pytest.approx(estimate.mean - estimate.low, abs=1e-12)
    mean, (low, high) = mean_interval(values)
    assert 0 <= low <= mean + 1e-12 and mean - 1e-12 <= high <= 1


@law
@given(accuracies, some.integers(2, 5))
def test_the_same_values_again_and_again_make_an_interval_narrower(values, times):
    one, many = over_cells(values), over_cells(values * times)
    assert many.mean == pytest.approx(one.mean) and many.half <= one.half + 1e-12
    if np.std(values) > 1e-6:
        assert many.half < one.half


@law
@given(accuracies, some.floats(-0.5, 0.5))
def test_an_interval_moves_with_its_values_and_turns_with_their_sign(values, by):
    one = over_cells(values)
    moved, turned = over_cells(np.array(values) + by), over_cells(-np.array(values))
    assert moved.mean == pytest.approx(one.mean + by) and moved.half == pytest.approx(one.half, abs=1e-9)
    assert turned.mean == pytest.approx(-one.mean) and turned.half == pytest.approx(one.half, abs=1e-12)
