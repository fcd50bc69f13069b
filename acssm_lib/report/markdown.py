"""The tables of a report as markdown, laid out as the paper's: methods as rows, groups and their average as columns."""

import math

from acssm_lib.names import EMBEDDER_NAMES, READOUTS, STATISTICS
from acssm_lib.report import paper as paper_tables
from acssm_lib.report.blocks import blocks, groups_of
from acssm_lib.report.claims import interval
from acssm_lib.report.readings import method_rank


def plus_minus(mean, half, sign=""):
    """Shares as percent or points: "78.0 ± 2.1", the mean alone without a width, a dash without a value."""
    if math.isnan(mean):
        return "–"
    text = f"{round(100 * mean, 1) + 0.0:{sign}.1f}".replace("-", "−")  # + 0.0: no minus zero
    return text if math.isnan(half) else f"{text} ± {100 * half:.1f}"


def row_name(method, readout):
    """A method's name in the table of a readout: what its encoder is there."""
    name, comma, control = method.partition(", ")
    if name == "supervised":
        name = "supervised (random encoder, fine-tuned)" if readout == "finetuned" else "random encoder, frozen"
    if name in STATISTICS and readout == "finetuned":
        name = f"{name} (logistic regression)"
    return name + comma + control


def _markdown_table(header, rows):
    """Lines of a markdown table, first column to the left, all others to the right."""
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]


def accuracy_table(block, readout, kind="accuracy"):
    """Mean ± half width per method and group, and over the groups; then seeds, draws and clips behind them.

    Args:
        block: a ``results.Block``.
        readout: key of its tables.
        kind: "accuracy", or "unshared" for queries whose recording is in no support.
    Returns:
        Lines of markdown.
    """
    groups, table = groups_of(block), block.tables[readout]
    averages = block.averages[readout].set_index("method")
    many = len(groups) > 1
    ending = ["seeds' averages", "seeds", "E", "n"]
    chance = f"{100 * table['chance'].iloc[0]:.1f}"
    rows = [["chance", *[chance] * (len(groups) + many), "", "", "", ""]]
    for method in sorted(set(table["method"]), key=method_rank):
        own = table[table["method"] == method].set_index("group")
        cells = []
        for group in groups:
            cell = own.loc[group] if group in own.index else None
            text = "–" if cell is None else plus_minus(cell[kind], cell[f"{kind}_half"])
            cells.append(text + (" *" if cell is not None and cell["n_draws"] == 1 else ""))
        average = averages.loc[method]
        if many:
            cells.append(
                plus_minus(average[kind], average[f"{kind}_half"])
                if average["n_groups"] == len(groups)
                else f"– ({average['n_groups']} of {len(groups)})"
            )
        low, high = average[f"{kind}_seed_low"], average[f"{kind}_seed_high"]
        seed_range = "–" if math.isnan(low) else f"{100 * low:.1f}–{100 * high:.1f}"
        rows.append(
            [
                row_name(method, readout),
                *cells,
                seed_range,
                average["seeds"].replace(",", ", "),
                _range(own["n_draws"]),
                _range(own[f"{kind}_n_query"].round()),
            ]
        )
    return _markdown_table(["method", *groups, *(["average"] if many else []), *ending], rows)


def _range(values):
    values = values.dropna()
    if not len(values):
        return "–"
    low, high = values.min(), values.max()
    return f"{low:.0f}" if low == high else f"{low:.0f}–{high:.0f}"


def difference_table(block, readout):
    """Points by which a method is ahead, per group over draws and over all groups and seeds; bold excludes zero."""
    groups = groups_of(block)
    single = block.differences[block.differences["readout"] == readout].set_index(["method", "baseline", "group"])
    rows = []
    for row in block.overall[block.overall["readout"] == readout].itertuples():
        cells = []
        for group in groups:
            key = row.method, row.baseline, group
            cells.append(_difference(*single.loc[key, ["difference", "half"]]) if key in single.index else "–")
        p = "–" if math.isnan(row.holm_p) else f"{row.holm_p:.3f}" if row.holm_p >= 0.001 else "<0.001"
        rows.append([f"{row.method} − {row.baseline}", *cells, _difference(row.difference, row.half), row.n_cells, p])
    return _markdown_table(["difference (points)", *groups, "groups and seeds", "cells", "Holm p"], rows)


def _difference(mean, half):
    text = plus_minus(mean, half, "+")
    return f"**{text}**" if abs(mean) > half else text


