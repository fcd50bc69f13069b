import numpy as np
import pytest

from acssm_lib.fewshot.propagation import LabelPropagation
from acssm_lib.fewshot.readout import NearestMean


def arcs():
    """Two classes along two half circles that hook into each other, which no mean tells apart; one label each."""
    angle = np.linspace(0, np.pi, 60)
    upper, lower = np.c_[np.cos(angle), np.sin(angle)], np.c_[1 - np.cos(angle), 0.4 - np.sin(angle)]
    points = np.r_[upper, lower]
    waves = [np.exp(-((points - corner) ** 2).sum(1) / 0.05) for corner in points[::3]]  # near by is alike in angle
    return np.stack(waves, axis=1), np.repeat([0, 1], 60)


def test_labels_follow_a_chain_of_neighbours_where_means_fail():
    points, labels = arcs()
    support = np.array([0, 60])
    query = np.setdiff1d(np.arange(120), support)
    plain, spread = (
        (made.fit(support, labels[support], 0).predict(query).argmax(1) == labels[query]).mean()
        for made in (NearestMean(points), LabelPropagation(points, neighbours=4, alpha=0.99))
    )
    assert spread > 0.95 and plain < 0.85


@pytest.mark.parametrize("d", [2, 30])  # with many coordinates clips have little in common: weak links
def test_a_small_graph_equals_its_formula(d):
    points = np.random.default_rng(0).standard_normal((9, d))
    made = LabelPropagation(points, neighbours=9, alpha=0.5).fit([0, 3], np.array([0, 1]), 0)
    weights = np.maximum(made.points @ made.points.T, 0) * (1 - np.eye(9))
    assert (weights.sum(1).min() < 1) == (d == 30)
    roots = np.sqrt(weights.sum(1))
    answers = known = np.eye(9)[:, [0, 3]]
    for _ in range(100):  # the iteration that the inverse sums up
        answers = 0.5 * (weights / roots[:, None] / roots) @ answers + known
    assert np.allclose(made.predict(range(9)), answers / answers.sum(1, keepdims=True), atol=1e-9)


def test_a_clip_near_the_mean_counts_by_its_angle_as_any_other_does():
    points = np.random.default_rng(0).standard_normal((20, 4))
    points[5] = points.mean(0) + 0.01 * points[6]
    assert np.allclose(np.linalg.norm(LabelPropagation(points).points, axis=1), 1)


def test_the_order_of_the_clips_does_not_matter_and_draws_share_one_graph():
    points, labels = arcs()
    order = np.random.default_rng(0).permutation(120)
    support = np.array([5, 20, 70, 110])
    made = LabelPropagation(points).fit(support, labels[support], 0)
    asked, graph = made.predict(range(120)), made.spread
    place = np.argsort(order)
    again = LabelPropagation(points[order]).fit(place[support], labels[support], 0).predict(place)
    assert np.allclose(again, asked, atol=1e-9)
    assert made.fit([1, 61], np.array([0, 1]), 0).spread is graph


def test_what_may_not_be_heard_is_no_node_and_is_still_answered():
    points, labels = arcs()
    heard = np.arange(0, 120, 2)
    support = heard[[3, 20, 40, 55]]
    made = LabelPropagation(points, heard).fit(support, labels[support], 0)
    assert np.array_equal(made.nodes, heard)
    outside = np.arange(1, 120, 2)
    moved = points.copy()
    moved[outside] *= -3
    other = LabelPropagation(moved, heard).fit(support, labels[support], 0)
    assert np.array_equal(made.predict(heard), other.predict(heard))
    assert (made.predict(outside).argmax(1) == labels[outside]).mean() > 0.8
    assert np.allclose(made.predict(range(120))[outside], made.predict(outside))  # whoever is asked beside them
    apart = LabelPropagation(points, heard).fit([1, 119], np.array([0, 1]), 0)  # labelled clips join the graph
    assert set(apart.nodes) == {*heard, 1, 119}
