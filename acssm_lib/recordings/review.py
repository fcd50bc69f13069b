"""A blind review: what a score is worth, from a draw of windows that are shown without it.

Windows are drawn at random within strata of the score (the top 1/256 of all windows, up to 1/64, 1/16, 1/4, the rest),
so that a few answers speak for thousands of windows. From them follow the number of windows with the call and, at every
threshold, the precision, each with an interval. The strata stand in ``labels.csv`` with the answers, so that nothing
else has to be kept. Answers of a review never train; heads that are trained again need a new review.

The interval adds the exact intervals of the strata in quadrature (MOVER): it stays honest where a stratum has had no
hit at all, or a lucky one, which is where the bootstrap fails (benchmarks/survey_coverage.py measures both).
Sources: Clopper and Pearson 1934, Biometrika 26; Zou and Donner 2008, Statistics in Medicine 27 (MOVER).
"""

import re
from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.isotonic import IsotonicRegression

from acssm_lib.files import DataError
from acssm_lib.recordings.labels import NO, OPEN, REVIEW, UNSURE, YES
from acssm_lib.text import quoted

_TOP = (1 / 256, 1 / 64, 1 / 16, 1 / 4, 1)
LEVEL = 0.95
_ENDLESS = 10**9  # windows of a stratum whose windows to come are meant
_ALIKE = 4.0  # windows overlap, calls come in bouts and nights differ: so many of them say as little as one


def edges_of(scores):
    """Lower ends of the strata, lowest first, six digits each, the first 0; ties fall to one side, so some may go."""
    ranked = np.sort(scores)[::-1]
    cuts = {float(f"{ranked[round(len(ranked) * top)]:.6g}") for top in _TOP[:-1] if round(len(ranked) * top)}
    return [0.0, *sorted(cut for cut in cuts if cut > 0)]


def stratum_of(scores, edges):
    """Place of each score's stratum: the last edge it reaches."""
    return np.searchsorted(np.asarray(edges), np.asarray(scores, dtype=np.float64), side="right") - 1


def draw(scores, known, n, seed=0):
    """Windows to review, in an order that tells nothing of their score.

    Args:
        scores: (windows,), of one class.
        known: (windows,) bool, answered already for that class; never drawn, counted as they are.
        n: how many; two thirds are spread evenly over the strata, a third by size.
        seed: of the draw.
    Returns:
        windows (up to n,), and for each what ``asked_because`` has to say: "review LOW-HIGH SIZE". A draw of more
        windows from the same scores holds the smaller one, so that a review can be extended.
    Raises:
        ValueError: all scores are equal, as of a class without a head.
    """
    scores = np.asarray(scores, dtype=np.float64)
    if scores.min() == scores.max():
        raise ValueError("every window has the same score: the class has no head yet; label and train first")
    generator = np.random.default_rng(seed)
    edges = edges_of(scores)
    strata = stratum_of(scores, edges)
    pools = [np.flatnonzero((strata == k) & ~known) for k in range(len(edges))]
    sizes = np.array([len(pool) for pool in pools])
    wanted = _shares(sizes, n)
    mixed = [np.random.default_rng([seed, k]).permutation(pool) for k, pool in enumerate(pools)]
    windows = np.concatenate([pool[:count] for pool, count in zip(mixed, wanted)])
    windows = generator.permutation(windows).astype(np.int64)
    tops = [*edges[1:], 1.0]
    return windows, [f"{REVIEW} {edges[k]:g}-{tops[k]:g} {sizes[k]}" for k in strata[windows]]


def _shares(sizes, n):
    """Windows per stratum: two thirds evenly, the rest by size, none beyond what is there; sums to min(n, all)."""
    n = min(int(n), int(sizes.sum()))
    wanted = (sizes > 0) * (2 / 3) / max((sizes > 0).sum(), 1) + sizes / max(sizes.sum(), 1) / 3
    counts = np.minimum(np.floor(n * wanted).astype(int), sizes)
    while counts.sum() < n:
        counts[np.where(counts < sizes, n * wanted - counts, -np.inf).argmax()] += 1
    return counts


def edges_from(reasons):
    """Edges of the strata from what ``draw`` wrote.

    Raises:
        DataError: a text that no review wrote.
    """
    edges = {0.0}
    for reason in reasons:
        match = re.fullmatch(rf"{REVIEW} (\S+?)-([\d.]+(?:e-?\d+)?) \d+", reason)
        if match is None:
            raise DataError(f"asked_because {reason!r}: expected as in '{REVIEW} 0.4-0.8 312'")
        edges |= {float(match[1]), float(match[2])}
    return sorted(edges - {1.0})


