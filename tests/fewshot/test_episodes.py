import numpy as np
import pytest

from acssm_lib.data.datasets import ESC50
from acssm_lib.fewshot.episodes import episode_seeds, sample_episode, shares_source
from acssm_lib.files import DataError

LABELS = np.repeat(np.arange(5), 40)


def test_five_way_five_shot_has_175_disjoint_queries():
    episode = sample_episode(LABELS, 5, 5, seed=0)
    assert (len(episode.support), len(episode.query)) == (25, 175)
    assert np.bincount(LABELS[episode.support]).tolist() == [5] * 5
    assert not set(episode.support) & set(episode.query)


def test_the_draw_depends_on_the_seed_alone():
    first, again, other = (sample_episode(LABELS, 5, 5, seed).support.tolist() for seed in (3, 3, 4))
    assert first == again != other
    sources = [str(i // 2) for i in range(200)]
    assert sample_episode(LABELS, 5, 5, 3, sources).support.tolist() == first


def test_with_sources_no_query_shares_one_with_any_support():
    sources = [str(i % 60) for i in range(200)]  # also shared between classes
    episode = sample_episode(LABELS, 5, 5, 0, sources)
    assert not {sources[i] for i in episode.query} & {sources[i] for i in episode.support}
    assert len(episode.query) < 175


def test_unknown_sources_are_shared_with_nothing():
    assert shares_source([0, 1, 2], [3, 4], ["a", None, "b", "a", None]).tolist() == [True, False, False]


def test_distinct_sources_give_different_recordings():
    sources = [str(i // 4) for i in range(200)]
    episode = sample_episode(LABELS, 5, 5, 0, sources, distinct_sources=True)
    assert len({sources[i] for i in episode.support}) == 25


def test_unlabelled_clips_are_never_drawn_and_classes_are_chosen_when_there_are_more():
    labels = np.concatenate([LABELS, np.full(20, -1)])
    episode = sample_episode(labels, 3, 5, 0)
    assert len(set(labels[episode.support])) == 3 and (labels[episode.query] >= 0).all()
    assert len(episode.query) == 3 * 35


def test_too_few_clips_or_classes_are_named():
    with pytest.raises(DataError, match="class 1 has 5 clips"):
        sample_episode([0] * 9 + [1] * 5, 2, 5, 0)
    with pytest.raises(DataError, match="6 classes, there are 5"):
        sample_episode(LABELS, 6, 5, 0)


def test_runs_have_their_own_draws_however_many():
    seeds = [seed for run in (0, 1, 2, 7, 1000) for seed in episode_seeds(run, 3000)]
    assert len(set(seeds)) == len(seeds)
    assert episode_seeds(3, 1002)[:1000] == list(range(3000, 4000))  # as they were before there were more
    assert episode_seeds(3, 1002) == episode_seeds(3, 3000)[:1002]
    assert 1_000_003 * max(seeds) + 1_000_000 < 2**63  # what is seeded with them takes 64 bits


@pytest.mark.parametrize("group, leak", [("E1", 0.063), ("E2", 0.111)])
def test_leakage_on_esc10_is_what_the_specification_says(shared_data, group, leak):
    data = ESC50(shared_data / "esc10")
    members = data.clips_of(group)
    sources = [data.sources[i] for i in members]
    shares = []
    for seed in range(2000):
        episode = sample_episode(data.labels[members], 5, 5, seed)
        shares.append(shares_source(episode.query, episode.support, sources).mean())
    assert np.mean(shares) == pytest.approx(leak, abs=0.01)
