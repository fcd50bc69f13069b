"""From scores to detections: windows over a class's threshold, neighbours as one, with absolute times and boxes."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from acssm_lib.files import DataError
from acssm_lib.recordings.card import files_of
from acssm_lib.recordings.embedding import embed_files, locked
from acssm_lib.recordings.exports import write_tables
from acssm_lib.recordings.folder import Survey
from acssm_lib.recordings.index import Index
from acssm_lib.recordings.share import read_recogniser
from acssm_lib.recordings.tables import write_table
from acssm_lib.text import quoted

COLUMNS = (
    "file",
    "start_s",
    "end_s",
    "low_hz",
    "high_hz",
    "class",
    "score",
    "recorded_at",
    "absolute_start",
    "clock",
    "site",
    "night",
)
_AT_ONCE = 1 << 16  # windows that are scored at a time


@dataclass(frozen=True)
class Detection:
    """One call, or a bout of calls: windows of a class over its threshold that touch or overlap.

    Attributes:
        file: IndexedFile. start_s, end_s: of the first and the last window, never beyond the end of the file.
        low_hz, high_hz: the class's band, or the survey's, up to the file's Nyquist frequency at most.
        name: of the class. score: the highest of its windows.
    """

    file: object
    start_s: float
    end_s: float
    low_hz: float
    high_hz: float
    name: str
    score: float

    @property
    def absolute_start(self):
        """ISO 8601, "" where the clock is unknown."""
        if not self.file.recorded_at:
            return ""
        at = datetime.fromisoformat(self.file.recorded_at) + timedelta(seconds=round(self.start_s, 3))
        return at.isoformat(timespec="milliseconds")

    @property
    def row(self):
        """Cells of ``COLUMNS``."""
        file = self.file
        return (
            file.name,
            f"{self.start_s:.3f}",
            f"{self.end_s:.3f}",
            f"{self.low_hz:.1f}",
            f"{self.high_hz:.1f}",
            self.name,
            f"{self.score:.4f}",
            file.recorded_at,
            self.absolute_start,
            file.clock,
            file.site,
            file.night,
        )


def detect(index, heads, settings):
    """All detections of an index, by recording, start and class.

    A class without a head (too few answers) detects nothing, and so does one whose band the file cannot hold.

    Args:
        index: Index. heads: Heads; ``evidence[class]["band"]`` is (low_hz, high_hz) where calls were marked.
        settings: SurveySettings.
    Returns:
        list of Detection.
    """
    found = []
    for k, (over, scores) in _over_threshold(index, heads).items():
        name = heads.classes[k]
        low, high = heads.evidence.get(name, {}).get("band") or (settings.low_hz, settings.top_hz)
        for place, begin, end, score in _bouts(index, over, scores):
            file = index.files[place]
            if low < file.nyquist_hz:
                found.append(
                    (
                        place,
                        Detection(
                            file,
                            begin,
                            min(end, file.duration_s),
                            float(low),
                            float(min(high, file.nyquist_hz)),
                            name,
                            score,
                        ),
                        k,
                    )
                )
    return [one for _, one, _ in sorted(found, key=lambda entry: (entry[0], entry[1].start_s, entry[2]))]


def _over_threshold(index, heads):
    """Place of a class with a head -> (windows over its threshold, their scores); embeddings are read once."""
    trained = [k for k in range(len(heads.classes)) if np.any(heads.weight[k])]
    found = {k: ([np.zeros(0, int)], [np.zeros(0)]) for k in trained}
    for first in range(0, len(index), _AT_ONCE):
        scores = heads.scores(index.embeddings[first : first + _AT_ONCE])
        for k in trained:
            hits = np.flatnonzero(scores[:, k] >= heads.thresholds.get(heads.classes[k], 0.5))
            found[k][0].append(hits + first)
            found[k][1].append(scores[hits, k])
    return {k: (np.concatenate(over), np.concatenate(scores)) for k, (over, scores) in found.items()}


def _bouts(index, over, scores):
    """Yields (place of the file, start s, end s, best score) of windows over a threshold, neighbours together."""
    if not len(over):
        return
    files, starts = index.file_of[over], index.start_s[over]
    apart = (np.diff(files) != 0) | (np.diff(over) != 1) | (np.diff(starts) > index.window_s)
    first = np.flatnonzero(np.r_[True, apart])
    last = np.r_[first[1:], len(over)] - 1
    best = np.maximum.reduceat(scores, first)
    for a, b, score in zip(first, last, best):
        yield int(files[a]), float(starts[a]), float(starts[b] + index.window_s), float(score)


def predict_survey(survey, formats=("raven",), device=None, tell=print):
    """Detections of a survey's own recordings by its recogniser: ``detections.csv`` and tables.

    Returns:
        list of Detection.
    Raises:
        DataError: no recogniser or index yet, or they do not belong together.
    """
    made, index = read_recogniser(survey.recogniser, device), Index.open(survey)
    if made.encoder.digest != index.head["encoder"]:
        raise DataError(f"{survey.recogniser}: trained on another index than {index.folder}; train again")
    if not index.complete:
        tell(f"warning  the index is not finished; acssm survey index {quoted(survey.folder)} goes on with it")
    return _write(index, made, survey.settings, survey.folder, formats, tell)


def predict_folder(model, recordings, out, formats=("raven",), time_zone=None, device=None, tell=print):
    """Detections in recordings that a recogniser has never heard; goes on where it was stopped.

    Args:
        model: file of a recogniser. recordings: a folder, or a survey's folder.
        out: folder of the results: index, detections.csv, tables.
        time_zone: of the recorders' clocks; None for unknown, and in a survey for its own.
    Returns:
        list of Detection.
    Raises:
        DataError: no recording can be used, or they do not suit the recogniser; ``out`` holds results of others.
    """
    made, recordings, out = read_recogniser(model, device), Path(recordings), Path(out)
    if (recordings / "survey.toml").is_file():
        survey = Survey.open(recordings)
        made.check(survey.settings, recordings)
        recordings, time_zone = survey.recordings, time_zone or survey.settings.time_zone
    folder = out / "index"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        files, problems, _ = files_of(recordings, time_zone)
        for problem in problems:
            tell(f"{problem.severity:<8} {problem}")
        embed_files(folder, recordings, files, made.settings, made.encoder, tell, made.needed_hz, gone_may_stay=False)
        index = Index.at(folder, recordings)
        return _write(index, made, made.settings, out, formats, tell)


def _write(index, made, settings, folder, formats, tell):
    """detections.csv and tables, each whole or not at all, so that a stop between them only means to write again."""
    for name, row in zip(made.heads.classes, made.heads.weight):
        if not np.any(row):
            tell(f"warning  {name}: no head (too few answers); nothing is detected")
    found = detect(index, made.heads, settings)
    write_tables(folder / "tables", index, found, formats)
    write_table(folder / "detections.csv", COLUMNS, [one.row for one in found])
    counts = {name: sum(one.name == name for one in found) for name in made.heads.classes}
    hours = sum(file.duration_s for file in index.files) / 3600
    tell(
        f"{len(found):,} detections in {len(index.files):,} recordings, {hours:.2f} h"
        + (f"; {len(index.skipped)} files skipped, see {index.folder / 'skipped.csv'}" if index.skipped else "")
    )
    for name, count in counts.items():
        told = made.heads.evidence.get(name, {}).get("threshold", "not reviewed: what it is worth, nobody knows yet")
        tell(f"  {name}: {count:,} at a score of {made.heads.thresholds.get(name, 0.5):.2f} or more ({told})")
    return found
