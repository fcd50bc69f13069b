"""Intervals: over support draws for fixed encoders, and over groups and pre-training seeds.

The two answer different questions. Draws of one group share its clips and its encoder, so hundreds of them make the
first interval as narrow as one likes and say nothing about another encoder or another group.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import special


class Estimate(NamedTuple):
    """A mean with the ``half`` width of its 95 % interval and the p value of "the mean is zero".

    ``half`` and ``p`` are NaN where nothing can be said, as from a single value; ``n`` counts the values.

    Taught in: 06_ablation_comparison.
    """

    mean: float
    half: float
    p: float
    n: int

    @property
    def low(self):
        return self.mean - self.half

    @property
    def high(self):
        return self.mean + self.half


def mean_interval(values, n_query=None, limits=(0.0, 1.0)):
    """Mean over support draws and its 95 % interval, for one fixed encoder and group.

    Student's t over the draws. It covers the luck of the support draw, nothing else: draws share clips and the
    encoder, so it says nothing about new clips, another pre-training seed or another group. One draw has no
    spread; with ``n_query`` it gets the binomial (Wilson) interval of one run, else None.

    Args:
        values: one accuracy per draw, in [0, 1].
        n_query: query clips of the single draw.
        limits: the interval is clipped to them; (-1, 1) for differences.
    Returns:
        mean, (low, high) or None.
    Raises:
        ValueError: no value.
    Taught in: 05_few_shot_finetuning.
    Source: Student 1908; Wilson 1927 for one draw.
    """
    values = np.asarray(values, dtype=float)
    if not len(values):
        raise ValueError("mean_interval needs at least one value")
    estimate = over_cells(values)
    if len(values) > 1:
        low, high = estimate.low, estimate.high
    elif n_query:
        from scipy import stats  # here: one draw is rare, and importing it takes seconds

        low, high = stats.binomtest(round(estimate.mean * n_query), n_query).proportion_ci(method="wilson")
    else:
        return estimate.mean, None
    return estimate.mean, (float(max(low, limits[0])), float(min(high, limits[1])))


def over_cells(values, mean=None):
    """Student's t over values that count as independent, such as one per group and pre-training seed.

    Args:
        values: (n,); NaN is left out.
        mean: centre of the interval where it is not the plain mean, as when a group lacks a seed.
    Returns:
        ``Estimate``.
    Taught in: 06_ablation_comparison.
    Source: Student 1908.
    """
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    if not len(values):
        return Estimate(math.nan, math.nan, math.nan, 0)
    mean = float(values.mean() if mean is None else mean)
    if len(values) == 1:
        return Estimate(mean, math.nan, math.nan, 1)
    return _student(mean, values.std(ddof=1) / math.sqrt(len(values)), len(values) - 1, len(values))


def over_draws(values, seeds, draws):
    """Mean over pre-training seeds of each seed's mean over draws; interval over the draws for these fixed encoders.

    A draw that several seeds share counts once: its values are correlated, so their errors are added before they are
    squared. Seeds with draws of their own are strata, and the difference between encoders does not widen the interval;
    each stratum has a variance of its own, and Satterthwaite's degrees of freedom, since one with few draws says less.
    A stratum of a single draw has none to measure, and is taken to vary as the others do, draw for draw.
    Where every seed has a single draw of its own, draw and encoder cannot be told apart and the interval is over both.

    Args:
        values: (n,) accuracies or differences; NaN is left out.
        seeds: (n,) pre-training seed of each value.
        draws: (n,) identity of its support draw (``Reading.draws``).
    Returns:
        ``Estimate``; n counts distinct draws.
    Taught in: 06_ablation_comparison.
    Source: stratified sampling as in Cochran 1977, chapter 5; Satterthwaite 1946; the shared draws are ours.
    """
    values, seeds, draws = np.asarray(values, dtype=float), np.asarray(seeds), np.asarray(draws)
    keep = ~np.isnan(values)
    values, seeds, draws = values[keep], seeds[keep], draws[keep]
    if not len(values):
        return Estimate(math.nan, math.nan, math.nan, 0)
    names, members = np.unique(seeds, return_inverse=True)
    counts = np.bincount(members)
    means = np.bincount(members, values) / counts
    unique, place = np.unique(draws, return_inverse=True)
    error = np.bincount(place, (values - means[members]) / (len(names) * counts[members]))
    weight = np.bincount(place, 1 / (len(names) * counts[members]))  # of a draw in the mean
    strata = [list(stratum) for stratum in _strata([set(place[members == member]) for member in range(len(names))])]
    if len(unique) == len(strata):
        return over_cells(means)
    several = [stratum for stratum in strata if len(stratum) > 1]
    freedoms = np.array([len(stratum) - 1 for stratum in several])
    variances = np.array([len(stratum) / (len(stratum) - 1) * (error[stratum] ** 2).sum() for stratum in several])
    alone = sum((weight[stratum] ** 2).sum() for stratum in strata if len(stratum) == 1)
    shares = np.array([(weight[stratum] ** 2).sum() for stratum in several])
    growth = 1 + alone / shares * freedoms / freedoms.sum()
    variances, shares = variances * growth, shares * growth
    total = variances.sum()
    # Satterthwaite's formula takes a variance that two draws make small by chance at its word; the second one would
    # hold if every draw varied as much. The lower of the two is safe.
    freedom = min(parts.sum() ** 2 / (parts**2 / freedoms).sum() for parts in (variances, shares) if parts.any())
    return _student(float(means.mean()), math.sqrt(total), freedom, len(unique))


def _strata(sets):
    """The groups that sets fall into, when sets with a common member belong together."""
    apart = []
    for members in sets:
        touching = [other for other in apart if other & members]
        apart = [other for other in apart if not other & members] + [members.union(*touching)]
    return apart


def _student(mean, error, freedom, n):
    if error > 0:
        p = float(2 * special.stdtr(freedom, -abs(mean) / error))
    else:
        p = 0.0 if mean else 1.0  # every value the same
    return Estimate(mean, float(special.stdtrit(freedom, 0.975) * error), p, n)


def holm(p):
    """p values adjusted for being many: rejecting those below 0.05 errs once in twenty such tables at most.

    Args:
        p: (n,); NaN stays NaN and does not count.
    Returns:
        (n,) adjusted p values.
    Taught in: 06_ablation_comparison.
    Source: Holm 1979.
    """
    p = np.asarray(p, dtype=float)
    adjusted = np.full(len(p), math.nan)
    known = np.flatnonzero(~np.isnan(p))
    ranked = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(ranked), 0, -1)
    adjusted[ranked] = np.minimum(np.maximum.accumulate(p[ranked] * factors), 1.0)
    return adjusted
