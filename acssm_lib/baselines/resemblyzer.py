"""Resemblyzer's voice encoder: three LSTM layers that were trained to tell speakers apart.

Our own writing of the published architecture; its tensors carry the names of the published file.
"""

import torch
from torch import nn
from torch.nn import functional as F
from torchaudio.functional import melscale_fbanks

from acssm_lib.baselines.checkpoints import load_strictly
from acssm_lib.data.audio import resample
from acssm_lib.model.base import Encoder

SAMPLE_RATE, N_FFT, HOP_LENGTH, N_MELS = 16_000, 400, 160, 40  # Hz; samples, samples, bands
WINDOW, STEP = 160, 80  # frames of what is embedded at once, 1.6 s, and from one to the next
LOUDNESS = 10 ** (-30 / 20)  # root mean square, of full scale, that quiet clips are raised to


class VoiceMel(nn.Module):
    """Waveform to the mel spectrogram the voice encoder reads: power, Slaney's bands, no logarithm.

    Shapes:
        waveform (batch, samples) -> (batch, 40, frames), 100 frames per second.
    """

    def __init__(self, sample_rate):
        super().__init__()
        self.sample_rate = sample_rate
        filters = melscale_fbanks(N_FFT // 2 + 1, 0.0, SAMPLE_RATE / 2, N_MELS, SAMPLE_RATE, "slaney", "slaney")
        self.register_buffer("filters", filters.T.contiguous(), persistent=False)
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)

    @torch.no_grad()
    def forward(self, waveform):
        waveform = resample(waveform, self.sample_rate, SAMPLE_RATE)
        level = waveform.square().mean(1, keepdim=True).sqrt().clamp_min(1e-8)
        waveform = waveform * (LOUDNESS / level).clamp_min(1)
        spectrum = torch.stft(waveform, N_FFT, HOP_LENGTH, window=self.window, pad_mode="constant", return_complex=True)
        return self.filters @ (spectrum.real.square() + spectrum.imag.square())


class VoiceEncoder(Encoder):
    """256 numbers for every 1.6 s of sound: what a voice is like, whatever it says.

    Args:
        config: a ``Preset``, for its sample rate.
        state: what ``weights.load("resemblyzer", path)`` returns.
    Shapes:
        mel (batch, 40, frames) -> (batch, 256, windows), each of length 1. ``embed``: their mean, (batch, 256).
    Raises:
        DataError: tensors of another network.
    Source: Wan et al. 2018, generalized end-to-end loss; file of ``resemblyzer`` (Apache 2.0; LibriSpeech, VoxCeleb).
    """

    d_model = 256

    def __init__(self, config, state):
        super().__init__()
        self.front_end = VoiceMel(config.sample_rate)
        self.lstm, self.linear = nn.LSTM(N_MELS, 256, 3, batch_first=True), nn.Linear(256, 256)
        tensors = {name: value for name, value in state["model_state"].items() if not name.startswith("similarity")}
        load_strictly(self, tensors, "Resemblyzer's voice encoder")

    def forward(self, mel):
        frames = mel.shape[2]
        starts = range(0, max(1, frames - WINDOW + STEP), STEP)
        windows = [mel[:, :, start : start + WINDOW] for start in starts]
        last = torch.stack([self.lstm(window.transpose(1, 2))[1][0][-1] for window in windows], dim=2)
        return F.normalize(F.relu(self.linear(last.mT)), dim=2).mT