def share_interval(hits, n, size, level=LEVEL):
    """Exact (Clopper-Pearson) interval of a share, for n drawn of ``size`` without replacement; [0, 1] if n is 0."""
    if n == 0:
        return 0.0, 1.0
    if n >= size:
        return hits / n, hits / n
    n_like = n * (size - 1) / (size - n)  # as many drawn with replacement would tell as much
    hits, tail = hits / n * n_like, (1 - level) / 2
    low = stats.beta.ppf(tail, hits, n_like - hits + 1) if hits > 0 else 0.0
    high = stats.beta.ppf(1 - tail, hits + 1, n_like - hits) if hits < n_like else 1.0
    return float(low), float(high)


@dataclass
class Review:
    """What one review says about one class.

    Attributes:
        scores: (windows,), of the class. strata: (windows,), place in ``edges``. edges: see ``edges_of``.
        known: (windows,) of YES, NO and others, from answers outside of this review.
        windows, answers: (n,) and (n,) of YES, NO, UNSURE: those of the review. Where somebody was unsure, the lower
            end takes it for no and the upper end for yes.
    """

    scores: np.ndarray
    strata: np.ndarray
    edges: list
    known: np.ndarray
    windows: np.ndarray
    answers: np.ndarray

    def counted(self, inside, alike=False):
        """Windows with the call among those chosen.

        Args:
            inside: (windows,) bool.
            alike: of as many windows of the same kind, none of which has been heard, instead of these.
        Returns:
            estimate, low, high: numbers of windows; 95 % interval.
        """
        ends = self._alike if alike else self._sum
        total, low, high = ends(inside, self.answers)
        if (self.answers == UNSURE).any():
            low = ends(inside, np.where(self.answers == UNSURE, NO, self.answers))[1]
            high = ends(inside, np.where(self.answers == UNSURE, YES, self.answers))[2]
        return total, low, high

    def _alike(self, inside, answers):
        """Of windows to come: what was heard is a draw too, and what was labelled a stratum of its own."""
        told = (answers == YES) | (answers == NO)
        answers, windows = answers[told], self.windows[told]
        known = inside & ((self.known == YES) | (self.known == NO))
        open_ = inside & ~known
        yes = int((known & (self.known == YES)).sum())
        parts = [(int(known.sum()), yes, int(known.sum()), float(yes))] if known.any() else []
        for k in np.unique(self.strata[open_]):
            here = answers[open_[windows] & (self.strata[windows] == k)] == YES
            like = here if len(here) else answers[self.strata[windows] == k] == YES
            parts.append(
                (
                    int((open_ & (self.strata == k)).sum()),
                    int(here.sum()),
                    len(here),
                    float(like.mean()) if len(like) else 0.5,
                )
            )
        total, below, above = 0.0, 0.0, 0.0
        for size, hits, n, share in parts:
            share = hits / n if n else share
            low, high = share_interval(hits, n, _ENDLESS)
            total += size * share
            below += (size * (share - low)) ** 2
            above += (size * (high - share)) ** 2
        return total, max(total - float(np.sqrt(below)), 0.0), min(total + float(np.sqrt(above)), float(inside.sum()))

    def _sum(self, inside, answers):
        """Of these windows, from answers of which those that are neither yes nor no are left out."""
        told = (answers == YES) | (answers == NO)
        answers, windows = answers[told], self.windows[told]
        drawn, strata = inside[windows], self.strata[windows]
        open_ = (self.known != YES) & (self.known != NO)
        sizes = np.bincount(self.strata[inside & open_], minlength=len(self.edges))
        total, below, above = float((inside & (self.known == YES)).sum()), 0.0, 0.0
        for k in np.flatnonzero(sizes):
            here, size = answers[drawn & (strata == k)] == YES, int(sizes[k])
            # Where a threshold leaves no window of a stratum in, the whole stratum says what is likeliest.
            like = here if len(here) else answers[strata == k] == YES
            share = float(like.mean()) if len(like) else 0.5
            low, high = share_interval(int(here.sum()), len(here), size)
            total += size * share
            below += (size * (share - low)) ** 2
            above += (size * (high - share)) ** 2
        least = (inside & (self.known == YES)).sum() + (answers[drawn] == YES).sum()
        most = inside.sum() - (inside & (self.known == NO)).sum() - (answers[drawn] == NO).sum()
        return total, max(total - float(np.sqrt(below)), float(least)), min(total + float(np.sqrt(above)), float(most))

    def cell(self, inside):
        """The same for one site and night, where hardly a window was reviewed.

        What the strata say of the whole class is carried over to the windows of the cell, and the chance of so few
        windows, with neighbours alike, is added. It takes for granted that a score means about the same everywhere.
        """
        open_ = (self.known != YES) & (self.known != NO) & inside
        sizes = np.bincount(self.strata[open_], minlength=len(self.edges))
        total, below, above = float((inside & (self.known == YES)).sum()), 0.0, 0.0
        for k in np.flatnonzero(sizes):
            told = self.answers[(self.strata[self.windows] == k) & (self.answers != UNSURE)] == YES
            share = float(told.mean()) if len(told) else 0.5
            low, high = share_interval(int(told.sum()), len(told), _ENDLESS)
            size, z2 = int(sizes[k]), stats.norm.ppf(0.5 + LEVEL / 2) ** 2
            total += size * share
            below += (size * (share - low)) ** 2 + z2 * _ALIKE * size * share * (1 - share)
            above += (size * (high - share)) ** 2 + z2 * _ALIKE * size * high * (1 - high)
        drawn = inside[self.windows]
        least = (inside & (self.known == YES)).sum() + (self.answers[drawn] == YES).sum()
        most = inside.sum() - (inside & (self.known == NO)).sum() - (self.answers[drawn] == NO).sum()
        low, high = total - float(np.sqrt(below)), total + float(np.sqrt(above))
        return tuple(float(min(max(value, least), most)) for value in (total, low, high))

    def windows_with_call(self):
        """Estimate, low, high over all windows."""
        return self.counted(np.ones(len(self.scores), dtype=bool))

    def precision(self, threshold):
        """Share of windows with the call among those that reach the threshold: estimate, low, high; None if none do.

        The threshold will meet other windows than these, so the interval has a width even where all of them have been
        heard: 60 right of 60 are 100 % (94 to 100 %).
        """
        inside = self.scores >= threshold
        return tuple(value / inside.sum() for value in self.counted(inside, alike=True)) if inside.any() else None

    def found(self, threshold):
        """Share of all windows with the call that reach the threshold, an estimate (recall); None if there are none."""
        total = self.windows_with_call()[0]
        return self.counted(self.scores >= threshold)[0] / total if total else None

    def curve(self):
        """(threshold, estimate, low, high) at every reviewed score and edge, lowest first."""
        places = sorted({*(float(score) for score in self.scores[self.windows]), *self.edges})
        return [(place, *found) for place in places if (found := self.precision(place)) is not None]

    def threshold(self, target=0.9):
        """The lowest score from which on at least ``target`` of the windows hold the call, as far as the review tells.

        Shares that rise with the score are fitted to the answers first (isotonic regression), so that the luck of a
        few windows at one score does not choose.

        Returns:
            score, or None where no threshold reaches the target.
        """
        told = self.answers != UNSURE
        if not (self.answers[told] == YES).any():
            return None
        strata = self.strata[self.windows[told]]
        open_ = (self.known != YES) & (self.known != NO)
        sizes = np.bincount(self.strata[open_], minlength=len(self.edges))
        weight = (sizes / np.maximum(np.bincount(strata, minlength=len(self.edges)), 1))[strata]
        model = IsotonicRegression(out_of_bounds="clip").fit(
            self.scores[self.windows[told]], self.answers[told] == YES, sample_weight=weight
        )
        order = np.argsort(-self.scores, kind="stable")
        ranked = self.scores[order]
        share = np.where(open_[order], model.predict(ranked), self.known[order] == YES)
        so_far = np.cumsum(share) / np.arange(1, len(share) + 1)
        last = np.append(ranked[1:] != ranked[:-1], True)  # windows of one score come together
        for place in np.flatnonzero((so_far >= target) & last)[::-1]:
            if self.precision(ranked[place])[0] >= target:  # nor may the plain estimate speak against it
                return float(ranked[place])
        return None


