"""The control for order: what goes with what a moment later, in a few lines and without any network."""

from acssm_lib.model.base import Encoder
from acssm_lib.model.features import LogMel
from acssm_lib.model.standardisation import Standardisation

LAG = 8  # frames, 0.2 s at a hop of 25.6 ms


class LagCovariance(Encoder):
    """Mean over time of x_t x_{t + 8}, every log-mel band with every other: 1,024 numbers, nothing to learn.

    Each band is taken less its mean over the clip and over its deviation, without which loud bands drown the rest. Who
    calls a network good at order has to beat this first; it needs bands that mean the same in every clip, and a tempo
    that does.

    Shapes:
        spectrograms (batch, 1, 32, frames) -> features (batch, 32, frames); ``pooled``: (batch, 1024).
    Taught in: 05_few_shot_finetuning.
    Source: ours; lagged covariances as in vector autoregression.
    """

    def __init__(self, config):
        super().__init__()
        # As for mel statistics, bands and floor are the same in every preset.
        self.front_end = LogMel(config.sample_rate, config.n_fft, config.hop_length, 32, floor_db=-80.0)
        self.standardisation, self.d_model = Standardisation(1, 32), 32  # none: ``pooled`` sees to it, clip by clip

    def forward(self, spectrograms):
        return spectrograms[:, 0]

    def pooled(self, features):
        moving = features - features.mean(dim=2, keepdim=True)
        scaled = moving / moving.std(dim=2, keepdim=True, correction=0).clamp_min(1e-3)
        lag = min(LAG, scaled.shape[2] - 1)
        now, later = scaled[..., : scaled.shape[2] - lag], scaled[..., lag:]
        return (now @ later.mT / now.shape[2]).flatten(1)
