"""Contrastive pre-training: two views of one recording should be more alike than views of two recordings.

Where the two views come from is what the paper's two methods differ in: ``SegmentPairs`` and ``AugmentedPairs``.

Symbols: y embedding of a view (d_model); g projection head; W bilinear matrix; B clips in a batch.

    similarity   s(a, p) = g(y_a)^T W g(y_p)                               (paper, equation 3)
    loss         -1/B sum_i log( exp s(a_i, p_i) / sum_j exp s(a_i, p_j) )   (paper, equation 4)
"""

import hashlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from acssm_lib.data.clips import random_crops
from acssm_lib.model.base import Encoder, embedding_width
from acssm_lib.presets import Preset
from acssm_lib.pretraining.augment import apply_plans, augmentations, draw_plans
from acssm_lib.training import cosine_factor, parameter_groups, pick_device, seeded, train


class BilinearSimilarity(nn.Module):
    """s(a, p) = a^T W p for every pair of a batch (paper, equation 3).

    Args:
        d_projection: length of a projected embedding.
        std: standard deviation of W at the start; 1 in the authors' code, which makes the first losses
            several times ln B, 0.05 in COLA.
        diagonal: added to the diagonal of W at the start; ours. With 0, W begins as a random mixture, in which
            a pair of equal views is no more alike than any other, and small pools may never get past ln B.
    Shapes:
        anchors (batch, d), positives (batch, d) -> (batch, batch), anchor i against positive j.
    Taught in: 04_contrastive_pretraining.
    """

    def __init__(self, d_projection: int, std: float = 1.0, diagonal: float = 0.0):
        super().__init__()
        self.weight = nn.Parameter(std * torch.randn(d_projection, d_projection) + diagonal * torch.eye(d_projection))

    def forward(self, anchors, positives):
        return anchors @ self.weight @ positives.T


def contrastive_loss(
    anchors: torch.Tensor,
    positives: torch.Tensor,
    similarity: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    temperature: float = 1.0,
    symmetric: bool = False,
) -> torch.Tensor:
    """Cross-entropy of finding each anchor's own positive among the batch (paper, equation 4).

    Args:
        anchors, positives: (batch, d); row i of both comes from recording i.
        similarity: (anchors, positives) -> (batch, batch).
        temperature: divides the similarities; equation 4 has none (1), the authors' code 0.2.
        symmetric: also let each positive find its anchor, and average; ours.
    Returns:
        scalar; ln(batch) when all embeddings are equal.
    Raises:
        ValueError: shapes differ, or there are fewer than two recordings (nothing to tell apart).
    Taught in: 04_contrastive_pretraining.
    """
    if anchors.shape != positives.shape or len(anchors) < 2:
        raise ValueError(
            f"expected two equal (batch >= 2, d) tensors, got {tuple(anchors.shape)} and {tuple(positives.shape)}"
        )
    logits = similarity(anchors, positives) / temperature  # (batch, batch)
    targets = torch.arange(len(logits), device=logits.device)
    loss = F.cross_entropy(logits, targets)
    return (loss + F.cross_entropy(logits.T, targets)) / 2 if symmetric else loss


def projection_head(d_model, d_projection, kind="prelu"):
    """The head g, dropped after pre-training.

    "prelu" is the published one (394,496 parameters at 512 -> 512 -> 256). "batchnorm" is ours: linear, batch norm;
    it takes away what all clips share, which is most of an untrained embedding. With W at the identity its vectors
    have a squared length of about d_projection, so a temperature of d_projection / 10 compares to a cosine similarity
    at 0.1. "mlp" is SimCLR's with a batch norm inside, for cosine similarities: linear to the width of the embedding,
    batch norm, ReLU, linear.

    Taught in: 04_contrastive_pretraining.
    """
    if kind == "prelu":
        return nn.Sequential(nn.Linear(d_model, d_model), nn.PReLU(d_model), nn.Linear(d_model, d_projection))
    if kind == "batchnorm":
        return nn.Sequential(nn.Linear(d_model, d_projection), nn.BatchNorm1d(d_projection))
    return nn.Sequential(
        nn.Linear(d_model, d_model), nn.BatchNorm1d(d_model), nn.ReLU(), nn.Linear(d_model, d_projection)
    )


class SegmentPairs(nn.Module):
    """AcousticSSM1: the views are two independent draws of stretch and crop from one recording.

    An objective: called with an encoder and a batch of recordings, it draws the views, sends both through the encoder
    as one batch and returns the loss. Its head g and matrix W are trained along and dropped afterwards.

    Args:
        encoder: only the length of its embeddings is used here.
        config: a ``Preset``.
    Taught in: 04_contrastive_pretraining.
    Source: paper section II, method 1.
    """

    def __init__(self, encoder, config):
        super().__init__()
        self.config = config
        self.head = projection_head(embedding_width(encoder), config.d_projection, config.projection)
        self.similarity = BilinearSimilarity(config.d_projection, config.bilinear_std, config.bilinear_diagonal)

    def views(self, clips, chosen, generator):
        """Waveforms of both views, the anchors first: (2 batch, n_samples)."""
        config = self.config
        return random_crops(clips, chosen.repeat(2), config.n_samples, config.max_stretch, generator)

    def forward(self, encoder, clips, chosen, generator):
        waveform = self.views(clips, chosen, generator).to(self.similarity.weight.device, non_blocking=True)
        anchors, positives = self.head(encoder.embed(waveform)).chunk(2)
        return contrastive_loss(anchors, positives, self.similarity, self.config.temperature, self.config.symmetric)


