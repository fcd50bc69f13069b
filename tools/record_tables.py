"""Rows of the tables of ``docs/`` that several of them share: from the committed records to Markdown."""

import math
import statistics

from acssm_lib.names import SHUFFLED, STATISTICS
from acssm_lib.report.claims import conclusion
from acssm_lib.report.markdown import plus_minus
from acssm_lib.report.readings import method_rank, read_runs
from acssm_lib.report.tables import average_differences, average_table, comparison_table
from tools.table_text import FIGURES, markdown

READOUT = {
    "finetuned": "fine-tuned",
    "logistic": "frozen, logistic",
    "clusters": "frozen, clusters",
    "em-lda": "frozen, em-lda",
}
DIFFERENCE = ["difference", "readout", "points", "what the interval shows"]


def records(folder, keep=lambda run: True):
    """The records below ``figures/FOLDER`` that ``keep`` accepts.

    Raises:
        ValueError: a record cannot be used, or none is left.
    """
    runs, problems = read_runs(FIGURES / folder)
    runs = [run for run in runs if keep(run)]
    if problems or not runs:
        raise ValueError(f"figures/{folder}: {'; '.join(problems) or 'no record there'}")
    return runs


def methods_of(runs):
    """Methods of the records, in the order of tables."""
    return sorted({run["method"] for run in runs}, key=method_rank)


def cell(table, key, name):
    """Mean and half width of a row of a table, or a dash where there is no such row."""
    return plus_minus(table.loc[key, name], table.loc[key, f"{name}_half"]) if key in table.index else "–"


def full(runs):
    """Over groups and seeds: fine-tuned and frozen, in time and with shuffled frames, and what was run."""
    tables = {name: average_table(runs, name).set_index("method") for name in ("finetuned", "logistic", "clusters")}
    rows = []
    for method in methods_of(runs):
        tuned = (
            [
                cell(tables["finetuned"], method + frames, kind)
                for frames, kind in (("", "accuracy"), ("", "unshared"), (SHUFFLED, "unshared"))
            ]
            if method not in STATISTICS
            else ["–"] * 3
        )
        frozen = [
            cell(tables[name], method + frames, "unshared")
            for name, frames in (("logistic", ""), ("clusters", ""), ("logistic", SHUFFLED))
        ]
        rows.append([method, *tuned[:2], *frozen[:2], tuned[2], frozen[2]])
    return [
        what_ran(runs),
        "",
        *markdown(
            [
                "method",
                "fine-tuned, all queries",
                "fine-tuned",
                "frozen, logistic",
                "frozen, clusters",
                "fine-tuned, frames shuffled",
                "frozen, frames shuffled",
            ],
            rows,
        ),
    ]


def what_ran(runs):
    """A sentence on preset, seeds, methods that lack some of them, draws and time."""
    seeds = {method: sorted({run["seed"] for run in runs if run["method"] == method}) for method in methods_of(runs)}
    most = max(seeds.values(), key=len)
    fewer = "; ".join(f"{method} {', '.join(map(str, own))} alone" for method, own in seeds.items() if own != most)
    draws = {
        len(entry["seeds"])
        for run in runs
        for entry in run["readouts"]
        if (entry["name"], entry["n_shot"]) == ("logistic", run["n_shot"])
    }
    tuned = {len(run["episodes"]) for run in runs if run["method"] not in STATISTICS}
    minutes = statistics.median(run["pretraining"]["seconds"] for run in runs if run["pretraining"]["steps"]) / 60
    return (
        f"Preset {runs[0]['preset']}, training seed{'s' * (len(most) > 1)} {', '.join(map(str, most))}"
        f"{f' ({fewer})' if fewer else ''}; of each group and seed {max(tuned)} support draws fine-tuned and "
        f"{max(draws)} frozen; half of the pre-trainings took {math.ceil(minutes)} minutes or less, on one core of a "
        "machine with other work."
    )


def differences(runs, readouts=("finetuned", "logistic"), unshared=False):
    """Paired differences over groups and seeds, with what their intervals show before and after Holm's correction."""
    return markdown(DIFFERENCE, difference_rows(runs, readouts, unshared))


def difference_rows(runs, readouts, unshared):
    """Rows of ``differences``."""
    found, prefix = average_differences(runs, readouts=readouts), "unshared_" if unshared else ""
    rows = []
    for row in found.to_dict("records"):
        mean = row["unshared" if unshared else "difference"]
        low, high, half = (row[f"{prefix}{name}"] for name in ("low", "high", "half"))
        if math.isnan(half):  # one cell: nothing to conclude from
            continue
        shown = conclusion(row["method"], row["baseline"], low, high)
        if not unshared and (low > 0 or high < 0) and not row["holm_p"] <= 0.05:
            shown += "; not after Holm's correction"
        rows.append(
            [short(row["method"], row["baseline"]), READOUT[row["readout"]], plus_minus(mean, half, "+"), shown]
        )
    return rows


def short(method, baseline):
    """Name of a difference; the shuffled side of a method is named without repeating it."""
    return f"{method} − {'shuffled' if baseline == method + SHUFFLED else baseline}"


def by_group(runs, readouts, kind="unshared"):
    """One row per method and readout, one column per group, with intervals over support draws."""
    groups = sorted({run["group"] for run in runs})
    names = {"logistic": "labels alone", "clusters": "with the unlabelled clips"}
    tables = {name: comparison_table(runs, name).set_index(["group", "method"]) for name in readouts}
    methods = [row for method in methods_of(runs) for row in (method, method + SHUFFLED)]
    rows = [
        [method, names[name], *(cell(table, (group, method), kind) for group in groups)]
        for method in methods
        for name, table in tables.items()
        if (groups[0], method) in table.index
    ]
    return markdown(["method, frozen", "readout", *groups], rows)
