"""The published method as one would write it down first: the slow side of every comparison in this folder.

Nothing here is used by the library. Every function does what its fast counterpart in `acssm_lib` does, one clip and
one formula at a time, so that a benchmark can time both and a test (`tests/test_benchmarks.py`) can compare them. The
weights are shared: a plain module is built from a fast one.
"""

import copy
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from acssm_lib.model.base import Encoder
from acssm_lib.model.features import EPSILON


def stretched(samples, factor):
    """A whole clip made ``factor`` times as long by linear interpolation; int16 or float (samples,) -> float64."""
    places = np.arange(int(len(samples) * factor)) / factor
    left = places.astype(np.int64)
    right = np.minimum(left + 1, len(samples) - 1)
    share = places - left
    return samples[left] * (1 - share) + samples[right] * share


def views(waveforms, stretch, starts, n_samples):
    """Clip by clip: stretch all of it, pad half a crop of zeros on both sides, take ``n_samples`` from ``start``.

    Args:
        waveforms: list of int16 arrays, one per view.
        stretch, starts: one per view; a start counts from the first sample of the stretched clip, as in ``Clips.cut``.
    Returns:
        float32 tensor (views, n_samples).
    """
    pad = n_samples // 2
    cut = []
    for samples, factor, start in zip(waveforms, stretch, starts):
        padded = np.pad(stretched(samples, factor), pad) / 32768
        cut.append(torch.from_numpy(padded[start + pad : start + pad + n_samples].astype(np.float32)))
    return torch.stack(cut)


def spectrogram_stack(waveform, front_end):
    """Clip by clip: an STFT for each of the three channels, the mel matrix applied to each.

    Args:
        waveform: (batch, samples).
        front_end: the ``SpectrogramStack`` whose settings and filters are used.
    Returns:
        (batch, 3, n_mels, frames).
    """
    mel = front_end.filters.T
    floor = -math.inf if front_end.floor_db is None else front_end.floor_db

    def stft(clip, window):
        return torch.stft(
            clip,
            front_end.n_fft,
            front_end.hop_length,
            window=window,
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )

    stacks = []
    for clip in waveform:
        log_mel = 10 * torch.log10(mel @ stft(clip, front_end.hann).abs().square() + EPSILON)
        magnitude = 10 * torch.log10((mel.to(torch.cfloat) @ stft(clip, front_end.window)).abs() + EPSILON)
        phase = (mel.to(torch.cfloat) @ stft(clip, front_end.window)).angle()
        stacks.append(torch.stack([log_mel.clamp_min(floor), magnitude.clamp_min(floor / 2), phase]))
    return torch.stack(stacks)


def kernel(parameters, length):
    """K[l] = 2 Re sum_n C_n B_n exp(dt A_n)^l with every power in memory: complex (d_model, d_state / 2, length)."""
    A = torch.complex(-parameters.log_A_real.exp(), parameters.A_imag)
    dt_A = A * parameters.log_dt.exp()[:, None]
    weights = torch.view_as_complex(parameters.C) * (dt_A.exp() - 1) / A
    vandermonde = (dt_A[..., None] * torch.arange(length, device=A.device)).exp()
    return 2 * torch.einsum("hn,hnl->hl", weights, vandermonde).real


class PlainS4D(nn.Module):
    """One state-space layer with the parameters of a fast ``S4D``."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, u):
        length = u.shape[2]
        spectrum = torch.fft.rfft(u, 2 * length) * torch.fft.rfft(kernel(self.layer.kernel, length), 2 * length)
        y = torch.fft.irfft(spectrum, 2 * length)[..., :length] + self.layer.D[:, None] * u
        return self.layer.output_linear(self.layer.dropout(F.gelu(y)))


class PlainEncoder(Encoder):
    """Waveform to embedding, with a copy of the weights of an ``AcousticSSM`` of the published order (post-norm).

    The network along frequency is the library's own: single precision, channels in front, as PyTorch does it when
    nothing is said.
    """

    def __init__(self, encoder):
        super().__init__()
        self.encoder = copy.deepcopy(encoder).to(memory_format=torch.contiguous_format)
        self.d_model = encoder.d_model
        self.layers = nn.ModuleList(PlainS4D(layer) for layer in self.encoder.sequence.layers)

    def forward(self, spectrograms):
        network = self.encoder.cnn
        x = network.stages(network.stem(self.encoder.standardisation(spectrograms))).mean(dim=2)
        for layer, norm in zip(self.layers, self.encoder.sequence.norms):
            x = norm((x + self.encoder.sequence.dropout(layer(x))).transpose(1, 2)).transpose(1, 2)
        return x

    def front_end(self, waveform):
        return spectrogram_stack(waveform, self.encoder.front_end)
