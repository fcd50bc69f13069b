"""A folder with one folder of recordings per class: what is used of it, and every file that is not."""

import difflib
import os
import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from acssm_lib.data.layouts import Clip, Problem, Scan
from acssm_lib.data.reading.decoding import AUDIO_SUFFIXES, PHONE_SUFFIXES, PHONES, has_phones, kind_of
from acssm_lib.data.tables import is_selection_table, read_sources
from acssm_lib.files import DataError
from acssm_lib.text import visible

_NO_SOUND = (
    ".txt",
    ".csv",
    ".tsv",
    ".json",
    ".xml",
    ".md",
    ".rst",
    ".pdf",
    ".jpg",
    ".jpeg",
    ".png",
    ".gif",
    ".tif",
    ".tiff",
    ".bmp",
    ".svg",
    ".html",
    ".htm",
    ".doc",
    ".docx",
    ".xls",
    ".xlsx",
    ".ods",
    ".odt",
    ".ini",
    ".log",
    ".gpx",
    ".kml",
    ".yaml",
    ".yml",
    ".toml",
    ".py",
    ".r",
    ".ipynb",
    ".md5",
    ".sha256",
    "",
)
_LEFTOVERS = (
    "__macosx",
    "thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "$recycle.bin",
    "system volume information",
    "lost+found",
    "@eadir",
    "icon\r",
)
_UNLABELLED = re.compile(r"(un|not?[ _-]?)label+ed($|[\W_\d].*)")
_NOT_A_CLASS = re.compile(r"(19|20)\d\d([-_. ]?\d\d){0,2}|train(ing)?|test|val(id(ation)?)?|fold[ _-]?\d+")
_STAMPED = re.compile(r"(.*\d{8}[_T-]?\d{6})[_-].+")  # a recording's date and time, and a piece of it
_LAYOUT = """a folder of recordings looks like this:
  {root}/
    species_a/     clip1.wav  clip2.flac  ...
    species_b/     clip1.ogg  ...
    unlabelled/    optional: more clips, for the pre-training
    sources.csv    optional: file,source (which recording each clip comes from)"""


@dataclass
class _Found:
    """What lies below one folder, however deep."""

    audio: list = field(default_factory=list)  # (path below the root, path)
    unused: dict = field(default_factory=lambda: defaultdict(list))  # ending -> paths below the root
    tables: list = field(default_factory=list)
    inner: set = field(default_factory=set)  # folders in it that hold recordings
    direct: int = 0  # recordings that lie in it itself


def scan_folder(root):
    """Clips and problems of a folder with one folder per class, without decoding anything.

    Raises:
        DataError: ``root`` is not a folder, or cannot be opened.
    """
    root, scan = Path(root), Scan()
    name = visible(root.resolve().name)
    if not root.is_dir():
        raise DataError(
            f"{root}: {'not a folder' if root.exists() else 'does not exist'}; " + _LAYOUT.format(root=name)
        )
    try:
        entries = sorted(root.iterdir())
    except OSError as error:
        raise DataError(f"{root}: cannot be opened ({error.strerror or error})") from None
    shown = [entry for entry in entries if not _passed_over(entry.name)]
    scan.passed_over = len(entries) - len(shown)
    folders = {entry: audio_below(entry, root, scan) for entry in shown if entry.is_dir()}
    classes = {entry: found for entry, found in folders.items() if not is_unlabelled(entry.name)}
    for entry, found in folders.items():
        tell_unused(entry, found, entry in classes, scan)
    if len(classes) < 2:
        scan.problems.append(
            Problem(
                f"{name}/", f"class folders in it: {len(classes)}; expected two or more; " + _LAYOUT.format(root=name)
            )
        )
    _tell_odd_classes(classes, scan)
    scan.problems += [
        Problem(entry.name, "lies outside of the class folders, so it is not used", "warning")
        for entry in shown
        if entry.is_file() and entry.suffix.lower() in AUDIO_SUFFIXES + PHONE_SUFFIXES
    ]
    sources = _sources(shown, [below for found in folders.values() for below, _ in found.audio], scan)
    taken = Counter()
    for entry, found in folders.items():
        category = unicodedata.normalize("NFC", visible(entry.name)) if entry in classes else None
        for below, path in found.audio:
            shown_as = visible(below)
            taken[shown_as] += 1
            shown_as += f" ({taken[shown_as]})" if taken[shown_as] > 1 else ""
            scan.clips.append(Clip(shown_as, path, category, sources.get(below)))
    if not sources:
        _tell_pieces(scan)
    return scan


