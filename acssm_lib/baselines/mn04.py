"""EfficientAT mn04: a small MobileNetV3 that was trained to name the sounds of AudioSet.

Our own writing of the published architecture; its tensors carry the names of the published file, and every size is
read off them. The network's labels include most classes of ESC-50, so it says what much labelled sound from elsewhere
is worth, not what learning without labels is worth.
"""

import torch
from torch import nn
from torchaudio.compliance.kaldi import get_mel_banks

from acssm_lib.baselines.checkpoints import load_strictly
from acssm_lib.data.audio import resample
from acssm_lib.files import DataError
from acssm_lib.model.base import Encoder

SAMPLE_RATE = 32_000  # Hz
N_FFT, WINDOW, HOP_LENGTH = 1024, 800, 320  # samples: 32, 25 and 10 ms
N_MELS, F_MIN, F_MAX = 128, 0.0, 15_000.0  # bands; Hz

_STRIDED = (2, 4, 7, 13)  # inverted residual blocks that halve bands and frames, besides the first convolution
_FIRST_HARDSWISH = 7  # blocks before this one have ReLU


class MobileLogMel(nn.Module):
    """Waveform to the log-mel spectrogram that EfficientAT networks read.

    Pre-emphasis x(t) - 0.97 x(t - 1), Kaldi's mel filters on the power, (ln(mel + 1e-5) + 4.5) / 5.

    Args:
        sample_rate: Hz, of the waveform; anything but 32 kHz is resampled.
    Shapes:
        waveform (batch, samples) -> (batch, 1, 128, frames), 100 frames per second.
    Taught in: 06_ablation_comparison.
    Source: Schmid et al. 2023, Efficient large-scale audio tagging; authors' code for the numbers.
    """

    def __init__(self, sample_rate):
        super().__init__()
        self.sample_rate = sample_rate
        filters, _ = get_mel_banks(N_MELS, N_FFT, SAMPLE_RATE, F_MIN, F_MAX, 100.0, -500.0, 1.0)  # no warping
        self.register_buffer("filters", nn.functional.pad(filters, (0, 1)), persistent=False)  # (n_mels, bins)
        self.register_buffer("window", torch.hann_window(WINDOW, periodic=False), persistent=False)

    @torch.no_grad()
    def forward(self, waveform):
        waveform = resample(waveform, self.sample_rate, SAMPLE_RATE)
        waveform = waveform[:, 1:] - 0.97 * waveform[:, :-1]
        spectrum = torch.stft(waveform, N_FFT, HOP_LENGTH, WINDOW, self.window, return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        return (((self.filters @ power + 1e-5).log() + 4.5) / 5)[:, None]


class MobileNet(Encoder):
    """The pre-trained encoder without its classifier; 384 coordinates at mn04.

    Args:
        config: a ``Preset``, for its sample rate.
        state: what ``weights.load("mn04", path)`` returns.
    Shapes:
        log-mel (batch, 1, 128, frames) -> (batch, d_model, frames / 32), the mean over frequency. ``embed``: waveform
        (batch, samples) -> (batch, d_model), the mean over time too.
    Raises:
        DataError: the tensors are not those of an EfficientAT MobileNet.
    Taught in: 06_ablation_comparison.
    Source: Schmid et al. 2023; Howard et al. 2019, Searching for MobileNetV3.
    """

    def __init__(self, config, state):
        super().__init__()
        state = {name: tensor for name, tensor in state.items() if not name.startswith("classifier.")}
        self.front_end = MobileLogMel(config.sample_rate)
        try:
            self.features = nn.Sequential(
                _conv(state, "features.0", nn.Hardswish, stride=2),
                *(_InvertedResidual(state, number) for number in range(1, 16)),
                _conv(state, "features.16", nn.Hardswish),
            )
        except KeyError as error:
            raise DataError(f"mn04: no tensor {error} in these weights; expected an EfficientAT mn*_as file") from None
        self.d_model = len(state["features.16.0.weight"])
        load_strictly(self, state, "EfficientAT mn04")

    def forward(self, log_mel):
        return self.features(log_mel).mean(dim=2)


class _InvertedResidual(nn.Module):
    """Widen (1 x 1), filter every channel by itself, weigh the channels, narrow (1 x 1); plus the input if it fits."""

    def __init__(self, state, number):
        super().__init__()
        name, stride = f"features.{number}.block", 2 if number in _STRIDED else 1
        activation = nn.ReLU if number < _FIRST_HARDSWISH else nn.Hardswish
        places = sorted({int(key[len(name) + 1 :].split(".")[0]) for key in state if key.startswith(name + ".")})
        layers = []
        for place in places:
            if f"{name}.{place}.0.weight" not in state:
                layers.append(_ChannelWeights(state, f"{name}.{place}.conc_se_layers.0"))
                continue
            depthwise = state[f"{name}.{place}.0.weight"].shape[1] == 1
            layers.append(
                _conv(state, f"{name}.{place}", None if place == places[-1] else activation, stride if depthwise else 1)
            )
        self.block = nn.Sequential(*layers)
        self.shortcut = stride == 1 and layers[0][0].in_channels == layers[-1][0].out_channels

    def forward(self, x):
        return self.block(x) + x if self.shortcut else self.block(x)


class _ChannelWeights(nn.Module):
    """Squeeze and excitation: the mean of every channel decides how much of each channel passes."""

    def __init__(self, state, name):
        super().__init__()
        squeezed, channels = state[f"{name}.fc1.weight"].shape
        layer = nn.ModuleDict({"fc1": nn.Linear(channels, squeezed), "fc2": nn.Linear(squeezed, channels)})
        self.conc_se_layers = nn.ModuleList([layer])

    def forward(self, x):
        layer = self.conc_se_layers[0]
        share = layer["fc2"](layer["fc1"](x.mean(dim=(2, 3))).relu()).sigmoid()
        return x * share[:, :, None, None]


def _conv(state, name, activation, stride=1):
    """Convolution, batch norm and activation with the sizes of the tensor ``name``.0.weight."""
    out_channels, per_group, kernel, _ = state[f"{name}.0.weight"].shape
    depthwise = per_group == 1 and kernel > 1 and name != "features.0"
    layers = [
        nn.Conv2d(
            out_channels if depthwise else per_group,
            out_channels,
            kernel,
            stride,
            kernel // 2,
            groups=out_channels if depthwise else 1,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels, eps=0.001, momentum=0.01),
    ]
    return nn.Sequential(*layers, *([activation()] if activation else []))
