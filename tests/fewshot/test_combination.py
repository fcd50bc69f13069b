import numpy as np
import pytest

from acssm_lib.fewshot.combination import Combination
from acssm_lib.fewshot.readout import LogisticReadout

LABELS = np.repeat(np.arange(4), 30)


def views(seed, first=1.0, second=1.0, d=6):
    """Two embeddings of the same clips; the classes lie as far apart in each as ``first`` and ``second`` say."""
    draw = np.random.default_rng(seed)
    return [far * 2 * np.eye(4, d)[LABELS] + draw.standard_normal((120, d)) for far in (first, second)]


def support(seed):
    draw = np.random.default_rng(seed)
    chosen = np.sort(np.concatenate([30 * k + draw.choice(30, 5, False) for k in range(4)]))
    return chosen, np.setdiff1d(np.arange(120), chosen)


def accuracies(first, second, draws=5):
    found = []
    for seed in range(draws):
        both, (labelled, asked) = views(seed, first, second), support(seed)
        found.append(
            [
                (learner.fit(labelled, LABELS[labelled], 0).predict(asked).argmax(1) == LABELS[asked]).mean()
                for learner in (*map(LogisticReadout, both), Combination(*both))
            ]
        )
    return np.mean(found, axis=0)


def test_two_that_know_different_things_are_better_together():
    one, other, together = accuracies(1.0, 1.0)
    assert together > max(one, other) + 0.05


def test_one_that_knows_nothing_takes_little_from_the_other():
    good, bad, together = accuracies(1.5, 0.0)
    assert bad < 0.35 < good and together > good - 0.03


def test_the_weight_follows_who_knows_and_the_order_of_the_two_does_not_matter():
    weights = []
    for seed in range(3):
        both, (labelled, asked) = views(seed, 1.5, 0.0), support(seed)
        made = Combination(*both).fit(labelled, LABELS[labelled], 0)
        turned = Combination(*both[::-1]).fit(labelled, LABELS[labelled], 0)
        assert turned.weight == pytest.approx(1 - made.weight)
        assert np.allclose(made.predict(asked), turned.predict(asked), atol=1e-6)
        weights.append(made.weight)
    assert np.mean(weights) > 0.75


def test_the_same_embedding_twice_is_one():
    (one, _), (labelled, asked) = views(0), support(0)
    twice = Combination(one, one).fit(labelled, LABELS[labelled], 0)
    alone = LogisticReadout(one).fit(labelled, LABELS[labelled], 0)
    assert np.allclose(twice.predict(asked), alone.predict(asked), atol=1e-4)
    assert twice.weight == 0.5


def test_with_one_label_per_class_nothing_can_be_left_out_and_both_count_alike():
    both = views(0)
    assert Combination(*both).fit([0, 30, 60, 90], np.arange(4), 0).weight == 0.5
