"""First labels that somebody has already: a call in a recording, a clip from elsewhere, a Raven or Audacity table."""

import csv
import difflib
import re
import unicodedata
from collections import Counter
from pathlib import Path, PurePosixPath

from acssm_lib.data.reading.decoding import AUDIO_SUFFIXES, PHONE_SUFFIXES, Recording
from acssm_lib.files import DataError
from acssm_lib.recordings.examples import add_clip
from acssm_lib.recordings.labels import Labels, user_name

_NUMBER = r"\d+(?:\.\d+)?|\.\d+"


def add_example(survey, text, by=None):
    """One example from words: ``CLASS=FILE@START-END``, times in s.

    A file below the recordings is marked in ``labels.csv``. Any other is a clip of the class, of which a window is kept
    (``examples.add_clip``); START and END may then be left out.

    Returns:
        what was taken, in words.
    Raises:
        DataError: no such class, recording or clip, or times that cannot be.
    """
    match = re.fullmatch(rf"(.+?)=(.+?)(?:@({_NUMBER})-({_NUMBER}))?", text)
    if match is None:
        raise DataError(
            f"{text!r}: expected CLASS=FILE@START-END, as in frog=A/20240514_040000.WAV@12.5-15, or "
            "CLASS=CLIP, as in frog=clips/frog.wav"
        )
    name, file = _one_spelling(match[1]), match[2]
    span = (float(match[3]), float(match[4])) if match[3] else None
    _check_class(survey, name)
    inside = _below(survey, file)
    if inside is None:
        return f"{name}: {add_clip(survey, name, _clip(survey, file), span)}"
    if span is None:
        raise DataError(f"{file}: a recording of the survey; say where in it the call is, as in {name}={file}@12.5-15")
    _check_span(survey, inside, *span)
    _mark(Labels(survey.labels_csv), name, inside, *span, (None, None), by)
    return f"{name}: {inside}, {span[0]:g} to {span[1]:g} s"


def add_table(survey, path, by=None):
    """Every mark of a Raven selection table or an Audacity label track whose label is a class of the survey.

    The recording is the one that the mark's row names (``Begin File``, where Raven had several open), else the one
    whose name, without its ending, the table's name begins with (``X.Table.1.selections.txt``, ``X.txt``): below the
    survey's recordings, else beside the table, where the marks are clips from elsewhere.

    Returns:
        number of marks taken, and label -> number of those that are called as no class.
    Raises:
        DataError: no recording or more than one of that name, no such table, or no mark of a class.
    """
    found = read_marks(path)
    marks = [mark for mark in found if mark[0] in survey.settings.classes]
    stem = path.name.split(".Table.")[0].removesuffix(".selections.txt").removesuffix(".txt")
    several = len({mark[4] for mark in found}) > 1
    places = {
        name: _recording(survey, path, [name] if several else [name, stem])
        for name in dict.fromkeys(mark[4] for mark in found)
    }
    if not marks:
        raise DataError(
            f"{path}: no mark is called {' or '.join(survey.settings.classes) or 'as a class'}"
            + (f"; it has {', '.join(sorted({mark[0] for mark in found}))}" if found else "")
        )
    inside = {
        name: place.relative_to(survey.recordings).as_posix()
        for name, place in places.items()
        if place.is_relative_to(survey.recordings)
    }
    for _, start_s, end_s, _, name in marks:  # all, before the first is written
        if name in inside:
            _check_span(survey, inside[name], start_s, end_s)
    labels = Labels(survey.labels_csv)
    for label, start_s, end_s, band, name in marks:
        if name in inside:
            _mark(labels, label, inside[name], start_s, end_s, band, by)
        else:
            add_clip(survey, label, places[name], (start_s, end_s))
    return len(marks), Counter(mark[0] for mark in found if mark[0] not in survey.settings.classes)


def _recording(survey, table, names):
    """The recording of the first name that one has, with its ending or without: of the survey, or beside the table."""
    for name in filter(None, names):
        named = lambda place, name=name: (
            place.suffix.lower() in AUDIO_SUFFIXES + PHONE_SUFFIXES and name in (place.name, place.stem)
        )
        places = [place for place in sorted(survey.recordings.rglob("*")) if named(place)] or [
            place for place in sorted(table.parent.iterdir()) if named(place)
        ]
        if len(places) == 1:
            return places[0]
    raise DataError(
        f"{table}: {len(places)} recordings are called {name}; expected exactly one below "
        f"{survey.recordings}, or beside the table"
    )


