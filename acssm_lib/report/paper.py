"""The published accuracies as data, and arithmetic that shows what they can and cannot support.

The cells are typed from Tables I and II of the paper, which gives no number of runs, no test-set size and no interval.
Everything that a function returns, and every ``n_test``, is our arithmetic or inference from the printed decimals, not
a statement of the authors.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

GROUPS = tuple(f"G{number}" for number in range(1, 11))  # of ESC-50, five classes each
FROG_TEST = 140  # clips; the authors' code scores 80 % of 175 frog clips


@dataclass(frozen=True)
class Row:
    """One method in the paper.

    Attributes:
        accuracies: of groups G1 to G10, as printed, three decimals.
        average: as printed.
        frogs: accuracy on the frog recordings, None where none is printed.
        n_test: test clips per group that all ten accuracies fit; None where no size tried fits. Inferred.
    """

    accuracies: tuple
    average: float
    frogs: float | None
    n_test: int | None


# Source: Liang, Meyer, Lee and Do, "Self-supervised Learning for Acoustic Few-Shot Classification", Tables I and II.
ROWS = {
    "AcousticSSM1": Row((0.867, 0.793, 0.673, 0.747, 0.713, 0.767, 0.733, 0.873, 0.727, 0.907), 0.780, 0.878, 150),
    "AcousticSSM2": Row((0.846, 0.751, 0.735, 0.747, 0.721, 0.695, 0.685, 0.823, 0.657, 0.782), 0.744, 0.864, None),
    "MT-SLVR": Row((0.805, 0.782, 0.749, 0.799, 0.736, 0.671, 0.646, 0.798, 0.575, 0.706), 0.727, None, None),
    "Adapted CNN": Row((0.739, 0.676, 0.618, 0.756, 0.693, 0.655, 0.604, 0.772, 0.623, 0.795), 0.693, None, None),
    "HuBERT": Row((0.554, 0.623, 0.709, 0.731, 0.686, 0.686, 0.657, 0.657, 0.606, 0.800), 0.671, 0.701, 175),
    "TERA": Row((0.617, 0.526, 0.646, 0.783, 0.663, 0.623, 0.577, 0.646, 0.600, 0.777), 0.646, 0.643, 175),
    "Mockingjay": Row((0.549, 0.331, 0.497, 0.674, 0.629, 0.491, 0.417, 0.663, 0.457, 0.651), 0.536, 0.586, 175),
    "wav2vec 2.0": Row((0.497, 0.291, 0.571, 0.669, 0.600, 0.474, 0.491, 0.640, 0.417, 0.577), 0.523, 0.721, 175),
    "BYOL": Row((0.211, 0.263, 0.234, 0.189, 0.200, 0.217, 0.206, 0.223, 0.200, 0.217), 0.216, 0.150, 175),
}

# Our method of each row, by the table that holds it; Table II repeats the AcousticSSM rows.
TABLES = {
    "Table I": {
        "AcousticSSM1": "acoustic-ssm1",
        "AcousticSSM2": "acoustic-ssm2",
        "MT-SLVR": "mt-slvr",
        "Adapted CNN": "adapted-cnn",
    },
    "Table II": {
        "HuBERT": "hubert",
        "TERA": "tera",
        "Mockingjay": "mockingjay",
        "wav2vec 2.0": "wav2vec2",
        "BYOL": "byol-a",
    },
}
# What a reader must know beside a row's numbers: our reading of the decimals and of the authors' code.
NOTES = {
    "AcousticSSM1": "one run; its ten cells fit 150 test clips alone, which leaves 10 labelled clips per class, not 5.",
    **dict.fromkeys(
        ("AcousticSSM2", "MT-SLVR", "Adapted CNN"),
        "its cells fit no single test size: a mean of several runs, or another size. The interval is drawn "
        "as if for one run on 175 clips, and the number of labelled clips is unknown.",
    ),
    **dict.fromkeys(
        ("HuBERT", "TERA", "Mockingjay", "wav2vec 2.0"),
        "one run; its cells fit 175 test clips, 5 labelled per class. In the released code the model is "
        "frozen, hears 20 kHz sound as if it were 16 kHz, and is tested with dropout on.",
    ),
    "BYOL": "one run on 175 clips, at chance over its ten cells (378 of 1750 right, p = 0.09): a sign of a broken "
    "pipeline, not a level to reproduce.",
}


def table():
    """The printed numbers: one row per method; columns G1 to G10, average, frogs.

    Source: paper, Tables I and II.
    """
    return pd.DataFrame(
        {name: [*row.accuracies, row.average, row.frogs] for name, row in ROWS.items()},
        index=[*GROUPS, "average", "frogs"],
        dtype=float,
    ).T


def fits(accuracies, n):
    """How many of the accuracies are some whole number of clips out of ``n``, to the three decimals printed.

    Source: our arithmetic.
    """
    accuracies = np.asarray(accuracies, dtype=float)
    nearest = np.round(accuracies * n) / n
    return int((np.abs(accuracies - nearest) < 0.0005 + 1e-9).sum())


def fits_by_chance(n, cells=10):
    """Expected ``fits`` of arbitrary three-decimal numbers: n + 1 of the 1,001 from .000 to 1.000 are some k / n."""
    return cells * (n + 1) / 1001


def binomial_interval(accuracy, n):
    """95 % (Wilson) interval of one run on ``n`` clips; the luck of draw, training and seed is left out.

    Returns:
        low, high.
    """
    interval = stats.binomtest(round(accuracy * n), n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def average_interval(name):
    """95 % interval of a row's average as if each of its ten cells were one run, on 175 clips where unknown.

    It holds the groups fixed and leaves out the luck of draw, training and seed.

    Args:
        name: in ``ROWS``.
    Returns:
        low, high.
    Source: our arithmetic, normal approximation.
    """
    row = ROWS[name]
    cells = np.array(row.accuracies)
    half = 1.96 * np.sqrt((cells * (1 - cells) / (row.n_test or 175)).sum()) / len(cells)
    return float(row.average - half), float(row.average + half)


@dataclass(frozen=True)
class PairedT:
    """Mean difference over the groups, ``half`` width of its 95 % interval, p of t and Wilcoxon tests, groups won."""

    mean: float
    half: float
    p: float
    p_wilcoxon: float
    won: int


def paired_t(row_a, row_b):
    """Accuracy of ``row_a`` minus ``row_b``, paired by group: are ten groups enough to tell them apart?

    Args:
        row_a, row_b: names in ``ROWS``.
    Returns:
        ``PairedT``, as shares (0.05 is five points).
    Source: our arithmetic on the printed cells.
    """
    difference = np.subtract(ROWS[row_a].accuracies, ROWS[row_b].accuracies).round(3)  # decimals again: ties stay ties
    half = stats.t.ppf(0.975, len(difference) - 1) * difference.std(ddof=1) / np.sqrt(len(difference))
    return PairedT(
        float(difference.mean()),
        float(half),
        float(stats.ttest_1samp(difference, 0).pvalue),
        float(stats.wilcoxon(difference).pvalue),
        int((difference > 0).sum()),
    )


def cells_apart(row_a, row_b):
    """In how many groups two rows differ by more than the binomial 95 % of two single runs.

    A row whose test size is unknown counts as one run on 175 clips.
    """
    a, b = (np.array(ROWS[name].accuracies) for name in (row_a, row_b))
    n_a, n_b = (ROWS[name].n_test or 175 for name in (row_a, row_b))
    return int((np.abs(a - b) > 1.96 * np.sqrt(a * (1 - a) / n_a + b * (1 - b) / n_b)).sum())


def against_chance(accuracies, n, chance=0.2):
    """Two-sided binomial test of all cells together against guessing.

    Returns:
        right, tested: clips; p.
    """
    right = sum(round(accuracy * n) for accuracy in accuracies)
    tested = n * len(accuracies)
    return right, tested, float(stats.binomtest(right, tested, chance).pvalue)
