import dataclasses
import json

import numpy as np
import pytest
import soundfile
import torch
from test_byol_a import published as random_byol_a

from acssm_lib.baselines.mel_statistics import MelStatistics
from acssm_lib.data.frogs import SyntheticFrogs
from acssm_lib.experiment import classifier as kept
from acssm_lib.experiment import run as running
from acssm_lib.experiment.classifier import load_classifier
from acssm_lib.experiment.run import run
from acssm_lib.fewshot import finetuning
from acssm_lib.fewshot.episodes import episode_seeds
from acssm_lib.fewshot.evaluation import evaluate
from acssm_lib.fewshot.groups import GroupData, load_group
from acssm_lib.fewshot.protocols import splits
from acssm_lib.files import DataError

FROGS = SyntheticFrogs(n_individuals=2, clips_per_individual=2, duration_s=1.5)


@pytest.fixture
def config(tiny):
    return dataclasses.replace(tiny, n_frozen_episodes=3, frozen_shots=(1, 2), pretrain_epochs=1)


def carried_out(method, config, out, **options):
    return run(FROGS, "natural", method, config, 0, out=out, encoders=out / "encoders", progress=False, **options)


def without_seconds(record):
    """What two runs of the same settings have in common."""
    text = json.dumps(record | {"finetuning": 0, "pretraining": record["pretraining"] | {"seconds": 0}})
    record = json.loads(text)
    for draw in record["episodes"]:
        del draw["seconds"]
    return record


@pytest.mark.parametrize(
    "method, changes, files",
    [
        ("acoustic-ssm1", {}, {"encoder.pt"}),
        ("acoustic-ssm1", {"finetune_head": "logistic"}, {"encoder.pt"}),
        ("acoustic-ssm1", {"finetuning": False}, {"encoder.pt"}),
        ("mel-stats", {}, set()),
    ],
)
def test_a_run_leaves_its_record_and_a_classifier_that_is_its_first_draw(config, tmp_path, method, changes, files):
    config = dataclasses.replace(config, **changes)
    record = carried_out(method, config, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} - {"encoders"} == {"metrics.json", "classifier.pt"} | files
    assert json.loads((tmp_path / "metrics.json").read_text()) == json.loads(json.dumps(record))
    classifier = load_classifier(tmp_path / "classifier.pt")
    assert classifier.readout == record["readout"] and classifier.classes == record["classes"]
    data = load_group(FROGS, "natural", config, 0, progress=False)
    assert sorted(classifier.support) == sorted(record["episodes"][0]["support"])
    query = splits(data, config, 0)[0].episode(data.labels, 5, config.n_shot, episode_seeds(0, 1)[0]).query
    probabilities = classifier.predict(data.clips, query)
    assert torch.allclose(probabilities.sum(1), torch.ones(len(query)))
    right = (probabilities.argmax(1).numpy() == data.labels[query]).mean()
    assert right == pytest.approx(record["episodes"][0]["accuracy"])


