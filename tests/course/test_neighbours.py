"""Distances, neighbours and maps of clips."""

import itertools

import numpy as np
import pytest
import torch

from acssm_lib.course.neighbours import agreement, cosine_distances, loudness_db, nearest, pca, tsne
from acssm_lib.fewshot.readout import standardise

SOURCES = ["a", "a", "b", "b", None, None, "c", "c", "c", "d"]


def distance_by_hand(embedding, i, j):
    scaled = (embedding - embedding.mean(0)) / embedding.std(0)
    one, other = scaled[i], scaled[j]
    return 1 - sum(a * b for a, b in zip(one, other)) / (sum(a * a for a in one) * sum(b * b for b in other)) ** 0.5


def test_distances_are_one_minus_the_cosine_and_ignore_scale_and_offset(embedding):
    distances = cosine_distances(torch.tensor(embedding))
    for i, j in itertools.product(range(10), repeat=2):
        assert distances[i, j] == pytest.approx(distance_by_hand(embedding, i, j), abs=1e-9)
    assert np.allclose(distances, cosine_distances(embedding * [1, 2, 3, 4, 5, 6] - 7))


def test_neighbours_against_brute_force(embedding):
    distances = cosine_distances(embedding)
    found, elsewhere = nearest(distances, 3), nearest(distances, 3, SOURCES)
    for i in range(10):
        others = sorted((j for j in range(10) if j != i), key=lambda j: distances[i, j])
        assert found[i].tolist() == others[:3]
        foreign = [j for j in others if SOURCES[i] is None or SOURCES[j] != SOURCES[i]]
        assert elsewhere[i].tolist() == foreign[:3]
    assert np.array_equal(distances, cosine_distances(embedding))  # left as they were
    with pytest.raises(ValueError, match="k=8.*only 7"):
        nearest(distances, 8, SOURCES)


def test_agreement_counts_known_and_equal_values():
    neighbours = np.array([[1, 2], [0, 2], [0, 1], [0, 4], [3, 0]])
    assert agreement(neighbours, ["a", "a", "b", None, None]).tolist() == [0.5, 0.5, 0, 0, 0]
    assert agreement(neighbours, np.array([1, 1, 0, 1, 0])).tolist() == [0.5, 0.5, 0, 0.5, 0]


def test_pca_keeps_the_directions_of_most_variance(embedding):
    points, explained = pca(embedding, 6)
    assert explained.sum() == pytest.approx(1) and (np.diff(explained) <= 0).all()
    assert points.var(0) == pytest.approx(explained * 6)  # six coordinates of variance one
    assert np.allclose(np.cov(points.T) - np.diag(np.diag(np.cov(points.T))), 0)
    assert np.allclose(pca(embedding)[0], points[:, :2])
    assert np.allclose(standardise(embedding).std(0), 1)


def test_tsne_repeats_and_takes_few_clips(embedding):
    points = tsne(embedding, seed=1)
    assert points.shape == (10, 2) and np.isfinite(points).all()
    assert np.array_equal(points, tsne(embedding, seed=1))


def test_loudness_of_a_sine_and_of_silence():
    sine = torch.sin(torch.arange(8000) * 2 * torch.pi / 80)
    assert loudness_db(sine) == pytest.approx(-3.01, abs=0.01)
    assert loudness_db(0.1 * sine) == pytest.approx(-23.01, abs=0.01)
    assert loudness_db(torch.zeros(10)) == -120
