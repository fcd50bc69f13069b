"""Surveys made of numbers alone: embeddings with planted calls, or scores with planted truth; cheap, no sound.

Embeddings: every site and night has a background of its own (wind, insects, recorder), several kinds of other sounds
come and go, and each class is a cloud with weak and strong calls, some of them close to a sound that is no call.
"""

from dataclasses import dataclass

import numpy as np


@dataclass
class MadeSurvey:
    """embeddings (windows, d) float32; truth (windows, classes) bool; site_nights (windows,)."""

    embeddings: np.ndarray
    truth: np.ndarray
    site_nights: np.ndarray


def made_survey(seed, windows=6_000, classes=3, nights=8, d=32, rate=(0.01, 0.05)):
    """Embeddings of a survey with planted calls.

    Args:
        seed: of everything.
        windows, classes, nights, d: sizes.
        rate: least and most share of windows with a class, before nights differ.
    """
    generator = np.random.default_rng(seed)
    site_nights = np.sort(generator.integers(0, nights, windows))
    place = 0.8 * generator.standard_normal((nights, d))
    others = 2.5 * generator.standard_normal((8, d)) / np.sqrt(d) * np.sqrt(8)
    values = place[site_nights] + generator.standard_normal((windows, d))
    kind = generator.integers(0, 8, windows)
    heard = generator.random(windows) < 0.4 * generator.random((nights, 8))[site_nights, kind]
    values[heard] += (generator.gamma(4, 0.25, windows)[:, None] * others[kind])[heard]
    truth = np.zeros((windows, classes), dtype=bool)
    for k in range(classes):
        direction = generator.standard_normal(d)
        direction = 0.5 * others[k] / np.linalg.norm(others[k]) + direction / np.linalg.norm(direction)
        direction *= 5.5 / np.linalg.norm(direction)
        share = generator.uniform(*rate) * generator.gamma(1.5, 1 / 1.5, nights)
        truth[:, k] = generator.random(windows) < np.minimum(share, 0.5)[site_nights]
        strength = generator.gamma(6, 1 / 6, windows)
        values[truth[:, k]] += (strength[:, None] * direction)[truth[:, k]]
    return MadeSurvey(values.astype(np.float32), truth, site_nights)
