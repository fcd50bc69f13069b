from dataclasses import replace

import pytest
import torch
from published import small

from acssm_lib.baselines import mt_slvr
from acssm_lib.baselines.mt_slvr import MTSLVRObjective, SplitResNet, augmentation_labels
from acssm_lib.fewshot.finetuning import Classifier
from acssm_lib.presets import preset
from acssm_lib.pretraining.augment import AUGMENTATIONS
from acssm_lib.pretraining.contrastive import pretrain
from acssm_lib.pretraining.spectrogram_views import multi_view_nt_xent
from acssm_lib.training import count_parameters, save_weights, seeded


def build(config):
    with seeded(0):
        return SplitResNet(config)


def noise(batch, *shape):
    return torch.randn(batch, *shape, generator=torch.Generator().manual_seed(0))


def silent(module):
    """Names of parameters that no gradient has reached."""
    return {name for name, parameter in module.named_parameters() if parameter.grad is None or not parameter.grad.any()}


def test_parameter_counts_at_paper_size():
    encoder = SplitResNet(preset("paper"))
    assert count_parameters(encoder) == 13_949_736
    objective = MTSLVRObjective(encoder, preset("paper"))
    assert [count_parameters(head) for head in (objective.contrast, objective.prediction)] == [378_756, 146_535]
    assert (encoder.d_task, encoder.d_model) == (500, 1000)
    # 3x3 shared by both tasks, 1x1 beside it: a ninth of it, twice from the second stage on, once in the first
    sizes = {
        kernel: sum(p.numel() for p in encoder.parameters() if p.shape[2:] == (kernel, kernel)) for kernel in (1, 3, 7)
    }
    assert sizes == {7: 9_408, 3: 10_985_472, 1: 2 * 1_204_224 + 16_384}


def test_shapes_stage_by_stage():
    encoder = SplitResNet(preset("paper", widths=(4, 8, 12, 16))).eval()
    x = encoder.shared(encoder.stem(noise(2, 3, 128, 60)))
    shapes = [tuple(x.shape[1:])]
    for block in encoder.split:
        x = block(x, 1)
        shapes.append(tuple(x.shape[1:]))
    assert shapes[::2] == [(4, 32, 15), (8, 16, 8), (12, 8, 4), (16, 4, 2)]
    assert encoder(noise(2, 3, 128, 60)).shape == (2, 2 * 15, 1)


@pytest.mark.parametrize("settings", [{}, {"sample_rate": 16_000, "n_samples": 24_180}])
def test_embedding_of_a_waveform_at_its_own_rate_too(settings):
    config = preset("paper", widths=(4, 8), blocks=(1, 1), **settings)
    encoder = build(config)
    waveform = 0.1 * noise(2, config.n_samples)
    assert encoder.front_end(waveform).shape == (2, 3, 128, 48 if settings else 60)
    assert encoder.embed(waveform).shape == (2, encoder.d_model)


def test_each_task_has_adapters_of_its_own_and_both_train_the_shared_convolutions():
    encoder = build(small(n_mels=16))
    shared = {name for name, _ in encoder.named_parameters() if name.startswith(("stem", "shared")) or ".conv." in name}
    own = [
        {
            name
            for name, _ in encoder.named_parameters()
            if name not in shared and f".{task}." in name.replace("split.", "")
        }
        for task in range(2)
    ]
    assert own[0].isdisjoint(own[1]) and shared | own[0] | own[1] == dict(encoder.named_parameters()).keys()
    for task in range(2):
        encoder.zero_grad()
        outputs = encoder(noise(6, 3, 16, 24)).squeeze(2).split(encoder.d_task, dim=1)
        outputs[task].square().sum().backward()
        assert silent(encoder) == own[1 - task]


def test_the_tasks_part_after_the_first_stage():
    encoder = build(small(n_mels=16)).eval()
    x = encoder.shared(encoder.stem(noise(2, 3, 16, 24)))
    assert not torch.allclose(encoder.split[0](x, 0), encoder.split[0](x, 1), atol=1e-3)
    before = encoder(noise(2, 3, 16, 24)).squeeze(2).split(encoder.d_task, dim=1)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if name.startswith("split") and ".adapters.1." in name:
                parameter.zero_()
    after = encoder(noise(2, 3, 16, 24)).squeeze(2).split(encoder.d_task, dim=1)
    assert torch.equal(before[0], after[0]) and not torch.allclose(before[1], after[1], atol=1e-3)


def test_a_shortcut_averages_to_size_and_appends_silent_channels():
    block = mt_slvr._AdapterBlock(2, 3, 2, n_tasks=1).eval()
    for conv in (block.second.conv, *block.second.adapters):
        torch.nn.init.zeros_(conv.weight)  # nothing but the shortcut is left
    x = torch.arange(12.0).view(1, 2, 2, 3)
    out = block(x)[0]
    assert out.shape == (3, 1, 2)
    assert out[:, 0].tolist() == [[2.0, 3.0], [8.0, 9.0], [0.0, 0.0]]  # columns 0-1 and 1-2 of both rows


def test_labels_say_what_a_plan_uses_whatever_the_order():
    plans = torch.tensor([[2, 0, -1], [0, 2, -1], [1, -1, -1], [1, 2, 0]])
    assert augmentation_labels(plans).tolist() == [[1, 0, 1], [1, 0, 1], [0, 1, 0], [1, 1, 1]]


