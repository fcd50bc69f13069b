"""Which window to listen to next.

``similar``  the nearest to the examples of a class: quickly to the first yes.
``margin``   where a head is least sure: the answers that move it most.
``spread``   one per cluster of sounds, site and night: what nobody thought of.
``random``   a fair draw, the yardstick of the others.

What has been answered is never asked again. Same seed, same order.
"""

import itertools

import numpy as np
from scipy import stats

from acssm_lib.recordings.labels import OPEN, YES

ORDERS = ("similar", "margin", "spread", "random")
_CLUSTERS = 24
_AT_MOST = 20_000  # windows that the clusters are found from


def order(kind, n, embeddings, wanted, scores, site_nights, mean, scale, column=None, seed=0, kinds=None, given=None):
    """The next windows to ask about, best first.

    Args:
        kind: of ``ORDERS``.
        n: how many, at most.
        embeddings: (windows, d), may be memory-mapped.
        wanted: (windows, c) of YES, NO, UNSURE, OPEN, as ``labels.targets``.
        scores: (windows, c) of the heads; used by "margin" alone.
        site_nights: (windows,), whole numbers.
        mean, scale: (d,), of ``heads.moments``.
        column: of the class asked for; a window is open where it has no answer. None: all classes, and a window is
            open where any has none; "margin" and "similar" then serve the classes in turn.
        kinds: of ``clusters``, for "spread"; None: found now.
        given: ``examples.Examples``, clips from elsewhere that "similar" goes by too; None: no such clips.
    Returns:
        int64, up to n windows.
    Raises:
        ValueError: an unknown order, or "similar" for a class without a yes.
    """
    if kind not in ORDERS:
        raise ValueError(f"unknown order {kind!r}; there are {', '.join(ORDERS)}")
    columns = np.arange(wanted.shape[1]) if column is None else np.array([column])
    open_ = np.flatnonzero((wanted[:, columns] == OPEN).any(1))
    generator = np.random.default_rng(seed)
    if kind == "random":
        return generator.permutation(open_)[:n]
    if kind == "spread":
        kinds = clusters(embeddings, mean, scale, seed) if kinds is None else kinds
        return _spread(n, open_, site_nights, (wanted != OPEN).any(1), kinds, generator)
    if kind == "similar":
        examples = [_examples(embeddings, wanted, given, k) for k in columns]
        if not any(map(len, examples)):
            raise ValueError("'similar' needs an example: answer a window with yes first, or begin with 'spread'")
        values = [-_likeness(embeddings, open_, some, mean, scale) for some in examples if len(some)]
    else:
        values = [np.abs(scores[open_, k] - 0.5) for k in columns]
    start = int((wanted != OPEN).any(1).sum())  # with every answer it is the next class's turn
    queues = [open_[_first(values[(start + k) % len(values)], n)] for k in range(len(values))]
    taken = [window for turn in itertools.zip_longest(*queues) for window in turn if window is not None]
    return np.array(list(dict.fromkeys(taken))[:n], dtype=np.int64)


def _first(value, n):
    """Places of the n smallest values, in order; ties in the order of the windows."""
    if n < len(value):
        near = np.flatnonzero(value <= np.partition(value, n - 1)[n - 1])
    else:
        near = np.arange(len(value))
    return near[np.argsort(value[near], kind="stable")][:n]


def _unit(values, mean, scale):
    values = (np.asarray(values, dtype=np.float32) - mean) / scale
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9)


def _examples(embeddings, wanted, given, column):
    """Embeddings (m, d) of what was answered with yes for a class, and of its clips from elsewhere."""
    own = np.asarray(embeddings[np.flatnonzero(wanted[:, column] == YES)])
    return own if given is None else np.concatenate([own, given.embeddings[given.wanted[:, column] == YES]])


