"""Which run a folder holds: the same one, another one, or half of one."""

import json
from pathlib import Path

import pytest
from tiny_batch import files_of, leave_run, make_notebook

from acssm_lib.batch.runner import reproduce
from acssm_lib.batch.runs import Run, RunConflict, is_finished, plan


def test_plan_keeps_the_order_and_drops_repetitions():
    names = [run.name for run in plan("esc50", ["E1", "E2"], ["supervised", "mel-stats", "supervised"], [1, 0])]
    assert names == [
        f"esc50/{group}/{method}/seed{seed}"
        for group in ("E1", "E2")
        for method in ("supervised", "mel-stats")
        for seed in (1, 0)
    ]


def test_folder_is_the_documented_one():
    assert Run("esc50", "E1", "supervised", 2).folder("RUNS") == Path("RUNS/esc50/E1/supervised/seed2")


@pytest.mark.parametrize("missing", ["notebook.ipynb", "metrics.json"])
def test_half_a_run_is_not_finished(tmp_path, missing):
    run = Run("synthetic-frogs", "good", "mel-stats", 0)
    (leave_run(run, tmp_path) / missing).unlink()
    assert not is_finished(run, tmp_path)


@pytest.mark.parametrize("finished", [True, False])
def test_other_settings_are_refused_before_anything_starts(tmp_path, finished):
    stored = Run("synthetic-frogs", "good", "mel-stats", 0, overrides={"n_layers": 2})
    folder = leave_run(stored, tmp_path, finished=finished)
    before = {name: (folder / name).read_bytes() for name in files_of(folder)}
    asked = plan("synthetic-frogs", ["aardvark", "good"], ["mel-stats"], [0], overrides={"n_layers": 4})
    with pytest.raises(RunConflict, match="holds a run with n_layers=2, you asked for n_layers=4"):
        reproduce(asked, tmp_path, notebook=make_notebook(tmp_path))
    assert {name: (folder / name).read_bytes() for name in files_of(folder)} == before
    assert not asked[0].folder(tmp_path).exists()


def test_other_preset_and_other_data_are_refused_by_name(tmp_path):
    leave_run(Run("esc50", "E1", "mel-stats", 0, data="one"), tmp_path)
    with pytest.raises(RunConflict, match="with preset=quick, you asked for preset=paper;"):
        is_finished(Run("esc50", "E1", "mel-stats", 0, preset="paper", data="one"), tmp_path)
    with pytest.raises(RunConflict, match="with data=/.*/one, you asked for data=/.*/two;"):
        is_finished(Run("esc50", "E1", "mel-stats", 0, data="two"), tmp_path)
    assert is_finished(Run("esc50", "E1", "mel-stats", 0, data="./one/"), tmp_path)


def test_a_run_of_preset_quick_best_is_one_of_quick_now(tmp_path):
    run = Run("esc50", "E1", "mel-stats", 0, data="one")
    folder = leave_run(run, tmp_path)
    for name in ("config.json", "metrics.json"):
        stored = json.loads((folder / name).read_text(encoding="utf-8"))
        stored |= {"preset": "quick-best", "settings": run.config()["settings"] | {"name": "quick-best"}}
        (folder / name).write_text(json.dumps(stored), encoding="utf-8")
    assert is_finished(run, tmp_path)


def test_a_relative_path_of_an_old_record_began_where_that_batch_was_started(tmp_path, monkeypatch):
    for place in ("here", "there"):
        (tmp_path / place / "recordings").mkdir(parents=True)
    (tmp_path / "there" / "recordings_too").mkdir()
    run = Run("esc50", "E1", "mel-stats", 0, data=str(tmp_path / "here" / "recordings"))
    folder = leave_run(run, tmp_path / "here" / "runs" / "first")
    (folder / "config.json").write_text(json.dumps(run.config() | {"data": "recordings/"}))
    monkeypatch.chdir(tmp_path / "there")  # where a folder of that name lies too
    assert is_finished(run, tmp_path / "here" / "runs" / "first")
    for other in ("recordings", "recordings_too"):
        with pytest.raises(RunConflict, match="holds a run with data=recordings/, you asked for data=/.*/there/"):
            is_finished(Run("esc50", "E1", "mel-stats", 0, data=other), tmp_path / "here" / "runs" / "first")


