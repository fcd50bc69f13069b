import contextlib

import numpy as np
import pytest
import torch
import torchaudio

from acssm_lib.model.features import (
    EPSILON,
    LogMel,
    SpectrogramStack,
    filter_blocks,
    least_samples,
    long_enough,
    mel_filters,
)


def test_shapes_for_both_published_clip_lengths():
    stack = SpectrogramStack()
    assert stack(torch.zeros(2, 30_225)).shape == (2, 3, 128, 60)
    assert stack(torch.zeros(30_250)).shape == (1, 3, 128, 60)


@pytest.mark.parametrize("kind", [SpectrogramStack, LogMel])
def test_weights_on_disk_hold_no_part_of_the_front_end(kind):
    """It is made of the settings, and learns nothing: weights fit whatever front end they are loaded under."""
    assert kind().state_dict() == {} and list(kind().parameters()) == []


def mean_differences(found, wanted):
    """Of the three channels; a phase of pi is one of -pi."""
    difference = (found - wanted).abs()
    difference[:, 2] = torch.minimum(difference[:, 2], 2 * torch.pi - difference[:, 2])
    return difference.mean(dim=(0, 2, 3))


def test_default_reproduces_the_authors_front_end(vectors):
    authors = vectors("front_end_authors")
    found = SpectrogramStack()(authors["waveform"])[..., 1:-1]  # the first and last frame hear the cut
    assert (mean_differences(found, authors["features"][None]) <= 1e-4).all()


def test_whole_excerpts_match_the_authors_front_end_where_they_are_there(shared_data, vectors):
    authors = vectors(shared_data / "vectors" / "frontend_authors")
    assert (mean_differences(SpectrogramStack()(authors["waveform"]), authors["features"]) <= 1e-4).all()


@pytest.mark.parametrize(
    "name, settings, most",
    [
        ("published", {}, 1e-4),
        # Under a Hann window neighbouring bins have opposite signs: their sum is small, and its rounding counts more.
        ("small", {"n_fft": 512, "hop_length": 200, "n_mels": 20, "stft_window": "hann"}, 1e-3),
    ],
)
def test_front_end_is_what_the_formulas_say(vectors, name, settings, most):
    formulas = vectors("front_end_formulas")
    assert (mean_differences(SpectrogramStack(**settings)(formulas["waveform"]), formulas[name][None]) <= most).all()


def plain_stack(waveform, stack):
    """The three formulas as they stand, in double precision: three transforms, all filters on all bins."""
    mel = stack.filters.T.double().to(torch.cdouble)
    hann, plain = (
        torch.stft(
            waveform.double(),
            stack.n_fft,
            stack.hop_length,
            window=window.double(),
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )
        for window in (stack.hann, stack.window)
    )
    power, mixed = (mel @ hann.abs().square().to(torch.cdouble)).real, mel @ plain
    return torch.stack([10 * torch.log10(power + EPSILON), 10 * torch.log10(mixed.abs() + EPSILON), mixed.angle()], 1)


@pytest.mark.parametrize(
    "settings, batch",
    [
        ({}, 1),
        ({}, 9),
        ({"n_mels": 20}, 2),
        ({"n_fft": 512, "hop_length": 200, "n_mels": 64}, 2),
        ({"stft_window": "hann"}, 2),
    ],
)
def test_shared_transforms_and_filter_blocks_agree_with_the_formulas(settings, batch):
    stack = SpectrogramStack(**settings)
    waveform = 0.1 * torch.randn(batch, 8_000, generator=torch.Generator().manual_seed(0))
    difference = (stack(waveform) - plain_stack(waveform, stack)).abs()
    turned = torch.minimum(difference[:, 2], 2 * torch.pi - difference[:, 2])
    assert difference[:, :2].mean() < 1e-5 and difference[:, :2].max() < 0.01
    assert turned.mean() < 1e-5 and turned.max() < 0.01


def test_bands_far_below_a_pure_tone_keep_single_precision_also_under_autocast():
    seconds = torch.arange(8_000) / 20_000
    noise = torch.randn(8_000, generator=torch.Generator().manual_seed(0))
    waveform = (0.5 * torch.sin(2 * torch.pi * 440 * seconds) + 1e-4 * noise)[None]
    stack = SpectrogramStack()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ours = stack(waveform)
    assert ours.dtype == torch.float32 and torch.equal(ours, stack(waveform))
    assert (ours - plain_stack(waveform, stack))[:, 0].abs().max() < 0.01  # the noise is 70 dB below the tone


@pytest.mark.parametrize("n_mels, size", [(128, 16), (20, 16), (32, 5)])
def test_filter_blocks_hold_every_filter_and_leave_out_nothing_but_zeros(n_mels, size):
    filters = mel_filters(1024, n_mels, 20_000)
    rebuilt = torch.zeros_like(filters)
    for bins, bands in filter_blocks(filters, size):
        rebuilt[bins, bands] += filters[bins, bands]
        assert filters[bins.start, bands].any() and filters[bins.stop - 1, bands].any()
    assert torch.equal(rebuilt, filters)


