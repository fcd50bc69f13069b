"""Records taken apart by what may not be mixed in one table: a ``Block`` per data set, preset, protocol and shots.

Runs that were repeated with other settings have a block of their own.
"""

import hashlib
import re
from dataclasses import dataclass, field, replace

import pandas as pd

from acssm_lib.names import READOUTS, STATISTICS
from acssm_lib.report.intake import NAMES
from acssm_lib.report.readings import order, protocol, readings
from acssm_lib.report.tables import average_differences, average_table, comparison_table, paired_differences


def groups_of(block):
    """Names of the groups of a block in the order of its columns."""
    return list(dict.fromkeys(run["group"] for run in block.runs))


@dataclass
class Block:
    """Everything a report says about one data set, preset, protocol and number of labelled clips per class.

    Attributes:
        variant: settings in which its runs are unlike those of the same name elsewhere; "" for the first ones.
        runs: its records.
        tables, averages: readout -> ``comparison_table``, ``average_table``; readouts nobody measured are left out.
        differences, overall: ``paired_differences``, ``average_differences``.
        leaders: readout -> ``average_differences`` of the method with the highest average minus each other one.
        curve: ``average_table`` of the frozen logistic readout at every number of shots.
        figures: paths, filled by ``write_report``.
    """

    dataset: str
    preset: str
    protocol: str
    n_shot: int
    variant: str
    runs: list
    tables: dict
    averages: dict
    differences: pd.DataFrame
    overall: pd.DataFrame
    leaders: dict
    curve: pd.DataFrame
    figures: list = field(default_factory=list)

    @property
    def title(self):
        """Data set, preset, protocol, shots and, where they are unlike those of the first runs, settings."""
        return self._titled(f", {self.n_shot} shots")

    @property
    def setting(self):
        """The title without its shots, for what shows several numbers of them."""
        return self._titled("")

    def _titled(self, shots):
        variant = f", with {self.variant}" if self.variant else ""
        return f"{self.dataset}, preset {self.preset}, {self.protocol}{shots}{variant}"

    @property
    def name(self):
        """The title as the beginning of file names, unlike that of every other block."""
        shots = "" if self.n_shot == 5 else f"_{self.n_shot}-shot"
        variant = "_" + re.sub(r"[^\w.=-]+", "_", self.variant) if self.variant else ""
        if len(variant) > 80:  # a file system takes 255 bytes
            variant = f"{variant[:70]}_{hashlib.sha256(variant.encode()).hexdigest()[:8]}"
        return f"{self.dataset}_{self.preset}_{self.protocol}{shots}{variant}"

    def written_for(self, escape):
        """The same block with every name as its destination wants it, as in ``written_for(text.in_markdown)``."""
        runs = [
            run
            | {key: escape(run[key]) for key in (*NAMES, "variant") if key in run}
            | {"classes": [*map(escape, run["classes"])]}
            for run in self.runs
        ]
        frames = {name: names_in(getattr(self, name), escape) for name in ("differences", "overall", "curve")}
        for name in ("tables", "averages", "leaders"):
            frames[name] = {key: names_in(frame, escape) for key, frame in getattr(self, name).items()}
        return replace(
            self,
            dataset=escape(self.dataset),
            preset=escape(self.preset),
            variant=escape(self.variant),
            runs=runs,
            **frames,
        )


def names_in(frame, escape):
    """A table with ``escape`` applied to its columns of names."""
    columns = [column for column in (*NAMES, "baseline", "variant") if column in frame]
    return frame.assign(**{column: frame[column].map(escape) for column in columns})


def blocks(runs, refused=None):
    """Records taken apart by what may not be mixed in one table.

    Args:
        runs: records from ``read_runs``.
        refused: as for ``paired_differences``.
    Returns:
        list of ``Block``.
    """
    apart = {}
    for run in sorted(runs, key=order):
        key = run["dataset"], run["preset"], protocol(run), run["n_shot"], run.get("variant", "")
        apart.setdefault(key, []).append(run)
    found = []
    for key, own in apart.items():
        # Statistics stand in every table but make none, unless nothing else has run.
        measured = {
            (reading.readout, run["method"] not in STATISTICS)
            for run in own
            for reading in readings(run)
            if reading.n_shot == run["n_shot"] and not reading.shuffled
        }
        others = any(other for _, other in measured)
        wanted = [name for name in READOUTS if (name, others) in measured]
        every = average_table(own)
        curve = every[(every["readout"] == "logistic") & ~every["shuffled"]]
        averages = {name: average_table(own, name) for name in wanted}
        found.append(
            Block(
                *key,
                own,
                {name: comparison_table(own, name) for name in wanted},
                averages,
                paired_differences(own, refused=refused),
                average_differences(own, refused=refused),
                {name: _leader(own, name, averages[name]) for name in wanted},
                curve,
            )
        )
    return found


def _leader(runs, readout, averages):
    """The method with the highest average of those that have every group, minus each other one."""
    plain = averages[~averages["shuffled"]]
    whole = plain[plain["n_groups"] == plain["n_groups"].max()]
    top = whole.loc[whole["accuracy"].idxmax(), "method"]
    others = [(top, other) for other in whole["method"] if other != top]
    return average_differences(runs, others, refused=[], readouts=(readout,))
