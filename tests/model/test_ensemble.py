import dataclasses
import math

import numpy as np
import pytest
import torch
from tiny_settings import TINY_BEST
from torch import nn

from acssm_lib.data.clips import Clips
from acssm_lib.data.frogs import SyntheticFrogs
from acssm_lib.experiment.methods import build_encoder, member_seeds
from acssm_lib.experiment.shelf import pretrained_encoder
from acssm_lib.fewshot.embedding import CHANGES, changed_views, embed
from acssm_lib.fewshot.finetuning import finetune, predict
from acssm_lib.fewshot.groups import load_group
from acssm_lib.model.base import embedding_width, summary
from acssm_lib.model.ensemble import Ensemble
from acssm_lib.model.features import front_end
from acssm_lib.presets import preset

FROGS = SyntheticFrogs(n_individuals=2, clips_per_individual=2, duration_s=1.5)


@pytest.fixture
def config():
    return preset(
        "best",
        **TINY_BEST,
        pretrain_epochs=2,
        pretrain_batch=8,
        n_views=2,
        n_members=2,
        n_shot=2,
        test_views=3,
        finetune_epochs=1,
        finetune_crops=2,
        precision="float32",
    )


@pytest.fixture
def data(config):
    return load_group(FROGS, "natural", config, 0, progress=False)


def test_an_ensemble_s_features_are_those_of_its_members_side_by_side(config, data):
    everyone = np.arange(len(data.labels))
    ensemble = build_encoder("acoustic-ssm1", data.clips, everyone, config, 0).eval()
    alone = dataclasses.replace(config, n_members=1)
    members = [build_encoder("acoustic-ssm1", data.clips, everyone, alone, seed).eval() for seed in (0, 1000)]
    assert isinstance(ensemble, Ensemble) and ensemble.d_model == 16 and embedding_width(ensemble) == 32
    waveform = torch.stack([data.clips.waveform(clip)[:8192] for clip in (0, 7)])
    wanted = torch.cat([member(member.front_end(waveform)) for member in members], dim=1)
    torch.testing.assert_close(ensemble(ensemble.front_end(waveform)), wanted, rtol=1e-4, atol=1e-5)
    assert ensemble.embed(waveform).shape == (2, 32)
    assert len(ensemble.special_parameters()) == 2 * len(members[0].special_parameters())


@pytest.mark.parametrize("pooling", ["mean", "mean-std", "products"])
def test_an_ensemble_of_one_is_that_encoder(config, data, pooling):
    config = dataclasses.replace(config, pooling=pooling)
    alone = build_encoder("supervised", data.clips, np.arange(4), config, 0).eval()
    waveform = data.clips.waveform(0)[None]
    assert torch.equal(Ensemble([alone]).embed(waveform), alone.embed(waveform))


def test_members_are_pretrained_alone_and_shared_by_the_runs_that_need_them(config, data, tmp_path):
    def trained(n_members, seed):
        return pretrained_encoder(
            "acoustic-ssm1",
            data,
            dataclasses.replace(config, n_members=n_members),
            seed,
            progress=False,
            folder=tmp_path,
        )

    ensemble, both = trained(2, 0)
    kept = sorted(tmp_path.glob("*.pt"))
    assert len(kept) == 2
    first, one = trained(1, 0)
    second, other = trained(1, 1000)
    assert sorted(tmp_path.glob("*.pt")) == kept  # nothing was trained again
    for member, alone in zip(ensemble.members, (first, second)):
        assert all(torch.equal(value, alone.state_dict()[name]) for name, value in member.state_dict().items())
    assert both.steps == one.steps + other.steps and both.clips == one.clips == len(data.labels)
    assert both.losses == pytest.approx([(a + b) / 2 for a, b in zip(one.losses, other.losses)])
    again = build_encoder("acoustic-ssm1", data.clips, np.arange(len(data.labels)), config, 5)
    again.load_state_dict(ensemble.state_dict())
    waveform = data.clips.waveform(3)[None]
    assert torch.equal(again.eval().embed(waveform), ensemble.embed(waveform))


