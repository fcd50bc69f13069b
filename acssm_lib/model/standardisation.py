"""Standardisation: what the front end gives, less its mean, over its deviation; the first layer of every encoder."""

import torch
from torch import nn

_LEAST = 0.25  # no band's deviation counts as less than this share of the channel's: an empty band is not blown up


class Standardisation(nn.Module):
    """(x - mean) / deviation, with numbers that are taken from examples once and saved with the weights.

    Bands of very different level otherwise start training with values near -150. Only frames with sound count. The
    zeros that pad a short clip would make the deviation about 20 dB in every band and the numbers depend on how much
    of a crop is padding; digital silence within a clip was put there by an editor as padding is, and is left out too.

        "none"      the identity, as published
        "scale"     every band its mean, all bands of a channel one deviation, which is that of a band about its mean
        "band"      every band its mean and its deviation; the deviation at least a quarter of the one of "scale"
        "overall"   a channel has one mean and one deviation

    The mean is that of the band in "scale" too: how loud a band is on average says more about the microphone than
    about the clip, and zero then means "as usual in this band".

    Args:
        n_channels, n_mels: of the spectrograms.
        kind: one of the four words.
    Shapes:
        spectrograms (batch, channels, n_mels, frames) -> same shape.
    Raises:
        ValueError: an unknown kind.
    Taught in: 01_audio_preprocessing.
    Source: ours, not the paper's; "overall" is that of BYOL-A (Niizumi et al. 2021).
    """

    def __init__(self, n_channels, n_mels, kind="none"):
        super().__init__()
        if kind not in ("none", "scale", "band", "overall"):
            raise ValueError(f"kind={kind!r}: choose one of none, scale, band, overall")
        self.kind = kind
        self.register_buffer("mean", torch.zeros(n_channels, n_mels, 1))
        self.register_buffer("deviation", torch.ones(n_channels, n_mels, 1))

    def forward(self, spectrograms):
        return spectrograms if self.kind == "none" else (spectrograms - self.mean) / self.deviation

    @torch.no_grad()
    def fit(self, front_end, waveforms):
        """Takes mean and deviation from example waveforms without labels, such as ``sound_of`` gives them.

        Args:
            front_end: gives spectrograms of a waveform (1, samples); a frame that it makes of digital silence, in all
                bands of the first channel, does not count.
            waveforms: iterable of (samples,), of any length; a batch (batch, samples) will do.
        Returns:
            this layer.
        Raises:
            ValueError: there is no frame with sound.
        """
        parts, silence = [], None
        for waveform in waveforms if self.kind != "none" else ():
            if silence is None:
                silence = front_end(torch.zeros_like(waveform)[None])[0, 0, :, :1]  # (n_mels, 1)
            frames = front_end(waveform[None])[0]  # (channels, n_mels, frames)
            parts.append(frames[..., (frames[0] != silence).any(dim=0)].double())
        if self.kind != "none":
            self._take(torch.cat(parts, dim=2) if parts else torch.empty(0))
        return self

    def _take(self, frames):
        if not frames.numel():
            raise ValueError("no frame with sound to take mean and deviation from; every example is digital silence")
        dims = (1, 2) if self.kind == "overall" else 2
        mean = frames.mean(dims, keepdim=True)
        squares = (frames - mean).square()
        deviation = squares.mean((1, 2), keepdim=True).sqrt().clamp_min(1e-3)  # (channels, 1, 1)
        if self.kind == "band":
            deviation = squares.mean(2, keepdim=True).sqrt().maximum(_LEAST * deviation)
        self.mean.copy_(mean.expand_as(self.mean))
        self.deviation.copy_(deviation.expand_as(self.deviation))


def sound_of(clips, indices, n_samples, n_fft, generator):
    """A piece of each recording without any padding: at a random place, ``n_samples`` long or as long as the clip.

    Args:
        clips: a ``Clips`` bank.
        indices: int64, (clips,).
        n_samples: samples of a crop, the most that is taken of a clip.
        n_fft: a clip shorter than a frame is padded to it after all.
        generator: ``torch.Generator`` on the CPU.
    Yields:
        waveform: float32 on the CPU, (samples,).
    Taught in: 01_audio_preprocessing.
    """
    places = torch.rand(len(indices), generator=generator, dtype=torch.float64)
    for index, place in zip(indices, places):
        length = int(clips.lengths[index])
        n = min(n_samples, length)
        start = (place * (length - n + 1)).floor().long()
        piece = clips.cut(index[None], start[None], torch.ones(1), n)[0].cpu()
        yield nn.functional.pad(piece, (0, max(0, n_fft - n)))
