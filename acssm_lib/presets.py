"""Every number of a run, in one frozen dataclass with named presets.

The same names serve in Python (``preset("quick", n_layers=4)``), on the command line
(``--set n_layers=4``), as papermill parameters (``overrides``) and in ``config.json``.
"""

import dataclasses
import difflib
import typing
from dataclasses import dataclass

from acssm_lib.ranges import contradictions, converted


@dataclass(frozen=True)
class Preset:
    """All settings of one run; the defaults are those of ``paper``.

    Sources: P the paper, C the authors' code, [19] ACDNet (clip preparation), O our choice.
    """

    name: str = "paper"

    # Arithmetic of encoders in training; weights, front end, losses and everything at test are float32
    precision: str = "auto"  # "float32" (P), "bfloat16", or "auto": bfloat16 where it is fast; O

    # Clip preparation
    sample_rate: int = 20_000  # Hz; P
    n_samples: int = 30_225  # samples of one crop, 1.51 s; P
    max_stretch: float = 1.25  # speed and pitch drawn log-uniformly from 1/1.25 to 1.25; [19]
    trim_level: int = 0  # 16-bit counts; quieter ends of a clip are cut, 0 cuts exact zeros; [19]
    channel: str = "auto"  # of recordings: "auto" (the mean where channels agree), "mix", "left", "right"; O

    # Front end
    features: str = "stack"  # log-mel, magnitude and phase (P), or "log-mel" alone; O in best
    n_fft: int = 1024  # samples; P
    hop_length: int = 512  # samples, 25.6 ms; P
    n_mels: int = 128  # bands; P
    stft_window: str = "rectangular"  # channels 1 and 2: "rectangular" (C) or "hann"
    floor_db: float | None = None  # dB, None as published; O in best
    standardise: str = "none"  # on the pool; "scale": a mean per band, one deviation (O in best); "band": one for each

    # Encoder
    widths: tuple[int, ...] = (64, 128, 256, 512)  # channels of the CNN stages, the last is d_model; P
    blocks: tuple[int, ...] = (2, 2, 2, 2)  # residual blocks per stage; P
    sequence: str = "s4d"  # layers along time: "s4d" (P), or "mamba", a selective state space; O
    n_layers: int = 6  # of them; P (the code says 8 or 6)
    d_state: int = 64  # real states per channel; C
    dt_min: float = 0.001  # step sizes start log-uniformly in [dt_min, dt_max]; C
    dt_max: float = 0.1
    dropout: float = 0.01  # inside and after each S4D layer; C
    prenorm: bool = False  # layer norm before the S4D layer instead of after the sum; C
    pooling: str = "mean"  # over time (C), "mean-std": and deviation (O in best), or "products": see TimeProducts; O
    n_members: int = 1  # encoders, each pre-trained from a seed of its own, their features side by side; O

    # Contrastive pre-training
    pool: str = "unlabelled"  # the group less its support; "group": all of it; "all", "everything": of all groups
    pretrain_epochs: int = 500  # passes of ceil(pool / pretrain_batch) steps; P
    pretrain_batch: int = 64  # clips, two views each; C
    pretrain_lr: float = 1e-4  # P
    pretrain_weight_decay: float = 1e-3  # not on the state-space parameters; C
    pretrain_warmup: float = 0.0  # share of the steps with a rising learning rate; O in best
    projection: str = "prelu"  # "prelu" (P), "batchnorm", "mlp" (O): see projection_head
    d_projection: int = 256  # C
    bilinear_std: float = 1.0  # standard deviation of W at the start; C
    bilinear_diagonal: float = 0.0  # added to W's diagonal at the start; O
    temperature: float = 0.2  # C (equation 4 has none)
    symmetric: bool = False  # add the positive-to-anchor term; O

    # Views in place of the pair of acoustic-ssm1, contrasted by cosine: see spectrogram_views; all O
    views: str = "pair"  # two segments (P), "segments": n_views of them, or "spectrogram": changed on the spectrogram
    n_views: int = 4  # of each clip and step
    negatives: str = "all"  # or "other-sources", "same-source": clips that a view is told from, see multi_view_nt_xent
    mel_shift: float = 4.0  # bands, largest shift up or down
    gain_db: float = 20.0  # largest gain, up or down
    equaliser_db: float = 6.0  # standard deviation of a smooth curve over the bands
    masked_span: float = 0.3  # widest masked span of bands, of frames two thirds of it, share of the view
    mix_max: float = 0.0  # most of another clip's power that is mixed in, share

    # Augmentations of acoustic-ssm2 and mt-slvr
    pitch_semitones: float = 15.0  # largest shift, up or down; C
    fade_max: float = 0.5  # longest fade-in and fade-out, share of the crop; C
    mask_max: float = 0.125  # longest silenced span, share of the crop; C
    shift_max: float = 0.5  # largest shift in time with roll-over, share of the crop; C
    noise_snr_db: tuple[float, float] = (3.0, 30.0)  # dB; C

    # Protocol
    protocol: str = "transductive"  # queries in the pool without labels (P), or "inductive-clip", "inductive-recording"
    pool_size: int | None = None  # clips; a larger pool is thinned to it, to compare protocols at one size

    # Fine-tuning and test
    n_shot: int = 5  # labelled clips per class; P
    n_episodes: int = 1  # support draws per run; more than one needs pool "group" or "everything"
    support_sources: str = "any"  # "one" source labels all classes, "spread": n_shot sources; others are asked; O
    finetune_epochs: int = 50  # P
    finetune_batch: int = 4  # crops; C
    finetune_crops: int = 10  # equally spaced crops per labelled clip; [19]
    finetune_stretch: float = 1.25  # as max_stretch, for the labelled clips; [19]
    finetune_head: str = "mlp"  # three layers from random weights (C), or "logistic": one, from the frozen readout; O
    finetune_optimiser: str = "sgd"  # "sgd" (P) or "adamw"
    finetune_lr: float = 0.006  # P
    finetune_encoder_lr: float | None = None  # None: as finetune_lr, as published; O in quick
    finetune_ssm_lr: float = 0.001  # upper limit for log_dt, log_A_real, A_imag; C
    finetune_weight_decay: float = 1e-3  # C
    head_width: int = 128  # C
    head_dropout: float = 0.1  # C
    test_crops: int = 1  # 1: the centre crop (C); more: equally spaced, averaged ([19] has 10); 0: the whole clip (O)
    test_views: int = 1  # of every test crop, 2 to 7: also a little higher, lower, slower, faster, averaged; O in best
    finetuning: bool = True  # False: frozen readouts only

    # Readouts of the frozen encoder
    n_frozen_episodes: int = 600  # support draws; the first n_episodes are those of the fine-tuning; O
    logistic_C: float = 1.0  # of the logistic regression on an encoder, inverse strength of its penalty; O
    frozen_shots: tuple[int, ...] = (1, 2, 5, 10)  # labelled clips per class of the curve over shots; O

    def as_dict(self):
        """Plain values for JSON; tuples become lists."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(self).items()
        }

    def of_pretraining(self):
        """Those values that a pre-training depends on, as ``as_dict``: two runs that share them share an encoder."""
        return {
            key: value
            for key, value in self.as_dict().items()
            if key not in _NOT_PRETRAINING and not key.startswith(("finetun", "head_"))
        }

    def differences(self, other=None):
        """Fields that differ from ``other`` (the ``paper`` preset by default): name -> (other's, ours)."""
        other = other or PRESETS["paper"]
        return {
            field.name: (getattr(other, field.name), getattr(self, field.name))
            for field in dataclasses.fields(self)
            if getattr(other, field.name) != getattr(self, field.name) and field.name != "name"
        }

    def __str__(self):
        return "\n".join(f"{key:<22} {value}" for key, value in self.as_dict().items())


# What a pre-training does not depend on, besides everything about fine-tuning and its head.
_NOT_PRETRAINING = frozenset(
    "name pool protocol pool_size n_shot n_episodes n_frozen_episodes frozen_shots support_sources logistic_C "
    "test_crops test_views n_members".split()
)

PRESETS = {
    "paper": Preset(),
    "best": Preset(
        name="best",
        n_samples=39_424,
        max_stretch=1.2,
        features="log-mel",
        n_mels=64,
        floor_db=-80.0,
        standardise="scale",
        widths=(16, 32, 64, 128),
        blocks=(1, 1, 1, 1),
        n_layers=2,
        d_state=16,
        dt_min=0.01,
        dt_max=0.3,
        dropout=0.05,
        prenorm=True,
        pooling="mean-std",
        pool="group",
        pretrain_epochs=40,
        pretrain_batch=32,
        pretrain_lr=2e-3,
        pretrain_warmup=0.2,
        projection="mlp",
        d_projection=128,
        temperature=0.1,
        views="spectrogram",
        n_episodes=2,
        finetune_epochs=5,
        finetune_batch=32,
        finetune_crops=20,
        finetune_stretch=1.0,
        finetune_head="logistic",
        finetune_optimiser="adamw",
        finetune_lr=1e-4,
        test_crops=0,
        test_views=7,
        logistic_C=0.1,
    ),
}
PRESETS["quick"] = dataclasses.replace(  # the same, small: seconds; what it learned is worth less, so more is changed
    PRESETS["best"],
    name="quick",
    precision="float32",
    n_samples=30_225,
    n_mels=32,
    widths=(8, 16, 32, 64),
    pretrain_epochs=20,
    mel_shift=1.0,
    n_episodes=4,
    finetune_crops=40,
    finetune_head="mlp",
    finetune_lr=3e-3,
    finetune_encoder_lr=1e-3,
    test_views=1,
    n_frozen_episodes=200,
)

_RENAMED = {"quick-best": "quick"}  # presets of earlier versions and their names now; an older quick is no preset now
_FORMER = {"finetune_redraw": False}  # fields of earlier versions, and the value at which a run is like one of today


def preset(name: str, **overrides: object) -> Preset:
    """The named preset with some fields replaced.

    Args:
        name: of ``PRESETS``.
        overrides: field = value; a value may be text, as it comes from the command line ("16,32", "none").
    Raises:
        ValueError: unknown preset or field (the nearest name is suggested), or a value of the wrong type or out of
            range; settings that contradict each other.
    """
    if name not in PRESETS:
        hint = f", it is called {_RENAMED[name]!r} now" if name in _RENAMED else _nearest(name, PRESETS)
        raise ValueError(f"unknown preset {name!r}{hint}; there are {', '.join(PRESETS)}")
    hints = typing.get_type_hints(Preset)
    values = {}
    for key, value in overrides.items():
        if key not in hints or key == "name":
            fields = [field for field in hints if field != "name"]
            raise ValueError(f"unknown setting {key!r}{_nearest(key, fields)}")
        values[key] = converted(key, value, hints[key], getattr(PRESETS["paper"], key))
    made = dataclasses.replace(PRESETS[name], **values)
    for wrong, words in contradictions(made):
        if wrong:
            raise ValueError(words)
    return made


def in_todays_words(settings):
    """Settings of a record of any version as they would be called now, so that they can be compared.

    ``standardise`` was true or false, and true counted the zeros around short clips as sound, which nothing does now.
    A field that is gone is left out where it was not used, and a preset that got another name has that name.

    Args:
        settings: dict, field -> value, as a record has them; ``name`` and ``preset`` are names of presets.
    Returns:
        dict; "band-with-padding" is like no word of today.
    """
    words = {"standardise": {True: "band-with-padding", False: "none"}, "name": _RENAMED, "preset": _RENAMED}
    return {
        key: words[key].get(value, value) if key in words else value
        for key, value in settings.items()
        if key not in _FORMER or value != _FORMER[key]
    }


def _nearest(name, names):
    close = difflib.get_close_matches(str(name), names, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""
