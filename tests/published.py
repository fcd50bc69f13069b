"""The published recipe in a network that a test can train: what differs from preset ``paper`` in size, and the
settings with which its loss of two segments learns anything at that size."""

from acssm_lib.presets import preset

_SMALL = {
    "precision": "float32", "max_stretch": 1.05, "n_mels": 32, "floor_db": -80.0, "standardise": "scale",
    "widths": (8, 16, 32, 64), "blocks": (1, 1, 1, 1), "n_layers": 2, "d_state": 16, "dt_min": 0.01, "dt_max": 0.3,
    "pool": "group", "pretrain_epochs": 40, "pretrain_batch": 32, "pretrain_lr": 2e-3, "pretrain_warmup": 0.1,
    "projection": "batchnorm", "bilinear_std": 0.0, "bilinear_diagonal": 1.0, "temperature": 25.0, "symmetric": True,
    "n_episodes": 4, "finetune_epochs": 5, "finetune_batch": 32, "finetune_crops": 40, "finetune_stretch": 1.0,
    "finetune_optimiser": "adamw", "finetune_lr": 3e-3, "finetune_encoder_lr": 1e-3, "test_crops": 4,
    "n_frozen_episodes": 200,
}


def small(**overrides):
    """Preset ``paper``, small, with some fields replaced."""
    return preset("paper", **_SMALL | overrides)
