"""Making the index of a survey: an encoder from windows of the card itself, then every window through it."""

import math
import shutil
import time
from collections import defaultdict

import numpy as np
import torch

from acssm_lib.data.audio import rounded
from acssm_lib.data.clips import Clips
from acssm_lib.files import DataError
from acssm_lib.recordings.card import files_of
from acssm_lib.recordings.embedding import embed_files, locked
from acssm_lib.recordings.encoders import WindowEncoder, make_encoder, needs_pool, survey_preset
from acssm_lib.recordings.index import Index
from acssm_lib.recordings.windows import Source, in_band
from acssm_lib.text import many
from acssm_lib.training import load_state, save_state

POOL = 2_000  # windows of the pre-training, at most
_POOL_FILES = 250  # recordings that they come from, at most: each is heard as a whole first
_LEAST_PER_FILE = 4
_TELL_S = 10.0  # s between two lines about what is drawn


def index_survey(
    survey, method=None, preset_name=None, overrides=(), *, n_pool=None, seed=None, device=None, tell=print
):
    """Make, or go on with, the index of a ``Survey``.

    Args:
        method: a name of ``METHODS``; None for that of the index if it has one, else "acoustic-ssm1".
        preset_name, overrides: see ``survey_preset``; None for "quick".
        n_pool, seed: windows of the pre-training, at most, and its seed; None for those of the index if it has an
            encoder, else ``POOL`` and 0.
        tell: called with lines for the user.
    Returns:
        Index.
    Raises:
        DataError: no recording can be used. ValueError: other settings than those the index was begun with.
    """
    survey.index_folder.mkdir(parents=True, exist_ok=True)
    with locked(survey.index_folder):
        files, problems, _ = files_of(survey.recordings, survey.settings.time_zone)
        for problem in problems:
            tell(f"{problem.severity:<8} {problem}")
        if not files:
            raise DataError(f"{survey.recordings}: no recording in it (WAV, FLAC, Ogg, MP3, AIFF)")
        encoder = _encoder(survey, files, method, preset_name, dict(overrides), n_pool, seed, device, tell)
        embed_files(survey.index_folder, survey.recordings, files, survey.settings, encoder, tell)
        tuned = survey.tuned_folder / "encoder.pt"
        if tuned.is_file():
            tell("and by the encoder that was fine-tuned on the answers:")
            encoder = WindowEncoder.from_state(load_state(tuned), tuned, device)
            embed_files(survey.tuned_folder, survey.recordings, files, survey.settings, encoder, tell)
    return Index.open(survey)


def _encoder(survey, files, method, preset_name, overrides, n_pool, seed, device, tell):
    """The index's encoder: the one it was begun with, or a new one."""
    path = survey.index_folder / "encoder.pt"
    asked = {
        "method": method,
        "preset": preset_name,
        "overrides": {k: str(v) for k, v in overrides.items()} or None,
        "windows": n_pool,
        "seed": seed,
    }
    if path.exists():
        state = load_state(path)
        for key, value in asked.items():
            if value is not None and value != state["asked"].get(key, value):
                raise ValueError(
                    f"{survey.index_folder}: this index was begun with {key} {state['asked'][key]}, and "
                    f"now {value} is asked for; leave it out to go on, or remove the folder to begin "
                    "again (labels stay)"
                )
        return WindowEncoder.from_state(state, path, device)
    method, n_pool, seed = method or "acoustic-ssm1", POOL if n_pool is None else n_pool, seed or 0
    config = survey_preset(preset_name or "quick", survey.settings, overrides)
    clips, done = None, None
    if needs_pool(method, config):
        tell(f"drawing up to {n_pool:,} windows from all sites and nights for the encoder")
        clips = draw_pool(files, survey.settings, n_pool, seed, tell)
    folder = survey.index_folder / "pretraining"
    encoder, done = make_encoder(method, config, survey.settings, clips, folder, seed, device)
    if done is not None and done.losses:
        tell(
            f"pre-trained on {done.clips:,} windows of this card in {done.seconds:.0f} s, loss "
            f"{done.losses[0]:.2f} to {np.mean(done.losses[-20:]):.2f}"
        )
    asked |= {"method": method, "preset": config.name, "windows": n_pool, "seed": seed}
    save_state(path, {**encoder.state(), "asked": asked})
    shutil.rmtree(folder, ignore_errors=True)  # its checkpoints; the encoder is kept
    return encoder


def draw_pool(files, settings, n, seed, tell=print):
    """Windows for the pre-training, as many from every site and night as there are: a bank of at most ``n`` clips.

    Recordings are taken in turns from the site-nights, in an order drawn from the seed; of each, windows that do not
    overlap. One that cannot be used is passed over.

    Raises:
        DataError: fewer than two windows can be read. ValueError: fewer than two are asked for.
    """
    if n < 2:
        raise ValueError(
            f"{many(n, 'window')} for the pre-training: views of one are contrasted with those of others, "
            "so it takes two or more"
        )
    generator, nights = np.random.default_rng(seed), defaultdict(list)
    for place in generator.permutation(len(files)):
        nights[files[place].site, files[place].moment.night].append(files[place])
    turns = [
        queue[turn] for turn in range(max(map(len, nights.values()))) for queue in nights.values() if turn < len(queue)
    ]
    per_file = max(_LEAST_PER_FILE, math.ceil(n / min(len(files), _POOL_FILES)))
    pool, started = [], time.monotonic()
    for file in turns:
        try:
            pool += _drawn(file, settings, min(per_file, n - len(pool)), generator)
        except Exception:  # whatever it is: it is named when its turn to be embedded comes
            continue
        if time.monotonic() - started > _TELL_S:
            tell(f"  {len(pool):,} windows drawn")
            started = time.monotonic()
        if len(pool) >= n:
            break
    if len(pool) < 2:
        raise DataError(
            f"{files[0].path.parent}: {len(pool)} windows can be read; a pre-training needs more, and "
            "acssm survey look says what is wrong with the recordings"
        )
    return Clips(pool)


def _drawn(file, settings, n, generator):
    recording, source = Source.of(file.path, settings)
    starts = np.arange(0, max(source.length - source.window, 0) + 1, source.window)
    chosen = np.sort(generator.permutation(starts)[:n])
    band = settings.low_hz, settings.top_hz, settings.sample_rate
    return [
        torch.from_numpy(rounded(in_band(source.read(file.path, int(start), recording), *band))) for start in chosen
    ]
