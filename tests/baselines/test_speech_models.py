"""wav2vec 2.0 and HuBERT: tiny models in torchaudio's layout."""

import pytest
import torch
from torchaudio.models import wav2vec2_model

from acssm_lib.baselines.speech_models import WaveformTransformer
from acssm_lib.files import DataError
from acssm_lib.presets import preset

KERNELS = (10, 3, 3, 3, 3, 2, 2)


def torchaudio_model(d=32, n_layers=2, channels=8, heads=1, width=48, taps=16, groups=4, large=False):
    return wav2vec2_model(
        "layer_norm" if large else "group_norm",
        [(channels, kernel, 2 if place else 5) for place, kernel in enumerate(KERNELS)],
        False,
        d,
        0.1,
        taps,
        groups,
        n_layers,
        heads,
        0.1,
        width,
        0.0,
        0.1,
        large,
        0.05,
        None,
    )


@pytest.fixture
def original():
    torch.manual_seed(0)
    return torchaudio_model().eval()


def before_pytorch_2(state):
    """The names weight norm had when the published files were made."""
    return {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): value
        for name, value in state.items()
    }


LAYOUTS = {"torchaudio": dict, "torchaudio before PyTorch 2": before_pytorch_2}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_last_hidden_state_is_torchaudios(original, layout):
    encoder = WaveformTransformer(preset("quick"), layout(original.state_dict())).eval()
    waveform = 0.1 * torch.randn(2, 6000, generator=torch.Generator().manual_seed(1))
    layers, _ = original.extract_features(waveform)  # a list: (batch, frames, d_model) of every layer
    features = encoder(waveform)
    assert len(layers) == 2 and encoder.d_model == 32 and features.shape == (2, 32, 18)
    torch.testing.assert_close(features, layers[-1].transpose(1, 2))


def test_by_hand_a_last_norm_without_weight_gives_its_bias(original):
    state = original.state_dict()
    norm = "encoder.transformer.layers.1.final_layer_norm."
    state |= {norm + "weight": torch.zeros(32), norm + "bias": torch.arange(32.0)}
    encoder = WaveformTransformer(preset("quick"), state).eval()
    embedding = encoder.embed(torch.randn(3, 8000))
    torch.testing.assert_close(embedding, torch.arange(32.0).expand(3, 32))


def test_a_crop_is_resampled_to_75_frames(original):
    encoder = WaveformTransformer(preset("paper"), original.state_dict()).eval()
    waveform = 0.1 * torch.randn(1, 30_225)  # 1.51 s at 20 kHz
    resampled = encoder.front_end(waveform)
    assert resampled.shape == (1, 24_180) and encoder(resampled).shape == (1, 32, 75)
    same = WaveformTransformer(preset("quick", sample_rate=16_000), original.state_dict())
    assert same.front_end(waveform) is waveform or torch.equal(same.front_end(waveform), waveform)


def test_dropout_in_training_only_no_layer_dropped_and_every_parameter_trains(original):
    encoder = WaveformTransformer(preset("quick"), original.state_dict())
    assert original.encoder.transformer.layer_drop == 0.05 and encoder.model.encoder.transformer.layer_drop == 0
    waveform = 0.1 * torch.randn(2, 6000, generator=torch.Generator().manual_seed(1))
    encoder.train()
    assert not torch.equal(encoder.embed(waveform), encoder.embed(waveform))
    encoder.eval()
    embedding = encoder.embed(waveform)
    assert embedding.shape == (2, 32) and torch.equal(embedding, encoder.embed(waveform))
    embedding.square().sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    assert encoder.special_parameters() == []


def test_published_size():
    states = [torchaudio_model(768, n_layers, 512, 12, 3072, 128, 16).state_dict() for n_layers in (1, 2)]
    encoders = [WaveformTransformer(preset("quick"), state) for state in states]
    one, two = (sum(parameter.numel() for parameter in encoder.parameters()) for encoder in encoders)
    assert round((one + 11 * (two - one)) / 1e6, 1) == 94.4
    assert encoders[0].model.encoder.transformer.layers[0].attention.num_heads == 12


def test_other_weights_are_refused(original):
    state = original.state_dict()
    for wrong, message in [
        ({"features.0.weight": torch.zeros(1)}, "not the weights of a Base model"),
        (torchaudio_model(large=True).state_dict(), "Large"),
        ({name: value for name, value in state.items() if "pos_conv" not in name}, "no positional convolution"),
        (
            {name: value for name, value in state.items() if "layers.1.attention.q_proj.bias" not in name},
            r"not the weights of wav2vec 2\.0 or HuBERT, Base: .*q_proj\.bias",
        ),
        (state | {"aux.weight": torch.zeros(3, 32)}, "aux.weight"),  # fine-tuned for speech recognition
        ({"model": state}, "not the weights of a Base model"),  # one level down, as fairseq keeps them
    ]:
        with pytest.raises(DataError, match=message):
            WaveformTransformer(preset("quick"), wrong)
