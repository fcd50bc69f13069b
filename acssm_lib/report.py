"""The words of a report: markdown made from the tables' numbers alone."""

import math

CLAIMS = {  # (method, baseline) -> (what a positive difference shows, what a negative one shows)
    ("acoustic-ssm1", "supervised"): ("pre-training helps", "pre-training hurts"),
    ("acoustic-ssm1", "adapted-cnn"): ("the state-space layers help", "the state-space layers hurt"),
    ("acoustic-ssm1", "kernel-zeroed"): ("memory between frames helps, not the layers' depth alone",
                                         "memory between frames hurts"),
    ("supervised", "adapted-cnn"): ("state-space layers without pre-training beat the adapted CNN",
                                    "the adapted CNN beats state-space layers without pre-training"),
    ("acoustic-ssm1", "mel-stats"): ("the learned encoder beats mel statistics", "mel statistics beat the encoder"),
}
_COLUMNS = ("group", "method", "accuracy", "accuracy, unshared sources", "chance", "episodes", "seeds",
            "lowest to highest seed", "saw query clips", "pre-training (s)", "fine-tuning (s)", "parameters")


def markdown(runs, table, differences, problems, figures=()):
    """The whole report.

    Args:
        runs: records; for the label account, the settings and the seeds.
        table, differences: from ``results.comparison_table`` and ``results.paired_differences``.
        problems: one sentence each, from ``results.read_runs`` and refused pairs.
        figures: file names beside the report.
    Returns:
        text: every sentence about a result follows from the numbers.
    Taught in: 08_reproduce_group.
    """
    lines = ["# Results", ""]
    blocks = list(dict.fromkeys(zip(table["dataset"], table["preset"])))
    for dataset, preset in blocks:
        rows, pairs = (frame[(frame["dataset"] == dataset) & (frame["preset"] == preset)]
                       for frame in (table, differences))
        cell = [run for run in runs if (run["dataset"], run["preset"]) == (dataset, preset)]
        lines += [f"## {dataset}, preset {preset}", "", _header(dataset, rows), "", *_main_table(rows), ""]
        lines += [f"![{name}]({name})" for name in figures if name.startswith(f"{dataset}_{preset}_")]
        lines += ["", "### Paired differences", ""]
        lines += _sentences(pairs) or ["No two of the compared methods have run."]
        lines += ["", "### Missing, and to know", "", *_bullets(_missing(cell) + _account(cell, rows)), ""]
    lines += ["## Unfinished or left out", "", *(_bullets(problems) or ["Nothing."]), ""]
    return "\n".join([*lines, "## How to read these numbers", "", *_bullets(_legend(table)), ""])


def _bullets(sentences):
    return [f"- {sentence}" for sentence in sentences]


def interval(mean, low, high, sign=""):
    """"0.712 [0.650, 0.774]"; without an interval the mean alone, without a value a dash.

    Taught in: 08_reproduce_group.
    """
    if math.isnan(mean):
        return "–"
    return f"{mean:{sign}.3f}" + ("" if math.isnan(low) else f" [{low:{sign}.3f}, {high:{sign}.3f}]")


def conclusion(method, baseline, low, high):
    """What the interval of a paired difference shows, in words.

    Taught in: 08_reproduce_group.
    """
    better, worse = CLAIMS.get((method, baseline), (f"{method} beats {baseline}", f"{baseline} beats {method}"))
    if low > 0:
        return better
    if high < 0:
        return worse
    return f"not shown that {better}"


def _header(dataset, rows):
    kind = ("SYNTHETIC recordings: says nothing about real frogs." if rows["synthetic"].any()
            else "Real recordings, not synthetic.")
    tasks = sorted(set(zip(rows["n_way"], rows["n_shot"])))
    return f"**{dataset}**, {', '.join(f'{way}-way {shot}-shot' for way, shot in tasks)}. {kind}"


