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


def order(kind, n, embeddings, wanted, scores, site_nights, mean, scale, column=None, seed=0):
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
        return _spread(n, embeddings, open_, site_nights, (wanted != OPEN).any(1), mean, scale, generator)
    if kind == "similar":
        columns = [k for k in columns if (wanted[:, k] == YES).any()]
        if not columns:
            raise ValueError("'similar' needs an example: answer a window with yes first, or begin with 'spread'")
        values = [-_likeness(embeddings, open_, wanted[:, k] == YES, mean, scale) for k in columns]
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


def _likeness(embeddings, windows, yes, mean, scale):
    """Cosine to the mean of a class's examples; (windows,), in blocks, so that memory stays small."""
    example = _unit(embeddings[np.flatnonzero(yes)], mean, scale).mean(0)
    return np.concatenate([_unit(embeddings[windows[k:k + 65_536]], mean, scale) @ example
                           for k in range(0, len(windows), 65_536)] or [np.zeros(0, np.float32)])


def _spread(n, embeddings, open_, site_nights, known, mean, scale, generator):
    """Round after round over clusters, each time at the site and night that has had the fewest questions."""
    from sklearn.cluster import MiniBatchKMeans  # here: the other orders do without

    if not len(open_):
        return open_
    pool = np.sort(generator.choice(open_, min(_AT_MOST, len(open_)), replace=False))
    values = (np.asarray(embeddings[pool], dtype=np.float32) - mean) / scale
    k = min(_CLUSTERS, len(pool))
    model = MiniBatchKMeans(k, random_state=int(generator.integers(2 ** 31)), n_init=3).fit(values)
    away = ((values - model.cluster_centers_[model.labels_]) ** 2).sum(1)
    nights = site_nights[pool]
    asked = {int(night): int(count) for night, count in zip(*np.unique(site_nights[known], return_counts=True))}
    # One queue per cluster and site-night, the most typical window first.
    queues = {}
    for place in np.argsort(-away, kind="stable"):
        queues.setdefault((int(model.labels_[place]), int(nights[place])), []).append(place)
    chosen, turns = [], generator.permutation(k).tolist()
    while len(chosen) < min(n, len(pool)):
        for cluster in turns:
            here = [night for (one, night), queue in queues.items() if one == cluster and queue]
            if here:
                night = min(here, key=lambda night: (asked.get(night, 0), night))
                asked[night] = asked.get(night, 0) + 1
                chosen.append(queues[cluster, night].pop())
    return pool[np.array(chosen[:n], dtype=np.int64)]


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
    text = (f"{yes} of the last {len(recent)} in this order were calls: of the next {n}, {low} to {high} "
            f"({level:.0%} interval).")
    if moved is not None:
        text += (f" The last {n} answers moved {moved:.1%} of all windows across the line" + (
            "; more of this order will change little." if moved < 0.002 else "."))
    return text, (low, high)
