"""What lies on a card: every recording with its site and the moment it began, and every file that is none."""

from dataclasses import dataclass
from pathlib import Path

from acssm_lib.data.folders import audio_below, tell_unused
from acssm_lib.data.layouts import Problem, Scan
from acssm_lib.files import DataError
from acssm_lib.recordings.clock import Moment, moment_of, site_in_name


@dataclass(frozen=True)
class CardFile:
    """A recording on a card, not opened yet but for its header's date.

    Attributes:
        name: path below the card, with "/". path: Path. size: bytes. mtime_ns: of the file.
        site: folder at the top that it lies in, else what its name begins with; "" if nothing says.
        moment: when it began.
    """

    name: str
    path: Path
    size: int
    mtime_ns: int
    site: str
    moment: Moment


def files_of(root, time_zone=None):
    """All recordings below a folder, by name, and what lies there besides.

    Returns:
        (list of CardFile, list of Problem, hidden files and leftovers that were passed over)
    Raises:
        DataError: no folder, or one that cannot be opened.
    """
    root, scan = Path(root), Scan()
    if not root.is_dir():
        raise DataError(
            f"{root}: {'not a folder' if root.exists() else 'does not exist'}; expected a card or a folder "
            "of recordings, as in SITE/20240514_040000.WAV"
        )
    found = audio_below(root, root, scan)
    found.tables.clear()  # tables of marks are no clips here, and do no harm
    found.unused.pop("sources", None)
    tell_unused(root, found, False, scan)
    files = []
    for name, path in sorted(found.audio):
        try:
            name.encode()
            about = path.stat()
        except (UnicodeEncodeError, OSError) as error:
            why = (
                "its name is not UTF-8, so that tables cannot name it; rename it"
                if isinstance(error, ValueError)
                else f"cannot be read ({error.strerror or error})"
            )
            scan.problems.append(Problem(name, why))
            continue
        site = name.split("/")[0] if "/" in name else site_in_name(name)
        files.append(CardFile(name, path, about.st_size, about.st_mtime_ns, site, moment_of(path, time_zone)))
    return files, scan.problems, scan.passed_over