def test_mel_filters_have_the_specified_numbers():
    filters = mel_filters(1024, 128, 20_000)
    assert filters.shape == (513, 128)
    assert filters.sum(0).min() == pytest.approx(0.700, abs=5e-4)
    mels = torch.linspace(0, 2595 * np.log10(1 + 10_000 / 700), 130)
    peaks = 700 * (10 ** (mels / 2595) - 1)
    assert peaks[1:4].tolist() == pytest.approx([14.95, 30.23, 45.83], abs=0.01)


def test_mel_filters_agree_with_torchaudio():
    theirs = torchaudio.functional.melscale_fbanks(513, 0, 10_000, 128, 20_000, norm=None, mel_scale="htk")
    torch.testing.assert_close(mel_filters(1024, 128, 20_000).float(), theirs, atol=2e-5, rtol=0)


def test_silence_is_the_logarithm_of_epsilon():
    silence = SpectrogramStack()(torch.zeros(30_225))[0]
    for channel, value in enumerate((-156.5356, -156.5356, 0.0)):
        assert silence[channel].unique().tolist() == pytest.approx([value], abs=1e-4)


def test_a_sine_peaks_in_the_band_of_its_frequency():
    waveform = torch.sin(2 * torch.pi * 2000 * torch.arange(30_225) / 20_000)
    band = int(SpectrogramStack()(waveform)[0, 0, :, 30].argmax())
    peak = int(mel_filters(1024, 128, 20_000)[:, band].argmax()) * 20_000 / 1024
    assert peak == pytest.approx(2000, rel=0.03)


def test_ten_times_the_amplitude_is_20_db_and_half_of_it_in_the_second_channel():
    waveform = 0.01 * torch.randn(30_225, generator=torch.Generator().manual_seed(0))
    quiet, loud = SpectrogramStack()(torch.stack([waveform, 10 * waveform]))
    difference = (loud - quiet).mean(dim=(1, 2))
    assert difference.tolist() == pytest.approx([20, 10, 0], abs=0.01)


def test_floor_and_window_are_options():
    silence = SpectrogramStack(floor_db=-80.0)(torch.zeros(30_225))[0]
    assert silence.amin(dim=(1, 2)).tolist() == [-80, -40, 0]
    noise = torch.randn(1, 30_225, generator=torch.Generator().manual_seed(0))
    plain, hann = SpectrogramStack()(noise), SpectrogramStack(stft_window="hann")(noise)
    assert torch.equal(plain[:, 0], hann[:, 0]) and not torch.allclose(plain[:, 1], hann[:, 1])


def test_gradients_reach_the_waveform():
    waveform = torch.randn(1, 4096, generator=torch.Generator().manual_seed(0), requires_grad=True)
    SpectrogramStack(n_mels=16)(waveform).sum().backward()
    assert torch.isfinite(waveform.grad).all() and waveform.grad.abs().sum() > 0


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: SpectrogramStack()(torch.zeros(1, 512)), "512 samples are too few"),
        (lambda: SpectrogramStack()(torch.zeros(1, 2, 30_225)), "expected \\(batch, samples\\)"),
        (lambda: SpectrogramStack(n_fft=256, n_mels=128), "mel filters are empty"),
        (lambda: SpectrogramStack(stft_window="hamming"), "'rectangular' or 'hann'"),
    ],
)
def test_wrong_input_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


@pytest.mark.parametrize("n_fft, n_mels, sample_rate", [(1024, 128, 20_000), (512, 20, 8_000)])
def test_filters_are_triangles_between_neighbouring_mels_in_double_precision(n_fft, n_mels, sample_rate):
    mel = np.linspace(0, 2595 * np.log10(1 + sample_rate / 2 / 700), n_mels + 2)
    corners, hertz = 700 * (10 ** (mel / 2595) - 1), np.linspace(0, sample_rate / 2, n_fft // 2 + 1)
    wanted = [np.interp(hertz, corners[k : k + 3], [0, 1, 0]) for k in range(n_mels)]
    found = mel_filters(n_fft, n_mels, sample_rate).numpy()
    assert found.dtype == np.float64 and np.allclose(found, np.transpose(wanted), rtol=0, atol=1e-10)


@pytest.mark.parametrize("n_fft, hop_length", [(1024, 512), (1024, 1024), (512, 100)])
def test_a_short_waveform_is_filled_up_to_two_frames_and_no_further(n_fft, hop_length):
    front_end = LogMel(n_fft=n_fft, hop_length=hop_length, n_mels=16)
    assert front_end(long_enough(torch.zeros(1, 7), front_end)).shape[3] >= 2
    least = least_samples(front_end)
    with pytest.raises(ValueError) if least == n_fft // 2 + 1 else contextlib.nullcontext():
        assert front_end(torch.zeros(1, least - 1)).shape[3] == 1
    assert long_enough(torch.ones(1, least + 1), front_end).shape == (1, least + 1)
