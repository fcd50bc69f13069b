import dataclasses
import math

import pytest
import torch
from tiny_settings import TINY_BEST
from torch.utils._python_dispatch import TorchDispatchMode

from acssm_lib.data.clips import Clips
from acssm_lib.experiment.methods import build_encoder, loss_of_a_guess, objective_of
from acssm_lib.model import streaming
from acssm_lib.model.base import embedding_width, over_time
from acssm_lib.model.encoder import AcousticSSM
from acssm_lib.presets import preset
from acssm_lib.pretraining.contrastive import pretrain
from acssm_lib.pretraining.spectrogram_changes import coloured, masked, mixed, shifted_bands, stretched_crops
from acssm_lib.pretraining.spectrogram_views import SegmentViews, SpectrogramViews, multi_view_nt_xent
from acssm_lib.training import seeded


def seed(number=0):
    return torch.Generator().manual_seed(number)


@pytest.fixture
def config():
    return preset(
        "best",
        **TINY_BEST,
        pretrain_epochs=3,
        pretrain_batch=4,
        n_views=3,
    )


@pytest.fixture
def clips():
    seconds = torch.arange(30_000) / 20_000
    return Clips([0.3 * torch.sin(2 * math.pi * 300 * (1 + n) * seconds[: 20_000 + 1000 * n]) for n in range(8)])


def encoder_of(config):
    with seeded(0):
        return AcousticSSM(config)


def test_without_stretch_a_crop_is_a_piece_of_the_spectrogram():
    ramp = torch.arange(50.0).expand(40, 8, 50)
    crops = stretched_crops(ramp, torch.full((40,), 50), 20, 1.0, seed())
    torch.testing.assert_close(crops.diff(dim=2), torch.ones(40, 8, 19), atol=1e-4, rtol=0)
    assert crops[:, 0, 0].min() < 5 and crops[:, 0, -1].max() > 45  # from everywhere


def test_stretching_changes_the_tempo_within_its_limits_and_short_clips_hold_their_end():
    ramp = torch.arange(80.0).expand(60, 2, 80)
    steps = stretched_crops(ramp, torch.full((60,), 80), 20, 1.5, seed()).diff(dim=2)[:, 0]
    assert (steps.std(dim=1) < 1e-4).all() and 1 / 1.5 <= steps.min() < 0.75 and 1.35 < steps.max() <= 1.5001
    short = stretched_crops(ramp, torch.full((60,), 5), 20, 1.0, seed())
    assert short.max() == 4 and (short[..., -10:] == 4).all()


def test_bands_are_shifted_and_the_outermost_repeated():
    bands = torch.arange(10.0)[:, None].expand(50, 10, 3)
    shifted = shifted_bands(bands, 2.0, seed())
    offset = shifted[:, 5, 0] - 5
    assert -2 <= offset.min() < -1.5 and 1.5 < offset.max() <= 2
    torch.testing.assert_close(shifted[:, :, 0], (torch.arange(10.0) + offset[:, None]).clamp(0, 9))


def test_colour_is_the_same_in_every_frame_and_smooth_over_the_bands():
    changed = coloured(torch.zeros(500, 32, 4), 10.0, 3.0, seed())
    assert (changed == changed[..., :1]).all()
    curve = changed[..., 0]
    assert curve.diff(dim=1).abs().mean() < 0.3 * curve.std() and 5 < curve.mean(1).std() < 7  # 10 / sqrt 3 and a bit


def test_equal_loudness_is_mixed_in_up_to_its_share():
    quiet, loud = torch.full((1, 4, 5), -60.0), torch.zeros(1, 4, 5)
    loud[:, 0] = 6.0
    x = torch.cat([quiet, loud])
    power = 10 ** (mixed(x, 0.4, seed(1)) / 10)
    torch.testing.assert_close(power.mean((1, 2)), (10 ** (x / 10)).mean((1, 2)), rtol=1e-3, atol=0)
    torch.testing.assert_close(mixed(x, 0.0, seed()), x, atol=1e-3, rtol=0)


@pytest.mark.parametrize("dim", [1, 2])
def test_a_mask_is_one_span_of_bands_or_frames(dim):
    inside = masked(torch.ones(300, 20, 20), 0.3, dim, seed()) == 0
    along = inside.any(dim=3 - dim)
    assert (inside == along.unsqueeze(3 - dim)).all()
    assert (along.int().diff(dim=1) > 0).sum(1).max() <= 1 and 5 <= along.sum(1).max() <= 7
    assert not masked(torch.ones(3, 20, 20), 0.0, dim, seed()).eq(0).any()


