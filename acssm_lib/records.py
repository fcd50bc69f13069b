"""The record that a run leaves (``metrics.json``): its schema, writing and reading, and the draws in it."""

import hashlib
import json
import math
import re
from functools import cached_property
from pathlib import Path

import numpy as np

from acssm_lib.files import write_json
from acssm_lib.presets import METHOD_NAMES

PROTOCOLS = ("transductive", "inductive-clip", "inductive-recording")
READOUTS = ("finetuned", "logistic", "nearest-mean", "clusters")
_FRACTION = "a number from 0 to 1"
_SCHEMA = {  # key -> what its value must be; a dict or a list of one dict nests
    "schema": int, "dataset": str, "group": str, "classes": list, "method": str, "preset": str, "seed": int,
    "n_way": int, "n_shot": int,
    "episodes": [{"seed": int, "accuracy": _FRACTION, "n_query": int,
                  "accuracy_unshared_sources": (_FRACTION, None), "n_query_unshared_sources": int}],
    "accuracy_mean": _FRACTION, "accuracy_ci95": (list, None), "accuracy_unshared_sources_mean": (_FRACTION, None),
    "pretraining": {"clips": int, "steps": int, "seconds": float, "final_loss": (float, None),
                    "saw_query_clips": bool},
    "finetuning": {"seconds": float}, "parameters": int, "versions": dict,
}
_LATER = {  # keys that records of the first version lack
    "protocol": str, "readout": str,
    "readouts": [{"name": str, "n_shot": int, "shuffled": bool, "seeds": list, "supports": str, "accuracy": list,
                  "n_query": list, "accuracy_unshared_sources": list, "n_query_unshared_sources": list}],
}
_DRAWS = ("accuracy", "n_query", "accuracy_unshared_sources", "n_query_unshared_sources")  # one value per draw


def check_metrics(metrics):
    """Does nothing if the record has every key of the schema, each of the right kind.

    Raises:
        ValueError: names every missing or wrong key, such as ``pretraining.steps``.
    Taught in: 08_reproduce_group.
    """
    faults = list(_faults(metrics, _SCHEMA, ""))
    if isinstance(metrics, dict):
        faults += _faults(metrics, {key: kind for key, kind in _LATER.items() if key in metrics}, "")
    if not faults:
        faults += _wrong_values(metrics)
    if faults:
        raise ValueError(f"not a run record: {'; '.join(faults)}")


def _wrong_values(metrics):
    """Faults of a record whose keys are all there."""
    if metrics["schema"] != 1:
        yield f"schema {metrics['schema']}, this version reads 1"
    if not metrics["episodes"]:
        yield "episodes is empty"
    if metrics.get("protocol", PROTOCOLS[0]) not in PROTOCOLS:
        yield f"protocol is {metrics['protocol']!r}, expected one of {', '.join(PROTOCOLS)}"
    if metrics.get("readout", READOUTS[0]) not in READOUTS:
        yield f"readout is {metrics['readout']!r}, expected one of {', '.join(READOUTS)}"
    for position, entry in enumerate(metrics.get("readouts", ())):
        key = f"readouts[{position}]"
        if entry["name"] not in READOUTS:
            yield f"{key}.name is {entry['name']!r}, expected one of {', '.join(READOUTS)}"
        if not entry["seeds"] or {len(entry[name]) for name in _DRAWS} != {len(entry["seeds"])}:
            yield f"{key} needs one value per draw in each of {', '.join(('seeds', *_DRAWS))}"
        kinds = {"accuracy": _FRACTION, "accuracy_unshared_sources": (_FRACTION, None)}
        for name in ("seeds", *_DRAWS):
            wrong = [value for value in entry[name] if not _fits(value, kinds.get(name, int))]
            if wrong:
                yield f"{key}.{name} holds {wrong[0]!r}, expected {_expected(kinds.get(name, int))}"


def _faults(value, wanted, key):
    if isinstance(wanted, dict):
        if not isinstance(value, dict):
            yield f"{key or 'the record'} is not an object"
            return
        for name, kind in wanted.items():
            if name not in value:
                yield f"{key}{name} is missing"
            else:
                yield from _faults(value[name], kind, f"{key}{name}" + ("." if isinstance(kind, dict) else ""))
    elif isinstance(wanted, list):
        if not isinstance(value, list):
            yield f"{key} is not a list"
            return
        for position, item in enumerate(value):
            yield from _faults(item, wanted[0], f"{key}[{position}].")
    elif not _fits(value, wanted):
        yield f"{key} is {value!r}, expected {_expected(wanted)}"


