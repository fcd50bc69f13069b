"""Fine-tuning on a handful of labels, and its evaluation over support draws."""

import copy
import functools
import hashlib
import math

import torch
from torch import nn
from torch.nn import functional as F

from acssm_lib.data.clips import even_crops, random_stretch
from acssm_lib.fewshot.embedding import CropFeatures, embed, over_test_crops
from acssm_lib.fewshot.readout import LinearHead
from acssm_lib.model.base import Encoder, embedding_width, summary
from acssm_lib.presets import Preset
from acssm_lib.training import cosine_factor, parameter_groups, pick_device, seeded, train, weights_digest


class Classifier(nn.Module):
    """Encoder, then a head: "mlp", the three layers of the authors' code (the paper says two), or "logistic", one.

    Shapes:
        spectrograms (batch, 3, n_mels, frames) -> logits (batch, n_way).
    Taught in: 05_few_shot_finetuning.
    """

    def __init__(self, encoder, n_way, head_width=128, head_dropout=0.1, head="mlp"):
        super().__init__()
        self.encoder = encoder
        self.head = (
            LinearHead(embedding_width(encoder), n_way)
            if head == "logistic"
            else nn.Sequential(
                nn.Linear(embedding_width(encoder), head_width),
                nn.Dropout(head_dropout),
                nn.ReLU(),
                nn.Linear(head_width, head_width),
                nn.Dropout(head_dropout),
                nn.ReLU(),
                nn.Linear(head_width, n_way),
            )
        )

    def forward(self, spectrograms):
        return self.head(summary(self.encoder, spectrograms))


def finetune(
    encoder: Encoder,
    clips,
    indices,
    labels,
    config: Preset,
    seed: int,
    *,
    checkpoint=None,
    device=None,
    progress: bool = True,
    save_every_s: float | None = None,
) -> Classifier:
    """Train a classifier on the labelled clips; the whole network learns, batch norm in training mode.

    Every labelled clip gives ``finetune_crops`` crops, cut once as published: one stretch per clip, equally spaced.
    With ``finetune_head="logistic"`` it starts as the logistic regression on the frozen encoder, so that what the
    encoder learned is not undone while a random head finds its way (Kumar et al. 2022), and batch norm keeps the
    statistics that this regression was made with.

    Args:
        encoder: left as it is; the classifier holds a copy.
        clips: a ``Clips`` bank.
        indices: labelled clips, (n_way * n_shot,).
        labels: their classes as 0 ... n_way - 1.
        config: a ``Preset``.
        seed: of head, crops, batches and dropout.
        checkpoint: file to resume from.
    Returns:
        ``Classifier`` of the last epoch, in eval mode; no label is spent on choosing an epoch.
    Taught in: 05_few_shot_finetuning.
    Source: paper section III; head, schedule and crops from the authors' code.
    """
    device = pick_device(device)
    clips = clips.to(device)
    indices, labels = torch.as_tensor(indices), torch.as_tensor(labels, device=device)
    classifier = _at_the_start(encoder, clips, indices, labels, config, seed).to(device)
    identity = _identity(encoder, clips, indices, labels, config, seed) if checkpoint else None
    generator = torch.Generator().manual_seed(seed)
    targets = labels.repeat_interleave(config.finetune_crops)
    spectrograms = _training_crops(classifier.encoder.front_end, clips, indices, config, generator, device)
    steps_per_epoch = math.ceil(len(targets) / config.finetune_batch)
    n_steps = config.finetune_epochs * steps_per_epoch

    @functools.lru_cache(1)
    def order(epoch):  # from a seed of its own, so that a resumed run needs no memory of it
        return torch.randperm(len(targets), generator=torch.Generator().manual_seed(1_000_003 * seed + epoch))

    def step_loss(step):
        epoch, place = divmod(step, steps_per_epoch)
        chosen = order(epoch)[place * config.finetune_batch : (place + 1) * config.finetune_batch]
        there = chosen.to(device, non_blocking=True)  # waiting would stop a GPU
        return F.cross_entropy(classifier(spectrograms[there]), targets[there])

    train(
        step_loss,
        {"classifier": classifier},
        _optimiser(classifier, config),
        lambda step: cosine_factor(step, n_steps, steps_per_epoch),
        n_steps,
        generator,
        seed,
        checkpoint=checkpoint,
        save_every_s=save_every_s,
        progress=progress,
        label="fine-tuning",
        identity=identity,
    )
    return classifier.eval()


