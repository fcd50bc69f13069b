"""The words of a report: every sentence about a result follows from the tables' numbers."""

import math

import numpy as np

from acssm_lib.names import EMBEDDER_NAMES, METHOD_NAMES, PROTOCOLS, READOUTS, STATISTICS
from acssm_lib.presets import in_todays_words
from acssm_lib.report import markdown
from acssm_lib.report.beside_paper import paper_comparison
from acssm_lib.report.blocks import groups_of
from acssm_lib.report.claims import conclusion, interval
from acssm_lib.report.markdown import plus_minus
from acssm_lib.report.readings import method_rank
from acssm_lib.text import in_markdown

_POOL = {
    "transductive": "Transductive, as in the paper: the clips that are asked were in the pre-training pool, without "
    "their labels",
    "inductive-clip": "Inductive by clip: the clips that are asked were kept out of the pre-training pool",
    "inductive-recording": "Inductive by recording: the clips that are asked, and all others cut from their "
    "recordings, were kept out of pre-training and support",
}


def page(blocks, problems):
    """The whole report.

    Args:
        blocks: list of ``results.Block``.
        problems: one sentence each, from ``results.read_runs`` and refused pairs.
    Returns:
        text.
    """
    lines = [
        "# Results",
        "",
        "All accuracies are percent of the queries, all differences points. ± is half of a 95 % "
        "interval; what it covers stands at the end.",
        "",
    ]
    blocks = [block.written_for(in_markdown) for block in blocks]
    for block in blocks:
        lines += _block(block, blocks)
    side = markdown.protocol_tables(blocks)
    lines += ["## Protocols side by side", "", *side] if side else []
    lines += ["## Unfinished or left out", "", *(_bullets(map(in_markdown, problems)) or ["Nothing."]), ""]
    return "\n".join([*lines, "## How to read these numbers", "", *_bullets(_legend(blocks)), ""])


def _bullets(sentences):
    return [f"- {sentence}" for sentence in sentences]


def _block(block, blocks):
    kind = (
        "SYNTHETIC recordings: says nothing about real frogs."
        if any(run.get("synthetic") for run in block.runs)
        else "Real recordings, not synthetic."
    )
    ways = sorted({run["n_way"] for run in block.runs})
    lines = [
        f"## {block.title}",
        "",
        f"**{block.dataset}**, {' or '.join(map(str, ways))}-way {block.n_shot}-shot. {kind} {_POOL[block.protocol]}.",
        "",
        *_bullets(_opening(block)),
        "",
    ]
    for readout in block.tables:
        lines += [
            f"### {READOUTS[readout]}",
            "",
            "All queries:",
            "",
            *markdown.accuracy_table(block, readout),
            "",
            *_unshared(block, readout),
            "",
        ]
    beside = paper_comparison(block)
    lines += ["### Beside the paper", "", *beside, ""] if beside else []
    lines += ["### Paired differences", "", *(_differences(block) or ["No two of the compared methods have run."]), ""]
    lines += ["### Figures", "", *(f"![{path.stem}]({path.name})" for path in block.figures), ""]
    return lines + [
        "### Missing, and to know",
        "",
        *_bullets(_missing(block.runs) + _not_measured(block, blocks) + _account(block)),
        "",
    ]


def _opening(block):
    """What holds and what does not, before any table."""
    lines = []
    for readout in block.averages:
        lines += _ranking(block, readout)
    return lines + _findings(block) + _cautions(block)


