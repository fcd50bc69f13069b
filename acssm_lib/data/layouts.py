"""What a data folder holds and what is wrong with it, file by file: behind ``acssm data check PATH``.

Scans read names and tables; the data sets open with them and refuse to on the first error. The check goes on, decodes
every clip as a run would, and lists everything. Here is what a scan finds, and the layout of ESC-50; ``folders`` has
that of one folder per class.
"""

import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from acssm_lib.data.reading.decoding import AUDIO_SUFFIXES, PHONE_SUFFIXES
from acssm_lib.data.tables import read_table
from acssm_lib.files import DataError
from acssm_lib.text import many, visible

ESC50_COLUMNS = ("filename", "fold", "target", "category", "src_file")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a data folder.

    ``path`` is a file inside the folder, a row of its table, or a class; ``severity`` is "error" (the data set
    does not open or a clip cannot be used) or "warning" (worth a look).
    """

    path: str
    message: str
    severity: str = "error"

    def __str__(self):
        return "\n".join(map(visible, f"{visible(self.path)}: {self.message}".split("\n")))


def of_note(path, note):
    """What the reading of a file said as a Problem: a note where it was mended, a warning where it is doubtful."""
    return Problem(path, note, "note" if _MENDED.match(note) else "warning")


_MENDED = re.compile(r"its offset|it reaches|it is very quiet|\d+ Ogg streams|its header announces .* all are used")
_ORDER = ("error", "warning", "note")
_ONE_BY_ONE = 5  # lines of one kind; more are one line


def problem_lines(problems):
    """Problems as lines of text, worst first, and a last line that counts them."""
    groups = defaultdict(list)
    for problem in problems:
        kind = re.sub(r"[\d.,+-]+", "#", problem.message)[:60]
        groups[problem.severity, kind].append(problem)
    lines = []
    for (severity, _), alike in sorted(groups.items(), key=lambda item: _ORDER.index(item[0][0])):
        if len(alike) > _ONE_BY_ONE:
            first = alike[0]
            lines.append(f"{severity:<8} {visible(first.path)} and {len(alike) - 1} more: {visible(first.message)}")
        else:
            lines += [f"{severity:<8} {problem}" for problem in alike]
    counts = Counter(problem.severity for problem in problems)
    totals = [many(counts[severity], severity) for severity in _ORDER if counts[severity] or severity != "note"]
    return [*lines, ", ".join(totals) if problems else "no problems found"]


@dataclass(frozen=True)
class Clip:
    """One usable entry of a data folder; ``category`` is None where the class is unknown."""

    name: str
    path: Path
    category: str | None
    source: str | None = None
    target: int = -1
    fold: int = -1


@dataclass
class Scan:
    """The usable clips of a data folder and everything that is wrong with it."""

    clips: list[Clip] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    passed_over: int = 0  # hidden files, and what other systems leave behind


def too_few_clips(counts, n_shot):
    """A problem for each class with fewer than ``n_shot`` + 1 clips; ``counts`` is class name -> clips."""
    return [
        Problem(f"class {name}", f"has {count} clips; {n_shot} shots need at least {n_shot + 1} (one to ask about)")
        for name, count in counts.items()
        if count < n_shot + 1
    ]


def is_esc50(root):
    """Whether a folder has the layout of ESC-50 (a table in ``meta`` beside ``audio``)."""
    root = Path(root)
    return (root / "meta" / "esc50.csv").exists() or ((root / "meta").is_dir() and (root / "audio").is_dir())


def scan_esc50(root):
    """Clips and problems of a folder in the layout of ESC-50, without decoding anything.

    Returns:
        Scan: one clip for each row that is right, one problem for each that is not, and a warning for each audio
        file that no row names.
    Raises:
        DataError: there is no table, or it has no rows, or not the columns it needs: nothing can be scanned.
    """
    root, scan = Path(root), Scan()
    audio = root / "audio"
    if not (root / "meta" / "esc50.csv").is_file():
        inner = next(iter(sorted(root.glob("*/meta/esc50.csv"))), None)
        hint = f"; {inner.parent.parent} has them" if inner else ""
        raise DataError(
            f"{root}: expected the layout of ESC-50, meta/esc50.csv and audio/, and the former is not there{hint}"
        )
    rows = read_table(root / "meta" / "esc50.csv", ESC50_COLUMNS)
    files = sorted(entry.name for entry in audio.iterdir() if entry.is_file()) if audio.is_dir() else []
    by_stem = {Path(name).stem: name for name in files}
    named, categories = set(), {}
    for number, row in rows:
        try:
            scan.clips.append(_esc50_clip(audio, row, named, categories, by_stem))
        except DataError as error:
            scan.problems.append(Problem(f"meta/esc50.csv row {number}", str(error)))
        named.add(row["filename"])
    scan.problems += [
        Problem(f"audio/{name}", "is in no row of meta/esc50.csv, so it is not used", "warning")
        for name in files
        if name not in named and name[0] != "." and Path(name).suffix.lower() in AUDIO_SUFFIXES + PHONE_SUFFIXES
    ]
    return scan


def _esc50_clip(audio, row, named, categories, by_stem):
    """The clip of one metadata row; raises DataError without the place, which the caller knows."""
    filename = row["filename"]
    if filename in named:
        raise DataError(f"{filename!r} is named by a row above already; expected one row for each file")
    path = _inside(audio, filename)
    if not path.is_file():
        other = by_stem.get(Path(filename).stem)
        hint = f"{other} is: name it as it is" if other else "copy it there or remove the row"
        raise DataError(f"file {filename!r} is not in audio/; {hint}")
    for key in ("target", "fold"):
        if not row[key].isdecimal():
            raise DataError(f"{key} {row[key]!r} of {filename} is not a whole number; expected 0, 1, 2, ...")
    target, category = int(row["target"]), row["category"]
    if not category:
        raise DataError(f"{filename} has no category; expected the name of its class")
    for key, value in ((target, category), (category, target)):  # one name for each target, and the reverse
        if categories.setdefault(key, value) != value:
            raise DataError(
                f"{filename} has target {target} and category {category!r}, but a row above pairs "
                f"{key!r} with {categories[key]!r}"
            )
    return Clip(filename, path, category, row["src_file"] or None, target, int(row["fold"]))


def _inside(folder, filename):
    """The path of a file named in a table, if it stays in ``folder``, links followed."""
    try:
        path = folder / filename
        if path.resolve().is_relative_to(folder.resolve()):
            return path
    except (OSError, RuntimeError, ValueError):  # a loop of links, a NUL byte
        pass
    raise DataError(f"file {filename!r} points outside of audio/; expected the name of a file in it")