class AugmentedPairs(SegmentPairs):
    """AcousticSSM2: one crop of a recording, not stretched, and two draws of a chain of augmentations on it.

    Every augmentation acts on both views, in one random order per recording, with fresh parameters for each view.

    Taught in: 04_contrastive_pretraining.
    Source: paper section II, method 2; order and ranges from the authors' code.
    """

    augmentations = ("pitch_shift", "fade", "time_mask", "time_shift")

    def views(self, clips, chosen, generator):
        crop = random_crops(clips, chosen, self.config.n_samples, 1.0, generator)
        plans = draw_plans(len(chosen), self.augmentations, generator)
        return apply_plans(
            crop.repeat(2, 1), plans.repeat(2, 1), augmentations(self.augmentations, self.config), generator
        )


class NoisyPairs(AugmentedPairs):
    """AcousticSSM2 as the authors' code has it: white noise where the paper says time masking.

    Taught in: 04_contrastive_pretraining.
    """

    augmentations = ("pitch_shift", "fade", "white_noise", "time_shift")


@dataclass(frozen=True)
class Pretraining:
    """What a pre-training did: recordings used, steps, wall-clock seconds of this call, loss of every step.

    Taught in: 04_contrastive_pretraining.
    """

    clips: int
    steps: int
    seconds: float
    losses: list


def pretrain(
    encoder: Encoder,
    clips,
    pool,
    config: Preset,
    seed: int,
    *,
    objective=SegmentPairs,
    checkpoint=None,
    device=None,
    progress: bool = True,
    save_every_s: float | None = None,
) -> "Pretraining":
    """Pre-train ``encoder`` in place on unlabelled recordings.

    Every step draws ``pretrain_batch`` clips without replacement, and two views of each.

    Args:
        encoder: ``AcousticSSM`` or ``AdaptedCNN``.
        clips: a ``Clips`` bank.
        pool: indices of the unlabelled recordings to learn from.
        config: a ``Preset``.
        seed: of views, batches, dropout and head; the encoder's initial weights are the caller's.
        objective: class whose objects, made from (encoder, config), turn a batch of recordings into a loss:
            ``SegmentPairs``, ``AugmentedPairs`` or another with the same call.
        checkpoint: file to resume from, kept until the caller removes it.
    Returns:
        ``Pretraining``; ``encoder`` is left in eval mode.
    Raises:
        ValueError: fewer than two recordings in the pool.
    Taught in: 04_contrastive_pretraining.
    Source: paper section II; optimiser, schedule and head from the authors' code.
    """
    pool = torch.as_tensor(pool)
    if len(pool) < 2:
        raise ValueError(f"the pre-training pool has {len(pool)} clip(s); contrast needs at least 2")
    device = pick_device(device)
    encoder.to(device).train()
    clips = clips.to(device)
    with seeded(seed):
        objective = objective(encoder, config).to(device)
    generator = torch.Generator().manual_seed(seed)
    batch = min(config.pretrain_batch, len(pool))
    steps_per_epoch = math.ceil(len(pool) / batch)
    n_steps = config.pretrain_epochs * steps_per_epoch

    def step_loss(step):
        chosen = pool[torch.randperm(len(pool), generator=generator)[:batch]]
        return objective(encoder, clips, chosen, generator)

    model = nn.ModuleDict({"encoder": encoder, "objective": objective})
    started = time.monotonic()
    losses = train(
        step_loss,
        {"model": model},
        _optimiser(model, config),
        lambda step: cosine_factor(step, n_steps, steps_per_epoch, round(config.pretrain_warmup * n_steps)),
        n_steps,
        generator,
        seed,
        checkpoint=checkpoint,
        save_every_s=save_every_s,
        progress=progress,
        identity=_identity(model, clips, pool, config, seed) if checkpoint else None,
        label="pre-training",
    )
    encoder.eval()
    return Pretraining(len(pool), n_steps, time.monotonic() - started, losses)


def _optimiser(model, config):
    """AdamW with the authors' groups: state-space parameters learn slowly and do not decay."""
    rates = config.pretrain_lr, config.pretrain_weight_decay, min(0.001, config.pretrain_lr)
    return torch.optim.AdamW(parameter_groups(model, *rates, model["encoder"].special_parameters()), fused=True)


def _identity(model, clips, pool, config, seed):
    """What a checkpoint of a pre-training must share with one that goes on from it."""
    return {
        "task": "pretrain",
        **{part: type(module).__name__ for part, module in model.items()},  # encoder and objective
        "seed": seed,
        "pool": pool.tolist(),
        "settings": config.of_pretraining(),
        "clips": hashlib.sha256(clips.digests()[pool].tobytes()).hexdigest(),
    }
