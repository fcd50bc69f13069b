"""Writing files so that a reader, or the next start, finds the whole file or none."""

import json
import os
import re
from pathlib import Path


def write_atomically(path, write):
    """Call ``write(temporary path)`` in the same folder, then rename; a failed write leaves nothing behind.

    Returns:
        path, as a ``Path``.
    Taught in: 08_reproduce_group.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")  # the ending tells writers the format
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def write_text(path, text):
    """A UTF-8 text file, atomically; returns its path.

    Taught in: 08_reproduce_group.
    """
    return write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_json(path, value):
    """Plain values as an indented JSON file, atomically; NaN and infinity, which are not JSON, are refused.

    A list of numbers stands on one line, so that hundreds of draws stay readable.

    Taught in: 08_reproduce_group.
    """
    text = json.dumps(value, indent=1, allow_nan=False)
    text = re.sub(r'\[([^\[\]{}"]*)\]', lambda numbers: f"[{' '.join(numbers[1].split())}]", text)
    return write_text(path, text + "\n")