def _findings(block):
    """The claims by what their intervals say, with the readouts that agree on it."""
    found = {}  # words of a claim -> {readout: (strength, numbers)}
    for row in block.overall.itertuples():
        words = conclusion(row.method, row.baseline, row.low, row.high)
        if not math.isnan(row.half):
            strength = 2 if words.startswith("not shown") else 0 if row.holm_p < 0.05 else 1
            found.setdefault(words.removeprefix("not shown that "), {})[row.readout] = (
                strength,
                plus_minus(row.difference, row.half, "+"),
            )
    sorted_out = {}
    for words, readouts in found.items():
        by_strength = {}
        for readout, (strength, numbers) in readouts.items():
            by_strength.setdefault(strength, []).append((readout, numbers))
        for strength, own in by_strength.items():
            names = " and ".join(READOUTS[readout].split(",")[0].lower() for readout, _ in own)
            text = f"{words}: {', '.join(numbers for _, numbers in own)}"
            sorted_out.setdefault((strength, len(own) == 1, names), []).append(text)
    if len(block.overall) and block.overall["half"].isna().all():
        return [
            "Fewer than three cells of group and pre-training seed: no interval over them, and no verdict but over "
            "the support draws of single trained encoders (below)."
        ]
    heads = ("Holds on these groups", "Suggested, but lost to Holm's correction", "Not shown either way")
    return [
        f"**{heads[strength]}, {names}.** {'; '.join(texts)}."
        for (strength, _, names), texts in sorted(sorted_out.items())
    ]


def _ranking(block, readout):
    """Who has the highest average, who is not told apart from it, and who is at chance."""
    averages = block.averages[readout]
    whole = averages[averages["n_groups"] == len(groups_of(block))]
    if not len(whole):
        return []
    name = READOUTS[readout]
    lines = []
    leader = block.leaders.get(readout)
    if leader is not None and len(leader):
        top = leader["method"].iloc[0]
        own = whole[whole["method"] == top].iloc[0]
        ahead = list(leader[leader["difference"] > leader["half"]]["baseline"])
        level = [row.baseline for row in leader.itertuples() if row.baseline not in ahead]
        words = (
            f"{name}: {markdown.row_name(top, readout)} has the highest accuracy, "
            f"{plus_minus(own['accuracy'], own['accuracy_half'])}."
        )
        if leader["half"].notna().any():
            lead = ", ".join(ahead) if level else "all others"
            words += f" Paired, it is ahead of {lead if ahead else 'none'}"
            words += f", and not told apart from {', '.join(level)}" if level else ""
            words += f". Being picked as the highest of {len(leader) + 1} flatters it."
        lines.append(words)
    table = block.tables[readout]
    low = table[~(table["accuracy_low"] > table["chance"]) & table["accuracy_half"].notna()]
    where = [
        f"{method} ({'every group' if len(own) == len(groups_of(block)) else ', '.join(own)})"
        for method, own in low.groupby("method", sort=False)["group"].apply(list).items()
    ]
    return lines + ([f"{name}: not shown to be above chance: {'; '.join(where)}."] if where else [])


def _cautions(block):
    """Sentences about what weakens every number of the block."""
    lines = []
    if len({run["seed"] for run in block.runs}) == 1:
        lines.append("One pre-training seed: nothing here says what another seed would give.")
    groups = groups_of(block)
    if len(groups) < 5:
        lines.append(f"{len(groups)} group{'s' * (len(groups) > 1)}: too few to speak of other classes.")
    gaps = []
    for readout, table in block.tables.items():
        rows = table.dropna(subset=["unshared"])
        share = 1 - rows["unshared_n_query"].sum() / rows["accuracy_n_query"].sum() if len(rows) else 0
        gap = (rows["unshared"] - rows["accuracy"]).mean()
        if share > 0:
            gaps.append(
                f"{plus_minus(gap, math.nan, '+')} points ({READOUTS[readout].lower()}, "
                f"{100 * share:.1f} % of the queries)"
            )
    lines += (
        [
            "Recordings: some queries share one with a labelled clip. Without them accuracy changes, on average over "
            f"groups and methods, by {'; '.join(gaps)}."
        ]
        if gaps
        else []
    )
    return lines


