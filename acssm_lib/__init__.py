"""AcousticSSM: self-supervised acoustic few-shot classification with state-space models.

Every public name lives in a module named after its idea (``from acssm_lib.s4d import S4D``); the ones that
other projects call are also found here (``acssm_lib.S4D``), imported when first asked for.
"""

import importlib

_HOMES = {
    "SpectrogramStack": "features", "S4D": "s4d", "FrequencyResNet": "resnet", "AcousticSSM": "encoder",
    "AdaptedCNN": "encoder", "BilinearSimilarity": "contrastive", "contrastive_loss": "contrastive",
    "pretrain": "contrastive", "ESC50": "datasets", "AudioFolder": "datasets", "SyntheticFrogs": "frogs",
    "sample_episode": "episodes", "finetune": "fewshot", "evaluate": "fewshot", "preset": "presets",
}
__all__ = list(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'acssm_lib' has no attribute {name!r}")
    return getattr(importlib.import_module(f"acssm_lib.{_HOMES[name]}"), name)
