"""A run is one group, method and seed: its name, its settings, its folder, and whether it has finished.

It is finished when its folder holds the executed notebook and its record. A folder that holds a run of other settings
is never touched; a file that is damaged, or of an older schema, says nothing and is made again.
"""

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from acssm_lib.names import RECORD_SCHEMA
from acssm_lib.presets import Preset, in_todays_words
from acssm_lib.presets import preset as named_preset

_PATHS = ("data", "weights")  # compared as places, not as text


class RunConflict(ValueError):
    """The run folder holds a run of other settings; nothing was changed."""


@dataclass(frozen=True)
class Run:
    """One execution of the notebook: what it is given, and where its files go.

    Raises:
        ValueError: from ``config``, when ``preset`` or a name in ``overrides`` is unknown.
    """

    dataset: str
    group: str
    method: str
    seed: int
    preset: str = "quick"
    overrides: dict = field(default_factory=dict)  # preset field -> value
    data: str | None = None  # path of the data set, None for one that is made on the spot
    weights: str | None = None  # path of an embedder's downloaded file, None for the other methods
    device: str = "auto"  # that computes; no part of what the run is, and a run may go on on another

    def __post_init__(self):  # a record is read from wherever one stands later
        for key in _PATHS:
            if getattr(self, key) is not None:
                object.__setattr__(self, key, os.path.abspath(getattr(self, key)))

    @property
    def name(self):
        """The run in one word, also its folder below RUNS."""
        return f"{self.dataset}/{self.group}/{self.method}/seed{self.seed}"

    def folder(self, out):
        """RUNS/<dataset>/<group>/<method>/seed<k>."""
        return Path(out) / self.name

    def config(self):
        """What ``config.json`` says: the parameters of the run, and every setting they lead to."""
        return {
            "dataset": self.dataset,
            "data": self.data,
            "group": self.group,
            "method": self.method,
            "seed": self.seed,
            "preset": self.preset,
            "overrides": self.overrides,
            "weights": self.weights,
            "settings": named_preset(self.preset, **self.overrides).as_dict(),
        }

    def parameters(self, out):
        """What papermill writes into the notebook: plain values only. Runs of one ``out`` share their encoders."""
        config = self.config()
        given = {} if self.device == "auto" else {"device": self.device}  # which a notebook of one's own may not know
        return (
            {key: config[key] for key in config if key != "settings"}
            | given
            | {"out": str(self.folder(out)), "encoders": str(Path(out) / "encoders")}
        )


def plan(dataset, groups, methods, seeds, preset="quick", overrides=None, data=None, weights=None, device="auto"):
    """The runs in the order they are started: group by group, the methods in the order given, then the seeds.

    Args:
        weights: method -> path of its downloaded file, for the embedders.
    Returns:
        list of Run, without repetitions.
    """
    weights = weights or {}
    return [
        Run(dataset, group, method, seed, preset, dict(overrides or {}), data, weights.get(method), device)
        for group in dict.fromkeys(groups)
        for method in dict.fromkeys(methods)
        for seed in dict.fromkeys(seeds)
    ]


def is_finished(run, out):
    """Whether the run's notebook and its record are both there, and whole.

    Raises:
        RunConflict: the folder holds a run, finished or not, of other parameters or settings.
    """
    return finished_or_why(run, out)[0]


def finished_or_why(run, out):
    """(whether the run is finished, a sentence for each of its files that is there but cannot be used).

    Raises:
        RunConflict: see ``is_finished``.
    """
    folder, faults = run.folder(out), []
    wanted = json.loads(json.dumps(run.config()))  # as a file would give it back
    for name, needed in (("config.json", False), ("metrics.json", True)):
        stored, fault = _read(folder / name, needed)
        if fault:
            faults.append(f"{folder / name}: {fault}; this run is done again")
        elif stored:
            differences = _differences(stored, wanted, folder)
            if differences:
                holds, asked = (", ".join(f"{key}={pair[side]}" for key, pair in differences[:3]) for side in (0, 1))
                more = f" (and {len(differences) - 3} more)" if len(differences) > 3 else ""
                raise RunConflict(
                    f"{folder} holds a run with {holds}, you asked for {asked}{more}; choose another --out or delete it"
                )
    whole = record_fault(folder / "metrics.json") is None and _size(folder / "notebook.ipynb") > 0
    return whole, faults


def record_fault(path):
    """Why a file is no record of a finished run, in a few words; None if it is one."""
    stored, fault = _read(path, record=True)
    return fault if stored is not None or fault else "not there"


def _read(path, record):
    """(dict in a JSON file, None), (None, what is wrong with the file), or (None, None) where there is none."""
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None, None
    except ValueError:
        return None, "empty" if _size(path) == 0 else "not JSON"
    if not isinstance(stored, dict):
        return None, "not JSON of a run"
    if record and stored.get("schema") != RECORD_SCHEMA:
        return None, f"no record of schema {RECORD_SCHEMA} (schema: {stored.get('schema', 'none')})"
    if record and not isinstance(stored.get("accuracy_mean"), float | int):
        return None, "a record without accuracy_mean"
    return stored, None


def _size(path):
    return path.stat().st_size if path.exists() else 0


def _differences(stored, wanted, folder):
    """[(name, (stored value, wanted value))]; other presets differ in many fields, only the preset is named."""
    stored = in_todays_words(stored)
    names = [key for key in wanted if key in stored and key not in ("settings", "overrides")]
    pairs = {key: (stored[key], wanted[key]) for key in names}
    for key in _PATHS:
        if key in pairs and None not in pairs[key] and _same_place(*pairs[key], folder):
            del pairs[key]
    if stored.get("preset", wanted["preset"]) == wanted["preset"]:
        settings = in_todays_words(stored.get("settings", wanted["settings"]))
        defaults = Preset().as_dict()  # a field that came later stood at its default, whatever it was called then
        for key in {**wanted["settings"], **settings}:
            pairs[key] = (settings.get(key, defaults.get(key)), wanted["settings"].get(key, "(not there)"))
    return [(key, pair) for key, pair in pairs.items() if pair[0] != pair[1]]


def _same_place(stored, wanted, folder):
    """Whether a path of a record leads where ``wanted`` does.

    A relative one, which only the first records have, began in the folder that the batch was started from: it is looked
    for from every folder around the run, since RUNS mostly lies below that one, and never from today's.
    """
    starts = Path(folder).resolve().parents
    return any(os.path.realpath(start / stored) == os.path.realpath(wanted) for start in starts)


def accuracy(folder):
    """``accuracy 0.812 ± 0.034`` from the record of a finished run; 95 % interval, half its width."""
    metrics = json.loads((Path(folder) / "metrics.json").read_text(encoding="utf-8"))
    low, high = metrics.get("accuracy_ci95") or (None, None)
    half = "" if None in (low, high) else f" ± {(high - low) / 2:.3f}"  # one episode has no interval
    return f"accuracy {metrics['accuracy_mean']:.3f}{half}"
