"""wav2vec 2.0 and HuBERT, Base: convolutions over the waveform, then a transformer; computed by torchaudio."""

import torch
from torch import nn
from torchaudio.models import wav2vec2_model

from acssm_lib.baselines.checkpoints import load_strictly
from acssm_lib.data.audio import resample
from acssm_lib.files import DataError
from acssm_lib.model.base import Encoder

SAMPLE_RATE = 16_000  # Hz
HEAD_WIDTH = 64  # coordinates of an attention head in the Base models
_CONV, _POSITIONS = "feature_extractor.conv_layers.{}.conv.weight", "encoder.transformer.pos_conv_embed.conv."


class _Resampled(nn.Module):
    """The front end: the waveform at 16 kHz, not normalised, as the Base models were trained."""

    def __init__(self, sample_rate):
        super().__init__()
        self.sample_rate = sample_rate

    @torch.no_grad()
    def forward(self, waveform):
        return resample(waveform, self.sample_rate, SAMPLE_RATE)


class WaveformTransformer(Encoder):
    """The pre-trained encoder of wav2vec 2.0 or HuBERT, Base; sizes come with the weights.

    Layers are never dropped. Dropout is active in training only.

    Args:
        config: a ``Preset``, for its sample rate.
        state: what ``weights.load("hubert", path)`` returns, in torchaudio's layout.
    Shapes:
        waveform at 16 kHz (batch, samples) -> last hidden state (batch, d_model, frames), 50 frames per second.
        ``embed``: waveform at ``config.sample_rate`` (batch, samples) -> (batch, d_model), the mean over time.
    Raises:
        DataError: tensors of another architecture, of a Large model for instance.
    Taught in: 06_ablation_comparison.
    Source: Baevski et al. 2020, wav2vec 2.0; Hsu et al. 2021, HuBERT. 94.4 million parameters.
    """

    has_frames = False  # its front end hands on a waveform: there is nothing to shuffle

    def __init__(self, config, state):
        super().__init__()
        self.front_end = _Resampled(config.sample_rate)
        self.model = wav2vec2_model(
            **_sizes(state),
            extractor_mode="group_norm",
            extractor_conv_bias=False,
            encoder_projection_dropout=0.1,
            encoder_attention_dropout=0.1,
            encoder_ff_interm_dropout=0.0,
            encoder_dropout=0.1,
            encoder_layer_norm_first=False,
            encoder_layer_drop=0.0,
            aux_num_out=None,
        )
        load_strictly(self.model, state, "wav2vec 2.0 or HuBERT, Base")
        self.d_model = self.model.encoder.transformer.pos_conv_embed.embed_dim

    def forward(self, waveform):
        return self.model(waveform)[0].transpose(1, 2)


def _sizes(tensors):
    """What ``wav2vec2_model`` asks for, read off the tensors; strides are not among them and are the published ones."""
    kernels = []
    while _CONV.format(len(kernels)) in tensors:
        kernels.append(tensors[_CONV.format(len(kernels))])  # (out, in, taps)
    if not kernels or "feature_extractor.conv_layers.1.layer_norm.weight" in tensors:
        raise DataError(
            "these are not the weights of a Base model of wav2vec 2.0 or HuBERT (a Large model has a norm "
            "in every convolution); expected those of `acssm data weights wav2vec2` or `hubert`"
        )
    layers = {name.split(".")[3] for name in tensors if name.startswith("encoder.transformer.layers.")}
    # The norm and direction of this convolution's weight were weight_g and weight_v before PyTorch 2.0.
    direction = tensors.get(_POSITIONS + "weight_v", tensors.get(_POSITIONS + "parametrizations.weight.original1"))
    dense = tensors.get("encoder.transformer.layers.0.feed_forward.intermediate_dense.weight")
    if direction is None or dense is None:
        raise DataError(
            "these weights have no positional convolution or no transformer layer; expected torchaudio's "
            "wav2vec2_fairseq_base_ls960.pth or hubert_fairseq_base_ls960.pth"
        )
    d_model, per_group, taps = direction.shape
    return {
        "extractor_conv_layer_config": [
            (len(kernel), kernel.shape[2], 2 if place else 5) for place, kernel in enumerate(kernels)
        ],
        "encoder_embed_dim": d_model,
        "encoder_pos_conv_kernel": taps,
        "encoder_pos_conv_groups": d_model // per_group,
        "encoder_num_layers": len(layers),
        "encoder_num_heads": max(1, d_model // HEAD_WIDTH),
        "encoder_ff_interm_features": len(dense),
    }
