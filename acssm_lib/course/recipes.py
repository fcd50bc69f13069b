"""Two sets of settings that are no presets: what the pages of the course take apart, and what the demo runs.

Both are dictionaries of fields, for ``presets.preset("paper", **PUBLISHED_SMALL)`` and
``presets.preset("quick", **PHRASES)``.
"""

# The published recipe (three pictures, two segments, a bilinear similarity) in a network that trains in half a minute,
# with the head, start and optimiser with which so small a network learns anything from it.
PUBLISHED_SMALL = {
    "precision": "float32",
    "max_stretch": 1.05,
    "n_mels": 32,
    "floor_db": -80.0,
    "standardise": "scale",
    "widths": (8, 16, 32, 64),
    "blocks": (1, 1, 1, 1),
    "n_layers": 2,
    "d_state": 16,
    "dt_min": 0.01,
    "dt_max": 0.3,
    "pool": "group",
    "pretrain_epochs": 40,
    "pretrain_batch": 32,
    "pretrain_lr": 2e-3,
    "pretrain_warmup": 0.1,
    "projection": "batchnorm",
    "bilinear_std": 0.0,
    "bilinear_diagonal": 1.0,
    "temperature": 25.0,
    "symmetric": True,
    "n_episodes": 4,
    "finetune_epochs": 5,
    "finetune_batch": 32,
    "finetune_crops": 40,
    "finetune_stretch": 1.0,
    "finetune_optimiser": "adamw",
    "finetune_lr": 3e-3,
    "finetune_encoder_lr": 1e-3,
    "test_crops": 4,
    "n_frozen_episodes": 200,
}

# Phrases by individuals; chosen on other data seeds than the demo's: figures/research_log_phrases.csv,
# benchmarks/phrases_search.py. Against preset quick: a smaller network for more steps in the same time, products of
# memory and frame in place of mean and deviation, wider changes of pitch, tempo and colour, since individuals differ
# in them, and no masks, which cut syllables out of a phrase. Fine-tuning is longer and less timid, for every method.
PHRASES = {
    "pooling": "products",
    "widths": (8, 16, 32, 32),
    "n_layers": 1,
    "mel_shift": 4.0,
    "max_stretch": 1.4,
    "equaliser_db": 8.0,
    "masked_span": 0.0,
    "pretrain_lr": 0.003,
    "pretrain_warmup": 0.1,
    "pretrain_epochs": 20,
    "finetune_epochs": 8,
    "finetune_crops": 20,
    "finetune_encoder_lr": 0.003,
    "finetune_ssm_lr": 0.003,
}
