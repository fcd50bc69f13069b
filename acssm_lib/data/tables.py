"""The tables of a data folder, as spreadsheets save them, and those that other programs put beside recordings."""

import csv
import io
import re
import unicodedata
from collections import defaultdict
from pathlib import Path, PurePosixPath

from acssm_lib.files import DataError

_TABLE_ENDINGS = (".txt", ".csv", ".tsv")
_LABEL = re.compile(rb"\d+([.,]\d+)?\t\d+([.,]\d+)?(\t|\r?\n|$)")  # Audacity: begin and end in seconds


def read_table(path, columns, others=False):
    """The rows of a table as (row number as a spreadsheet counts, the header being 1; column -> text).

    Commas, semicolons or tabs part the cells; the header's case, spaces and quotes do not count.

    Args:
        columns: that it must have.
        others: whether its other columns are wanted too.

    Raises:
        DataError: unreadable, not text, a column missing, or no rows.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror or error}); expected a table with the columns "
            f"{', '.join(columns)}"
        ) from None
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
        raise DataError(
            f"{path}: no column {', '.join(missing)}; it has {', '.join(header) or 'none'}, separated by commas"
        )
    if not lines:
        raise DataError(f"{path}: no rows below the header; expected one for each clip")
    places = {name: header.index(name) for name in (filter(None, header) if others else columns)}
    return [
        (number, {name: line[place].strip() if place < len(line) else "" for name, place in places.items()})
        for number, line in lines
    ]


def _plain(name):
    return name.strip().strip("\ufeff\"'").casefold()


def read_columns(path, names):
    """What a table says about clips, to colour a map by: column -> values in the order of the clips.

    A column ``file``, ``filename`` or ``name`` says which clip a row is about; rows about others are passed over. A
    column whose cells are all numbers becomes numbers; what is empty or missing is None.

    Args:
        names: of the clips, as the data set has them.
    Raises:
        DataError: no such column, no row about any of the clips, or two that say different things about one.
    """
    rows = read_table(Path(path), (), others=True)
    key = next((name for name in ("file", "filename", "name") if name in rows[0][1]), None)
    if key is None:
        raise DataError(
            f"{path}: no column file, filename or name says which clip a row is about; it has {', '.join(rows[0][1])}"
        )
    wanted, told = {_as_path(name) for name in names}, {}
    for number, row in rows:
        name = _as_path(row.pop(key))
        if name in wanted and told.setdefault(name, row) != row:
            raise DataError(f"{path} row {number}: {name} has other values in a row above; keep one row per clip")
    if not told:
        raise DataError(
            f"{path}: none of its rows is about one of the {len(names)} clips; expected names such as "
            f"{names[0]} in the column {key}"
        )
    rows_in_order = [told.get(_as_path(name), {}) for name in names]
    columns = {column: [row.get(column) or None for row in rows_in_order] for column in next(iter(told.values()))}
    return {column: _as_numbers(values) for column, values in columns.items() if any(values)}


def _as_path(name):
    return unicodedata.normalize("NFC", PurePosixPath(name.replace("\\", "/")).as_posix())


def _as_numbers(values):
    """Floats where every cell is one, with a decimal point or comma; else the words as they are."""
    try:
        return [None if value is None else float(value.replace(",", ".")) for value in values]
    except ValueError:
        return values


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
    return [
        (
            None,
            f"sources {' and '.join(map(repr, group))} are nearly the same name; if they are one recording, "
            "write them alike",
            "warning",
        )
        for group in groups.values()
        if len(group) > 1
    ]


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
