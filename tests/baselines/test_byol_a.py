"""BYOL-A on tiny inputs, with weights whose output can be told by hand."""

import re

import pytest
import torch
import torchaudio

from acssm_lib.baselines import weights
from acssm_lib.baselines.byol_a import BYOLA, ByolLogMel
from acssm_lib.files import DataError
from acssm_lib.presets import preset

NAMES = (
    [f"features.{place}.{part}" for place in (0, 4, 8) for part in ("weight", "bias")]
    + [
        f"features.{place}.{part}"
        for place in (1, 5, 9)
        for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    ]
    + [f"fc.{place}.{part}" for place in (0, 3) for part in ("weight", "bias")]
)


def shape(name, d):
    """Shape of a tensor of the published files."""
    if re.match(r"features\.[048]\.weight", name):
        return (64, 1 if name[9] == "0" else 64, 3, 3)
    if name.startswith("fc"):
        return (d,) if name.endswith("bias") else (d, 512 if name[3] == "0" else d)
    return () if name.endswith("tracked") else (64,)


def published(d=512, seed=0):
    generator = torch.Generator().manual_seed(seed)
    state = {name: 0.1 * torch.randn(shape(name, d), generator=generator) for name in NAMES}
    for name in NAMES:
        if name.endswith("running_var"):
            state[name] = state[name].abs() + 1
        if name.endswith("tracked"):
            state[name] = torch.tensor(7)
    return state


def transparent():
    """Weights that let positive values through: channel 0 is copied by every layer, the rest is zero."""
    state = {name: torch.zeros(shape(name, 512)) for name in NAMES}
    for conv, norm in ((0, 1), (4, 5), (8, 9)):
        state[f"features.{conv}.weight"][0, 0, 1, 1] = 1
        state[f"features.{norm}.weight"] += 1
        state[f"features.{norm}.running_var"] += 1 - 1e-5  # batch norm adds 1e-5
    state["fc.0.weight"], state["fc.3.weight"] = torch.eye(512), torch.eye(512)
    return state


def test_the_published_file_loads_and_every_tensor_is_where_its_name_says(tmp_path):
    state = published()
    torch.save(state, tmp_path / "AudioNTT2020-BYOLA-64x96d512.pth")
    encoder = BYOLA(preset("quick"), weights.load("byol-a", tmp_path / "AudioNTT2020-BYOLA-64x96d512.pth"))
    own = encoder.state_dict()
    assert set(own) - set(NAMES) == {"standardisation.mean", "standardisation.deviation"}
    assert all(torch.equal(own[name], state[name]) for name in NAMES)
    assert all(parameter.requires_grad for parameter in encoder.parameters())


@pytest.mark.parametrize("d, millions", [(512, 0.60), (1024, 1.65), (2048, 5.32)])
def test_sizes_are_read_off_the_weights(d, millions):
    encoder = BYOLA(preset("quick"), published(d))
    assert encoder.d_model == d and encoder.special_parameters() == []
    assert round(sum(parameter.numel() for parameter in encoder.parameters()) / 1e6, 2) == millions


def test_maximum_plus_mean_over_time_by_hand():
    encoder = BYOLA(preset("quick"), transparent()).eval()
    log_mel = torch.zeros(1, 1, 64, 24)  # three frames after pooling by eight, eight bands
    log_mel[0, 0, 20, 3] = 6.0  # band 20 // 8 = 2, frame 0
    log_mel[0, 0, 21, 5] = 4.0  # the same field: the smaller of the two is lost
    log_mel[0, 0, 16, 23] = 3.0  # band 2, frame 2
    log_mel[0, 0, 63, 8] = -5.0  # negative: cut off by the ReLU
    log_mel = log_mel * encoder.standardisation.deviation + encoder.standardisation.mean  # read as the numbers above
    features = encoder(log_mel)
    expected = torch.zeros(512)
    expected[2 * 64] = 6 + (6 + 0 + 3) / 3  # mel varies slower than channel: band 2, channel 0
    assert features.shape == (1, 512, 1)
    torch.testing.assert_close(features[0, :, 0], expected)
    assert torch.equal(encoder(log_mel[:, 0]), features)  # without the channel


def test_frozen_in_eval_mode_and_trainable(tiny):
    encoder = BYOLA(tiny, published()).eval()
    waveform = 0.1 * torch.randn(3, 8000, generator=torch.Generator().manual_seed(1))
    embedding = encoder.embed(waveform)
    assert embedding.shape == (3, 512) and torch.equal(encoder.embed(waveform), embedding)
    torch.testing.assert_close(encoder.embed(waveform[:1]), embedding[:1])  # a crop does not see its batch
    embedding.sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


def test_front_end_is_torchaudios_mel_spectrogram_at_16_khz():
    waveform = 0.1 * torch.randn(2, 24_000, generator=torch.Generator().manual_seed(2))
    reference = torchaudio.transforms.MelSpectrogram(16_000, 1024, hop_length=160, n_mels=64, f_min=60, f_max=7800)
    expected = (reference(waveform) + 1.1920929e-7).log()[:, None]
    front_end = ByolLogMel(16_000)
    torch.testing.assert_close(front_end(waveform), expected, rtol=1e-4, atol=1e-4)
    standardised = BYOLA(preset("quick"), published()).standardisation(front_end(waveform))  # until it is fitted
    torch.testing.assert_close(standardised, (expected + 5.4919195) / 5.0389895, rtol=1e-4, atol=1e-4)


def test_other_rates_are_resampled():
    def tone(sample_rate):
        return 0.5 * torch.sin(2 * torch.pi * 1000 * torch.arange(sample_rate) / sample_rate)[None]

    low, high = ByolLogMel(16_000)(tone(16_000)), ByolLogMel(20_000)(tone(20_000))
    assert low.shape == high.shape == (1, 1, 64, 101)
    loud = low[..., 10:90] > 0
    assert (low - high)[..., 10:90][loud].abs().max() < 0.01 and loud.any()


def test_standardise_takes_one_mean_and_one_deviation_and_keeps_them_with_the_weights(tiny):
    encoder = BYOLA(tiny, published())
    waveform = 0.1 * torch.randn(4, 12_000, generator=torch.Generator().manual_seed(3))
    assert encoder.standardisation.fit(encoder.front_end, waveform) is encoder.standardisation
    log_mel = encoder.standardisation(encoder.front_end(waveform))
    assert abs(log_mel.mean()) < 1e-3 and abs(log_mel.std() - 1) < 1e-3
    assert log_mel.mean(dim=(0, 1, 3)).abs().max() > 0.01  # not band by band
    other = BYOLA(tiny, published(seed=9))
    other.load_state_dict(encoder.state_dict())
    assert torch.equal(other.eval().embed(waveform), encoder.eval().embed(waveform))


def test_another_network_is_refused():
    with pytest.raises(DataError, match="fc.3.weight.*2021 version"):
        BYOLA(preset("quick"), {"features.0.weight": torch.zeros(64, 1, 3, 3)})
    state = published()
    del state["features.8.weight"]
    with pytest.raises(DataError, match=r"not the weights of BYOL-A.*features\.8\.weight"):
        BYOLA(preset("quick"), state)
    with pytest.raises(DataError, match=r"fc\.0\.weight"):
        BYOLA(preset("quick"), published() | {"fc.0.weight": torch.zeros(512, 256)})
