"""Fine-tuning the encoder of a survey on its answers, the second half of the paper's recipe: ``train --finetune``.

The encoder and one logistic output per class learn together, from where the frozen encoder and its heads stand: from
answered windows, clips from elsewhere, and a draw of windows that nobody has heard as background (see ``heads``). Then
every window is embedded anew, into a twin of the index. The frozen one stays: removing the folder of the twin goes back
to it, and every fine-tuning begins with it, so that same answers give the same encoder.

What the result is worth across sites and nights is measured by fine-tuning once more for each part that is left out;
heads on embeddings that have heard the answers of all nights would flatter themselves.
"""

import copy
import dataclasses
import math
import shutil

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from acssm_lib.files import DataError, settle
from acssm_lib.model.base import summary
from acssm_lib.names import EMBEDDER_NAMES
from acssm_lib.recordings import heads
from acssm_lib.recordings.card import files_of
from acssm_lib.recordings.embedding import embed_files, locked
from acssm_lib.recordings.examples import heard_examples
from acssm_lib.recordings.index import Index
from acssm_lib.recordings.labels import NO, OPEN, YES
from acssm_lib.text import many, quoted
from acssm_lib.training import cosine_factor, device_of, load_state, parameter_groups, save_state, train

EPOCHS, BATCH = 10, 32
LR, SPECIAL_LR, WEIGHT_DECAY = 1e-3, 1e-3, 1e-3  # AdamW; the second for the state-space parameters
_AT_ONCE = 64  # windows


@dataclasses.dataclass(frozen=True)
class Lesson:
    """Windows to learn from.

    Attributes:
        spectrograms: (n, channels, n_mels, frames).
        wanted: int8 (n, classes), YES and NO; others take no part.
        weight: float32 (n,).
        nights: (n,), site-nights; -1 for clips from elsewhere.
        places: (n,), in the index; -1 for clips from elsewhere.
    """

    spectrograms: torch.Tensor
    wanted: np.ndarray
    weight: np.ndarray
    nights: np.ndarray
    places: np.ndarray

    def part(self, chosen):
        """The windows of a mask (n,)."""
        values = (getattr(self, field.name) for field in dataclasses.fields(self))
        return Lesson(*(value[torch.from_numpy(chosen) if torch.is_tensor(value) else chosen] for value in values))

    @property
    def heard(self):
        """Which of them somebody has heard: (n,) bool."""
        return self.weight == 1


def frozen_index(survey):
    """The index of a survey whose encoder has heard no answer, for heads alone.

    Raises:
        DataError: the survey has been fine-tuned.
    """
    if survey.tuned_folder.is_dir():
        raise DataError(
            f"{survey.tuned_folder}: the encoder of this survey was fine-tuned on its answers; acssm survey train "
            f"{quoted(survey.folder)} --finetune does it again with those of today, or remove that folder to go back "
            "to the encoder as it was before"
        )
    return Index.open(survey)


def finetune(survey, device=None, tell=print):
    """Fine-tune the encoder of a survey, embed every window by it, and train its heads.

    Returns:
        ``Heads``, of the new index, which ``Index.open`` finds from now on.
    Raises:
        DataError: no index, no yes. ValueError: an encoder without weights of its own that could learn.
    """
    with locked(survey.index_folder):
        index = Index.at(survey.index_folder, survey.recordings)
        encoder = index.encoder(device)
        if encoder.module is None or encoder.method in EMBEDDER_NAMES:
            raise ValueError(
                f"{survey.index_folder}: its encoder is {encoder.method}, which is used as published; --finetune "
                "needs one of the project's own, as acoustic-ssm1"
            )
        before, lesson = heads.train(survey, index), lesson_of(survey, index, encoder)
        tell("as pre-trained:\n  " + "\n  ".join(heads.in_words(before)))
        tell(f"fine-tuning on {many(int(lesson.heard.sum()), 'window')} that somebody has heard")
        made, judged = tuned(encoder, lesson), np.full((len(index), lesson.wanted.shape[1]), np.nan)
        inside = lesson.places >= 0
        judged[lesson.places[inside]] = across_nights(encoder, lesson, tell)[inside]
        _embed(survey, made, tell)
    tell("fine-tuned:")
    return heads.train(survey, Index.open(survey), judged)


def lesson_of(survey, index, encoder):
    """What a survey has to learn from: see the top."""
    wanted = heads.answers(survey, index)
    asked, others = np.flatnonzero((wanted != OPEN).any(1)), heads.unheard(wanted)
    clips, said = heard_examples(survey)
    parts = [*map(index.waveform, asked), *clips, *map(index.waveform, others)]
    at_once = [torch.stack(parts[k : k + _AT_ONCE]) for k in range(0, len(parts), _AT_ONCE)]
    places = np.concatenate([asked, np.full(len(clips), -1), others])
    return Lesson(
        torch.cat([encoder.spectrograms(some) for some in at_once]),
        np.concatenate([wanted[asked], said, np.full((len(others), wanted.shape[1]), NO, np.int8)]),
        np.repeat(np.float32([1, heads.UNHEARD_WEIGHT]), [len(asked) + len(clips), len(others)]),
        np.where(places < 0, -1, np.asarray(index.site_nights)[places]),
        places,
    )


