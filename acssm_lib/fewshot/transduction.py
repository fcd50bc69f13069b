"""Five labels per class and everything else that was recorded: a readout that listens to the unlabelled clips too.

Whoever has a folder of recordings has all of them at once, the labelled and the others. Clips of one class lie
together in a good embedding; the labels only have to say which heap is which.
"""

import numpy as np

from acssm_lib.fewshot.readout import standardise


def compressed(embedding, heard, d=20):
    """Coordinates in which clusters are round: the ``d`` main directions, half-way whitened, on the unit sphere.

    Main directions (PCA) drop what is mostly noise. Dividing each by the root of its deviation gives small ones more
    say, short of the same say as large ones (whitening), which would bring the noise back.

    Args:
        embedding: (clips, width).
        heard: indices of the clips that directions and deviations are taken from; no label is needed.
        d: directions, at most; fewer where there are fewer clips or coordinates.
    Returns:
        (clips, d), each row of length 1.
    Taught in: 05_few_shot_finetuning.
    Source: ours; compare power transform and PT-MAP, Hu et al. 2021.
    """
    scaled = standardise(embedding, heard)
    _, deviations, directions = np.linalg.svd(scaled[heard], full_matrices=False)
    d = min(d, len(heard) - 1, scaled.shape[1], int((deviations > 1e-9 * deviations[0]).sum()))
    points = scaled @ directions[:d].T / np.sqrt(deviations[:d] / np.sqrt(len(heard)))
    return points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)


class SeededClusters:
    """Soft k-means on the sphere that starts at the labelled clips and moves over the unlabelled ones.

    Each class begins as the mean of its labelled clips. Every unlabelled clip joins the classes in shares, by the
    angle to their means; the means move to where their members are; and again. Labelled clips stay where they belong.
    With ``balance`` 0, how many clips a class has is not assumed. Otherwise the shares are those of an optimal
    transport (Sinkhorn): the classes' totals over the unlabelled clips are pushed towards equal ones, half-way with
    0.5, quite with 1, which is right only where it is known that classes are equally frequent.

    Args:
        embedding: of every clip of the bank, (clips, width), in its order.
        heard: indices of the clips that may be listened to without a label; None for all. An inductive protocol leaves
            the queries out, which are then told apart by the means alone.
        d: coordinates, see ``compressed``.
        sharpness: how much the better angle counts; shares are softmax(sharpness * cosine).
        rounds: of joining and moving.
        balance: 0 to 1, see above.
    Taught in: 05_few_shot_finetuning.
    Source: soft k-means as in Ren et al. 2018, semi-supervised prototypical networks, without the training; transport
        as in Hu et al. 2021, PT-MAP, who know the totals; Cuturi 2013 for its iteration.
    """

    def __init__(self, embedding, heard=None, d=20, sharpness=20.0, rounds=15, balance=0.0):
        self.heard = np.arange(len(embedding)) if heard is None else np.asarray(heard)
        self.points = compressed(np.asarray(embedding), self.heard, d)
        self.sharpness, self.rounds, self.balance = sharpness, rounds, balance

    def fit(self, indices, labels, seed, checkpoint=None):
        """Learn from the labelled clips ``indices``, classes 0 ... n_way - 1, and from all that may be heard."""
        known = np.eye(max(labels) + 1)[labels]  # (labelled, n_way)
        others = self.points[np.setdiff1d(self.heard, indices)]
        self.means, self.weights = _directions(known, self.points[indices]), np.ones(max(labels) + 1)
        for _ in range(self.rounds):
            self._transport(others)
            shares = np.concatenate([known, self._shares(others)])
            self.means = _directions(shares, np.concatenate([self.points[indices], others]))
        return self

    def predict(self, indices):
        """Shares of the classes, (clips, n_way)."""
        return self._shares(self.points[indices])

    def _shares(self, points):
        closeness = self.weights * self._closeness(points)
        return closeness / closeness.sum(1, keepdims=True)

    def _closeness(self, points):
        angles = self.sharpness * points @ self.means.T
        return np.exp(angles - angles.max(1, keepdims=True))

    def _transport(self, points, rounds=8):
        """Weigh the classes so that the shares of the clips have the totals that are wanted (Sinkhorn)."""
        if not self.balance or not len(points):
            return
        closeness = self._closeness(points)
        plain = (closeness / closeness.sum(1, keepdims=True)).sum(0)
        wanted = (1 - self.balance) * plain + self.balance * len(points) / len(plain)
        for _ in range(rounds):  # begins where the last round of the clusters ended
            self.weights = wanted / (closeness / (closeness @ self.weights)[:, None]).sum(0)


def _directions(shares, points):
    """Mean of the points of each class, weighted by ``shares`` (clips, n_way), as a vector of length 1."""
    means = shares.T @ points
    return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
