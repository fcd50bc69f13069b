import numpy as np
import pytest
import torch
from torch.nn import functional as F

from acssm_lib.data.clips import Clips
from acssm_lib.experiment.methods import build_encoder
from acssm_lib.model.features import SpectrogramStack
from acssm_lib.model.standardisation import Standardisation, sound_of
from acssm_lib.presets import preset

FRONT_END = SpectrogramStack(n_mels=32, floor_db=-80.0)


def noise(*shape, seed=0):
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def hissing(level, n_clips=6, samples=8_000):
    """Noise that swells: bands with a deviation."""
    return 0.3 * noise(n_clips, samples) * 10 ** (level * torch.sin(torch.arange(samples) / 900) / 20)


@pytest.mark.parametrize(
    "kind, mean_of_bands, deviation_of_bands", [("band", True, True), ("scale", True, False), ("overall", False, False)]
)
def test_what_each_kind_makes_zero_and_one(kind, mean_of_bands, deviation_of_bands):
    waveform = hissing(12.0)
    spectrograms = FRONT_END(waveform)
    values = Standardisation(3, 32, kind).fit(FRONT_END, waveform)(spectrograms)
    assert values.mean((0, 2, 3)).abs().max() < 1e-3
    assert (values.mean((0, 3)).abs().max() < 1e-3) == mean_of_bands
    assert ((values.std((0, 3)) - 1).abs().max() < 1e-2) == deviation_of_bands
    inside = values - values.mean((0, 3), keepdim=True) * mean_of_bands
    assert inside.square().mean((0, 2, 3)).tolist() == pytest.approx([1, 1, 1], abs=1e-2)


def test_none_is_the_identity_before_and_after_it_has_heard_something():
    layer, spectrograms = Standardisation(3, 32), FRONT_END(noise(2, 8_000))
    assert layer(spectrograms) is spectrograms
    assert layer.fit(FRONT_END, noise(2, 8_000))(spectrograms) is spectrograms


def test_an_empty_band_is_not_blown_up():
    front_end, seconds = SpectrogramStack(n_mels=32, floor_db=0.0), torch.arange(8_000) / 20_000
    tone = torch.stack([level * torch.sin(2 * torch.pi * 1000 * seconds) for level in (0.01, 0.5)])
    spectrograms = front_end(tone)
    assert (spectrograms[:, 0].std((0, 2)) == 0).any()  # at the floor all the time
    layer = Standardisation(3, 32, "band").fit(front_end, tone)
    widest = layer.deviation[0].square().mean().sqrt()
    assert layer.deviation[0].min() > 0.2 * widest
    assert layer(spectrograms).abs().max() < 10


@pytest.mark.parametrize("kind", ["band", "scale", "overall"])
def test_padding_and_digital_silence_within_a_clip_do_not_count(kind):
    waveform = hissing(12.0)
    plain = Standardisation(3, 32, kind).fit(FRONT_END, waveform)
    behind = [torch.cat([clip, torch.zeros(40 * 512 - 8_000)]) for clip in waveform]
    inside = [torch.cat([clip, torch.zeros(20 * 512), clip]) for clip in waveform]
    for examples in (behind, inside):
        layer = Standardisation(3, 32, kind).fit(FRONT_END, examples)
        assert (layer.mean - plain.mean)[0].abs().max() < 1.5 and (layer.deviation / plain.deviation)[0].max() < 1.3
    counted = FRONT_END(torch.stack(behind))[:, 0]
    assert counted.std() > 3 * plain.deviation[0].max()  # what it would be


@pytest.mark.parametrize("standardise", ["scale", "band"])
def test_what_a_network_reads_of_sound_does_not_depend_on_how_much_of_a_crop_is_padding(standardise):
    clips = Clips(list(hissing(12.0, samples=6_000)))
    settings = {"standardise": standardise, "widths": "4,8", "blocks": "1,1", "n_layers": 1, "d_state": 4}
    read = []
    for n_samples in (6_000, 30_000, 120_000):
        encoder = build_encoder("supervised", clips, np.arange(6), preset("quick", n_samples=n_samples, **settings), 0)
        crop = F.pad(clips.waveform(2), (0, n_samples - 6_000))
        read.append(encoder.standardisation(encoder.front_end(crop))[..., :10])  # frames without a sample of padding
    for other in read[1:]:
        torch.testing.assert_close(other, read[0])


def test_a_piece_of_sound_holds_no_padding_and_comes_from_everywhere():
    ramp = torch.arange(1, 30_001) / 32_768
    clips = Clips([ramp, ramp[:2_000], ramp[:300]])
    generator = torch.Generator().manual_seed(0)
    pieces = [list(sound_of(clips, torch.arange(3), 10_000, 1024, generator)) for _ in range(20)]
    assert {tuple(map(len, three)) for three in pieces} == {(10_000, 2_000, 1024)}
    starts = [float(three[0][0]) * 32_768 for three in pieces]
    assert min(starts) < 5_000 and max(starts) > 15_000 and all(three[0].all() and three[1].all() for three in pieces)


def test_nothing_but_silence_and_an_unknown_kind_are_refused():
    for examples in (torch.zeros(2, 8_000), []):
        with pytest.raises(ValueError, match="no frame with sound"):
            Standardisation(3, 32, "scale").fit(FRONT_END, examples)
    with pytest.raises(ValueError, match="kind='bands': choose one of none, scale"):
        Standardisation(3, 32, "bands")