@pytest.mark.parametrize("dim", [1, 2])
def test_a_mask_lies_anywhere_and_whole(dim):
    share = (masked(torch.ones(4_000, 20, 20), 0.3, dim, seed()) == 0).any(dim=3 - dim).double().mean(0)
    assert float(share.mean()) == pytest.approx(0.3 / 2, abs=0.006)  # half of the longest, on average
    behind = share[1:]  # a mask begins behind the first
    assert behind.min() > 0.02 and (behind - behind.flip(0)).abs().max() < 0.03


def test_loss_is_simclr_s_with_two_views_and_a_loop_with_three():
    torch.manual_seed(0)
    a, b, c = torch.randn(3, 5, 7, dtype=torch.float64)
    views = torch.nn.functional.normalize(torch.cat([a, b]), dim=1)
    logits = (views @ views.T / 0.07).fill_diagonal_(float("-inf"))  # SimCLR: one partner among all others
    simclr = torch.nn.functional.cross_entropy(logits, torch.arange(10).roll(5))
    torch.testing.assert_close(multi_view_nt_xent(torch.cat([3 * a, b]), 2, 0.07), simclr, rtol=0, atol=1e-12)
    z = torch.nn.functional.normalize(torch.cat([a, b, c]), dim=1)
    total = [
        math.log(sum(math.exp(float(z[i] @ z[k]) / 0.5) for k in range(15) if k != i)) - float(z[i] @ z[j]) / 0.5
        for i in range(15)
        for j in range(15)
        if i != j and i % 5 == j % 5
    ]
    assert float(multi_view_nt_xent(torch.cat([a, b, c]), 3, 0.5)) == pytest.approx(sum(total) / len(total), rel=1e-5)
    assert float(multi_view_nt_xent(torch.ones(12, 4), 4, 0.1)) == pytest.approx(math.log(11), abs=1e-5)
    assert float(multi_view_nt_xent(torch.ones(4, 4), 2, 0.1)) == pytest.approx(math.log(3), abs=1e-5)  # two recordings


@pytest.mark.parametrize("rows, n_views", [(6, 1), (7, 2), (3, 3)])
def test_too_few_views_or_recordings_are_refused(rows, n_views):
    with pytest.raises(ValueError, match=f"{rows} embeddings cannot be {n_views} views"):
        multi_view_nt_xent(torch.randn(rows, 4), n_views, 0.1)


@pytest.mark.parametrize(
    "negatives, wrong",
    [
        ("all", {0: [1, 2, 3], 1: [0, 2, 3], 2: [0, 1, 3], 3: [0, 1, 2]}),
        ("other-sources", {0: [2, 3], 1: [2, 3], 2: [0, 1, 3], 3: [0, 1, 2]}),  # clips 0 and 1 are of one source
        ("same-source", {0: [1], 1: [0], 2: [], 3: []}),  # clips 2 and 3 are of unknown ones
    ],
)
def test_which_clips_a_view_is_told_from(negatives, wrong):
    views, temperature, sources = torch.randn(12, 5, generator=seed(), dtype=torch.float64), 0.3, [7, 7, -1, -1]
    unit = views / views.norm(dim=1, keepdim=True)
    loss = []
    for view in range(12):
        for partner in {view % 4 + 4 * number for number in range(3)} - {view}:
            others = [row for row in range(12) if row != view and row % 4 in [view % 4, *wrong[view % 4]]]
            scores = [float(unit[view] @ unit[row] / temperature) for row in others]
            loss.append(math.log(sum(map(math.exp, scores))) - float(unit[view] @ unit[partner] / temperature))
    found = multi_view_nt_xent(views, 3, temperature, torch.tensor(sources), negatives)
    assert float(found) == pytest.approx(sum(loss) / len(loss), rel=1e-12)


def test_negatives_of_a_source_reach_the_training_and_its_gradient(config, clips):
    sources, losses = torch.tensor([0, 0, 0, 0, 1, 1, 1, -1]), {}
    for negatives in ("all", "other-sources", "same-source"):
        encoder = encoder_of(dataclasses.replace(config, negatives=negatives))
        with seeded(1):
            objective = SpectrogramViews(encoder, dataclasses.replace(config, negatives=negatives), sources)
        loss = objective(encoder, clips, torch.tensor([0, 1, 4, 7]), seed())
        loss.backward()
        losses[negatives] = loss.item()
        assert all(torch.isfinite(parameter.grad).all() for parameter in objective.parameters())
    assert losses["all"] > losses["other-sources"] and losses["all"] > losses["same-source"]


