"""Ask several times and average: several encoders side by side, and several known changes of the clip.

Networks that were trained from different first weights and in a different order err differently, and so does one
network on a clip and on the same clip a little higher or faster. Averages of such answers are steadier than one, and
no label is spent on them.
"""

import torch
from torch import nn

from acssm_lib.model.base import Encoder


class Ensemble(Encoder):
    """Encoders of one architecture as one: their features side by side.

    Every member keeps the standardisation that it was trained with; the front end is that of the first.

    Args:
        members: list of encoders.
    Shapes:
        spectrograms (batch, channels, n_mels, frames) -> (batch, members * d_model, frames).
    Taught in: 06_ablation_comparison.
    """

    def __init__(self, members):
        super().__init__()
        self.members = nn.ModuleList(members)
        self.front_end = members[0].front_end
        self.d_model = sum(member.d_model for member in members)
        self.pooling, self.has_frames = members[0].pooling, members[0].has_frames

    def forward(self, spectrograms):
        return torch.cat([member(spectrograms) for member in self.members], dim=1)

    def pooled(self, features):
        if self.pooling != "products":
            return super().pooled(features)
        parts = features.split([member.d_model for member in self.members], dim=1)
        return torch.cat([member.pooled(part) for member, part in zip(self.members, parts)], dim=1)

    def special_parameters(self):
        """Step sizes and poles of every member; see ``parameter_groups``."""
        return [parameter for member in self.members for parameter in member.special_parameters()]


def together(encoders):
    """An ``Ensemble``, or the encoder itself where there is but one.

    Taught in: 06_ablation_comparison.
    """
    return encoders[0] if len(encoders) == 1 else Ensemble(encoders)
