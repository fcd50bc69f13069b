"""Tables and the report over records, old and new."""

import copy
import math
import re

import numpy as np
import pandas as pd
import pytest

from acssm_lib.experiment import records
from acssm_lib.presets import PRESETS
from acssm_lib.report import beside_paper, blocks, build, figures, readings, tables, words

CLASSES = ["rain", "dog", "clock", "rooster", "saw"]


def record(group="G1", method="supervised", seed=0, accuracies=(0.5, 0.6, 0.7), **changes):
    """A valid metrics record; each episode has its own support, the same for every method."""
    episodes = [
        {
            "seed": draw,
            "accuracy": accuracy,
            "n_query": 175,
            "accuracy_unshared_sources": accuracy - 0.05,
            "n_query_unshared_sources": 160,
            "support": [f"clip{draw}-{k}" for k in range(25)],
        }
        for draw, accuracy in enumerate(accuracies)
    ]
    return {
        "schema": 1,
        "dataset": "synthetic-frogs",
        "group": group,
        "classes": CLASSES,
        "method": method,
        "preset": "quick",
        "seed": seed,
        "n_way": 5,
        "n_shot": 5,
        "episodes": episodes,
        "accuracy_mean": float(np.mean(accuracies)),
        "accuracy_ci95": [0.1, 0.9],
        "accuracy_unshared_sources_mean": float(np.mean(accuracies)) - 0.05,
        "pretraining": {
            "clips": 200,
            "steps": 100,
            "seconds": 12.0,
            "final_loss": 1.5,
            "saw_query_clips": method == "acoustic-ssm1",
        },
        "finetuning": {"seconds": 3.0},
        "parameters": 1234,
        "versions": {"acssm_lib": "0.1.0", "torch": "2.11.0"},
        "synthetic": True,
        "confusion": (10 * np.eye(5, dtype=int)).tolist(),
        "settings": PRESETS["quick"].as_dict(),
        "labelled_clips": {"training": 25, "selection": 0},
        **changes,
    }


def write_grid(folder, runs):
    for run in runs:
        place = folder / run["dataset"] / run.get("protocol", "") / run["group"] / run["method"]
        records.write_metrics(place / f"seed{run['seed']}" / "metrics.json", run)


def test_table_averages_seeds_and_shows_their_spread():
    runs = [record(seed=0, accuracies=(0.5, 0.7)), record(seed=1, accuracies=(0.7, 0.9))]
    row = tables.comparison_table(runs).iloc[0]
    assert (row.accuracy, row.accuracy_seed_low, row.accuracy_seed_high) == pytest.approx((0.7, 0.6, 0.8))
    assert (row.seeds, row.n_episodes, row.n_draws, row.chance) == ("0,1", 4, 2, 0.2)
    # The seeds share their two supports, so the interval is over two draws, 0.6 and 0.8, not over four.
    assert (row.accuracy_low, row.accuracy_high) == (0.0, 1.0)
    assert row.unshared == pytest.approx(0.65)


def test_queries_without_unshared_sources_are_left_out_of_that_mean():
    run = record(accuracies=(0.5, 0.7))
    run["episodes"][0].update(accuracy_unshared_sources=None, n_query_unshared_sources=0)
    row = tables.comparison_table([run]).iloc[0]
    assert row.unshared == pytest.approx(0.65)
    run["episodes"][1].update(accuracy_unshared_sources=None, n_query_unshared_sources=0)
    assert math.isnan(tables.comparison_table([run]).iloc[0].unshared)


def test_paired_difference_with_known_answer():
    runs = [
        record(method="acoustic-ssm1", accuracies=(0.6, 0.8, 0.7)),
        record(method="supervised", accuracies=(0.5, 0.6, 0.6)),
    ]
    frame = tables.paired_differences(runs)
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
        tables.paired_differences(runs)
    del runs[1]["episodes"][2]["support"]
    with pytest.raises(ValueError, match="not recorded"):
        tables.paired_differences(runs)


SHUFFLED = "acoustic-ssm1, frames shuffled at test"


