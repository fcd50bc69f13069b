"""What a data folder holds and what is wrong with it, all of it, file by file: behind ``acssm data check PATH``.

``scan_esc50`` and ``scan_folder`` read names and tables; the data sets open with them and refuse to on the first
error. ``check`` goes on, decodes every clip as a run would (``audio.prepare``), and lists everything.
"""

import csv
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from acssm_lib.files import DataError

ESC50_COLUMNS = ("filename", "fold", "target", "category", "src_file")
AUDIO_SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc", ".au", ".caf", ".w64",
                  ".rf64")
_UNREADABLE_SUFFIXES = (".m4a", ".aac", ".mp4", ".wma", ".webm", ".amr", ".ape", ".wv")  # not in libsndfile
_UNLABELLED = ("unlabelled", "unlabeled")
_LAYOUT = """a folder of recordings looks like this:
  {root}/
    species_a/     clip1.wav  clip2.flac  ...
    species_b/     clip1.ogg  ...
    unlabelled/    optional: more clips, for the pre-training
    sources.csv    optional: file,source (which recording each clip comes from)"""


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
        return f"{self.path}: {self.message}"


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


def too_few_clips(counts, n_shot):
    """A problem for each class with fewer than ``n_shot`` + 1 clips; ``counts`` is class name -> clips."""
    return [Problem(f"class {name}", f"has {count} clips; {n_shot} shots need at least {n_shot + 1} (one to ask about)")
            for name, count in counts.items() if count < n_shot + 1]


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
        raise DataError(f"{root}: expected the layout of ESC-50, meta/esc50.csv and audio/, and the former is not "
                        f"there{hint}")
    rows = _read_table(root / "meta" / "esc50.csv", ESC50_COLUMNS)
    files = sorted(entry.name for entry in audio.iterdir() if entry.is_file()) if audio.is_dir() else []
    by_stem = {Path(name).stem: name for name in files}
    named, categories = set(), {}
    for number, row in rows:
        try:
            scan.clips.append(_esc50_clip(audio, row, named, categories, by_stem))
        except DataError as error:
            scan.problems.append(Problem(f"meta/esc50.csv row {number}", str(error)))
        named.add(row["filename"])
    scan.problems += [Problem(f"audio/{name}", "is in no row of meta/esc50.csv, so it is not used", "warning")
                      for name in files
                      if name not in named and name[0] != "." and Path(name).suffix.lower() in AUDIO_SUFFIXES]
    return scan


def scan_folder(root):
    """Clips and problems of a folder with one folder per class, without decoding anything.

    Raises:
        DataError: ``root`` is not a folder.
    """
    root, scan = Path(root), Scan()
    if not root.is_dir():
        raise DataError(f"{root}: {'not a folder' if root.exists() else 'does not exist'}; "
                        + _LAYOUT.format(root=root.resolve().name))
    entries = sorted(entry for entry in root.iterdir() if not entry.name.startswith("."))
    folders = [entry for entry in entries if entry.is_dir()]
    found = {}
    for folder in folders:
        category = None if folder.name.lower() in _UNLABELLED else folder.name
        found |= {path.relative_to(root).as_posix(): (path, category) for path in _audio_files(folder, root, scan)}
    class_folders = [folder.name for folder in folders if folder.name.lower() not in _UNLABELLED]
    if len(class_folders) < 2:
        scan.problems.append(Problem(f"{root.resolve().name}/", f"class folders in it: {len(class_folders)}; expected "
                                     "two or more; " + _LAYOUT.format(root=root.resolve().name)))
    scan.problems += [Problem(entry.name, "lies outside of the class folders, so it is not used", "warning")
                      for entry in entries if entry.is_file() and entry.suffix.lower() in AUDIO_SUFFIXES]
    sources = _read_sources(root / "sources.csv", found, scan) if (root / "sources.csv").exists() else {}
    scan.clips = [Clip(name, path, category, sources.get(name)) for name, (path, category) in found.items()]
    return scan


def _audio_files(folder, root, scan):
    """All audio files below ``folder`` that are not hidden; notes a problem if there is none."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()
             and not any(part.startswith(".") for part in path.relative_to(root).parts)]
    audio = [path for path in files if path.suffix.lower() in AUDIO_SUFFIXES]
    scan.problems += [Problem(path.relative_to(root).as_posix(), f"{path.suffix} cannot be decoded, so it is not used; "
                              "convert it to WAV or FLAC", "warning")
                      for path in files if path.suffix.lower() in _UNREADABLE_SUFFIXES]
    if not audio and folder.name.lower() not in _UNLABELLED:
        scan.problems.append(Problem(f"{folder.name}/", "holds no audio file (WAV, FLAC, Ogg, MP3, AIFF); put clips "
                                     "in, remove it, or start its name with a dot"))
    return audio


def _read_sources(path, found, scan):
    """``sources.csv`` as file name -> source; rows that are wrong become problems."""
    sources = {}
    try:
        rows = _read_table(path, ("file", "source"))
    except DataError as error:
        scan.problems.append(Problem(path.name, str(error).removeprefix(f"{path}: ")))
        return sources
    for number, row in rows:
        name = PurePosixPath(row["file"].replace("\\", "/")).as_posix()
        message = ""
        if name not in found:
            example = next(iter(found), "species_a/clip1.wav")
            message = f"{row['file']!r} is no clip of this folder; expected a path such as {example}"
        elif not row["source"]:
            message = f"{row['file']!r} has no source; name its recording or leave the row out"
        elif sources.get(name, row["source"]) != row["source"]:
            message = f"{row['file']!r} has source {row['source']!r} here and {sources[name]!r} in a row above"
        if message:
            scan.problems.append(Problem(f"{path.name} row {number}", message))
        else:
            sources[name] = row["source"]
    return sources


def _read_table(path, columns):
    """The rows of a CSV file as (row number as a spreadsheet counts, the header being 1; column -> text)."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = [(number, {key: (row[key] or "").strip() for key in columns if key in row})
                    for number, row in enumerate(reader, start=2)]
            header = reader.fieldnames or []
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); expected a table with the columns "
                        f"{', '.join(columns)}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a CSV table in UTF-8 ({error})") from None
    missing = [name for name in columns if name not in header]
    if missing:
        raise DataError(f"{path}: no column {', '.join(missing)}; it has {', '.join(map(str, header)) or 'none'}, "
                        "separated by commas")
    if not rows:
        raise DataError(f"{path}: no rows below the header; expected one for each clip")
    return rows


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
            raise DataError(f"{filename} has target {target} and category {category!r}, but a row above pairs "
                            f"{key!r} with {categories[key]!r}")
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
