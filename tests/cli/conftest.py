"""Stand-ins for what lies behind the command line."""

import importlib
import sys
import types

import pytest

from acssm_lib.batch import runner
from acssm_lib.batch.runs import RunConflict
from acssm_lib.names import EMBEDDER_NAMES


@pytest.fixture
def library(monkeypatch):
    """Stand-ins for the modules behind the sub-commands; ``calls`` notes what they were given."""
    seen = types.SimpleNamespace(calls={}, failures=[], problems=[], left_out=[])

    def stand_in(name, **contents):
        room, _, module = name.partition(".")
        contents = types.SimpleNamespace(**contents)
        monkeypatch.setitem(sys.modules, f"acssm_lib.{name}", contents)
        monkeypatch.setattr(importlib.import_module(f"acssm_lib.{room}"), module, contents, raising=False)

    def load(name, path=None, *, preset):
        if path is not None and path.endswith("broken"):
            raise ValueError("dog.wav: holds NaN; record it again")
        groups = {"G1": ["a", "b"], "G2": ["c", "d"], "order": ["e", "f"]}
        sources = ["pond", None]
        return types.SimpleNamespace(name=name, groups=groups, default_groups=["G1", "order"], sources=sources)

    def require_shots(dataset, group, n_shot):
        if n_shot > 9:
            raise ValueError(f"{group}: class a has 9 clips, {n_shot} shots need more")

    def reproduce(runs, out, **where):
        seen.calls["reproduce"] = {"runs": runs, "out": out} | where
        if seen.failures == "conflict":
            raise RunConflict("RUNS/x holds a run with n_layers=2, you asked for n_layers=4")
        return seen.failures

    def write_report(runs, out):
        out.mkdir()
        (out / "report.md").write_text("| method | accuracy |")
        return [out / "report.md", out / "table.csv"]

    def find(name, path=None):
        if path is None and name != "byol-a":
            raise ValueError(f"{name} needs its published weights: acssm data weights {name}")
        return path or f"CACHE/{name}.pth"

    stand_in(
        "baselines.weights",
        find=find,
        describe=lambda: "name  MB",
        WEIGHTS=dict.fromkeys(EMBEDDER_NAMES),
        download=lambda name, to=None: seen.calls.setdefault("weights", []).append((name, to)),
    )
    stand_in(
        "data.datasets",
        load=load,
        require_shots=require_shots,
        require_readable=lambda dataset, groups, everything: seen.left_out,
    )
    stand_in("report.build", write_report=write_report)
    stand_in(
        "cli.data_check",
        check=lambda path, n_shot: seen.problems,
        format_report=lambda problems: f"{len(problems)} problems",
    )
    stand_in("cli.esc50_archive", download_esc50=lambda to, sha256=None: seen.calls.update(download=(to, sha256)))
    monkeypatch.setattr(runner, "reproduce", reproduce)
    return seen
