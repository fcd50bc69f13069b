import dataclasses

import numpy as np
import pytest

from acssm_lib.data.frogs import SyntheticFrogs
from acssm_lib.experiment.measure import measure, pooled
from acssm_lib.experiment.methods import build_encoder
from acssm_lib.experiment.records import run_record
from acssm_lib.experiment.schema import check_metrics
from acssm_lib.fewshot.groups import GroupData, load_group
from acssm_lib.fewshot.protocols import splits
from acssm_lib.names import READOUTS
from acssm_lib.presets import preset
from acssm_lib.pretraining.contrastive import Pretraining

FROGS = SyntheticFrogs(n_individuals=2, clips_per_individual=3, duration_s=1.5)


@pytest.fixture
def data(bank):
    """The bank's three classes of tones, two clips per recording."""
    labels = np.repeat(np.arange(3), 4)
    return GroupData(
        bank,
        labels,
        [f"r{n // 2}" for n in range(12)],
        [f"clip{n}" for n in range(12)],
        ["low", "middle", "high"],
        np.array([], dtype=int),
    )


@pytest.fixture
def config(tiny):
    return dataclasses.replace(tiny, n_frozen_episodes=5, frozen_shots=(1, 2, 3, 10))


def test_every_readout_is_measured_on_the_same_draws(data, config, tmp_path):
    (split,) = splits(data, config, 0)
    encoder = build_encoder("supervised", data.clips, split.pool, config, 0).eval()
    measured = measure(encoder, data, split, config, 0, checkpoint=tmp_path, progress=False)
    assert list(measured) == [*((name, 2) for name in READOUTS), ("logistic", 1), ("logistic", 3)]
    assert [len(draws) for draws in measured.values()] == [2] + [5] * (len(measured) - 1)
    for key in [(name, 2) for name in READOUTS if name != "finetuned"]:
        assert [draw["support"] for draw in measured[key][:2]] == [draw["support"] for draw in measured["finetuned", 2]]
    assert all(0 <= draw["shuffled"]["accuracy"] <= 1 for draw in measured["finetuned", 2] + measured["logistic", 2])


def test_without_fine_tuning_or_frames_those_are_left_out(data, config):
    (split,) = splits(data, config, 0)
    encoder = build_encoder("supervised", data.clips, split.pool, config, 0).eval()
    frozen = measure(encoder, data, split, dataclasses.replace(config, finetuning=False), 0, progress=False)
    statistics = measure(None, data, split, config, 0, progress=False)
    assert list(frozen) == list(statistics) and ("finetuned", 2) not in frozen
    assert "shuffled" in frozen["logistic", 2][0] and "shuffled" not in statistics["logistic", 2][0]
    assert np.mean([draw["accuracy"] for draw in statistics["logistic", 2]]) > 0.9  # three tones far apart


def draw(seed, right, n_query, right_unshared=0, n_unshared=0, support=("a",)):
    return {
        "seed": seed,
        "accuracy": right / n_query,
        "n_query": n_query,
        "accuracy_unshared_sources": right_unshared / n_unshared if n_unshared else None,
        "n_query_unshared_sources": n_unshared,
        "support": list(support),
        "seconds": 1.0,
        "confusion": [[right, n_query - right], [0, 0]],
    }


def test_splits_are_pooled_query_by_query():
    parts = [{("logistic", 5): [draw(0, 3, 4, 1, 2)]}, {("logistic", 5): [draw(0, 1, 6, support=("b",))]}]
    (only,) = pooled(parts)["logistic", 5]
    assert only["accuracy"] == pytest.approx(4 / 10) and only["n_query"] == 10
    assert only["accuracy_unshared_sources"] == pytest.approx(1 / 2) and only["n_query_unshared_sources"] == 2
    assert only["support"] == ["a", "b"] and only["confusion"] == [[4, 6], [0, 0]] and only["seconds"] == 2


def record(measured, config, **changes):
    data = load_group(FROGS, "order", config, 0, progress=False)
    values = dict(
        dataset=FROGS,
        group="order",
        method="acoustic-ssm1",
        seed=0,
        config=config,
        overrides={},
        data=data,
        measured=measured,
        pretrainings=[Pretraining(30, 1000, 2.0, [1.0] * 1000)],
        parameters=7,
        device="cpu",
    )
    return run_record(**values | changes)


