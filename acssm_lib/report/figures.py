"""The figures of a report, drawn for up to a dozen methods and ten groups: ``draw`` writes them all.

In every figure of accuracies a filled marker is fine-tuned, a white one frozen with logistic regression, and a method
keeps the colour of ``plots.METHOD_COLOURS``.
"""

import hashlib
import math

import numpy as np

from acssm_lib import plots
from acssm_lib.names import SHUFFLED, STATISTICS
from acssm_lib.report.readings import method_rank
from acssm_lib.text import in_figure, many, safe_name

_NAMES = {"finetuned": "fine-tuned", "logistic": "frozen, logistic regression"}
_MARKERS = "osD^vPX*<>ph"
_GRID = "#E4E4E4"
_INK = "#222222"
_LABEL = 28  # characters of a name in a figure


def draw(block, out):
    """Accuracy, paired differences, accuracy against shots, cost against accuracy, and confusion matrices.

    Args:
        block: a ``results.Block``.
        out: folder.
    Returns:
        Paths of the figures that the records of the block suffice for.
    """
    block, own_name = block.written_for(_label), block.name
    synthetic = ", synthetic recordings" if any(run.get("synthetic") for run in block.runs) else ""
    where = block.title + synthetic
    found = [
        _accuracy(block, where),
        _differences(block, where),
        _shots(block, block.setting + synthetic),
        _cost(block, where),
        *_confusions(block, where),
    ]
    return [plots.save(fig, out / f"{safe_name(f'{own_name}_{name}')}.png") for name, fig in filter(None, found)]


def _label(name):
    """A name short enough for a figure; what is cut leaves four digits, so that two names stay two."""
    own = name.removesuffix(SHUFFLED)
    cut = own if len(own) <= _LABEL else f"{own[: _LABEL - 5]}…{hashlib.sha256(own.encode()).hexdigest()[:4]}"
    return in_figure(cut + name[len(own) :])


def _colour(method):
    return plots.METHOD_COLOURS.get(method.removesuffix(SHUFFLED), plots.OTHER_COLOUR)


def _short(method):
    return method.replace(SHUFFLED, ", shuffled")


def _methods(frames):
    return sorted({method for frame in frames for method in frame["method"]}, key=method_rank)


def _rows(ax, labels):
    """One row of marks per label, first on top."""
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.grid(axis="x", color=_GRID, linewidth=0.8)
    ax.set_axisbelow(True)


def _accuracy(block, where):
    """One panel per group and one for their average; a row per method."""
    tables = {name: block.tables[name] for name in _NAMES if name in block.tables}
    if not tables:
        return None
    methods = _methods(tables.values())
    plain = [method for method in methods if not method.endswith(SHUFFLED)]
    groups = list(dict.fromkeys(run["group"] for run in block.runs))
    panels = groups + (["average"] if len(groups) > 1 else [])
    columns = min(len(panels), 6)
    lines = math.ceil(len(panels) / columns)
    fig, axes = plots.canvas(max(7.5, 2.6 + 1.9 * columns), lines * (1.0 + 0.3 * len(plain)) + 0.9, lines, columns)
    axes = np.atleast_1d(axes).flat
    for place, ax in enumerate(axes):
        if place >= len(panels):
            ax.set_axis_off()
            continue
        name = panels[place]
        for readout, table in tables.items():
            frame = block.averages[readout] if name == "average" else table[table["group"] == name]
            for row in frame.itertuples():
                shown = _shown(row.method, readout, tables)
                if shown and (name != "average" or row.n_groups == len(groups)):
                    _dot(ax, row, plain.index(row.method.removesuffix(SHUFFLED)), shown)
        _rows(ax, plain)
        ax.axvline(100 / block.runs[0]["n_way"], color=_INK, linestyle="--", linewidth=1.1, zorder=1)
        plots.dress(ax, name, "Accuracy (%)", "")
        ax.set_xlim(0, 102)
        ax.tick_params(axis="y", length=0, labelleft=place % columns == 0)
    marks = {
        (_shown(row.method, readout, tables), row.shuffled)
        for readout, table in tables.items()
        for row in table.itertuples()
    } - {(None, False), (None, True)}
    for key in sorted(marks, key=lambda key: (key[1], key[0])):
        fig.axes[0].plot([], [], **_mark(_INK, *key), linestyle="", label=_NAMES[key[0]] + SHUFFLED * key[1])
    fig.legend(loc="outside lower left", frameon=False, fontsize=8.5, ncols=2)
    fig.suptitle(f"Accuracy and 95 % interval; dashed: chance\n({where})", x=0.01, ha="left", fontsize=10.5, color=_INK)
    return "accuracy", fig


