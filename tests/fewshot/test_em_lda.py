import numpy as np
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from acssm_lib.fewshot.em_lda import SoftLDA
from acssm_lib.fewshot.transduction import SeededClusters

LABELS = np.repeat(np.arange(3), 60)


def stretched(seed, d=10):
    """Three classes, all drawn out six times as far along four directions as along the others."""
    generator = np.random.default_rng(seed)
    turn, centres = (np.linalg.qr(generator.standard_normal((d, d)))[0] for _ in range(2))
    spread = turn * np.where(np.arange(d) < 4, 6, 1)
    return 6 * centres[LABELS] + generator.standard_normal((180, d)) @ spread.T


def drawn(seed, n_shot=3):
    generator = np.random.default_rng(seed)
    support = np.concatenate([generator.choice(np.flatnonzero(LABELS == label), n_shot, False) for label in range(3)])
    return np.sort(support), np.setdiff1d(np.arange(180), support)


def accuracy(kind, **settings):
    right = []
    for seed in range(10):
        support, query = drawn(seed)
        shares = kind(stretched(seed), **settings).fit(support, LABELS[support], 0).predict(query)
        right.append((shares.argmax(1) == LABELS[query]).mean())
    return np.mean(right)


def test_what_all_classes_are_drawn_out_along_is_learned_from_unlabelled_clips():
    heard, labels_alone, clusters = accuracy(SoftLDA), accuracy(SoftLDA, rounds=0), accuracy(SeededClusters)
    assert heard > labels_alone + 0.05 and heard > clusters + 0.05, (heard, labels_alone, clusters)


def test_labels_alone_are_discriminant_analysis_with_a_shrunk_covariance():
    support, query = drawn(0, n_shot=5)
    for rounds in (0, 15):  # nothing is heard but the labelled clips, whose shares never change
        ours = SoftLDA(stretched(0), heard=support, shrinkage=0.4, rounds=rounds).fit(support, LABELS[support], 0)
        known = LinearDiscriminantAnalysis("lsqr", shrinkage=0.4).fit(ours.points[support], LABELS[support])
        assert np.allclose(ours.predict(query), known.predict_proba(ours.points[query]), atol=1e-6)


def test_the_order_of_clips_and_classes_does_not_matter():
    points, (support, query) = stretched(1), drawn(1)
    asked = SoftLDA(points).fit(support, LABELS[support], 0).predict(query)
    order = np.random.default_rng(0).permutation(180)
    place = np.argsort(order)
    renamed = np.array([2, 0, 1])[LABELS]
    again = SoftLDA(points[order]).fit(place[support], renamed[support], 0).predict(place[query])
    assert np.allclose(again[:, [2, 0, 1]], asked, atol=1e-6)


def test_a_class_does_not_grow_because_it_is_large():
    kept = np.concatenate([np.arange(60), np.arange(60, 68), np.arange(120, 180)])  # eight clips of the second class
    points, labels = stretched(2)[kept], LABELS[kept]
    support = np.array([0, 1, 2, 60, 61, 62, 68, 69, 70])
    shares = SoftLDA(points).fit(support, labels[support], 0).predict(np.arange(63, 68))
    assert (shares.argmax(1) == 1).mean() >= 0.8


def test_what_may_not_be_heard_changes_nothing_but_its_own_answers():
    points, heard = stretched(3), np.arange(0, 180, 2)
    support, asked = np.arange(0, 180, 20), np.setdiff1d(heard, np.arange(0, 180, 20))
    other = points.copy()
    other[1::2] += 50
    one, two = (SoftLDA(x, heard).fit(support, LABELS[support], 0).predict(asked) for x in (points, other))
    assert np.array_equal(one, two)


def test_clips_that_hardly_differ_within_a_class_are_told_without_a_doubt():
    generator = np.random.default_rng(0)
    points = generator.standard_normal((3, 10))[LABELS] + 1e-5 * generator.standard_normal((180, 10))
    support, query = drawn(0)
    shares = SoftLDA(points).fit(support, LABELS[support], 0).predict(query)
    assert np.allclose(shares, np.eye(3)[LABELS[query]])