def _main_table(rows):
    lines = [f"| {' | '.join(_COLUMNS)} |", "|" + " --- |" * len(_COLUMNS)]
    for row in rows.itertuples():
        one_run = " (one run)" if row.n_draws == 1 else ""
        spread = f"{row.accuracy_seed_low:.3f} to {row.accuracy_seed_high:.3f}"
        cells = (row.group, row.method, interval(row.accuracy, row.accuracy_low, row.accuracy_high) + one_run,
                 interval(row.unshared, row.unshared_low, row.unshared_high), f"{row.chance:.3f}", row.n_episodes,
                 row.seeds, "–" if math.isnan(row.accuracy_seed_low) else spread,
                 "yes" if row.saw_query_clips else "no", f"{row.pretraining_seconds:.0f}",
                 f"{row.finetuning_seconds:.0f}", f"{row.parameters:,}")
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def _sentences(pairs):
    """One list per comparison, one sentence per group."""
    lines = []
    for (method, baseline), rows in pairs.groupby(["method", "baseline"], sort=False):
        lines += ["", f"**{method} minus {baseline}**", ""]
        for row in rows.itertuples():
            if math.isnan(row.low):
                verdict, reason = "no conclusion", "one support draw, no interval"
            else:
                verdict = conclusion(method, baseline, row.low, row.high)
                reason = f"the interval {'excludes' if row.low > 0 or row.high < 0 else 'includes'} zero"
            unshared = interval(row.unshared_difference, row.unshared_low, row.unshared_high, "+")
            lines.append(f"- {row.group}: {verdict}: {interval(row.difference, row.low, row.high, '+')}, {reason}; "
                         f"unshared sources {unshared}; {row.n_episodes} paired episodes, seed {row.seeds}.")
    return lines[1:]


def _missing(runs):
    """Methods and seeds that one group has and another lacks."""
    methods, seeds = ({run[name]: None for run in runs} for name in ("method", "seed"))
    done = {(run["group"], run["method"], run["seed"]) for run in runs}
    lines = []
    for group in dict.fromkeys(run["group"] for run in runs):
        for method in methods:
            absent = [str(seed) for seed in sorted(seeds) if (group, method, seed) not in done]
            if len(absent) == len(seeds):
                lines.append(f"{group} has no finished run of {method}.")
            elif absent:
                lines.append(f"{group}, {method}: seed {', '.join(absent)} is missing.")
    return lines or ["Every group has every method and every seed."]


def _account(runs, rows):
    """Labels spent, clips seen, settings that differ between runs shown side by side."""
    lines = []
    labels = {(run["labelled_clips"]["training"], run["labelled_clips"]["selection"])
              for run in runs if "labelled_clips" in run}
    lines += [f"Labelled clips per episode: {training} for training, {selection} for choosing anything."
              for training, selection in sorted(labels)]
    seen = list(dict.fromkeys(rows[rows["saw_query_clips"]]["method"]))
    if seen:
        lines.append(f"Transductive: query clips were in the pre-training pool, without labels, for {', '.join(seen)}.")
    settings = [run["settings"] for run in runs if "settings" in run]
    keys = dict.fromkeys(key for setting in settings for key in setting)
    mixed = [key for key in keys if any(setting.get(key) != settings[0].get(key) for setting in settings)]
    if mixed:
        lines.append(f"Not like for like: these runs differ in {', '.join(mixed)}.")
    return lines


def _legend(table):
    lines = [
        "Accuracy: share of query clips whose class is right. Unshared sources: only queries whose original "
        "recording is in no support clip of the episode.",
        "[low, high]: 95 % interval (Student's t) over support draws for the fixed encoder and group. It covers the "
        "luck of the support draw, not new clips, another pre-training seed or another group; no width means that "
        "every draw gave the same number. With several seeds, a draw that they share is averaged over them first, "
        "and the lowest and highest seed stand apart. (One run) marks a single draw with its binomial (Wilson) "
        "interval.",
        "Paired differences are taken on the same support draws, so the luck of the draw cancels. About one 95 % "
        "interval in twenty excludes zero by chance alone; read many comparisons with that in mind.",
        "Chance is 1 / n_way.",
    ]
    if table["saw_query_clips"].any():
        lines.append("Saw query clips: the pre-training pool held the query clips, unlabelled (transductive, as in the "
                     "paper); accuracy on clips it has never heard may be lower.")
    if (table["preset"] == "quick").any():
        lines.append("Preset quick is small and short: its numbers are never compared with the paper's.")
    return lines
