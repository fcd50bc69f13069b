"""AcousticSSM: self-supervised acoustic few-shot classification with state-space models.

Rooms, in the order of the paper: ``data``, ``model`` (section II.A), ``pretraining`` (II.B), ``fewshot`` (II.C),
``baselines`` (III), ``experiment``, ``report``; beside them ``course`` (widgets of the pages), ``batch`` and ``cli``.
A line such as ``from acssm_lib.model.s4d import S4D`` says which part of the paper a name belongs to; the names that
other projects call are also found here (``acssm_lib.S4D``), imported when first asked for.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what a type checker reads; at run time a name is imported when first asked for
    from acssm_lib.data.datasets import ESC50, AudioFolder
    from acssm_lib.data.frogs import SyntheticFrogs
    from acssm_lib.fewshot.episodes import sample_episode
    from acssm_lib.fewshot.evaluation import evaluate
    from acssm_lib.fewshot.finetuning import finetune
    from acssm_lib.model.encoder import AcousticSSM, AdaptedCNN
    from acssm_lib.model.features import SpectrogramStack
    from acssm_lib.model.resnet import FrequencyResNet
    from acssm_lib.model.s4d import S4D
    from acssm_lib.presets import preset
    from acssm_lib.pretraining.contrastive import BilinearSimilarity, contrastive_loss, pretrain

__version__ = "0.1.0"
_HOMES = {
    "SpectrogramStack": "model.features",
    "S4D": "model.s4d",
    "FrequencyResNet": "model.resnet",
    "AcousticSSM": "model.encoder",
    "AdaptedCNN": "model.encoder",
    "BilinearSimilarity": "pretraining.contrastive",
    "contrastive_loss": "pretraining.contrastive",
    "pretrain": "pretraining.contrastive",
    "ESC50": "data.datasets",
    "AudioFolder": "data.datasets",
    "SyntheticFrogs": "data.frogs",
    "sample_episode": "fewshot.episodes",
    "finetune": "fewshot.finetuning",
    "evaluate": "fewshot.evaluation",
    "preset": "presets",
}
__all__ = [
    "ESC50",
    "S4D",
    "AcousticSSM",
    "AdaptedCNN",
    "AudioFolder",
    "BilinearSimilarity",
    "FrequencyResNet",
    "SpectrogramStack",
    "SyntheticFrogs",
    "contrastive_loss",
    "evaluate",
    "finetune",
    "preset",
    "pretrain",
    "sample_episode",
]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'acssm_lib' has no attribute {name!r}")
    return getattr(importlib.import_module(f"acssm_lib.{_HOMES[name]}"), name)
