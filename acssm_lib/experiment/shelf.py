"""What a run works on: a group's clips in memory, and encoders that are pre-trained once for all runs."""

import hashlib
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from acssm_lib.baselines.weights import find
from acssm_lib.experiment.methods import METHODS, build_encoder, member_seeds, objective_of
from acssm_lib.fewshot.protocols import pretraining_pool
from acssm_lib.files import DamagedFile, default_cache_dir, sweep
from acssm_lib.model.ensemble import together
from acssm_lib.names import EMBEDDER_NAMES
from acssm_lib.pretraining.contrastive import Pretraining, pretrain
from acssm_lib.pretraining.spectrogram_views import SegmentViews
from acssm_lib.training import computing_precision, load_state, pick_device, save_state


def pretrained_encoder(method, data, config, seed, *, pool=None, device=None, progress=True, folder=None, weights=None):
    """The method's encoder after pre-training: loaded when it was trained here before, trained and kept otherwise.

    What is kept is addressed by what the training is asked for: the samples of the pool, the settings, the seed, the
    precision, and the version number of the training code. Threads and device round differently and are no part of
    it, so that another ``--jobs`` or a GPU finds what is there, and goes on from its checkpoint. Of two
    processes that need the same encoder one trains it and the other waits; a training that was stopped goes on from
    its checkpoint. A kept file is read against its digest: a damaged one is named and trained again.

    Args:
        data: a ``GroupData``.
        pool: indices to pre-train on, ``pretraining_pool`` if None.
        folder: of the kept encoders; ``encoders`` in the cache (``audio.default_cache_dir``) if None.
        weights: file of an embedder's downloaded weights; None for the one in the cache.
    Returns:
        encoder in eval mode (None for mel-stats), ``Pretraining`` (of the first time, None for a method without). Of
        several members: their seconds and steps summed, their losses averaged.
    """
    if METHODS[method].encoder is None:
        return None, None
    pool = np.asarray(pretraining_pool(data, config, seed) if pool is None else pool)
    if not METHODS[method].pretrained:
        return build_encoder(method, data.clips, pool, config, seed, weights).to(pick_device(device)).eval(), None
    alone = replace(config, n_members=1)
    members, done = zip(
        *[
            _pretrained_member(method, data, alone, one, pool, device, progress, folder, weights)
            for one in member_seeds(method, config, seed)
        ]
    )
    return together(members).to(pick_device(device)).eval(), Pretraining(
        len(pool),
        sum(one.steps for one in done),
        sum(one.seconds for one in done),
        np.mean([one.losses for one in done], axis=0).tolist(),
    )


def _pretrained_member(method, data, config, seed, pool, device, progress, folder, weights):
    """One encoder, trained or loaded, and its ``Pretraining``."""
    model = build_encoder(method, data.clips, pool, config, seed, weights)
    name = _fingerprint(method, data, pool, config, seed, device, weights)
    path = Path(folder or default_cache_dir() / "encoders") / f"{name}.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        kept = _kept(path)
        if kept is None:
            sweep(path.parent, name)  # half a checkpoint of a training that was killed while it wrote
            checkpoint = path.with_suffix(".ckpt")
            done = pretrain(
                model,
                data.clips,
                pool,
                config,
                seed,
                objective=objective_for(method, config, data),
                checkpoint=checkpoint,
                device=device,
                progress=progress,
            )
            kept = {
                "weights": {key: value.cpu() for key, value in model.state_dict().items()},
                "losses": done.losses,
                "seconds": done.seconds,
            }
            save_state(path, kept)
            checkpoint.unlink(missing_ok=True)
    model.load_state_dict(kept["weights"])
    return model, Pretraining(len(pool), len(kept["losses"]), kept["seconds"], kept["losses"])


def objective_for(method, config, data):
    """The method's objective, which knows the sources of the clips if its negatives depend on them.

    Args:
        data: a ``GroupData``, or a data set; its ``sources`` are used.
    Raises:
        ValueError: nobody knows the sources, or the method brings an objective that does not ask for them.
    """
    objective = objective_of(method, config)
    if config.negatives == "all":
        return objective
    if not issubclass(objective, SegmentViews):
        raise ValueError(f"negatives={config.negatives}: {method} brings its own negatives; leave it out")
    if not any(data.sources):
        raise ValueError(
            f"negatives={config.negatives} needs the source of each clip; put sources.csv beside the "
            "class folders, or set negatives=all"
        )
    return partial(objective, sources=torch.from_numpy(_source_numbers(data.sources)))


def _source_numbers(sources):
    """int64, (clips,): equal for clips of one source, -1 where it is unknown."""
    numbers = {source: number for number, source in enumerate(dict.fromkeys(sources)) if source is not None}
    return np.array([numbers.get(source, -1) for source in sources])


def _kept(path):
    """A kept encoder, or None; one that is damaged is named."""
    try:
        return load_state(path)
    except FileNotFoundError:
        return None
    except DamagedFile as error:
        print(f"{error}; this encoder is trained again")
        return None


_VERSION = 3  # raise it when a pre-training of the same settings gives other weights, so that kept ones are not found


def _fingerprint(method, data, pool, config, seed, device, weights):
    """Hash of everything a pre-training depends on."""
    settings = config.of_pretraining()
    settings["precision"] = computing_precision(config.precision, pick_device(device))
    key = hashlib.sha256(json.dumps([_VERSION, method, settings, int(seed), pool.tolist()], sort_keys=True).encode())
    key.update(data.clips.digests().tobytes())
    if config.negatives != "all":
        key.update(_source_numbers(data.sources).tobytes())
    if method in EMBEDDER_NAMES:
        key.update(find(method, weights).read_bytes())
    return key.hexdigest()[:32]
