"""First labels that somebody has already: a call in a recording, or a Raven or Audacity table of it."""

import csv
import re
from pathlib import PurePosixPath

from acssm_lib.files import DataError
from acssm_lib.recordings.labels import Labels, user_name


def add_example(survey, text, by=None):
    """One example from words: ``CLASS=FILE@START-END``, the file below the recordings, times in s.

    Raises:
        DataError: no such class or recording, or times that cannot be.
    """
    match = re.fullmatch(r"(.+?)=(.+)@([\d.]+)-([\d.]+)", text)
    if match is None:
        raise DataError(f"{text!r}: expected CLASS=FILE@START-END, as in frog=A/20240514_040000.WAV@12.5-15")
    name, file, start_s, end_s = match[1], match[2], float(match[3]), float(match[4])
    _check(survey, name, file, start_s, end_s)
    _add(survey, Labels(survey.labels_csv), name, file, start_s, end_s, (None, None), by)


def add_table(survey, path, by=None):
    """Every mark of a Raven selection table or an Audacity label track whose label is a class of the survey.

    The recording is the one whose name, without its ending, the table's name begins with (``X.Table.1.selections.txt``,
    ``X.txt``).

    Returns:
        number of marks.
    Raises:
        DataError: no recording or more than one of that name, no such table, or no mark of a class.
    """
    stem = path.name.split(".Table.")[0].removesuffix(".selections.txt").removesuffix(".txt")
    found = [place for place in sorted(survey.recordings.rglob("*")) if place.is_file() and place.stem == stem]
    if len(found) != 1:
        raise DataError(f"{path}: {len(found)} recordings are called {stem}; expected exactly one below "
                        f"{survey.recordings}")
    file = found[0].relative_to(survey.recordings).as_posix()
    marks = [mark for mark in read_marks(path) if mark[0] in survey.settings.classes]
    if not marks:
        raise DataError(f"{path}: no mark is called {' or '.join(survey.settings.classes) or 'as a class'}")
    labels = Labels(survey.labels_csv)
    for name, start_s, end_s, band in marks:
        _check(survey, name, file, start_s, end_s)
        _add(survey, labels, name, file, start_s, end_s, band, by)
    return len(marks)


def read_marks(path):
    """(label, start s, end s, (low Hz, high Hz)) of a Raven selection table or an Audacity label track.

    Raises:
        DataError: it is neither.
    """
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    try:
        if rows and "Begin Time (s)" in rows[0]:
            found = []
            for row in (dict(zip(rows[0], row)) for row in rows[1:]):
                if row.get("View", "Spectrogram 1").startswith("Waveform"):
                    continue  # Raven writes each selection once per view
                label = next((row[key] for key in ("Annotation", "Species", "Label", "Class", "Common Name", "Tags")
                              if row.get(key)), "")
                found.append((label, float(row["Begin Time (s)"]), float(row["End Time (s)"]),
                              (float(row["Low Freq (Hz)"]), float(row["High Freq (Hz)"]))
                              if row.get("Low Freq (Hz)") and row.get("High Freq (Hz)") else (None, None)))
            return found
        found = []
        for row in rows:
            if row and row[0] == "\\" and found:  # the second line of a spectral label: its band
                found[-1] = (*found[-1][:3], (float(row[1]), float(row[2])))
            elif row:
                found.append((row[2], float(row[0]), float(row[1]), (None, None)))
        return found
    except (ValueError, IndexError, KeyError) as error:
        raise DataError(f"{path}: no Raven selection table and no Audacity label track ({error})") from None


def _check(survey, name, file, start_s, end_s):
    if name not in survey.settings.classes:
        raise DataError(f"{name!r} is no class of {survey.folder / 'survey.toml'}: "
                        f"{', '.join(survey.settings.classes) or 'none yet'}")
    path = survey.recordings / PurePosixPath(file)
    if not path.is_file():
        raise DataError(f"{path}: no such recording; expected a path below {survey.recordings}")
    if not 0 <= start_s < end_s:
        raise DataError(f"{file}: a mark from {start_s:g} to {end_s:g} s; it ends before it begins")


def _add(survey, labels, name, file, start_s, end_s, band, by):
    """The mark says yes to its class, and nothing of the others: they may call at the same time."""
    labels.add((PurePosixPath(file).as_posix(), start_s, end_s), {name: "yes"}, by or user_name(), "example",
               band=band)
