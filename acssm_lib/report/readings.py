"""Reading records: every finished run below a folder, and the draws of each readout as arrays."""

import re
from functools import cached_property
from pathlib import Path

import numpy as np

from acssm_lib.experiment.records import supports_digest
from acssm_lib.experiment.schema import DRAWS
from acssm_lib.names import METHOD_NAMES, PROTOCOLS, SHUFFLED, STATISTICS
from acssm_lib.presets import PRESETS, Preset, in_todays_words
from acssm_lib.report.intake import read_record
from acssm_lib.text import visible


def read_runs(folder):
    """Every finished run below a folder, in the order of the tables.

    A record from before protocols and readouts had names is transductive, and fine-tuned but for mel-stats.

    Returns:
        runs: the records of all ``metrics.json``, first come first kept when two describe the same run. Where runs of
            one name have other settings, all but the one with the fewest of its own have a key ``variant`` that says
            which, as in "n_members=1".
        problems: one sentence for each ``seed*`` folder without a record and each record that cannot be used.
    """
    folder, runs, problems, classes = Path(folder), {}, [], {}
    for path in sorted(folder.glob("**/seed*")):
        if path.is_dir() and not (path / "metrics.json").exists():
            state = "failed, see failed.ipynb" if (path / "failed.ipynb").exists() else "unfinished, no metrics.json"
            problems.append(visible(f"{path.relative_to(folder)}: {state}"))
    for path in sorted(folder.glob("**/metrics.json")):
        name = visible(path.relative_to(folder))
        try:
            run = in_todays_words(read_record(path))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            problems.append(visible(f"{name}: left out, {reason}"))
            continue
        key = tuple(
            protocol(run) if field == "protocol" else run[field]
            for field in ("dataset", "preset", "protocol", "n_shot", "group", "method", "seed")
        )
        if classes.setdefault(key[:5], run["classes"]) != run["classes"]:
            problems.append(f"{name}: left out, its classes are not those of the other runs of {run['group']}")
            continue
        known = runs.setdefault(key, [])
        if any(not _difference(run, other) for other in known):
            problems.append(f"{name}: left out, another file describes the same run")
            continue
        known.append(run)
    for known in runs.values():  # the run with the fewest settings of its own gives its name to the table
        known.sort(key=lambda run: len(run.get("overrides") or {}))
        known[1:] = [run | {"variant": _difference(run, known[0])} for run in known[1:]]
    variants = [(key, run) for key, known in runs.items() for run in known[1:]]
    for key, known in runs.items():  # a cell that has been run with those settings alone belongs to their table
        same = [run["variant"] for other, run in variants if other[:4] == key[:4] and not _difference(run, known[0])]
        if same:
            known[0] = known[0] | {"variant": same[0]}
    return sorted((run for known in runs.values() for run in known), key=order), problems


def _difference(run, other):
    """Settings in which a record is not like another, as in "n_layers=4, pool=all"; empty where there are none."""
    settings, others = _settings(run), _settings(other)
    names = [key for key in settings if settings[key] != others.get(key)]
    return ", ".join(
        f"{key}={','.join(map(str, value)) if isinstance(value := settings[key], list) else value}" for key in names
    )


def _settings(run):
    """All settings of a record; a field that came after it stood at its default."""
    known = run.get("settings") or PRESETS.get(run["preset"], Preset()).as_dict() | (run.get("overrides") or {})
    return Preset().as_dict() | in_todays_words(known) | {"name": run["preset"]}


def protocol(run):
    """Which clips the pre-training of a record may have heard; "transductive" for the first records."""
    return run.get("protocol", PROTOCOLS[0])


def order(run):
    """Sorting key of records: the order of the tables, G2 before G10."""
    parts = [part for part in re.split(r"(\d+)", run["group"]) if part]
    natural = [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
    return (
        run["dataset"],
        run["preset"],
        PROTOCOLS.index(protocol(run)),
        run["n_shot"],
        natural,
        method_rank(run["method"]),
        run["seed"],
        run.get("variant", ""),
    )


def method_rank(method):
    """Sorting key of methods: the order of ``names.METHOD_NAMES``, others behind by name, shuffled after plain."""
    name = method.removesuffix(SHUFFLED)
    return METHOD_NAMES.index(name) if name in METHOD_NAMES else len(METHOD_NAMES), name, name != method


class Reading:
    """The draws of one readout of one run, as arrays with one entry per support draw.

    Attributes:
        run: the record it belongs to.
        readout, n_shot, shuffled: what was read: with which classifier, labels per class, frames shuffled at test.
        seeds: of the draws.
        accuracy, unshared: over all queries, and over those whose recording is in no support (NaN where none is).
        n_query, n_unshared: clips behind them.
        supports: list of clip names per draw, or None where only the digest is recorded.
        digest: of all supports (``supports_digest``), or None.
        method: name of its row in a table.
        draws: identity of each support draw, uint64: equal where two seeds or methods share the draw.
    """

    def __init__(self, run, entry, supports=None):
        self.run, self.supports, self._entry = run, supports, entry
        self.readout, self.n_shot, self.shuffled = entry["name"], entry["n_shot"], entry["shuffled"]
        self.method = run["method"] + SHUFFLED * self.shuffled

    # Computed when asked for: a table needs a few of the dozen readings of a record.
    seeds = cached_property(lambda self: np.array(self._entry["seeds"]))
    accuracy = cached_property(lambda self: np.array(self._entry["accuracy"], float))
    n_query = cached_property(lambda self: np.array(self._entry["n_query"]))
    n_unshared = cached_property(lambda self: np.array(self._entry["n_query_unshared_sources"]))

    @cached_property
    def unshared(self):
        values = [np.nan if value is None else value for value in self._entry["accuracy_unshared_sources"]]
        return np.where(self.n_unshared == 0, np.nan, np.array(values, float))

    @cached_property
    def digest(self):
        return supports_digest(self.supports) if self.supports else self._entry["supports"]

    @cached_property
    def draws(self):
        if self.supports:
            return np.array([int(supports_digest([support]), 16) for support in self.supports], dtype=np.uint64)
        base = self.digest or supports_digest([[self.run["method"], self.run["group"], self.run["seed"]]])
        return np.uint64(int(base, 16)) + np.arange(len(self.seeds), dtype=np.uint64)  # wraps around, no matter


def readings(run):
    """Every ``Reading`` of a record; the episodes of the main readout come first."""
    episodes = run["episodes"]
    supports = [episode.get("support") for episode in episodes]
    main = {
        "name": run.get("readout", "logistic" if run["method"] in STATISTICS else "finetuned"),
        "n_shot": run["n_shot"],
        "shuffled": False,
        "supports": None,
        "seeds": [episode["seed"] for episode in episodes],
        **{name: [episode[name] for episode in episodes] for name in DRAWS},
    }
    return [
        Reading(run, main, supports if all(supports) else None),
        *(Reading(run, entry) for entry in run.get("readouts", ())),
    ]
