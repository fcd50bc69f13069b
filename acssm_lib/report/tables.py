"""Tables over run records: accuracy per group and on average, and paired differences with their intervals."""

import math

import numpy as np
import pandas as pd

from acssm_lib.fewshot.statistics import holm, mean_interval, over_cells, over_draws
from acssm_lib.names import READOUTS, STATISTICS
from acssm_lib.report.claims import CLAIMS
from acssm_lib.report.readings import order, protocol, readings

_BLOCK = ("dataset", "preset", "protocol", "variant")
_ROW = (*_BLOCK, "group", "method", "readout", "n_shot", "shuffled")
_PAIR = (*_BLOCK, "n_shot", "readout", "method", "baseline")


def _key(reading):
    run = reading.run
    return (
        run["dataset"],
        run["preset"],
        protocol(run),
        run.get("variant", ""),
        run["group"],
        reading.method,
        reading.readout,
        reading.n_shot,
        reading.shuffled,
    )


def _chosen(runs, readout=None):
    """Key of ``_ROW`` -> {seed: reading}; with a ``readout``, what its table shows, at the runs' own shots.

    Statistics have one readout, which stands in every table: as measured on the draws of the fine-tuning beside
    fine-tuned methods, else on all draws.
    """
    best = {}
    for run in sorted(runs, key=order):
        found = [
            (reading.readout == readout, reading)
            for reading in readings(run)
            if readout is None
            or reading.n_shot == run["n_shot"]
            and (reading.readout == readout or (run["method"] in STATISTICS and reading.readout == "logistic"))
        ]
        for exact, reading in found:
            few = readout == "finetuned" and reading.supports is not None
            rank = (exact, few, reading.n_shot == run["n_shot"], len(reading.seeds))
            key = _key(reading)
            key = key if readout is None else (*key[:6], readout, *key[7:])
            kept = best.setdefault(key, {}).get(run["seed"])
            if kept is None or rank > kept[0]:
                best[key][run["seed"]] = rank, reading
    return {key: {seed: reading for seed, (_, reading) in by_seed.items()} for key, by_seed in best.items()}


def _stacked(cell, name):
    """The values of all seeds of a cell one after the other, with their seeds and draws."""
    values = np.concatenate([getattr(reading, name) for reading in cell.values()])
    seeds = np.repeat(list(cell), [len(reading.seeds) for reading in cell.values()])
    return values, seeds, np.concatenate([reading.draws for reading in cell.values()])


def _summary(cell, name, counts, prefix):
    """Columns of one kind of accuracy; NaN where there is nothing to say."""
    estimate = over_draws(*_stacked(cell, name))
    low, high, half = max(estimate.low, 0.0), min(estimate.high, 1.0), estimate.half
    n_query = np.concatenate([getattr(reading, counts) for reading in cell.values()])
    n_query = float(n_query[n_query > 0].mean()) if (n_query > 0).any() else math.nan
    if estimate.n == 1 and math.isnan(half):
        _, (low, high) = mean_interval([estimate.mean], n_query=round(n_query))
        half = (high - low) / 2
    seeds = [
        np.nanmean(getattr(reading, name)) for reading in cell.values() if not np.isnan(getattr(reading, name)).all()
    ]
    spread = (min(seeds), max(seeds)) if len(seeds) > 1 else (math.nan, math.nan)
    if math.isnan(half):
        low = high = math.nan
    return {
        prefix: estimate.mean,
        **{
            f"{prefix}_{column}": value
            for column, value in zip(
                ("low", "high", "half", "seed_low", "seed_high", "n_query"), (low, high, half, *spread, n_query)
            )
        },
    }


def comparison_table(runs, readout=None):
    """One row per data set, preset, protocol, variant, group, method, readout, shots and order of frames.

    ``accuracy`` counts all queries, ``unshared`` those whose recording is in no support clip. Each is the mean over
    pre-training seeds of the seed's mean, with the interval over support draws (``statistics.over_draws``) in ``_low``
    and ``_high``, its ``_half`` width and, apart from it, the lowest and highest seed in ``_seed_low`` and
    ``_seed_high``.

    Args:
        runs: records from ``read_runs``.
        readout: "finetuned", "logistic" or "nearest-mean" for the rows of that table alone: the runs' own number of
            shots, and mel statistics beside every readout.
    Returns:
        DataFrame: also seeds, episodes, draws, chance, saw_query_clips, mean seconds of pre-training and of
        fine-tuning one draw, parameters.
    Source: intervals over draws as in Heggan et al. 2022, MetaAudio; unshared sources are ours.
    """
    rows = []
    for key, cell in _chosen(runs, readout).items():
        own = [reading.run for reading in cell.values()]
        rows.append(
            {
                **dict(zip(_ROW, key)),
                "synthetic": bool(own[0].get("synthetic", False)),
                "n_way": own[0]["n_way"],
                "chance": 1 / own[0]["n_way"],
                "seeds": ",".join(map(str, sorted(cell))),
                "n_episodes": sum(len(reading.seeds) for reading in cell.values()),
                "n_draws": len(np.unique(_stacked(cell, "accuracy")[2])),
                **_summary(cell, "accuracy", "n_query", "accuracy"),
                **_summary(cell, "unshared", "n_unshared", "unshared"),
                "saw_query_clips": any(run["pretraining"]["saw_query_clips"] for run in own),
                "pretraining_clips": own[0]["pretraining"]["clips"],
                "pretraining_seconds": float(np.mean([run["pretraining"]["seconds"] for run in own])),
                "finetuning_seconds": float(
                    np.mean([run["finetuning"]["seconds"] / len(run["episodes"]) for run in own])
                ),
                "parameters": own[0]["parameters"],
            }
        )
    return pd.DataFrame(rows)