def _shown(method, readout, tables):
    """The readout a mark stands for: statistics are never fine-tuned, and are drawn once."""
    if method.removesuffix(SHUFFLED) not in STATISTICS or readout == "logistic":
        return readout
    return None if "logistic" in tables else "logistic"


def _mark(colour, readout, shuffled):
    """Circles for fine-tuned, squares for frozen; crosses for the same with shuffled frames."""
    tuned = readout == "finetuned"
    return {
        "marker": ("x" if tuned else "+") if shuffled else "o" if tuned else "s",
        "color": colour,
        "markersize": 6 if shuffled else 5.5,
        "markerfacecolor": colour if tuned else "white",
        "markeredgewidth": 1.4,
    }


def _dot(ax, row, y, readout):
    shuffled, shift = row.method.endswith(SHUFFLED), -0.16 if readout == "finetuned" else 0.16
    half = None if shuffled or math.isnan(row.accuracy_half) else 100 * row.accuracy_half
    ax.errorbar(
        100 * row.accuracy,
        y + shift,
        xerr=half,
        elinewidth=1.6,
        linestyle="",
        **_mark(_colour(row.method), readout, shuffled),
    )


def _differences(block, where):
    """One row per comparison over all groups and seeds, with the single groups as ticks."""
    frame = block.overall
    if not len(frame):
        return None
    readouts = [name for name in _NAMES if (frame["readout"] == name).any()]
    if frame["half"].isna().all():
        return "differences", _forests(block, readouts, where)
    pairs = list(dict.fromkeys(zip(frame["method"], frame["baseline"])))
    fig, axes = plots.canvas(4.2 + 3.6 * len(readouts), 1.4 + 0.27 * len(pairs), 1, len(readouts))
    columns = ["difference", "low", "high"]
    reach = np.nanmax(np.abs(np.concatenate([frame[columns], block.differences[columns[:1] * 3]]).astype(float)))
    for place, (ax, readout) in enumerate(zip(np.atleast_1d(axes).flat, readouts)):
        for row in frame[frame["readout"] == readout].itertuples():
            y, colour = pairs.index((row.method, row.baseline)), _colour(row.method)
            own = block.differences.query("readout == @readout and method == @row.method and baseline == @row.baseline")
            ax.plot(100 * own["difference"], np.full(len(own), y), "|", color=colour, alpha=0.5, markersize=8)
            clear = not math.isnan(row.half) and abs(row.difference) > row.half
            ax.errorbar(
                100 * row.difference,
                y,
                xerr=None if math.isnan(row.half) else 100 * row.half,
                fmt="o",
                color=colour,
                elinewidth=2,
                markersize=6.5,
                markerfacecolor=colour if clear else "white",
                markeredgewidth=1.5,
            )
        _rows(ax, [f"{_short(method)} − {_short(baseline)}" for method, baseline in pairs])
        ax.axvline(0, color=_INK, linewidth=1, zorder=1)
        plots.dress(ax, _NAMES[readout], "Paired difference (points)", "")
        ax.set_xlim(-108 * max(reach, 0.02), 108 * max(reach, 0.02))
        ax.tick_params(axis="y", length=0, labelleft=place == 0)
    fig.suptitle(
        f"Differences over groups and seeds, 95 % interval; full: excludes zero; ticks: groups\n({where})",
        x=0.01,
        ha="left",
        fontsize=10.5,
        color=_INK,
    )
    return "differences", fig


def _forests(block, readouts, where):
    """The groups one by one, over their support draws, where there are too few of them for an average."""
    frames = [block.differences[block.differences["readout"] == readout] for readout in readouts]
    fig, axes = plots.canvas(7.5 * len(frames), 0.5 + max(map(forest_height, frames)), 1, len(frames))
    for ax, frame, readout in zip(np.atleast_1d(axes).flat, frames, readouts):
        forest(frame, ax, _NAMES[readout])
    fig.suptitle(
        f"Differences over support draws, 95 % interval; full: excludes zero\n({where})",
        x=0.01,
        ha="left",
        fontsize=10.5,
        color=_INK,
    )
    return fig


