"""AcousticSSM: self-supervised acoustic few-shot classification with state-space models.

Rooms, in the order of the paper: ``data``, ``model`` (section II.A), ``pretraining`` (II.B), ``fewshot`` (II.C),
``baselines`` (III), ``experiment``, ``report``; beside them ``course`` (widgets of the pages), ``batch`` and ``cli``.
A line such as ``from acssm_lib.model.s4d import S4D`` says which part of the paper a name belongs to; the names that
other projects call are also found here (``acssm_lib.S4D``), imported when first asked for.
"""

import importlib

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
__all__ = list(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'acssm_lib' has no attribute {name!r}")
    return getattr(importlib.import_module(f"acssm_lib.{_HOMES[name]}"), name)
