"""Records in and out, and the draws in them."""

import json

import numpy as np
import pytest

from acssm_lib.experiment.records import supports_digest, write_metrics
from acssm_lib.experiment.schema import check_metrics
from acssm_lib.report.readings import method_rank, protocol, read_runs, readings


@pytest.fixture
def run(synthetic_records):
    return synthetic_records(("G1",), ("acoustic-ssm1",))[0]


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda run: run.pop("parameters"), r"record must contain \['parameters'\]"),
        (lambda run: run["pretraining"].pop("steps"), r"record\.pretraining must contain \['steps'\]"),
        (lambda run: run["episodes"][1].pop("n_query"), r"record\.episodes\[1\] must contain \['n_query'\]"),
        (
            lambda run: run.update(accuracy_mean=67.0),
            "record.accuracy_mean must be smaller than or equal to 1, it is 67.0",
        ),
        (lambda run: run["finetuning"].update(seconds=float("inf")), "record.finetuning.seconds must be smaller"),
        (lambda run: run["finetuning"].update(seconds=float("nan")), "not JSON compliant"),
        (lambda run: run.update(seed=True), "record.seed must be integer, it is True"),
        (lambda run: run.update(episodes=[]), r"record\.episodes must contain at least 1 items"),
        (lambda run: run.update(schema=2), "record.schema must be same as const definition: 1, it is 2"),
        (lambda run: run.update(protocol="fair"), r"record\.protocol must be one of \['transductive'.*it is 'fair'"),
        (lambda run: run["readouts"][0].update(name="svm"), r"record\.readouts\[0\]\.name must be one of"),
        (lambda run: run["readouts"][2]["accuracy"].pop(), r"record\.readouts\[2\] needs one value per draw"),
        (
            lambda run: run["readouts"][1]["accuracy"].__setitem__(0, 70.0),
            r"record\.readouts\[1\]\.accuracy\[0\] must be",
        ),
        (lambda run: run["readouts"][1].pop("supports"), r"record\.readouts\[1\] must contain \['supports'\]"),
    ],
)
def test_a_bad_record_is_refused_by_key_and_not_written(tmp_path, run, spoil, message):
    spoil(run)
    with pytest.raises(ValueError, match=message):
        write_metrics(tmp_path / "metrics.json", run)
    assert not list(tmp_path.iterdir())


def test_a_record_of_the_first_version_is_transductive_and_fine_tuned(run):
    for key in ("protocol", "readout", "readouts"):
        del run[key]
    check_metrics(run)
    assert protocol(run) == "transductive"
    assert [reading.readout for reading in readings(run)] == ["finetuned"]
    assert [reading.readout for reading in readings(run | {"method": "mel-stats"})] == ["logistic"]


def test_reading_a_half_finished_folder(tmp_path, synthetic_records):
    made = synthetic_records(("G10", "G2"), ("acoustic-ssm1", "mel-stats"), n_frozen=2)
    other = synthetic_records(("G2",), ("mel-stats",), n_frozen=2, protocol="inductive-clip")
    for number, record in enumerate([*made, *other]):
        write_metrics(tmp_path / f"anywhere/{number}/metrics.json", record)
    (tmp_path / "esc50/G2/adapted-cnn/seed0").mkdir(parents=True)
    (tmp_path / "esc50/G2/adapted-cnn/seed1").mkdir()
    (tmp_path / "esc50/G2/adapted-cnn/seed1/metrics.json").write_text('{"schema": 1,')
    (tmp_path / "copy/seed0").mkdir(parents=True)
    (tmp_path / "copy/seed0/metrics.json").write_text(json.dumps(made[0]))
    (tmp_path / "seed2").mkdir()
    (tmp_path / "seed2/metrics.json").write_text(json.dumps(made[0] | {"accuracy_mean": float("nan")}))
    runs, problems = read_runs(tmp_path)
    assert [(run["protocol"], run["group"], run["method"]) for run in runs] == [
        ("transductive", "G2", "mel-stats"),
        ("transductive", "G2", "acoustic-ssm1"),
        ("transductive", "G10", "mel-stats"),
        ("transductive", "G10", "acoustic-ssm1"),
        ("inductive-clip", "G2", "mel-stats"),
    ]
    assert len(problems) == 4 and problems.pop() == "seed2/metrics.json: left out, holds NaN, which is not JSON"
    assert "adapted-cnn/seed0: unfinished" in problems[0]
    assert "same run" in "".join(problems) and "adapted-cnn/seed1/metrics.json" in "".join(problems)


def test_digest_tells_supports_apart_but_not_their_order():
    digest = supports_digest([["a", "b"], ["c", "d"]])
    assert len(digest) == 16 and int(digest, 16)
    assert digest == supports_digest([["b", "a"], ["d", "c"]])
    assert digest not in (supports_digest([["c", "d"], ["a", "b"]]), supports_digest([["a", "b"], ["c", "e"]]))


def test_readings_are_arrays_with_nan_where_no_query_is_unshared(run):
    run["episodes"][1].update(accuracy_unshared_sources=None, n_query_unshared_sources=0)
    main, *frozen = readings(run)
    assert (main.method, main.n_shot, len(main.accuracy)) == ("acoustic-ssm1", 5, 3)
    assert np.isnan(main.unshared).tolist() == [False, True, False]
    assert [(reading.readout, reading.n_shot) for reading in frozen if not reading.shuffled] == [
        ("logistic", 1),
        ("logistic", 5),
        ("nearest-mean", 5),
    ]
    assert {reading.method for reading in frozen if reading.shuffled} == {"acoustic-ssm1, frames shuffled at test"}


def test_equal_draws_have_equal_identities(synthetic_records):
    ours, theirs = (readings(run) for run in synthetic_records(("G1",)))
    assert all((one.draws == two.draws).all() for one, two in zip(ours, theirs))
    other = readings(synthetic_records(("G1",), seeds=(1,))[0])
    assert not set(ours[2].draws.tolist()) & set(other[2].draws.tolist())


def test_methods_sort_as_in_the_tables():
    names = ["zeta", "acoustic-ssm1, frames shuffled at test", "acoustic-ssm1", "mel-stats"]
    assert sorted(names, key=method_rank) == [names[3], names[2], names[1], names[0]]
