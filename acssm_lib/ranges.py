"""What a setting may be: the words and the numbers that each field of a preset allows, and what cannot go together."""

import numbers
import types
import typing

CHOICES = {
    "channel": ("auto", "mix", "left", "right"),
    "precision": ("auto", "float32", "bfloat16"),
    "sequence": ("s4d", "mamba"),
    "stft_window": ("rectangular", "hann"),
    "standardise": ("none", "scale", "band"),
    "pool": ("unlabelled", "group", "all", "everything"),
    "support_sources": ("any", "one", "spread"),
    "protocol": ("transductive", "inductive-clip", "inductive-recording"),
    "projection": ("prelu", "batchnorm", "mlp"),
    "features": ("stack", "log-mel"),
    "pooling": ("mean", "mean-std", "products"),
    "views": ("pair", "segments", "spectrogram"),
    "negatives": ("all", "other-sources", "same-source"),
    "finetune_head": ("mlp", "logistic"),
    "finetune_optimiser": ("sgd", "adamw"),
}

_BEFORE = {"standardise": "; false of earlier versions is none, true is most like scale"}  # said of a bool

# Least and most of each number, both allowed; of a tuple, of every entry.
RANGES = {
    "sample_rate": (1_000, 1_000_000),
    "n_samples": (2, 1_000_000_000),
    "max_stretch": (1.0, 4.0),
    "trim_level": (0, 32_767),
    "n_fft": (16, 65_536),
    "hop_length": (1, 65_536),
    "n_mels": (1, 1024),
    "floor_db": (-400.0, 0.0),
    "widths": (1, 16_384),
    "blocks": (1, 64),
    "n_layers": (0, 64),
    "d_state": (2, 4096),
    "dt_min": (1e-9, 1e3),
    "dt_max": (1e-9, 1e3),
    "dropout": (0.0, 0.99),
    "n_members": (1, 100),
    "pretrain_epochs": (0, 1_000_000),
    "pretrain_batch": (2, 1_000_000),
    "pretrain_lr": (0.0, 10.0),
    "pretrain_weight_decay": (0.0, 10.0),
    "pretrain_warmup": (0.0, 1.0),
    "d_projection": (1, 65_536),
    "bilinear_std": (0.0, 1e3),
    "bilinear_diagonal": (-1e3, 1e3),
    "temperature": (1e-6, 1e6),
    "n_views": (2, 64),
    "mel_shift": (0.0, 1024.0),
    "gain_db": (0.0, 200.0),
    "equaliser_db": (0.0, 200.0),
    "masked_span": (0.0, 0.95),
    "mix_max": (0.0, 0.99),
    "pitch_semitones": (0.0, 48.0),
    "fade_max": (0.0, 1.0),
    "mask_max": (0.0, 1.0),
    "shift_max": (0.0, 1.0),
    "noise_snr_db": (-100.0, 200.0),
    "pool_size": (2, 1_000_000_000),
    "n_shot": (1, 10_000),
    "n_episodes": (1, 1_000_000),
    "finetune_epochs": (0, 1_000_000),
    "finetune_batch": (1, 1_000_000),
    "finetune_crops": (1, 100_000),
    "finetune_stretch": (1.0, 4.0),
    "finetune_lr": (0.0, 10.0),
    "finetune_encoder_lr": (0.0, 10.0),
    "finetune_ssm_lr": (0.0, 10.0),
    "finetune_weight_decay": (0.0, 10.0),
    "head_width": (1, 65_536),
    "head_dropout": (0.0, 0.99),
    "test_crops": (0, 100_000),
    "test_views": (1, 7),
    "n_frozen_episodes": (1, 1_000_000),
    "logistic_C": (1e-9, 1e9),
    "frozen_shots": (1, 10_000),
}


def converted(key, value, hint, like):
    """A value as the type of its field, within its range; text is parsed, anything else must already fit.

    Args:
        key: the field; its choices or its range are above.
        value: text, as it comes from the command line ("16,32", "none"), or what ``hint`` asks for.
        hint: type of the field.
        like: a value that fits, for the error.
    Raises:
        ValueError: wrong type, out of range, or none of the choices.
    """
    optional = isinstance(hint, types.UnionType)
    kind = typing.get_args(hint)[0] if optional else hint
    if optional and (value is None or str(value).lower() == "none"):
        return None
    try:
        if kind is bool:
            return {"true": True, "false": False}[str(value).lower()]
        if typing.get_origin(kind) is tuple:
            parts = value.split(",") if isinstance(value, str) else value
            if not isinstance(parts, (list, tuple)):
                raise TypeError
            return tuple(converted(key, part, typing.get_args(kind)[0], like) for part in parts)
        if kind is not str and (isinstance(value, bool) or not isinstance(value, (str, numbers.Real))):
            raise TypeError
        made = kind(value) if kind is str else float(value)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        if str(error).startswith(f"{key}="):  # an entry of a tuple
            raise
        wanted = hint if optional or typing.get_origin(hint) else hint.__name__
        raise ValueError(f"{key}={value!r}: expected {wanted}, as in {like!r}") from None
    if key in CHOICES and made not in CHOICES[key]:
        before = _BEFORE.get(key, "") if str(value).lower() in ("true", "false") else ""
        raise ValueError(f"{key}={value!r}: choose one of {', '.join(CHOICES[key])}{before}")
    if kind is str:
        return made
    least, most = RANGES[key]
    whole = kind is int
    if not (least <= made <= most and (not whole or made == int(made))):
        raise ValueError(
            f"{key}={value!r}: expected a {'whole ' * whole}number from {least:,} to {most:,}"
            + (" or none" if optional else "")
        )
    return kind(made)


def contradictions(made):
    """Settings that cannot go together.

    Args:
        made: a preset.
    Yields:
        Whether two of its settings contradict each other, and what to say if so.
    """
    low, high = (made.noise_snr_db + (0.0, 0.0))[:2]
    yield (
        made.dt_min > made.dt_max,
        f"dt_min={made.dt_min} is above dt_max={made.dt_max}; steps are drawn between them",
    )
    yield (
        len(made.widths) != len(made.blocks) or not made.widths,
        f"widths={made.widths} and blocks={made.blocks}: one number for each stage, in both",
    )
    yield (
        len(made.noise_snr_db) != 2 or low > high,
        f"noise_snr_db={made.noise_snr_db}: expected two numbers, the lower one first",
    )
    yield made.d_state % 2, f"d_state={made.d_state} is odd; states come in conjugate pairs"
    yield (
        made.n_samples <= made.n_fft // 2,
        f"n_samples={made.n_samples} with n_fft={made.n_fft}: a crop needs more than half an n_fft of samples",
    )
    yield (
        made.hop_length > made.n_samples,
        f"hop_length={made.hop_length} with n_samples={made.n_samples}: a crop would have one frame, and no time",
    )
    yield (
        made.test_views > 1 and made.features != "log-mel",
        f"test_views={made.test_views} with features={made.features}: a phase has no neighbour in pitch; set "
        "features=log-mel, or test_views=1",
    )
    yield (
        made.negatives != "all" and made.views == "pair",
        f"negatives={made.negatives} with views=pair: equation 4 takes every other clip; set views=segments or "
        "spectrogram",
    )
    yield (
        made.views == "spectrogram" and made.features != "log-mel",
        f"views=spectrogram with features={made.features}: they are drawn on the log-mel spectrogram; set "
        "features=log-mel, or views=pair or segments",
    )
