import dataclasses
import json

import numpy as np
import pytest
import torch

from acssm_lib.data.clips import Clips
from acssm_lib.fewshot import evaluation
from acssm_lib.fewshot.episodes import Episode
from acssm_lib.fewshot.evaluation import _score, evaluate
from acssm_lib.fewshot.finetuning import FineTuning
from acssm_lib.fewshot.protocols import Split
from acssm_lib.model.encoder import AcousticSSM
from acssm_lib.training import seeded

LABELS = np.repeat([0, 1, 2], 4)
NAMES = [f"clip{i}" for i in range(12)]
SOURCES = [str(i // 2) for i in range(12)]


def build(config):
    with seeded(0):
        return AcousticSSM(config)


class Oracle:
    """Knows every label, and remembers what it was shown."""

    def __init__(self, labels):
        self.labels, self.shown = labels, []

    def fit(self, indices, labels, seed, checkpoint=None):
        self.shown.append(list(indices))

    def predict(self, indices):
        return np.eye(3)[self.labels[indices]]


def test_evaluation_counts_and_pairs_the_draws(tiny):
    results = evaluate(Oracle(LABELS), LABELS, SOURCES, NAMES, tiny, seed=0, progress=False)
    assert [result["accuracy"] for result in results] == [1.0, 1.0]
    assert all(result["n_query"] == 6 for result in results)
    assert all(np.sum(result["confusion"]) == 6 == np.trace(result["confusion"]) for result in results)
    again = evaluate(Oracle(LABELS), LABELS, SOURCES, NAMES, tiny, seed=0, progress=False)
    assert [r["support"] for r in results] == [r["support"] for r in again] != [results[1]["support"]] * 2


def test_accuracy_on_unshared_sources_leaves_siblings_out(tiny):
    class KnowsSiblings(Oracle):
        def predict(self, indices):
            shown = {SOURCES[i] for i in self.shown[-1]}
            right = np.array([SOURCES[i] in shown for i in indices])
            return np.eye(3)[np.where(right, LABELS[indices], (LABELS[indices] + 1) % 3)]

    for result in evaluate(KnowsSiblings(LABELS), LABELS, SOURCES, NAMES, tiny, 0, progress=False):
        unshared = result["n_query_unshared_sources"]
        assert result["accuracy"] == pytest.approx((6 - unshared) / 6)
        assert result["accuracy_unshared_sources"] == (0.0 if unshared else None)


def test_a_stopped_evaluation_keeps_its_finished_draws(tiny, tmp_path, monkeypatch):
    fit = Oracle.fit

    def stops_at_the_second(self, *args, **kwargs):
        fit(self, *args, **kwargs)
        if len(self.shown) == 2:
            raise KeyboardInterrupt

    run = lambda learner: evaluate(learner, LABELS, SOURCES, NAMES, tiny, 0, checkpoint=tmp_path, progress=False)
    monkeypatch.setattr(Oracle, "fit", stops_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        run(Oracle(LABELS))
    monkeypatch.setattr(Oracle, "fit", fit)
    second = Oracle(LABELS)
    assert len(run(second)) == 2 and len(second.shown) == 1
    assert len(json.loads((tmp_path / "draw0.json").read_text())["draw"]["support"]) == 6


def test_only_the_first_draw_keeps_its_training(tiny, tmp_path):
    """The classifier of a run is made from it; the others would fill the disk."""

    class Writes(Oracle):
        def fit(self, indices, labels, seed, checkpoint=None):
            checkpoint.write_bytes(b"a training")

    results = evaluate(Writes(LABELS), LABELS, SOURCES, NAMES, tiny, 0, checkpoint=tmp_path, progress=False)
    assert len(results) == 2
    assert [path.stem for path in tmp_path.glob("*.ckpt")] == [f"draw{results[0]['seed']}"]


@pytest.mark.parametrize("damage", ["empty", "cut", "{}", "older", "flipped", "other code"])
def test_a_damaged_draw_and_one_of_other_code_are_named_and_drawn_again(tiny, tmp_path, capsys, monkeypatch, damage):
    run = lambda learner: evaluate(learner, LABELS, SOURCES, NAMES, tiny, 0, checkpoint=tmp_path, progress=False)
    whole = run(Oracle(LABELS))
    file = tmp_path / "draw0.json"
    content = file.read_text()
    if damage == "other code":
        monkeypatch.setattr(evaluation, "code_digest", lambda: "another")
    else:
        file.write_text(
            {
                "empty": "",
                "cut": content[:-100],
                "{}": "{}",
                "older": json.dumps(whole[0]),
                "flipped": content.replace('"accuracy": 1.0', '"accuracy": 0.5'),
            }[damage]
        )
    learner = Oracle(LABELS)
    again = run(learner)
    assert len(learner.shown) == (2 if damage == "other code" else 1)
    assert [draw["accuracy"] for draw in again] == [draw["accuracy"] for draw in whole]
    said = capsys.readouterr().out
    assert said.startswith(f"{file}: ") and said.splitlines()[0].endswith("drawn again")
    third = Oracle(LABELS)
    assert len(run(third)) == 2 and third.shown == []


def kept_draws(folder, tiny, learner=None, names=NAMES, sources=SOURCES, shuffled=False, split=None, **changes):
    return evaluate(
        learner or Oracle(LABELS),
        LABELS,
        sources,
        names,
        dataclasses.replace(tiny, **changes),
        0,
        checkpoint=folder,
        progress=False,
        shuffled=shuffled,
        split=split,
    )


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"finetune_lr": 0.1, "n_mels": 20}, "another n_mels, finetune_lr;"),
        ({"names": [f"other{name}" for name in NAMES]}, "another names of the clips;"),
        ({"sources": NAMES}, "another recordings;"),
        ({"split": Split(pool=np.arange(4), support=np.arange(12))}, "another pool;"),
        ({"shuffled": True}, "another shuffled frames;"),
    ],
)
def test_finished_draws_of_other_settings_or_clips_are_refused_by_name(tiny, tmp_path, changes, words):
    kept_draws(tmp_path, tiny)
    before = (tmp_path / "draw0.json").read_text()
    with pytest.raises(ValueError, match=f"draw0.json was measured with {words} delete"):
        kept_draws(tmp_path, tiny, **changes)
    assert (tmp_path / "draw0.json").read_text() == before


