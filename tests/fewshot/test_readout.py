import dataclasses

import numpy as np
import pytest
import torch

from acssm_lib.baselines.mel_statistics import MelStatistics
from acssm_lib.experiment.measure import HEARING
from acssm_lib.fewshot.evaluation import evaluate
from acssm_lib.fewshot.readout import LinearHead, LogisticReadout, NearestMean, logistic_regression, standardise

LABELS = np.repeat([0, 1, 2], 20)
READOUTS = [LogisticReadout, *HEARING.values()]


def blobs(spread=0.3, d=3):
    """Three clouds of points around three corners."""
    generator = np.random.default_rng(0)
    return 2 * np.eye(3, d)[LABELS] + spread * generator.standard_normal((len(LABELS), d))


def every_fourth():
    support = np.arange(0, len(LABELS), 4)
    return support, np.setdiff1d(np.arange(len(LABELS)), support)


@pytest.mark.parametrize("readout", READOUTS)
def test_clouds_far_apart_are_told_apart(readout):
    support, query = every_fourth()
    probabilities = readout(blobs()).fit(support, LABELS[support], seed=0).predict(query)
    assert probabilities.shape == (len(query), 3)
    assert np.allclose(probabilities.sum(1), 1) and (probabilities >= 0).all()
    assert (probabilities.argmax(1) == LABELS[query]).mean() == 1


@pytest.mark.parametrize("readout", READOUTS)
def test_one_label_per_class_is_enough_for_clouds_far_apart(readout):
    support = np.array([0, 20, 40])  # no class varies yet: a covariance within classes is zero
    probabilities = readout(blobs()).fit(support, LABELS[support], seed=0).predict(np.arange(len(LABELS)))
    assert np.isfinite(probabilities).all() and (probabilities.argmax(1) == LABELS).mean() > 0.95


@pytest.mark.parametrize("readout", READOUTS)
def test_answers_do_not_depend_on_scale_and_place_of_a_coordinate(readout):
    support, query = every_fourth()
    points = blobs(spread=1.0)
    moved = points.copy()
    moved[:, 0] = 1000 * moved[:, 0] - 7
    one, other = (readout(values).fit(support, LABELS[support], 0).predict(query) for values in (points, moved))
    assert np.allclose(one, other, atol=1e-3)


@pytest.mark.parametrize("readout", READOUTS)
def test_a_coordinate_that_never_changes_does_no_harm(readout):
    support, query = every_fourth()
    points = np.column_stack([blobs(), np.full(len(LABELS), 0.25)])
    probabilities = readout(torch.from_numpy(points)).fit(support, LABELS[support], 0).predict(query)
    assert np.isfinite(probabilities).all()
    assert (probabilities.argmax(1) == LABELS[query]).all()


@pytest.mark.parametrize("readout", READOUTS)
def test_meaningless_labels_stay_at_chance(readout, tiny):
    """No label of a query leaks into the fit."""
    generator = np.random.default_rng(0)
    points, labels = generator.standard_normal((200, 16)), generator.permutation(np.repeat(np.arange(5), 40))
    config = dataclasses.replace(tiny, n_shot=5, n_episodes=20)
    draws = evaluate(readout(points), labels, [None] * 200, [str(i) for i in range(200)], config, 0, progress=False)
    assert abs(np.mean([draw["accuracy"] for draw in draws]) - 0.2) < 0.03


def test_nearest_mean_equals_a_loop():
    points, (support, query) = blobs(spread=1.5), every_fourth()
    deviation = [np.sqrt(np.mean((column - column.mean()) ** 2)) for column in points.T]
    answers, expected = [], []
    for clip in query:
        distance = [
            sum(
                ((points[clip, j] - np.mean([points[i, j] for i in support if LABELS[i] == label])) / deviation[j]) ** 2
                for j in range(points.shape[1])
            )
            for label in range(3)
        ]
        answers.append(int(np.argmin(distance)))
        closeness = [np.exp(-one / (2 * points.shape[1])) for one in distance]
        expected.append([one / sum(closeness) for one in closeness])
    predicted = NearestMean(points).fit(support, LABELS[support], 0).predict(query)
    np.testing.assert_allclose(predicted, expected, atol=1e-9)
    assert predicted.argmax(1).tolist() == answers
    assert (np.array(answers) != LABELS[query]).any()  # the clouds overlap: the comparison says something


