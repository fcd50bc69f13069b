"""Intervals against numbers worked out by hand, and against how often they hold what they should."""

import math

import numpy as np
import pytest

from acssm_lib.fewshot.statistics import holm, mean_interval, over_cells, over_draws


def test_interval_is_students_t_over_draws():
    mean, (low, high) = mean_interval([0.4, 0.5, 0.6])
    half = 4.302653 * 0.1 / math.sqrt(3)  # t(0.975, 2 degrees of freedom), sd 0.1
    assert (mean, low, high) == pytest.approx((0.5, 0.5 - half, 0.5 + half), abs=1e-6)


def test_interval_stays_between_zero_and_one():
    assert mean_interval([0.9, 1.0])[1] == (pytest.approx(0.95 - 12.7062 * 0.05, abs=1e-4), 1.0)


def test_one_draw_has_a_binomial_interval_only_with_its_count():
    assert mean_interval([0.5]) == (0.5, None)
    mean, (low, high) = mean_interval([0.5], n_query=100)
    assert (low, high) == pytest.approx((0.4038, 0.5962), abs=1e-4)  # Wilson, 50 of 100
    with pytest.raises(ValueError, match="at least one"):
        mean_interval([])


def test_cells_without_a_value_do_not_count():
    found = over_cells([0.4, math.nan, 0.5, 0.6], mean=0.45)
    assert (found.mean, found.n) == (0.45, 3)
    assert found.half == pytest.approx(4.302653 * 0.1 / math.sqrt(3), abs=1e-6)
    assert math.isnan(over_cells([0.3]).half) and math.isnan(over_cells([math.nan]).mean)


def test_p_belongs_to_the_interval():
    edge = over_cells(np.array([0.4, 0.5, 0.6]) - 0.5 + 4.302653 * 0.1 / math.sqrt(3))
    assert edge.p == pytest.approx(0.05, abs=1e-6) and edge.low == pytest.approx(0, abs=1e-6)
    assert over_cells([0.1, 0.1]).p == 0 and over_cells([0.0, 0.0]).p == 1


def test_draws_of_one_seed_are_students_t():
    values = [0.41, 0.52, 0.63, 0.5]
    found = over_draws(values, [0] * 4, range(4))
    assert (found.mean, found.half, found.n) == pytest.approx((*over_cells(values)[:2], 4))


def test_a_draw_shared_by_seeds_counts_once():
    once = over_draws([0.5, 0.7], [0, 0], [1, 2])
    twice = over_draws([0.5, 0.7, 0.5, 0.7], [0, 0, 1, 1], [1, 2, 1, 2])
    assert twice == pytest.approx(once)


def test_a_gap_between_seeds_does_not_widen_the_interval_over_draws():
    near = over_draws([0.5, 0.6, 0.5, 0.6], [0, 0, 1, 1], range(4))
    far = over_draws([0.5, 0.6, 0.8, 0.9], [0, 0, 1, 1], range(4))
    assert far.half == pytest.approx(near.half)
    assert far.half == pytest.approx(4.302653 * math.sqrt(0.005 / 4))  # pooled variance, 2 degrees of freedom


def test_seeds_weigh_the_same_however_many_draws_they_have():
    found = over_draws([0.9] * 20 + [0.1, 0.3], [0] * 20 + [1] * 2, range(22))
    assert found.mean == pytest.approx(0.55) and found.low < 0.55 < found.high


def test_one_draw_per_seed_is_an_interval_over_both():
    assert over_draws([0.4, 0.5, 0.6], [0, 1, 2], [7, 8, 9]) == over_cells([0.4, 0.5, 0.6])


def test_intervals_over_draws_hold_the_mean_as_often_as_they_say():
    random, held = np.random.default_rng(0), 0
    for _ in range(400):
        values = random.normal(0.7, 0.05, (3, 5)) + np.array([[-0.1], [0.0], [0.1]])  # three encoders, five draws each
        found = over_draws(values.ravel(), np.repeat([0, 1, 2], 5), range(15))
        held += found.low < 0.7 < found.high
    assert held / 400 == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize(
    "counts, deviations",
    [
        ((2, 50), (1, 1)),
        ((4, 200), (1, 1)),
        ((3, 5, 40), (1, 1, 1)),
        ((4, 40), (3, 1)),
        ((4, 40), (1, 3)),
        ((20, 1), (1, 1)),
        ((20, 10, 1), (1, 1, 1)),
    ],
)
def test_intervals_hold_the_mean_also_where_seeds_have_unlike_numbers_of_draws(counts, deviations):
    random, held = np.random.default_rng(0), 0
    seeds = np.repeat(np.arange(len(counts)), counts)
    spread = 0.03 * np.repeat(deviations, counts)
    for _ in range(600):
        values = 0.7 + 0.1 * (seeds - np.mean(range(len(counts)))) + random.normal(0, spread)
        found = over_draws(values, seeds, range(len(seeds)))
        held += found.low < 0.7 < found.high
    assert held / 600 >= 0.93


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, math.nan]).tolist()[:3] == pytest.approx([0.03, 0.06, 0.06])
    assert math.isnan(holm([0.01, math.nan])[1])
    assert holm([0.6, 0.9]).tolist() == [1.0, 1.0]