def test_a_run_is_given_whole_paths_wherever_it_was_planned(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (run,) = plan("esc50", ["E1"], ["hubert"], [0], data="data", weights={"hubert": "hubert.pt"})
    assert (run.data, run.weights) == (str(tmp_path / "data"), str(tmp_path / "hubert.pt"))
    assert run.parameters("runs")["data"] == run.config()["data"] == run.data


def test_a_setting_that_came_later_stood_at_its_default_in_a_finished_run(tmp_path):
    run = Run("synthetic-frogs", "good", "mel-stats", 0)
    folder, config = leave_run(run, tmp_path), run.config()
    del config["settings"]["n_members"], config["settings"]["symmetric"]
    (folder / "config.json").write_text(json.dumps(config))
    assert is_finished(run, tmp_path)
    with pytest.raises(RunConflict, match="with n_members=1, you asked for n_members=2;"):
        is_finished(Run("synthetic-frogs", "good", "mel-stats", 0, overrides={"n_members": 2}), tmp_path)


def test_the_device_reaches_the_page_and_is_no_part_of_what_a_run_is(tmp_path):
    here, there = (Run("synthetic-frogs", "good", "mel-stats", 0, device=device) for device in ("auto", "cuda:1"))
    assert there.parameters(tmp_path)["device"] == "cuda:1" and there.config() == here.config()
    assert "device" not in here.parameters(tmp_path)  # a page of one's own need not know it
    leave_run(here, tmp_path)
    assert is_finished(there, tmp_path)


def test_other_weights_are_refused_and_runs_from_before_there_were_any_count(tmp_path):
    stored = Run("esc50", "E1", "hubert", 0, data="one", weights="old.pth")
    folder = leave_run(stored, tmp_path)
    with pytest.raises(RunConflict, match="with weights=/.*/old.pth, you asked for weights=/.*/new.pth;"):
        is_finished(Run("esc50", "E1", "hubert", 0, data="one", weights="new.pth"), tmp_path)
    assert is_finished(Run("esc50", "E1", "hubert", 0, data="one", weights="./old.pth"), tmp_path)
    config = {key: value for key, value in stored.config().items() if key != "weights"}
    (folder / "config.json").write_text(json.dumps(config))
    assert is_finished(Run("esc50", "E1", "hubert", 0, data="one"), tmp_path)


def with_standardise(folder, value):
    """The run in ``folder`` as an earlier version left it."""
    for name in ("config.json", "metrics.json"):
        stored = json.loads((folder / name).read_text())
        if "settings" in stored:
            stored["settings"]["standardise"] = value
            (folder / name).write_text(json.dumps(stored))


def test_a_run_whose_standardisation_counted_padding_is_another_and_one_without_is_the_same(tmp_path):
    plain = Run("synthetic-frogs", "good", "mel-stats", 0, overrides={"standardise": "none"})
    with_standardise(leave_run(plain, tmp_path), False)
    assert is_finished(plain, tmp_path)
    scaled = Run("synthetic-frogs", "good", "mel-stats", 1)
    with_standardise(leave_run(scaled, tmp_path), True)
    with pytest.raises(RunConflict, match="standardise=band-with-padding, you asked for standardise=scale;"):
        is_finished(scaled, tmp_path)


def test_a_setting_that_is_gone_counts_only_where_it_was_set(tmp_path):
    run = Run("synthetic-frogs", "good", "mel-stats", 0)
    path = leave_run(run, tmp_path) / "config.json"

    def leave(value):
        config = run.config()
        path.write_text(json.dumps(config | {"settings": config["settings"] | {"finetune_redraw": value}}))

    leave(False)
    assert is_finished(run, tmp_path)
    leave(True)
    with pytest.raises(RunConflict, match="with finetune_redraw=True, you asked for finetune_redraw="):
        is_finished(run, tmp_path)


def test_metrics_of_other_settings_are_refused_without_config(tmp_path):
    run = Run("synthetic-frogs", "good", "mel-stats", 0)
    folder = leave_run(run, tmp_path)
    (folder / "config.json").unlink()
    (folder / "metrics.json").write_text(json.dumps({"schema": 1, "accuracy_mean": 0.5, "preset": "paper"}))
    with pytest.raises(RunConflict, match="preset=paper"):
        is_finished(run, tmp_path)