def test_the_record_fits_the_schema():
    config = preset("quick", n_shot=2)
    tuned = [
        draw(seed, right, 20) | {"confusion": (right * np.eye(5, dtype=int)).tolist()}
        for seed, right in ((0, 8), (1, 12))
    ]
    frozen = [each | {"shuffled": {"accuracy": 0.25, "accuracy_unshared_sources": None}} for each in tuned]
    metrics = record({("finetuned", 2): tuned, ("logistic", 2): frozen}, config)
    check_metrics(metrics)
    assert metrics["readout"] == "finetuned" and metrics["accuracy_mean"] == pytest.approx(0.5)
    assert metrics["synthetic"] is True and metrics["confusion"][0][0] == 20
    assert len(metrics["pretraining"]["losses"]) == 200 and metrics["pretraining"]["saw_query_clips"] is True
    assert metrics["labelled_clips"] == {"training": 10, "selection": 0}
    assert [(entry["name"], entry["shuffled"], entry["accuracy"]) for entry in metrics["readouts"]] == [
        ("logistic", False, [0.4, 0.6]),
        ("logistic", True, [0.25, 0.25]),
    ]
    assert len({entry["supports"] for entry in metrics["readouts"]}) == 1


def test_other_supports_have_another_digest():
    config = preset("quick", n_shot=2)
    digests = [
        record({("logistic", 2): [draw(0, 8, 20, support=names)]}, config)["readouts"][0]["supports"]
        for names in (("a", "b"), ("b", "a"), ("a", "c"))
    ]
    assert digests[0] == digests[1] != digests[2]


def test_without_fine_tuning_the_episodes_are_the_first_frozen_draws():
    config = preset("quick", n_shot=2, n_episodes=2, protocol="inductive-clip")
    metrics = record({("logistic", 2): [draw(n, n, 20) for n in range(4)]}, config, pretrainings=[])
    assert metrics["readout"] == "logistic" and [episode["seed"] for episode in metrics["episodes"]] == [0, 1]
    assert metrics["protocol"] == "inductive-clip" and metrics["pretraining"]["saw_query_clips"] is False


def test_a_record_adds_up_its_splits_and_keeps_what_a_loss_ended_at():
    config = preset("quick", n_shot=2)
    tuned = [draw(0, 8, 20, 3, 9) | {"seconds": 1.5}, draw(1, 12, 20), draw(2, 13, 20, 6, 9)]
    losses = [0.123456, *range(1, 399), 2.25, 4.25]
    metrics = record(
        {("finetuned", 2): tuned},
        config,
        pretrainings=[Pretraining(30, 400, 2.0, losses), Pretraining(28, 50, 1.25, [9.0] * 40 + [7.0] * 10)],
    )
    kept = metrics["pretraining"].pop("losses")
    assert metrics["pretraining"] == {
        "clips": 30,
        "steps": 450,
        "seconds": 3.25,
        "saw_query_clips": True,
        "final_loss": pytest.approx((np.mean(losses[-10:]) + 7.0) / 2),
    }
    assert kept == [0.1235, *losses[3::3]] and len(kept) == 134  # every third of 401: at most two hundred
    assert metrics["finetuning"] == {"seconds": 3.5}
    assert metrics["accuracy_unshared_sources_mean"] == pytest.approx((3 / 9 + 6 / 9) / 2)
    low, high = metrics["accuracy_ci95"]
    assert low < metrics["accuracy_mean"] < high and metrics["accuracy_mean"] == pytest.approx(33 / 60)
    assert low + high == pytest.approx(2 * 33 / 60) and metrics["confusion"][0] == [33, 27]
    assert not {"confusion", "shuffled"} & set(metrics["episodes"][0]) and metrics["readouts"] == []
    assert (metrics["n_way"], metrics["n_shot"], metrics["parameters"], metrics["device"]) == (5, 2, 7, "cpu")


def test_a_single_draw_has_the_interval_of_its_queries_and_accuracies_have_six_digits():
    config = preset("quick", n_shot=2)
    metrics = record({("logistic", 2): [draw(0, 2, 3, 1, 3)]}, config, pretrainings=[])
    low, high = metrics["accuracy_ci95"]
    assert (low, high) == pytest.approx((0.2077, 0.9385), abs=1e-4)  # Wilson's, of two in three
    assert metrics["pretraining"] == {
        "clips": 0,
        "steps": 0,
        "seconds": 0.0,
        "final_loss": None,
        "saw_query_clips": False,
        "losses": [],
    }
    (entry,) = metrics["readouts"]
    assert entry["accuracy"] == [0.666667] and entry["accuracy_unshared_sources"] == [0.333333]
    assert (entry["seeds"], entry["n_query"], entry["n_query_unshared_sources"]) == ([0], [3], [3])
