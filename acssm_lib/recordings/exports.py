"""Detections as other programs read them: one table per recording for Raven, Audacity and spreadsheets.

Times count from the beginning of the file that the table belongs to, so that nothing drifts over a list of files. Of
Kaleidoscope it is one table for all, whose rows name folder and file, since it opens a folder of recordings as a whole.

Sources: Raven Pro 1.6 user's manual, "Selection tables"; Audacity manual, "Importing and Exporting Labels", extended
format with frequency ranges; Wildlife Acoustics, Kaleidoscope Pro user guide, columns of cluster.csv.
"""

import shutil
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path, PurePosixPath

from acssm_lib.files import settle
from acssm_lib.recordings.tables import as_csv
from acssm_lib.text import visible

RAVEN = (
    "Selection",
    "View",
    "Channel",
    "Begin Time (s)",
    "End Time (s)",
    "Low Freq (Hz)",
    "High Freq (Hz)",
    "Begin File",
    "File Offset (s)",
    "Annotation",
    "Score",
)
CSV = ("selection", "start_s", "end_s", "low_hz", "high_hz", "class", "score", "absolute_start", "clock")
KALEIDOSCOPE = (
    "INDIR",
    "FOLDER",
    "IN FILE",
    "CHANNEL",
    "OFFSET",
    "DURATION",
    "Fmin",
    "Fmax",
    "DATE",
    "TIME",
    "HOUR",
    "TOP1MATCH",
    "SCORE",
    "MANUAL ID",
)


def raven(file, found):
    """A selection table: tabs, selections from 1; a file without detections has its header alone."""
    name, channel = PurePosixPath(file.name).name, _channel(file)
    rows = [
        (
            n,
            "Spectrogram 1",
            channel,
            f"{one.start_s:.6f}",
            f"{one.end_s:.6f}",
            f"{one.low_hz:.1f}",
            f"{one.high_hz:.1f}",
            visible(name),
            f"{one.start_s:.6f}",
            _word(one.name),
            f"{one.score:.4f}",
        )
        for n, one in enumerate(found, start=1)
    ]
    return "".join("\t".join(map(str, row)) + "\n" for row in (RAVEN, *rows))


def audacity(file, found):
    """A label track in the extended format: begin, end, label, and a line with both frequencies."""
    return "".join(
        f"{one.start_s:.6f}\t{one.end_s:.6f}\t{_word(one.name)} {one.score:.2f}\n"
        f"\\\t{one.low_hz:.6f}\t{one.high_hz:.6f}\n"
        for one in found
    )


def plain(file, found):
    """Commas, for spreadsheets and R."""
    return as_csv(
        CSV, [(n, *one.row[1:7], one.absolute_start, file.clock) for n, one in enumerate(found, start=1)], "\r\n"
    )


def kaleidoscope(index, found):
    """One table for all recordings; date and time are those of the detection, empty where the clock is unknown."""
    rows = []
    for one in found:
        path = PurePosixPath(one.file.name)
        at = datetime.fromisoformat(one.absolute_start) if one.absolute_start else None
        when = (f"{at:%Y-%m-%d}", f"{at:%H:%M:%S}", f"{at:%H}") if at else ("", "", "")
        folder = "" if path.parent == PurePosixPath(".") else path.parent.as_posix()
        rows.append(
            (
                Path(index.recordings).as_posix(),
                folder,
                path.name,
                _channel(one.file) - 1,
                f"{one.start_s:.3f}",
                f"{one.end_s - one.start_s:.3f}",
                f"{one.low_hz:.0f}",
                f"{one.high_hz:.0f}",
                *when,
                one.name,
                f"{one.score:.4f}",
                "",
            )
        )
    return as_csv(KALEIDOSCOPE, rows, "\r\n")


FORMATS = {
    "raven": (raven, ".Table.1.selections.txt"),
    "audacity": (audacity, ".labels.txt"),
    "csv": (plain, ".csv"),
    "kaleidoscope": (kaleidoscope, "kaleidoscope.csv"),
}


def write_tables(folder, index, found, formats):
    """Tables below ``folder/<format>/``, named and sorted into folders as the recordings are.

    What an earlier call wrote in that format is replaced as a whole: no table of a former threshold stays.

    Args:
        index: Index. found: list of Detection. formats: names of ``FORMATS``.
    """
    by_file = defaultdict(list)
    for one in found:
        by_file[one.file.name].append(one)
    stems = Counter(_stem(file.name).casefold() for file in index.files)
    for name in formats:
        write, ending = FORMATS[name]
        place, part = folder / name, folder / f".{name}.part"
        shutil.rmtree(part, ignore_errors=True)  # of a call that was stopped
        part.mkdir(parents=True)
        if name == "kaleidoscope":
            _text(part / ending, write(index, found))
        else:
            for file in index.files:
                alone = stems[_stem(file.name).casefold()] == 1
                path = part / ((_stem(file.name) if alone else file.name) + ending)
                path.parent.mkdir(parents=True, exist_ok=True)
                _text(path, write(file, by_file[file.name]))
        shutil.rmtree(place, ignore_errors=True)
        settle(part, place)


def _stem(name):
    """ "SITE/20240514_040000.WAV" -> "SITE/20240514_040000" """
    return PurePosixPath(name).with_suffix("").as_posix()


def _text(path, text):
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)


def _channel(file):
    """Number of the channel that was heard, from 1; the mean of all is named by the first."""
    return (file.source.heard.channel or 0) + 1


def _word(name):
    """A class on one line and in one cell."""
    return visible(name).replace("\\t", " ")
