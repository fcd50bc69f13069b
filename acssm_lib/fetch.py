"""Downloads that resume after a cut and get their name only when every byte has arrived."""

import errno
import http.client
import json
import shutil
import time
import urllib.error
from pathlib import Path

from tqdm import tqdm

from acssm_lib.files import DataError, write_json

_ATTEMPTS = 5
_WAIT_S = 2.0  # before the second attempt, twice that before the third, ...


def fetch(url, path, size, extra=0, progress=True):
    """Download one file; it gets its name only when every byte has arrived, and a cut transfer resumes.

    Args:
        url: http or https address.
        path: file to make; until then its bytes are in ``path`` + ".part".
        size: bytes to expect where the server announces none.
        extra: bytes that must be free beside the file.
    Returns:
        path, as a ``Path``.
    Raises:
        DataError: no network, no space, or an answer without the file.
    """
    path = Path(path)
    part, tags = path.with_name(path.name + ".part"), path.with_name(path.name + ".part.json")
    for attempt in range(_ATTEMPTS):
        time.sleep(attempt * _WAIT_S)
        try:
            if _transfer(url, part, tags, size, extra, progress):
                part.replace(path)
                tags.unlink()
                return path
            reason = "the connection was cut"
        except (OSError, http.client.HTTPException) as error:
            if getattr(error, "errno", None) == errno.ENOSPC:
                raise DataError(f"{part}: {error.strerror}; make room and run again, or name another --to") from error
            reason = str(error).strip("<>") or type(error).__name__
            if 400 <= getattr(error, "code", 500) < 500 and error.code != 429:  # asking again changes nothing
                break
    arrived = megabytes(part.stat().st_size if part.exists() else 0)
    raise DataError(f"could not download {url}: {reason}. {arrived} are kept in {part}; running the same command again "
                    f"resumes there (from the start if the server cannot). Without a network, save that address "
                    f"elsewhere as {path.name}, put it into {path.parent} and run the same command again")


def _transfer(url, part, tags, size, extra, progress):
    """One request, for what is missing of ``part`` if the server still has the same archive; True when complete."""
    known = read_json(tags).get(url)
    have = part.stat().st_size if known and part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and not known.startswith("W/"):  # a weak ETag may not be sent; it is compared below
        headers["If-Range"] = known
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing follows the bytes we have: an answer, not a failure
            raise
        response = error
    with response:
        tag = response.headers.get("ETag") or response.headers.get("Last-Modified")
        if response.status in (206, 416):
            span, _, total = response.headers.get("Content-Range", "").partition("/")
            if response.status == 416 and total == str(have):
                return True
            if not span.startswith(f"bytes {have}-") or tag not in (known, None):
                part.unlink(missing_ok=True)
                return False
        else:
            have, total = 0, response.headers.get("Content-Length", "unknown")
            part.write_bytes(b"")  # emptied before the tag changes, so that old bytes never stand under a new tag
            write_json(tags, {url: tag})
        total = int(total) if total.isdigit() else None
        print(f"size        {megabytes(total) if total else 'unknown'} ({megabytes(have)} here already)")
        need_space(part.parent, (total or size) - have + extra)
        with (open(part, "ab") as file, tqdm.wrapattr(file, "write", total=total, initial=have, desc="download",
                                                      disable=not progress) as shown):
            shutil.copyfileobj(response, shown)
        return total is None or part.stat().st_size == total


def need_space(folder, needed):
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(errno.ENOSPC, f"{megabytes(free)} free, {megabytes(needed)} needed", str(folder))


def read_json(path):
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def megabytes(count):
    return f"{count / 1e6:,.1f} MB"
