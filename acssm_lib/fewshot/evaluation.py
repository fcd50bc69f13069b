"""Accuracy of a learner over the support draws of one run."""

import hashlib
import json
import sys
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

from acssm_lib.code_digest import code_digest
from acssm_lib.fewshot.episodes import episode_seeds, shares_source
from acssm_lib.fewshot.protocols import Split
from acssm_lib.files import write_json
from acssm_lib.presets import Preset
from acssm_lib.training import weights_digest


def evaluate(
    learner,
    labels,
    sources,
    names,
    config: Preset,
    seed: int,
    *,
    split: Split | None = None,
    shuffled: bool = False,
    checkpoint=None,
    progress: bool = True,
) -> list[dict]:
    """Accuracy of a learner over the support draws of one run.

    Args:
        learner: has ``fit(indices, labels, seed, checkpoint=None)`` and ``predict(indices)`` -> (clips, n_way).
        labels: 0 ... n_way - 1, (clips,); negative for clips that take no part.
        sources: recording of each clip, None where unknown.
        names: of each clip, for the record.
        config: a ``Preset``; ``n_shot``, ``support_sources`` and ``n_episodes`` are used.
        seed: of the run; the draws are ``episode_seeds(seed, n_episodes)``, the same for every method.
        split: a ``Split``, which says what may be labelled and what is asked; None: all clips of the group.
        shuffled: ask every query a second time with its frames in random order, by
            ``learner.predict(indices, shuffle_seed=...)``.
        checkpoint: folder in which finished draws are kept; a killed evaluation resumes with the next one. What was
            kept for another encoder, other settings or clips is refused by name; a damaged file, and a draw of another
            version of the code, is named and drawn again.
    Returns:
        list of dictionaries, one per draw: seed, accuracy, n_query, accuracy_unshared_sources (None when every
        query shares one), n_query_unshared_sources, support (clip names), confusion (n_way, n_way), seconds; with
        ``shuffled`` also a dictionary of that name with the two accuracies.
    Raises:
        ValueError: the folder holds draws of something else.
    Taught in: 05_few_shot_finetuning.
    Source: paper section III; several draws, unshared sources and the shuffled frames are ours.
    """
    labels = np.asarray(labels)
    n_way = int(labels.max()) + 1
    everyone = Split(pool=np.arange(len(labels)), support=np.flatnonzero(labels >= 0))
    identity = _identity(learner, labels, sources, names, config, split or everyone, shuffled) if checkpoint else None
    results = []
    draws = episode_seeds(seed, config.n_episodes)
    for draw in tqdm(draws, desc="support draws", disable=not progress, file=sys.stdout):
        file = draw_file(checkpoint, draw) if checkpoint else None
        kept = _kept(file, identity) if file else None
        if kept:
            results.append(kept)
            continue
        episode = (split or everyone).episode(labels, n_way, config.n_shot, draw, sources, config.support_sources)
        half_done = file.with_suffix(".ckpt") if file else None
        result = _of_draw(learner, episode, labels, sources, draw, shuffled, half_done)
        result["support"] = [names[index] for index in episode.support]
        results.append(result)
        if file:
            digest = _seal(result, identity)
            write_json(file, {"draw": result, "identity": identity, "code": code_digest(), "digest": digest})
            if draw != draws[0]:  # the first can be made again from it at once, to keep it
                file.with_suffix(".ckpt").unlink(missing_ok=True)
    return results


def _of_draw(learner, episode, labels, sources, draw, shuffled, checkpoint):
    """What a learner that was fitted to one draw makes of its queries, and of their shuffled frames."""
    started, n_way = time.monotonic(), int(labels.max()) + 1
    learner.fit(episode.support, labels[episode.support], draw, checkpoint=checkpoint)
    result = _score(learner.predict(episode.query).argmax(1), episode, labels, sources, n_way)
    result |= {"seed": draw, "seconds": time.monotonic() - started}
    if shuffled:
        predicted = learner.predict(episode.query, shuffle_seed=draw).argmax(1)
        score = _score(predicted, episode, labels, sources, n_way)
        result["shuffled"] = {key: score[key] for key in ("accuracy", "accuracy_unshared_sources")}
    return result


def draw_file(checkpoint, draw):
    """Where ``evaluate`` keeps a finished support draw; beside it, ``.ckpt``, the training of the first one."""
    return Path(checkpoint) / f"draw{draw}.json"


_NOT_A_DRAW = ("name", "n_episodes", "n_frozen_episodes", "frozen_shots")  # how many there are changes none of them


def _identity(learner, labels, sources, names, config, split, shuffled):
    """Everything that the accuracy of a draw follows from, as JSON gives it back."""
    settings = {key: value for key, value in config.as_dict().items() if key not in _NOT_A_DRAW}
    encoder, embedding, clips = (getattr(learner, name, None) for name in ("encoder", "embedding", "clips"))
    return json.loads(
        json.dumps(
            {
                "learner": type(learner).__name__,
                "shuffled frames": shuffled,
                **settings,
                "encoder": None if encoder is None else weights_digest(encoder),
                "embedding": None if embedding is None else _digest(np.asarray(embedding).tobytes()),
                "samples of the clips": None if clips is None else _digest(clips.digests().tobytes()),
                **{
                    name: _digest(json.dumps([str(one) for one in listed]).encode())
                    for name, listed in (
                        ("labels", labels),
                        ("recordings", sources),
                        ("names of the clips", names),
                        ("pool", split.pool),
                        ("clips to label", split.support),
                        ("clips to ask", [] if split.query is None else split.query),
                    )
                },
            }
        )
    )


def _digest(content):
    return hashlib.sha256(content).hexdigest()[:32]


def _kept(file, identity):
    """A draw that was finished before, or None.

    Raises:
        ValueError: it is one of another experiment.
    """
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        draw, found, code, digest = (kept[key] for key in ("draw", "identity", "code", "digest"))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):  # empty, cut short, or of a version that wrote something else
        print(f"{file}: damaged or of an older version; drawn again")
        return None
    if not isinstance(found, dict) or digest != _seal(draw, found):
        print(f"{file}: damaged, it does not match its digest; drawn again")
        return None
    found = Preset().as_dict() | found  # a setting that came later stood at its default
    other = [key for key in identity if found.get(key) != identity[key]]
    if other:
        raise ValueError(
            f"{file} was measured with another {', '.join(other[:5])}; delete {file.parent} to start "
            "over, or choose another folder"
        )
    if code != code_digest():
        print(f"{file}: of another version of the code; drawn again")
        return None
    return draw


def _seal(draw, identity):
    return _digest(json.dumps([draw, identity], sort_keys=True).encode())


def _score(predicted, episode, labels, sources, n_way):
    right = predicted == labels[episode.query]
    unshared = ~shares_source(episode.query, episode.support, sources)
    confusion = np.zeros((n_way, n_way), dtype=int)  # rows: truth
    np.add.at(confusion, (labels[episode.query], predicted), 1)
    return {
        "accuracy": float(right.mean()),
        "n_query": len(right),
        "accuracy_unshared_sources": float(right[unshared].mean()) if unshared.any() else None,
        "n_query_unshared_sources": int(unshared.sum()),
        "confusion": confusion.tolist(),
    }