def test_every_readout_has_its_own_row(synthetic_records):
    table = tables.comparison_table(synthetic_records(("G1",), ("mel-stats", "acoustic-ssm1"), seeds=(0, 1)))
    rows = table[table["method"].str.startswith("acoustic")].set_index(["method", "readout", "n_shot"])
    assert set(rows.index) == {
        ("acoustic-ssm1", "finetuned", 5),
        ("acoustic-ssm1", "logistic", 1),
        ("acoustic-ssm1", "logistic", 5),
        ("acoustic-ssm1", "nearest-mean", 5),
        (SHUFFLED, "logistic", 5),
        (SHUFFLED, "finetuned", 5),
    }
    assert rows["n_draws"].tolist() == [6 if readout == "finetuned" else 80 for _, readout, _ in rows.index]
    assert set(table["protocol"]) == {"transductive"}


def test_mel_statistics_stand_in_every_table_on_the_draws_of_the_others(synthetic_records):
    runs = synthetic_records(("G1",), ("mel-stats", "acoustic-ssm1"))
    draws = {
        readout: set(tables.comparison_table(runs, readout)["n_draws"])
        for readout in ("finetuned", "logistic", "nearest-mean")
    }
    assert draws == {"finetuned": {3}, "logistic": {40}, "nearest-mean": {40}}
    assert set(tables.comparison_table(runs, "logistic")["method"]) == {"mel-stats", "acoustic-ssm1", SHUFFLED}


def test_average_is_over_groups_of_the_mean_over_seeds():
    runs = [
        record("G1", seed=0, accuracies=(0.5,)),
        record("G1", seed=1, accuracies=(0.7,)),
        record("G2", seed=0, accuracies=(0.9,)),
    ]
    row = tables.average_table(runs).iloc[0]
    assert (row.accuracy, row.n_groups, row.n_cells) == (pytest.approx(0.75), 2, 3)
    assert row.accuracy_half == pytest.approx(4.302653 * np.std([0.5, 0.7, 0.9], ddof=1) / math.sqrt(3), abs=1e-6)
    assert math.isnan(row.accuracy_groups_half)  # two groups say nothing about others
    assert math.isnan(row.accuracy_seed_low)  # one seed alone has both groups


def test_difference_over_groups_and_seeds_with_known_answer():
    gaps = {("G1", 0): 0.1, ("G1", 1): 0.2, ("G2", 0): 0.1, ("G2", 1): 0.4, ("G3", 0): 0.3, ("G3", 1): 0.4}
    runs = [
        record(group, method, seed, (0.4 + gap * (method == "acoustic-ssm1"),) * 2)
        for (group, seed), gap in gaps.items()
        for method in ("supervised", "acoustic-ssm1")
    ]
    row = tables.average_differences(runs, [("acoustic-ssm1", "supervised")]).iloc[0]
    assert (row.difference, row.n_cells, row.n_groups) == (pytest.approx(0.25), 6, 3)
    assert row.half == pytest.approx(2.570582 * np.std(list(gaps.values()), ddof=1) / math.sqrt(6), abs=1e-6)
    assert row.groups_half == pytest.approx(4.302653 * 0.1 / math.sqrt(3), abs=1e-6)  # of 0.15, 0.25 and 0.35
    assert row.holm_p == row.p


def test_readouts_are_paired_by_their_digest(synthetic_records):
    runs = synthetic_records(("G1",), ("supervised", "acoustic-ssm1"))
    pairs = [("acoustic-ssm1", "supervised"), ("acoustic-ssm1", SHUFFLED)]
    frame = tables.paired_differences(runs, pairs)
    assert frame.groupby("readout")["n_episodes"].apply(set).to_dict() == {"finetuned": {3}, "logistic": {40}}
    ours, theirs = (next(entry for entry in run["readouts"] if entry["n_shot"] == 5) for run in reversed(runs))
    row = frame[(frame["readout"] == "logistic") & (frame["baseline"] == "supervised")].iloc[0]
    assert row.difference == pytest.approx(np.mean(np.subtract(ours["accuracy"], theirs["accuracy"])))
    for entry in runs[0]["readouts"]:
        entry["supports"] = "0" * 16
    with pytest.raises(ValueError, match="G1, seed 0, logistic: acoustic-ssm1 and supervised cannot be paired"):
        tables.paired_differences(runs, pairs)
    refused = []
    assert len(tables.paired_differences(runs, pairs, refused)) == 3 and len(refused) == 1


