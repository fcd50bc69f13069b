"""Labels that spread along a graph of neighbours: no class has to be a heap, one clip only has to resemble the next.

Symbols: W weights of the graph, (clips, clips), symmetric; D its row sums; Y labels of the labelled clips as ones.

    F = (I - alpha D^-1/2 W D^-1/2)^-1 Y

Every clip takes on what its neighbours say, a labelled one also its label.
"""

import numpy as np

from acssm_lib.fewshot.readout import standardise


class LabelPropagation:
    """The graph links every clip with its nearest ones by angle; labels flow along it until nothing changes.

    The inverse is of the clips alone, so that it is made once for all support draws. A clip that may not be heard is no
    part of the graph, and takes what its neighbours there say.

    Args:
        embedding: of every clip of the bank, (clips, width), in its order.
        heard: indices of the clips that may be listened to without a label; None for all.
        neighbours: of each clip.
        alpha: how much of a clip's answer is its neighbours' against its own label, below 1.
    Taught in: 05_few_shot_finetuning.
    Source: Zhou et al. 2004, "Learning with local and global consistency".
    """

    def __init__(self, embedding, heard=None, neighbours=10, alpha=0.8):
        heard = np.arange(len(embedding)) if heard is None else np.asarray(heard)
        scaled = standardise(embedding, heard)
        self.points = scaled / np.maximum(np.linalg.norm(scaled, axis=1, keepdims=True), 1e-12)
        self.heard, self.neighbours, self.alpha, self.nodes = heard, neighbours, alpha, None

    def fit(self, indices, labels, seed, checkpoint=None):
        """Learn from the labelled clips ``indices``, classes 0 ... n_way - 1, and from all that may be heard."""
        nodes = np.union1d(self.heard, indices)
        if self.nodes is None or not np.array_equal(nodes, self.nodes):
            self.nodes, self.spread = nodes, self._spread(nodes)
        known = np.eye(max(labels) + 1)[labels]  # (labelled, n_way)
        self.answers = self.spread[:, np.searchsorted(nodes, indices)] @ known
        return self

    def predict(self, indices):
        """Shares of the classes, (clips, n_way); what no label has reached is shared evenly."""
        indices = np.asarray(indices)
        place = np.minimum(np.searchsorted(self.nodes, indices), len(self.nodes) - 1)
        outside = self.nodes[place] != indices
        answers = self.answers[place]
        if outside.any():
            answers[outside] = self._links(indices[outside], self.nodes) @ self.answers
        answers = answers + 1e-12
        return answers / answers.sum(1, keepdims=True)

    def _spread(self, nodes):
        """(I - alpha S)^-1 of the graph of these clips."""
        weights = self._links(nodes, nodes, but_itself=True)
        weights = np.maximum(weights, weights.T)
        scale = 1 / np.sqrt(np.maximum(weights.sum(1), 1e-12))
        return np.linalg.inv(np.eye(len(nodes)) - self.alpha * scale[:, None] * weights * scale)

    def _links(self, clips, nodes, but_itself=False):
        """Weight of each node for each clip, (clips, nodes): the cosine, and zero but for the nearest."""
        weights = np.maximum(self.points[clips] @ self.points[nodes].T, 0)
        if but_itself:
            np.fill_diagonal(weights, 0)
        most = min(self.neighbours, len(nodes) - but_itself)
        least = -np.sort(-weights, axis=1)[:, most - 1 : most]
        return np.where(weights >= least, weights, 0)