def scan_unlabelled(root):
    """Clips and problems of a folder of recordings without classes, however deep they lie, without decoding anything.

    Raises:
        DataError: ``root`` is not a folder, or holds no recording.
    """
    root, scan = Path(root), Scan()
    if not root.is_dir():
        raise DataError(f"{root}: {'not a folder' if root.exists() else 'does not exist'}; expected one of recordings")
    found = audio_below(root, root, scan)
    sources = _sources(list(root.iterdir()), [below for below, _ in found.audio], scan)
    scan.clips = [Clip(visible(below), path, None, sources.get(below)) for below, path in found.audio]
    if not scan.clips:
        raise DataError(f"{root}: holds no audio file (WAV, FLAC, Ogg, MP3, AIFF)")
    return scan


def is_unlabelled(name):
    """Whether a folder of that name holds clips without a class: unlabelled, Unlabeled 2, unlabelled_2024 ..."""
    return bool(_UNLABELLED.fullmatch(unicodedata.normalize("NFC", name).strip().casefold()))


def _passed_over(name):
    return name.startswith(".") or name.casefold() in _LEFTOVERS


def audio_below(folder, root, scan):
    """Everything below a folder, links followed as long as they do not lead back."""
    found, dead = _Found(), []
    todo = [(folder, () if folder == root else (os.path.realpath(root),))]
    while todo:
        place, above = todo.pop()
        below = place.relative_to(root).as_posix()
        real = os.path.realpath(place)
        if real in above:
            scan.problems.append(
                Problem(f"{below}/", "is a link that leads back to a folder around it; it is not followed", "warning")
            )
            continue
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError as error:
            scan.problems.append(
                Problem(f"{below}/", f"cannot be opened ({error.strerror or error}), so nothing in it is used")
            )
            continue
        deeper = []
        for entry in entries:
            path = place / entry.name
            if _passed_over(entry.name):
                scan.passed_over += 1
            elif path.is_dir():
                deeper.append((path, (*above, real)))
            elif path.is_file():
                _sort(path, path.relative_to(root).as_posix(), place == folder, found)
            elif path.is_symlink():
                dead.append(path.relative_to(root).as_posix())
        todo += reversed(deeper)
    if dead:
        scan.problems.append(
            Problem(
                dead[0] if len(dead) == 1 else f"{folder.name}/",
                f"{_these(dead, 'link')} to "
                "nothing that is there (a disk that is not mounted?), so nothing is used of it",
                "warning",
            )
        )
    found.inner = {Path(below).parts[1] for below, _ in found.audio if len(Path(below).parts) > 2}
    return found


def _sort(path, below, direct, found):
    ending = path.suffix.lower()
    if ending in AUDIO_SUFFIXES or ending in PHONE_SUFFIXES and has_phones():
        found.audio.append((below, path))
        found.direct += direct
    elif is_selection_table(path):
        found.tables.append(below)
    elif path.name.casefold() in ("sources.csv", "source.csv"):
        found.unused["sources"].append(below)
    elif ending not in _NO_SOUND or kind_of(path):
        kind = "phone" if ending in PHONE_SUFFIXES else kind_of(path)
        found.unused[kind, ending].append(below)


