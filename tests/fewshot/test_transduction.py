import numpy as np
import pytest

from acssm_lib.fewshot.transduction import SeededClusters, compressed

LABELS = np.repeat(np.arange(3), 40)
SUPPORT, QUERY = np.arange(0, 120, 40), np.setdiff1d(np.arange(120), np.arange(0, 120, 40))  # one label per class


def heaps(spread=1.0, d=8, seed=0):
    """Three clouds, and labelled clips that lie at their edges."""
    generator = np.random.default_rng(seed)
    centres = 3 * generator.standard_normal((3, d))
    points = centres[LABELS] + spread * generator.standard_normal((120, d))
    points[SUPPORT] = centres + 0.45 * (centres[[1, 2, 0]] - centres)
    return points


def accuracy(learner, query=QUERY):
    return (learner.fit(SUPPORT, LABELS[SUPPORT], 0).predict(query).argmax(1) == LABELS[query]).mean()


def test_unlabelled_clips_move_the_classes_to_where_they_lie():
    labels_alone, everything = (accuracy(SeededClusters(heaps(), rounds=rounds)) for rounds in (0, 15))
    assert everything == 1.0 and labels_alone < everything


def test_answers_are_shares():
    shares = SeededClusters(heaps()).fit(SUPPORT, LABELS[SUPPORT], 0).predict(QUERY)
    assert shares.shape == (117, 3) and np.allclose(shares.sum(1), 1) and shares.min() >= 0


@pytest.mark.parametrize("sharpness", [1e-3, 2e3])
def test_however_blunt_or_sharp_answers_are_shares(sharpness):
    shares = SeededClusters(heaps(), sharpness=sharpness, balance=0.5).fit(SUPPORT, LABELS[SUPPORT], 0).predict(QUERY)
    assert np.allclose(shares.sum(1), 1) and shares.min() >= 0


def test_a_class_may_be_rarer_than_another():
    kept = np.concatenate([np.arange(40), np.arange(40, 52), np.arange(80, 120)])  # twelve clips of the second class
    points, labels = heaps()[kept], LABELS[kept]
    support = np.array([0, 40, 52])
    answers = SeededClusters(points).fit(support, labels[support], 0).predict(np.arange(len(kept))).argmax(1)
    rest = np.setdiff1d(np.arange(len(kept)), support)  # a labelled clip lies at the edge of its heap
    assert np.array_equal(answers[rest], labels[rest])


def test_clips_that_may_not_be_heard_change_nothing_but_their_own_answers():
    points, heard = heaps(spread=1.5), np.arange(0, 120, 2)
    other = points.copy()
    other[1::2] += 50
    asked = np.setdiff1d(heard, SUPPORT)
    one, two = (SeededClusters(x, heard).fit(SUPPORT, LABELS[SUPPORT], 0).predict(asked) for x in (points, other))
    assert np.array_equal(one, two)


def test_compressed_points_lie_on_a_sphere_of_no_more_directions_than_there_are():
    points = heaps(d=30)
    assert compressed(points, np.arange(120), 10).shape == (120, 10)
    few = compressed(points, np.arange(12), 40)
    assert few.shape == (120, 11)
    assert np.allclose(np.linalg.norm(few, axis=1), 1)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_the_unit_of_an_embedding_does_not_matter(scale):
    asked = SeededClusters(heaps()).fit(SUPPORT, LABELS[SUPPORT], 0).predict(QUERY)
    again = SeededClusters(scale * heaps()).fit(SUPPORT, LABELS[SUPPORT], 0).predict(QUERY)
    assert np.allclose(again, asked, atol=1e-5)


def test_a_labelled_clip_counts_once_with_its_label():
    points, labels = heaps(spread=2.0), LABELS.copy()
    support = np.arange(0, 120, 10)
    labels[support[::4]] = (LABELS[support[::4]] + 1) % 3  # a listener would say otherwise; labels have the last word
    alone, again = (
        SeededClusters(points, support, rounds=rounds).fit(support, labels[support], 0).predict(QUERY)
        for rounds in (0, 15)
    )
    assert np.allclose(alone, again, atol=1e-12)  # nothing was heard but the labelled clips


def uneven(n=12):
    """Two large heaps and one of ``n`` clips; support: one clip of each."""
    kept = np.concatenate([np.arange(40), np.arange(40, 40 + n), np.arange(80, 120)])
    return heaps(spread=1.6)[kept], LABELS[kept], np.array([0, 40, 40 + n])


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_transport_gives_every_class_the_total_that_is_wanted(balance):
    points, labels, support = uneven()
    made = SeededClusters(points, balance=balance).fit(support, labels[support], 0)
    others = made.points[np.setdiff1d(np.arange(len(labels)), support)]
    made._transport(others, rounds=300)
    found, made.weights = made._shares(others).sum(0), np.ones(3)
    plain = made._shares(others).sum(0)
    assert found == pytest.approx((1 - balance) * plain + balance * len(others) / 3, rel=1e-2)


def test_equal_classes_are_told_better_when_their_sizes_may_be_used():
    plain, half, full = (
        np.mean([accuracy(SeededClusters(heaps(spread=2.4, seed=seed), balance=balance)) for seed in range(12)])
        for balance in (0.0, 0.5, 1.0)
    )
    assert full > plain + 0.01 and half > plain


def test_without_clips_to_hear_there_is_nothing_to_balance():
    points, support = heaps(spread=2.0), np.arange(0, 120, 10)
    plain, moved = (
        SeededClusters(points, support, balance=balance).fit(support, LABELS[support], 0).predict(QUERY)
        for balance in (0.0, 1.0)
    )
    assert np.array_equal(plain, moved)