def read_marks(path):
    """(label, start s, end s, (low Hz, high Hz), recording) of a Raven selection table or an Audacity label track.

    Raven counts times through all the files that it has open; a row's ``Begin File`` and ``File Offset (s)`` say where
    it is. The recording is None where no row names one.

    Raises:
        DataError: it is neither.
    """
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.reader(file, delimiter="\t"))
        if rows and "Begin Time (s)" in rows[0]:
            found = []
            for row in (dict(zip(rows[0], row)) for row in rows[1:]):
                if row.get("View", "Spectrogram 1").startswith("Waveform"):
                    continue  # Raven writes each selection once per view
                label = _one_spelling(
                    next(
                        (
                            row[key]
                            for key in ("Annotation", "Species", "Label", "Class", "Common Name", "Tags")
                            if row.get(key)
                        ),
                        "",
                    )
                )
                begin, end = float(row["Begin Time (s)"]), float(row["End Time (s)"])
                file, offset = row.get("Begin File") or None, row.get("File Offset (s)")
                start = float(offset) if file and offset else begin
                found.append(
                    (
                        label,
                        start,
                        start + end - begin,
                        (float(row["Low Freq (Hz)"]), float(row["High Freq (Hz)"]))
                        if row.get("Low Freq (Hz)") and row.get("High Freq (Hz)")
                        else (None, None),
                        file,
                    )
                )
            return found
        found = []
        for row in rows:
            if row and row[0] == "\\" and found:  # the second line of a spectral label: its band
                found[-1] = (*found[-1][:3], (float(row[1]), float(row[2])), None)
            elif row:
                found.append((_one_spelling(row[2]), float(row[0]), float(row[1]), (None, None), None))
        return found
    except (ValueError, IndexError, KeyError, csv.Error) as error:
        raise DataError(f"{path}: no Raven selection table and no Audacity label track ({error})") from None


def _one_spelling(name):
    """A class as ``SurveySettings`` spells it: an accent may be one letter or two, by the system it was typed on."""
    return unicodedata.normalize("NFC", name)


def _check_class(survey, name):
    if name not in survey.settings.classes:
        raise DataError(
            f"{name!r} is no class of {survey.folder / 'survey.toml'}: "
            f"{', '.join(survey.settings.classes) or 'none yet; --classes A,B names them'}"
        )


def _below(survey, file):
    """Path below the recordings of a file that is one of them, else None; spelled as on the disk.

    An accent may be one letter or two, by the system it was typed on.
    """
    root = survey.recordings.resolve()
    for place in (root / file, Path(file)):
        if place.is_file() and place.resolve().is_relative_to(root):
            return place.resolve().relative_to(root).as_posix()
    plain = unicodedata.normalize("NFC", file)
    alike = (
        [
            place
            for place in root.rglob("*")
            if unicodedata.normalize("NFC", place.relative_to(root).as_posix()) == plain
        ]
        if not plain.isascii()
        else []
    )
    return alike[0].relative_to(root).as_posix() if alike else None


def _clip(survey, file):
    """A file that is no recording of the survey."""
    if Path(file).is_file():
        return Path(file)
    names = [
        place.relative_to(survey.recordings).as_posix()
        for place in survey.recordings.rglob("*")
        if place.suffix.lower() in AUDIO_SUFFIXES
    ]
    close = difflib.get_close_matches(file, names, n=1)
    raise DataError(
        f"{file}: no such recording below {survey.recordings}, and no such clip elsewhere"
        + (f" (did you mean {close[0]}?)" if close else "")
    )


def _check_span(survey, file, start_s, end_s):
    if not start_s < end_s:
        raise DataError(f"{file}: a mark from {start_s:g} to {end_s:g} s; it ends before it begins")
    recording = Recording(survey.recordings / PurePosixPath(file))
    count = recording.samples or sum(len(block) for block in recording.blocks())
    if start_s < 0 or end_s > count / recording.sample_rate + 0.5:
        raise DataError(
            f"{file}: a mark from {start_s:g} to {end_s:g} s; the recording ends at "
            f"{count / recording.sample_rate:.1f} s"
        )


def _mark(labels, name, file, start_s, end_s, band, by):
    """The mark says yes to its class, and nothing of the others: they may call at the same time."""
    labels.add((file, start_s, end_s), {name: "yes"}, by or user_name(), "example", band=band)
