"""The record that a run leaves (``metrics.json``): what stands in it, and how it is written."""

import hashlib
import importlib
import json
import platform

import numpy as np
import torch

from acssm_lib.experiment.schema import check_metrics
from acssm_lib.fewshot.statistics import mean_interval
from acssm_lib.files import write_json
from acssm_lib.names import RECORD_SCHEMA
from acssm_lib.training import computing_precision


def write_metrics(path, metrics):
    """Write ``metrics.json`` through a temporary name: a run either has its record or has none.

    Raises:
        ValueError: a key is missing or wrong (``check_metrics``).
    """
    check_metrics(metrics)
    return write_json(path, metrics)


def supports_digest(supports):
    """16 hexadecimal digits that stand for a list of supports, each a list of clip names.

    Two records with equal draw seeds and equal digests were measured on the same labelled clips. The order of the
    names within a support does not count.
    """
    text = json.dumps([sorted(map(str, support)) for support in supports])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def run_record(*, dataset, group, method, seed, config, overrides, data, measured, pretrainings, parameters, device):
    """What a run measured, as ``metrics.json`` holds it (``names.RECORD_SCHEMA``).

    Args:
        measured: (readout, n_shot) -> draws, from ``measure`` or ``pooled``. ``episodes`` are those of the fine-tuning,
            without one the first ``n_episodes`` of the logistic regression.
        pretrainings: list of ``Pretraining``, one per split, empty for a method without.
        parameters: trainable values of the encoder.
    """
    readout = "finetuned" if ("finetuned", config.n_shot) in measured else "logistic"
    draws = measured[readout, config.n_shot][: config.n_episodes]
    unshared = [draw["accuracy_unshared_sources"] for draw in draws if draw["accuracy_unshared_sources"] is not None]
    mean, interval = mean_interval([draw["accuracy"] for draw in draws], n_query=draws[0]["n_query"])
    n_way = len(data.classes)
    return {
        "schema": RECORD_SCHEMA,
        "dataset": dataset.name,
        "synthetic": getattr(dataset, "synthetic", False),
        "group": group,
        "classes": data.classes,
        "method": method,
        "preset": config.name,
        "seed": seed,
        "n_way": n_way,
        "n_shot": config.n_shot,
        "protocol": config.protocol,
        "readout": readout,
        "episodes": [{key: draw[key] for key in draw if key not in ("confusion", "shuffled")} for draw in draws],
        "confusion": np.sum([draw["confusion"] for draw in draws], axis=0).tolist(),
        "accuracy_mean": mean,
        "accuracy_ci95": list(interval),
        "accuracy_unshared_sources_mean": float(np.mean(unshared)) if unshared else None,
        "readouts": list(_readouts(measured)),
        "labelled_clips": {"training": n_way * config.n_shot, "selection": 0},
        "pretraining": _pretraining(pretrainings, config.protocol),
        "finetuning": {"seconds": float(sum(draw["seconds"] for draw in draws))},
        "parameters": parameters,
        "overrides": overrides,
        "settings": config.as_dict(),
        "device": str(device),
        "precision": computing_precision(config.precision, device),
        "versions": {
            "acssm_lib": importlib.metadata.version("acoustic-ssm"),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def _readouts(measured):
    """Draws in columns; the plain fine-tuned ones stand in ``episodes``."""
    for (name, n_shot), draws in measured.items():
        for shuffled in (False, True):
            if (shuffled and "shuffled" in draws[0]) or (not shuffled and name != "finetuned"):
                scores = [draw["shuffled"] if shuffled else draw for draw in draws]
                yield {
                    "name": name,
                    "n_shot": n_shot,
                    "shuffled": shuffled,
                    "seeds": [draw["seed"] for draw in draws],
                    "accuracy": [_rounded(score["accuracy"]) for score in scores],
                    "n_query": [draw["n_query"] for draw in draws],
                    "accuracy_unshared_sources": [_rounded(score["accuracy_unshared_sources"]) for score in scores],
                    "n_query_unshared_sources": [draw["n_query_unshared_sources"] for draw in draws],
                    "supports": supports_digest([draw["support"] for draw in draws]),
                }


def _rounded(accuracy):
    return None if accuracy is None else round(accuracy, 6)


def _pretraining(pretrainings, protocol):
    """Sums over the splits; the loss is that of the last ten steps, averaged."""
    losses = [np.mean(done.losses[-10:]) for done in pretrainings if done.losses]  # of 0 epochs there are none
    return {
        "clips": pretrainings[0].clips if pretrainings else 0,
        "steps": sum(done.steps for done in pretrainings),
        "seconds": float(sum(done.seconds for done in pretrainings)),
        "final_loss": float(np.mean(losses)) if losses else None,
        "saw_query_clips": bool(pretrainings) and protocol == "transductive",
        "losses": _thinned(pretrainings[0].losses) if pretrainings else [],
    }


def _thinned(losses, most=200):
    stride = max(1, -(-len(losses) // most))
    return [round(loss, 4) for loss in losses[::stride]]