def _at_the_start(encoder, clips, indices, labels, config, seed):
    """A classifier on a copy of the encoder, in training mode as its head asks for."""
    with seeded(seed):
        classifier = Classifier(
            copy.deepcopy(encoder), int(labels.max()) + 1, config.head_width, config.head_dropout, config.finetune_head
        )
    classifier.train()
    if config.finetune_head == "logistic":
        classifier.head.fit(embed(encoder, clips, indices, config), labels.cpu(), config.logistic_C)
        for norm in classifier.modules():
            if isinstance(norm, nn.modules.batchnorm._BatchNorm):
                norm.eval()
    return classifier


@torch.no_grad()
def _training_crops(front_end, clips, indices, config, generator, device):
    """What the front end makes of the crops of each labelled clip: (clips * finetune_crops, ...), clip by clip."""
    stretch = random_stretch(len(indices), config.finetune_stretch, generator)
    waveform = even_crops(clips, indices, config.n_samples, config.finetune_crops, stretch).flatten(0, 1)
    return torch.cat([front_end(part.to(device)) for part in waveform.split(64)])


def _identity(encoder, clips, indices, labels, config, seed):
    """What the result of a fine-tuning follows from, for its checkpoint."""
    return {
        "task": "finetune",
        "encoder": type(encoder).__name__,
        "weights": weights_digest(encoder),
        "seed": seed,
        "clips": hashlib.sha256(clips.digests()[indices].tobytes()).hexdigest(),
        "support": indices.tolist(),
        "labels": labels.tolist(),
        "settings": config.as_dict(),
    }


def _optimiser(classifier, config):
    encoder_lr = config.finetune_lr if config.finetune_encoder_lr is None else config.finetune_encoder_lr
    groups = parameter_groups(
        classifier.encoder,
        encoder_lr,
        config.finetune_weight_decay,
        min(config.finetune_ssm_lr, encoder_lr),
        classifier.encoder.special_parameters(),
    )
    groups += parameter_groups(classifier.head, config.finetune_lr, config.finetune_weight_decay, config.finetune_lr)
    kind = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[config.finetune_optimiser]
    return kind(groups, fused=True)  # one pass over all weights instead of a dozen


@torch.no_grad()
def predict(classifier, clips, indices, config, shuffle_seed=None, features=None):
    """Class probabilities of clips, averaged over ``test_crops`` equally spaced crops (1: the centre, 0: whole clips).

    Args:
        shuffle_seed: int to shuffle the frames of every crop in time, None to leave them.
        features: ``CropFeatures`` that were kept, None to compute them for this call.
    Returns:
        probabilities: float32 on the CPU, (clips, n_way).
    Taught in: 05_few_shot_finetuning.
    """
    features = features or CropFeatures(classifier.encoder, clips, config, most_mib=0)
    return over_test_crops(
        classifier.eval(), lambda crops: classifier(crops).softmax(1), features, indices, config, shuffle_seed
    )


class FineTuning:
    """An encoder as a learner for ``evaluate``: fits by fine-tuning a copy of it.

    Args:
        features: ``CropFeatures`` of this encoder to share with others; None for some of its own. They serve all
            support draws.
    Taught in: 05_few_shot_finetuning.
    """

    def __init__(self, encoder, clips, config, *, features=None, device=None, progress=True):
        self.encoder, self.config, self.device, self.progress = encoder, config, device, progress
        self.clips = clips.to(pick_device(device))  # once for all draws
        self.features = features or CropFeatures(encoder, clips, config)

    def fit(self, indices, labels, seed, checkpoint=None):
        self.classifier = finetune(
            self.encoder,
            self.clips,
            indices,
            labels,
            self.config,
            seed,
            checkpoint=checkpoint,
            device=self.device,
            progress=self.progress,
        )
        return self

    def predict(self, indices, shuffle_seed=None):
        return predict(self.classifier, self.clips, indices, self.config, shuffle_seed, self.features).numpy()
