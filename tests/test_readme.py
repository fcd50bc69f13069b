"""The README's numbers are those of the committed records."""

import json
import re
from pathlib import Path

import pytest

from acssm_lib.report import readings
from acssm_lib.report import tables as tables_

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def rows_of(header):
    """Cells of the README's table that starts with this header."""
    table = README[README.index(header):].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def percent(mean, half):
    return f"{100 * mean:.1f} ± {100 * half:.1f}"


@pytest.fixture(scope="module")
def records():
    runs, problems = readings.read_runs(ROOT / "figures" / "metrics" / "esc50")
    assert problems == [] and len(runs) == 54
    return runs


def test_the_table_on_real_recordings(records):
    tuned, frozen = (tables_.average_table(records, readout).set_index("method")
                     for readout in ("finetuned", "logistic"))
    rows = rows_of("| method | fine-tuned | unshared |")
    assert [row[0] for row in rows] == [method for method in frozen.index if "shuffled" not in method]
    for method, *cells in rows:
        for table, shown in ((tuned, cells[:2]), (frozen, cells[2:4])):
            row = table.loc[method]
            assert shown[0].removesuffix(" (logistic)") == percent(row.accuracy, row.accuracy_half), method
            assert shown[1] == percent(row.unshared, row.unshared_half), method
        if cells[4] != "–":
            row = tuned.loc[f"{method}, frames shuffled at test"]
            assert cells[4] == percent(row.accuracy, row.accuracy_half), method


def test_the_differences_that_the_text_names(records):
    found = tables_.average_differences(records).set_index(["readout", "method", "baseline"])
    text = README[README.index("Read it soberly"):README.index("None of this is comparable")].replace("−", "-")
    named = {("finetuned", "acoustic-ssm1", "mel-stats"): -1, ("logistic", "acoustic-ssm1", "supervised"): 1,
             ("finetuned", "acoustic-ssm1", "supervised"): 1, ("finetuned", "acoustic-ssm1", "adapted-cnn"): 1,
             ("finetuned", "acoustic-ssm1", "matched-cnn"): 1, ("finetuned", "acoustic-ssm1", "kernel-zeroed"): 1,
             ("finetuned", "acoustic-ssm1", "acoustic-ssm1, frames shuffled at test"): 1,
             ("finetuned", "acoustic-ssm1", "mt-slvr"): 1, ("finetuned", "acoustic-ssm2", "acoustic-ssm1"): 1,
             ("finetuned", "acoustic-ssm2-noise", "acoustic-ssm2"): 1}
    wanted = [percent(sign * found.loc[key].difference, found.loc[key].half) for key, sign in named.items()]
    assert re.findall(r"-?[\d.]+ ± [\d.]+(?= |\)|,|\.)", text.replace("+", "")) == [
        *wanted[:8], *[cell[-1] for cell in rows_of("| method | fine-tuned | unshared |") if cell[0] == "mt-slvr"],
        *wanted[8:]]


def test_the_table_of_speed_is_that_of_the_stored_measurement():
    stored = json.loads((ROOT / "figures" / "bench.json").read_text(encoding="utf-8"))
    wanted = [[row["what"], row["plain"], row["ours"], f"{row['better']:.1f}x", row["reach"],
               "yes" if row["reached"] else "**no**"] for row in stored["rows"]]
    assert rows_of("| what | plain | ours | better |") == wanted
    assert f"Measured {stored['date']}" in README


def test_the_table_of_the_demo():
    runs, problems = readings.read_runs(ROOT / "figures" / "metrics" / "synthetic-frogs")
    assert problems == [] and len(runs) == 8
    tuned, frozen = (tables_.comparison_table(runs, readout).set_index(["group", "method"])
                     for readout in ("finetuned", "logistic"))
    rows = rows_of("| group | method | fine-tuned |")
    assert len(rows) == 8
    for group, method, *cells in rows:
        one, other = tuned.loc[group, method], frozen.loc[group, method]
        shuffled = (group, f"{method}, frames shuffled at test")
        assert cells == [percent(one.accuracy, one.accuracy_half), percent(one.unshared, one.unshared_half),
                         percent(other.accuracy, other.accuracy_half),
                         f"{100 * tuned.accuracy[shuffled]:.1f}" if shuffled in tuned.index else "–"], (group, method)


def test_what_members_and_views_add_to_the_best_recipe():
    rows = rows_of("| acoustic-ssm1 | labels alone |")
    for (name, *cells), folder in zip(rows, ("metrics-best-steps/alone", "metrics-best-steps/views", "metrics-best"),
                                      strict=True):
        runs, problems = readings.read_runs(ROOT / "figures" / folder)
        runs = [run for run in runs if (run["dataset"], run["method"]) == ("esc50", "acoustic-ssm1")]
        assert problems == [] and len(runs) == 6
        for readout, shown in zip(("logistic", "clusters"), cells, strict=True):
            row = tables_.average_table(runs, readout).set_index("method").loc["acoustic-ssm1"]
            assert shown == percent(row.unshared, row.unshared_half), (name, readout)


def test_the_table_of_the_best_recipe():
    runs, problems = readings.read_runs(ROOT / "figures" / "metrics-best")
    runs = [run for run in runs if run["dataset"] == "esc50" and not run["method"].startswith("mn04")]
    assert problems == [] and {run["seed"] for run in runs} == {0, 1, 2}
    tables = [tables_.average_table(runs, readout).set_index("method") for readout in ("logistic", "clusters")]
    rows = rows_of("| | labels alone (logistic regression) |")
    assert {row[0].split(" (")[0] for row in rows} == set(tables[0].index) - {"supervised, frames shuffled at test"}
    for name, *cells in rows:
        for table, shown in zip(tables, cells):
            method = name.split(" (")[0]
            assert shown == (percent(table.unshared[method], table.unshared_half[method]) if method in table.index
                             else "–"), (method, shown)