def test_an_embedder_has_one_set_of_weights_and_nobody_has_none(config):
    assert member_seeds("mn04", config, 3) == [3] and member_seeds("supervised", config, 3) == [3, 1003]
    with pytest.raises(ValueError, match="n_members=0"):
        member_seeds("supervised", dataclasses.replace(config, n_members=0), 3)


def test_the_first_view_is_the_clip_and_the_others_are_changed_by_what_their_list_says(config):
    config = dataclasses.replace(config, n_mels=64, n_fft=1024, mel_shift=4.0, test_views=len(CHANGES))
    listener = front_end(config)
    seconds = torch.arange(40_000) / 20_000
    tone = 0.5 * torch.sin(2 * math.pi * 2000 * seconds)
    clips = torch.stack([tone, tone * (seconds > 1)])  # the second begins in the middle
    views = list(changed_views(listener(clips), listener, config))
    assert len(views) == len(CHANGES) and torch.equal(views[0], listener(clips))
    levels = [view[:, 0] for view in views]
    for (pitch, tempo), level in zip(CHANGES, levels):
        loudest, plain = (x[0, :, x.shape[2] // 2].argmax() for x in (level, levels[0]))
        assert loudest - plain == round(pitch * 4.0)
        assert level.shape[2] == round(levels[0].shape[2] / 1.2**tempo)
        begins = int((level[1].amax(0) > -20).float().argmax())
        assert abs(begins - level.shape[2] / 2) <= 2.5  # the same half of the clip


def test_views_that_cannot_be_are_refused_and_another_front_end_s_features_left_alone(config):
    listener, spectrograms = front_end(config), torch.zeros(2, 1, 16, 30)
    for n_views in (0, len(CHANGES) + 1):
        with pytest.raises(ValueError, match=f"test_views={n_views}"):
            list(changed_views(spectrograms, listener, dataclasses.replace(config, test_views=n_views)))
    stack = front_end(dataclasses.replace(config, features="stack"))
    with pytest.raises(ValueError, match="log-mel"):
        list(changed_views(torch.zeros(2, 3, 16, 30), stack, config))
    assert len(list(changed_views(torch.zeros(2, 500), nn.Identity(), config))) == 1


def test_a_clip_of_a_single_frame_has_views_of_a_single_frame(config):
    config = dataclasses.replace(config, test_views=len(CHANGES), max_stretch=1.1)
    views = list(changed_views(torch.zeros(2, 1, 16, 1), front_end(config), config))
    assert {view.shape for view in views} == {(2, 1, 16, 1)} and len(views) == len(CHANGES)


def test_embeddings_and_answers_are_means_over_the_views(config, data):
    everyone = np.arange(len(data.labels))
    ensemble = build_encoder("acoustic-ssm1", data.clips, everyone, config, 0).eval()
    views = changed_views(ensemble.front_end(data.clips.waveform(0)[None]), ensemble.front_end, config)
    with torch.no_grad():
        wanted = torch.stack([summary(ensemble, view) for view in views]).mean(0)
    embedding = embed(ensemble, data.clips, everyone, config)
    torch.testing.assert_close(embedding[:1], wanted, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(embed(ensemble, data.clips, everyone, config, shuffle_seed=0), embedding, atol=1e-3)
    support = [0, 1, 4, 5]
    classifier = finetune(ensemble, data.clips, support, [0, 0, 1, 1], config, 0, progress=False)
    answers = predict(classifier, data.clips, everyone, config)
    torch.testing.assert_close(answers.sum(1), torch.ones(len(everyone)))


def test_a_bank_of_clips_of_different_length_is_read_whole(config):
    clips = Clips([0.1 * torch.randn(n, generator=torch.Generator().manual_seed(n)) for n in (300, 9000, 20_000)])
    ensemble = build_encoder("supervised", clips, np.arange(3), config, 0)
    assert embed(ensemble, clips, np.arange(3), config).isfinite().all()
