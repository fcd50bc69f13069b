import copy
import json
import math

import numpy as np
import pytest

from acssm_lib import results
from acssm_lib.presets import PRESETS

CLASSES = ["rain", "dog", "clock", "rooster", "saw"]


def record(group="G1", method="supervised", seed=0, accuracies=(0.5, 0.6, 0.7), **changes):
    """A valid metrics record; each episode has its own support, the same for every method."""
    episodes = [{"seed": draw, "accuracy": accuracy, "n_query": 175, "accuracy_unshared_sources": accuracy - 0.05,
                 "n_query_unshared_sources": 160, "support": [f"clip{draw}-{k}" for k in range(25)]}
                for draw, accuracy in enumerate(accuracies)]
    return {
        "schema": 1, "dataset": "synthetic-frogs", "group": group, "classes": CLASSES, "method": method,
        "preset": "quick", "seed": seed, "n_way": 5, "n_shot": 5, "episodes": episodes,
        "accuracy_mean": float(np.mean(accuracies)), "accuracy_ci95": [0.1, 0.9],
        "accuracy_unshared_sources_mean": float(np.mean(accuracies)) - 0.05,
        "pretraining": {"clips": 200, "steps": 100, "seconds": 12.0, "final_loss": 1.5,
                        "saw_query_clips": method == "acoustic-ssm1"},
        "finetuning": {"seconds": 3.0}, "parameters": 1234, "versions": {"acssm_lib": "0.1.0", "torch": "2.11.0"},
        "synthetic": True, "confusion": (10 * np.eye(5, dtype=int)).tolist(), "settings": PRESETS["quick"].as_dict(),
        "labelled_clips": {"training": 25, "selection": 0}, **changes}


def write_grid(folder, runs):
    for run in runs:
        results.write_metrics(folder / run["dataset"] / run["group"] / run["method"] / f"seed{run['seed']}"
                              / "metrics.json", run)


def test_interval_is_students_t_over_draws():
    mean, (low, high) = results.mean_interval([0.4, 0.5, 0.6])
    half = 4.302653 * 0.1 / math.sqrt(3)  # t(0.975, 2 degrees of freedom), sd 0.1
    assert (mean, low, high) == pytest.approx((0.5, 0.5 - half, 0.5 + half), abs=1e-6)


def test_interval_stays_between_zero_and_one():
    assert results.mean_interval([0.9, 1.0])[1] == (pytest.approx(0.95 - 12.7062 * 0.05, abs=1e-4), 1.0)


def test_one_draw_has_a_binomial_interval_only_with_its_count():
    assert results.mean_interval([0.5]) == (0.5, None)
    mean, (low, high) = results.mean_interval([0.5], n_query=100)
    assert (low, high) == pytest.approx((0.4038, 0.5962), abs=1e-4)  # Wilson, 50 of 100
    with pytest.raises(ValueError, match="at least one"):
        results.mean_interval([])


@pytest.mark.parametrize("spoil, message", [
    (lambda run: run.pop("parameters"), "parameters is missing"),
    (lambda run: run["pretraining"].pop("steps"), r"pretraining\.steps is missing"),
    (lambda run: run["episodes"][1].pop("n_query"), r"episodes\[1\]\.n_query is missing"),
    (lambda run: run.update(accuracy_mean=67.0), "accuracy_mean is 67.0, expected a number from 0 to 1"),
    (lambda run: run.update(seed=True), "seed is True, expected int"),
    (lambda run: run.update(episodes=[]), "episodes is empty"),
    (lambda run: run.update(schema=2), "schema 2"),
])
def test_a_bad_record_is_refused_by_key_and_not_written(tmp_path, spoil, message):
    run = record()
    spoil(run)
    with pytest.raises(ValueError, match=message):
        results.write_metrics(tmp_path / "metrics.json", run)
    assert not list(tmp_path.iterdir())


def test_reading_a_half_finished_folder(tmp_path):
    write_grid(tmp_path, [record("G10"), record("G2"), record("G2", "mel-stats"), record("G2", "acoustic-ssm1")])
    (tmp_path / "synthetic-frogs/G2/adapted-cnn/seed0").mkdir(parents=True)
    (tmp_path / "synthetic-frogs/G2/adapted-cnn/seed1").mkdir()
    (tmp_path / "synthetic-frogs/G2/adapted-cnn/seed1/metrics.json").write_text('{"schema": 1,')
    (tmp_path / "copy/seed0").mkdir(parents=True)
    (tmp_path / "copy/seed0/metrics.json").write_text(json.dumps(record("G2")))
    runs, problems = results.read_runs(tmp_path)
    assert [(run["group"], run["method"]) for run in runs] == [
        ("G2", "mel-stats"), ("G2", "supervised"), ("G2", "acoustic-ssm1"), ("G10", "supervised")]
    assert len(problems) == 3
    assert "adapted-cnn/seed0: unfinished" in problems[0]
    assert "adapted-cnn/seed1/metrics.json" in problems[1] and "same run" in problems[2]