def _unshared(block, readout):
    table = block.tables[readout]
    if table["unshared"].isna().all():
        return ["Queries of unshared recordings: not measured, no query is free of shared sources."]
    if np.allclose(table["unshared_n_query"], table["accuracy_n_query"]):
        return [
            "Queries of unshared recordings: the same, no query is known to share a recording with a labelled "
            "clip (clips without a source count as recordings of their own)."
        ]
    return [
        "Only queries whose recording is in no labelled clip:",
        "",
        *markdown.accuracy_table(block, readout, "unshared"),
    ]


def _differences(block):
    """Table, count and verdicts for each readout."""
    lines = []
    for readout in ("finetuned", "logistic"):
        rows = block.overall[block.overall["readout"] == readout]
        single = block.differences[block.differences["readout"] == readout]
        if not len(rows):
            continue
        lines += [f"**{READOUTS[readout]}**", "", *markdown.difference_table(block, readout), ""]
        for frame, what in ((rows, "groups and seeds"), (single, "the draws of one group")):
            known = frame.dropna(subset=["low"])
            if len(known) > 1:
                clear = int(((known["low"] > 0) | (known["high"] < 0)).sum())
                lines.append(
                    f"- Over {what}, {clear} of {len(known)} intervals exclude zero; if nothing differed, "
                    f"about {0.05 * len(known):.1f} would by chance."
                )
        for row in rows.itertuples():
            own = single[(single["method"] == row.method) & (single["baseline"] == row.baseline)]
            lines.append(f"- {row.method} − {row.baseline}: {_verdict(row, own)}")
        lines.append("")
    return lines[:-1]


def _verdict(row, single):
    """One sentence for a comparison: over groups and seeds where there are enough cells, else over the draws."""
    if math.isnan(row.half):
        groups = [
            f"{own.group}: {conclusion(row.method, row.baseline, own.low, own.high)} "
            f"({interval(own.difference, own.low, own.high, '+')})"
            for own in single.itertuples()
        ]
        return f"over the support draws of single trained encoders, {'; '.join(groups)}."
    words = conclusion(row.method, row.baseline, row.low, row.high)
    clear = row.low > 0 or row.high < 0
    text = (
        f"{words}: {interval(row.difference, row.low, row.high, '+')}, {row.n_cells} cells of {row.n_groups} "
        f"group{'s' if row.n_groups > 1 else ''}; unshared sources "
        f"{plus_minus(row.unshared, row.unshared_half, '+')}"
    )
    limits = []
    if clear and row.holm_p >= 0.05:
        limits.append("does not survive Holm's correction for all comparisons of the table")
    if clear and not math.isnan(row.groups_half) and abs(row.difference) <= row.groups_half:
        limits.append(f"not shown for other groups (± {100 * row.groups_half:.1f} over the group means alone)")
    if clear and not math.isnan(row.unshared_half) and abs(row.unshared) <= row.unshared_half:
        limits.append("not shown for queries of unshared recordings")
    return "; but ".join([text, *limits[:1]]) + "".join(f", {limit}" for limit in limits[1:]) + "."


def _missing(runs):
    """Methods and seeds that one group has and another lacks."""
    methods, seeds = ({run[name]: None for run in runs} for name in ("method", "seed"))
    done = {(run["group"], run["method"], run["seed"]) for run in runs}
    lines = []
    for group in dict.fromkeys(run["group"] for run in runs):
        for method in sorted(methods, key=method_rank):
            absent = [str(seed) for seed in sorted(seeds) if (group, method, seed) not in done]
            if len(absent) == len(seeds):
                lines.append(f"{group} has no finished run of {method}.")
            elif absent:
                lines.append(f"{group}, {method}: seed {', '.join(absent)} is missing.")
    return lines or ["Every group has every method and every seed."]


