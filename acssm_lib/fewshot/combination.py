"""A specialist and a generalist: two embeddings of the same clips, and a weight between them that costs no label.

Symbols: p, q class probabilities of a clip by logistic regression on either embedding; w weight, 0 to 1.

    answer = softmax(w log p + (1 - w) log q)

w is the one under which labelled clips are best told when they are left out: one clip of each class at a time, the
regressions learned from the others.
"""

import numpy as np

from acssm_lib.fewshot.readout import logistic_regression

WEIGHTS = np.linspace(0, 1, 11)
_LEAST = 1e-6  # a probability of less says that a clip was never seen, not that it cannot be


class Combination:
    """Logistic regression on two embeddings, their answers weighed against each other.

    Args:
        first, second: embeddings of every clip of the bank, (clips, d), in its order.
        C: inverse strength of the penalty for each, as in scikit-learn.
    Attributes:
        weight: w above, after ``fit``.
    Source: ours; a product of experts (Hinton 2002) with its weight from cross-validation (Stone 1974).
    """

    def __init__(self, first, second, C=(1.0, 1.0)):
        self.embeddings, self.C = [np.asarray(first, dtype=float), np.asarray(second, dtype=float)], C

    def fit(self, indices, labels, seed, checkpoint=None):
        indices, labels = np.asarray(indices), np.asarray(labels)
        self.weight = self._chosen(indices, labels) if min(np.bincount(labels)) > 1 else 0.5
        self.models = self._models(indices, labels)
        return self

    def predict(self, indices):
        """Probabilities, (clips, n_way)."""
        return _weighed(*self._logs(self.models, indices), self.weight)

    def _chosen(self, indices, labels):
        """The weight with the highest likelihood of the clips left out; of several, the one nearest to even."""
        rank = np.zeros(len(labels), dtype=int)  # of each clip within its class
        for label in np.unique(labels):
            rank[labels == label] = np.arange((labels == label).sum())
        score = np.zeros(len(WEIGHTS))
        for fold in range(rank.max() + 1):
            out = rank == fold
            logs = self._logs(self._models(indices[~out], labels[~out]), indices[out])
            for place, weight in enumerate(WEIGHTS):
                score[place] += np.log(_weighed(*logs, weight)[np.arange(out.sum()), labels[out]]).sum()
        best = WEIGHTS[score >= score.max() - 1e-9]
        return float(best[np.abs(best - 0.5).argmin()])

    def _models(self, indices, labels):
        return [logistic_regression(C).fit(embedding[indices], labels) for embedding, C in zip(self.embeddings, self.C)]

    def _logs(self, models, indices):
        return [
            np.log(np.maximum(model.predict_proba(embedding[indices]), _LEAST))
            for model, embedding in zip(models, self.embeddings)
        ]


def _weighed(first, second, weight):
    logs = weight * first + (1 - weight) * second
    answers = np.exp(logs - logs.max(1, keepdims=True))
    return answers / answers.sum(1, keepdims=True)