def average_table(runs, readout=None):
    """Accuracy averaged over the groups (AA), one row per method and readout.

    The mean is over groups of the mean over seeds; ``accuracy_half`` is Student's t over all cells of group and
    pre-training seed, ``groups_half`` the same over the group means alone, for what it says about other groups.

    Returns:
        DataFrame: also n_groups, n_cells, and the lowest and highest seed among those that have every group.
    Source: Student's t over cells; the choice of cells is ours.
    """
    return _averaged(
        [
            {
                **dict(zip(_ROW, key)),
                "seed": seed,
                "accuracy": reading.accuracy.mean(),
                "unshared": _mean(reading.unshared),
            }
            for key, cell in _chosen(runs, readout).items()
            for seed, reading in cell.items()
        ],
        [field for field in _ROW if field != "group"],
        ("accuracy", "unshared"),
    )


def _averaged(cells, fields, names):
    """One row per combination of ``fields`` from one cell per group and seed.

    Two cells give no interval: with one degree of freedom it is mostly wider than the scale of an accuracy.
    """
    together = {}
    for cell in cells:
        together.setdefault(tuple(cell[field] for field in fields), []).append(cell)
    rows = []
    for key, own in together.items():
        groups = dict.fromkeys(cell["group"] for cell in own)
        row = {
            **dict(zip(fields, key)),
            "n_groups": len(groups),
            "n_cells": len(own),
            "seeds": ",".join(map(str, sorted({cell["seed"] for cell in own}))),
        }
        for name in names:
            means = np.array([_mean(cell[name] for cell in own if cell["group"] == group) for group in groups])
            seeds = [[cell[name] for cell in own if cell["seed"] == seed] for seed in {cell["seed"] for cell in own}]
            whole = [float(np.mean(values)) for values in seeds if len(values) == len(groups)]
            over, alone = over_cells([cell[name] for cell in own], mean=_mean(means)), over_cells(means)
            over = over if over.n > 2 else over._replace(half=math.nan, p=math.nan)
            row |= {
                name: over.mean,
                f"{name}_low": over.low,
                f"{name}_high": over.high,
                f"{name}_half": over.half,
                f"{name}_p": over.p,
                f"{name}_groups_half": alone.half if alone.n > 2 else math.nan,
                f"{name}_seed_low": min(whole) if len(whole) > 1 else math.nan,
                f"{name}_seed_high": max(whole) if len(whole) > 1 else math.nan,
            }
        rows.append(row)
    return pd.DataFrame(rows)


def _mean(values):
    """Of what is not NaN; NaN where nothing is left."""
    values = [value for value in values if not math.isnan(value)]
    return float(np.mean(values)) if values else math.nan


def paired_differences(runs, pairs=tuple(CLAIMS), refused=None, readouts=tuple(READOUTS)[:2]):
    """Accuracy of a method minus a baseline on the same support draws, per group, fine-tuned and frozen.

    Episodes are paired by seed and by the names of their labelled clips, readouts by their seeds and the digest of
    their supports.

    Args:
        runs: records from ``read_runs``.
        pairs: (method, baseline) each; with ``SHUFFLED`` behind it, a method with its frames in random order.
        refused: a list that collects the reasons instead of raising.
        readouts: which to compare; no claim rests on nearest-mean.
    Returns:
        DataFrame: ``difference`` with its t interval over support draws in ``low`` and ``high`` (NaN for one draw),
        and the same for queries with unshared sources.
    Raises:
        ValueError: the supports of two episodes with the same seeds differ, or are not recorded.
    Source: Student's t over paired draws.
    """
    rows = []
    for key, matches in _matched(runs, pairs, refused, readouts).items():
        row = {
            **dict(zip((*_PAIR, "group"), key)),
            "seeds": ",".join(str(match["seed"]) for match in matches),
            "n_episodes": sum(len(match["draws"]) for match in matches),
        }
        seeds = np.repeat([match["seed"] for match in matches], [len(match["draws"]) for match in matches])
        draws = np.concatenate([match["draws"] for match in matches])
        for prefix, name in (("", "accuracy"), ("unshared_", "unshared")):
            found = over_draws(np.concatenate([match[name] for match in matches]), seeds, draws)
            row |= {
                f"{prefix}difference": found.mean,
                f"{prefix}low": max(found.low, -1.0),
                f"{prefix}high": min(found.high, 1.0),
                f"{prefix}half": found.half,
                f"{prefix}p": found.p,
            }
            if math.isnan(found.half):
                row |= {f"{prefix}low": math.nan, f"{prefix}high": math.nan}
        rows.append(row)
    return pd.DataFrame(
        rows,
        columns=[
            *_BLOCK,
            "n_shot",
            "readout",
            "group",
            "method",
            "baseline",
            "seeds",
            "n_episodes",
            *(f"{prefix}{name}" for prefix in ("", "unshared_") for name in ("difference", "low", "high", "half", "p")),
        ],
    )