def test_table_averages_seeds_and_shows_their_spread():
    runs = [record(seed=0, accuracies=(0.5, 0.7)), record(seed=1, accuracies=(0.7, 0.9))]
    row = results.comparison_table(runs).iloc[0]
    assert (row.accuracy, row.accuracy_seed_low, row.accuracy_seed_high) == pytest.approx((0.7, 0.6, 0.8))
    assert (row.seeds, row.n_episodes, row.n_draws, row.chance) == ("0,1", 4, 2, 0.2)
    # The seeds share their two supports, so the interval is over two draws, 0.6 and 0.8, not over four.
    assert (row.accuracy_low, row.accuracy_high) == (0.0, 1.0)
    assert row.unshared == pytest.approx(0.65)


def test_queries_without_unshared_sources_are_left_out_of_that_mean():
    run = record(accuracies=(0.5, 0.7))
    run["episodes"][0].update(accuracy_unshared_sources=None, n_query_unshared_sources=0)
    row = results.comparison_table([run]).iloc[0]
    assert row.unshared == pytest.approx(0.65)
    run["episodes"][1].update(accuracy_unshared_sources=None, n_query_unshared_sources=0)
    assert math.isnan(results.comparison_table([run]).iloc[0].unshared)


def test_paired_difference_with_known_answer():
    runs = [record(method="acoustic-ssm1", accuracies=(0.6, 0.8, 0.7)),
            record(method="supervised", accuracies=(0.5, 0.6, 0.6))]
    frame = results.paired_differences(runs)
    assert len(frame) == 1
    row = frame.iloc[0]
    half = 4.302653 * np.std([0.1, 0.2, 0.1], ddof=1) / math.sqrt(3)
    expected = (0.4 / 3, 0.4 / 3 - half, 0.4 / 3 + half)
    assert (row.difference, row.low, row.high) == pytest.approx(expected, abs=1e-6)
    assert row.unshared_difference == pytest.approx(0.4 / 3)


def test_episodes_with_other_supports_are_not_paired():
    runs = [record(method="acoustic-ssm1"), record(method="supervised")]
    runs[1]["episodes"][2]["support"][0] = "stranger"
    with pytest.raises(ValueError, match=r"G1, seed 0, episode 2.*supports differ \(clip2-0, stranger\)"):
        results.paired_differences(runs)
    del runs[1]["episodes"][2]["support"]
    with pytest.raises(ValueError, match="not recorded"):
        results.paired_differences(runs)


def test_report_on_a_grid_with_a_hole(tmp_path):
    grid = [("G2", "supervised", (0.5, 0.6, 0.55)), ("G2", "acoustic-ssm1", (0.7, 0.8, 0.75)),
            ("G2", "mel-stats", (0.7, 0.9, 0.8)), ("G10", "acoustic-ssm1", (0.6, 0.7, 0.8)),
            ("G10", "supervised", (0.7, 0.6, 0.6))]
    write_grid(tmp_path / "runs", [record(*cell[:2], accuracies=cell[2]) for cell in grid])
    (tmp_path / "runs/synthetic-frogs/G10/mel-stats/seed0").mkdir(parents=True)
    files = results.write_report(tmp_path / "runs", tmp_path / "out")
    assert [file.name for file in files] == [
        "report.md", "report.csv", "differences.csv", "synthetic-frogs_quick_accuracy.png",
        "synthetic-frogs_quick_differences.png", "synthetic-frogs_quick_confusion.png"]
    assert sorted(files) == sorted((tmp_path / "out").iterdir())
    text = files[0].read_text(encoding="utf-8")
    assert "SYNTHETIC recordings: says nothing about real frogs" in text
    assert "G10 has no finished run of mel-stats." in text
    assert "synthetic-frogs/G10/mel-stats/seed0: unfinished" in text
    assert "- G2: pre-training helps: +0.200 [+0.200, +0.200], the interval excludes zero" in text
    assert "- G10: not shown that pre-training helps: +0.067" in text
    assert "never compared with the paper's" in text and "Transductive: " in text
    rows = [line for line in text.splitlines() if line.startswith("| G")]
    assert [tuple(cell.strip() for cell in row.split("|")[1:3]) for row in rows] == [
        ("G2", "mel-stats"), ("G2", "supervised"), ("G2", "acoustic-ssm1"),
        ("G10", "supervised"), ("G10", "acoustic-ssm1")]
    assert "0.550 [0.426, 0.674]" in rows[1]  # 4.3027 * 0.05 / sqrt(3) = 0.124
    assert str(tmp_path) not in text


def test_report_says_when_runs_differ_in_their_settings_or_supports(tmp_path):
    ours, theirs = record(method="acoustic-ssm1"), copy.deepcopy(record(method="supervised"))
    theirs["settings"]["finetune_epochs"] = 3
    theirs["episodes"][0]["support"][0] = "stranger"
    write_grid(tmp_path, [ours, theirs])
    text = results.write_report(tmp_path, tmp_path / "out")[0].read_text(encoding="utf-8")
    assert "Not like for like: these runs differ in finetune_epochs." in text
    assert "their supports differ" in text and "No two of the compared methods" in text


def test_report_without_a_finished_run(tmp_path):
    (tmp_path / "esc50/G1/supervised/seed0").mkdir(parents=True)
    with pytest.raises(ValueError, match="no finished run.*\n.*seed0: unfinished"):
        results.write_report(tmp_path, tmp_path / "out")
