"""Making the index of a survey: an encoder from windows of the card itself, then every window through it.

Recordings are taken one after another, whatever is wrong with some of them; what has been embedded is in the journal,
and the same call goes on after a stop of any kind, to the same bytes.
"""

import contextlib
import csv
import hashlib
import io
import math
import shutil
import time
from collections import defaultdict

import numpy as np
import torch
from filelock import FileLock, Timeout

from acssm_lib.data.audio import rounded
from acssm_lib.data.clips import Clips
from acssm_lib.data.reading.decoding import Recording
from acssm_lib.files import DataError, write_text
from acssm_lib.recordings import journal
from acssm_lib.recordings.card import files_of
from acssm_lib.recordings.encoders import WindowEncoder, make_encoder, needs_pool, survey_preset
from acssm_lib.recordings.index import Index
from acssm_lib.recordings.windows import Source, in_band, windows
from acssm_lib.text import in_csv, visible
from acssm_lib.training import load_state, save_state

FORMAT = 1  # raise it when the same recordings and encoder would give other windows
POOL = 2_000  # windows of the pre-training, at most
_POOL_FILES = 250  # recordings that they come from, at most: each is heard as a whole first
_LEAST_PER_FILE = 4
_TELL_S = 10.0  # s between two lines about what is left
_ENDS = 1 << 16  # bytes at both ends of a recording by which it is known again


def index_survey(survey, method=None, preset_name=None, overrides=(), *, n_pool=POOL, seed=0, device=None, tell=print):
    """Make, or go on with, the index of a ``Survey``.

    Args:
        method: a name of ``METHODS``; None for that of the index if it has one, else "acoustic-ssm1".
        preset_name, overrides: see ``survey_preset``; None for "quick".
        n_pool: windows of the pre-training, at most.
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
    return Index.open(survey)


@contextlib.contextmanager
def locked(folder):
    """Raises:
        DataError: another process works on this index.
    """
    try:
        with FileLock(folder / "lock", timeout=0):
            yield
    except Timeout:
        raise DataError(f"{folder}: another acssm works on this index; wait for it, or stop it") from None


def _encoder(survey, files, method, preset_name, overrides, n_pool, seed, device, tell):
    """The index's encoder: the one it was begun with, or a new one."""
    path = survey.index_folder / "encoder.pt"
    asked = {"method": method, "preset": preset_name, "overrides": {k: str(v) for k, v in overrides.items()} or None}
    if path.exists():
        state = load_state(path)
        for key, value in asked.items():
            if value is not None and value != state["asked"][key]:
                raise ValueError(f"{survey.index_folder}: this index was begun with {key} {state['asked'][key]}, and "
                                 f"now {value} is asked for; leave it out to go on, or remove the folder to begin "
                                 "again (labels stay)")
        return WindowEncoder.from_state(state, path, device)
    method = method or "acoustic-ssm1"
    config = survey_preset(preset_name or "quick", survey.settings, overrides)
    clips, done = None, None
    if needs_pool(method, config):
        tell(f"drawing up to {n_pool:,} windows from all sites and nights for the encoder")
        clips = draw_pool(files, survey.settings, n_pool, seed, tell)
    folder = survey.index_folder / "pretraining"
    encoder, done = make_encoder(method, config, survey.settings, clips, folder, seed, device)
    if done is not None and done.losses:
        tell(f"pre-trained on {done.clips:,} windows of this card in {done.seconds:.0f} s, loss "
             f"{done.losses[0]:.2f} to {np.mean(done.losses[-20:]):.2f}")
    save_state(path, {**encoder.state(), "asked": {**asked, "method": method, "preset": config.name}})
    shutil.rmtree(folder, ignore_errors=True)  # its checkpoints; the encoder is kept
    return encoder


def draw_pool(files, settings, n, seed, tell=print):
    """Windows for the pre-training, as many from every site and night as there are: a bank of at most ``n`` clips.

    Recordings are taken in turns from the site-nights, in an order drawn from the seed; of each, windows that do not
    overlap. One that cannot be used is passed over.

    Raises:
        DataError: fewer than two windows.
    """
    generator, nights = np.random.default_rng(seed), defaultdict(list)
    for place in generator.permutation(len(files)):
        nights[files[place].site, files[place].moment.night].append(files[place])
    turns = [queue[turn] for turn in range(max(map(len, nights.values())))
             for queue in nights.values() if turn < len(queue)]
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
        raise DataError(f"{files[0].path.parent}: {len(pool)} windows can be read; a pre-training needs more, and "
                        "acssm survey look says what is wrong with the recordings")
    return Clips(pool)


def _drawn(file, settings, n, generator):
    recording, source = Source.of(file.path, settings)
    starts = np.arange(0, max(source.length - source.window, 0) + 1, source.window)
    chosen = np.sort(generator.permutation(starts)[:n])
    band = settings.low_hz, settings.top_hz, settings.sample_rate
    return [torch.from_numpy(rounded(in_band(source.read(file.path, int(start), recording), *band)))
            for start in chosen]


def embed_files(folder, recordings, files, settings, encoder, tell=print, needed_hz=0.0):
    """Every window of every recording through an encoder, into the journal of an index; goes on where one was stopped.

    Args:
        files: list of CardFile. encoder: WindowEncoder.
        needed_hz: a recording that holds no sound up to here is refused.
    """
    head = {"format": FORMAT, "windows": settings.of_windows(), "encoder": encoder.digest, "width": encoder.width,
            "needed_hz": needed_hz}
    with journal.Journal(folder, head, encoder.width) as kept:
        todo = _todo(files, kept.lines, tell)
        left = _TimeLeft(todo, len(files), tell)
        for file in todo:
            line, embeddings = _embedded(file, settings, encoder, needed_hz)
            if "skipped" in line and not recordings.is_dir():
                raise DataError(f"{recordings}: the recordings are gone (a disk that was taken out?); put it back, and "
                                "the same command goes on")
            if "skipped" in line:
                tell(f"skipped  {visible(file.name)}: {visible(line['skipped'])}")
            kept.add(line, embeddings)
            left.done(file, line)
        if todo or not kept.lines or "complete" not in kept.lines[-1]:
            kept.add({"complete": True}, np.zeros((0, encoder.width), np.float32))
    _write_lists(folder)


