"""One logistic head per class on frozen embeddings."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Heads:
    """What turns an embedding into one score per class.

    Attributes:
        classes: names, c of them.
        weight, bias: (c, d) and (c,), in standardised coordinates; a class without a head has zeros.
        mean, scale: (d,), of the embeddings of the survey.
        thresholds: class -> score from which a window counts as a detection; 0.5 until a review has chosen one.
        evidence: class -> dict of plain values: what the head was trained on, how it did, where its threshold is from.
        bands: class -> (low_hz, high_hz) of its calls as marked by hand; a class without has the survey's band.
    """

    classes: list[str]
    weight: np.ndarray
    bias: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    thresholds: dict = field(default_factory=dict)
    evidence: dict = field(default_factory=dict)
    bands: dict = field(default_factory=dict)

    def scores(self, embeddings):
        """(windows, d) -> float32 (windows, classes), 0 to 1."""
        logits = (np.asarray(embeddings, dtype=np.float32) - self.mean) / self.scale @ self.weight.T + self.bias
        return (1 / (1 + np.exp(-np.clip(logits, -60, 60)))).astype(np.float32)
