"""A report's own results beside Tables I and II of the paper, or the reason why its numbers are no measure for them.

Source: Liang, Meyer, Lee and Do, Tables I and II; the intervals and notes are ours.
"""

import math

from acssm_lib.names import EMBEDDER_NAMES, READOUTS
from acssm_lib.report import paper
from acssm_lib.report.blocks import blocks, groups_of
from acssm_lib.report.claims import interval
from acssm_lib.report.markdown import markdown_table, plus_minus


def paper_comparison(block):
    """Lines of markdown; none where no method of the paper has run."""
    block = _of_its_groups(block)
    ran = {run["method"] for run in block.runs}
    names = {name: method for rows in paper.TABLES.values() for name, method in rows.items() if method in ran}
    if not names:
        return []
    if any(run.get("synthetic") for run in block.runs):
        frogs = ", ".join(f"{name} {100 * paper.ROWS[name].frogs:.1f}" for name in names if paper.ROWS[name].frogs)
        return [
            f"On its frog recordings the paper reports {frogs or 'none of the methods run here'} (percent, of 140 "
            "clips). Those are real calls and not public; ours are synthetic, so the two are not comparable."
        ]
    if why := _differs(block):
        known = ", ".join(f"{name} {100 * paper.ROWS[name].average:.1f}" for name in names)
        return [
            f"For context only: the paper's averages over its ten groups of ESC-50 are {known} (percent). They are "
            f"not comparable with ours: {'; '.join(why)}."
        ]
    return [line for title, rows in paper.TABLES.items() for line in _table(block, title, rows, ran)] + [
        "Consistent means that the two intervals overlap, no more. The paper gives no interval, number of "
        "runs or test size; an average above or below its own is not evidence that one method beats "
        "another."
    ]


def _differs(block):
    """What the runs of a block do otherwise than the paper, in words."""
    other_groups = block.dataset != "esc50" or not set(groups_of(block)) <= set(paper.GROUPS)
    return (
        ["other groups of classes"] * other_groups
        + [f"preset {block.preset} instead of the published settings"] * (block.preset != "paper")
        + ["query clips kept from the pre-training"] * (block.protocol != "transductive")
    )


def _table(block, title, rows, ran):
    """One table of the paper, its rows that have run beside ours."""
    lines, own = [], [(name, method) for name, method in rows.items() if method in ran]
    if own:
        lines += [
            f"**{title}, beside ours** (percent; ours with the interval over draws, and over groups and "
            "seeds for the average; the paper's with the binomial interval of one run)",
            "",
        ]
        lines += markdown_table(
            ["", "", *groups_of(block), "average"],
            [line for name, method in own for line in _beside(block, name, method)],
        )
        lines += ["", *(f"- {name}: {paper.NOTES[name]}" for name, _ in own)]
    missing = [name for name, method in rows.items() if method not in ran]
    return lines + ([f"- Not run here: {', '.join(missing)}."] if missing else []) + [""]


def _of_its_groups(block):
    """The block without groups that the paper does not have, where others of its runs are of groups that it has."""
    runs = [run for run in block.runs if run["group"] in paper.GROUPS]
    return block if len(runs) in (0, len(block.runs)) else blocks(runs, [])[0]


def _beside(block, name, method):
    """Rows of one method: the paper's, then ours and the gap for each readout to set beside it."""
    groups, row = groups_of(block), paper.ROWS[name]
    places = [paper.GROUPS.index(group) for group in groups]
    whole = len(groups) == len(paper.GROUPS)
    theirs = [
        (row.accuracies[place], paper.binomial_interval(row.accuracies[place], row.n_test or 175)) for place in places
    ] + [(row.average, paper.average_interval(name))]
    lines = [[name, "paper", *(interval(mean, *ends) for mean, ends in theirs)]]
    for readout in ("finetuned", "logistic") if method in EMBEDDER_NAMES else ("finetuned",):
        table = block.tables.get(readout)
        if table is None or method not in set(table["method"]):
            continue
        own = table[table["method"] == method].set_index("group")
        average = block.averages[readout].set_index("method").loc[method]
        ours = [
            (own.loc[group, "accuracy"], own.loc[group, "accuracy_low"], own.loc[group, "accuracy_high"])
            if group in own.index
            else (math.nan,) * 3
            for group in groups
        ]
        ours += [
            (average["accuracy"], average["accuracy_low"], average["accuracy_high"])
            if whole and average["n_groups"] == len(groups)
            else (math.nan,) * 3
        ]
        label = READOUTS[readout].lower()
        lines += [
            ["", f"ours, {label}", *(plus_minus(mean, (high - low) / 2) for mean, low, high in ours)],
            ["", "ours − paper", *(_gap(our, their) for our, their in zip(ours, theirs))],
        ]
    return lines


def _gap(ours, theirs):
    (mean, low, high), (published, (published_low, published_high)) = ours, theirs
    if math.isnan(mean):
        return "–"
    verdict = (
        "no interval"
        if math.isnan(low)
        else ("consistent" if low <= published_high and published_low <= high else "apart")
    )
    return f"{plus_minus(mean - published, math.nan, '+')}, {verdict}"
