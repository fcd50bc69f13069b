import dataclasses

import pytest
import torch

from acssm_lib.presets import preset
from acssm_lib.pretraining import augment
from acssm_lib.pretraining.augment import (
    AUGMENTATIONS,
    apply_plans,
    augmentations,
    draw_plans,
    fade,
    mixed_noise,
    pitch_shift,
    time_mask,
    time_shift,
    time_stretch,
    white_noise,
)

CONFIG = preset("quick")
RATE, N = CONFIG.sample_rate, 16_000
SECONDS = torch.arange(N) / RATE


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def tones(n, hertz=1000.0):
    return (0.3 * torch.sin(2 * torch.pi * hertz * SECONDS)).repeat(n, 1)


def burst(at, hertz=1000.0, width=0.02):
    """A tone under a bell curve around ``at`` seconds."""
    return (0.3 * torch.exp(-(((SECONDS - at) / width) ** 2)) * torch.sin(2 * torch.pi * hertz * SECONDS))[None]


def peak_hz(waveform):
    spectrum = torch.fft.rfft(waveform * torch.hann_window(N), 4 * N).abs()
    return spectrum.argmax(dim=-1) * RATE / (4 * N)


def centre_and_width(waveform):
    """Mean and standard deviation (s) of where the power lies."""
    power = waveform.square() / waveform.square().sum(dim=-1, keepdim=True)
    centre = (power * SECONDS).sum(dim=-1, keepdim=True)
    return centre[..., 0], (power * (SECONDS - centre) ** 2).sum(dim=-1).sqrt()


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_returns_a_new_batch_of_the_same_shape_and_repeats_with_its_seed(name):
    waveform = tones(6)
    before = waveform.clone()
    one, again, other = (AUGMENTATIONS[name](waveform, seeded(seed)) for seed in (1, 1, 2))
    assert one.shape == waveform.shape and one.dtype == torch.float32
    assert torch.equal(waveform, before)
    assert torch.equal(one, again) and not torch.equal(one, other)
    assert len({tuple(clip[::100].tolist()) for clip in one}) > 1  # clips have parameters of their own


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_clip_does_not_feel_its_neighbours_and_silence_stays_silent(name):
    waveform = tones(5)
    alone = waveform.clone()
    alone[[0, 1, 3, 4]] = 0
    together, apart = (AUGMENTATIONS[name](batch, seeded(3)) for batch in (waveform, alone))
    torch.testing.assert_close(together[2], apart[2], atol=1e-6, rtol=0)
    assert (apart[[0, 1, 3, 4]] == 0).all()


def test_pitch_moves_by_whole_semitones_up_and_down_but_never_by_none():
    shifted = pitch_shift(tones(300), seeded())
    semitones = 12 * torch.log2(peak_hz(shifted) / 1000)
    assert (semitones - semitones.round()).abs().max() < 0.1
    assert set(semitones.round().int().tolist()) == set(range(-15, 16)) - {0}
    loudness = shifted[:, 2000:-2000].square().mean(dim=1).sqrt() / tones(1).square().mean().sqrt()
    assert loudness.min() > 0.97 and loudness.max() < 1.03


def test_clips_grouped_by_ratio_are_shifted_as_each_would_be_alone():
    waveform = 0.1 * torch.randn(12, N, generator=seeded())
    draws = torch.randint(30, (12,), generator=seeded(1))  # as pitch_shift draws them for 15 semitones
    semitones = torch.where(draws < 15, draws - 15, draws - 14)
    expected = []
    for clip, by in zip(waveform, semitones.tolist()):
        frame = 2 * round(256 * 2 ** (-by / 12))
        expected.append(augment._vocoder(clip[None], 512 / frame, frame)[0])
    torch.testing.assert_close(pitch_shift(waveform, seeded(1)), torch.stack(expected), atol=1e-6, rtol=0)


def test_pitch_range_is_a_setting_and_zero_switches_it_off():
    semitones = 12 * torch.log2(peak_hz(pitch_shift(tones(12), seeded(), 1.0)) / 1000)
    assert set(semitones.round().int().tolist()) == {-1, 1}
    assert torch.equal(pitch_shift(tones(2), seeded(), 0.0), tones(2))


def test_pitch_keeps_when_something_sounds_and_for_how_long():
    clip = burst(at=0.4, width=0.06)
    centre, width = centre_and_width(pitch_shift(clip.repeat(60, 1), seeded()))
    old_centre, old_width = centre_and_width(clip)
    assert (centre - old_centre).abs().max() < 0.01
    assert (width / old_width - 1).abs().max() < 0.25


