"""The front end: three spectrograms of one waveform, stacked like the colours of a picture.

Symbols: x waveform; X its short-time Fourier transform; M the mel filters, (n_fft / 2 + 1, n_mels).

    channel 0   log-mel power          10 log10(M |X|^2 + eps)              Hann window
    channel 1   log STFT magnitude     10 log10(|M Re X + i M Im X| + eps)  rectangular window
    channel 2   STFT phase             angle(M Re X + i M Im X)             rectangular window

Three shortcuts that change nothing but rounding: channels 1 and 2 share one transform; the power, Re X and Im X go
through the mel filters together; and since a filter is zero outside of its triangle, sixteen neighbouring filters
meet only the bins that they cover, not all of them.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

_CACHED = 8  # clips of 1.5 s that a processor transforms at once, so that their spectra stay in its cache
EPSILON = 2.220446049250313e-16  # smallest step of a double at 1, added inside both logarithms


def hz_to_mel(hertz):
    """HTK mel scale, 2595 log10(1 + f / 700).

    Taught in: 01_audio_preprocessing.
    """
    return 2595 * math.log10(1 + hertz / 700)


def mel_to_hz(mel):
    """Inverse of ``hz_to_mel``, on tensors or numbers.

    Taught in: 01_audio_preprocessing.
    """
    return 700 * (10 ** (mel / 2595) - 1)


def mel_filters(n_fft, n_mels, sample_rate):
    """Triangular filters equally spaced on the HTK mel scale from 0 Hz to the Nyquist frequency.

    Each triangle rises from its left neighbour's peak to its own and falls to the right neighbour's; peaks
    are 1 (no area normalisation).

    Returns:
        filters: float64, (n_fft // 2 + 1, n_mels).
    Raises:
        ValueError: a filter falls between two bins and would be empty: fewer mels or a longer FFT are needed.
    Taught in: 01_audio_preprocessing.
    Source: paper section II; numbers in the authors' code.
    """
    bins = torch.linspace(0, sample_rate / 2, n_fft // 2 + 1, dtype=torch.float64)  # Hz
    corners = mel_to_hz(torch.linspace(0, hz_to_mel(sample_rate / 2), n_mels + 2, dtype=torch.float64))
    left, peak, right = corners[:-2], corners[1:-1], corners[2:]
    rising = (bins[:, None] - left) / (peak - left)
    falling = (right - bins[:, None]) / (right - peak)
    filters = torch.minimum(rising, falling).clamp_min(0)
    empty = (filters.sum(0) == 0).nonzero().flatten().tolist()
    if empty:
        raise ValueError(
            f"{len(empty)} of {n_mels} mel filters are empty (the first is number {empty[0]}) at "
            f"n_fft={n_fft} and {sample_rate} Hz; use fewer n_mels or a larger n_fft"
        )
    return filters


def filter_blocks(filters, size=16):
    """Neighbouring filters and the bins that they cover; outside of these ``filters`` is zero.

    Args:
        filters: (bins, n_mels), as from ``mel_filters``.
        size: filters of a block.
    Returns:
        list of (bins, bands), two slices; ``filters[bins, bands]`` is one block.
    Taught in: 01_audio_preprocessing.
    """
    blocks = []
    for bands in (slice(first, first + size) for first in range(0, filters.shape[1], size)):
        covered = filters[:, bands].any(dim=1).nonzero()
        blocks.append((slice(int(covered[0]), int(covered[-1]) + 1), bands))
    return blocks


class SpectrogramStack(nn.Module):
    """Waveform to a stack of log-mel power (dB), log STFT magnitude and STFT phase (rad).

    The default reproduces the authors' published front end to rounding, with its peculiarities: the
    second and third channel come from an STFT with a rectangular window whose real and imaginary parts
    are mel-scaled *before* magnitude and angle are taken; channel 1 is 10 log10 of an amplitude (half of
    true dB); nothing is normalised, and digital silence is -156.5.

    Args:
        sample_rate: Hz.
        n_fft, hop_length: samples; also the window length. Frames are centred, edges reflect.
        n_mels: bands from 0 Hz to sample_rate / 2.
        stft_window: "rectangular" (as published) or "hann", for channels 1 and 2.
        floor_db: lowest value of channel 0 in dB, half of it for channel 1 (same amplitude); None: no floor.
    Shapes:
        waveform (batch, samples) or (samples,) -> (batch, 3, n_mels, frames); 30,225 samples give 60 frames.
    Raises:
        ValueError: fewer samples than n_fft // 2 + 1, which centred framing cannot reflect; unknown window.
    Taught in: 01_audio_preprocessing.
    Source: paper section II; authors' code for windows, filters and logarithms.
    """

    n_channels = 3

    def __init__(
        self,
        sample_rate: int = 20_000,
        n_fft: int = 1024,
        hop_length: int = 512,
        n_mels: int = 128,
        stft_window: str = "rectangular",
        floor_db: float | None = None,
    ):
        super().__init__()
        if stft_window not in ("rectangular", "hann"):
            raise ValueError(f"stft_window={stft_window!r}: choose 'rectangular' or 'hann'")
        self.sample_rate, self.n_fft, self.hop_length, self.n_mels = sample_rate, n_fft, hop_length, n_mels
        self.floor_db = floor_db
        hann = torch.hann_window(n_fft, periodic=True)
        self.register_buffer("hann", hann, persistent=False)
        self.register_buffer("window", hann if stft_window == "hann" else torch.ones(n_fft), persistent=False)
        self.register_buffer("filters", mel_filters(n_fft, n_mels, sample_rate).float(), persistent=False)
        self.blocks = filter_blocks(self.filters)

    def forward(self, waveform):
        if waveform.ndim == 1:
            waveform = waveform[None]
        if waveform.ndim != 2:
            raise ValueError(f"expected (batch, samples) or (samples,), got {tuple(waveform.shape)}")
        if waveform.shape[1] <= self.n_fft // 2:
            raise ValueError(
                f"{waveform.shape[1]} samples are too few: a centred frame of n_fft={self.n_fft} "
                f"needs at least {self.n_fft // 2 + 1}"
            )
        with torch.autocast(waveform.device.type, enabled=False):  # decibels of quiet bands need single precision
            parts = waveform.split(_CACHED if waveform.device.type == "cpu" else len(waveform))
            return torch.cat([self._stack(part) for part in parts])

    def _frames(self, waveform):
        """(batch, frames, n_fft): overlapping pieces, the ends reflected."""
        half = self.n_fft // 2
        edges = waveform[:, 1 : half + 1].flip(1), waveform[:, -half - 1 : -1].flip(1)
        return torch.cat([edges[0], waveform, edges[1]], dim=1).unfold(1, self.n_fft, self.hop_length)

    def _stack(self, waveform):
        frames = self._frames(waveform)
        windowed = torch.fft.rfft(frames * self.hann)  # complex, (batch, frames, bins)
        plain = torch.fft.rfft(frames * self.window)
        power = (windowed * windowed.conj()).real
        power, real, imaginary = self._mel(torch.stack([power, plain.real, plain.imag], dim=1)).unbind(dim=1)
        log_mel = 10 * torch.log10(power + EPSILON)
        magnitude = 10 * torch.log10(torch.hypot(real, imaginary) + EPSILON)
        if self.floor_db is not None:
            log_mel, magnitude = log_mel.clamp_min(self.floor_db), magnitude.clamp_min(self.floor_db / 2)
        return torch.stack([log_mel, magnitude, torch.atan2(imaginary, real)], dim=1)

    def _mel(self, spectra):
        """Spectra (..., frames, bins) through the filters block by block: (..., n_mels, frames)."""
        flat = spectra.flatten(0, -2)
        mel = torch.cat([flat[:, bins] @ self.filters[bins, bands] for bins, bands in self.blocks], dim=1)
        return mel.unflatten(0, spectra.shape[:-1]).mT


class LogMel(SpectrogramStack):
    """The first channel alone: what preset ``best`` listens to. One transform instead of two.

    Shapes:
        waveform (batch, samples) or (samples,) -> (batch, 1, n_mels, frames).
    Taught in: 04_contrastive_pretraining.
    Source: ours; magnitude and phase of a frame change with every shift of the clip, and help no readout of ours.
    """

    n_channels = 1

    def _stack(self, waveform):
        spectra = torch.fft.rfft(self._frames(waveform) * self.hann)
        power = self._mel((spectra * spectra.conj()).real[:, None])
        log_mel = 10 * torch.log10(power + EPSILON)
        return log_mel if self.floor_db is None else log_mel.clamp_min(self.floor_db)


def long_enough(waveform, front_end):
    """A waveform (..., samples) with zeros behind it where a ``SpectrogramStack`` could not make two frames of it."""
    return F.pad(waveform, (0, max(0, least_samples(front_end) - waveform.shape[-1])))


def least_samples(front_end):
    """Samples of two frames, which a centred one can be reflected in."""
    return max(front_end.n_fft // 2 + 1, front_end.hop_length)


def front_end(config):
    """``SpectrogramStack`` or ``LogMel``, as ``config.features`` says, with the settings of a ``Preset``.

    Taught in: 04_contrastive_pretraining.
    """
    kind = LogMel if config.features == "log-mel" else SpectrogramStack
    return kind(config.sample_rate, config.n_fft, config.hop_length, config.n_mels, config.stft_window, config.floor_db)
