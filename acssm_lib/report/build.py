"""The report over whatever has finished: records in, tables, words and figures out."""

from pathlib import Path

import pandas as pd

from acssm_lib.experiment.records import write_metrics
from acssm_lib.experiment.schema import check_metrics
from acssm_lib.fewshot.statistics import mean_interval
from acssm_lib.files import write_text
from acssm_lib.report import figures, words
from acssm_lib.report.blocks import Block, blocks, names_in
from acssm_lib.report.readings import read_runs
from acssm_lib.report.tables import average_differences, average_table, comparison_table, paired_differences
from acssm_lib.text import in_csv

# Notebooks and scripts need one module: records in, tables out.
__all__ = [
    "Block",
    "average_differences",
    "average_table",
    "blocks",
    "check_metrics",
    "comparison_table",
    "mean_interval",
    "paired_differences",
    "read_runs",
    "write_metrics",
    "write_report",
]


def write_report(runs, out):
    """Tables and figures from whatever has finished below ``runs``.

    Args:
        runs, out: folders; ``out`` is made.
    Returns:
        The files written: report.md, report.csv (every group, readout and number of shots), averages.csv,
        differences.csv, then the figures.
    Raises:
        ValueError: there is no finished run.
    """
    out, (runs, problems) = Path(out), read_runs(runs)
    if not runs:
        raise ValueError("no finished run to report" + "".join(f"\n  {problem}" for problem in problems))
    found = blocks(runs, problems)
    for block in found:
        block.figures = figures.draw(block, out)
    differences = pd.concat(
        [
            frame.assign(over=over)
            for block in found
            for over, frame in (("draws", block.differences), ("groups and seeds", block.overall))
            if len(frame)
        ]
        or [found[0].differences]
    )
    return [
        write_text(out / "report.md", words.page(found, problems)),
        *(
            write_text(out / f"{name}.csv", names_in(frame, in_csv).to_csv(index=False))
            for name, frame in (
                ("report", comparison_table(runs)),
                ("averages", average_table(runs)),
                ("differences", differences),
            )
        ),
        *(path for block in found for path in block.figures),
    ]
