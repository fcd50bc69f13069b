"""What an encoder has learned: distances, neighbours and maps of clips.

Distances are measured in standardised coordinates. In a random encoder all embeddings point nearly the same way, and
the cosine of raw vectors would say that every clip resembles every other.
"""

import numpy as np
import torch

from acssm_lib.fewshot.readout import standardise


def cosine_distances(embedding):
    """One minus the cosine of the angle between any two clips, in standardised coordinates.

    Returns:
        (clips, clips), 0 (same direction) to 2 (opposite); about 1 for unrelated clips.
    """
    vectors = standardise(embedding)
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return np.clip(1 - vectors @ vectors.T, 0, 2)


def nearest(distances, k, sources=None):
    """The k nearest other clips of every clip, nearest first.

    Args:
        distances: (clips, clips), symmetric.
        sources: recording of each clip; with it, clips of a clip's own source are passed over. None is unknown
            and shared with nobody.
    Returns:
        int64, (clips, k).
    Raises:
        ValueError: a clip has fewer than k others (of other sources).
    """
    distances = np.array(distances, dtype=float)  # a copy: the caller's stays whole
    barred = np.eye(len(distances), dtype=bool)
    if sources is not None:
        barred |= same_known(sources, sources)
    distances[barred] = np.inf
    fewest = int((~barred).sum(1).min())
    if fewest < k:
        raise ValueError(f"k={k}, but a clip has only {fewest} other clips to choose from")
    return np.argsort(distances, axis=1, kind="stable")[:, :k]


def agreement(neighbours, values):
    """Share of each clip's neighbours that have its value (class or source); unknown values (None) never agree.

    Args:
        neighbours: (clips, k), from ``nearest``.
        values: (clips,).
    Returns:
        (clips,), 0 to 1; the mean is the precision at k.
    """
    return np.take_along_axis(same_known(values, values), neighbours, axis=1).mean(1)


def pca(embedding, dimensions=2):
    """Projection on the directions of most variance (principal components) of the standardised embedding.

    A direction may be turned round without harm; here its largest weight is positive, so that maps compare.

    Returns:
        points: (clips, dimensions).
        explained: share of the variance of each of these directions.
    """
    _, singular, directions = np.linalg.svd(standardise(embedding), full_matrices=False)
    largest = np.abs(directions).argmax(1)
    directions = directions * np.sign(directions[np.arange(len(directions)), largest])[:, None]
    points = standardise(embedding) @ directions[:dimensions].T
    return points, (singular**2 / (singular**2).sum())[:dimensions]


def tsne(embedding, seed=0, perplexity=30.0):
    """Map that keeps cosine neighbours together (t-SNE); sizes of clouds and gaps between them mean nothing.

    Args:
        seed: of its random steps; the start is the PCA, so that maps of one embedding look alike.
        perplexity: about how many neighbours count as near; lowered where there are few clips.
    Returns:
        points: (clips, 2).
    Source: van der Maaten and Hinton 2008; scikit-learn.
    """
    from sklearn.manifold import TSNE  # here: seconds that a PCA saves

    perplexity = min(perplexity, (len(embedding) - 1) / 3)
    model = TSNE(2, perplexity=perplexity, init="pca", metric="cosine", random_state=seed)
    return model.fit_transform(standardise(embedding))


def loudness_db(waveform):
    """Root mean square level of a clip in dB, where a full-scale square wave is 0; silence is -120."""
    power = torch.as_tensor(waveform).double().pow(2).mean().item()
    return 10 * np.log10(max(power, 1e-12))


def same_known(some, others):
    """(some, others) bool: known and equal."""
    return np.array([[one is not None and one == other for other in others] for one in some], dtype=bool)
