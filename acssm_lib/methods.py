"""The methods of the comparison: which encoder, and whether it is pre-trained."""

from dataclasses import dataclass

import numpy as np
import torch

from acssm_lib.clips import random_crops
from acssm_lib.encoder import AcousticSSM, AdaptedCNN, KernelZeroed
from acssm_lib.features import SpectrogramStack
from acssm_lib.training import seeded


@dataclass(frozen=True)
class Method:
    """``encoder``: its class, or None for a method without one; ``pretrained``: contrastive pre-training first.

    Taught in: 06_ablation_comparison.
    """

    encoder: type | None
    pretrained: bool
    description: str


METHODS = {
    "mel-stats": Method(None, False, "mean, deviation and frame difference of log-mel bands, logistic regression"),
    "supervised": Method(AcousticSSM, False, "AcousticSSM from random weights, fine-tuned on the labels alone"),
    "adapted-cnn": Method(AdaptedCNN, True, "the encoder without state-space layers, pre-trained and fine-tuned"),
    "kernel-zeroed": Method(KernelZeroed, True, "the same layers without memory: every kernel is zero"),
    "acoustic-ssm1": Method(AcousticSSM, True, "AcousticSSM, pre-trained (two segments of one recording), fine-tuned"),
}


def build_encoder(method, clips, pool, config, seed):
    """The method's encoder with initial weights from ``seed``.

    With ``config.standardise`` the front end takes mean and deviation of each band from the pool, without
    labels, for every method alike.

    Taught in: 04_contrastive_pretraining.
    """
    with seeded(seed):
        encoder = METHODS[method].encoder(config)
    if config.standardise:
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.as_tensor(pool)[torch.randperm(len(pool), generator=generator)[:256]]
        encoder.front_end.standardise(
            random_crops(clips, chosen, config.n_samples, config.max_stretch, generator).cpu())
    return encoder


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
        """(clips, 192)"""
        return np.stack([self._one(int(index)) for index in indices])

    def _one(self, index):
        if index not in self.cache:
            log_mel = self.front_end(self.clips.waveform(index))[0, 0]  # (n_mels, frames)
            difference = log_mel.diff(dim=1).abs().mean(1)
            self.cache[index] = torch.cat([log_mel.mean(1), log_mel.std(1), difference]).numpy()
        return self.cache[index]

    def fit(self, indices, labels, seed, checkpoint=None):
        from sklearn.linear_model import LogisticRegression  # here: four seconds that the other methods save
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        self.model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000, random_state=seed))
        self.model.fit(self.features(indices), labels)
        return self

    def predict(self, indices):
        return self.model.predict_proba(self.features(indices))
