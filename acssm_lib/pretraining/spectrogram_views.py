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

from acssm_lib.data.clips import random_crops
from acssm_lib.model.base import embedding_width, summary
from acssm_lib.model.features import LogMel, least_samples
from acssm_lib.model.streaming import clip_blocks
from acssm_lib.pretraining.contrastive import projection_head
from acssm_lib.pretraining.spectrogram_changes import coloured, drawn_frames, masked, mixed, shifted_bands


def multi_view_nt_xent(views, n_views, temperature, sources=None, negatives="all"):
    """Cross-entropy of finding a view's partners among all other views, by cosine similarity.

    With two views this is SimCLR's loss; with more, every partner in turn is the right answer and the others stand
    among the wrong ones.

    Two clips of one source (night, recorder, individual) may well hold the same call: "other-sources" lets them be no
    negatives of each other. Where a source is easier to tell than what is sought, it is a shortcut: "same-source" has
    no other negatives than clips of the same source, among which knowing the source helps nothing.

    Args:
        views: (n_views * batch, d); row i and row i + batch come from one recording.
        temperature: divides the similarities.
        sources: int64, (batch,), a number for each source, negative where unknown: a source of its own. None: all are.
        negatives: "all", "other-sources" or "same-source".
    Returns:
        scalar; ln(n_views * batch - 1) when all embeddings are equal and all others are negatives.
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
    if sources is not None and negatives != "all":
        source = sources.to(views.device).repeat(n_views)
        together = (source[:, None] == source) & (source >= 0)
        left_out = together if negatives == "other-sources" else ~together
        logits = logits.masked_fill(left_out & ~partners, float("-inf"))
    return -F.log_softmax(logits, dim=1)[partners].mean()


class SegmentViews(nn.Module):
    """An objective like ``SegmentPairs`` with ``n_views`` segments of each recording, compared by cosine.

    Any encoder that embeds a waveform will do, such as an embedder that brings a front end of its own.

    Args:
        encoder: only the length of its embeddings is used here.
        config: a ``Preset``.
        sources: of every clip of the bank, int64 (clips,), see ``multi_view_nt_xent``; for ``config.negatives``.
    Taught in: 06_ablation_comparison.
    """

    def __init__(self, encoder, config, sources=None):
        super().__init__()
        self.config, self.sources = config, sources
        self.head = projection_head(embedding_width(encoder), config.d_projection, config.projection)

    def embed(self, encoder, clips, chosen, generator):
        """Embeddings of all views, (n_views * batch, d); row i + batch is of the same recording as row i."""
        waveform = random_crops(
            clips, chosen.repeat(self.config.n_views), self.config.n_samples, self.config.max_stretch, generator
        )
        return encoder.embed(waveform.to(next(self.parameters()).device, non_blocking=True))

    def forward(self, encoder, clips, chosen, generator):
        views = self.head(self.embed(encoder, clips, chosen, generator))
        sources = None if self.sources is None else self.sources[chosen.cpu()]
        return multi_view_nt_xent(views, self.config.n_views, self.config.temperature, sources, self.config.negatives)


class SpectrogramViews(SegmentViews):
    """The same with views that are drawn on the spectrogram of each recording: what ``best`` learns from.

    The spectrograms of all clips of the bank are computed at the first call and kept end to end, 50 KB for 5 s at 64
    bands, 36 MB for an hour.

    Args:
        encoder: one whose front end gives a single channel in dB, ``LogMel``.
        config, sources: as for ``SegmentViews``.
    Raises:
        ValueError: an encoder with another front end.
    Taught in: 04_contrastive_pretraining.
    """

    def __init__(self, encoder, config, sources=None):
        super().__init__(encoder, config, sources)
        if not isinstance(encoder.front_end, LogMel):
            raise ValueError("views='spectrogram' needs features='log-mel': a gain in dB means nothing to a phase")
        self.heard = None  # (frames of all clips, n_mels)

    @torch.no_grad()
    def _hear(self, front_end, clips):
        least = least_samples(front_end)
        self.lengths = clips.lengths.clamp_min(least) // front_end.hop_length + 1  # frames
        self.offsets = self.lengths.cumsum(0) - self.lengths
        heard, end = front_end.hann.new_empty(int(self.lengths.sum()), front_end.n_mels), 0
        for clip in range(len(clips)):
            for part in clip_blocks(front_end, clips, clip):
                start, end = end, end + part.shape[3]
                heard[start:end] = part[0, 0].T
        self.heard = heard

    def _crops(self, chosen, generator):
        """A crop of every chosen clip with a tempo of its own, as ``stretched_crops``: (views, n_mels, frames)."""
        lengths, device = self.lengths[chosen].to(self.heard), self.heard.device
        places = drawn_frames(
            lengths, self.config.n_samples // self.config.hop_length + 1, self.config.max_stretch, generator
        )
        left = places.long()
        right = torch.minimum(left + 1, lengths[:, None].long() - 1)
        before, after = (self.heard[self.offsets[chosen].to(device)[:, None] + index] for index in (left, right))
        return before.lerp(after, (places - left)[..., None]).mT

    @torch.no_grad()
    def views(self, encoder, clips, chosen, generator):
        """Spectrograms of all views in dB, (n_views * batch, 1, n_mels, frames), in the order of ``embed``.

        What is masked gets the level that its band has on average, which is zero once the encoder has standardised.
        """
        if self.heard is None:
            self._hear(encoder.front_end, clips)
        config = self.config
        x = self._crops(chosen.repeat(config.n_views).cpu(), generator)
        if config.mel_shift:
            x = shifted_bands(x, config.mel_shift, generator)
        if config.mix_max:
            x = mixed(x, config.mix_max, generator)
        x = coloured(x, config.gain_db, config.equaliser_db, generator)
        if config.floor_db is not None:
            x = x.clamp_min(config.floor_db)
        usual = encoder.standardisation.mean[0]
        x = masked(x, config.masked_span, 1, generator, usual)
        return masked(x, config.masked_span * 2 / 3, 2, generator, usual)[:, None]

    def embed(self, encoder, clips, chosen, generator):
        return summary(encoder, self.views(encoder, clips, chosen, generator))