def _shots(block, where):
    """Accuracy of the frozen readout against labelled clips per class."""
    frame = block.curve
    if not len(frame) or frame["n_shot"].nunique() < 2:
        return None
    methods = _methods([frame])
    fig, ax = plots.canvas(8.0, max(4.4, 1.2 + 0.2 * len(methods)))
    groups = frame["n_groups"].max()
    for rank, method in enumerate(methods):
        rows = frame[(frame["method"] == method) & (frame["n_groups"] == groups)].sort_values("n_shot")
        x = rows["n_shot"] * 1.025 ** (rank - (len(methods) - 1) / 2)  # side by side, so that intervals do not hide
        ax.errorbar(
            x,
            100 * rows["accuracy"],
            yerr=100 * rows["accuracy_half"].fillna(0),
            label=method,
            linewidth=1.4,
            color=_colour(method),
            fmt=f"{_MARKERS[rank % 12]}-",
            markersize=5,
            elinewidth=0.9,
        )
    ax.axhline(100 / block.runs[0]["n_way"], color=_INK, linestyle="--", linewidth=1.1, label="chance")
    ax.set_xscale("log")
    ticks = sorted(frame["n_shot"].unique())
    ax.set_xticks(ticks, ticks)
    ax.minorticks_off()
    ax.grid(axis="y", color=_GRID, linewidth=0.8)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=9)
    plots.dress(
        ax,
        f"Frozen encoders, logistic regression, mean of {many(groups, 'group')}\n({where})",
        "Labelled clips per class",
        "Accuracy (%)",
    )
    return "shots", fig


def _cost(block, where):
    """Accuracy against the seconds of one run, and against trainable values."""
    frames = {name: block.averages[name] for name in _NAMES if name in block.averages}
    if not frames:
        return None
    methods = [method for method in _methods(frames.values()) if not method.endswith(SHUFFLED)]
    fig, axes = plots.canvas(10.5, max(4.2, 1.2 + 0.2 * len(methods)), 1, 2)
    axes = list(axes.flat)
    groups, named = max(frame["n_groups"].max() for frame in frames.values()), set()
    for readout, frame in frames.items():
        for row in frame[(frame["n_groups"] == groups) & frame["method"].isin(methods)].itertuples():
            shown, table = _shown(row.method, readout, frames), block.tables[readout]
            if shown is None:
                continue
            own = table[table["method"] == row.method]
            seconds = own["pretraining_seconds"].mean()
            seconds += own["finetuning_seconds"].mean() if shown == "finetuned" else 0
            rank = methods.index(row.method)
            for ax, x in zip(axes, (max(seconds, 1), max(own["parameters"].mean(), 1e3))):
                ax.plot(
                    x,
                    100 * row.accuracy,
                    _MARKERS[rank % 12],
                    color=_colour(row.method),
                    markersize=8,
                    markerfacecolor=_colour(row.method) if shown == "finetuned" else "white",
                    markeredgewidth=1.6,
                    label=None if ax is axes[0] or row.method in named else row.method,
                )
            named.add(row.method)
    for ax, title, label in zip(
        axes,
        ("Time", "Size"),
        ("Pre-training and fine-tuning one draw (s; at least 1)", "Trainable values (at least 1,000)"),
    ):
        ax.set_xscale("log")
        ax.grid(color=_GRID, linewidth=0.8)
        plots.dress(ax, title, label, "Accuracy (%)")
    axes[1].legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=9)
    fig.suptitle(
        f"Cost against accuracy; full: fine-tuned, white: frozen, logistic regression\n({where})",
        x=0.01,
        ha="left",
        fontsize=10.5,
        color=_INK,
    )
    return "cost", fig


def _confusions(block, where):
    """Counts by class: one figure where it fits a page, else one per group."""
    sums = {}
    for run in block.runs:
        if "confusion" in run:
            key = run["group"], run["method"]
            sums[key] = sums.get(key, 0) + np.array(run["confusion"])
    classes = {run["group"]: run["classes"] for run in block.runs}
    methods = sorted({method for _, method in sums}, key=method_rank)
    groups = [group for group in classes if any(key[0] == group for key in sums)]
    if not sums:
        return
    together = len(methods) <= 6 and len(groups) <= 3
    for page in [groups] if together else [[group] for group in groups]:
        columns = len(methods) if together else min(5, len(methods))
        cells = [(group, method) for group in page for method in methods]
        lines = math.ceil(len(cells) / columns)
        fig, axes = plots.canvas(2.0 + 2.2 * columns, 2.5 * lines + 0.4, lines, columns)
        for place, ax in enumerate(np.atleast_1d(axes).flat):
            if place >= len(cells) or cells[place] not in sums:
                ax.set_axis_off()
                if place < len(cells):
                    ax.set_title(f"{', '.join(cells[place])}: no run", loc="left", fontsize=10)
                continue
            group, method = cells[place]
            plots.confusion(sums[group, method], classes[group], ax, f"{group}, {method}", colour_bar=False)
            ax.set(xticks=[], xlabel="Predicted, same order")
            if place % columns:  # the rows are named once
                ax.set(yticks=[], ylabel="")
        fig.suptitle(f"Queries by class, all draws and seeds\n({where})", x=0.01, ha="left", fontsize=10.5, color=_INK)
        yield ("confusion" if together else f"{page[0]}_confusion"), fig


