"""One logistic head per class on frozen embeddings, and how far it can be trusted.

"No" and "none of these" are negatives of every class they were said of, so that background is trained, not hoped for.
Before there are many of them, a draw of windows that nobody has heard stands in with a small weight: calls are rare, so
that few of these negatives are wrong. It is what makes five examples useful (benchmarks/survey_asking.py).

A score is the head's sigmoid: it orders windows, and is no probability; what it is worth, ``review`` finds out.
Answers of a review are never trained on.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy import stats
from sklearn.linear_model import LogisticRegression

from acssm_lib.files import DataError
from acssm_lib.recordings.examples import examples_of
from acssm_lib.recordings.labels import NO, OPEN, REVIEW, YES, Labels, Places, targets
from acssm_lib.text import many, quoted

LEAST_YES, LEAST_NO, LEAST_NIGHTS = 5, 5, 3  # below that nothing is said about a class
FOLDS = 5  # at most; whole site-nights each
PENALTY_C = 0.1  # inverse strength of the L2 penalty, in standardised coordinates
N_UNHEARD, UNHEARD_WEIGHT = 300, 0.3  # windows that nobody has heard, as negatives, and the weight of each
LEVEL = 0.95


@dataclass
class Heads:
    """What turns an embedding into one score per class.

    Attributes:
        classes: names, c of them.
        weight, bias: (c, d) and (c,), in standardised coordinates; a class without a head has zeros.
        mean, scale: (d,), of the embeddings of the survey.
        thresholds: class -> score from which a window counts as a detection; 0.5 until a review has chosen one.
        evidence: class -> dict of plain values: what the head was trained on and how it did (of ``judge``), where its
            threshold is from (``threshold``, words), and ``band``, [low, high] in Hz of its calls as marked by hand.
    """

    classes: list[str]
    weight: np.ndarray
    bias: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    thresholds: dict = field(default_factory=dict)
    evidence: dict = field(default_factory=dict)

    def scores(self, embeddings):
        """(windows, d) -> float32 (windows, classes), 0 to 1."""
        logits = (np.asarray(embeddings, dtype=np.float32) - self.mean) / self.scale @ self.weight.T + self.bias
        return (1 / (1 + np.exp(-np.clip(logits, -60, 60)))).astype(np.float32)


def fit(embeddings, wanted, classes, mean, scale, unheard=None):
    """Heads for answered windows.

    Args:
        embeddings: (n, d), of the answered windows.
        wanted: (n, c) of YES, NO, UNSURE, OPEN; the last two take no part.
        classes: c names.
        mean, scale: (d,); see ``moments``.
        unheard: (m, d), windows without an answer, see above; None: answers alone.
    Returns:
        ``Heads``; a class without a yes, or with nothing to tell it from, keeps zeros, whose score is 0.5 everywhere.
    """
    values = ((np.asarray(embeddings, dtype=np.float32) - mean) / scale).astype(np.float64)
    rest = values[:0] if unheard is None else (np.asarray(unheard, dtype=np.float64) - mean) / scale
    heads = Heads(
        list(classes),
        np.zeros((len(classes), values.shape[1]), np.float32),
        np.zeros(len(classes), np.float32),
        np.asarray(mean, np.float32),
        np.asarray(scale, np.float32),
    )
    for k, name in enumerate(classes):
        told = (wanted[:, k] == YES) | (wanted[:, k] == NO)
        yes = np.concatenate([wanted[told, k] == YES, np.zeros(len(rest), dtype=bool)])
        heads.thresholds[name] = 0.5
        if yes.any() and not yes.all():
            weight = np.concatenate([np.ones(told.sum()), np.full(len(rest), UNHEARD_WEIGHT)])
            model = LogisticRegression(C=PENALTY_C, max_iter=500)
            model.fit(np.concatenate([values[told], rest]), yes, sample_weight=weight)
            heads.weight[k], heads.bias[k] = model.coef_[0], model.intercept_[0]
    return heads


def unheard(wanted, seed=0):
    """A draw of windows without any answer, to stand in for background; the same from answer to answer.

    Args:
        wanted: (windows, c) of all windows of the index.
    Returns:
        windows, (m,), ascending.
    """
    n = len(wanted)
    drawn = np.random.default_rng(seed).choice(n, min(N_UNHEARD, n), replace=False)
    return np.sort(drawn[(wanted[drawn] == OPEN).all(1)])


def moments(embeddings, at_most=20_000, seed=0):
    """Mean and deviation of each coordinate over (a draw of) all windows; no labels. (d,) and (d,), float32."""
    n = len(embeddings)
    chosen = np.arange(n) if n <= at_most else np.sort(np.random.default_rng(seed).choice(n, at_most, replace=False))
    values = np.asarray(embeddings[chosen], dtype=np.float64)
    return values.mean(0).astype(np.float32), values.std(0).clip(1e-6).astype(np.float32)


def folds_of(site_nights, seed=0):
    """Parts of whole site-nights, ``FOLDS`` at most: site-night -> part, -1 for those that are not in it."""
    nights = np.random.default_rng(seed).permutation(np.unique(site_nights))
    folds = np.full(int(site_nights.max()) + 1, -1)
    folds[nights] = np.arange(len(nights)) % min(FOLDS, len(nights))
    return folds


def across_nights(embeddings, wanted, site_nights, mean, scale, rest=None, seed=0, clips=()):
    """Scores of answered windows by heads that heard nothing of their site and night.

    Args:
        embeddings: (n, d), of the answered windows.
        wanted: (n,), of one class: YES or NO.
        site_nights: (n,), whole numbers.
        rest: (embeddings, site_nights) of windows that nobody has heard, or None.
        clips: (m, d), calls of the class from elsewhere; they are in every training and are judged in none.
    Returns:
        (n,), NaN where the other nights lack a yes or a no.
    """
    folds = folds_of(site_nights, seed)
    scores = np.full(len(wanted), np.nan)
    clips = np.asarray(clips, dtype=np.float32).reshape(-1, embeddings.shape[1])
    for fold in range(folds.max() + 1):
        out = folds[site_nights] == fold
        told = np.concatenate([wanted[~out], np.full(len(clips), YES, wanted.dtype)])
        if len(np.unique(told)) == 2:
            others = None if rest is None else rest[0][~np.isin(rest[1], np.flatnonzero(folds == fold))]
            heads = fit(np.concatenate([embeddings[~out], clips]), told[:, None], ["one"], mean, scale, others)
            scores[out] = heads.scores(embeddings[out])[:, 0]
    return scores


def proportion(right, clusters, level=LEVEL):
    """Share of hits with an interval that knows that windows of one night are alike.

    Args:
        right: (n,) bool.
        clusters: (n,), site-night of each.
    Returns:
        share, low, high.
    Source: Korn and Graubard 1998, Survey Methodology 24 (effective sample size in the exact binomial interval).
    """
    right = np.asarray(right, dtype=float)
    n, share = len(right), right.mean()
    names, place = np.unique(clusters, return_inverse=True)
    k = len(names)
    effective = float(n)
    if k > 1 and 0 < share < 1:
        rest = np.bincount(place, right - share)
        variance = k / (k - 1) * (rest**2).sum() / n**2
        design_effect = max(variance / (share * (1 - share) / n), 1.0)
        lost = (stats.norm.ppf(0.5 + level / 2) / stats.t.ppf(0.5 + level / 2, k - 1)) ** 2  # few nights: wider
        effective = n / design_effect * lost
    elif k > 1:
        effective = n * (stats.norm.ppf(0.5 + level / 2) / stats.t.ppf(0.5 + level / 2, k - 1)) ** 2
    hits = effective * share
    low = stats.beta.ppf(0.5 - level / 2, hits, effective - hits + 1) if hits > 0 else 0.0
    high = stats.beta.ppf(0.5 + level / 2, hits + 1, effective - hits) if hits < effective else 1.0
    return float(share), float(low), float(high)


def judge(embeddings, wanted, site_nights, mean, scale, rest=None, seed=0, clips=(), scores=None):
    """What can be said about one class: shares of answered calls found, and of other windows kept out.

    Args:
        embeddings: (n, d); wanted: (n,) of YES, NO and others; site_nights: (n,); of the answered windows.
        rest, clips: as in ``across_nights``.
        scores: (n,), as ``across_nights`` gives them, of somebody who knows better; None: its own.
    Returns:
        dict of plain values: ``yes``, ``no``, ``clips``, ``nights_yes``, ``nights_no``; with enough of all of them
        ``found`` and ``kept_out``, each [share, low, high], of windows of nights that were not trained on, at a score
        of 0.5; else ``too_few``: what is missing, in words.
    The answered windows are those somebody asked for, no fair sample of the recordings: precision comes from a review.
    """
    told = (wanted == YES) | (wanted == NO)
    wanted, site_nights, embeddings = wanted[told], np.asarray(site_nights)[told], embeddings[told]
    scores = scores if scores is None else scores[told]
    yes = wanted == YES
    found = {
        "yes": int(yes.sum()),
        "no": int((~yes).sum()),
        "clips": len(clips),
        "nights_yes": len(np.unique(site_nights[yes])),
        "nights_no": len(np.unique(site_nights[~yes])),
    }
    missing = [
        f"{least - found[key]} more {words}"
        for key, least, words in (
            ("yes", LEAST_YES, "yes"),
            ("no", LEAST_NO, "no"),
            ("nights_yes", LEAST_NIGHTS, "sites or nights with a yes"),
            ("nights_no", LEAST_NIGHTS, "sites or nights with a no"),
        )
        if found[key] < least
    ]
    if missing:
        return found | {"too_few": ", ".join(missing)}
    if scores is None:
        scores = across_nights(embeddings, wanted, site_nights, mean, scale, rest, seed, clips)
    heard = ~np.isnan(scores)
    if not (yes & heard).any() or not (~yes & heard).any():  # all nights of a kind fell into one part
        return found | {"too_few": "answers from more sites and nights"}
    for key, chosen, right in (("found", yes & heard, scores >= 0.5), ("kept_out", ~yes & heard, scores < 0.5)):
        found[key] = [round(value, 4) for value in proportion(right[chosen], site_nights[chosen])]
    return found


def answers(survey, index, reviews=False):
    """What was answered, over all windows of the index.

    Args:
        survey, index: ``folder.Survey`` and ``index.Index``.
        reviews: the answers of blind reviews instead of all others.
    Returns:
        int8, (windows, classes), as ``labels.targets``; classes: those of the survey.
    """
    rows = [row for row in Labels(survey.labels_csv).rows() if row.asked_because.startswith(REVIEW) == reviews]
    return targets(rows, survey.settings.classes, Places.of_index(index))


def train(survey, index, judged=None):
    """The heads of a survey from everything that was answered and clips from elsewhere, with evidence (of ``judge``).

    Same answers, same heads: no seed changes them, or a review would be of heads that nobody has.

    Args:
        judged: (windows, classes), scores of answered windows by somebody who heard nothing of their night, encoder
            and all (``tuning.across_nights``); None: the encoder has heard no answer, and heads alone are left to tell.
    Raises:
        DataError: the survey names no classes, or none has a yes or a clip.
    """
    wanted, given = answers(survey, index), examples_of(survey, index)
    if not (wanted == YES).any() and not len(given.wanted):
        raise DataError(
            f"{survey.labels_csv}: no window has been answered with yes; acssm survey label "
            f"{quoted(survey.folder)} asks"
        )
    mean, scale = moments(index.embeddings)
    asked, others = np.flatnonzero((wanted != OPEN).any(1)), unheard(wanted)
    embeddings, rest = np.asarray(index.embeddings[asked]), np.asarray(index.embeddings[others])
    heads = fit(*given.added_to(embeddings, wanted[asked]), survey.settings.classes, mean, scale, rest)
    nights = np.asarray(index.site_nights)
    for k, name in enumerate(heads.classes):
        heads.evidence[name] = judge(
            embeddings,
            wanted[asked, k],
            nights[asked],
            mean,
            scale,
            (rest, nights[others]),
            clips=given.embeddings[given.wanted[:, k] == YES],
            scores=None if judged is None else judged[asked, k],
        )
    marks = [
        row
        for row in Labels(survey.labels_csv).rows()
        if row.asked_because == "example" and row.answer == "yes" and row.low_hz is not None and row.high_hz is not None
    ]
    for name in heads.classes:
        bands = [(row.low_hz, row.high_hz) for row in marks if row.label == name]
        if bands:
            heads.evidence[name]["band"] = [min(low for low, _ in bands), max(high for _, high in bands)]
    return heads


def in_words(heads):
    """One line per class for a terminal: what it was trained on, and how it did across sites and nights."""
    lines = []
    for name in heads.classes:
        seen = heads.evidence[name]
        start = f"{name}: {seen['yes']} yes, {seen['no']} no" + (
            f", {many(seen['clips'], 'clip')} from elsewhere" if seen.get("clips") else ""
        )
        if "too_few" in seen:
            lines.append(f"{start}; too few to judge it: needs {seen['too_few']}")
            continue
        finds, keeps = (
            f"{share:.0%} ({low:.0%} to {high:.0%})" for share, low, high in (seen["found"], seen["kept_out"])
        )
        lines.append(
            f"{start}; on nights it was not trained on it finds {finds} of the yes and keeps out {keeps} of the no"
        )
    return lines
