"""A bank of recordings of any length, and crops cut from it for a whole batch at once.

A crop of the paper's clip preparation (method of ACDNet, the paper's reference [19]) is: stretch the
clip by a factor s (linear interpolation, which changes speed and pitch together), pad half a crop of
zeros on both sides, take ``n_samples``. Sample j of the stretched clip is the old clip read at j / s,
so crop, padding and stretch are one gather: no clip is ever copied, and a batch costs one indexing.
"""

import math

import torch


class Clips:
    """Recordings laid end to end in one 16-bit tensor.

    Args:
        waveforms: sequence of (samples,) tensors or arrays; float in [-1, 1], or int16.
    Attributes:
        samples: int16, (total samples,).
        offsets, lengths: int64, (clips,); clip i is ``samples[offsets[i] : offsets[i] + lengths[i]]``.
    Taught in: 01_audio_preprocessing.
    """

    def __init__(self, waveforms):
        waveforms = [torch.as_tensor(waveform) for waveform in waveforms]
        if not waveforms:
            raise ValueError("no waveforms given; a bank needs at least one clip")
        self.lengths = torch.tensor([len(waveform) for waveform in waveforms])
        if int(self.lengths.min()) < 2:
            raise ValueError(f"clip {int(self.lengths.argmin())} has fewer than 2 samples")
        self.offsets = self.lengths.cumsum(0) - self.lengths
        self.samples = torch.cat([_to_int16(waveform) for waveform in waveforms])

    def __len__(self):
        return len(self.lengths)

    def to(self, device):
        """Move the recordings to ``device``; returns self.

        For an Apple GPU they stay on the CPU, and crops are moved: positions need double precision, which it lacks.
        """
        if torch.device(device).type == "mps":
            return self
        self.samples, self.offsets, self.lengths = (
            tensor.to(device) for tensor in (self.samples, self.offsets, self.lengths))
        return self

    @property
    def device(self):
        return self.samples.device

    def waveform(self, index):
        """One whole recording: float32 on the CPU, (samples,), in [-1, 1]."""
        first, length = int(self.offsets[index]), int(self.lengths[index])
        return self.samples[first:first + length].cpu().float() / 32768

    def stretched_lengths(self, indices, stretch):
        """Length of each stretched clip in samples, floor(n s)."""
        return (self.lengths[indices].double() * stretch.double()).floor().long()

    def cut(self, indices, starts, stretch, n_samples):
        """Crops of stretched, zero-padded clips.

        Args:
            indices: int64, (batch,), which clips.
            starts: int64, (batch,), first sample of the crop on the stretched clip; negative starts in the padding.
            stretch: float, (batch,), length factor s (0.8 plays faster and higher, 1.25 slower and lower).
            n_samples: length of a crop, samples.
        Returns:
            waveform: float32, (batch, n_samples), in [-1, 1]; zero outside the clip.
        """
        if self.device.type == "cpu" and len(indices) > 4:  # four crops fit the cache: faster than all at once
            parts = zip(indices.split(4), starts.split(4), stretch.split(4))
            return torch.cat([self.cut(*part, n_samples) for part in parts])
        positions = starts[:, None] + torch.arange(n_samples, device=self.device)  # (batch, n_samples), stretched clip
        inside = (positions >= 0) & (positions < self.stretched_lengths(indices, stretch)[:, None])
        # Whole part and fraction in double: a float32 position is off by 1/128 sample at 100,000.
        old = positions.double() / stretch.double()[:, None]
        last = self.lengths[indices][:, None] - 1
        left = torch.minimum(old.long().clamp_min(0), last)
        fraction = (old - left).float().clamp(0, 1)
        offsets = self.offsets[indices][:, None]
        before = self.samples[offsets + left].float()
        after = self.samples[offsets + torch.minimum(left + 1, last)].float()
        return torch.where(inside, before + fraction * (after - before), 0.0) / 32768


def random_crops(clips, indices, n_samples, max_stretch, generator):
    """One random stretch and crop of each clip: a view of AcousticSSM1 (method 1 of the paper, section II).

    The factor is ``max_stretch ** u`` with u uniform in [-1, 1]; the start is uniform over all positions
    of the clip padded with ``n_samples // 2`` zeros on both sides.

    Args:
        clips: a ``Clips`` bank.
        indices: int64, (batch,).
        n_samples: samples of a crop.
        max_stretch: largest length factor, at least 1; 1 switches the stretch off.
        generator: ``torch.Generator`` on the CPU; the same state gives the same crops on every device.
    Returns:
        waveform: float32, (batch, n_samples).
    Taught in: 04_contrastive_pretraining.
    """
    indices = indices.to(clips.device)
    draws = torch.rand(2, len(indices), generator=generator, dtype=torch.float64).to(clips.device)
    stretch = max_stretch ** (2 * draws[0] - 1)
    pad = n_samples // 2
    room = clips.stretched_lengths(indices, stretch) + 2 * pad - n_samples  # last start on the padded clip
    starts = (draws[1] * (room + 1)).floor().long().clamp_max(room) - pad
    return clips.cut(indices, starts, stretch, n_samples)


def even_crops(clips, indices, n_samples, n_crops, stretch=None):
    """Equally spaced crops of each padded clip; with ``n_crops`` = 1 the centre crop (the paper's test input).

    Args:
        clips: a ``Clips`` bank.
        indices: int64, (batch,).
        n_samples: samples of a crop.
        n_crops: crops per clip; more than one are ``floor((padded length - n_samples) / (n_crops - 1))`` apart.
        stretch: float, (batch,) or None for no stretch.
    Returns:
        waveform: float32, (batch, n_crops, n_samples).
    Taught in: 05_few_shot_finetuning.
    """
    indices = indices.to(clips.device)
    stretch = torch.ones(len(indices), dtype=torch.float64) if stretch is None else stretch
    stretch = stretch.to(clips.device)
    pad = n_samples // 2
    room = clips.stretched_lengths(indices, stretch) + 2 * pad - n_samples
    if n_crops == 1:
        starts = (room // 2)[:, None] - pad
    else:
        starts = (room // (n_crops - 1))[:, None] * torch.arange(n_crops, device=clips.device) - pad
    crops = clips.cut(indices.repeat_interleave(n_crops), starts.flatten(),
                      stretch.repeat_interleave(n_crops), n_samples)
    return crops.view(len(indices), n_crops, n_samples)


def random_stretch(n, max_stretch, generator):
    """Length factors ``max_stretch ** u``, u uniform in [-1, 1]; float64, (n,).

    Taught in: 04_contrastive_pretraining.
    """
    return max_stretch ** (2 * torch.rand(n, generator=generator, dtype=torch.float64) - 1)


def _to_int16(waveform):
    if waveform.dtype == torch.int16:
        return waveform
    peak = float(waveform.abs().max())
    if not math.isfinite(peak) or peak > 1.0:
        raise ValueError(f"a waveform peaks at {peak}; expected finite values in [-1, 1]")
    return (waveform * 32768).round().clamp(-32768, 32767).to(torch.int16)