def _expected(wanted):
    kinds = wanted if isinstance(wanted, tuple) else (wanted,)
    return " or ".join(getattr(kind, "__name__", kind) or "null" for kind in kinds)


def _fits(value, wanted):
    if isinstance(wanted, tuple):
        return any(_fits(value, kind) for kind in wanted)
    if wanted is None:
        return value is None
    if wanted in (_FRACTION, float):
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        return number and (wanted is float or 0 <= value <= 1)
    return isinstance(value, wanted) and not (wanted is int and isinstance(value, bool))


def write_metrics(path, metrics):
    """Write ``metrics.json`` through a temporary name: a run either has its record or has none.

    Raises:
        ValueError: a key is missing or wrong (``check_metrics``).
    Taught in: 08_reproduce_group.
    """
    check_metrics(metrics)
    return write_json(path, metrics)


def read_runs(folder):
    """Every finished run below a folder, in the order of the tables.

    A record from before protocols and readouts had names is transductive, and fine-tuned but for mel-stats.

    Returns:
        runs: the records of all ``metrics.json``, first come first kept when two describe the same run.
        problems: one sentence for each ``seed*`` folder without a record and each record that cannot be used.
    Taught in: 06_ablation_comparison.
    """
    folder, runs, problems = Path(folder), {}, []
    for path in sorted(folder.glob("**/seed*")):
        if path.is_dir() and not (path / "metrics.json").exists():
            state = "failed, see failed.ipynb" if (path / "failed.ipynb").exists() else "unfinished, no metrics.json"
            problems.append(f"{path.relative_to(folder)}: {state}")
    for path in sorted(folder.glob("**/metrics.json")):
        name = path.relative_to(folder)
        try:
            run = json.loads(path.read_text(encoding="utf-8"))
            check_metrics(run)
        except (OSError, ValueError) as error:
            problems.append(f"{name}: {error}")
            continue
        key = tuple(protocol(run) if field == "protocol" else run[field]
                    for field in ("dataset", "preset", "protocol", "n_shot", "group", "method", "seed"))
        if key in runs:
            problems.append(f"{name}: left out, another file describes the same run")
        runs.setdefault(key, run)
    return sorted(runs.values(), key=order), problems


def protocol(run):
    """Which clips the pre-training of a record may have heard; "transductive" for the first records.

    Taught in: 08_reproduce_group.
    """
    return run.get("protocol", PROTOCOLS[0])


def order(run):
    """Sorting key of records: the order of the tables, G2 before G10.

    Taught in: 08_reproduce_group.
    """
    parts = [part for part in re.split(r"(\d+)", run["group"]) if part]
    natural = [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]
    return (run["dataset"], run["preset"], PROTOCOLS.index(protocol(run)), run["n_shot"], natural,
            method_rank(run["method"]), run["seed"])


def method_rank(method):
    """Sorting key of methods: the order of ``presets.METHOD_NAMES``, others behind by name, shuffled after plain.

    Taught in: 08_reproduce_group.
    """
    name, _, control = method.partition(", ")
    return METHOD_NAMES.index(name) if name in METHOD_NAMES else len(METHOD_NAMES), name, control


def supports_digest(supports):
    """16 hexadecimal digits that stand for a list of supports, each a list of clip names.

    Two records with equal draw seeds and equal digests were measured on the same labelled clips. The order of the
    names within a support does not count.

    Taught in: 08_reproduce_group.
    """
    text = json.dumps([sorted(map(str, support)) for support in supports])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


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
    Taught in: 08_reproduce_group.
    """

    def __init__(self, run, entry, supports=None):
        self.run, self.supports, self._entry = run, supports, entry
        self.readout, self.n_shot, self.shuffled = entry["name"], entry["n_shot"], entry["shuffled"]
        self.method = run["method"] + (", frames shuffled at test" if self.shuffled else "")

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
    """Every ``Reading`` of a record; the episodes of the main readout come first.

    Taught in: 08_reproduce_group.
    """
    episodes = run["episodes"]
    supports = [episode.get("support") for episode in episodes]
    main = {"name": run.get("readout", "logistic" if run["method"] == "mel-stats" else "finetuned"),
            "n_shot": run["n_shot"], "shuffled": False, "supports": None,
            "seeds": [episode["seed"] for episode in episodes],
            **{name: [episode[name] for episode in episodes] for name in _DRAWS}}
    return [Reading(run, main, supports if all(supports) else None),
            *(Reading(run, entry) for entry in run.get("readouts", ()))]