def test_views_of_a_batch_differ_and_come_from_their_clips(config, clips):
    encoder = encoder_of(config)
    objective = SpectrogramViews(encoder, config)
    chosen = torch.tensor([1, 6])
    views = objective.views(encoder, clips, chosen, seed())
    assert views.shape == (6, 1, 16, 33)
    assert not torch.equal(views[0], views[2])
    again = objective.views(encoder, clips, chosen, seed())
    assert torch.equal(views, again)


def test_a_front_end_with_phases_is_refused(config):
    stack = preset("best", features="stack", views="pair", test_views=1, n_mels=16)
    with pytest.raises(ValueError, match="features='log-mel'"):
        SpectrogramViews(encoder_of(stack), stack)


@pytest.mark.parametrize("objective", [SegmentViews, SpectrogramViews])
def test_pre_training_lowers_the_loss_and_repeats(objective, config, clips):
    config = preset(
        "best", **{key: value for key, value in config.as_dict().items() if key != "name"} | {"pretrain_epochs": 30}
    )
    runs = []
    for _ in range(2):
        encoder = encoder_of(config)
        runs.append(pretrain(encoder, clips, range(8), config, 0, objective=objective, progress=False).losses)
    assert runs[0] == runs[1]
    assert sum(runs[0][-10:]) < 0.8 * sum(runs[0][:10])


def test_mean_and_deviation_over_time():
    features = torch.tensor([[[1.0, 3.0], [2.0, 2.0]]])
    assert over_time(features).tolist() == [[2.0, 2.0]]
    assert over_time(features, "mean-std").tolist() == [[2.0, 2.0, 1.0, 0.0]]
    still = torch.ones(1, 2, 3, requires_grad=True)
    over_time(still, "mean-std").sum().backward()
    assert still.grad.isfinite().all()  # a silent channel does not stop a training


def test_an_embedding_is_as_long_as_it_says(config):
    encoder = encoder_of(config).eval()
    assert encoder.embed(torch.randn(2, 9000)).shape == (2, embedding_width(encoder)) == (2, 16)


@pytest.mark.parametrize(
    "method, overrides",
    [
        ("acoustic-ssm1", {}),
        ("acoustic-ssm1", {"views": "segments"}),
        ("acoustic-ssm1", {"views": "pair", "features": "stack", "test_views": 1}),
        (
            "mt-slvr",
            {"views": "pair", "features": "stack", "test_views": 1, "widths": "8,8,16,16", "blocks": "1,1,1,1"},
        ),
    ],
)
def test_the_loss_of_a_guess_is_that_of_an_objective_that_tells_nothing_apart(config, clips, method, overrides):
    config = preset("best", **{key: value for key, value in config.as_dict().items() if key != "name"} | overrides)
    encoder = build_encoder(method, clips, range(8), dataclasses.replace(config, n_members=1), 0)
    objective = objective_of(method, config)(encoder, config)
    for parameter in objective.parameters():
        torch.nn.init.zeros_(parameter)
    loss = objective(encoder.train(), clips, torch.arange(4), seed()).item()
    assert loss == pytest.approx(loss_of_a_guess(method, config, 8), rel=1e-5)
    assert loss_of_a_guess(method, config, 3) < loss


def test_crops_from_ragged_frames_are_digit_by_digit_those_from_padded_spectrograms(config, clips):
    encoder = encoder_of(config)
    objective = SpectrogramViews(encoder, config)
    objective._hear(encoder.front_end, clips)
    alone = [encoder.front_end(clips.waveform(clip))[0, 0] for clip in range(8)]  # (n_mels, frames)
    longest = alone[-1].shape[1]
    padded = torch.stack([torch.nn.functional.pad(frames, (0, longest - frames.shape[1])) for frames in alone])
    lengths, chosen = torch.tensor([frames.shape[1] for frames in alone]), torch.tensor([0, 7, 3, 3, 5])
    wanted = stretched_crops(padded[chosen], lengths[chosen], 33, config.max_stretch, seed())
    assert torch.equal(objective._crops(chosen, seed()), wanted)