def tell_unused(folder, found, is_class, scan):
    """A problem for every kind of file that is not used, and for a folder of which nothing is."""
    for key, names in found.unused.items():
        if key == "sources":
            message = "lies in a class folder, so it is not used; put it beside the class folders"
        elif key[0] == "phone":
            message = (
                f"{_these(names, 'file')} in {key[1]}, which needs another decoder, so nothing is used of it; "
                f"{PHONES}, or convert to WAV or FLAC"
            )
        elif key[0]:
            message = (
                f"{_these(names, 'file')} in {key[1] or 'nothing'}, and in it is {key[0]}; it is not used; its "
                "name should end so"
            )
        else:
            message = f"{_these(names, 'file')} in {key[1]}, which is no known ending of a recording; it is not used"
        scan.problems.append(Problem(names[0] if len(names) == 1 else f"{folder.name}/", message, "warning"))
    if found.tables:
        scan.problems.append(
            Problem(
                f"{folder.name}/",
                f"{len(found.tables)} tables of selections or labels lie "
                f"beside the recordings ({found.tables[0]} ...); they are not used: a clip counts "
                "as a whole, so cut the selections out first",
                "warning",
            )
        )
    if not found.audio:
        lost = sum(map(len, found.unused.values()))
        message = "holds no audio file (WAV, FLAC, Ogg, MP3, AIFF)"
        message += f" but {lost} that cannot be used" if lost else ""
        if is_class:
            scan.problems.append(
                Problem(f"{folder.name}/", f"{message}; put clips in, remove it, or start its name with a dot")
            )
        else:
            scan.problems.append(Problem(f"{folder.name}/", message, "error" if lost else "warning"))


def _these(names, what):
    """``3 files (a, b, ...) end``"""
    if len(names) == 1:
        return "is a link" if what == "link" else "ends"
    examples = ", ".join(name.rpartition("/")[2] for name in names[:3])
    return f"{len(names)} {what}s ({examples}{', ...' if len(names) > 3 else ''}) {'lead' if what == 'link' else 'end'}"


def _tell_odd_classes(classes, scan):
    """Names that are one class in several spellings, or hardly a class."""
    alike = defaultdict(list)
    for folder in classes:
        plain = unicodedata.normalize("NFC", visible(folder.name)).casefold()
        alike[re.sub(r"[\s_-]+", " ", plain).strip()].append(folder.name)
    for names in alike.values():
        if len(names) > 1:
            scan.problems.append(
                Problem(
                    f"{names[0]}/",
                    f"{len(names)} class folders differ only in capitals, spaces "
                    f"or the way letters are written: {', '.join(map(ascii, names))}; put their "
                    "clips in one",
                )
            )
    for name in (folder.name for folder in classes):
        if difflib.SequenceMatcher(None, name.casefold(), "unlabelled").ratio() > 0.8:
            scan.problems.append(
                Problem(f"{name}/", "is taken for a class; clips without one belong in unlabelled/", "warning")
            )
    above = {folder.name: found.inner for folder, found in classes.items() if found.inner and not found.direct}
    shared = {name for name, n in Counter(inner for names in above.values() for inner in names).items() if n > 1}
    if len(above) > 1 and shared and len(above) == len(classes):
        certain = all(_NOT_A_CLASS.fullmatch(name.casefold()) for name in above)
        scan.problems.append(
            Problem(
                f"{min(above)}/",
                f"the class folders {', '.join(sorted(above))} hold folders of the same names "
                f"({', '.join(sorted(shared)[:5])}); if those are the classes, they belong on top, as in "
                f"{min(shared)}/{min(above)}/",
                "error" if certain else "warning",
            )
        )


def _sources(shown, names, scan):
    """Clip -> source, from ``sources.csv`` in any case."""
    tables = [entry for entry in shown if entry.is_file() and entry.name.casefold() == "sources.csv"]
    if len(tables) > 1:
        names_there = " and ".join(table.name for table in tables)
        scan.problems.append(Problem(tables[0].name, f"{len(tables)} tables of sources, {names_there}; keep one"))
    if not tables:
        return {}
    sources, wrong = read_sources(tables[0], dict.fromkeys(names))
    scan.problems += [
        Problem(f"{tables[0].name} row {row}" if row else tables[0].name, message, severity)
        for row, message, severity in wrong
    ]
    return sources


def _tell_pieces(scan):
    """Clips that are named as pieces of one recording, while no table says so."""
    groups = defaultdict(list)
    for clip in scan.clips:
        named = _STAMPED.fullmatch(Path(clip.name).stem)
        if clip.category is not None and named:
            groups[named[1]].append(clip.name)
    groups = [names for names in groups.values() if len(names) > 1]
    if groups:
        scan.problems.append(
            Problem(
                "sources.csv",
                f"is not there, and {sum(map(len, groups))} clips are named as pieces of "
                f"{len(groups)} recordings ({groups[0][0]}, {groups[0][1]} ...); without it, a query may share its "
                "recording with a labelled clip and nobody knows",
                "warning",
            )
        )