def test_what_is_shifted_above_half_the_sample_rate_is_lost_not_folded_back():
    semitones = 12 * torch.log2(peak_hz(pitch_shift(tones(60), seeded())) / 1000)
    shifted = pitch_shift(tones(60, hertz=9000.0), seeded())
    power = shifted.square().mean(dim=1) / tones(1).square().mean()
    assert (power[semitones > 2.5] < 1e-4).all() and (semitones > 2.5).sum() > 10
    assert (power[semitones < 0] > 0.9).all()


def test_time_stretch_moves_the_envelope_and_keeps_the_pitch():
    stretched = time_stretch(burst(at=0.4, width=0.05).repeat(60, 1), seeded())
    centre, width = centre_and_width(stretched)
    factor = centre / 0.4
    assert 0.48 < factor.min() < 0.6 and 1.4 < factor.max() < 1.52
    assert (peak_hz(stretched) - 1000).abs().max() < 10
    longest, shortest = factor.argmax(), factor.argmin()
    assert width[longest] > 1.7 * width[shortest]


def test_a_shortened_clip_ends_in_silence():
    stretched = time_stretch(tones(60), seeded())
    length = N - (stretched.abs() > 0.1).int().flip(1).argmax(dim=1)
    assert 0.5 * N - 512 < length.min() < 0.6 * N
    shortest = length.argmin()
    assert (stretched[shortest, length[shortest] + 1024 :] == 0).all()


