"""Run records in and out, intervals, comparison tables, and the report over whatever has finished."""

import itertools
import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from acssm_lib import plots, report
from acssm_lib.files import write_json, write_text
from acssm_lib.presets import METHOD_NAMES

_FRACTION = "a number from 0 to 1"
_SCHEMA = {  # key -> what its value must be; a dict or a list of one dict nests
    "schema": int, "dataset": str, "group": str, "classes": list, "method": str, "preset": str, "seed": int,
    "n_way": int, "n_shot": int,
    "episodes": [{"seed": int, "accuracy": _FRACTION, "n_query": int,
                  "accuracy_unshared_sources": (_FRACTION, None), "n_query_unshared_sources": int}],
    "accuracy_mean": _FRACTION, "accuracy_ci95": (list, None), "accuracy_unshared_sources_mean": (_FRACTION, None),
    "pretraining": {"clips": int, "steps": int, "seconds": float, "final_loss": (float, None),
                    "saw_query_clips": bool},
    "finetuning": {"seconds": float}, "parameters": int, "versions": dict,
}


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
    Source: method section 11, rules 2 and 3.
    """
    values = np.asarray(values, dtype=float)
    if not len(values):
        raise ValueError("mean_interval needs at least one value")
    mean = float(values.mean())
    if len(values) > 1:
        half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
        low, high = mean - half, mean + half
    elif n_query:
        low, high = stats.binomtest(round(mean * n_query), n_query).proportion_ci(method="wilson")
    else:
        return mean, None
    return mean, (float(max(low, limits[0])), float(min(high, limits[1])))


def check_metrics(metrics):
    """Does nothing if the record has every key of the schema, each of the right kind.

    Raises:
        ValueError: names every missing or wrong key, such as ``pretraining.steps``.
    Taught in: 08_reproduce_group.
    """
    faults = list(_faults(metrics, _SCHEMA, ""))
    if not faults and metrics["schema"] != 1:
        faults.append(f"schema {metrics['schema']}, this version reads 1")
    if not faults and not metrics["episodes"]:
        faults.append("episodes is empty")
    if faults:
        raise ValueError(f"not a run record: {'; '.join(faults)}")


def _faults(value, wanted, key):
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            yield f"{key or 'the record'} is not an object"
            return
        for name, kind in wanted.items():
            if name not in value:
                yield f"{key}{name} is missing"
            else:
                yield from _faults(value[name], kind, f"{key}{name}" + ("." if isinstance(kind, dict) else ""))
    elif isinstance(wanted, list):
        if not isinstance(value, list):
            yield f"{key} is not a list"
            return
        for position, item in enumerate(value):
            yield from _faults(item, wanted[0], f"{key}[{position}].")
    elif not _fits(value, wanted):
        names = [getattr(kind, "__name__", kind) or "null" for kind in _kinds(wanted)]
        yield f"{key} is {value!r}, expected {' or '.join(names)}"


def _kinds(wanted):
    return wanted if isinstance(wanted, tuple) else (wanted,)


def _fits(value, wanted):
    if isinstance(wanted, tuple):
        return any(_fits(value, kind) for kind in wanted)
    if wanted is None:
        return value is None
    if wanted in (_FRACTION, float):
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return number and (wanted is float or 0 <= value <= 1)
    return isinstance(value, wanted) and not (wanted is int and isinstance(value, bool))


def write_metrics(path, metrics):
    """Write ``metrics.json`` through a temporary name: a run either has its record or has none.

    Raises:
        ValueError: a key is missing or wrong (``check_metrics``).
    Taught in: 08_reproduce_group.
    """
    check_metrics(metrics)
    return write_json(path, metrics)


def read_runs(folder):
    """Every finished run below a folder, in the order of the tables.

    Returns:
        runs: the records of all ``metrics.json``, first come first kept when two describe the same run.
        problems: one sentence for each ``seed*`` folder without a record and each record that cannot be used.
    Taught in: 06_ablation_comparison.
    """
    folder, runs, problems = Path(folder), {}, []
    for path in sorted(folder.glob("**/seed*")):
        if path.is_dir() and not (path / "metrics.json").exists():
            state = "failed, see failed.ipynb" if (path / "failed.ipynb").exists() else "unfinished, no metrics.json"
            problems.append(f"{path.relative_to(folder)}: {state}")
    for path in sorted(folder.glob("**/metrics.json")):
        name = path.relative_to(folder)
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
            check_metrics(run)
        except (OSError, ValueError) as error:
            problems.append(f"{name}: {error}")
            continue
        key = tuple(run[field] for field in ("dataset", "preset", "group", "method", "seed"))
        if key in runs:
            problems.append(f"{name}: left out, another file describes the same run")
        runs.setdefault(key, run)
    return sorted(runs.values(), key=_order), problems


def _order(run):
    method = run["method"]
    rank = METHOD_NAMES.index(method) if method in METHOD_NAMES else len(METHOD_NAMES)  # others follow by name
    parts = [part for part in re.split(r"(\d+)", run["group"]) if part]
    natural = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]  # G2 before G10
    return run["dataset"], run["preset"], natural, rank, method, run["seed"]


def _cells(runs, *fields):
    """(values of the fields) -> runs, in the order of the tables."""
    cells = {}
    for run in sorted(runs, key=_order):
        cells.setdefault(tuple(run[field] for field in fields), []).append(run)
    return cells


def _accuracy(episode, unshared):
    """(accuracy, n_query) of an episode, or None where no query is free of shared sources."""
    key = "_unshared_sources" if unshared else ""
    value, n_query = episode[f"accuracy{key}"], episode[f"n_query{key}"]
    return None if value is None or n_query == 0 else (value, n_query)


def _draw(run, episode):
    """What makes two episodes the same support draw."""
    return tuple(sorted(episode["support"])) if episode.get("support") else (run["seed"], episode["seed"])


def _per_draw(triples):
    """[(seed, draw, value)] -> mean of the per-seed means, one value per draw, the per-seed means.

    Seeds may share their support draws; averaging over seeds first keeps a draw from counting twice.
    """
    by_seed, by_draw = {}, {}
    for seed, draw, value in triples:
        by_seed.setdefault(seed, []).append(value)
        by_draw.setdefault(draw, []).append(value)
    seeds = [float(np.mean(values)) for values in by_seed.values()]
    return float(np.mean(seeds)), [np.mean(values) for values in by_draw.values()], seeds


def _summary(runs, unshared, prefix):
    """Columns of one kind of accuracy; NaN where there is nothing to say."""
    cells = [(run["seed"], _draw(run, episode), _accuracy(episode, unshared))
             for run in runs for episode in run["episodes"]]
    cells = [cell for cell in cells if cell[2]]
    names = [prefix, *(f"{prefix}_{name}" for name in ("low", "high", "seed_low", "seed_high", "n_query"))]
    if not cells:
        return dict.fromkeys(names, math.nan)
    mean, draws, seeds = _per_draw([(seed, draw, value[0]) for seed, draw, value in cells])
    n_query = float(np.mean([value[1] for _, _, value in cells]))
    _, interval = mean_interval(draws, n_query=round(n_query))
    spread = (min(seeds), max(seeds)) if len(seeds) > 1 else (math.nan, math.nan)
    return dict(zip(names, (mean, *interval, *spread, n_query)))


def comparison_table(runs):
    """One row per data set, preset, group and method.

    ``accuracy`` counts all queries, ``unshared`` those whose recording is in no support clip. Each is the mean over
    pre-training seeds of the seed's mean, with the interval over support draws (``mean_interval``) in ``_low`` and
    ``_high`` and, apart from it, the lowest and highest seed in ``_seed_low`` and ``_seed_high``.

    Args:
        runs: records from ``read_runs``.
    Returns:
        DataFrame: also seeds, episodes, draws, chance, saw_query_clips, mean seconds of both trainings, parameters.
    Taught in: 06_ablation_comparison.
    Source: method section 11, rules 3 and 6.
    """
    fields = ("dataset", "preset", "group", "method")
    return pd.DataFrame([{
        **dict(zip(fields, key)),
        "synthetic": bool(cell[0].get("synthetic", False)),
        "n_way": cell[0]["n_way"], "n_shot": cell[0]["n_shot"], "chance": 1 / cell[0]["n_way"],
        "seeds": ",".join(str(run["seed"]) for run in cell),
        "n_episodes": sum(len(run["episodes"]) for run in cell),
        "n_draws": len({_draw(run, episode) for run in cell for episode in run["episodes"]}),
        **_summary(cell, False, "accuracy"), **_summary(cell, True, "unshared"),
        "saw_query_clips": any(run["pretraining"]["saw_query_clips"] for run in cell),
        "pretraining_seconds": float(np.mean([run["pretraining"]["seconds"] for run in cell])),
        "finetuning_seconds": float(np.mean([run["finetuning"]["seconds"] for run in cell])),
        "parameters": cell[0]["parameters"],
    } for key, cell in _cells(runs, *fields).items()])


def paired_differences(runs, pairs=tuple(report.CLAIMS), refused=None):
    """Accuracy of a method minus a baseline on the same support draws, per data set, preset and group.

    Args:
        runs: records from ``read_runs``; each episode carries ``support``, the list of its clip names.
        pairs: (method, baseline) each.
        refused: a list that collects the reasons instead of raising.
    Returns:
        DataFrame: difference with its t interval over support draws in ``low`` and ``high`` (NaN for one draw), and
        the same for queries with unshared sources.
    Raises:
        ValueError: the supports of two episodes with the same seeds differ, or are not recorded.
    Taught in: 06_ablation_comparison.
    Source: method section 11, rule 1.
    """
    rows = []
    for key, cell in _cells(runs, "dataset", "preset", "group").items():
        for method, baseline in pairs:
            try:
                matched = _matched(cell, method, baseline)
            except ValueError as error:
                if refused is None:
                    raise
                refused.append(str(error))
                continue
            if matched:
                rows.append({
                    **dict(zip(("dataset", "preset", "group"), key)), "method": method, "baseline": baseline,
                    "seeds": ",".join(str(seed) for seed in sorted({run["seed"] for run, _, _ in matched})),
                    "n_episodes": len(matched),
                    **_difference(matched, False, ""), **_difference(matched, True, "unshared_")})
    return pd.DataFrame(rows, columns=[
        "dataset", "preset", "group", "method", "baseline", "seeds", "n_episodes",
        *(f"{prefix}{name}" for prefix in ("", "unshared_") for name in ("difference", "low", "high"))])


def _matched(runs, method, baseline):
    """[(run, episode of the method, episode of the baseline)] with equal run seed and episode seed."""
    theirs = {(run["seed"], episode["seed"]): episode
              for run in runs if run["method"] == baseline for episode in run["episodes"]}
    matched = []
    for run in runs:
        for episode in run["episodes"] if run["method"] == method else ():
            other = theirs.get((run["seed"], episode["seed"]))
            if other is None:
                continue
            where = f"{run['group']}, seed {run['seed']}, episode {episode['seed']}: {method} and {baseline}"
            if not episode.get("support") or not other.get("support"):
                raise ValueError(f"{where} cannot be paired, a support list is not recorded")
            alone = sorted(set(episode["support"]) ^ set(other["support"]))
            if alone or len(episode["support"]) != len(other["support"]):
                raise ValueError(f"{where} cannot be paired, their supports differ ({', '.join(alone[:3])})")
            matched.append((run, episode, other))
    return matched


def _difference(matched, unshared, prefix):
    """Columns of one kind of paired difference."""
    triples = []
    for run, episode, other in matched:
        ours, theirs = _accuracy(episode, unshared), _accuracy(other, unshared)
        if ours and theirs:
            triples.append((run["seed"], _draw(run, episode), ours[0] - theirs[0]))
    low = high = mean = math.nan
    if triples:
        mean, draws, _ = _per_draw(triples)
        _, interval = mean_interval(draws, limits=(-1.0, 1.0))
        low, high = interval or (math.nan, math.nan)
    return {f"{prefix}difference": mean, f"{prefix}low": low, f"{prefix}high": high}


def write_report(runs, out):
    """Tables and figures from whatever has finished below ``runs``.

    Args:
        runs, out: folders; ``out`` is made.
    Returns:
        The files written: report.md, report.csv, differences.csv, then up to three figures per data set and preset.
    Raises:
        ValueError: there is no finished run.
    Taught in: 06_ablation_comparison.
    """
    out, (runs, problems) = Path(out), read_runs(runs)
    if not runs:
        raise ValueError("no finished run to report" + "".join(f"\n  {problem}" for problem in problems))
    table, differences = comparison_table(runs), paired_differences(runs, refused=problems)
    figures = [path for (dataset, preset), cell in _cells(runs, "dataset", "preset").items()
               for path in _figures(cell, *(frame[(frame["dataset"] == dataset) & (frame["preset"] == preset)]
                                            for frame in (table, differences)), out / f"{dataset}_{preset}")]
    text = report.markdown(runs, table, differences, problems, [path.name for path in figures])
    return [write_text(out / "report.md", text), write_text(out / "report.csv", table.to_csv(index=False)),
            write_text(out / "differences.csv", differences.to_csv(index=False)), *figures]


def _figures(runs, table, differences, stem):
    """Accuracy, paired differences and confusion matrices of one data set and preset."""
    where = f"{stem.name.replace('_', ', ')}{', synthetic recordings' if table['synthetic'].any() else ''}"
    groups, methods = (list(dict.fromkeys(table[name])) for name in ("group", "method"))
    fig, ax = plots.canvas(max(7.5, 3.0 + 1.1 * len(groups)), 3.8)
    plots.accuracy_dots(table, ax, f"Accuracy and 95 % interval over support draws ({where})")
    yield plots.save(fig, f"{stem}_accuracy.png")
    if len(differences):
        fig, ax = plots.canvas(7.5, plots.forest_height(differences))
        clear = int(((differences["low"] > 0) | (differences["high"] < 0)).sum())
        plots.forest(differences, ax, f"{clear} of {len(differences)} intervals exclude zero ({where})")
        yield plots.save(fig, f"{stem}_differences.png")
    cells = {key: cell for key, cell in _cells(runs, "group", "method").items()
             if all("confusion" in run for run in cell)}
    if cells:
        fig, axes = plots.canvas(2.0 + 2.2 * len(methods), 2.5 * len(groups), len(groups), len(methods))
        for ax, (group, method) in zip(np.atleast_1d(axes).flat, itertools.product(groups, methods)):
            if (group, method) in cells:
                cell = cells[group, method]
                plots.confusion(sum(np.array(run["confusion"]) for run in cell), cell[0]["classes"], ax,
                                f"{group}, {method}", colour_bar=False)
                ax.set(xticks=[], xlabel="Predicted, same order")
                if method != methods[0]:  # the rows are named once
                    ax.set(yticks=[], ylabel="")
            else:
                ax.set_axis_off()
                ax.set_title(f"{group}, {method}: no run", loc="left", fontsize=10)
        yield plots.save(fig, f"{stem}_confusion.png")