def test_blocks_do_not_mix_protocols_presets_or_shots(synthetic_records):
    runs = [
        run
        for changes in ({}, {"protocol": "inductive-clip"}, {"preset": "quick"}, {"n_shot": 10})
        for run in synthetic_records(("G1",), n_frozen=3, **changes)
    ]
    assert [block.name for block in blocks.blocks(runs)] == [
        "esc50_paper_transductive",
        "esc50_paper_transductive_10-shot",
        "esc50_paper_inductive-clip",
        "esc50_quick_transductive",
    ]


def test_report_on_a_grid_with_a_hole(tmp_path):
    grid = [
        ("G2", "supervised", (0.5, 0.6, 0.55)),
        ("G2", "acoustic-ssm1", (0.7, 0.8, 0.75)),
        ("G2", "mel-stats", (0.7, 0.9, 0.8)),
        ("G10", "acoustic-ssm1", (0.6, 0.7, 0.8)),
        ("G10", "supervised", (0.7, 0.6, 0.6)),
    ]
    write_grid(tmp_path / "runs", [record(*cell[:2], accuracies=cell[2]) for cell in grid])
    (tmp_path / "runs/synthetic-frogs/G10/mel-stats/seed0").mkdir(parents=True)
    files = build.write_report(tmp_path / "runs", tmp_path / "out")
    assert [file.name for file in files] == [
        "report.md",
        "report.csv",
        "averages.csv",
        "differences.csv",
        *(
            f"synthetic-frogs_quick_transductive_{name}.png"
            for name in ("accuracy", "differences", "cost", "confusion")
        ),
    ]
    assert sorted(files) == sorted((tmp_path / "out").iterdir())
    text = files[0].read_text(encoding="utf-8")
    assert "SYNTHETIC recordings: says nothing about real frogs" in text
    assert "G10 has no finished run of mel-stats." in text
    assert "synthetic-frogs/G10/mel-stats/seed0: unfinished" in text
    assert "never compared with the paper's" in text and "Those are real calls and not public" in text
    rows = [
        [cell.strip() for cell in line.split("|")[1:5]]
        for line in text.splitlines()
        if line.startswith(("| chance", "| mel-stats (", "| supervised ("))
    ]
    assert rows[:3] == [
        ["chance", "20.0", "20.0", "20.0"],
        ["mel-stats (logistic regression)", "80.0 ± 24.8", "–", "– (1 of 2)"],
        ["supervised (random encoder, fine-tuned)", "55.0 ± 12.4", "63.3 ± 14.3", "59.2"],
    ]
    assert "| acoustic-ssm1 − supervised | **+20.0 ± 0.0** | +6.7 ± 37.9 | +13.3 | 2 |" in text
    assert "encoders, G2: pre-training helps (acoustic-ssm1) (+20.0 [+20.0, +20.0]); G10: not shown that pre-tr" in text
    assert str(tmp_path) not in text
    both = pd.read_csv(tmp_path / "out/differences.csv")
    assert both["over"].value_counts().to_dict() == {"draws": 4, "groups and seeds": 3}


def test_report_of_many_methods_protocols_and_readouts(synthetic_records):
    means = {"mel-stats": 0.70, "supervised": 0.55, "acoustic-ssm1": 0.70, "acoustic-ssm2": 0.65}
    methods = ("mel-stats", "supervised", "adapted-cnn", "acoustic-ssm1", "acoustic-ssm2")
    text = words.page(
        blocks.blocks(
            [
                run
                for protocol in ("transductive", "inductive-recording")
                for run in synthetic_records(("E1", "E2"), methods, (0, 1, 2), means, preset="quick", protocol=protocol)
            ]
        ),
        [],
    )
    assert text.count("| random encoder, frozen |") == 8  # two readouts, two kinds of queries, two protocols
    assert "| acoustic-ssm1, frames shuffled at test |" in text and "## Protocols side by side" in text
    assert "Inductive by recording: the clips that are asked, and all others cut from their recordings" in text
    assert "Protocol not run: inductive-clip." in text
    assert "averages over its ten groups of ESC-50 are AcousticSSM1 78.0, AcousticSSM2 74.4" in text


