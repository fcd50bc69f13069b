"""The methods of the comparison: which encoder, and whether it is pre-trained."""

import math
from dataclasses import dataclass

import torch

from acssm_lib.baselines import weights as downloaded
from acssm_lib.baselines.byol_a import BYOLA
from acssm_lib.baselines.controls import KernelZeroed, MatchedCNN
from acssm_lib.baselines.lag_covariance import LagCovariance
from acssm_lib.baselines.litert import BirdNET, WakewordSpeech
from acssm_lib.baselines.mn04 import MobileNet
from acssm_lib.baselines.mt_slvr import MTSLVRObjective, SplitResNet, n_views
from acssm_lib.baselines.resemblyzer import VoiceEncoder
from acssm_lib.baselines.speech_models import WaveformTransformer
from acssm_lib.baselines.tera import MelTransformer
from acssm_lib.model.encoder import AcousticSSM, AdaptedCNN
from acssm_lib.model.ensemble import together
from acssm_lib.model.standardisation import sound_of
from acssm_lib.names import EMBEDDER_NAMES, STATISTICS
from acssm_lib.pretraining.augmented_views import AugmentedViews, NoisyViews
from acssm_lib.pretraining.contrastive import AugmentedPairs, NoisyPairs, SegmentPairs
from acssm_lib.pretraining.spectrogram_views import SegmentViews, SpectrogramViews
from acssm_lib.training import seeded


@dataclass(frozen=True)
class Method:
    """``encoder``: class made from the settings, or None; ``objective``: of its pre-training on the pool, or None.

    An embedder's encoder is made from the settings and its downloaded weights: see ``build_encoder``.
    """

    encoder: type | None
    objective: type | None
    description: str

    @property
    def pretrained(self):
        """Whether it learns from the unlabelled pool."""
        return self.objective is not None


METHODS = {
    "mel-stats": Method(None, None, "mean, deviation and frame difference of log-mel bands, logistic regression"),
    "lag-covariance": Method(LagCovariance, None, "products of log-mel bands 0.2 s apart, logistic regression"),
    "supervised": Method(AcousticSSM, None, "AcousticSSM from random weights, fine-tuned on the labels alone"),
    "adapted-cnn": Method(AdaptedCNN, SegmentPairs, "the encoder without state-space layers, pre-trained, fine-tuned"),
    "matched-cnn": Method(MatchedCNN, SegmentPairs, "the same, widened to as many parameters as AcousticSSM"),
    "kernel-zeroed": Method(KernelZeroed, SegmentPairs, "the same layers without memory: every kernel is zero"),
    "mt-slvr": Method(SplitResNet, MTSLVRObjective, "2-D ResNet with adapters, contrast and augmentation prediction"),
    "acoustic-ssm1": Method(AcousticSSM, SegmentPairs, "AcousticSSM, pre-trained on views of the same recording"),
    "acoustic-ssm2": Method(AcousticSSM, AugmentedPairs, "AcousticSSM, pre-trained on two augmentations of a segment"),
    "acoustic-ssm2-noise": Method(AcousticSSM, NoisyPairs, "the same with white noise in place of time masking"),
    "byol-a": Method(BYOLA, None, "BYOL-A, from AudioSet"),
    "byol-a-adapted": Method(BYOLA, SegmentViews, "BYOL-A, its training continued on segments of the pool"),
    "mn04": Method(MobileNet, None, "EfficientAT mn04, from AudioSet and its labels"),
    "mn04-adapted": Method(MobileNet, SegmentViews, "EfficientAT mn04, trained further on segments of the pool"),
    "tera": Method(MelTransformer, None, "TERA, from LibriSpeech"),
    "mockingjay": Method(MelTransformer, None, "Mockingjay, from LibriSpeech"),
    "wav2vec2": Method(WaveformTransformer, None, "wav2vec 2.0 Base, from LibriSpeech"),
    "hubert": Method(WaveformTransformer, None, "HuBERT Base, from LibriSpeech"),
    "birdnet": Method(BirdNET, None, "BirdNET 2.4, from labelled birds, frogs and insects"),
    "wakeword": Method(WakewordSpeech, None, "Google's speech embedding, as openWakeWord has it"),
    "resemblyzer": Method(VoiceEncoder, None, "Resemblyzer's voice encoder, from speakers of LibriSpeech and VoxCeleb"),
}


def objective_of(method, config):
    """Class of the objective that a method is pre-trained with, which follows from ``config.views``.

    With views other than "pair", AcousticSSM1 and its controls take those views. AcousticSSM2 keeps what it is about,
    augmentations of one segment, and takes the rest: several of them, compared by cosine. So does MT-SLVR, whose
    objective reads ``config.views`` itself. Embedders have segments throughout.
    """
    objective = METHODS[method].objective
    return objective if config.views == "pair" else _IN_VIEWS[config.views].get(objective, objective)


_AUGMENTED: dict[type, type] = {AugmentedPairs: AugmentedViews, NoisyPairs: NoisyViews}
_IN_VIEWS: dict[str, dict[type, type]] = {
    "segments": {SegmentPairs: SegmentViews, **_AUGMENTED},
    "spectrogram": {SegmentPairs: SpectrogramViews, **_AUGMENTED},
}


def loss_of_a_guess(method, config, pool_size):
    """What the method's pre-training loss is while all embeddings are equal: the dashed line of its curve, in nats."""
    batch, objective = min(config.pretrain_batch, pool_size), objective_of(method, config)
    if issubclass(objective, SegmentViews):
        return math.log(config.n_views * batch - 1)
    if objective is MTSLVRObjective:
        return math.log(n_views(config) * batch - 1) + math.log(2)  # and a coin for every augmentation
    return math.log(batch)


def build_encoder(method, clips, pool, config, seed, weights=None):
    """The method's encoder: with initial weights from ``seed``, an embedder with its downloaded ones.

    With ``config.n_members`` above 1 it is an ``Ensemble``; embedders have but one set of weights. With
    ``config.standardise`` it takes mean and deviation from up to 256 recordings of the pool, without labels, for every
    method alike; BYOL-A always does, as its authors ask.

    Args:
        weights: file of an embedder's weights; None for the one in the cache.
    Raises:
        ValueError, OSError: an embedder's weights are not there, or are not what they should be.
    """
    return together([_member(method, clips, pool, config, one, weights) for one in member_seeds(method, config, seed)])


def member_seeds(method, config, seed):
    """Seeds of the encoders that make up a method's; the first is the run's own.

    Raises:
        ValueError: fewer than one member.
    """
    if config.n_members < 1:
        raise ValueError(f"n_members={config.n_members}: an encoder has one member or more")
    return [seed + 1000 * member for member in range(1 if method in EMBEDDER_NAMES + STATISTICS else config.n_members)]


def bare_encoder(method, config, seed, weights=None):
    """As ``build_encoder``, before it has heard the pool: standardisation is still the identity."""
    return together([_bare_member(method, config, one, weights) for one in member_seeds(method, config, seed)])


def _bare_member(method, config, seed, weights):
    with seeded(seed):
        if method in EMBEDDER_NAMES:
            return METHODS[method].encoder(config, downloaded.load(method, downloaded.find(method, weights)))
        return METHODS[method].encoder(config)


def _member(method, clips, pool, config, seed, weights):
    encoder = _bare_member(method, config, seed, weights)
    if encoder.standardisation is not None:
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.as_tensor(pool)[torch.randperm(len(pool), generator=generator)[:256]]
        encoder.standardisation.fit(
            encoder.front_end, sound_of(clips, chosen, config.n_samples, config.n_fft, generator)
        )
    return encoder
