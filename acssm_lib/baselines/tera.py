"""TERA and Mockingjay: transformers over log-mel frames, pre-trained to restore what was masked in them.

Both are the BERT encoder (layer norm after each sum, GELU) with sinusoidal positions. PyTorch's own encoder layer
computes it; ``_rename`` maps the names of S3PRL's checkpoints to it.
"""

import math
import re

import torch
from torch import nn
from torchaudio.functional import melscale_fbanks

from acssm_lib.baselines.checkpoints import load_strictly
from acssm_lib.data.audio import resample
from acssm_lib.files import DataError
from acssm_lib.model.base import Encoder

SAMPLE_RATE = 16_000  # Hz
N_FFT, HOP_LENGTH, N_MELS = 400, 160, 80  # samples: 25 ms, 10 ms; bands up to 8 kHz
LEVEL_DB = -25.0  # root mean square of the scaled waveform, re full scale
EPSILON = 1e-10
HEAD_WIDTH = 64  # coordinates of an attention head in every published model


class UtteranceLogMel(nn.Module):
    """Waveform to 80 log-mel bands, each with mean 0 and deviation 1 over the crop.

    The waveform is first scaled to -25 dB root mean square.

    Args:
        sample_rate: Hz, of the waveform; anything but 16 kHz is resampled.
    Shapes:
        waveform (batch, samples) -> (batch, 80, frames), 100 frames per second; silence gives zeros.
    Taught in: 06_ablation_comparison.
    Source: Liu, Li and Lee 2021, TERA; S3PRL for the numbers.
    """

    def __init__(self, sample_rate):
        super().__init__()
        self.sample_rate = sample_rate
        filters = melscale_fbanks(N_FFT // 2 + 1, 0.0, SAMPLE_RATE / 2, N_MELS, SAMPLE_RATE)  # (bins, n_mels)
        self.register_buffer("filters", filters.T.contiguous(), persistent=False)
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)

    @torch.no_grad()
    def forward(self, waveform):
        waveform = resample(waveform, self.sample_rate, SAMPLE_RATE)
        level = waveform.square().mean(dim=1, keepdim=True).sqrt()
        waveform = waveform * (10 ** (LEVEL_DB / 20) / (level + EPSILON))
        spectrum = torch.stft(waveform, N_FFT, HOP_LENGTH, window=self.window, return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        log_mel = (self.filters @ power + EPSILON).log()  # (batch, n_mels, frames)
        centred = log_mel - log_mel.mean(dim=2, keepdim=True)
        deviation = log_mel.std(dim=2, keepdim=True)
        # In a silent crop the bands differ by rounding alone; S3PRL's division makes that 19,000, not nothing.
        return torch.where(deviation > 1e-3, centred / deviation, 0.0)


class MelTransformer(Encoder):
    """The pre-trained encoder of TERA (3 layers) or Mockingjay (12 layers); sizes come with the weights.

    Args:
        config: a ``Preset``, for its sample rate.
        state: what ``weights.load("tera", path)`` returns: the tensors under ``Transformer``, the settings under
            ``Config`` or ``Upstream_Config``; or the tensors alone, read without a limit to their frames.
    Shapes:
        log-mel (batch, 80, frames) -> last hidden state (batch, d_model, frames). More frames than the settings'
        ``sequence_length`` are cut into equal parts, each read on its own, and joined again.
        ``embed``: waveform (batch, samples) -> (batch, d_model), the mean over time.
    Raises:
        DataError: tensors of another architecture.
    Taught in: 06_ablation_comparison.
    Source: Liu, Li and Lee 2021, TERA; Liu et al. 2020, Mockingjay. 21.3 or 85.1 million parameters.
    """

    def __init__(self, config, state):
        super().__init__()
        tensors, settings, self.max_frames = _parts(state)
        self.d_model, n_mels = tensors["input.weight"].shape
        if n_mels != N_MELS:
            raise DataError(f"these weights read {n_mels} bands; expected the variant with {N_MELS} log-mel bands")
        if settings.get("pre_layer_norm") or settings.get("hidden_act", "gelu") != "gelu":
            raise DataError(
                f"these weights need pre_layer_norm={settings.get('pre_layer_norm')} and hidden_act="
                f"{settings.get('hidden_act')!r}; expected TERA or Mockingjay: false and 'gelu'"
            )
        dropout = settings.get("hidden_dropout_prob", 0.1)
        self.front_end = UtteranceLogMel(config.sample_rate)
        self.body = nn.ModuleDict(
            {
                "input": nn.Linear(N_MELS, self.d_model),
                "norm": nn.LayerNorm(self.d_model, eps=settings.get("layer_norm_eps", 1e-12)),
                "dropout": nn.Dropout(dropout),
                "layers": nn.ModuleList(
                    _layer(self.d_model, tensors, number, settings, dropout) for number in range(_n_layers(tensors))
                ),
            }
        )
        load_strictly(self.body, tensors, "TERA or Mockingjay (S3PRL)")

    def forward(self, log_mel):
        x = log_mel.transpose(1, 2)  # (batch, frames, n_mels)
        n_parts = math.ceil(x.shape[1] / self.max_frames) if self.max_frames else 1
        return torch.cat([self._read(part) for part in x.chunk(n_parts, dim=1)], dim=1).transpose(1, 2)

    def _read(self, x):
        x = self.body["input"](x) + _positions(x.shape[1], self.d_model).to(x)
        x = self.body["dropout"](self.body["norm"](x))
        for layer in self.body["layers"]:
            x = layer(x)
        return x


def _positions(frames, d_model):
    """Sinusoidal positions: sine in even coordinates, cosine of the same angle in odd ones; (frames, d_model)."""
    rates = 10_000 ** (-torch.arange(0, d_model, 2, dtype=torch.float64) / d_model)
    angles = torch.arange(frames, dtype=torch.float64)[:, None] * rates  # (frames, d_model / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


def _parts(state):
    """Renamed tensors, settings of the transformer, longest sequence in frames (0: no limit)."""
    if "input_representations.spec_transform.weight" in state:  # the tensors alone, saved again
        return _rename(state), {}, 0
    if not isinstance(state.get("Transformer"), dict):
        raise DataError(
            f"no tensors under 'Transformer' in these weights (there is {', '.join(list(state)[:4])}); "
            "expected a checkpoint of S3PRL's TERA or Mockingjay"
        )
    settings = next(
        (
            part
            for part in (state.get("Config"), state.get("Upstream_Config"))
            if isinstance(part, dict) and isinstance(part.get("transformer"), dict)
        ),
        {},
    )
    sequence = (settings.get("task") or {}).get("sequence_length") or 0
    return _rename(state["Transformer"]), settings.get("transformer", {}), int(sequence)


_NAMES = {
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}


def _rename(published):
    """S3PRL's names to PyTorch's; query, key and value become one matrix. Old files say gamma and beta."""
    tensors = {}
    for name, value in published.items():
        name = re.sub("gamma$", "weight", re.sub("beta$", "bias", name))
        name = name.replace("input_representations.spec_transform", "input")
        name = name.replace("input_representations.LayerNorm", "norm")
        name = name.replace("encoder.layer.", "layers.")
        name = re.sub(
            r"^(layers\.\d+)\.(.+)\.(weight|bias)$",
            lambda found: f"{found[1]}.{_NAMES.get(found[2], found[2])}.{found[3]}",
            name,
        )
        tensors[name] = value
    for name in [name for name in tensors if ".attention.self.query." in name]:
        names = [name.replace("query", part) for part in ("query", "key", "value")]
        if all(part in tensors for part in names):
            joined = name.replace("attention.self.query.", "self_attn.in_proj_")
            tensors[joined] = torch.cat([tensors.pop(part) for part in names])
    if "input.weight" not in tensors:
        raise DataError(
            "no tensor input_representations.spec_transform.weight in these weights; expected a "
            "checkpoint of S3PRL's TERA or Mockingjay"
        )
    return tensors


def _n_layers(tensors):
    return len({name.split(".")[1] for name in tensors if name.startswith("layers.")})


def _layer(d_model, tensors, number, settings, dropout):
    n_heads = settings.get("num_attention_heads") or max(1, d_model // HEAD_WIDTH)
    width = tensors.get(f"layers.{number}.linear1.weight", torch.empty(4 * d_model)).shape[0]
    layer = nn.TransformerEncoderLayer(
        d_model,
        int(n_heads),
        width,
        dropout,
        activation="gelu",
        batch_first=True,
        layer_norm_eps=settings.get("layer_norm_eps", 1e-12),
    )
    layer.dropout.p = 0.0  # BERT has none between the two layers of the feed-forward part
    layer.self_attn.dropout = settings.get("attention_probs_dropout_prob", 0.1)
    return layer