def test_both_views_have_one_plan_but_parameters_of_their_own(bank, tiny, monkeypatch):
    seen = {}

    def fixed(n, names, generator, all_of_them):
        seen["all_of_them"] = all_of_them
        return torch.tensor([[names.index("time_shift"), names.index("fade")] + [-1] * 5] * n)

    monkeypatch.setattr(mt_slvr, "draw_plans", fixed)
    objective = MTSLVRObjective(build(tiny), tiny)
    waveform, labels = objective.views(bank, torch.tensor([3, 7]), torch.Generator().manual_seed(0))
    assert waveform.shape == (4, tiny.n_samples) and labels.shape == (4, 7) and seen == {"all_of_them": False}
    assert set(objective.augmentations) == set(AUGMENTATIONS)
    used = {name for name, value in zip(objective.augmentations, labels[3]) if value}
    assert used == {"time_shift", "fade"} and torch.equal(labels[:2], labels[2:])
    assert not torch.equal(waveform[:2], waveform[2:])


def test_the_loss_is_contrast_plus_prediction_and_reaches_every_parameter(bank, tiny):
    encoder = build(tiny)
    with seeded(1):
        objective = MTSLVRObjective(encoder, tiny)
    chosen = torch.arange(8)
    loss = objective(encoder, bank, chosen, torch.Generator().manual_seed(0))
    loss.backward()
    assert silent(encoder) == silent(objective) == set()

    waveform, labels = objective.views(bank, chosen, torch.Generator().manual_seed(0))
    contrasted, predicting = encoder.embed(waveform).split(encoder.d_task, dim=1)
    probability = objective.prediction(predicting).sigmoid()
    prediction = -(labels * probability.log() + (1 - labels) * (1 - probability).log()).mean()
    contrast = multi_view_nt_xent(objective.contrast(contrasted), 2, 0.07)
    assert loss.item() == pytest.approx((contrast + prediction).item(), rel=1e-4)


def test_in_the_recipe_of_best_it_keeps_its_augmentations_and_takes_views_temperature_head_and_deviation(bank, tiny):
    tiny = replace(tiny, views="spectrogram", n_views=3, features="log-mel", pooling="mean-std", temperature=0.1)
    encoder = build(tiny)
    assert encoder.last[0].in_features == 2 * tiny.widths[-1]
    with seeded(1):
        objective = MTSLVRObjective(encoder, tiny)
    chosen, generator = torch.arange(6), torch.Generator().manual_seed(0)
    waveform, labels = objective.views(bank, chosen, generator)
    assert len(waveform) == 18 and torch.equal(labels[:6], labels[12:])
    contrasted = encoder.embed(waveform)[:, : encoder.d_task]
    with torch.no_grad():
        whole = objective(encoder, bank, chosen, torch.Generator().manual_seed(0))
        guess = torch.nn.functional.binary_cross_entropy_with_logits(
            objective.prediction(encoder.embed(waveform)[:, encoder.d_task :]), labels
        )
    assert whole.item() - guess.item() == pytest.approx(
        multi_view_nt_xent(objective.contrast(contrasted), 3, 0.1).item(), abs=1e-3
    )


def test_augmentations_of_one_batch_can_be_learned(bank, tiny):
    encoder = build(replace(tiny, widths=(8, 16)))
    with seeded(1):
        objective = MTSLVRObjective(encoder, tiny)
    waveform, labels = objective.views(bank, torch.arange(8), torch.Generator().manual_seed(0))
    spectrograms = encoder.front_end(waveform)
    optimiser = torch.optim.Adam([*encoder.parameters(), *objective.parameters()], lr=1e-2)
    losses = []
    for _ in range(30):
        predicting = encoder(spectrograms)[:, encoder.d_task :, 0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(objective.prediction(predicting), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] > 0.6 and losses[-1] < 0.25


def test_pretraining_repeats_and_its_encoder_classifies_and_loads_back(bank, tiny, tmp_path):
    encoders = [build(tiny), build(tiny)]
    losses = [
        pretrain(encoder, bank, range(12), tiny, seed=0, objective=MTSLVRObjective, progress=False).losses
        for encoder in encoders
    ]
    assert losses[0] == losses[1] and len(losses[0]) == 9
    encoder = encoders[0]
    waveform = 0.1 * noise(3, tiny.n_samples)
    encoder.standardisation.fit(encoder.front_end, waveform)
    assert Classifier(encoder, 5)(encoder.front_end(waveform)).shape == (3, 5)
    save_weights(tmp_path / "encoder.pt", encoder)
    other = SplitResNet(tiny).eval()
    other.load_state_dict(torch.load(tmp_path / "encoder.pt", weights_only=True))
    assert torch.equal(other.embed(waveform), encoder.embed(waveform))


def test_wrong_widths_and_shapes_are_named():
    with pytest.raises(ValueError, match="no stage may be narrower"):
        SplitResNet(small(widths=(16, 8), blocks=(1, 1)))
    with pytest.raises(ValueError, match="one number for each stage"):
        SplitResNet(small(widths=(4, 8), blocks=(1, 1, 1)))
    with pytest.raises(ValueError, match="batch, channels, mel, frames"):
        build(small())(torch.zeros(3, 32, 60))
