"""One run: a group's clips in memory, the pool to pre-train on, and the record that the run leaves."""

import ast
import hashlib
import importlib.metadata
import json
import platform
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from acssm_lib.audio import default_cache_dir
from acssm_lib.clips import Clips
from acssm_lib.contrastive import Pretraining, pretrain
from acssm_lib.episodes import episode_seeds, sample_episode
from acssm_lib.files import write_atomically
from acssm_lib.methods import METHODS, build_encoder
from acssm_lib.results import mean_interval


@dataclass(frozen=True)
class GroupData:
    """The clips of one group, and whatever else may be pre-trained on, in one bank.

    Attributes:
        clips: ``Clips``; the group's clips first, in the order of the data set.
        labels: int64, (clips,), index into ``classes``; -1 for clips that are no part of the group.
        sources, names: of every clip.
        classes: names of the group's classes.
        withheld: for pool "all", support clips of the other groups, which stay out of the pool.
    Taught in: 04_contrastive_pretraining.
    """

    clips: Clips
    labels: np.ndarray
    sources: list
    names: list
    classes: list
    withheld: np.ndarray


def load_group(dataset, group, config, seed, progress=True):
    """Decode a group's clips, the unlabelled ones, and with ``config.pool`` = "all" those of all other classes.

    Raises:
        ValueError: no such group; DataError: a clip that cannot be used.
    Taught in: 04_contrastive_pretraining.
    """
    members = dataset.clips_of(group)
    others = np.setdiff1d(np.arange(len(dataset)), members) if config.pool == "all" else dataset.unlabelled()
    chosen = np.concatenate([members, others])
    classes = dataset.groups[group]
    own = {dataset.classes.index(name): label for label, name in enumerate(classes)}
    withheld = []
    if config.pool == "all":
        for name in dataset.default_groups:
            clips = dataset.clips_of(name)
            episode = sample_episode(dataset.labels[clips], len(dataset.groups[name]), config.n_shot,
                                     episode_seeds(seed, 1)[0])
            withheld.extend(clips[episode.support])
    bar = tqdm(chosen, desc="clips", disable=not progress, file=sys.stdout)
    waveforms = [dataset.waveform(int(index)) for index in bar]
    return GroupData(
        clips=Clips(waveforms),
        labels=np.array([own.get(int(dataset.labels[index]), -1) for index in chosen]),
        sources=[dataset.sources[index] for index in chosen], names=[dataset.names[index] for index in chosen],
        classes=classes, withheld=np.flatnonzero(np.isin(chosen, withheld)))


def pretraining_pool(data, config, seed):
    """Indices of the recordings to pre-train on, without labels; the queries are among them, as in the paper.

    "group": every clip of the group, so that one pre-training serves many support draws (the support is then in
    the pool too, without its labels). "unlabelled": the group less the support of the run's only draw, as
    published. "all": every clip of the data set less the supports of all groups, nearest to the authors' code.

    Raises:
        ValueError: "unlabelled" or "all" with more than one support draw, each of which would need its own pool.
    Taught in: 04_contrastive_pretraining.
    Source: paper section III.
    """
    if config.pool == "group":
        return np.arange(len(data.labels))
    if config.n_episodes != 1:
        raise ValueError(f"pool={config.pool!r} withholds the labelled clips of one support draw, but "
                         f"n_episodes={config.n_episodes}; use n_episodes=1 and several seeds, or pool='group'")
    support = sample_episode(data.labels, len(data.classes), config.n_shot, episode_seeds(seed, 1)[0]).support
    return np.setdiff1d(np.arange(len(data.labels)), np.concatenate([support, data.withheld]))


