"""CSV tables of a survey, which may be opened in a spreadsheet and come back."""

import csv
import io

from acssm_lib.files import write_text
from acssm_lib.text import from_csv, in_csv


def as_csv(columns, rows, line_end="\n"):
    """A table as text; cells of text are made harmless for spreadsheets (``text.in_csv``)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=line_end)
    writer.writerow(columns)
    writer.writerows([in_csv(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return out.getvalue()


def write_table(path, columns, rows):
    """A CSV in UTF-8, atomically; returns its path."""
    return write_text(path, as_csv(columns, rows))


def read_table(path):
    """Rows of a table that ``write_table`` wrote, as dicts of text: column -> cell as it was."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        return [{column: from_csv(cell) for column, cell in row.items()} for row in csv.DictReader(file)]
