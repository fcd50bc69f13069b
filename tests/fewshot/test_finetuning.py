import dataclasses
import json

import numpy as np
import pytest
import torch

from acssm_lib.baselines.mel_statistics import MelStatistics
from acssm_lib.data.clips import Clips, even_crops
from acssm_lib.experiment.methods import METHODS, build_encoder
from acssm_lib.fewshot import embedding, evaluation
from acssm_lib.fewshot.embedding import CropFeatures, embed, shuffle_frames
from acssm_lib.fewshot.episodes import Episode
from acssm_lib.fewshot.evaluation import _score, evaluate
from acssm_lib.fewshot.finetuning import Classifier, FineTuning, finetune, predict
from acssm_lib.fewshot.protocols import Split
from acssm_lib.fewshot.readout import LogisticReadout
from acssm_lib.model.encoder import AcousticSSM
from acssm_lib.names import EMBEDDER_NAMES
from acssm_lib.presets import preset
from acssm_lib.pretraining.contrastive import pretrain
from acssm_lib.training import count_parameters, seeded

LABELS = np.repeat([0, 1, 2], 4)
NAMES = [f"clip{i}" for i in range(12)]
SOURCES = [str(i // 2) for i in range(12)]


def build(config):
    with seeded(0):
        return AcousticSSM(config)


def test_head_has_the_published_size():
    classifier = Classifier(AcousticSSM(preset("paper")), 5)
    assert count_parameters(classifier.head) == 82_821


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_finetuning_learns_tones_and_leaves_the_encoder_alone(bank, tiny, optimiser):
    config = dataclasses.replace(tiny, finetune_optimiser=optimiser, finetune_epochs=30,
                                 finetune_lr=0.1 if optimiser == "sgd" else 0.01, finetune_encoder_lr=None,
                                 max_stretch=1.05)
    encoder = build_encoder("supervised", bank, range(12), config, 0)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    classifier = finetune(encoder, bank, np.arange(12), LABELS, config, 0, progress=False)
    assert (predict(classifier, bank, np.arange(12), config).argmax(1).numpy() == LABELS).mean() >= 0.9
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


@pytest.mark.parametrize("n_way", [2, 3])
def test_a_logistic_head_starts_as_the_frozen_readout_and_learns_from_there(bank, tiny, n_way):
    config = dataclasses.replace(tiny, finetune_head="logistic", logistic_C=0.3, finetune_optimiser="adamw",
                                 finetune_encoder_lr=None, test_crops=1)
    encoder, support, asked = build(config), np.arange(0, 4 * n_way, 2), np.arange(1, 12, 2)

    def answers(**changes):
        tuned = finetune(encoder, bank, support, LABELS[support], dataclasses.replace(config, **changes), 0,
                         progress=False)
        return predict(tuned, bank, asked, config).numpy()

    frozen = LogisticReadout(embed(encoder, bank, np.arange(12), config), 0.3).fit(support, LABELS[support], 0)
    start = answers(finetune_epochs=0)
    assert start.shape == (6, n_way)
    tuned = finetune(encoder, bank, support, LABELS[support], dataclasses.replace(config, finetune_lr=0.01), 0,
                     progress=False)  # batch norm keeps the statistics that the regression was made with
    kept = {name: value for name, value in encoder.state_dict().items() if name.endswith(("running_mean", "_var"))}
    assert kept and all(torch.equal(tuned.encoder.state_dict()[name], value) for name, value in kept.items())
    np.testing.assert_allclose(start, frozen.predict(asked), atol=1e-4)
    assert np.abs(answers(finetune_epochs=2, finetune_lr=0.01) - start).max() > 1e-3


def test_same_seed_same_predictions(bank, tiny):
    def probabilities(seed):
        classifier = finetune(build(tiny), bank, np.arange(0, 12, 2), LABELS[::2], tiny, seed, progress=False)
        return predict(classifier, bank, np.arange(12), tiny)
    assert torch.equal(probabilities(0), probabilities(0))
    assert not torch.equal(probabilities(0), probabilities(1))
    torch.testing.assert_close(probabilities(0).sum(1), torch.ones(12))


def test_a_stopped_finetuning_resumes_to_the_same_weights(bank, tiny, tmp_path, monkeypatch):
    def run(checkpoint=None):
        return finetune(build(tiny), bank, np.arange(0, 12, 2), LABELS[::2], tiny, 0, checkpoint=checkpoint,
                        progress=False, save_every_s=0)
    unbroken = run()
    forward, calls = Classifier.forward, []

    def stop_in_the_fourth_step(self, spectrograms):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return forward(self, spectrograms)
    monkeypatch.setattr(Classifier, "forward", stop_in_the_fourth_step)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "finetuning.ckpt")
    broken = run(tmp_path / "finetuning.ckpt")
    assert len(calls) == 4 + 6 - 3  # three of six steps were kept
    assert all(torch.equal(value, broken.state_dict()[key]) for key, value in unbroken.state_dict().items())


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


@pytest.mark.parametrize("damage", ["empty", "cut", "{}", "older", "flipped", "other code"])
def test_a_damaged_draw_and_one_of_other_code_are_named_and_drawn_again(tiny, tmp_path, capsys, monkeypatch, damage):
    run = lambda learner: evaluate(learner, LABELS, SOURCES, NAMES, tiny, 0, checkpoint=tmp_path, progress=False)
    whole = run(Oracle(LABELS))
    file = tmp_path / "draw0.json"
    content = file.read_text()
    if damage == "other code":
        monkeypatch.setattr(evaluation, "code_digest", lambda: "another")
    else:
        file.write_text({"empty": "", "cut": content[:-100], "{}": "{}", "older": json.dumps(whole[0]),
                         "flipped": content.replace('"accuracy": 1.0', '"accuracy": 0.5')}[damage])
    learner = Oracle(LABELS)
    again = run(learner)
    assert len(learner.shown) == (2 if damage == "other code" else 1)
    assert [draw["accuracy"] for draw in again] == [draw["accuracy"] for draw in whole]
    said = capsys.readouterr().out
    assert said.startswith(f"{file}: ") and said.splitlines()[0].endswith("drawn again")
    third = Oracle(LABELS)
    assert len(run(third)) == 2 and third.shown == []


def kept_draws(folder, tiny, learner=None, names=NAMES, sources=SOURCES, shuffled=False, split=None, **changes):
    return evaluate(learner or Oracle(LABELS), LABELS, sources, names, dataclasses.replace(tiny, **changes), 0,
                    checkpoint=folder, progress=False, shuffled=shuffled, split=split)


@pytest.mark.parametrize("changes, words", [
    ({"finetune_lr": 0.1, "n_mels": 20}, "another n_mels, finetune_lr;"),
    ({"names": [f"other{name}" for name in NAMES]}, "another names of the clips;"),
    ({"sources": NAMES}, "another recordings;"),
    ({"split": Split(pool=np.arange(4), support=np.arange(12))}, "another pool;"),
    ({"shuffled": True}, "another shuffled frames;")])
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


def test_a_checkpoint_of_a_fine_tuning_belongs_to_its_encoder_and_its_clips(bank, tiny, tmp_path):
    file, indices = tmp_path / "finetuning.ckpt", np.arange(0, 12, 2)
    run = lambda encoder, clips: finetune(encoder, clips, indices, LABELS[::2], tiny, 0, checkpoint=file,
                                          progress=False)
    run(build(tiny), bank)
    with torch.no_grad():
        other = build(tiny)
        other.cnn.stem[0].weight[0] += 0.01
    with pytest.raises(ValueError, match="another weights; delete it"):
        run(other, bank)
    with pytest.raises(ValueError, match="another clips; delete it"):
        run(build(tiny), Clips([bank.waveform(clip) / 2 for clip in range(12)]))


def test_permuted_labels_stay_at_chance(tiny):
    """Labels without meaning must not be learnable at test: no query leaks into the fit."""
    generator = np.random.default_rng(0)
    bank = Clips([0.2 * torch.randn(6000, generator=torch.Generator().manual_seed(i)) for i in range(60)])
    labels = generator.permutation(np.repeat(np.arange(5), 12))
    config = dataclasses.replace(tiny, n_shot=5, n_episodes=4)
    learner = FineTuning(build(config), bank, config, progress=False)
    results = evaluate(learner, labels, [None] * 60, [str(i) for i in range(60)], config, 0, progress=False)
    correct = sum(round(result["accuracy"] * result["n_query"]) for result in results)
    assert abs(correct / (4 * 35) - 0.2) < 0.12  # 3.5 binomial standard deviations


def test_mel_statistics_ignore_the_order_of_frames(tiny):
    generator = torch.Generator().manual_seed(0)
    first, second = (0.3 * torch.randn(8192, generator=generator) * level for level in (1.0, 0.05))
    bank = Clips([torch.cat([first, second]).clamp(-1, 1), torch.cat([second, first]).clamp(-1, 1)])
    one, other = MelStatistics(bank, tiny).features([0, 1])
    assert one.shape == (192,)
    assert np.abs(one - other).mean() < 1.0  # dB; the two halves differ by 26 dB


def test_every_method_builds_and_runs(bank, tiny):
    for name, method in METHODS.items():
        if name in EMBEDDER_NAMES:
            continue  # these have tests and tiny weights of their own
        if method.encoder is None:
            learner = MelStatistics(bank, tiny)
        else:
            encoder = build_encoder(name, bank, range(12), tiny, 0)
            if method.pretrained:
                pretrain(encoder, bank, range(12), tiny, 0, objective=method.objective, progress=False)
            learner = FineTuning(encoder, bank, tiny, progress=False)
        results = evaluate(learner, LABELS, SOURCES, NAMES, tiny, 0, progress=False)
        assert all(0 <= result["accuracy"] <= 1 for result in results), name


def test_shuffled_frames_are_the_same_frames_in_an_order_per_crop():
    features = torch.arange(2 * 3 * 4 * 9.0).view(2, 3, 4, 9)
    mixed = shuffle_frames(features, torch.Generator().manual_seed(0))
    torch.testing.assert_close(mixed.sort(3).values, features, rtol=0, atol=0)
    order = (mixed - features[..., :1]).long()  # of every band
    assert (order == order[:, :1, :1]).all() and not torch.equal(order[0], order[1])


@pytest.mark.parametrize("method, deaf_to_order", [("adapted-cnn", True), ("kernel-zeroed", True),
                                                   ("supervised", False)])
def test_shuffling_frames_changes_what_remembers_them_and_nothing_else(bank, tiny, method, deaf_to_order):
    encoder = build_encoder(method, bank, range(12), tiny, 0)
    in_time, mixed = (embed(encoder, bank, np.arange(12), tiny, shuffle_seed=seed) for seed in (None, 0))
    assert torch.allclose(in_time, mixed, atol=1e-5) == deaf_to_order


def test_evaluation_on_a_split_asks_its_queries_and_labels_its_support(tiny):
    class Knows:
        def fit(self, indices, labels, seed, checkpoint=None):
            assert set(indices) <= {2, 3, 6, 7, 10, 11}

        def predict(self, indices, shuffle_seed=None):
            asked.append(list(indices))
            return np.eye(3)[LABELS[indices] if shuffle_seed is None else (LABELS[indices] + 1) % 3]

    asked = []
    split = Split(pool=np.arange(12), support=np.array([2, 3, 6, 7, 10, 11]), query=np.array([0, 4, 8]))
    draws = evaluate(Knows(), LABELS, SOURCES, NAMES, dataclasses.replace(tiny, n_shot=1), 0, split=split,
                     shuffled=True, progress=False)
    assert asked == [[0, 4, 8]] * 4 and {draw["n_query"] for draw in draws} == {3}
    assert all(draw["accuracy"] == 1 and draw["shuffled"]["accuracy"] == 0 for draw in draws)


@pytest.mark.parametrize("most_mib, kept", [(512, 12), (0.02, 0), (0, 0)])  # all of them take 0.04 MiB
def test_kept_features_are_those_of_a_fresh_front_end(bank, tiny, most_mib, kept):
    encoder, other = build(tiny).eval(), build(tiny).eval()
    features, cut = CropFeatures(encoder, bank, tiny, most_mib), []
    encoder.front_end.register_forward_hook(lambda module, inputs, output: cut.append(len(inputs[0])))
    for asked in ([3, 1, 8], [8, 8, 0], range(12)):
        for seed in (None, 7):
            torch.testing.assert_close(embed(encoder, bank, asked, tiny, seed, features),
                                       embed(other, bank, asked, tiny, seed), rtol=1e-5, atol=1e-5)
    assert len(features.kept) == kept and features.size <= most_mib * 2**20
    assert sum(cut) == 2 * 12 if kept else sum(cut) > 2 * 12  # two crops per clip


def test_features_are_kept_from_draw_to_draw(bank, tiny):
    encoder, cut = build(tiny), []
    learner = FineTuning(encoder, bank, tiny, progress=False)
    encoder.front_end.register_forward_hook(lambda module, inputs, output: cut.append(len(inputs[0])))
    for draw in (0, 1):
        learner.fit(np.arange(0, 12, 2), LABELS[::2], draw)
        trained = sum(cut)
        answers = learner.predict(np.arange(12), shuffle_seed=5)
        assert sum(cut) - trained == (2 * 12 if draw == 0 else 0)
        fresh = predict(learner.classifier, bank, np.arange(12), tiny, shuffle_seed=5)
        assert np.allclose(answers, fresh, atol=1e-5)


def test_whole_clips_of_any_length_are_read_at_once(tiny):
    config = dataclasses.replace(tiny, test_crops=0)
    generator = torch.Generator().manual_seed(0)
    waveforms = [0.1 * torch.randn(length, generator=generator) for length in (9000, 300, 5000)]
    bank, encoder = Clips(waveforms), build(tiny).eval()
    embedding = embed(encoder, bank, torch.tensor([2, 0, 1]), config)
    with torch.no_grad():
        padded = torch.nn.functional.pad(bank.waveform(1), (0, config.n_fft - 300))  # too short for one frame
        wanted = torch.cat([encoder.embed(waveform[None]) for waveform in (bank.waveform(2), bank.waveform(0), padded)])
    torch.testing.assert_close(embedding, wanted)


def test_a_confusion_matrix_has_the_truth_in_its_rows():
    """Both clips of class 0 are taken for class 1, and nothing the other way round."""
    labels = np.array([0, 1, 0, 0, 1])
    found = _score(np.array([1, 1, 1]), Episode(np.array([0, 1]), np.array([2, 3, 4])), labels, list("abcde"), 2)
    assert found["confusion"] == [[0, 2], [0, 1]]


def test_embeddings_and_answers_are_means_over_all_test_crops(bank, tiny):
    config, chosen = dataclasses.replace(tiny, test_crops=3), torch.tensor([0, 5, 11])
    classifier = Classifier(build(config), 3).eval()
    crops = even_crops(bank, chosen, config.n_samples, 3).unbind(1)  # three of (clips, n_samples)
    with torch.no_grad():
        embeddings = torch.stack([classifier.encoder.embed(crop) for crop in crops])
        answers = torch.stack([classifier(classifier.encoder.front_end(crop)).softmax(1) for crop in crops])
    assert all((each - each.mean(0)).abs().max() > 1e-4 for each in (embeddings, answers))  # no crop is like the others
    torch.testing.assert_close(embed(classifier.encoder, bank, chosen, config), embeddings.mean(0))
    torch.testing.assert_close(predict(classifier, bank, chosen, config), answers.mean(0))


@pytest.mark.parametrize("long", [2**22, 5000])  # all at once, or clip after clip
@pytest.mark.parametrize("shuffle_seed", [None, 3])
def test_whole_clips_of_many_lengths_are_embedded_as_if_each_were_alone(tiny, monkeypatch, shuffle_seed, long):
    monkeypatch.setattr(embedding, "_LONG", long)
    config = dataclasses.replace(tiny, features="log-mel", test_crops=0, test_views=7)
    generator = torch.Generator().manual_seed(0)
    clips = Clips([torch.rand(n, generator=generator) - 0.5 for n in (4000, 9000, 4000, 1500, 9000, 7)])
    encoder = build(config)
    together = embed(encoder, clips, np.arange(6), config, shuffle_seed)
    if shuffle_seed is None:
        alone = torch.cat([embed(encoder, clips, [clip], config) for clip in range(6)])
        backwards = embed(encoder, clips, np.arange(6)[::-1].copy(), config).flip(0)
        torch.testing.assert_close(together, backwards, atol=1e-5, rtol=1e-4)
    else:  # one stream of random orders through all clips
        monkeypatch.setattr(embedding, "_by_shape", lambda function, batches: [function(one) for one in batches])
        alone = embed(encoder, clips, np.arange(6), config, shuffle_seed)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("changes", [{"finetune_ssm_lr": 0.0}, {"finetune_encoder_lr": 0.0, "finetune_ssm_lr": 0.1}])
def test_step_sizes_and_poles_learn_at_the_lower_of_two_rates(bank, tiny, changes):
    encoder = build(tiny)
    learned = finetune(encoder, bank, np.arange(0, 12, 2), LABELS[::2], dataclasses.replace(tiny, **changes), 0,
                       progress=False).encoder
    for one, other in zip(encoder.special_parameters(), learned.special_parameters(), strict=True):
        assert torch.equal(one, other)
    moved = not torch.equal(encoder.cnn.stem[0].weight, learned.cnn.stem[0].weight)
    assert moved == ("finetune_encoder_lr" not in changes)


@pytest.mark.parametrize("changed, words", [
    ({"config": {"finetune_lr": 0.1, "head_width": 16}}, "another finetune_lr, head_width; delete it"),
    ({"seed": 1}, "another seed; delete it"), ({"labels": [1, 1, 2, 2, 0, 0]}, "another labels; delete it"),
    ({"indices": range(1, 12, 2)}, "another clips, support; delete it")])
def test_a_checkpoint_of_a_fine_tuning_belongs_to_its_settings_and_its_support(bank, tiny, tmp_path, changed, words):
    def run(indices=range(0, 12, 2), labels=tuple(LABELS[::2]), seed=0, config=None):
        return finetune(build(tiny), bank, np.array(indices), labels, dataclasses.replace(tiny, **config or {}), seed,
                        checkpoint=tmp_path / "finetuning.ckpt", progress=False)
    run()
    with pytest.raises(ValueError, match=words):
        run(**changed)