class Largest(TorchDispatchMode):
    """Notes the size in bytes of the largest tensor that anything made, and of all those made by ``new_empty``."""

    def __init__(self):
        super().__init__()
        self.largest = self.kept = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        made = function(*arguments, **(keywords or {}))
        if isinstance(made, torch.Tensor):
            fresh = "empty" in str(function)
            self.kept += made.nbytes * fresh
            self.largest = max(self.largest, made.nbytes * (not fresh and made._base is None))
        return made


def test_one_long_recording_among_many_takes_its_own_room_and_no_more(config, monkeypatch):
    monkeypatch.setattr(streaming, "AT_ONCE", 2**13)
    monkeypatch.setattr(Clips, "waveform", lambda *_: pytest.fail("a whole recording in memory"))
    encoder, lengths = encoder_of(config), [4096] * 50 + [2**19]
    objective = SpectrogramViews(encoder, config)
    clips = Clips([torch.zeros(length, dtype=torch.int16) for length in lengths])
    with Largest() as memory:
        objective._hear(encoder.front_end, clips)
    frames = sum(length // 256 + 1 for length in lengths)
    assert objective.heard.nbytes == frames * 16 * 4  # 0.2 MB; padded to the longest 6.7 MB
    assert memory.kept < 2 * objective.heard.nbytes and memory.largest < 2**18  # a piece, its spectrum


NEUTRAL = {
    "max_stretch": 1.0,
    "mel_shift": 0.0,
    "mix_max": 0.0,
    "gain_db": 0.0,
    "equaliser_db": 0.0,
    "masked_span": 0.0,
    "floor_db": None,
}


def changed(config, **changes):
    return dataclasses.replace(config, **NEUTRAL | changes)


def views_of(config, clips, chosen=(0, 1, 2), encoder=None):
    encoder = encoder or encoder_of(config)
    return SpectrogramViews(encoder, config).views(encoder, clips, torch.tensor(chosen), seed())


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"max_stretch": 1.3},
        {"mel_shift": 4.0},
        {"mix_max": 0.5},
        {"gain_db": 10.0},
        {"equaliser_db": 6.0},
        {"masked_span": 0.5},
    ],
)
def test_a_view_is_the_spectrogram_but_for_each_change_that_is_asked_for(config, changes):
    clips = Clips([0.1 * torch.randn(config.n_samples, generator=seed(clip)) for clip in range(3)])  # as long as a crop
    plain = encoder_of(changed(config)).front_end(torch.stack([clips.waveform(clip) for clip in range(3)]))
    views = views_of(changed(config, n_views=2, **changes), clips)
    difference = (views - plain.repeat(2, 1, 1, 1)).abs().amax((1, 2, 3))  # dB
    assert difference.max() > 1 if changes else difference.max() < 1e-4


def test_no_view_lies_below_the_floor_however_much_it_was_turned_down(config, clips):
    views = views_of(changed(config, gain_db=30.0, floor_db=-50.0), clips)
    assert views.min() == -50 and (views > -50).any()


@pytest.mark.parametrize("kind", ["scale", "band"])
def test_what_is_masked_is_zero_to_the_network_and_the_rest_is_standardised(config, clips, kind):
    config = dataclasses.replace(config, standardise=kind)
    encoder = encoder_of(config).eval()
    standardisation = encoder.standardisation.fit(encoder.front_end, [clips.waveform(clip) for clip in range(8)])
    views = views_of(config, clips, encoder=encoder)
    inside = (views - standardisation.mean) / standardisation.deviation
    assert (inside == 0).any(3).any(2).sum() >= len(views) - 1  # a mask may be shorter than a band
    wanted = over_time(encoder.sequence(encoder.cnn(inside)), config.pooling)
    torch.testing.assert_close(SpectrogramViews(encoder, config).embed(encoder, clips, torch.arange(3), seed()), wanted)


def test_equaliser_and_gain_are_as_strong_as_asked():
    flat, none = torch.zeros(2000, 32, 2), coloured(torch.zeros(4, 32, 2), 0.0, 0.0, seed())
    assert not none.any()
    for strength in (1.0, 6.0):
        assert coloured(flat, 0.0, strength, seed())[:, 0].std() == pytest.approx(strength, rel=0.1)  # dB, at a knot
        gains = coloured(flat, strength, 0.0, seed())
        assert (gains == gains[:, :1]).all()
        assert -strength <= gains.min() < -0.95 * strength and 0.95 * strength < gains.max() <= strength
