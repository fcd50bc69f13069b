"""The tables of a report as markdown, laid out as the paper's: methods as rows, groups and their average as columns."""

import math

from acssm_lib.names import READOUTS, SHUFFLED, STATISTICS
from acssm_lib.report.blocks import groups_of
from acssm_lib.report.readings import method_rank


def plus_minus(mean, half, sign=""):
    """Shares as percent or points: "78.0 ± 2.1", the mean alone without a width, a dash without a value."""
    if math.isnan(mean):
        return "–"
    text = f"{round(100 * mean, 1) + 0.0:{sign}.1f}".replace("-", "−")  # + 0.0: no minus zero
    return text if math.isnan(half) else f"{text} ± {100 * half:.1f}"


def row_name(method, readout):
    """A method's name in the table of a readout: what its encoder is there."""
    name = method.removesuffix(SHUFFLED)
    control = method[len(name) :]
    if name == "supervised":
        name = "supervised (random encoder, fine-tuned)" if readout == "finetuned" else "random encoder, frozen"
    if name in STATISTICS and readout == "finetuned":
        name = f"{name} (logistic regression)"
    return name + control


def markdown_table(header, rows):
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
    return markdown_table(["method", *groups, *(["average"] if many else []), *ending], rows)


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
    return markdown_table(["difference (points)", *groups, "groups and seeds", "cells", "Holm p"], rows)


def _difference(mean, half):
    text = plus_minus(mean, half, "+")
    return f"**{text}**" if abs(mean) > half else text


def protocol_tables(blocks):
    """Averages under each protocol side by side, where a data set, preset and number of shots has several."""
    together = {}
    for block in blocks:
        together.setdefault((block.dataset, block.preset, block.n_shot, block.variant), []).append(block)
    lines = []
    for (dataset, preset, n_shot, variant), own in together.items():
        if len(own) > 1:
            settings = f", with {variant}" if variant else ""
            title = f"**{dataset}, preset {preset}, {n_shot} shots{settings}**, averages over groups (percent)"
            lines += [title, "", *_side_by_side(own), *_unlike_pools(own), ""]
    return lines


def _side_by_side(own):
    """The table of blocks that differ in their protocol: a row per method, a column per readout and protocol."""
    columns = [(block, readout) for readout in ("finetuned", "logistic") for block in own if readout in block.averages]
    averages = [block.averages[readout].set_index("method") for block, readout in columns]
    methods = {method for average in averages for method in average.index if not method.endswith(SHUFFLED)}
    rows = [
        [
            method,
            *(
                plus_minus(average.loc[method, "accuracy"], average.loc[method, "accuracy_half"])
                + _share(average.loc[method], block)
                if method in average.index
                else "–"
                for average, (block, _) in zip(averages, columns)
            ),
        ]
        for method in sorted(methods, key=method_rank)
    ]
    titles = (f"{block.protocol}, {READOUTS[readout].split(',')[0].lower()}" for block, readout in columns)
    return markdown_table(["method", *titles], rows)


def _unlike_pools(own):
    """A sentence on pools that differ in size, if they do."""
    pools = {block.protocol: sorted({run["pretraining"]["clips"] for run in block.runs} - {0}) for block in own}
    if len({tuple(sizes) for sizes in pools.values()}) < 2:
        return []
    sizes = "; ".join(f"{name} {', '.join(map(str, clips)) or 'none'}" for name, clips in pools.items())
    return [
        "",
        f"The pools differ in size (clips: {sizes}), and a smaller pool is a handicap of its own; "
        "`--set pool_size=N` makes them equal.",
    ]


def _share(average, block):
    n_groups = len(groups_of(block))
    return "" if average["n_groups"] == n_groups else f" ({average['n_groups']} of {n_groups} groups)"
