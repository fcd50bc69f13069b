"""Views drawn on the log-mel spectrogram: what preset ``best`` contrasts, in place of the paper's two segments.

Two segments of one recording share its noise floor, its level and its colour. These tell recordings apart without
any sound event, and a network takes that shortcut. So every view gets a level and a colour of its own, loses some
bands and some frames, and is shifted and stretched a little; what is left to recognise is what sounds, and when. All
of it costs little on 64 bands, and the spectrogram of a clip is computed once for the whole training.

Symbols: x spectrogram in dB, (views, n_mels, frames).
"""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from acssm_lib.clips import random_crops
from acssm_lib.contrastive import projection_head
from acssm_lib.encoder import embedding_width, summary

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
    speed, place = max_stretch ** _uniform(len(bank), bank, generator), _uniform(len(bank), bank, generator) / 2 + 0.5
    last = (lengths - 1).to(bank)
    start = place * (last + 1 - frames * speed).clamp_min(0)
    old = torch.minimum(start[:, None] + torch.arange(frames).to(bank) * speed[:, None], last[:, None])
    return _read_between(bank, old[:, None], 2)


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


def masked(x, span, dim, generator):
    """Every view with a span of bands (``dim`` 1) or frames (2) set to 0, up to the share ``span`` long.

    Taught in: 04_contrastive_pretraining.
    Source: SpecAugment, Park et al. 2019.
    """
    size = x.shape[dim]
    length, place = (_uniform(len(x), x, generator) / 2 + 0.5 for _ in range(2))
    length = length * span * size
    first, at = place * (size - length), torch.arange(size).to(x)
    inside = (at >= first[:, None]) & (at < (first + length)[:, None])
    return x.masked_fill(inside.unsqueeze(3 - dim), 0.0)


def multi_view_nt_xent(views, n_views, temperature):
    """Cross-entropy of finding a view's partners among all other views, by cosine similarity.

    With two views this is SimCLR's loss; with more, every partner in turn is the right answer and the others stand
    among the wrong ones.

    Args:
        views: (n_views * batch, d); row i and row i + batch come from one recording.
        temperature: divides the similarities.
    Returns:
        scalar; ln(n_views * batch - 1) when all embeddings are equal.
    Raises:
        ValueError: fewer than two views, rows that do not divide into them, or fewer than two recordings.
    Taught in: 04_contrastive_pretraining.
    Source: Chen et al. 2020, SimCLR; several positives as in Khosla et al. 2020, supervised contrastive learning.
    """
    if n_views < 2 or len(views) % n_views or len(views) < 2 * n_views:
        raise ValueError(f"{len(views)} embeddings cannot be {n_views} views of two or more recordings each")
    views = F.normalize(views, dim=1)
    logits = (views @ views.T / temperature).fill_diagonal_(float("-inf"))  # no view finds itself
    recording = torch.arange(len(views) // n_views, device=views.device).repeat(n_views)
    partners = (recording[:, None] == recording).fill_diagonal_(False)
    return -F.log_softmax(logits, dim=1)[partners].mean()


class SegmentViews(nn.Module):
    """An objective like ``SegmentPairs`` with ``n_views`` segments of each recording, compared by cosine.

    Any encoder that embeds a waveform will do, such as an embedder that brings a front end of its own.

    Args:
        encoder: only the length of its embeddings is used here.
        config: a ``Preset``.
    Taught in: 06_ablation_comparison.
    """

    def __init__(self, encoder, config):
        super().__init__()
        self.config = config
        self.head = projection_head(embedding_width(encoder), config.d_projection, config.projection)

    def embed(self, encoder, clips, chosen, generator):
        """Embeddings of all views, (n_views * batch, d); row i + batch is of the same recording as row i."""
        waveform = random_crops(clips, chosen.repeat(self.config.n_views), self.config.n_samples,
                                self.config.max_stretch, generator)
        return encoder.embed(waveform.to(next(self.parameters()).device, non_blocking=True))

    def forward(self, encoder, clips, chosen, generator):
        views = self.head(self.embed(encoder, clips, chosen, generator))
        return multi_view_nt_xent(views, self.config.n_views, self.config.temperature)


class SpectrogramViews(SegmentViews):
    """The same with views that are drawn on the spectrogram of each recording: what ``best`` learns from.

    The spectrograms of all clips of the bank are computed at the first call and kept, 50 KB for 5 s at 64 bands.

    Args:
        encoder: one whose front end gives a single channel in dB, ``LogMel``.
        config: a ``Preset``.
    Raises:
        ValueError: an encoder with another front end.
    Taught in: 04_contrastive_pretraining.
    """

    def __init__(self, encoder, config):
        super().__init__(encoder, config)
        if getattr(encoder.front_end, "n_channels", None) != 1:
            raise ValueError("views='spectrogram' needs features='log-mel': a gain in dB means nothing to a phase")
        self.bank = None

    @torch.no_grad()
    def views(self, front_end, clips, chosen, generator):
        """Standardised spectrograms of all views, (n_views * batch, 1, n_mels, frames), in the order of ``embed``."""
        if self.bank is None:
            heard = [front_end.raw(clips.waveform(i).to(front_end.hann.device))[0, 0].T for i in range(len(clips))]
            self.lengths = torch.tensor([len(frames) for frames in heard])
            self.bank = pad_sequence(heard, batch_first=True).mT.contiguous()  # (clips, n_mels, longest)
        config, chosen = self.config, chosen.repeat(self.config.n_views)
        x = stretched_crops(self.bank[chosen.to(self.bank.device)], self.lengths[chosen],
                            config.n_samples // config.hop_length + 1, config.max_stretch, generator)
        if config.mel_shift:
            x = shifted_bands(x, config.mel_shift, generator)
        if config.mix_max:
            x = mixed(x, config.mix_max, generator)
        x = coloured(x, config.gain_db, config.equaliser_db, generator)
        if config.floor_db is not None:
            x = x.clamp_min(config.floor_db)
        x = (x - front_end.mean[0]) / front_end.deviation[0]  # now 0 is what a band sounds like on average
        x = masked(x, config.masked_span, 1, generator)
        return masked(x, config.masked_span * 2 / 3, 2, generator)[:, None]

    def embed(self, encoder, clips, chosen, generator):
        return summary(encoder, self.views(encoder.front_end, clips, chosen, generator))


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