def test_figures_of_a_batch_with_frozen_readouts(tmp_path, synthetic_records):
    block = blocks.blocks(synthetic_records(("G1", "G2"), ("mel-stats", "acoustic-ssm1"), (0, 1)))[0]
    files = figures.draw(block, tmp_path)
    assert [file.name.removeprefix("esc50_paper_transductive_") for file in files] == [
        "accuracy.png",
        "differences.png",
        "shots.png",
        "cost.png",
        "confusion.png",
    ]
    methods = ("mel-stats", *(f"other{number}" for number in range(6)))
    many = synthetic_records(("G1", "G2"), methods, n_frozen=1, shots=())
    assert [name for name, _ in figures._confusions(blocks.blocks(many)[0], "")] == ["G1_confusion", "G2_confusion"]


def test_titles_of_a_single_group_lie_within_their_figure(synthetic_records):
    """The demo's figure is a narrow one, and says in its title what ran."""
    one = synthetic_records(("G1",), ("mel-stats", "acoustic-ssm1"), (0, 1))
    block, where = blocks.blocks(one)[0], "synthetic-phrases, preset quick, transductive, 5 shots, synthetic recordings"
    drawn = [
        figures._accuracy(block, where),
        figures._shots(block, where),
        figures._cost(block, where),
        *figures._confusions(block, where),
    ]
    for name, fig in filter(None, drawn):
        fig.canvas.draw()
        titles = [fig._suptitle, *(title for ax in fig.axes for title in (ax.title, ax._left_title))]
        for title in filter(None, titles):
            assert title.get_window_extent().x1 <= fig.bbox.x1, (name, title.get_text())


@pytest.mark.parametrize(
    "cut",
    [lambda runs: runs[:1], lambda runs: runs[1:2], lambda runs: [runs[0], runs[3]], lambda runs: runs[:2] + runs[5:6]],
)
def test_whatever_is_there_makes_a_report(tmp_path, synthetic_records, cut):
    runs = cut(synthetic_records(("G1", "G2"), ("mel-stats", "supervised", "acoustic-ssm1"), n_episodes=1, n_frozen=1))
    for run in runs:
        if run["method"] == "acoustic-ssm1":  # frozen readouts alone
            frozen = [entry for entry in run["readouts"] if entry["name"] != "finetuned"]
            run.update(readout="logistic", readouts=frozen)
    write_grid(tmp_path / "runs", runs)
    text = build.write_report(tmp_path / "runs", tmp_path / "out")[0].read_text(encoding="utf-8")
    assert "| chance | 20.0 |" in text and not re.search(r"\bnan\b", text)


def test_report_says_when_runs_differ_in_their_settings_or_supports(tmp_path):
    ours, theirs = record(method="acoustic-ssm1"), copy.deepcopy(record(method="supervised"))
    theirs["settings"]["finetune_epochs"] = 3
    theirs["episodes"][0]["support"][0] = "stranger"
    write_grid(tmp_path, [ours, theirs])
    text = build.write_report(tmp_path, tmp_path / "out")[0].read_text(encoding="utf-8")
    assert "Not like for like: these runs differ in finetune_epochs." in text
    assert "their supports differ" in text and "No two of the compared methods" in text


def test_a_record_of_an_earlier_version_stands_beside_today_s_unless_its_standardisation_counted_padding(tmp_path):
    today, before = record(method="acoustic-ssm1"), copy.deepcopy(record(method="supervised"))
    for now, then, differ in (("none", False, False), ("scale", True, True)):
        today["settings"] = today["settings"] | {"standardise": now}
        before["settings"]["standardise"] = then
        write_grid(tmp_path / now, [today, before])
        text = build.write_report(tmp_path / now, tmp_path / "out")[0].read_text(encoding="utf-8")
        assert ("Not like for like: these runs differ in standardise." in text) == differ