def pretrained_encoder(method, data, config, seed, *, pool=None, device=None, progress=True, folder=None):
    """The method's encoder after pre-training: loaded when it was trained here before, trained and kept otherwise.

    What is kept is addressed by everything the training depends on: the samples of the pool, the settings, the seed,
    the versions and the code of the modules involved. Whatever changes, the old file is not found any more.

    Args:
        data: a ``GroupData``.
        pool: indices to pre-train on, ``pretraining_pool`` if None.
        folder: of the kept encoders; ``encoders`` in the cache (``audio.default_cache_dir``) if None.
    Returns:
        encoder in eval mode, ``Pretraining`` (of the first time, None for a method without pre-training).
    Taught in: 05_few_shot_finetuning.
    """
    pool = np.asarray(pretraining_pool(data, config, seed) if pool is None else pool)
    model = build_encoder(method, data.clips, pool, config, seed)
    if not METHODS[method].pretrained:
        return model.eval(), None
    path = Path(folder or default_cache_dir() / "encoders") / f"{_fingerprint(method, data, pool, config, seed)}.pt"
    if path.exists():
        kept = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(kept["weights"])
        return model.eval(), Pretraining(len(pool), len(kept["losses"]), kept["seconds"], kept["losses"])
    done = pretrain(model, data.clips, pool, config, seed, device=device, progress=progress)
    kept = {"weights": {key: value.cpu() for key, value in model.state_dict().items()},
            "losses": done.losses, "seconds": done.seconds}
    write_atomically(path, lambda part: torch.save(kept, part))
    return model, done


# What a pre-training does not depend on, besides everything named finetune_* and head_*.
_NOT_PRETRAINING = ("name", "pool", "n_shot", "n_episodes", "test_crops")
_PRETRAINING_MODULES = ("clips", "features", "resnet", "s4d", "encoder", "contrastive", "training", "methods")


def _fingerprint(method, data, pool, config, seed):
    """Hash of everything a pre-training depends on."""
    settings = {key: value for key, value in config.as_dict().items()
                if key not in _NOT_PRETRAINING and not key.startswith(("finetune_", "head_"))}
    key = hashlib.sha256(json.dumps([method, settings, int(seed), pool.tolist(), torch.__version__,
                                     torch.get_num_threads()], sort_keys=True).encode())
    for tensor in (data.clips.samples, data.clips.lengths):
        key.update(tensor.cpu().numpy().tobytes())
    for name in _PRETRAINING_MODULES:
        key.update(_code(Path(__file__).with_name(f"{name}.py")).encode())
    return key.hexdigest()[:32]


def _code(path):
    """What a module does, as text: a reworded docstring or comment trains nothing again."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)


def run_record(*, dataset, group, method, seed, config, overrides, data, draws, pretraining, parameters, device):
    """What a run measured, as ``metrics.json`` holds it (schema 1).

    Args:
        draws: list of dictionaries from ``evaluate``.
        pretraining: ``Pretraining``, or None for a method without.
        parameters: trainable values of the encoder.
    Taught in: 08_reproduce_group.
    """
    accuracies = [draw["accuracy"] for draw in draws]
    unshared = [draw["accuracy_unshared_sources"] for draw in draws if draw["accuracy_unshared_sources"] is not None]
    mean, interval = mean_interval(accuracies, n_query=draws[0]["n_query"])
    n_way = len(data.classes)
    return {
        "schema": 1, "dataset": dataset.name, "synthetic": getattr(dataset, "synthetic", False), "group": group,
        "classes": data.classes, "method": method, "preset": config.name, "seed": seed, "n_way": n_way,
        "n_shot": config.n_shot, "protocol": "transductive",
        "episodes": [{key: value for key, value in draw.items() if key != "confusion"} for draw in draws],
        "confusion": np.sum([draw["confusion"] for draw in draws], axis=0).tolist(),
        "accuracy_mean": mean, "accuracy_ci95": list(interval),
        "accuracy_unshared_sources_mean": float(np.mean(unshared)) if unshared else None,
        "labelled_clips": {"training": n_way * config.n_shot, "selection": 0},
        "pretraining": {
            "clips": pretraining.clips if pretraining else 0, "steps": pretraining.steps if pretraining else 0,
            "seconds": pretraining.seconds if pretraining else 0.0,
            "final_loss": float(np.mean(pretraining.losses[-10:])) if pretraining else None,
            "saw_query_clips": pretraining is not None,
            "losses": _thinned(pretraining.losses) if pretraining else []},
        "finetuning": {"seconds": float(sum(draw["seconds"] for draw in draws))}, "parameters": parameters,
        "overrides": overrides, "settings": config.as_dict(), "device": str(device),
        "versions": {"acssm_lib": importlib.metadata.version("acoustic-ssm"), "torch": torch.__version__,
                     "numpy": np.__version__, "python": platform.python_version()}}


def _thinned(losses, most=200):
    stride = -(-len(losses) // most)
    return [round(loss, 4) for loss in losses[::stride]]
