"""Reading a frozen encoder: a small classifier on embeddings that are computed once.

Nothing of the encoder is trained, so a support draw costs milliseconds and hundreds of draws a few seconds. The
classes are learners for ``fewshot.evaluate``.
"""

import numpy as np
import torch
from torch import nn


def logistic_regression(C=1.0):
    """Logistic regression on standardised coordinates, as scikit-learn has it.

    It stops close enough to the optimum that no answer depends on the way there, which the tolerance that scikit-learn
    begins with (1e-4) does not grant where coordinates are many.

    Args:
        C: inverse strength of the penalty.
    Returns:
        Pipeline with ``fit(points (samples, d), labels)`` and ``predict_proba(points)``, (samples, n_way).
    Taught in: 05_few_shot_finetuning.
    """
    from sklearn.linear_model import LogisticRegression  # here: seconds that other methods save
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(C=C, solver="newton-cg", tol=1e-6))


def fitted_logistic(points, labels, C):
    """Numbers of a fitted ``logistic_regression``: mean and scale (d,), weight (n_way, d), bias (n_way,)."""
    scaler, regression = logistic_regression(C).fit(np.asarray(points, dtype=float), labels).named_steps.values()
    weight, bias = regression.coef_, regression.intercept_
    if len(weight) == 1:  # two classes: one logit, that of the second
        weight, bias = (np.concatenate([0 * value, value]) for value in (weight, bias))
    return scaler.mean_, scaler.scale_, weight, bias


class LinearHead(nn.Module):
    """What a logistic regression answers, as a layer that can learn on: points (batch, d) -> logits (batch, n_way).

    Coordinates are standardised as they were for the regression, so that all learn at one pace.

    Taught in: 05_few_shot_finetuning.
    """

    def __init__(self, d, n_way):
        super().__init__()
        self.register_buffer("mean", torch.zeros(d))
        self.register_buffer("scale", torch.ones(d))
        self.linear = nn.Linear(d, n_way)

    def forward(self, points):
        return self.linear((points - self.mean) / self.scale)

    @torch.no_grad()
    def fit(self, points, labels, C):
        """Take on the answers of ``logistic_regression(C)``, fitted to points (clips, d) and labels (clips,)."""
        ours = (self.mean, self.scale, self.linear.weight, self.linear.bias)
        for mine, value in zip(ours, fitted_logistic(points, labels, C), strict=True):
            mine.copy_(torch.as_tensor(value))
        return self


class LogisticReadout:
    """Logistic regression on standardised embeddings.

    Args:
        embedding: of every clip of the bank, (clips, d), in its order.
        C: inverse strength of the penalty, as in scikit-learn.
        shuffled: the embeddings with the frames of every clip shuffled, for ``predict(..., shuffle_seed)``.
    Taught in: 05_few_shot_finetuning.
    """

    def __init__(self, embedding, C=1.0, shuffled=None):
        self.embedding, self.model = np.asarray(embedding, dtype=float), logistic_regression(C)
        self.shuffled = None if shuffled is None else np.asarray(shuffled, dtype=float)

    def fit(self, indices, labels, seed, checkpoint=None):
        self.model.fit(self.embedding[indices], labels)
        return self

    def predict(self, indices, shuffle_seed=None):
        """Probabilities (clips, n_way); any ``shuffle_seed`` asks for the shuffled embeddings, drawn beforehand."""
        return self.model.predict_proba((self.embedding if shuffle_seed is None else self.shuffled)[indices])


class NearestMean:
    """The class whose mean embedding is nearest: no weights, nothing to tune.

    Coordinates are scaled by their deviation over many clips, labelled or not, which needs no label.

    Args:
        embedding: of every clip of the bank, (clips, d), in its order.
        heard: indices of the clips whose deviation scales; None for all. An inductive protocol leaves the queries out.
    Taught in: 05_few_shot_finetuning.
    Source: Snell, Swersky and Zemel 2017, prototypical networks, without the training.
    """

    def __init__(self, embedding, heard=None):
        self.embedding = standardise(embedding, heard)

    def fit(self, indices, labels, seed, checkpoint=None):
        support, labels = self.embedding[indices], np.asarray(labels)
        self.means = np.stack([support[labels == label].mean(0) for label in range(labels.max() + 1)])
        return self

    def predict(self, indices):
        """Probabilities (clips, n_way): softmax of minus half the squared distance, divided by the dimensions."""
        distance = ((self.embedding[indices][:, None] - self.means) ** 2).mean(2)  # (clips, n_way)
        closeness = np.exp(-0.5 * (distance - distance.min(1, keepdims=True)))
        return closeness / closeness.sum(1, keepdims=True)


def standardise(embedding, over=None):
    """Each coordinate less its mean, divided by its deviation; no label is needed.

    Args:
        embedding: (clips, d), array or tensor.
        over: indices of the clips that mean and deviation are taken from; None for all.
    Returns:
        float64 array, (clips, d).
    Taught in: 07_explore_embeddings.
    """
    embedding = np.asarray(embedding, dtype=float)
    some = embedding if over is None else embedding[over]
    return (embedding - some.mean(0)) / np.maximum(some.std(0), 1e-6)