def variants(folder, changes, **others):
    """Records of one name, method and seed with other settings, in folders of their own, and what the report reads."""
    for place, change in enumerate(changes):
        run = record(method="acoustic-ssm1", accuracies=(0.5 + 0.1 * place,) * 3, overrides=change, **others)
        run["settings"] = run["settings"] | change
        write_grid(folder / str(place), [run])
    runs, problems = readings.read_runs(folder)
    assert problems == []
    return runs


LONG = {"pretrain_epochs": 12, "pretrain_lr": 0.0123, "finetune_epochs": 17, "finetune_lr": 0.0456, "n_layers": 3}


def test_runs_of_other_settings_have_a_table_of_their_own_that_names_them(tmp_path, monkeypatch):
    changes = [
        {"n_members": 3},
        {},
        {"n_members": 3, "frozen_shots": [1, 5]},
        LONG,
        LONG | {"temperature": 9.0},
        LONG | {"temperature": 9.5},
    ]
    found = blocks.blocks(variants(tmp_path / "runs", changes))
    assert len(found) == 6 and len({block.name.lower() for block in found}) == 6
    assert {"", "n_members=3", "n_members=3, frozen_shots=1,5"} < {block.variant for block in found}
    assert all(len(block.runs) == 1 and len(block.name) < 160 for block in found)
    monkeypatch.setattr(figures, "draw", lambda block, out: [])  # seconds each, and named after the block
    files = build.write_report(tmp_path / "runs", tmp_path / "out")
    text = files[0].read_text(encoding="utf-8")
    assert "5 shots, with n_members=3\n" in text and "temperature=9.5" in text
    table = pd.read_csv(tmp_path / "out/report.csv", keep_default_na=False)
    assert dict(zip(table["variant"], table["accuracy"].round(2)))["n_members=3"] == 0.5  # the first of the six
    assert sorted(table["accuracy"].round(2)) == [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def test_a_setting_that_came_later_stood_at_its_default_in_a_record(tmp_path):
    old, same, other = (record(method="acoustic-ssm1") for _ in range(3))
    old["settings"] = {key: value for key, value in old["settings"].items() if key != "n_members"}
    other["settings"] = other["settings"] | {"n_members": 3}
    for place, run in enumerate((old, same, other)):
        write_grid(tmp_path / str(place), [run])
    runs, problems = readings.read_runs(tmp_path)
    assert [run.get("variant") for run in runs] == [None, "n_members=3"]
    assert len(problems) == 1 and "left out, another file describes the same run" in problems[0]


def test_a_group_that_has_run_with_other_settings_alone_stands_in_their_table(tmp_path):
    variants(tmp_path, [{}, {"n_members": 3}])
    only = record(group="G2", method="acoustic-ssm1", overrides={"n_members": 3})
    only["settings"] = only["settings"] | {"n_members": 3}
    write_grid(tmp_path / "only", [only])
    found = blocks.blocks(readings.read_runs(tmp_path)[0])
    assert {block.variant: blocks.groups_of(block) for block in found} == {"": ["G1"], "n_members=3": ["G1", "G2"]}


def test_groups_that_the_paper_does_not_have_leave_the_comparison_of_the_ten_as_it_is(synthetic_records):
    methods, ten = ("supervised", "acoustic-ssm1"), [f"G{number}" for number in range(1, 11)]
    together = blocks.blocks(synthetic_records((*ten, "E1", "E2"), methods, n_frozen=2))
    alone = blocks.blocks(synthetic_records(ten, methods, n_frozen=2))
    assert "Table I, beside ours" in "\n".join(beside_paper.paper_comparison(alone[0]))
    assert beside_paper.paper_comparison(together[0]) == beside_paper.paper_comparison(alone[0])


def test_report_without_a_finished_run(tmp_path):
    (tmp_path / "esc50/G1/supervised/seed0").mkdir(parents=True)
    with pytest.raises(ValueError, match="no finished run.*\n.*seed0: unfinished"):
        build.write_report(tmp_path, tmp_path / "out")