def _todo(files, lines, tell):
    """Recordings that are not in the journal, or were skipped and have changed since.

    Raises:
        DataError: one that was embedded is another now.
    """
    known = {line["name"]: line for line in lines if "name" in line}
    todo = []
    for file in files:
        line = known.get(file.name)
        same = line is not None and line["size"] == file.size and (
            line["mtime_ns"] == file.mtime_ns or line["ends"] == ends(file.path))
        if line is not None and "skipped" not in line and not same:
            raise DataError(f"{file.path}: this recording was indexed, and has changed since; put the former one back, "
                            "or remove the folder index and begin again (labels stay)")
        if line is None or "skipped" in line and (not same or "cannot be read" in line["skipped"]):
            todo.append(file)
    gone = known.keys() - {file.name for file in files}
    if gone:
        tell(f"warning  {visible(min(gone))}{f' and {len(gone) - 1} more' if len(gone) > 1 else ''}: indexed, and not "
             "there any more; windows stay in the index, but cannot be listened to")
    return todo


def ends(path):
    """16 hexadecimal digits of a file's first and last bytes; "" if it cannot be read."""
    try:
        with open(path, "rb") as file:
            first = file.read(_ENDS)
            file.seek(max(0, file.seek(0, 2) - _ENDS))
            return hashlib.sha256(first + file.read()).hexdigest()[:16]
    except OSError:
        return ""


def _embedded(file, settings, encoder, needed_hz):
    """(line of the journal, embeddings); of a recording that cannot be used the line says why."""
    line = {"name": file.name, "size": file.size, "mtime_ns": file.mtime_ns, "ends": ends(file.path),
            "site": file.site, "night": file.moment.night, "recorded_at": file.moment.text, "clock": file.moment.origin}
    try:
        held_hz = Recording(file.path).sample_rate / 2 if needed_hz else 0.0
        if held_hz < 0.99 * needed_hz:
            raise DataError(f"{file.path}: holds sound up to {held_hz / 1000:g} kHz, and this recogniser was trained "
                            f"on sound up to {needed_hz / 1000:g} kHz; its scores would mean nothing here")
        recording, source = Source.of(file.path, settings)
        parts = [encoder(batch) for batch in windows(recording, source)]
        embeddings = np.concatenate(parts)
        if not np.isfinite(embeddings).all():
            raise DataError(f"{file.path}: its embeddings are not finite")
        return {**line, "source": source.as_dict()}, embeddings
    except Exception as error:  # one recording must never stop the others
        why = str(error).removeprefix(f"{file.path}: ")
        why = why if isinstance(error, DataError) else f"{type(error).__name__}: {why}"
        return {**line, "skipped": why}, np.zeros((0, encoder.width), np.float32)


class _TimeLeft:
    """A line every few seconds: how far it is, how fast, and how long it may take."""

    def __init__(self, todo, n_files, tell):
        self._bytes, self._left, self._n, self._tell = 0, sum(file.size for file in todo), len(todo), tell
        self._count, self._skipped, self._sound_s = 0, 0, 0.0
        self._started = self._said = time.monotonic()
        if todo and len(todo) < n_files:
            tell(f"{n_files - len(todo):,} of {n_files:,} recordings are indexed; going on")

    def done(self, file, line):
        self._count += 1
        self._bytes += file.size
        self._left -= file.size
        self._skipped += "skipped" in line
        if "source" in line:
            self._sound_s += line["source"]["heard"]["count"] / line["source"]["sample_rate"]
        now = time.monotonic()
        if now - self._said > _TELL_S or self._count == self._n:
            self._said, took = now, now - self._started
            left_s = took * self._left / max(self._bytes, 1)
            skipped = f", {self._skipped:,} skipped" if self._skipped else ""
            left = "done" if self._count == self._n else f"about {_duration(left_s)} left"
            self._tell(f"  {self._count:,} of {self._n:,} recordings, {self._sound_s / 3600:.2f} h of sound{skipped}; "
                       f"{self._sound_s / max(took, 1e-9):,.0f} h of sound per hour; {left}")


def _duration(seconds):
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_400 else f"{seconds / 3600:.1f} h"


def _write_lists(folder):
    """``files.csv`` and ``skipped.csv``, for people: the journal in tables."""
    _, lines, _ = journal.read(folder)
    last = {line["name"]: line for line in lines if "name" in line}
    good = [(name, line["site"], line["night"], line["recorded_at"], line["clock"], line["source"]["sample_rate"],
             round(line["source"]["heard"]["count"] / line["source"]["sample_rate"], 3), line["n_windows"],
             " / ".join(line["source"]["heard"]["notes"])) for name, line in sorted(last.items()) if "source" in line]
    bad = [(name, line["skipped"]) for name, line in sorted(last.items()) if "skipped" in line]
    write_table(folder / "files.csv", ("file", "site", "night", "recorded_at", "clock", "sample_rate", "duration_s",
                                       "windows", "notes"), good)
    write_table(folder / "skipped.csv", ("file", "why"), bad)


def write_table(path, columns, rows):
    """A CSV in UTF-8, atomically; cells of text are made harmless for spreadsheets."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([in_csv(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return write_text(path, out.getvalue())
