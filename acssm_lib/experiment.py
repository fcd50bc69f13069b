"""What a run works on: a group's clips in memory, and encoders that are pre-trained once for all runs."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from acssm_lib.audio import default_cache_dir
from acssm_lib.bank import code_of
from acssm_lib.clips import Clips
from acssm_lib.contrastive import Pretraining, pretrain
from acssm_lib.encoder import pick_device
from acssm_lib.ensemble import together
from acssm_lib.episodes import episode_seeds, sample_episode
from acssm_lib.files import write_atomically
from acssm_lib.methods import METHODS, build_encoder, member_seeds, objective_of
from acssm_lib.presets import EMBEDDER_NAMES
from acssm_lib.protocols import pretraining_pool
from acssm_lib.training import computing_precision
from acssm_lib.weights import find


@dataclass(frozen=True)
class GroupData:
    """The clips of one group, and whatever else may be pre-trained on, in one bank.

    Attributes:
        clips: ``Clips``; the group's clips first, in the order of the data set.
        labels: int64, (clips,), index into ``classes``; -1 for clips that are no part of the group.
        sources, names: of every clip.
        classes: names of the group's classes.
        withheld: for pool "all", support clips of the other groups, which stay out of the pool.
        folds: of every clip, int64, (clips,), where the data set has some (ESC-50), else None.
    Taught in: 04_contrastive_pretraining.
    """

    clips: Clips
    labels: np.ndarray
    sources: list
    names: list
    classes: list
    withheld: np.ndarray
    folds: np.ndarray | None = None


def load_group(dataset, group, config, seed, progress=True):
    """A group's clips, the unlabelled ones, and with ``config.pool`` = "all" those of all other classes.

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
    return GroupData(
        clips=dataset.clips(chosen, progress),
        labels=np.array([own.get(int(dataset.labels[index]), -1) for index in chosen]),
        sources=[dataset.sources[index] for index in chosen], names=[dataset.names[index] for index in chosen],
        classes=classes, withheld=np.flatnonzero(np.isin(chosen, withheld)),
        folds=dataset.folds[chosen] if hasattr(dataset, "folds") else None)


def pretrained_encoder(method, data, config, seed, *, pool=None, device=None, progress=True, folder=None, weights=None):
    """The method's encoder after pre-training: loaded when it was trained here before, trained and kept otherwise.

    What is kept is addressed by everything the training depends on: the samples of the pool, the settings, the seed,
    the versions and the code of the modules involved. Whatever changes, the old file is not found any more. Of two
    processes that need the same encoder one trains it and the other waits; a training that was stopped goes on from
    its checkpoint.

    Args:
        data: a ``GroupData``.
        pool: indices to pre-train on, ``pretraining_pool`` if None.
        folder: of the kept encoders; ``encoders`` in the cache (``audio.default_cache_dir``) if None.
        weights: file of an embedder's downloaded weights; None for the one in the cache.
    Returns:
        encoder in eval mode (None for mel-stats), ``Pretraining`` (of the first time, None for a method without). Of
        several members: their seconds and steps summed, their losses averaged.
    Taught in: 05_few_shot_finetuning.
    """
    if METHODS[method].encoder is None:
        return None, None
    pool = np.asarray(pretraining_pool(data, config, seed) if pool is None else pool)
    if not METHODS[method].pretrained:
        return build_encoder(method, data.clips, pool, config, seed, weights).to(pick_device(device)).eval(), None
    alone = replace(config, n_members=1)
    members, done = zip(*[_pretrained_member(method, data, alone, one, pool, device, progress, folder, weights)
                          for one in member_seeds(method, config, seed)])
    return together(members).to(pick_device(device)).eval(), Pretraining(
        len(pool), sum(one.steps for one in done), sum(one.seconds for one in done),
        np.mean([one.losses for one in done], axis=0).tolist())


def _pretrained_member(method, data, config, seed, pool, device, progress, folder, weights):
    """One encoder, trained or loaded, and its ``Pretraining``."""
    model = build_encoder(method, data.clips, pool, config, seed, weights)
    name = _fingerprint(method, data, pool, config, seed, device, weights)
    path = Path(folder or default_cache_dir() / "encoders") / f"{name}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            checkpoint = path.with_suffix(".ckpt")
            done = pretrain(model, data.clips, pool, config, seed, objective=objective_of(method, config),
                            checkpoint=checkpoint, device=device, progress=progress)
            kept = {"weights": {key: value.cpu() for key, value in model.state_dict().items()},
                    "losses": done.losses, "seconds": done.seconds}
            write_atomically(path, lambda part: torch.save(kept, part))
            checkpoint.unlink(missing_ok=True)
    kept = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(kept["weights"])
    return model, Pretraining(len(pool), len(kept["losses"]), kept["seconds"], kept["losses"])


# What a pre-training does not depend on, besides everything about fine-tuning and its head.
_NOT_PRETRAINING = ("name", "pool", "protocol", "pool_size", "n_shot", "n_episodes", "n_frozen_episodes",
                    "frozen_shots", "logistic_C", "test_crops", "test_views", "n_members")
_PRETRAINING_MODULES = ("clips", "features", "resnet", "s4d", "encoder", "contrastive", "training", "methods",
                        "augment", "mt_slvr", "spectrogram_views", "mn04", "byol_a")


def _fingerprint(method, data, pool, config, seed, device, weights):
    """Hash of everything a pre-training depends on."""
    settings = {key: value for key, value in config.as_dict().items()
                if key not in _NOT_PRETRAINING and not key.startswith(("finetun", "head_"))}
    settings["precision"] = computing_precision(config.precision, pick_device(device))
    key = hashlib.sha256(json.dumps([method, settings, int(seed), pool.tolist(), torch.__version__,
                                     torch.get_num_threads()], sort_keys=True).encode())
    key.update(data.clips.digests().tobytes())
    if method in EMBEDDER_NAMES:
        key.update(find(method, weights).read_bytes())
    for name in _PRETRAINING_MODULES:
        key.update(code_of(Path(__file__).with_name(f"{name}.py")).encode())
    return key.hexdigest()[:32]