def _not_measured(block, blocks):
    """Methods, readouts and protocols without a number."""
    ran = {run["method"] for run in block.runs}
    lines = []
    absent = [name for name in METHOD_NAMES if name not in ran]
    own, loaded = ([name for name in absent if (name in EMBEDDER_NAMES) is needs] for needs in (False, True))
    if own:
        lines.append(f"Not run: {', '.join(own)}.")
    if loaded:
        lines.append(f"Not run, as they need weights that are downloaded or come with an extra: {', '.join(loaded)}.")
    for readout, name in READOUTS.items():
        table = block.tables.get(readout)
        there = set() if table is None else set(table["method"])
        without = [method for method in sorted(ran - there, key=method_rank) if method not in STATISTICS]
        if without:
            lines.append(f'No readout "{name.lower()}": {", ".join(without)}.')
    if not any(", " in method for table in block.tables.values() for method in table["method"]):
        lines.append("Frames shuffled at test: not measured.")
    others = {other.protocol for other in blocks if (other.dataset, other.preset) == (block.dataset, block.preset)}
    lines += (
        [f"Protocol not run: {', '.join(name for name in PROTOCOLS if name not in others)}."]
        if len(others) < len(PROTOCOLS)
        else []
    )
    return lines


def _account(block):
    """Labels spent, clips heard, settings that differ between runs shown side by side."""
    runs, lines = block.runs, []
    labels = {
        (run["labelled_clips"]["training"], run["labelled_clips"]["selection"])
        for run in runs
        if "labelled_clips" in run
    }
    lines += [
        f"Labelled clips per episode: {training} for training, {selection} for choosing anything."
        for training, selection in sorted(labels)
    ]
    seen = list(dict.fromkeys(run["method"] for run in runs if run["pretraining"]["saw_query_clips"]))
    heard = [
        f"query clips were in the pre-training pool, without labels, for {', '.join(seen)}"
        if seen
        else "no pre-training heard a query clip"
    ]
    lines.append(f"{heard[0][0].upper()}{heard[0][1:]}.")
    pools = sorted({run["pretraining"]["clips"] for run in runs if run["pretraining"]["steps"]})
    lines += [f"Clips in the pre-training pool: {', '.join(map(str, pools))}."] if pools else []
    settings = [in_todays_words(run["settings"]) for run in runs if "settings" in run]
    mixed = _mixed(settings)
    lines += [f"Not like for like: these runs differ in {', '.join(map(in_markdown, mixed))}."] if mixed else []
    versions = ", ".join(map(in_markdown, _mixed([run["versions"] for run in runs])))
    return lines + ([f"Runs of different versions of {versions} stand side by side."] if versions else [])


def _mixed(dictionaries):
    """Keys whose values are not the same in all."""
    keys = dict.fromkeys(key for entry in dictionaries for key in entry)
    return [key for key in keys if any(entry.get(key) != dictionaries[0].get(key) for entry in dictionaries)]


def _legend(blocks):
    lines = [
        "± of a group: Student's t over support draws for the fixed encoders and the group's fixed clips. It "
        "covers the luck of the support draw, not new clips, another pre-training seed or another group. A draw "
        "shared by several seeds counts once. * marks a single draw, with the binomial (Wilson) interval of that "
        "one run.",
        "± of the average, and of differences over groups and seeds: Student's t over all cells of group "
        "and pre-training seed, three at least. Cells of one group have its clips in common, so this speaks of these "
        "groups; what it leaves open about other groups is said beside a verdict. Seeds' averages are the lowest "
        "and highest pre-training seed. E: different support draws per group, n: queries per draw.",
        "Paired differences are taken on the same support draws, so the luck of the draw cancels. Bold excludes zero; "
        "Holm p is adjusted for all comparisons of one table. About one 95 % interval in twenty excludes zero "
        "by chance alone.",
        "Controls: chance is 1 / n_way; mel-stats and lag-covariance learn nothing but their readout; the random "
        "encoder is the same network without pre-training, fine-tuned as supervised; kernel-zeroed has the layers "
        "without memory; matched-cnn has the size without state space; frames shuffled at "
        "test takes the order away from a trained network.",
        "Frozen readouts train nothing but a small classifier on the embeddings of the labelled clips.",
    ]
    if any(block.preset == "quick" for block in blocks):
        lines.append("Preset quick is small and short: its numbers are never compared with the paper's.")
    return lines
