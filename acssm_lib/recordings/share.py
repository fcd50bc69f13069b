"""One file to share: encoder, heads, classes, band, thresholds with their evidence; tensors and plain values only."""

import json
from dataclasses import dataclass

import numpy as np
import torch

from acssm_lib.files import DamagedFile, DataError
from acssm_lib.recordings.encoders import WindowEncoder
from acssm_lib.recordings.folder import SurveySettings
from acssm_lib.recordings.heads import Heads
from acssm_lib.recordings.index import Index
from acssm_lib.training import load_state, save_state

_KIND, _FORMAT = "acssm recogniser", 1  # raise the format when older programs could not read it right
_ARRAYS = ("weight", "bias", "mean", "scale")


@dataclass(frozen=True)
class Recogniser:
    """What a shared file holds.

    Attributes:
        encoder: WindowEncoder. settings: SurveySettings of the survey it was trained on. heads: Heads.
        needed_hz: sound up to here was in every recording it was trained on; a recording without is refused.
    """

    encoder: WindowEncoder
    settings: SurveySettings
    heads: Heads
    needed_hz: float

    def check(self, settings, place):
        """Refuses another survey's settings in words.

        Args:
            settings: SurveySettings of the survey at ``place``.
        Raises:
            DataError: windows, rate or band are others.
        """
        ours, theirs = self.settings.of_windows(), settings.of_windows()
        words = {
            "window_s": "windows of {} s",
            "step_s": "a step of {} s",
            "sample_rate": "{} Hz as sample rate",
            "low_hz": "a band from {} Hz",
            "top_hz": "a band up to {} Hz",
        }
        other = [
            f"{words[key].format(ours[key])}, and not {theirs[key]}"
            for key in ours
            if ours[key] != theirs[key] and key != "step_s"
        ]
        if other:
            raise DataError(
                f"{place}: this recogniser was trained on {'; on '.join(other)}; its scores would mean "
                "nothing there. Give it the folder of the recordings itself, or train one on that survey"
            )


def write_recogniser(path, heads, survey):
    """Write the heads of a survey with the encoder of its index; returns the path.

    Args:
        path: as a rule ``survey.recogniser``. heads: ``Heads``. survey: ``Survey``.
    """
    index = Index.open(survey)
    needed = min(survey.settings.top_hz, min(file.nyquist_hz for file in index.files))
    save_state(
        path,
        {
            "kind": _KIND,
            "format": _FORMAT,
            "encoder": load_state(index.folder / "encoder.pt"),
            "settings": survey.settings.as_dict(),
            "needed_hz": float(needed),
            "classes": list(heads.classes),
            "heads": {name: torch.as_tensor(np.asarray(getattr(heads, name), np.float32)) for name in _ARRAYS},
            "thresholds": {name: float(value) for name, value in heads.thresholds.items()},
            "evidence": json.dumps(heads.evidence, default=float),
        },
    )
    return path


def read_recogniser(path, device=None):
    """The Recogniser in a file, on the CPU or ``device``; nothing in the file can run.

    Raises:
        DataError: there is none, it is damaged or none of ours, or of a later version.
        ValueError, OSError: it needs an embedder's weights that are not there.
    """
    try:
        state = load_state(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no recogniser there; acssm survey train makes one") from None
    except (DamagedFile, OSError, RuntimeError, ValueError) as error:
        raise DataError(f"{path}: no recogniser, or damaged on its way ({error}); copy it again") from None
    if not isinstance(state, dict) or state.get("kind") != _KIND:
        raise DataError(f"{path}: no recogniser; expected a file that acssm survey share has written")
    if state["format"] != _FORMAT:
        raise DataError(
            f"{path}: a recogniser of format {state['format']}, and this version of acssm reads {_FORMAT}; "
            "install a later version"
        )
    settings = SurveySettings(**{**state["settings"], "classes": tuple(state["settings"]["classes"])})
    heads = Heads(
        state["classes"],
        *(state["heads"][name].numpy() for name in _ARRAYS),
        state["thresholds"],
        json.loads(state["evidence"]),
    )
    return Recogniser(WindowEncoder.from_state(state["encoder"], path, device), settings, heads, state["needed_hz"])
