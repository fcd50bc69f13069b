"""Writing files so that a reader, or the next start, finds the whole file or none."""

import contextlib
import hashlib
import json
import os
import re
import secrets
import socket
import time
from pathlib import Path

import platformdirs

DAY_S = 86_400  # no writer needs that long for one file
_HOST = re.sub(r"\W", "-", socket.gethostname())[:32]
_PART = re.compile(r"\.\d+(\.[0-9a-f]{8})?\.part(\.\w+)?$")  # of temporary names; the eight digits came later


def write_atomically(path, write):
    """Call ``write(temporary path)`` in the same folder, then rename; a failed write leaves nothing behind.

    Bytes and name are on the disk before this returns: a power cut leaves the old file or the new one, never an empty
    one. The temporary name holds host, process and chance, so that writers on a shared disk do not meet.

    Returns:
        path, as a ``Path``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unique = f"{_HOST}.{os.getpid()}.{secrets.token_hex(4)}"
    part = path.with_name(f".{path.stem}.{unique}.part{path.suffix}")  # the ending tells writers the format
    try:
        write(part)
        settle(part, path)
    except OSError as error:
        if str(error.filename) == str(part):
            error.filename = str(path)  # nobody has heard of the temporary name
        raise
    finally:
        part.unlink(missing_ok=True)
    return path


def settle(part, path):
    """Give a finished file, or a folder full of them, its name for good: its bytes are on the disk before the name is.

    Every file of this package that is to last gets its name here.
    """
    for place in [*Path(part).rglob("*"), part]:
        _to_disk(place)
    os.replace(part, path)
    with contextlib.suppress(OSError):  # some network disks cannot sync a folder; the file is there all the same
        _to_disk(Path(path).parent)


def _to_disk(path):
    """Write what the system still holds back of a file or folder (of folders Windows cannot)."""
    if path.is_dir() and os.name == "nt":
        return
    place = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(place)
    finally:
        os.close(place)


def sweep(folder, stem="*", older_than_s=0):
    """Remove temporary files that killed writers left in a folder and below it.

    Call it where a lock says that nobody writes there; where there is no lock, for what is older than ``DAY_S``.

    Args:
        stem: of the file whose leftovers are meant, where the folder holds those of other writers too; "*": all.
        older_than_s: least age.
    Returns:
        names of what was removed.
    """
    swept = []
    for path in Path(folder).rglob(f".{stem}.*.part*"):
        with contextlib.suppress(OSError):  # another sweep was faster, or the file is not ours to delete
            if _PART.search(path.name) and time.time() - path.stat().st_mtime >= older_than_s:
                path.unlink()
                swept.append(path.name)
    return sorted(swept)


def write_text(path, text):
    """A UTF-8 text file, atomically; returns its path."""
    return write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_json(path, value):
    """Plain values as an indented JSON file, atomically; NaN and infinity, which are not JSON, are refused.

    A list of numbers stands on one line, so that hundreds of draws stay readable.
    """
    text = json.dumps(value, indent=1, allow_nan=False)
    text = re.sub(r'\[([^\[\]{}"]*)\]', lambda numbers: f"[{' '.join(numbers[1].split())}]", text)
    return write_text(path, text + "\n")


def write_sealed(path, content):
    """Bytes and their SHA-256 behind them, atomically; returns the path. Zip archives stay readable as they are."""
    return write_atomically(path, lambda part: part.write_bytes(content + hashlib.sha256(content).digest()))


def read_sealed(path):
    """The bytes that ``write_sealed`` was given.

    Raises:
        FileNotFoundError: there is no such file.
        DamagedFile: they are not those any more: cut short, empty, or flipped on the disk.
    """
    content = Path(path).read_bytes()
    if hashlib.sha256(content[:-32]).digest() != content[-32:]:
        raise DamagedFile(f"{path}: damaged ({len(content)} bytes that do not match their digest)")
    return content[:-32]


class DamagedFile(ValueError):
    """A file of ours does not hold what was written; the message names it. It can be made again."""


class DataError(ValueError):
    """Something is wrong with the user's data; the message names the file and says what would be right."""


def default_cache_dir():
    """Where prepared clips are kept: ``ACSSM_CACHE`` if set, else ``acssm`` in the user's cache folder."""
    if os.environ.get("ACSSM_CACHE"):
        return Path(os.environ["ACSSM_CACHE"]).expanduser()
    return platformdirs.user_cache_path("acssm", appauthor=False)