def test_logistic_readout_of_mel_statistics_is_the_mel_stats_method(bank, tiny):
    method, labels, support = MelStatistics(bank, tiny), np.repeat([0, 1, 2], 4), np.arange(0, 12, 2)
    readout = LogisticReadout(method.features(range(12)))
    one, other = (learner.fit(support, labels[support], 0).predict(range(12)) for learner in (method, readout))
    assert np.allclose(one, other)


@pytest.mark.parametrize("readout", READOUTS)
def test_a_fit_leaves_the_embeddings_as_they_are(readout):
    points, (support, query) = blobs(), every_fourth()
    before = points.copy()
    readout(points).fit(support, LABELS[support], 0).predict(query)
    assert np.array_equal(points, before)


@pytest.mark.parametrize("n_way, d, C", [(5, 3, 1.0), (5, 512, 1.0), (25, 128, 0.1)])
def test_answers_are_those_of_the_optimum(n_way, d, C):
    """The optimum by hand: the gradient of penalty and cross-entropy vanishes there."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(n_way), 5)
    points = generator.standard_normal((n_way, d))[labels] + generator.standard_normal((len(labels), d))
    model = logistic_regression(C).fit(points, labels)
    scaled = (points - points.mean(0)) / points.std(0)
    wrong = model.predict_proba(points) - np.eye(n_way)[labels]  # gradient of the cross-entropy over the logits
    assert np.abs(C * wrong.T @ scaled + model[-1].coef_).max() < 1e-3
    assert np.abs(wrong.sum(0)).max() < 1e-3 < 0.01 < np.abs(model[-1].coef_).max()


def test_a_stronger_penalty_makes_answers_less_sure():
    support, query = every_fourth()
    sure, careful = (
        LogisticReadout(blobs(), C).fit(support, LABELS[support], 0).predict(query).max(1).mean() for C in (1.0, 0.001)
    )
    assert careful < sure - 0.2


def test_what_was_not_heard_does_not_scale_the_others():
    support, query = every_fourth()
    points, heard = blobs(spread=1.0), np.arange(0, len(LABELS), 2)
    loud = points.copy()
    loud[1::4] *= 100  # clips that are asked only
    one, other = (
        NearestMean(values, heard).fit(support, LABELS[support], 0).predict(query[query % 4 != 1])
        for values in (points, loud)
    )
    assert np.array_equal(one, other)
    assert not np.array_equal(one, NearestMean(loud).fit(support, LABELS[support], 0).predict(query[query % 4 != 1]))


@pytest.mark.parametrize("n_way", [2, 3])
@pytest.mark.parametrize("C", [0.01, 1.0])
def test_a_layer_takes_on_the_answers_of_the_regression(n_way, C):
    points, labels = 5 * blobs(spread=1.0, d=4)[: 20 * n_way] - 30, LABELS[: 20 * n_way]
    points[:, 3] *= 100
    asked = points + 1.0
    head = LinearHead(4, n_way).fit(torch.tensor(points), torch.tensor(labels), C)
    wanted = logistic_regression(C).fit(points, labels).predict_proba(asked)
    answers = head(torch.tensor(asked, dtype=torch.float32)).softmax(1)
    np.testing.assert_allclose(answers.detach().numpy(), wanted, atol=1e-5)


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_standardised_coordinates_have_mean_zero_and_deviation_one_over_the_clips_asked_for(unit):
    embedding = unit * np.random.default_rng(0).standard_normal((50, 3)) + 7
    embedding[:, 2] = 5  # says nothing
    for over in (None, np.arange(0, 50, 3)):
        found = standardise(embedding, over)[slice(None) if over is None else over]
        assert np.allclose(found.mean(0), 0) and np.allclose(found.std(0), [1, 1, 0])
