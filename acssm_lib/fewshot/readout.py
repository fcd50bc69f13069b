"""Reading a frozen encoder: a small classifier on embeddings that are computed once.

Nothing of the encoder is trained, so a support draw costs milliseconds and hundreds of draws a few seconds. Both
classes are learners for ``fewshot.evaluate``.
"""

import numpy as np


class FewShotLogistic:
    """Logistic regression on standardised coordinates, solved where the few samples lie.

    The penalty grows with the length of the weights alone, so the best weights lie in the span of the samples: whatever
    stands at right angles to all of them costs and changes no answer. 25 samples therefore need at most 25 coordinates,
    however many there are to begin with. A rotation into their span (QR) loses nothing, and in so few coordinates
    Newton's method gets to the optimum in a handful of steps.

    Args:
        C: inverse strength of the penalty, as in scikit-learn, which does the fitting.
    Taught in: 05_few_shot_finetuning.
    """

    def __init__(self, C=1.0):
        self.C = C

    def fit(self, points, labels):
        """Learn from (samples, d) and their classes 0 ... n_way - 1."""
        from sklearn.linear_model import LogisticRegression  # here: seconds that other methods save

        points = np.asarray(points, dtype=float)
        self.mean, deviation = points.mean(0), points.std(0)
        deviation[np.ptp(points, axis=0) == 0] = 1  # a coordinate that says nothing
        scaled = (points - self.mean) / deviation
        directions = np.linalg.qr(scaled.T)[0]  # (d, samples), or (d, d) where there are fewer coordinates
        self.directions = directions / deviation[:, None]
        self.model = LogisticRegression(C=self.C, solver="newton-cholesky", tol=1e-6).fit(scaled @ directions, labels)
        return self

    def predict(self, points):
        """Probabilities (clips, n_way) of points (clips, d)."""
        return self.model.predict_proba((points - self.mean) @ self.directions)


class LogisticReadout:
    """Logistic regression on standardised embeddings.

    Args:
        embedding: of every clip of the bank, (clips, d), in its order.
        C: inverse strength of the penalty, as in scikit-learn.
        shuffled: the embeddings with the frames of every clip shuffled, for ``predict(..., shuffle_seed)``.
    Taught in: 05_few_shot_finetuning.
    """

    def __init__(self, embedding, C=1.0, shuffled=None):
        self.embedding, self.model = np.asarray(embedding), FewShotLogistic(C)
        self.shuffled = None if shuffled is None else np.asarray(shuffled)

    def fit(self, indices, labels, seed, checkpoint=None):
        self.model.fit(self.embedding[indices], labels)
        return self

    def predict(self, indices, shuffle_seed=None):
        """Probabilities (clips, n_way); any ``shuffle_seed`` asks for the shuffled embeddings, drawn beforehand."""
        return self.model.predict((self.embedding if shuffle_seed is None else self.shuffled)[indices])


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
