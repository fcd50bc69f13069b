"""BYOL-A (the network AudioNTT2020): three convolutions over a log-mel spectrogram, two layers per frame, pooling.

Our own writing of the published architecture; its tensors carry the names of the published files.
"""

import torch
from torch import nn
from torchaudio.functional import melscale_fbanks

from acssm_lib.baselines.checkpoints import load_strictly
from acssm_lib.data.audio import resample
from acssm_lib.files import DataError
from acssm_lib.model.base import Encoder
from acssm_lib.model.standardisation import Standardisation

SAMPLE_RATE = 16_000  # Hz
N_FFT, HOP_LENGTH = 1024, 160  # samples: 64 ms, 10 ms
N_MELS, F_MIN, F_MAX = 64, 60.0, 7800.0  # bands; Hz


class ByolLogMel(nn.Module):
    """Waveform to the log-mel spectrogram BYOL-A reads: natural logarithm of HTK mel power plus 1.19e-7.

    Args:
        sample_rate: Hz, of the waveform; anything but 16 kHz is resampled.
    Shapes:
        waveform (batch, samples) -> (batch, 1, 64, frames), 100 frames per second.
    Taught in: 06_ablation_comparison.
    Source: Niizumi et al. 2021, BYOL for Audio; authors' code for the numbers.
    """

    def __init__(self, sample_rate):
        super().__init__()
        self.sample_rate = sample_rate
        filters = melscale_fbanks(N_FFT // 2 + 1, F_MIN, F_MAX, N_MELS, SAMPLE_RATE)  # (bins, n_mels)
        self.register_buffer("filters", filters.T.contiguous(), persistent=False)
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)

    @torch.no_grad()
    def forward(self, waveform):
        waveform = resample(waveform, self.sample_rate, SAMPLE_RATE)
        spectrum = torch.stft(waveform, N_FFT, HOP_LENGTH, window=self.window, return_complex=True)
        power = spectrum.real.square() + spectrum.imag.square()
        return (self.filters @ power + torch.finfo(torch.float32).eps).log()[:, None]


class BYOLA(Encoder):
    """The pre-trained BYOL-A encoder; 512, 1024 or 2048 coordinates, read off the weights.

    It standardises with one mean and one deviation. They should be those of the data at hand (``Standardisation.fit``);
    until then they are the values that the authors give for Speech Commands.

    Args:
        config: a ``Preset``, for its sample rate.
        state: what ``weights.load("byol-a", path)`` returns.
    Shapes:
        log-mel (batch, 1, 64, frames) or (batch, 64, frames), at least 8 frames -> (batch, d_model, 1), the sum of
        maximum and mean over time. ``embed``: waveform (batch, samples) -> (batch, d_model).
    Raises:
        DataError: the tensors are not those of AudioNTT2020 (of the 2022 version, for instance).
    Taught in: 06_ablation_comparison.
    Source: Niizumi et al. 2021; Koizumi et al. 2020 for the network. 0.60, 1.65 or 5.32 million parameters.
    """

    def __init__(self, config, state):
        super().__init__()
        if "fc.3.weight" not in state:
            raise DataError(
                "BYOL-A: no tensor fc.3.weight in these weights; expected AudioNTT2020-BYOLA-64x96d*.pth "
                "of the 2021 version"
            )
        self.d_model = state["fc.3.weight"].shape[0]
        self.front_end = ByolLogMel(config.sample_rate)
        self.standardisation = Standardisation(1, N_MELS, "overall")
        self.standardisation.mean.fill_(-5.4919195)
        self.standardisation.deviation.fill_(5.0389895)
        self.features = nn.Sequential(*_block(1), *_block(64), *_block(64))
        self.fc = nn.Sequential(
            nn.Linear(64 * (N_MELS // 8), self.d_model),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(self.d_model, self.d_model),
            nn.ReLU(),
        )
        statistics = self.standardisation.state_dict(prefix="standardisation.")  # ours, not in the published file
        load_strictly(self, {**state, **statistics}, "BYOL-A (AudioNTT2020)")

    def forward(self, log_mel):
        if log_mel.ndim == 3:
            log_mel = log_mel[:, None]
        x = self.features(self.standardisation(log_mel))  # (batch, 64, mel=8, frames / 8)
        x = self.fc(x.permute(0, 3, 2, 1).flatten(2))  # one vector per frame, mel before channel: (batch, frames, d)
        return (x.amax(dim=1) + x.mean(dim=1))[:, :, None]


def _block(channels):
    return nn.Conv2d(channels, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2)
