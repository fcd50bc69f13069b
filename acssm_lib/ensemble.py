"""Ask several times and average: several encoders side by side, and several known changes of the clip.

Networks that were trained from different first weights and in a different order err differently, and so does one
network on a clip and on the same clip a little higher or faster. Averages of such answers are steadier than one, and
no label is spent on them.
"""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from acssm_lib.encoder import summary
from acssm_lib.features import SpectrogramStack
from acssm_lib.spectrogram_views import moved_bands

# (pitch, tempo) as shares of the largest changes that pre-training draws: of mel_shift up, of log max_stretch faster
CHANGES = ((0, 0), (-0.5, 0), (0.5, 0), (0, -0.75), (0, 0.75), (-0.5, -0.5), (0.5, 0.5))


class Ensemble(nn.Module):
    """Encoders of one architecture as one: their features side by side.

    Every member keeps the standardisation that it was trained with, so the common front end has none.

    Args:
        members: list of encoders.
    Shapes:
        spectrograms, not standardised, (batch, channels, n_mels, frames) -> (batch, members * d_model, frames).
    Taught in: 06_ablation_comparison.
    """

    def __init__(self, members):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.front_end = copy.deepcopy(members[0].front_end)
        self.front_end.mean = torch.zeros(self.front_end.n_channels, 1, 1)
        self.front_end.deviation = torch.ones(self.front_end.n_channels, 1, 1)
        self.d_model = sum(member.d_model for member in members)
        self.pooling = getattr(members[0], "pooling", "mean")
        self.has_frames = getattr(members[0], "has_frames", True)

    def forward(self, spectrograms):
        return torch.cat([member((spectrograms - member.front_end.mean) / member.front_end.deviation)
                          for member in self.members], dim=1)

    def embed(self, waveform):
        """Waveform (batch, samples) to one vector per crop, (batch, ``embedding_width(self)``)."""
        return summary(self, self.front_end(waveform))

    def special_parameters(self):
        """Step sizes and poles of every member; see ``parameter_groups``."""
        return [parameter for member in self.members for parameter in member.special_parameters()]


def together(encoders):
    """An ``Ensemble``, or the encoder itself where there is but one.

    Taught in: 06_ablation_comparison.
    """
    return encoders[0] if len(encoders) == 1 else Ensemble(encoders)


def changed_views(spectrograms, front_end, config):
    """The same clips as they are, then a little higher, lower, slower and faster: ``config.test_views`` in all.

    Args:
        spectrograms: (batch, 1, n_mels, frames), from ``front_end``. They are changed before the standardisation, as
            the views of the pre-training were: a band takes on the level of its neighbour, too. What an embedder's own
            front end makes is left as it is.
        config: a ``Preset``; ``mel_shift`` and ``max_stretch`` are the limits of the changes.
    Yields:
        spectrograms of the batch; a faster clip has fewer frames.
    Raises:
        ValueError: more views than there are, or channels besides the log-mel.
    Taught in: 06_ablation_comparison.
    """
    if not 1 <= config.test_views <= len(CHANGES):
        raise ValueError(f"test_views={config.test_views}: choose 1 to {len(CHANGES)}")
    yield spectrograms
    if config.test_views == 1 or not isinstance(front_end, SpectrogramStack):
        return
    if front_end.n_channels != 1:
        raise ValueError(f"test_views={config.test_views} needs features='log-mel': a phase has no neighbour in pitch")
    for pitch, tempo in CHANGES[1:config.test_views]:
        level = (spectrograms * front_end.deviation + front_end.mean)[:, 0]  # (batch, n_mels, frames), dB
        level = moved_bands(level, torch.full((len(level),), -pitch * config.mel_shift).to(level))
        frames = max(1, round(level.shape[2] / config.max_stretch ** tempo))
        level = F.interpolate(level, frames, mode="linear", align_corners=True)
        yield (level[:, None] - front_end.mean) / front_end.deviation
