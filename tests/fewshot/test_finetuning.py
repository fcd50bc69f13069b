import dataclasses

import numpy as np
import pytest
import torch

from acssm_lib.baselines.mel_statistics import MelStatistics
from acssm_lib.data.clips import Clips
from acssm_lib.experiment.methods import METHODS, build_encoder
from acssm_lib.fewshot.embedding import embed
from acssm_lib.fewshot.evaluation import evaluate
from acssm_lib.fewshot.finetuning import Classifier, FineTuning, finetune, predict
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
    config = dataclasses.replace(
        tiny,
        finetune_optimiser=optimiser,
        finetune_epochs=30,
        finetune_lr=0.1 if optimiser == "sgd" else 0.01,
        finetune_encoder_lr=None,
        max_stretch=1.05,
    )
    encoder = build_encoder("supervised", bank, range(12), config, 0)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    classifier = finetune(encoder, bank, np.arange(12), LABELS, config, 0, progress=False)
    assert (predict(classifier, bank, np.arange(12), config).argmax(1).numpy() == LABELS).mean() >= 0.9
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


@pytest.mark.parametrize("n_way", [2, 3])
def test_a_logistic_head_starts_as_the_frozen_readout_and_learns_from_there(bank, tiny, n_way):
    config = dataclasses.replace(
        tiny,
        finetune_head="logistic",
        logistic_C=0.3,
        finetune_optimiser="adamw",
        finetune_encoder_lr=None,
        test_crops=1,
    )
    encoder, support, asked = build(config), np.arange(0, 4 * n_way, 2), np.arange(1, 12, 2)

    def answers(**changes):
        tuned = finetune(
            encoder, bank, support, LABELS[support], dataclasses.replace(config, **changes), 0, progress=False
        )
        return predict(tuned, bank, asked, config).numpy()

    frozen = LogisticReadout(embed(encoder, bank, np.arange(12), config), 0.3).fit(support, LABELS[support], 0)
    start = answers(finetune_epochs=0)
    assert start.shape == (6, n_way)
    tuned = finetune(
        encoder, bank, support, LABELS[support], dataclasses.replace(config, finetune_lr=0.01), 0, progress=False
    )  # batch norm keeps the statistics that the regression was made with
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
        return finetune(
            build(tiny),
            bank,
            np.arange(0, 12, 2),
            LABELS[::2],
            tiny,
            0,
            checkpoint=checkpoint,
            progress=False,
            save_every_s=0,
        )

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


def test_a_checkpoint_of_a_fine_tuning_belongs_to_its_encoder_and_its_clips(bank, tiny, tmp_path):
    file, indices = tmp_path / "finetuning.ckpt", np.arange(0, 12, 2)
    run = lambda encoder, clips: finetune(
        encoder, clips, indices, LABELS[::2], tiny, 0, checkpoint=file, progress=False
    )
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


@pytest.mark.parametrize("changes", [{"finetune_ssm_lr": 0.0}, {"finetune_encoder_lr": 0.0, "finetune_ssm_lr": 0.1}])
def test_step_sizes_and_poles_learn_at_the_lower_of_two_rates(bank, tiny, changes):
    encoder = build(tiny)
    learned = finetune(
        encoder, bank, np.arange(0, 12, 2), LABELS[::2], dataclasses.replace(tiny, **changes), 0, progress=False
    ).encoder
    for one, other in zip(encoder.special_parameters(), learned.special_parameters(), strict=True):
        assert torch.equal(one, other)
    moved = not torch.equal(encoder.cnn.stem[0].weight, learned.cnn.stem[0].weight)
    assert moved == ("finetune_encoder_lr" not in changes)


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"config": {"finetune_lr": 0.1, "head_width": 16}}, "another finetune_lr, head_width; delete it"),
        ({"seed": 1}, "another seed; delete it"),
        ({"labels": [1, 1, 2, 2, 0, 0]}, "another labels; delete it"),
        ({"indices": range(1, 12, 2)}, "another clips, support; delete it"),
    ],
)
def test_a_checkpoint_of_a_fine_tuning_belongs_to_its_settings_and_its_support(bank, tiny, tmp_path, changed, words):
    def run(indices=range(0, 12, 2), labels=tuple(LABELS[::2]), seed=0, config=None):
        return finetune(
            build(tiny),
            bank,
            np.array(indices),
            labels,
            dataclasses.replace(tiny, **config or {}),
            seed,
            checkpoint=tmp_path / "finetuning.ckpt",
            progress=False,
        )

    run()
    with pytest.raises(ValueError, match=words):
        run(**changed)