def average_differences(runs, pairs=tuple(CLAIMS), refused=None, readouts=tuple(READOUTS)[:2]):
    """Paired differences over all groups and pre-training seeds: Student's t over their cells.

    Only groups and seeds count in which both methods have run. ``holm_p`` is adjusted for all comparisons of the same
    data set, preset, protocol, variant and readout.

    Returns:
        DataFrame: columns ``difference``, ``low``, ``high``, ``p``, ``holm_p``, ``groups_half`` (half width over the
        group means alone), ``n_groups``, ``n_cells`` and the same for unshared sources.
    Raises:
        ValueError: as ``paired_differences``.
    Source: Student's t over paired cells; Holm 1979.
    """
    cells = [
        {
            **dict(zip((*_PAIR, "group"), key)),
            "seed": match["seed"],
            "difference": match["accuracy"].mean(),
            "unshared": _mean(match["unshared"]),
        }
        for key, matches in _matched(runs, pairs, refused, readouts).items()
        for match in matches
    ]
    frame = _averaged(cells, list(_PAIR), ("difference", "unshared"))
    if not len(frame):
        return pd.DataFrame(columns=[*_PAIR, "n_groups", "n_cells", "difference", "low", "high", "half", "p", "holm_p"])
    frame = frame.rename(columns=lambda name: name.removeprefix("difference_"))
    frame["holm_p"] = frame.groupby([*_BLOCK, "n_shot", "readout"])["p"].transform(holm)
    return frame


def _matched(runs, pairs, refused, readouts):
    """Key of ``_PAIR`` and group -> [seed, draws, differences of the two accuracies], one entry per seed."""
    found = {}
    for readout in readouts:
        chosen = _chosen(runs, readout)
        by_row = {(key[:5], key[7], key[5]): cell for key, cell in chosen.items()}
        for where, n_shot in dict.fromkeys((row[0], row[1]) for row in by_row):
            for method, baseline in pairs:
                ours, theirs = (by_row.get((where, n_shot, name), {}) for name in (method, baseline))
                if all(reading.readout != readout for reading in (*ours.values(), *theirs.values())):
                    continue  # mel statistics with each other
                for seed in sorted(set(ours) & set(theirs)):
                    try:
                        match = _match(ours[seed], theirs[seed])
                    except ValueError as error:
                        if refused is None:
                            raise
                        if str(error) not in refused:
                            refused.append(str(error))
                        continue
                    if match:
                        key = (*where[:4], n_shot, readout, method, baseline, where[4])
                        found.setdefault(key, []).append({"seed": seed, **match})
    return found


def _match(ours, theirs):
    """Differences of two readings of one seed on the draws that both have; None where they share no draw seed."""
    names = f"{ours.run['group']}, seed {ours.run['seed']}"
    both, mine, other = np.intersect1d(ours.seeds, theirs.seeds, return_indices=True)
    if not len(both):
        return None
    if ours.run is not theirs.run and not (
        ours.digest is not None and ours.digest == theirs.digest and np.array_equal(ours.seeds, theirs.seeds)
    ):
        pair = f"{ours.method} and {theirs.method} cannot be paired"
        if ours.digest is None or theirs.digest is None:
            raise ValueError(f"{names}, episode {both[0]}: {pair}, a support list is not recorded")
        if ours.supports is None or theirs.supports is None:
            raise ValueError(
                f"{names}, {ours.readout}: {pair}, their supports differ or are not the same number "
                f"({len(ours.seeds)} and {len(theirs.seeds)} draws)"
            )
        for seed, left, right in zip(both, mine, other):
            one, two = sorted(ours.supports[left]), sorted(theirs.supports[right])
            if one != two:
                alone = sorted(set(one) ^ set(two))
                raise ValueError(f"{names}, episode {seed}: {pair}, their supports differ ({', '.join(alone[:3])})")
    return {
        "draws": ours.draws[mine],
        "accuracy": ours.accuracy[mine] - theirs.accuracy[other],
        "unshared": ours.unshared[mine] - theirs.unshared[other],
    }