def accuracy_dots(table, ax=None, title=None):
    """Accuracy per group, one dot per method with its interval, and the chance line.

    Args:
        table: rows of ``results.comparison_table`` of one data set and preset.
    """
    groups, methods = list(dict.fromkeys(table["group"])), list(dict.fromkeys(table["method"]))
    ax = plots.axis_for(ax, max(6.4, 1.5 + 1.1 * len(groups)), 3.8)
    for rank, method in enumerate(methods):
        rows = table[table["method"] == method]
        x = np.array([groups.index(group) for group in rows["group"]]) + 0.16 * (rank - (len(methods) - 1) / 2)
        error = np.abs(rows[["accuracy_low", "accuracy_high"]].to_numpy(float).T - rows["accuracy"].to_numpy())
        colour = plots.METHOD_COLOURS.get(method, plots.OTHER_COLOUR)
        style = {"fmt": _MARKERS[rank % 8], "markersize": 7, "color": colour, "elinewidth": 1.6}
        ax.errorbar(x, rows["accuracy"], yerr=error, label=method, **style)
    for height in sorted(set(table["chance"])):
        ax.axhline(height, color=_INK, linestyle="--", linewidth=1.2, zorder=1, label=f"chance ({height:.2g})")
    ax.set_xticks(range(len(groups)), groups)
    ax.set_xlim(-0.6, len(groups) - 0.4)
    ax.set_ylim(0, 1.02)
    ax.grid(axis="y", color=_GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
    return plots.dress(
        ax, title, "Group (five classes each)" if set(table["n_way"]) == {5} else "Group", "Accuracy (share of queries)"
    )


def forest(differences, ax=None, title=None):
    """Paired differences with their intervals, one block per comparison; full dots exclude zero.

    Args:
        differences: rows of ``results.paired_differences`` of one data set and preset.
    """
    blocks = differences.groupby(["method", "baseline"], sort=False)
    ax = plots.axis_for(ax, 7.0, forest_height(differences))
    ticks, y = [], 0
    for (method, baseline), rows in blocks:
        ticks.append((y, f"{method} − {baseline}", "bold"))
        for row in rows.itertuples():
            y += 1
            ticks.append((y, row.group, "normal"))
            colour = plots.METHOD_COLOURS.get(method, plots.OTHER_COLOUR)
            ax.plot([row.low, row.high], [y, y], color=colour, linewidth=2.2, solid_capstyle="butt")
            inside = colour if row.low > 0 or row.high < 0 else "white"
            ax.plot(row.difference, y, "o", markersize=7, color=colour, markeredgewidth=1.6, markerfacecolor=inside)
        y += 1.5
    ax.axvline(0, color=_INK, linewidth=1, zorder=1)
    ax.set_yticks([tick[0] for tick in ticks], [tick[1] for tick in ticks])
    for text, tick in zip(ax.get_yticklabels(), ticks):
        text.set_fontweight(tick[2])
    ax.set_ylim(y - 0.8, -0.8)
    reach = np.nanmax(np.abs(differences[["difference", "low", "high"]].to_numpy(float)), initial=0.05)
    ax.set_xlim(-1.08 * reach, 1.08 * reach)
    ax.grid(axis="x", color=_GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    fig, ax = plots.dress(ax, title, "Paired difference in accuracy (share of queries)", "")
    ax.tick_params(axis="y", length=0)
    return fig, ax


def forest_height(differences):
    """Inches that ``forest`` needs, for callers who bring their own axis."""
    return 1.0 + 0.26 * (len(differences) + 1.5 * len(differences.groupby(["method", "baseline"])))
