"""Clips from elsewhere as first examples: one window each, in the survey's folder ``examples/CLASS/``.

A clip can be put there by hand too; nothing else keeps it. It trains the head of its class and leads the order
"similar", and says nothing of the other classes. It is of no site and night of the survey, so that no accuracy is ever
of it.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch

from acssm_lib.data.audio import rounded
from acssm_lib.data.folders import audio_below
from acssm_lib.data.layouts import Scan
from acssm_lib.files import DataError, write_atomically
from acssm_lib.recordings.labels import OPEN, YES
from acssm_lib.recordings.windows import Source, in_band
from acssm_lib.text import safe_name

FOLDER = "examples"
LONGEST_S = 60.0  # of a clip of which nobody says where the call is
_STEPS = 8  # places within a window's length at which the loudest is looked for


@dataclass(frozen=True)
class Examples:
    """All of a survey.

    Attributes:
        embeddings: float32 (clips, d). wanted: int8 (clips, classes) of YES and OPEN, as ``labels.targets``.
    """

    embeddings: np.ndarray
    wanted: np.ndarray

    def added_to(self, embeddings, wanted):
        """Answered windows (n, d) and (n, classes) with the clips behind them."""
        return np.concatenate([embeddings, self.embeddings]), np.concatenate([wanted, self.wanted])

    @property
    def counts(self):
        """Clips of each class."""
        return (self.wanted == YES).sum(0)


def add_clip(survey, name, path, span=None):
    """Keep a window of a clip as an example of a class; the same clip twice is one.

    Args:
        name: of the class. path: of the clip, anywhere. span: (start, end) of the call in it, s; None: the loudest
            window.
    Returns:
        Path of what is kept.
    Raises:
        DataError: a clip that cannot be used, or a span that is not in it.
    """
    settings, path = survey.settings, Path(path)
    samples = rounded(window_of(path, settings, span))
    digest = hashlib.sha256(samples.tobytes()).hexdigest()[:8]
    place = survey.folder / FOLDER / safe_name(name) / f"{safe_name(path.stem)}-{digest}.wav"
    place.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(place, lambda part: soundfile.write(part, samples, settings.sample_rate, "PCM_16", format="WAV"))
    return place


def window_of(path, settings, span=None):
    """The window of a clip that holds its call, at the survey's rate: float32 tensor (window,).

    A clip that is shorter than a window has zeros behind it. About a shorter call the clip is heard on both sides.

    Args:
        settings: a ``SurveySettings``. span: (start, end) of the call, s; None: anywhere.
    Raises:
        DataError: see ``add_clip``.
    """
    recording, source = Source.of(path, settings)
    held_hz, rate = source.sample_rate / 2, settings.sample_rate
    if held_hz < 0.99 * settings.top_hz:
        raise DataError(
            f"{path}: holds sound up to {held_hz / 1000:g} kHz, and this survey listens up to "
            f"{settings.top_hz / 1000:g} kHz, so that it would resemble nothing there; take a clip of a "
            "higher sample rate"
        )
    if span is None and source.duration_s > LONGEST_S:
        raise DataError(
            f"{path}: {source.duration_s:.0f} s long; say where in it the call is, as in {Path(path).name}@12.5-15"
        )
    begin, end = (0.0, source.duration_s) if span is None else span
    if not 0 <= begin < end <= source.duration_s + 0.01:
        raise DataError(f"{path}: a call from {begin:g} to {end:g} s; the clip is {source.duration_s:.2f} s long")
    last = max(source.length - source.window, 0)
    first = min(max(round((begin + end) / 2 * rate) - source.window // 2, 0), last)
    if end - begin <= settings.window_s:
        return source.read(path, first, recording)
    step = max(1, source.window // _STEPS)
    places = np.arange(round(begin * rate), min(round(end * rate) - source.window, last) + 1, step)
    heard = torch.stack([source.read(path, int(start), recording) for start in places])
    loud = in_band(heard - heard.mean(1, keepdim=True), settings.low_hz, settings.top_hz, rate).square().mean(1)
    return heard[int(loud.argmax())]


def examples_of(survey, index):
    """Every clip in the survey's ``examples``, embedded by the encoder of its index.

    Returns:
        ``Examples``, of zero clips where there are none.
    Raises:
        DataError: a folder of no class, or a clip that cannot be used; the message names it.
    """
    heard, wanted = heard_examples(survey)
    if not len(heard):
        return Examples(np.zeros((0, index.embeddings.shape[1]), np.float32), wanted)
    return Examples(np.asarray(index.encoder("cpu")(heard)), wanted)


def heard_examples(survey):
    """The same as sound: float32 tensor (clips, window), and what they are, as in ``Examples``."""
    classes, found = survey.settings.classes, []
    root = survey.folder / FOLDER
    names = {safe_name(name): k for k, name in enumerate(classes)} | {name: k for k, name in enumerate(classes)}
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        clips = sorted(audio_below(folder, folder, Scan()).audio) if folder.is_dir() else ()
        if clips and folder.name not in names:
            raise DataError(
                f"{folder}: {folder.name!r} is no class of {survey.folder / 'survey.toml'} "
                f"({', '.join(classes) or 'none yet'}); rename the folder, or take it away"
            )
        found += [(names[folder.name], window_of(path, survey.settings)) for _, path in clips]
    wanted = np.full((len(found), len(classes)), OPEN, dtype=np.int8)
    if not found:
        return torch.zeros(0, round(survey.settings.window_s * survey.settings.sample_rate)), wanted
    wanted[np.arange(len(found)), [k for k, _ in found]] = YES
    return torch.stack([heard for _, heard in found]), wanted
