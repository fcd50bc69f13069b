"""The report over whatever has finished: records in, tables, words and figures out."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from acssm_lib import report, report_figures
from acssm_lib.files import write_text
from acssm_lib.records import READOUTS, check_metrics, order, protocol, read_runs, readings, write_metrics
from acssm_lib.statistics import mean_interval
from acssm_lib.tables import average_differences, average_table, comparison_table, paired_differences

# Notebooks and scripts need one module: records in, tables out.
__all__ = ["Block", "average_differences", "average_table", "blocks", "check_metrics", "comparison_table",
           "mean_interval", "paired_differences", "read_runs", "write_metrics", "write_report"]


@dataclass
class Block:
    """Everything a report says about one data set, preset, protocol and number of labelled clips per class.

    Attributes:
        runs: its records.
        tables, averages: readout -> ``comparison_table``, ``average_table``; readouts nobody measured are left out.
        differences, overall: ``paired_differences``, ``average_differences``.
        leaders: readout -> ``average_differences`` of the method with the highest average minus each other one.
        curve: ``average_table`` of the frozen logistic readout at every number of shots.
        figures: paths, filled by ``write_report``.
    Taught in: 08_reproduce_group.
    """

    dataset: str
    preset: str
    protocol: str
    n_shot: int
    runs: list
    tables: dict
    averages: dict
    differences: pd.DataFrame
    overall: pd.DataFrame
    leaders: dict
    curve: pd.DataFrame
    figures: list = field(default_factory=list)

    @property
    def name(self):
        shots = "" if self.n_shot == 5 else f"_{self.n_shot}-shot"
        return f"{self.dataset}_{self.preset}_{self.protocol}{shots}"


def blocks(runs, refused=None):
    """Records taken apart by what may not be mixed in one table.

    Args:
        runs: records from ``read_runs``.
        refused: as for ``paired_differences``.
    Returns:
        list of ``Block``.
    Taught in: 08_reproduce_group.
    """
    apart = {}
    for run in sorted(runs, key=order):
        apart.setdefault((run["dataset"], run["preset"], protocol(run), run["n_shot"]), []).append(run)
    found = []
    for key, own in apart.items():
        # Mel statistics stand in every table but make none, unless nothing else has run.
        measured = {(reading.readout, run["method"] != "mel-stats") for run in own for reading in readings(run)
                    if reading.n_shot == run["n_shot"]}
        others = any(other for _, other in measured)
        wanted = [name for name in READOUTS if (name, others) in measured]
        every = average_table(own)
        curve = every[(every["readout"] == "logistic") & ~every["shuffled"]]
        averages = {name: average_table(own, name) for name in wanted}
        found.append(Block(*key, own, {name: comparison_table(own, name) for name in wanted}, averages,
                           paired_differences(own, refused=refused), average_differences(own, refused=refused),
                           {name: _leader(own, name, averages[name]) for name in wanted}, curve))
    return found


def _leader(runs, readout, averages):
    """The method with the highest average of those that have every group, minus each other one."""
    whole = averages[(averages["n_groups"] == averages["n_groups"].max()) & ~averages["shuffled"]]
    top = whole.loc[whole["accuracy"].idxmax(), "method"]
    others = [(top, other) for other in whole["method"] if other != top]
    return average_differences(runs, others, refused=[], readouts=(readout,))


def write_report(runs, out):
    """Tables and figures from whatever has finished below ``runs``.

    Args:
        runs, out: folders; ``out`` is made.
    Returns:
        The files written: report.md, report.csv (every group, readout and number of shots), averages.csv,
        differences.csv, then the figures.
    Raises:
        ValueError: there is no finished run.
    Taught in: 06_ablation_comparison.
    """
    out, (runs, problems) = Path(out), read_runs(runs)
    if not runs:
        raise ValueError("no finished run to report" + "".join(f"\n  {problem}" for problem in problems))
    found = blocks(runs, problems)
    for block in found:
        block.figures = report_figures.draw(block, out)
    differences = pd.concat([frame.assign(over=over) for block in found for over, frame in
                             (("draws", block.differences), ("groups and seeds", block.overall)) if len(frame)]
                            or [found[0].differences])
    return [write_text(out / "report.md", report.markdown(found, problems)),
            *(write_text(out / f"{name}.csv", frame.to_csv(index=False)) for name, frame in (
                ("report", comparison_table(runs)), ("averages", average_table(runs)), ("differences", differences))),
            *(path for block in found for path in block.figures)]