def tuned(encoder, lesson, seed=0):
    """A copy of a WindowEncoder that has learned from a ``Lesson``; in eval mode.

    As in ``fewshot.finetuning``, the outputs begin as the heads on the frozen encoder, and batch norm keeps its
    statistics: so few windows have none of their own.
    """
    module = copy.deepcopy(encoder.module).train()
    for norm in module.modules():
        if isinstance(norm, nn.modules.batchnorm._BatchNorm):
            norm.eval()
    device, embeddings = device_of(module), _embedded(encoder, lesson.spectrograms)
    first = _heads(embeddings, lesson, np.ones(len(lesson.weight), bool))
    mean, scale = (torch.from_numpy(value).to(device) for value in (first.mean, first.scale))
    output = nn.Linear(*first.weight.T.shape).to(device)
    with torch.no_grad():
        output.weight.copy_(torch.from_numpy(first.weight))
        output.bias.copy_(torch.from_numpy(first.bias))
    right = torch.from_numpy(lesson.wanted == YES).float().to(device)
    told = (
        torch.from_numpy(((lesson.wanted == YES) | (lesson.wanted == NO)) * lesson.weight[:, None]).float().to(device)
    )
    generator, steps = torch.Generator().manual_seed(seed), math.ceil(len(told) / BATCH)
    order = torch.randperm(len(told), generator=generator)

    def step_loss(step):
        nonlocal order
        place = step % steps
        if place == 0:
            order = torch.randperm(len(told), generator=generator)
        rows = order[place * BATCH : (place + 1) * BATCH].to(device)
        logits = output((summary(module, lesson.spectrograms[rows]) - mean) / scale)
        losses = F.binary_cross_entropy_with_logits(logits, right[rows], reduction="none") * told[rows]
        return losses.sum() / told[rows].sum().clamp(min=1)

    both = nn.ModuleDict({"encoder": module, "output": output})
    groups = parameter_groups(both, LR, WEIGHT_DECAY, SPECIAL_LR, module.special_parameters())
    factor = lambda step: cosine_factor(step, EPOCHS * steps, steps)
    optimiser = torch.optim.AdamW(groups)
    train(step_loss, {"both": both}, optimiser, factor, EPOCHS * steps, generator, seed, progress=False)
    return dataclasses.replace(encoder, module=module.eval())


def across_nights(encoder, lesson, tell=lambda line: None):
    """Scores of a lesson's windows by an encoder and heads that heard nothing of their site and night.

    Returns:
        (n, classes), NaN for windows that nobody heard, and for clips from elsewhere.
    """
    asked = lesson.heard & (lesson.nights >= 0)
    scores = np.full(lesson.wanted.shape, np.nan)
    if not asked.any():
        return scores
    folds = heads.folds_of(lesson.nights[asked])
    for fold in range(folds.max() + 1):
        out = (lesson.nights >= 0) & np.isin(lesson.nights, np.flatnonzero(folds == fold))
        known = ((lesson.wanted == YES) & (~out & lesson.heard)[:, None]).any(0)  # a class without a yes has no head
        if not known.any():
            continue
        tell(f"  once more without part {fold + 1} of {folds.max() + 1} of the nights, to judge it")
        made = tuned(encoder, lesson.part(~out))
        embeddings = _embedded(made, lesson.spectrograms)
        learned = _heads(embeddings, lesson, ~out)
        some = out & asked
        scores[some] = np.where(known, learned.scores(embeddings[some]), np.nan)
    return scores


def _heads(embeddings, lesson, chosen):
    """Heads on some of a lesson's windows."""
    classes = [str(k) for k in range(lesson.wanted.shape[1])]
    told, rest = chosen & lesson.heard, chosen & ~lesson.heard
    return heads.fit(
        embeddings[told], lesson.wanted[told], classes, *heads.moments(embeddings[chosen]), embeddings[rest]
    )


def _embedded(encoder, spectrograms):
    return np.concatenate([encoder.of(some) for some in spectrograms.split(_AT_ONCE)])


def _embed(survey, encoder, tell):
    """Every window by the fine-tuned encoder; the twin of before stays until the new one is whole."""
    folder, part = survey.tuned_folder, survey.index_folder / "finetuned.part"
    if folder.is_dir() and load_state(folder / "encoder.pt")["digest"] == encoder.digest:
        part = folder  # same answers: it goes on with what came since
    elif (part / "encoder.pt").is_file() and load_state(part / "encoder.pt")["digest"] != encoder.digest:
        shutil.rmtree(part)
    part.mkdir(exist_ok=True)
    save_state(part / "encoder.pt", encoder.state())
    files, _, _ = files_of(survey.recordings, survey.settings.time_zone)
    embed_files(part, survey.recordings, files, survey.settings, encoder, tell)
    if part != folder:
        shutil.rmtree(folder, ignore_errors=True)
        settle(part, folder)
