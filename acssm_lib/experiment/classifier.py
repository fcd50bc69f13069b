"""What a run leaves to be used: an encoder and a classifier on it, that name the classes of other recordings."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn

from acssm_lib.baselines.mel_statistics import MelStatistics
from acssm_lib.baselines.weights import find
from acssm_lib.data.audio import prepare
from acssm_lib.data.clips import Clips
from acssm_lib.data.reading.decoding import AUDIO_SUFFIXES, PHONE_SUFFIXES
from acssm_lib.experiment.methods import METHODS, bare_encoder
from acssm_lib.fewshot.embedding import CropFeatures, embed, over_test_crops
from acssm_lib.fewshot.episodes import episode_seeds
from acssm_lib.fewshot.evaluation import draw_file
from acssm_lib.fewshot.finetuning import Classifier, finetune
from acssm_lib.fewshot.readout import fitted_logistic
from acssm_lib.files import DataError, write_atomically
from acssm_lib.model.base import Encoder, summary
from acssm_lib.names import EMBEDDER_NAMES, STATISTICS
from acssm_lib.presets import Preset, in_todays_words, preset
from acssm_lib.training import pick_device

_VERSION = 1  # raise it when the same file would answer otherwise, or is laid out otherwise


@dataclass(frozen=True)
class RunClassifier:
    """The classifier of one support draw of a run.

    Attributes:
        method, classes, config: of the run; the classes in the order of the probabilities.
        readout: "finetuned", head and encoder trained on the support, or "logistic", on the encoder as it is.
        encoder: in eval mode; None for mel-stats.
        head: embedding -> logits.
        support: names of the labelled clips it was made from.
    """

    method: str
    readout: str
    classes: list
    config: Preset
    encoder: Encoder | None
    head: nn.Module
    support: list = field(default_factory=list)

    @torch.no_grad()
    def predict(self, clips, indices):
        """Class probabilities as the run computed them: float32 on the CPU, (clips, n_way).

        Args:
            clips: a ``Clips`` bank at ``config.sample_rate``.
            indices: which of them.
        """
        if self.readout == "finetuned":
            features = CropFeatures(self.encoder, clips, self.config, most_mib=0)
            return over_test_crops(
                self.encoder,
                lambda crops: self.head(summary(self.encoder, crops)).softmax(1),
                features,
                indices,
                self.config,
                None,
            )
        return self.head(_embedding(self.encoder, clips, indices, self.config)).softmax(1).float()

    def predict_folder(self, folder):
        """The recordings below a folder one after the other, prepared like those of the run.

        Yields:
            path, probabilities (n_way,).
        Raises:
            DataError: there is no recording, or one cannot be used; it names the file.
        """
        paths = [
            path
            for path in sorted(Path(folder).rglob("[!.]*"))  # a Mac's ._name.wav is no recording
            if path.suffix.lower() in AUDIO_SUFFIXES + PHONE_SUFFIXES
        ]
        config = self.config
        if not paths:
            raise DataError(f"{folder}: no recordings there; expected files ending in {', '.join(AUDIO_SUFFIXES)}")
        for path in paths:
            samples = prepare(path, config.sample_rate, config.trim_level, config.channel)
            yield path, self.predict(Clips([torch.from_numpy(samples)]), [0])[0]


def classifier_of(method, encoder, data, split, config, seed, *, checkpoint=None, device=None):
    """The classifier of a run's first support draw, whose accuracy its record has as ``episodes[0]``.

    It is the fine-tuned one where the run fine-tunes; the logistic regression elsewhere, for statistics, and for
    embedders whose weights stay as they were downloaded.

    Args:
        encoder: as it was measured; None for mel-stats.
        data, split: a ``GroupData`` and one of its ``splits``.
        checkpoint: folder of ``measure``: a draw that was fine-tuned there is not fine-tuned again.
    Returns:
        ``RunClassifier``.
    """
    draw = episode_seeds(seed, 1)[0]
    support = split.episode(
        data.labels, len(data.classes), config.n_shot, draw, data.sources, config.support_sources
    ).support
    labels, names = data.labels[support], [data.names[index] for index in support]
    if encoder is not None and config.finetuning and method not in STATISTICS and not _as_downloaded(method):
        file = draw_file(checkpoint, draw).with_suffix(".ckpt") if checkpoint else None
        tuned = finetune(
            encoder, data.clips, support, labels, config, draw, checkpoint=file, device=device, progress=False
        )
        return RunClassifier(method, "finetuned", data.classes, config, tuned.encoder, tuned.head, names)
    points = _embedding(encoder, data.clips, support, config)
    mean, scale, weight, bias = fitted_logistic(points, labels, 1.0 if encoder is None else config.logistic_C)
    weight = weight / scale  # on the embedding as it comes
    weight, bias = torch.as_tensor(weight), torch.as_tensor(bias - weight @ mean)  # as in ``measure``
    head = nn.Linear(*weight.shape[::-1], dtype=torch.float64).requires_grad_(False)
    head.load_state_dict({"weight": weight, "bias": bias})
    return RunClassifier(method, "logistic", data.classes, config, encoder, head, names)


def save_classifier(path, classifier, weights=None):
    """Tensors and plain values, atomically; of an embedder as it was downloaded, the SHA-256 in place of its weights.

    Args:
        weights: file of an embedder's weights; None for the one in the cache.
    """
    kept = {
        "version": _VERSION,
        "method": classifier.method,
        "readout": classifier.readout,
        "classes": list(classifier.classes),
        "settings": classifier.config.as_dict(),
        "support": list(classifier.support),
        "head": _state(classifier.head),
        "encoder": None,
        "weights": None,
    }
    if classifier.encoder is not None:
        kept["encoder"] = _state(classifier.encoder)
    if _as_downloaded(classifier.method):
        kept["encoder"] = {name: value for name, value in kept["encoder"].items() if name.startswith("standardisation")}
        kept["weights"] = _digest(find(classifier.method, weights))
    write_atomically(path, lambda part: torch.save(kept, part))


def load_classifier(path, *, weights=None, device=None):
    """The classifier that a run left in ``classifier.pt``; nothing in the file is run as code.

    Args:
        weights: file of an embedder's weights; None for the one in the cache.
    Returns:
        ``RunClassifier``.
    Raises:
        ValueError: no such file, of another version, or made with other downloaded weights.
    """
    try:
        kept = torch.load(path, map_location="cpu", weights_only=True)
        version = kept["version"]
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error}); a finished run has one") from None
    except Exception as error:
        raise ValueError(
            f"{path}: not the classifier of a run ({type(error).__name__}); expected the classifier.pt of "
            "a finished run"
        ) from None
    if version != _VERSION:
        raise ValueError(
            f"{path}: a classifier of version {version}, this acssm_lib reads version {_VERSION}; use the "
            "acssm_lib that its run was made with (versions in metrics.json), or run it again"
        )
    method, device = kept["method"], pick_device(device)
    settings = {key: value for key, value in in_todays_words(kept["settings"]).items() if key != "name"}
    config = preset("paper", **settings)
    encoder = None
    if METHODS[method].encoder is not None:
        if kept["weights"] and _digest(file := find(method, weights)) != kept["weights"]:
            raise ValueError(f"{path}: made with other weights of {method} than {file} (SHA-256 {kept['weights']})")
        encoder = bare_encoder(method, config, 0, weights)
        encoder.load_state_dict(kept["encoder"], strict=not kept["weights"])
        encoder.to(device).eval()
    if kept["readout"] == "finetuned":
        head = (
            Classifier(encoder, len(kept["classes"]), config.head_width, config.head_dropout, config.finetune_head)
            .head.to(device)
            .eval()
        )
    else:
        head = nn.Linear(*kept["head"]["weight"].shape[::-1], dtype=torch.float64)
    head.load_state_dict(kept["head"])
    return RunClassifier(method, kept["readout"], kept["classes"], config, encoder, head, kept["support"])


def _embedding(encoder, clips, indices, config):
    """(clips, d), float64."""
    if encoder is None:
        return torch.as_tensor(MelStatistics(clips, config).features(indices)).double()
    return embed(encoder, clips, indices, config).double()


def _as_downloaded(method):
    return method in EMBEDDER_NAMES and not METHODS[method].pretrained


def _state(module):
    return {name: value.detach().cpu() for name, value in module.state_dict().items()}


def _digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
