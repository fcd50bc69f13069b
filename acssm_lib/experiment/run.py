"""One run as a function: recordings in, a record out, and an encoder and a classifier kept. Notebook 08, in one go."""

import shutil
from pathlib import Path

from acssm_lib.experiment.classifier import classifier_of, save_classifier
from acssm_lib.experiment.measure import measure, pooled
from acssm_lib.experiment.records import run_record, write_metrics
from acssm_lib.experiment.shelf import pretrained_encoder
from acssm_lib.fewshot.groups import load_group
from acssm_lib.fewshot.protocols import splits
from acssm_lib.names import EMBEDDER_NAMES
from acssm_lib.training import count_parameters, pick_device, save_weights


def run(
    recordings,
    group,
    method,
    config,
    seed,
    *,
    overrides=None,
    out=None,
    encoders=None,
    weights=None,
    device=None,
    progress=True,
):
    """Load, pool, pre-train, draw supports, fine-tune and read, record: one group, method and seed.

    A run that was stopped goes on from what it left in ``out`` and ``encoders``.

    Args:
        recordings: a data set, see ``datasets.load``.
        config: a ``Preset``.
        overrides: what was changed of the preset, for the record.
        out: folder that receives ``metrics.json``, ``encoder.pt`` and ``classifier.pt``; None writes nothing.
        encoders: folder of pre-trained encoders that runs share; None for the user's cache.
        weights: file of an embedder's downloaded weights; None for the one in the cache.
    Returns:
        the record, as ``metrics.json`` holds it.
    Raises:
        ValueError: no such group, or settings that contradict each other; DataError: a clip that cannot be used.
    Source: paper sections II and III.
    """
    data = load_group(recordings, group, config, seed, progress=progress)
    parts = splits(data, config, seed)
    where = {"out": out, "encoders": encoders, "weights": weights, "device": device, "progress": progress}
    encoder, pretrainings, measured = over_splits(method, data, parts, config, seed, **where)
    record = run_record(
        dataset=recordings,
        group=group,
        method=method,
        seed=seed,
        config=config,
        overrides=overrides or {},
        data=data,
        measured=measured,
        pretrainings=pretrainings,
        parameters=0 if encoder is None else count_parameters(encoder),
        device=pick_device(device),
    )
    if out:
        keep(out, record, encoder, data, parts[-1], config, weights=weights, device=device)
    return record


def over_splits(
    method, data, parts, config, seed, *, out=None, encoders=None, weights=None, device=None, progress=True
):
    """Pre-train and measure, split after split: one of the transductive protocol, five of an inductive one.

    Args:
        data: a ``GroupData``.
        parts: its ``splits``.
        out, encoders, weights, device, progress: as for ``run``.
    Returns:
        encoder: of the last split, in eval mode; None for mel-stats.
        pretrainings: list of ``Pretraining``, empty for a method without.
        measured: what ``measure`` says, the queries of all splits counted together.
    """
    measured, pretrainings = [], []
    for number, part in enumerate(parts):
        encoder, pretraining = pretrained_encoder(
            method,
            data,
            config,
            seed,
            pool=part.pool,
            folder=encoders,
            weights=weights,
            device=device,
            progress=progress,
        )
        pretrainings += [pretraining] if pretraining else []
        measured.append(
            measure(
                encoder,
                data,
                part,
                config,
                seed,
                device=device,
                progress=progress,
                checkpoint=_unfinished(out) / f"split{number}" if out else None,
            )
        )
    return encoder, pretrainings, pooled(measured)


def keep(out, record, encoder, data, split, config, *, weights=None, device=None):
    """Write what a run leaves, the record last: where it is, the rest is complete.

    Args:
        encoder, split: of the last split, whose first support draw the classifier is made from.
    """
    out, method = Path(out), record["method"]
    drawn = sorted(_unfinished(out).glob("split*"))
    classifier = classifier_of(
        method, encoder, data, split, config, record["seed"], device=device, checkpoint=drawn[-1] if drawn else None
    )
    save_classifier(out / "classifier.pt", classifier, weights)
    if encoder is not None and method not in EMBEDDER_NAMES:  # those are in the cache as they came
        save_weights(out / "encoder.pt", encoder)
    write_metrics(out / "metrics.json", record)
    shutil.rmtree(_unfinished(out), ignore_errors=True)


def _unfinished(out):
    """Folder of finished draws and checkpoints while the run goes on."""
    return Path(out) / "progress"