def test_fades_rise_from_zero_and_fall_to_zero_in_three_shapes():
    envelopes = fade(torch.ones(90, N), seeded())
    assert (envelopes[:, 0] == 0).all() and envelopes.max() == 1
    shapes, rises, falls = set(), [], []
    for envelope in envelopes:
        top = (envelope == 1).nonzero()[:, 0]
        assert (envelope[: top[0]].diff() >= 0).all() and (envelope[top[-1] :].diff() <= 0).all()
        rises, falls = rises + [int(top[0])], falls + [N - int(top[-1])]
        shapes.add(round(float(envelope[top[0] // 2]), 1) if top[0] > 100 else 0.5)
    assert shapes == {0.5, 0.7, 0.4}  # half-way up: linear; logarithmic, 1 + log10(0.55); exponential, 0.5 / sqrt(2)
    assert max(rises) <= N / 2 and max(falls) <= N / 2 + 1 and max(rises) > 0.45 * N and max(falls) > 0.45 * N
    assert abs(torch.corrcoef(torch.tensor([rises, falls]).float())[0, 1]) < 0.4  # drawn apart


def test_a_mask_is_one_silent_span_anywhere_and_of_any_length_up_to_the_largest():
    masked = time_mask(torch.ones(300, N), seeded())
    assert ((masked == 0) | (masked == 1)).all()
    assert (masked.diff(dim=1).abs().sum(dim=1) <= 2).all()  # one span
    length = (masked == 0).sum(dim=1)
    assert 0.12 * N < length.max() <= 0.125 * N and length.min() < 0.005 * N
    assert abs(float(length.float().mean()) / N - 0.0625) < 0.008
    silent = (masked == 0).sum(dim=0)
    assert silent[: N // 4].sum() > 0 and silent[-N // 20 :].sum() > 0
    assert (time_mask(torch.ones(300, 3), seeded(), 0.4) == 0).sum(dim=0).min() > 30  # at both ends too


def test_a_shift_rolls_and_loses_nothing():
    ramp = torch.arange(N).float().repeat(200, 1)
    shifted = time_shift(ramp, seeded())
    assert torch.equal(shifted.sort(dim=1).values, ramp)
    by = (N - shifted[:, 0]) % N  # to the right
    signed = torch.where(by > N / 2, by - N, by)
    assert all(torch.equal(shifted[i], ramp[i].roll(int(by[i]))) for i in range(0, 200, 20))
    assert signed.min() < -0.45 * N and signed.max() > 0.45 * N
    near = time_shift(ramp, seeded(), 0.1)[:, 0]
    assert ((near <= 0.1 * N) | (near >= 0.9 * N)).all()


@pytest.mark.parametrize("function", [white_noise, mixed_noise])
def test_noise_has_the_wanted_level_below_each_clip_s_own(function):
    loudness = torch.tensor([0.01, 0.1, 1.0])[:, None].repeat(30, 1)
    waveform = tones(90) * loudness
    noise = function(waveform, seeded()) - waveform
    snr_db = 10 * torch.log10(waveform.square().mean(dim=1) / noise.square().mean(dim=1))
    assert 2.9 < snr_db.min() < 5 and 28 < snr_db.max() < 30.1
    fixed = (10.0, 10.0)
    noise = function(waveform, seeded(), fixed) - waveform
    snr_db = 10 * torch.log10(waveform.square().mean(dim=1) / noise.square().mean(dim=1))
    torch.testing.assert_close(snr_db, torch.full((90,), 10.0), atol=0.05, rtol=0)


@pytest.mark.parametrize("function, least, most", [(white_noise, 0.0, 1.0), (mixed_noise, -2.0, 2.0)])
def test_spectra_of_the_noise_slope_as_they_should(function, least, most):
    noise = function(tones(80), seeded(), (0.0, 0.0)) - tones(80)
    power = torch.fft.rfft(noise * torch.hann_window(N)).abs().square()
    bands = [power[:, low : 2 * low].mean(dim=1).log2() for low in (100, 200, 400, 800, 1600, 3200)]
    slope = (bands[-1] - bands[0]) / 5  # doublings of power per octave: minus the decay
    assert least - 0.25 < slope.min() < least + 0.35 and most - 0.35 < slope.max() < most + 0.25


def test_plans_are_orders_of_all_or_of_some():
    plans = draw_plans(400, "abcd", seeded())
    assert plans.dtype == torch.int64 and plans.shape == (400, 4)
    assert (plans.sort(dim=1).values == torch.arange(4)).all()
    assert len(set(map(tuple, plans.tolist()))) == 24  # every order occurs

    plans = draw_plans(700, "abcdefg", seeded(), all_of_them=False)
    used = (plans >= 0).sum(dim=1)
    assert torch.bincount(used, minlength=8)[1:].min() > 60 and used.min() == 1 and used.max() == 7
    for plan, many in zip(plans.tolist(), used.tolist()):
        assert plan[many:] == [-1] * (7 - many) and len(set(plan[:many])) == many


def test_a_plan_is_followed_in_its_order():
    names = ("time_mask", "fade")
    ones = torch.ones(3, N)
    plans = torch.tensor([[0, 1], [1, 0], [-1, -1]])
    out = apply_plans(ones, plans, augmentations(names, CONFIG), seeded(4))
    generator = seeded(4)  # the draws in the order in which the sub-batches are changed
    masked, faded = time_mask(ones[:1], generator), fade(ones[:1], generator)
    then_masked, then_faded = time_mask(faded, generator), fade(masked, generator)
    assert torch.equal(out, torch.cat([then_faded, then_masked, ones[:1]]))


def test_the_settings_of_a_run_are_the_ranges():
    config = dataclasses.replace(
        CONFIG, pitch_semitones=0.0, fade_max=0.1, mask_max=0.0, shift_max=0.0, noise_snr_db=(60.0, 60.0)
    )
    names = ("time_shift", "fade", "white_noise", "pitch_shift", "time_mask", "time_stretch", "mixed_noise")
    shift, faded, white, pitch, mask, stretch, mixed = (
        change(tones(20), seeded()) for change in augmentations(names, config)
    )
    assert torch.equal(shift, tones(20)) and torch.equal(pitch, tones(20))
    assert (mask != tones(20)).sum(dim=1).max() <= 1
    assert torch.equal(faded[:, N // 10 : -N // 10], tones(20)[:, N // 10 : -N // 10]) and (faded != tones(20)).any()
    assert all(0 < (noisy - tones(20)).abs().max() < 0.01 for noisy in (white, mixed))
    assert torch.equal(stretch, time_stretch(tones(20), seeded()))


def test_two_views_share_the_plan_and_differ_in_the_parameters():
    names = ("pitch_shift", "fade", "time_mask", "time_shift")
    plans = draw_plans(4, names, seeded())
    views = apply_plans(tones(8), plans.repeat(2, 1), augmentations(names, CONFIG), seeded())
    assert views.isfinite().all()
    assert all(not torch.equal(views[i], views[i + 4]) for i in range(4))


def test_a_bin_that_cancels_against_the_floor_of_the_phases_gives_no_nan():
    waveform = torch.zeros(2, 4096)
    waveform[:, 1024] = -(2.0**-40)  # in the middle of a frame: every second bin is minus the floor
    assert all(AUGMENTATIONS[name](waveform, seeded()).isfinite().all() for name in ("pitch_shift", "time_stretch"))