def of_answers(rows, label, scores, known, places):
    """The last review of a class from ``labels.csv``.

    Args:
        rows: ``Labels.rows()``. label: the class.
        scores: (windows,) of the class by the heads as they are now.
        known: (windows,) of YES, NO and others, from answers outside of reviews.
        places: ``labels.Places``.
    Returns:
        ``Review``.
    Raises:
        DataError: there is none, or the heads have been trained again since.
    """
    mine = [row for row in rows if row.label == label and row.asked_because.startswith(REVIEW)]
    pairs = [(int(found[0]), row) for row in mine if len(found := places.of(row)) == 1]
    if not pairs:
        raise DataError(f"{label}: no review yet; acssm survey review SURVEY --class {quoted(label)} --n 60 draws one")
    changed = [abs(row.score - scores[window]) > 1e-4 for window, row in pairs if row.score is not None]
    known = np.array(known, copy=True)
    if any(changed):
        fresh = [pair for pair in pairs if pair[1].score is not None and abs(pair[1].score - scores[pair[0]]) <= 1e-4]
        if len(fresh) < len(pairs) / 2:
            raise DataError(
                f"{label}: the heads have been trained again since the review, and what a score is worth "
                f"has changed; acssm survey review SURVEY --class {quoted(label)} draws a new one"
            )
        pairs = fresh
    edges = edges_from([row.asked_because for _, row in pairs])
    windows = np.array([window for window, _ in pairs], dtype=np.int64)
    codes = {"yes": YES, "no": NO, "unsure": UNSURE}
    known[windows] = OPEN
    return Review(
        np.asarray(scores, dtype=np.float64),
        stratum_of(scores, edges),
        edges,
        known,
        windows,
        np.array([codes[row.answer] for _, row in pairs], dtype=np.int8),
    )
