"""Clips to embeddings with a frozen encoder: test crops, their views, and frames shuffled in time."""

import torch
from torch.nn import functional as F

from acssm_lib.data.clips import even_crops
from acssm_lib.model.base import summary
from acssm_lib.model.features import SpectrogramStack
from acssm_lib.pretraining.spectrogram_changes import moved_bands
from acssm_lib.training import device_of


class CropFeatures:
    """What the front end makes of the test crops of a clip: computed when first asked for, then kept.

    The test crops of a clip never change and no front end learns, yet every support draw asks for nearly all of them,
    and for shuffled frames once more. A crop takes 92 KB at ``paper``, a clip of 5 s 50 KB at ``best``, and a crop
    about 100 KB as the waveform that wav2vec 2.0 and HuBERT read. When the kept crops outgrow ``most_mib``, all are
    dropped: memory stays bounded, and what is asked for again is computed again.

    Args:
        encoder: its ``front_end`` is used, on the device of its weights.
        clips: a ``Clips`` bank.
        config: a ``Preset``; ``n_samples`` and ``test_crops`` are used.
        most_mib: MiB to keep; 0 keeps nothing.
    Taught in: 05_few_shot_finetuning.
    """

    def __init__(self, encoder, clips, config, most_mib=512):
        self.front_end, self.device = encoder.front_end, device_of(encoder)
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
    return over_test_crops(
        encoder.eval(), lambda crops: summary(encoder, crops), features, indices, config, shuffle_seed
    )


_TOGETHER = 64  # crops at once
_LONG = 2**22  # samples of whole clips at once, three and a half minutes


def over_test_crops(module, function, features, indices, config, shuffle_seed):
    """Mean of ``function`` (features -> (batch, d)) of ``module`` over the test crops of each clip, and their views."""
    device, parts = device_of(module), []
    generator = None if shuffle_seed is None else torch.Generator().manual_seed(shuffle_seed)
    n_crops = max(1, config.test_crops)
    for some in _portions(torch.as_tensor(indices), features.clips.lengths, config.test_crops):
        alike = [some] if config.test_crops else some.split(1)  # whole clips differ in length
        seen = [
            view if generator is None else shuffle_frames(view, generator)
            for one in alike
            for view in changed_views(features(one).to(device), features.front_end, config)
        ]
        answers = torch.stack(_by_shape(function, seen)).unflatten(0, (len(alike), -1)).mean(1)  # over the views
        parts.append(answers.reshape(len(some), n_crops, -1).mean(1))
    return torch.cat(parts).cpu()


def _portions(indices, lengths, n_crops):
    """Clips that are held in memory at once, all their views: 64 crops, or as many whole clips as are not too long."""
    if n_crops:
        return indices.split(max(1, _TOGETHER // n_crops))
    number = (lengths[indices].clamp_max(_LONG).cumsum(0) // _LONG).tolist()
    return indices.split([number.count(one) for one in dict.fromkeys(number)])


def _by_shape(function, batches):
    """``function`` of every batch, those of one shape side by side: a batch costs little more than a clip alone."""
    places, answers = {}, [None] * len(batches)
    for place, batch in enumerate(batches):
        places.setdefault(batch.shape, []).append(place)
    for shape, alike in places.items():
        at_once = min(_TOGETHER // shape[0], 2**14 // (shape[0] * shape[-1]))  # few of long clips
        for some in torch.tensor(alike).split(max(1, at_once)):
            together = function(torch.cat([batches[place] for place in some])).split(shape[0])
            for place, answer in zip(some.tolist(), together, strict=True):
                answers[place] = answer
    return answers


# (pitch, tempo) as shares of the largest changes that pre-training draws: of mel_shift up, of log max_stretch faster
CHANGES = ((0, 0), (-0.5, 0), (0.5, 0), (0, -0.75), (0, 0.75), (-0.5, -0.5), (0.5, 0.5))


def changed_views(spectrograms, front_end, config):
    """The same clips as they are, then a little higher, lower, slower and faster: ``config.test_views`` in all.

    Args:
        spectrograms: (batch, 1, n_mels, frames), from ``front_end``, in dB: a band takes on the level of its
            neighbour, too, as in the views of the pre-training. What an embedder's front end makes is left as it is.
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
    for pitch, tempo in CHANGES[1 : config.test_views]:
        level = spectrograms[:, 0]  # (batch, n_mels, frames), dB
        level = moved_bands(level, torch.full((len(level),), -pitch * config.mel_shift).to(level))
        frames = max(1, round(level.shape[2] / config.max_stretch**tempo))
        level = F.interpolate(level, frames, mode="linear", align_corners=True)
        yield level[:, None]
