"""Linear discriminant analysis that hears the unlabelled clips too: soft assignments, by expectation maximisation.

Clusters treat all directions alike. A class is rarely round: what individuals and distances differ in draws all
classes out along the same directions. One within-class covariance, shared by all classes and learned from every clip,
measures distances in units of that spread.

Symbols: x point of a clip (d); m_k mean of class k; S within-class covariance; r_ik share of clip i in class k.

    E step   r_ik = softmax_k( -1/2 (x_i - m_k)^T S^-1 (x_i - m_k) )         labelled clips keep their class
    M step   m_k = sum_i r_ik x_i / sum_i r_ik
             S   = sum_ik r_ik (x_i - m_k)(x_i - m_k)^T / n, shrunk: (1 - s) S + s trace(S) / d I
"""

import numpy as np

from acssm_lib.fewshot.transduction import compressed

_LEAST = 1e-6  # of the total variance within classes: one labelled clip per class has none


class SoftLDA:
    """A Gaussian for each class with one covariance for all, fitted to labelled and unlabelled clips.

    No class is assumed to be more frequent than another, so there is no prior for a class to grow by. With labelled
    clips alone it is linear discriminant analysis with a shrunk covariance.

    Args:
        embedding: of every clip of the bank, (clips, width), in its order.
        heard: indices of the clips that may be listened to without a label; None for all.
        d: coordinates, see ``compressed``.
        shrinkage: s above, 0 to 1; a covariance of few clips is uncertain, and a multiple of the identity is not.
        rounds: of both steps.
    Taught in: 05_few_shot_finetuning.
    Source: Fisher 1936; shrinkage as in Ledoit and Wolf 2004, fixed here; EM with labels as in Nigam et al. 2000.
    """

    def __init__(self, embedding, heard=None, d=20, shrinkage=0.5, rounds=15):
        self.heard = np.arange(len(embedding)) if heard is None else np.asarray(heard)
        self.points = compressed(np.asarray(embedding), self.heard, d)
        self.shrinkage, self.rounds = shrinkage, rounds

    def fit(self, indices, labels, seed, checkpoint=None):
        """Learn from the labelled clips ``indices``, classes 0 ... n_way - 1, and from all that may be heard."""
        known = np.eye(max(labels) + 1)[labels]  # (labelled, n_way)
        others = self.points[np.setdiff1d(self.heard, indices)]
        points = np.concatenate([self.points[indices], others])
        self._learn(known, self.points[indices])
        for _ in range(self.rounds):
            self._learn(np.concatenate([known, self._shares(others)]), points)
        return self

    def predict(self, indices):
        """Shares of the classes, (clips, n_way)."""
        return self._shares(self.points[indices])

    def _learn(self, shares, points):
        self.means = shares.T @ points / shares.sum(0)[:, None]
        between = (self.means.T * shares.sum(0)) @ self.means
        covariance = (points.T @ points - between) / len(points)  # each clip's shares sum to 1
        d = len(covariance)
        spread = max(np.trace(covariance), _LEAST) / d
        self.covariance = (1 - self.shrinkage) * covariance + self.shrinkage * spread * np.eye(d)

    def _shares(self, points):
        weights = np.linalg.solve(self.covariance, self.means.T)  # (d, n_way)
        closeness = points @ weights - 0.5 * np.einsum("kd,dk->k", self.means, weights)
        closeness = np.exp(closeness - closeness.max(1, keepdims=True))
        return closeness / closeness.sum(1, keepdims=True)