def _likeness(embeddings, windows, examples, mean, scale):
    """Cosine to the mean of a class's examples (m, d); (windows,), in blocks, so that memory stays small."""
    example = _unit(examples, mean, scale).mean(0)
    return np.concatenate(
        [_unit(embeddings[windows[k : k + 65_536]], mean, scale) @ example for k in range(0, len(windows), 65_536)]
        or [np.zeros(0, np.float32)]
    )


def clusters(embeddings, mean, scale, seed=0):
    """Kinds of sounds, for "spread": the cluster of every window, and its squared distance from the middle.

    Found from a draw of windows where there are many (k-means).
    """
    from sklearn.cluster import MiniBatchKMeans  # here: the other orders do without

    n = len(embeddings)
    drawn = np.sort(np.random.default_rng(seed).choice(n, min(_AT_MOST, n), replace=False))
    model = MiniBatchKMeans(min(_CLUSTERS, n), random_state=seed, n_init=1)
    model.fit((np.asarray(embeddings[drawn], dtype=np.float32) - mean) / scale)
    labels, away = np.zeros(n, dtype=np.int32), np.zeros(n, dtype=np.float32)
    for k in range(0, n, 65_536):
        values = (np.asarray(embeddings[k : k + 65_536], dtype=np.float32) - mean) / scale
        labels[k : k + 65_536] = model.predict(values)
        away[k : k + 65_536] = ((values - model.cluster_centers_[labels[k : k + 65_536]]) ** 2).sum(1)
    return labels, away


def _spread(n, open_, site_nights, known, kinds, generator):
    """Each time the cluster that has had the fewest questions, in it the site and night that has, and its middle."""
    labels, away = kinds
    asked = np.bincount(labels[known], minlength=labels.max() + 1).astype(float)
    asked += 0.5 * generator.random(len(asked))  # who comes first where all have had as many
    of_night = np.bincount(site_nights[known], minlength=site_nights.max() + 1)
    queues = {}  # cluster -> site-night -> windows, the most typical last
    for window in open_[np.argsort(-away[open_], kind="stable")].tolist():
        queues.setdefault(int(labels[window]), {}).setdefault(int(site_nights[window]), []).append(window)
    chosen = []
    while queues and len(chosen) < n:
        cluster = min(queues, key=lambda one: asked[one])
        night = min(queues[cluster], key=lambda one: (of_night[one], one))
        chosen.append(queues[cluster][night].pop())
        asked[cluster] += 1
        of_night[night] += 1
        if not queues[cluster][night]:
            del queues[cluster][night]
        if not queues[cluster]:
            del queues[cluster]
    return np.array(chosen, dtype=np.int64)


def forecast(answers, moved, n=10, level=0.9, memory=20):
    """What the next n answers in the same order are likely to bring, from what the last ones brought.

    Args:
        answers: bools of the answers in this order, in time: was it a yes of the class (of any class)?
        moved: share of all windows that changed sides over the last n answers; None if there were fewer.
        n: answers to come.
        level: of the interval of the number of yes.
        memory: only so many of the last answers count, since an order digs itself out.
    Returns:
        a sentence; (low, high), the number of yes to expect, or None with fewer than five answers.
    The number of yes is beta-binomial (Jeffreys prior). Old answers say nothing of a change of order.
    """
    recent = list(answers)[-memory:]
    if len(recent) < 5:
        return f"{len(recent)} answers in this order: from the fifth on, this line says what to expect.", None
    yes = sum(recent)
    chance = np.cumsum(stats.betabinom.pmf(np.arange(n + 1), n, yes + 0.5, len(recent) - yes + 0.5))
    low, high = (int(np.argmax(chance >= part - 1e-12)) for part in ((1 - level) / 2, (1 + level) / 2))
    text = (
        f"{yes} of the last {len(recent)} in this order were calls: of the next {n}, {low} to {high} "
        f"({level:.0%} interval)."
    )
    if moved is not None:
        text += f" The last {n} answers moved {moved:.1%} of all windows across the line" + (
            "; more of this order will change little." if moved < 0.002 else "."
        )
    return text, (low, high)