def paper_comparison(block):
    """Ours beside Tables I and II, or the reason why the paper's numbers are no measure for ours.

    Source: Liang, Meyer, Lee and Do, Tables I and II; the intervals and notes are ours.
    """
    block = _of_its_groups(block)
    ran = {run["method"] for run in block.runs}
    names = {name: method for rows in paper_tables.TABLES.values() for name, method in rows.items() if method in ran}
    if not names:
        return []
    if any(run.get("synthetic") for run in block.runs):
        frogs = ", ".join(
            f"{name} {100 * paper_tables.ROWS[name].frogs:.1f}" for name in names if paper_tables.ROWS[name].frogs
        )
        return [
            f"On its frog recordings the paper reports {frogs or 'none of the methods run here'} (percent, of 140 "
            "clips). Those are real calls and not public; ours are synthetic, so the two are not comparable."
        ]
    why = [
        reason
        for applies, reason in (
            (
                block.dataset != "esc50" or not set(groups_of(block)) <= set(paper_tables.GROUPS),
                "other groups of classes",
            ),
            (block.preset != "paper", f"preset {block.preset} instead of the published settings"),
            (block.protocol != "transductive", "query clips kept from the pre-training"),
        )
        if applies
    ]
    if why:
        known = ", ".join(f"{name} {100 * paper_tables.ROWS[name].average:.1f}" for name in names)
        return [
            f"For context only: the paper's averages over its ten groups of ESC-50 are {known} (percent). They are "
            f"not comparable with ours: {'; '.join(why)}."
        ]
    lines = []
    for title, rows in paper_tables.TABLES.items():
        own = [(name, method) for name, method in rows.items() if method in ran]
        if own:
            lines += [
                f"**{title}, beside ours** (percent; ours with the interval over draws, and over groups and "
                "seeds for the average; the paper's with the binomial interval of one run)",
                "",
            ]
            lines += _markdown_table(
                ["", "", *groups_of(block), "average"],
                [line for name, method in own for line in _beside(block, name, method)],
            )
            lines += ["", *(f"- {name}: {paper_tables.NOTES[name]}" for name, _ in own)]
        missing = [name for name, method in rows.items() if method not in ran]
        lines += ([f"- Not run here: {', '.join(missing)}."] if missing else []) + [""]
    return lines + [
        "Consistent means that the two intervals overlap, no more. The paper gives no interval, number of "
        "runs or test size; an average above or below its own is not evidence that one method beats "
        "another."
    ]


def _of_its_groups(block):
    """The block without groups that the paper does not have, where others of its runs are of groups that it has."""
    runs = [run for run in block.runs if run["group"] in paper_tables.GROUPS]
    return block if len(runs) in (0, len(block.runs)) else blocks(runs, [])[0]


def _beside(block, name, method):
    """Rows of one method: the paper's, then ours and the gap for each readout to set beside it."""
    groups, row = groups_of(block), paper_tables.ROWS[name]
    places = [paper_tables.GROUPS.index(group) for group in groups]
    whole = len(groups) == len(paper_tables.GROUPS)
    theirs = [
        (row.accuracies[place], paper_tables.binomial_interval(row.accuracies[place], row.n_test or 175))
        for place in places
    ] + [(row.average, paper_tables.average_interval(name))]
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
    (mean, low, high), (paper, (paper_low, paper_high)) = ours, theirs
    if math.isnan(mean):
        return "–"
    verdict = (
        "no interval" if math.isnan(low) else ("consistent" if low <= paper_high and paper_low <= high else "apart")
    )
    return f"{plus_minus(mean - paper, math.nan, '+')}, {verdict}"


def protocol_tables(blocks):
    """Averages under each protocol side by side, where a data set, preset and number of shots has several."""
    together = {}
    for block in blocks:
        together.setdefault((block.dataset, block.preset, block.n_shot, block.variant), []).append(block)
    lines = []
    for (dataset, preset, n_shot, variant), own in together.items():
        if len(own) < 2:
            continue
        columns = [
            (block, readout) for readout in ("finetuned", "logistic") for block in own if readout in block.averages
        ]
        methods = sorted(
            {
                method
                for block, readout in columns
                for method in block.averages[readout]["method"]
                if ", " not in method
            },
            key=method_rank,
        )
        rows = []
        for method in methods:
            cells = [block.averages[readout].set_index("method") for block, readout in columns]
            rows.append(
                [
                    method,
                    *(
                        "–"
                        if method not in cell.index
                        else plus_minus(cell.loc[method, "accuracy"], cell.loc[method, "accuracy_half"])
                        + _share(cell.loc[method], block)
                        for cell, (block, _) in zip(cells, columns)
                    ),
                ]
            )
        settings = f", with {variant}" if variant else ""
        lines += [f"**{dataset}, preset {preset}, {n_shot} shots{settings}**, averages over groups (percent)", ""]
        lines += _markdown_table(
            ["method", *(f"{block.protocol}, {READOUTS[readout].split(',')[0].lower()}" for block, readout in columns)],
            rows,
        )
        pools = {block.protocol: sorted({run["pretraining"]["clips"] for run in block.runs} - {0}) for block in own}
        if len({tuple(sizes) for sizes in pools.values()}) > 1:
            sizes = "; ".join(f"{name} {', '.join(map(str, clips)) or 'none'}" for name, clips in pools.items())
            lines += [
                "",
                f"The pools differ in size (clips: {sizes}), and a smaller pool is a handicap of its own; "
                "`--set pool_size=N` makes them equal.",
            ]
        lines += [""]
    return lines


def _share(average, block):
    n_groups = len(groups_of(block))
    return "" if average["n_groups"] == n_groups else f" ({average['n_groups']} of {n_groups} groups)"
