"""What people try first, the control of every table: statistics of log-mel bands, no encoder."""

import numpy as np
import torch

from acssm_lib.fewshot.readout import logistic_regression
from acssm_lib.model.features import SpectrogramStack
from acssm_lib.model.streaming import clip_blocks


def band_statistics(log_mel):
    """Mean, deviation and mean absolute frame difference of each band: (batch, n_mels, frames) -> (batch, 3 n_mels)."""
    return torch.cat([log_mel.mean(2), log_mel.std(2), log_mel.diff(dim=2).abs().mean(2)], dim=1)


class MelStatistics:
    """What people try first, as a learner for ``evaluate``: statistics of log-mel bands over the whole clip.

    Mean, deviation and mean absolute frame difference of each band, standardised, then logistic regression.
    A frame's place in time does not enter, so the order of sounds cannot be told.

    Taught in: 05_few_shot_finetuning.
    """

    def __init__(self, clips, config):
        self.clips = clips
        # 64 bands and a floor of -80 dB in every preset: a baseline should not shrink with the encoder, and
        # silence at -156 dB would swamp mean and deviation.
        self.front_end = SpectrogramStack(config.sample_rate, config.n_fft, config.hop_length, 64, floor_db=-80.0)
        self.cache = {}

    def features(self, indices):
        """(clips, 192), float64"""
        return np.stack([self._one(int(index)) for index in indices]).astype(float)

    def _one(self, index):
        if index not in self.cache:
            log_mel = torch.cat([block[:, 0] for block in clip_blocks(self.front_end, self.clips, index)], dim=2)
            self.cache[index] = band_statistics(log_mel)[0].numpy()
        return self.cache[index]

    def fit(self, indices, labels, seed, checkpoint=None):
        self.model = logistic_regression().fit(self.features(indices), labels)
        return self

    def predict(self, indices):
        return self.model.predict_proba(self.features(indices))