def test_how_many_draws_there_are_changes_none_of_them(tiny, tmp_path):
    kept_draws(tmp_path, tiny)
    more = Oracle(LABELS)
    assert len(kept_draws(tmp_path, tiny, more, n_episodes=4, n_frozen_episodes=9, frozen_shots=())) == 4
    assert len(more.shown) == 2


def test_finished_draws_of_another_encoder_or_of_other_samples_are_refused(bank, tiny, tmp_path):
    encoder, config = build(tiny), dataclasses.replace(tiny, finetune_epochs=1, n_episodes=1)
    kept_draws(tmp_path, config, FineTuning(encoder, bank, config, progress=False))
    with torch.no_grad():
        other = build(tiny)
        other.cnn.stem[0].weight[0] += 0.01
    with pytest.raises(ValueError, match="another encoder; delete"):
        kept_draws(tmp_path, config, FineTuning(other, bank, config, progress=False))
    quiet = Clips([bank.waveform(clip) / 2 for clip in range(12)])
    with pytest.raises(ValueError, match="another samples of the clips; delete"):
        kept_draws(tmp_path, config, FineTuning(encoder, quiet, config, progress=False))


def test_a_draw_from_before_a_setting_came_is_one_of_its_default(tiny, tmp_path):
    kept_draws(tmp_path, tiny)
    for file in tmp_path.glob("draw*.json"):
        draw = json.loads(file.read_text())
        assert draw["identity"].pop("n_members") == 1
        draw["digest"] = evaluation._seal(draw["draw"], draw["identity"])
        file.write_text(json.dumps(draw))
    later = Oracle(LABELS)
    kept_draws(tmp_path, tiny, later)
    assert later.shown == []
    with pytest.raises(ValueError, match="another n_members; delete"):
        kept_draws(tmp_path, tiny, n_members=3)


def test_evaluation_on_a_split_asks_its_queries_and_labels_its_support(tiny):
    class Knows:
        def fit(self, indices, labels, seed, checkpoint=None):
            assert set(indices) <= {2, 3, 6, 7, 10, 11}

        def predict(self, indices, shuffle_seed=None):
            asked.append(list(indices))
            return np.eye(3)[LABELS[indices] if shuffle_seed is None else (LABELS[indices] + 1) % 3]

    asked = []
    split = Split(pool=np.arange(12), support=np.array([2, 3, 6, 7, 10, 11]), query=np.array([0, 4, 8]))
    draws = evaluate(
        Knows(),
        LABELS,
        SOURCES,
        NAMES,
        dataclasses.replace(tiny, n_shot=1),
        0,
        split=split,
        shuffled=True,
        progress=False,
    )
    assert asked == [[0, 4, 8]] * 4 and {draw["n_query"] for draw in draws} == {3}
    assert all(draw["accuracy"] == 1 and draw["shuffled"]["accuracy"] == 0 for draw in draws)


def test_a_confusion_matrix_has_the_truth_in_its_rows():
    """Both clips of class 0 are taken for class 1, and nothing the other way round."""
    labels = np.array([0, 1, 0, 0, 1])
    found = _score(np.array([1, 1, 1]), Episode(np.array([0, 1]), np.array([2, 3, 4])), labels, list("abcde"), 2)
    assert found["confusion"] == [[0, 2], [0, 1]]
