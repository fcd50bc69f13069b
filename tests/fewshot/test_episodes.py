import numpy as np
import pytest

from acssm_lib.data.datasets import ESC50
from acssm_lib.fewshot.episodes import episode_seeds, most_shots, sample_episode, sample_support, shares_source
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


def test_where_recordings_have_to_differ_an_unknown_one_is_one_of_its_own():
    labels, sources = np.repeat([0, 1], 5), ["a", "a", None, None, None] * 2
    drawn = {tuple(sample_support(labels, 2, 4, seed, sources, distinct_sources=True)) for seed in range(20)}
    assert drawn and all({2, 3, 4, 7, 8, 9} < set(support) for support in drawn)


def speakers(n_speakers=6, takes=12, n_classes=5):
    """Labels and sources of clips that every speaker gave of every class."""
    labels = np.repeat(np.arange(n_classes), n_speakers * takes)
    return labels, [f"speaker {number // takes % n_speakers}" for number in range(len(labels))]


@pytest.mark.parametrize("rule, n_sources, n_query", [("one", 1, 5 * 60), ("spread", 5, 60)])
def test_all_classes_are_labelled_by_the_same_sources_and_others_are_asked(rule, n_sources, n_query):
    labels, sources = speakers()
    asked = set()
    for seed in range(30):
        episode = sample_episode(labels, 5, 5, seed, sources, support_sources=rule)
        by_class = [sorted(sources[clip] for clip in episode.support if labels[clip] == label) for label in range(5)]
        assert len(episode.support) == 25 and by_class == by_class[:1] * 5 and len(set(by_class[0])) == n_sources
        assert len(episode.query) == n_query and not shares_source(episode.query, episode.support, sources).any()
        asked |= {sources[clip] for clip in episode.query}
    assert len(asked) == 6  # each has its turn
    again = sample_episode(labels, 5, 5, 29, sources, support_sources=rule)
    assert again.support.tolist() == episode.support.tolist()


def test_sources_that_lack_a_class_or_a_name_never_label():
    labels, sources = speakers(n_speakers=3, takes=4)
    sources = [None if source == "speaker 0" else source for source in sources]
    labels[(labels == 2) & np.array([source == "speaker 1" for source in sources])] = 3
    for seed in range(9):
        episode = sample_episode(labels, 5, 4, seed, sources, support_sources="one")
        assert {sources[clip] for clip in episode.support} == {"speaker 2"}
        assert {sources[clip] for clip in episode.query} == {None, "speaker 1"}


def test_a_draw_that_the_sources_cannot_give_is_refused_in_words():
    labels, sources = speakers(n_speakers=5)
    with pytest.raises(DataError, match="support_sources=spread with n_shot=6 needs 6 source.* there are 5"):
        sample_episode(labels, 5, 6, 0, sources, support_sources="spread")
    with pytest.raises(DataError, match="n_shot=5 leaves nothing to ask"):
        sample_episode(labels, 5, 5, 0, sources, support_sources="spread")
    with pytest.raises(DataError, match="one with n_shot=13 needs 1 source.*13 clip"):
        sample_episode(labels, 5, 13, 0, sources, support_sources="one")
    with pytest.raises(DataError, match="there are 0 .sources.csv"):
        sample_episode(labels, 5, 5, 0, [None] * len(labels), support_sources="one")


def test_most_shots_is_what_can_just_be_drawn():
    labels, sources = speakers()
    for rule, most in (("any", 71), ("one", 12), ("spread", 5)):
        assert most_shots(labels, sources, rule) == most
        sample_episode(labels, 5, most, 0, sources if rule != "any" else None, support_sources=rule)
        with pytest.raises(DataError):
            sample_episode(labels, 5, most + 1, 0, sources if rule != "any" else None, support_sources=rule)
    assert most_shots(labels, ["alone"] * len(labels), "one") == 0


def test_unlabelled_clips_are_never_drawn_and_classes_are_chosen_when_there_are_more():
    labels = np.concatenate([LABELS, np.full(20, -1)])
    episode = sample_episode(labels, 3, 5, 0)
    assert len(set(labels[episode.support])) == 3 and (labels[episode.query] >= 0).all()
    assert len(episode.query) == 3 * 35
    for seed in range(20):  # three different ones, whatever the draw
        assert len(set(labels[sample_support(labels, 3, 5, seed)])) == 3


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


def test_as_many_recordings_as_labels_are_enough_where_they_have_to_differ():
    labels, sources = np.repeat([0, 1], 6), np.tile(["a", "a", "b", "b", "c", "c"], 2)
    support = sample_support(labels, 2, 3, 0, sources, distinct_sources=True)
    assert sorted(sources[support]) == ["a", "a", "b", "b", "c", "c"]
    with pytest.raises(DataError, match="class 0 has 3 recordings, too few for 4"):
        sample_support(labels, 2, 4, 0, sources, distinct_sources=True)
