"""Where the figures of the pages come from, and a table as lines of Markdown."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "figures"


def markdown(header, rows):
    """Lines of a table; columns of numbers to the right."""
    numbers = [all(re.match(r"[-−+±≤\d]|–?$", str(cell)) for cell in column) for column in zip(*rows)]
    lines = [header, ["---:" if number else "---" for number in numbers], *rows]
    return ["| " + " | ".join(str(cell) for cell in line) + " |" for line in lines]
