"""The tables of a data folder, as spreadsheets save them, and those that other programs put beside recordings."""

import csv
import io
import re
import unicodedata
from collections import defaultdict
from pathlib import PurePosixPath

from acssm_lib.files import DataError

_TABLE_ENDINGS = (".txt", ".csv", ".tsv")
_LABEL = re.compile(rb"\d+([.,]\d+)?\t\d+([.,]\d+)?(\t|\r?\n|$)")  # Audacity: begin and end in seconds


def read_table(path, columns):
    """The rows of a table as (row number as a spreadsheet counts, the header being 1; column -> text).

    Commas, semicolons or tabs part the cells; the header's case, spaces and quotes do not count.

    Raises:
        DataError: unreadable, not text, a column missing, or no rows.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); expected a table with the columns "
                        f"{', '.join(columns)}") from None
    try:
        wide = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        text = content.decode("utf-16" if wide else "utf-8-sig")
        first = text.split("\n", 1)[0]
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count))
        header = [_plain(name) for name in next(reader, [])]
        lines = [(number, line) for number, line in enumerate(reader, start=2) if any(cell.strip() for cell in line)]
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a CSV table in UTF-8 ({error}); save it again as CSV UTF-8") from None
    missing = [name for name in columns if name not in header]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)}; it has {', '.join(header) or 'none'}, "
                        "separated by commas")
    if not lines:
        raise DataError(f"{path}: no rows below the header; expected one for each clip")
    places = {name: header.index(name) for name in columns}
    return [(number, {name: line[place].strip() if place < len(line) else "" for name, place in places.items()})
            for number, line in lines]


def _plain(name):
    return name.strip().strip("\ufeff\"'").casefold()


def read_sources(path, names):
    """``sources.csv`` as file name -> source, and what is wrong with it.

    Args:
        names: the clips of the folder, as paths below it with ``/``.
    Returns:
        (sources, [(row number or None, sentence, severity)])
    """
    try:
        rows = read_table(path, ("file", "source"))
    except DataError as error:
        return {}, [(None, str(error).removeprefix(f"{path}: "), "error")]
    alike = defaultdict(list)  # a path as it looks -> the clips that look so
    for name in names:
        alike[unicodedata.normalize("NFC", name)].append(name)
    sources, wrong = {}, []
    for number, row in rows:
        name = PurePosixPath(row["file"].replace("\\", "/")).as_posix()
        looks = alike.get(unicodedata.normalize("NFC", name), [])
        name = looks[0] if name not in names and len(looks) == 1 else name
        message = ""
        if name not in names:
            example = next(iter(names), "species_a/clip1.wav")
            message = f"{row['file']!r} is no clip of this folder; expected a path such as {example}"
        elif not row["source"]:
            message = f"{row['file']!r} has no source; name its recording or leave the row out"
        elif sources.get(name, row["source"]) != row["source"]:
            message = f"{row['file']!r} has source {row['source']!r} here and {sources[name]!r} in a row above"
        if message:
            wrong.append((number, message, "error"))
        else:
            sources[name] = row["source"]
    return sources, wrong + _near_twins(set(sources.values()))


def _near_twins(sources):
    """A warning where two sources differ by capitals, spaces or leading zeros only: one recorder or two?"""
    groups = defaultdict(list)
    for source in sorted(sources):
        plain = unicodedata.normalize("NFC", source).casefold()
        groups[re.sub(r"[\s_-]+|(?<!\d)0+(?=\d)", "", plain)].append(source)
    return [(None, f"sources {' and '.join(map(repr, group))} are nearly the same name; if they are one recording, "
                   "write them alike", "warning") for group in groups.values() if len(group) > 1]


def is_selection_table(path):
    """Whether a file holds marks that a person made in a recording: a Raven table or Audacity labels."""
    if path.suffix.lower() not in _TABLE_ENDINGS:
        return False
    try:
        with open(path, "rb") as file:
            start = file.read(2_000)
    except OSError:
        return False
    return b"Begin Time" in start or path.suffix.lower() == ".txt" and bool(_LABEL.match(start))