def test_a_stopped_run_goes_on_and_fine_tunes_no_draw_twice(config, tmp_path, monkeypatch):
    whole = carried_out("acoustic-ssm1", config, tmp_path / "whole")

    def power_cut(*args, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(running, "run_record", power_cut)
        with pytest.raises(KeyboardInterrupt):
            carried_out("acoustic-ssm1", config, tmp_path / "cut")
    steps = []
    monkeypatch.setattr(
        finetuning,
        "train",
        lambda step_loss, *args, train=finetuning.train, **options: train(
            lambda step: steps.append(step) or step_loss(step), *args, **options
        ),
    )
    again = carried_out("acoustic-ssm1", config, tmp_path / "cut")
    assert steps == [] and without_seconds(again) == without_seconds(whole)
    one, other = (torch.load(tmp_path / name / "classifier.pt", weights_only=True) for name in ("whole", "cut"))
    assert all(torch.equal(value, other["head"][name]) for name, value in one["head"].items())
    assert not (tmp_path / "cut" / "progress").exists()


def test_of_two_classes_and_of_many_the_kept_regression_answers_as_the_readout_does(bank, config):
    config = dataclasses.replace(config, finetuning=False, n_episodes=1)
    for n_way in (2, 3):
        labels = np.where(np.arange(12) // 4 < n_way, np.arange(12) // 4, -1)
        data = GroupData(
            bank, labels, [None] * 12, [f"clip{n}" for n in range(12)], list("abc")[:n_way], np.array([], dtype=int)
        )
        (split,) = splits(data, config, 0)
        classifier = kept.classifier_of("mel-stats", None, data, split, config, 0)
        learner = MelStatistics(bank, config)
        evaluate(learner, labels, data.sources, data.names, config, 0, split=split, progress=False)
        np.testing.assert_allclose(classifier.predict(bank, range(12)), learner.predict(range(12)), atol=1e-5)


def test_an_embedder_is_kept_by_the_digest_of_its_weights(config, tmp_path):
    for name, seed in (("weights.pth", 0), ("others.pth", 1)):
        torch.save(random_byol_a(seed=seed), tmp_path / name)
    record = carried_out("byol-a", config, tmp_path / "run", weights=tmp_path / "weights.pth")
    path = tmp_path / "run" / "classifier.pt"
    assert path.stat().st_size < 100_000 and record["readout"] == "finetuned"
    classifier = load_classifier(path, weights=tmp_path / "weights.pth")
    assert classifier.readout == "logistic" and float(classifier.encoder.standardisation.mean[0, 0]) != -5.4919195
    with pytest.raises(ValueError, match=r"made with other weights of byol-a than .*others\.pth"):
        load_classifier(path, weights=tmp_path / "others.pth")


def test_a_folder_is_answered_file_by_file(config, tmp_path):
    carried_out("mel-stats", config, tmp_path / "run")
    classifier = load_classifier(tmp_path / "run" / "classifier.pt")
    new = tmp_path / "new" / "night"
    new.mkdir(parents=True)
    clips = FROGS.clips_of("natural")[:3]
    for clip in clips:
        soundfile.write(new / f"{clip}.wav", np.asarray(FROGS.waveform(int(clip))), 20_000)
    answers = dict(classifier.predict_folder(tmp_path / "new"))
    assert [path.name for path in answers] == sorted(f"{clip}.wav" for clip in clips)
    assert all(len(answer) == 5 and float(answer.sum()) == pytest.approx(1) for answer in answers.values())
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: no recordings there"):
        next(classifier.predict_folder(tmp_path / "empty"))
    (new / "._hidden.wav").write_bytes(b"not audio")
    assert len(list(classifier.predict_folder(tmp_path / "new"))) == 3
    (new / "broken.wav").write_bytes(b"not audio")
    with pytest.raises(DataError, match="broken.wav"):
        list(classifier.predict_folder(tmp_path / "new"))


def test_a_classifier_with_a_setting_that_is_gone_or_came_later_answers_as_before(config, tmp_path):
    carried_out("mel-stats", config, tmp_path)
    state = torch.load(tmp_path / "classifier.pt", weights_only=True)
    del state["settings"]["channel"]
    state["settings"]["finetune_redraw"] = False
    torch.save(state, tmp_path / "old.pt")
    assert load_classifier(tmp_path / "old.pt").config == load_classifier(tmp_path / "classifier.pt").config


def test_another_version_and_another_file_are_refused_in_words(config, tmp_path, monkeypatch):
    carried_out("mel-stats", config, tmp_path)
    monkeypatch.setattr(kept, "_VERSION", 99)
    with pytest.raises(ValueError, match="a classifier of version 1, this acssm_lib reads version 99; use"):
        load_classifier(tmp_path / "classifier.pt")
    with pytest.raises(ValueError, match="metrics.json: not the classifier of a run"):
        load_classifier(tmp_path / "metrics.json")
    with pytest.raises(ValueError, match="nothing.pt: cannot be read"):
        load_classifier(tmp_path / "nothing.pt")
    torch.save({"a": 1}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="other.pt: not the classifier of a run"):
        load_classifier(tmp_path / "other.pt")
