"""What every encoder is: our own, the baselines, the embedders with downloaded weights, and several together."""

import torch
from torch import nn

from acssm_lib.training import device_of


class Encoder(nn.Module):
    """From a waveform to one vector; what pre-training, fine-tuning, readouts and streaming ask of any encoder.

    A subclass sets ``front_end`` and ``d_model`` in its ``__init__``, and defines ``forward``; the rest may stay.

    Attributes:
        front_end: module without weights to learn, waveform (batch, samples) -> what ``forward`` reads.
        standardisation: the ``Standardisation`` that ``forward`` begins with, fitted to the pool; None where the
            weights were trained with numbers of their own.
        d_model: channels of the features.
        pooling: how features become one vector, see ``over_time``.
        has_frames: whether the last axis of what the front end gives is time, so that frames can be shuffled.
    Shapes:
        ``forward``: what the front end gives -> features (batch, d_model, frames).
    Taught in: 06_ablation_comparison.
    """

    pooling, has_frames = "mean", True

    def __init__(self):
        super().__init__()
        self.standardisation = None

    def embed(self, waveform):
        """Waveform (batch, samples) to one vector per crop, (batch, ``embedding_width(self)``)."""
        return summary(self, self.front_end(waveform))

    def pooled(self, features):
        """Features (batch, d_model, frames) to one vector per crop: ``over_time`` with ``pooling``."""
        return over_time(features, self.pooling)

    def special_parameters(self):
        """Those of state-space layers, with a learning rate of their own (``parameter_groups``); none elsewhere."""
        return []


def summary(encoder, spectrograms):
    """One vector per crop: what ``pooled`` makes of an encoder's features, (batch, ``embedding_width(encoder)``).

    Taught in: 04_contrastive_pretraining.
    """
    return encoder.pooled(encoder(spectrograms))


def over_time(features, pooling="mean"):
    """Features (batch, d_model, frames) to their mean over time, (batch, d_model), "mean-std": and their deviation.

    The deviation says how lively a feature is, which a mean hides: rain and a barking dog may have the same mean.

    Taught in: 04_contrastive_pretraining.
    Source: mean over time from the authors' code; statistics pooling from speaker recognition (Snyder et al. 2018).
    """
    mean = features.mean(dim=2)
    return mean if pooling == "mean" else torch.cat([mean, features.std(dim=2, correction=0)], dim=1)


def embedding_width(encoder):
    """Length of the vector that ``summary`` makes of a crop.

    Taught in: 04_contrastive_pretraining.
    """
    with torch.no_grad():
        return encoder.pooled(torch.zeros(1, encoder.d_model, 2, device=device_of(encoder))).shape[1]
