"""Fine-tuning on a handful of labels, and its evaluation over support draws."""

import copy
import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from tqdm import tqdm

from acssm_lib.clips import even_crops, random_crops, random_stretch
from acssm_lib.encoder import embedding_width, parameter_groups, pick_device, summary
from acssm_lib.ensemble import changed_views
from acssm_lib.episodes import episode_seeds, shares_source
from acssm_lib.files import write_json
from acssm_lib.protocols import Split
from acssm_lib.training import cosine_factor, seeded, train


class Classifier(nn.Module):
    """Encoder, then the three-layer head of the authors' code (the paper says two layers).

    Shapes:
        spectrograms (batch, 3, n_mels, frames) -> logits (batch, n_way).
    Taught in: 05_few_shot_finetuning.
    """

    def __init__(self, encoder, n_way, head_width=128, head_dropout=0.1):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Sequential(
            nn.Linear(embedding_width(encoder), head_width), nn.Dropout(head_dropout), nn.ReLU(),
            nn.Linear(head_width, head_width), nn.Dropout(head_dropout), nn.ReLU(),
            nn.Linear(head_width, n_way))

    def forward(self, spectrograms):
        return self.head(summary(self.encoder, spectrograms))


def finetune(encoder, clips, indices, labels, config, seed, *, checkpoint=None, device=None, progress=True,
             save_every_s=None):
    """Train a classifier on the labelled clips; the whole network learns, batch norm in training mode.

    Every labelled clip gives ``finetune_crops`` crops. As published they are cut once (one stretch per
    clip, equally spaced); with ``finetune_redraw`` stretch and place are new in every epoch.

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
    clips.to(device)
    indices, labels = torch.as_tensor(indices), torch.as_tensor(labels, device=device)
    n_way = int(labels.max()) + 1
    with seeded(seed):
        classifier = Classifier(copy.deepcopy(encoder), n_way, config.head_width, config.head_dropout)
    classifier.to(device).train()
    generator = torch.Generator().manual_seed(seed)
    crops = config.finetune_crops
    targets = labels.repeat_interleave(crops)
    if not config.finetune_redraw:
        stretch = random_stretch(len(indices), config.finetune_stretch, generator)
        waveform = even_crops(clips, indices, config.n_samples, crops, stretch).flatten(0, 1)
        with torch.no_grad():
            fixed = torch.cat([classifier.encoder.front_end(part.to(device)) for part in waveform.split(64)])
    steps_per_epoch = math.ceil(len(targets) / config.finetune_batch)
    n_steps = config.finetune_epochs * steps_per_epoch
    order = None

    def step_loss(step):
        nonlocal order
        # A permutation per epoch, from its own seed so that a resumed run needs no memory of it.
        epoch, place = divmod(step, steps_per_epoch)
        if order is None or place == 0:
            order = torch.randperm(len(targets), generator=torch.Generator().manual_seed(1_000_003 * seed + epoch))
        chosen = order[place * config.finetune_batch:(place + 1) * config.finetune_batch]
        there = chosen.to(device, non_blocking=True)  # waiting would stop a GPU
        if config.finetune_redraw:
            waveform = random_crops(clips, indices[chosen // crops], config.n_samples, config.finetune_stretch,
                                    generator)
            spectrograms = classifier.encoder.front_end(waveform.to(device))
        else:
            spectrograms = fixed[there]
        return F.cross_entropy(classifier(spectrograms), targets[there])

    train(step_loss, {"classifier": classifier}, _optimiser(classifier, config),
          lambda step: cosine_factor(step, n_steps, steps_per_epoch), n_steps, generator, seed,
          checkpoint=checkpoint, save_every_s=save_every_s, progress=progress, label="fine-tuning",
          identity={"task": "finetune", "encoder": type(encoder).__name__, "seed": seed,
                    "support": indices.tolist(), "labels": labels.tolist(), "settings": config.as_dict()})
    return classifier.eval()


def _optimiser(classifier, config):
    encoder_lr = config.finetune_lr if config.finetune_encoder_lr is None else config.finetune_encoder_lr
    groups = parameter_groups(classifier.encoder, encoder_lr, config.finetune_weight_decay,
                              min(config.finetune_ssm_lr, encoder_lr), classifier.encoder.special_parameters())
    groups += parameter_groups(classifier.head, config.finetune_lr, config.finetune_weight_decay, config.finetune_lr)
    kind = {"sgd": torch.optim.SGD, "adamw": torch.optim.AdamW}[config.finetune_optimiser]
    return kind(groups, fused=True)  # one pass over all weights instead of a dozen


def shuffle_frames(features, generator):
    """Each crop's frames in a random order of its own; what a reader of single frames answers stays the same.

    Args:
        features: (batch, ..., frames), of a front end.
        generator: CPU ``torch.Generator``.
    Taught in: 06_ablation_comparison.
    Source: method section 11, rule 11.
    """
    order = torch.rand(len(features), features.shape[-1], generator=generator).argsort(1).to(features.device)
    order = order.view(len(features), *[1] * (features.dim() - 2), -1)
    return features.gather(-1, order.expand_as(features))


class CropFeatures:
    """What the front end makes of the test crops of a clip: computed when first asked for, then kept.

    The test crops of a clip never change and no front end learns, yet every support draw asks for nearly all of them,
    and for shuffled frames once more. A crop takes 23 KB at ``quick``, 92 KB at ``paper`` and about 100 KB as the
    waveform that wav2vec 2.0 and HuBERT read. When the kept crops outgrow ``most_mib``, all are dropped: memory stays
    bounded, and what is asked for again is computed again.

    Args:
        encoder: its ``front_end`` is used, on the device of its weights.
        clips: a ``Clips`` bank.
        config: a ``Preset``; ``n_samples`` and ``test_crops`` are used.
        most_mib: MiB to keep; 0 keeps nothing.
    Taught in: 05_few_shot_finetuning.
    """

    def __init__(self, encoder, clips, config, most_mib=512):
        self.front_end, self.device = encoder.front_end, next(encoder.parameters()).device
        self.clips, self.config, self.most = clips, config, most_mib * 2**20
        self.kept, self.size = {}, 0  # clip -> (test_crops, ...); bytes

    @torch.no_grad()
    def __call__(self, indices):
        """Features of all test crops of some clips, int64 (clips,) -> (clips * test_crops, ...)."""
        new = [index for index in dict.fromkeys(indices.tolist()) if index not in self.kept]
        if new:
            made = self._of_crops(new) if self.config.test_crops else [self._of_whole(index) for index in new]
            self.kept.update(zip(new, made))
            self.size += sum(features.nbytes for features in made)
        found = torch.cat([self.kept[index] for index in indices.tolist()])
        if self.size > self.most:
            self.kept, self.size = {}, 0
        return found

    def _of_crops(self, indices):
        """(clips, test_crops, ...)"""
        waveform = even_crops(self.clips, torch.tensor(indices), self.config.n_samples, self.config.test_crops)
        made = self.front_end(waveform.flatten(0, 1).to(self.device))
        return made.unflatten(0, (len(indices), self.config.test_crops))

    def _of_whole(self, index):
        """(1, ...): as many frames as the clip has; one that is shorter than a frame is padded to it."""
        waveform = self.clips.waveform(index)[None]
        missing = max(0, self.config.n_fft - waveform.shape[1])
        return self.front_end(F.pad(waveform, (0, missing)).to(self.device))


@torch.no_grad()
def embed(encoder, clips, indices, config, shuffle_seed=None, features=None):
    """Clip embeddings, averaged over ``test_crops`` equally spaced crops (1: the centre, 0: whole clips).

    Args:
        shuffle_seed: int to shuffle the frames of every crop in time, None to leave them.
        features: ``CropFeatures`` that were kept, None to compute them for this call.
    Returns:
        embedding: float32 on the CPU, (clips, d_model).
    Taught in: 05_few_shot_finetuning.
    """
    features = features or CropFeatures(encoder, clips, config, most_mib=0)
    return _over_test_crops(encoder.eval(), lambda crops: summary(encoder, crops), features, indices, config,
                            shuffle_seed)


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
    return _over_test_crops(classifier.eval(), lambda crops: classifier(crops).softmax(1), features, indices, config,
                            shuffle_seed)


def _over_test_crops(module, function, features, indices, config, shuffle_seed):
    """Mean of ``function`` (features -> (batch, d)) of ``module`` over the test crops of each clip, and their views."""
    device, parts = next(module.parameters()).device, []
    generator = None if shuffle_seed is None else torch.Generator().manual_seed(shuffle_seed)
    n_crops = max(1, config.test_crops)
    at_once = max(1, 64 // n_crops) if config.test_crops else 1  # whole clips differ in length
    for some in torch.as_tensor(indices).split(at_once):
        crops = features(some).to(device)  # (clips * n_crops, ...)
        answers = [function(view if generator is None else shuffle_frames(view, generator))
                   for view in changed_views(crops, features.front_end, config)]
        parts.append(torch.stack(answers).mean(0).unflatten(0, (len(some), n_crops)).mean(1))
    return torch.cat(parts).cpu()


class FineTuning:
    """An encoder as a learner for ``evaluate``: fits by fine-tuning a copy of it.

    Args:
        features: ``CropFeatures`` of this encoder to share with others; None for some of its own. They serve all
            support draws.
    Taught in: 05_few_shot_finetuning.
    """

    def __init__(self, encoder, clips, config, *, features=None, device=None, progress=True):
        self.encoder, self.clips, self.config = encoder, clips, config
        self.features = features or CropFeatures(encoder, clips, config)
        self.device, self.progress = device, progress

    def fit(self, indices, labels, seed, checkpoint=None):
        self.classifier = finetune(self.encoder, self.clips, indices, labels, self.config, seed,
                                   checkpoint=checkpoint, device=self.device, progress=self.progress)
        return self

    def predict(self, indices, shuffle_seed=None):
        return predict(self.classifier, self.clips, indices, self.config, shuffle_seed, self.features).numpy()


def evaluate(learner, labels, sources, names, config, seed, *, split=None, shuffled=False, checkpoint=None,
             progress=True):
    """Accuracy of a learner over the support draws of one run.

    Args:
        learner: has ``fit(indices, labels, seed, checkpoint=None)`` and ``predict(indices)`` -> (clips, n_way).
        labels: 0 ... n_way - 1, (clips,); negative for clips that take no part.
        sources: recording of each clip, None where unknown.
        names: of each clip, for the record.
        config: a ``Preset``; ``n_shot`` and ``n_episodes`` are used.
        seed: of the run; the draws are ``episode_seeds(seed, n_episodes)``, the same for every method.
        split: a ``Split``, which says what may be labelled and what is asked; None: all clips of the group.
        shuffled: ask every query a second time with its frames in random order, by
            ``learner.predict(indices, shuffle_seed=...)``.
        checkpoint: folder in which finished draws are kept; a killed evaluation resumes with the next one.
    Returns:
        list of dictionaries, one per draw: seed, accuracy, n_query, accuracy_unshared_sources (None when every
        query shares one), n_query_unshared_sources, support (clip names), confusion (n_way, n_way), seconds; with
        ``shuffled`` also a dictionary of that name with the two accuracies.
    Taught in: 05_few_shot_finetuning.
    Source: paper section III; several draws, unshared sources and the shuffled frames are ours.
    """
    labels = np.asarray(labels)
    n_way = int(labels.max()) + 1
    everyone = Split(pool=np.arange(len(labels)), support=np.flatnonzero(labels >= 0))
    results = []
    draws = episode_seeds(seed, config.n_episodes)
    for draw in tqdm(draws, desc="support draws", disable=not progress, file=sys.stdout):
        file = Path(checkpoint) / f"draw{draw}.json" if checkpoint else None
        if file and file.exists():
            results.append(json.loads(file.read_text(encoding="utf-8")))
            continue
        started = time.monotonic()
        episode = (split or everyone).episode(labels, n_way, config.n_shot, draw)
        learner.fit(episode.support, labels[episode.support], draw,
                    checkpoint=file.with_suffix(".ckpt") if file else None)
        predicted = learner.predict(episode.query).argmax(1)
        results.append(_score(predicted, episode, labels, sources, n_way) | {
            "seed": draw, "support": [names[index] for index in episode.support],
            "seconds": time.monotonic() - started})
        if shuffled:
            predicted = learner.predict(episode.query, shuffle_seed=draw).argmax(1)
            score = _score(predicted, episode, labels, sources, n_way)
            results[-1]["shuffled"] = {key: score[key] for key in ("accuracy", "accuracy_unshared_sources")}
        if file:
            write_json(file, results[-1])
            file.with_suffix(".ckpt").unlink(missing_ok=True)
    return results


def _score(predicted, episode, labels, sources, n_way):
    right = predicted == labels[episode.query]
    unshared = ~shares_source(episode.query, episode.support, sources)
    confusion = np.zeros((n_way, n_way), dtype=int)  # rows: truth
    np.add.at(confusion, (labels[episode.query], predicted), 1)
    return {"accuracy": float(right.mean()), "n_query": len(right),
            "accuracy_unshared_sources": float(right[unshared].mean()) if unshared.any() else None,
            "n_query_unshared_sources": int(unshared.sum()), "confusion": confusion.tolist()}
