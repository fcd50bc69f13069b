"""Changes of a log-mel spectrogram that leave its recording recognisable: tempo, pitch, colour, gain, masks.

Symbols: x spectrogram in dB, (views, n_mels, frames).
"""

import torch
from torch.nn import functional as F

_KNOTS = 6  # of the equaliser: a smooth colour, which does not cut out a single band


def stretched_crops(bank, lengths, frames, max_stretch, generator):
    """One crop of every spectrogram, at a uniform place and with a tempo of its own; pitch stays.

    Frame t is the old one read at start + t * s, linearly between its neighbours, s log-uniform in
    [1 / max_stretch, max_stretch]. A clip that ends too early holds its last frame.

    Args:
        bank: (views, n_mels, longest), padded.
        lengths: int64, (views,), frames of each.
    Returns:
        (views, n_mels, frames).
    Taught in: 04_contrastive_pretraining.
    """
    return _read_between(bank, drawn_frames(lengths.to(bank), frames, max_stretch, generator)[:, None], 2)


def drawn_frames(lengths, frames, max_stretch, generator):
    """Where ``stretched_crops`` reads: fractional frames (views, frames) of clips of so many frames, float (views,).

    Taught in: 04_contrastive_pretraining.
    """
    n = len(lengths)
    speed, place = max_stretch ** _uniform(n, lengths, generator), _uniform(n, lengths, generator) / 2 + 0.5
    start = place * (lengths - frames * speed).clamp_min(0)
    return torch.minimum(start[:, None] + torch.arange(frames).to(lengths) * speed[:, None], lengths[:, None] - 1)


def shifted_bands(x, most, generator):
    """Every view moved up or down by up to ``most`` mel bands: another pitch. The outermost band is repeated.

    Taught in: 04_contrastive_pretraining.
    """
    return moved_bands(x, most * _uniform(len(x), x, generator))


def moved_bands(x, shift):
    """Band m is the old band m + ``shift`` (views,), linearly between its neighbours; beyond the ends, the outermost.

    Taught in: 04_contrastive_pretraining.
    """
    old = (torch.arange(x.shape[1]).to(x) + shift[:, None]).clamp(0, x.shape[1] - 1)
    return _read_between(x, old[..., None], 1)


def mixed(x, most, generator):
    """Every view with another one behind it, which brings up to the share ``most`` of the power.

    Taught in: 04_contrastive_pretraining.
    Source: BYOL-A (Niizumi et al. 2021) mixes views in the background; the equal loudness before is ours.
    """
    power = 10 ** (x / 10)
    other = power[torch.randperm(len(x), generator=generator).to(x.device)]
    other = other * power.mean((1, 2), keepdim=True) / other.mean((1, 2), keepdim=True)
    share = most * (_uniform(len(x), x, generator)[:, None, None] / 2 + 0.5)
    return 10 * torch.log10((1 - share) * power + share * other + 1e-10)


def coloured(x, gain_db, equaliser_db, generator):
    """Every view with a gain, uniform in +- ``gain_db``, and a smooth curve of deviation ``equaliser_db`` over bands.

    Taught in: 04_contrastive_pretraining.
    """
    knots = equaliser_db * torch.randn(len(x), 1, _KNOTS, generator=generator).to(x)
    curve = F.interpolate(knots, x.shape[1], mode="linear", align_corners=True)[:, 0]
    return x + (curve + gain_db * _uniform(len(x), x, generator)[:, None])[..., None]


def masked(x, span, dim, generator, fill=0.0):
    """Every view with a span of bands (``dim`` 1) or frames (2) set to ``fill``, up to the share ``span`` long.

    ``fill`` may be a level for every band, (n_mels, 1).

    Taught in: 04_contrastive_pretraining.
    Source: SpecAugment, Park et al. 2019.
    """
    size = x.shape[dim]
    length, place = (_uniform(len(x), x, generator) / 2 + 0.5 for _ in range(2))
    length = length * span * size
    first, at = place * (size - length), torch.arange(size).to(x)
    inside = (at >= first[:, None]) & (at < (first + length)[:, None])
    return torch.where(inside.unsqueeze(3 - dim), torch.as_tensor(fill).to(x), x)


def _uniform(n, like, generator):
    """Uniform in [-1, 1), (n,), drawn on the CPU: the same on every device."""
    return (2 * torch.rand(n, generator=generator) - 1).to(like)


def _read_between(x, places, dim):
    """``x`` read along ``dim`` at fractional places, linearly; ``places`` broadcasts over the other dimension."""
    shape = [places.shape[0], x.shape[1] if dim == 2 else places.shape[1], x.shape[2] if dim == 1 else places.shape[2]]
    left = places.long()
    right = (left + 1).clamp_max(x.shape[dim] - 1)
    before, after = (x.gather(dim, index.expand(shape)) for index in (left, right))
    return before.lerp(after, (places - left).expand(shape))
