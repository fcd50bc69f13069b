"""TERA and Mockingjay: tiny checkpoints in S3PRL's layout, compared with BERT written out."""

import math

import pytest
import torch
import torch.nn.functional as F
import torchaudio

from acssm_lib.baselines.tera import MelTransformer, UtteranceLogMel
from acssm_lib.files import DataError
from acssm_lib.presets import preset

D, WIDTH, HEADS = 8, 12, 2


def published(n_layers=2, d=D, width=WIDTH, seed=0, zero=False):
    """The tensors under ``Transformer``, by S3PRL's names."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.zeros(shape) if zero else 0.3 * torch.randn(shape, generator=generator)

    def norm(name):
        return {f"{name}.weight": 1 + draw(d), f"{name}.bias": draw(d)}

    def linear(name, inputs, outputs):
        return {f"{name}.weight": draw(outputs, inputs), f"{name}.bias": draw(outputs)}

    tensors = linear("input_representations.spec_transform", 80, d) | norm("input_representations.LayerNorm")
    for number in range(n_layers):
        layer = f"encoder.layer.{number}"
        for part in ("query", "key", "value"):
            tensors |= linear(f"{layer}.attention.self.{part}", d, d)
        tensors |= linear(f"{layer}.attention.output.dense", d, d) | norm(f"{layer}.attention.output.LayerNorm")
        tensors |= linear(f"{layer}.intermediate.dense", d, width) | linear(f"{layer}.output.dense", width, d)
        tensors |= norm(f"{layer}.output.LayerNorm")
    return tensors


def checkpoint(tensors=None, key="Config", sequence_length=1500, **changes):
    transformer = {
        "num_attention_heads": HEADS,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "pre_layer_norm": False,
        "attention_probs_dropout_prob": 0.1,
        "layer_norm_eps": 1e-12,
        "share_layer": False,
    } | changes
    return {
        "Transformer": tensors or published(),
        "SpecHead": {"dense.weight": torch.zeros(1)},
        key: {"transformer": transformer, "task": {"sequence_length": sequence_length}},
    }


def bert(tensors, log_mel):
    """One utterance (80, frames) through BERT, from its definition and by the published names."""

    def linear(name, x):
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    def norm(name, x):
        x = (x - x.mean(1, keepdim=True)) / x.var(1, keepdim=True, unbiased=False).sqrt()
        return x * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    frames = log_mel.shape[1]
    place = torch.tensor(
        [
            [(math.sin if j % 2 == 0 else math.cos)(t / 10_000 ** (2 * (j // 2) / D)) for j in range(D)]
            for t in range(frames)
        ]
    )
    x = norm("input_representations.LayerNorm", linear("input_representations.spec_transform", log_mel.T) + place)
    for number in range(2):
        layer = f"encoder.layer.{number}"
        query, key, value = (linear(f"{layer}.attention.self.{part}", x) for part in ("query", "key", "value"))
        heads = []
        for head in range(HEADS):
            own = slice(head * D // HEADS, (head + 1) * D // HEADS)
            weight = torch.softmax(query[:, own] @ key[:, own].T / math.sqrt(D / HEADS), dim=1)
            heads.append(weight @ value[:, own])
        attended = linear(f"{layer}.attention.output.dense", torch.cat(heads, dim=1))
        x = norm(f"{layer}.attention.output.LayerNorm", x + attended)
        middle = linear(f"{layer}.intermediate.dense", x)
        middle = middle * 0.5 * (1 + torch.erf(middle / math.sqrt(2)))
        x = norm(f"{layer}.output.LayerNorm", x + linear(f"{layer}.output.dense", middle))
    return x.T


@pytest.mark.parametrize("key", ["Config", "Upstream_Config"])
def test_it_is_bert_with_the_published_weights(key):
    encoder = MelTransformer(preset("quick"), checkpoint(key=key)).eval()
    log_mel = torch.randn(2, 80, 9, generator=torch.Generator().manual_seed(1))
    expected = torch.stack([bert(published(), one) for one in log_mel])
    features = encoder(log_mel)
    assert features.shape == (2, D, 9) and encoder.d_model == D
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
    with torch.no_grad():  # PyTorch takes a shorter way through the layer
        torch.testing.assert_close(encoder(log_mel), expected, rtol=1e-4, atol=1e-5)


def test_zero_weights_leave_the_positions():
    encoder = MelTransformer(preset("quick"), checkpoint(published(d=4, zero=True))).eval()
    features = encoder(torch.randn(1, 80, 3))
    place = torch.tensor([math.sin(2), math.cos(2), math.sin(0.02), math.cos(0.02)])  # frame 2, angles 2 and 2 / 100
    torch.testing.assert_close(features[0, :, 2], (place - place.mean()) / place.std(unbiased=False))


def test_long_sequences_are_cut_into_equal_parts():
    encoder = MelTransformer(preset("quick"), checkpoint(sequence_length=5)).eval()
    log_mel = torch.randn(1, 80, 11, generator=torch.Generator().manual_seed(1))
    features = encoder(log_mel)
    parts = [encoder(log_mel[..., part]) for part in (slice(0, 4), slice(4, 8), slice(8, 11))]  # three, not 5 + 5 + 1
    torch.testing.assert_close(features, torch.cat(parts, dim=2))
    whole = MelTransformer(preset("quick"), checkpoint(sequence_length=0)).eval()(log_mel)
    assert whole.shape == features.shape and not torch.allclose(whole, features, atol=0.01)


def test_old_names_mean_the_same():
    def old(name):
        if "LayerNorm" not in name:
            return name
        return name.replace(".weight", ".gamma").replace(".bias", ".beta")

    tensors = {old(name): value for name, value in published().items()}
    assert "encoder.layer.1.output.LayerNorm.gamma" in tensors
    log_mel = torch.randn(1, 80, 5)
    states = (checkpoint(tensors), checkpoint())
    before, after = (MelTransformer(preset("quick"), state).eval()(log_mel) for state in states)
    assert torch.equal(before, after)


def test_published_sizes_without_settings():
    encoders = [
        MelTransformer(preset("quick"), {"Transformer": published(n_layers, 768, 3072, zero=True)})
        for n_layers in (1, 2)
    ]
    one, two = (sum(parameter.numel() for parameter in encoder.parameters()) for encoder in encoders)
    assert round((one + 2 * (two - one)) / 1e6, 1) == 21.3 and round((one + 11 * (two - one)) / 1e6, 1) == 85.1
    assert {layer.self_attn.num_heads for layer in encoders[1].body["layers"]} == {12}


def test_tensors_saved_alone_are_enough():
    log_mel = torch.randn(1, 80, 5)
    tensors = published(d=128)
    whole, alone = (MelTransformer(preset("quick"), state).eval()(log_mel) for state in (checkpoint(tensors), tensors))
    assert torch.equal(whole, alone)


def test_dropout_in_training_only_and_every_parameter_trains(tiny):
    encoder = MelTransformer(tiny, checkpoint())
    waveform = 0.1 * torch.randn(2, 6000, generator=torch.Generator().manual_seed(1))
    encoder.train()
    assert not torch.equal(encoder.embed(waveform), encoder.embed(waveform))
    encoder.eval()
    embedding = encoder.embed(waveform)
    assert embedding.shape == (2, D) and torch.equal(embedding, encoder.embed(waveform))
    embedding.square().sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    assert encoder.special_parameters() == [] and not any(name.startswith("front_end") for name in encoder.state_dict())


def test_dropout_where_bert_has_it():
    encoder = MelTransformer(preset("quick"), checkpoint(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0))
    log_mel = torch.randn(1, 80, 6)
    assert torch.allclose(encoder.train()(log_mel), encoder.eval()(log_mel), atol=1e-5)


def test_front_end_from_its_definition():
    waveform = torch.randn(2, 8000, generator=torch.Generator().manual_seed(1)) * torch.tensor([[0.3], [0.001]])
    scaled = waveform * 10 ** (-25 / 20) / waveform.square().mean(1, keepdim=True).sqrt()
    reference = torchaudio.transforms.MelSpectrogram(16_000, 400, hop_length=160, n_mels=80)
    log_mel = (reference(scaled) + 1e-10).log()
    expected = (log_mel - log_mel.mean(2, keepdim=True)) / log_mel.std(2, keepdim=True)
    features = UtteranceLogMel(16_000)(waveform)
    assert features.shape == (2, 80, 51)
    audible = log_mel.std(2) > 1e-3  # a band without any bin of the FFT holds one value, rounding aside
    assert audible.float().mean() > 0.95
    torch.testing.assert_close(features[audible], expected[audible], rtol=1e-3, atol=1e-3)


def test_front_end_resamples_and_takes_silence():
    seconds = torch.arange(30_225) / 20_000
    chirp = torch.sin(2 * torch.pi * (300 + 500 * seconds) * seconds)[None]
    chirp = chirp + 0.01 * torch.randn(1, 30_225, generator=torch.Generator().manual_seed(1))
    features = UtteranceLogMel(20_000)(chirp)
    assert features.shape == (1, 80, 152)
    torch.testing.assert_close(UtteranceLogMel(20_000)(0.01 * chirp), features, rtol=1e-3, atol=1e-3)
    at_16_khz = torchaudio.functional.resample(chirp, 20_000, 16_000)
    own = F.cosine_similarity(UtteranceLogMel(16_000)(at_16_khz)[:, :40].flatten(), features[:, :40].flatten(), dim=0)
    assert own > 0.98
    assert torch.equal(UtteranceLogMel(20_000)(torch.zeros(1, 30_225)), torch.zeros(1, 80, 152))


@pytest.mark.parametrize(
    "state, message",
    [
        ({"features.0.weight": torch.zeros(1)}, "'Transformer'.*features.0.weight.*S3PRL"),
        ({"Transformer": {"weight": torch.zeros(1)}}, "spec_transform"),
        (
            checkpoint({name: value for name, value in published().items() if "1.output.dense.bias" not in name}),
            r"not the weights of TERA or Mockingjay.*layers\.1\.linear2\.bias",
        ),
        (checkpoint(published() | {"input_representations.spec_transform.weight": torch.zeros(D, 240)}), "240 bands"),
        (checkpoint(pre_layer_norm=True), "pre_layer_norm=True"),
    ],
)
def test_other_weights_are_refused(state, message):
    with pytest.raises(DataError, match=message):
        MelTransformer(preset("quick"), state)
