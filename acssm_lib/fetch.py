"""Downloads that resume after a cut and get their name only when every byte has arrived.

A server is a stranger: it gets a limit in bytes and in seconds, and may not send us on to another kind of address.
"""

import contextlib
import errno
import http.client
import json
import re
import shutil
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from acssm_lib.files import DataError, settle, write_json
from acssm_lib.text import visible

_ATTEMPTS = 5
_WAIT_S = 2.0  # before the second attempt, twice that before the third, ...
_ANSWER_S = 30.0  # for the head of an answer, and between two bytes
_WINDOW_S, _WINDOW_BYTES = 60.0, 60_000  # progress that is required all the time, 1 kB/s
_WHOLE_S, _WHOLE_BYTES_PER_S = 600.0, 20_000  # for one call: ten minutes, and the time its bytes take at 20 kB/s
_SPARE = 1_000_000  # bytes; sizes that are known "about" may be exceeded by this and a tenth
_BLOCK = 1 << 16


class Refused(DataError):
    """What the server sends is not what was asked for; asking again changes nothing."""


def fetch(url, path, size, extra=0, progress=True):
    """Download one file; it gets its name only when every byte has arrived, and a cut transfer resumes.

    Args:
        url: http or https address; https never goes on as http.
        path: file to make; until then its bytes are in ``path`` + ".part".
        size: bytes of the file, about; what is a tenth larger is refused.
        extra: bytes that must be free beside the file.
    Returns:
        path, as a ``Path``.
    Raises:
        DataError: no network, no space, no progress, or an answer without the file.
    """
    path = Path(path)
    part, tags = path.with_name(path.name + ".part"), path.with_name(path.name + ".part.json")
    end = time.monotonic() + _WHOLE_S + size / _WHOLE_BYTES_PER_S
    _check_address(url)
    for attempt in range(_ATTEMPTS):
        time.sleep(attempt * _WAIT_S)
        try:
            if _transfer(url, part, tags, size, extra, progress, end):
                settle(part, path)
                tags.unlink()
                return path
            reason = "the connection was cut"
        except Refused:
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: headers that are none
            if getattr(error, "errno", None) == errno.ENOSPC:
                raise DataError(f"{part}: {error.strerror}; make room and run again, or name another --to") from error
            reason = visible(error).strip("<>") or type(error).__name__
            if 400 <= getattr(error, "code", 500) < 500 and error.code != 429:  # asking again changes nothing
                break
        if time.monotonic() >= end:
            break
    arrived = megabytes(part.stat().st_size if part.exists() else 0)
    raise DataError(
        f"could not download {url}: {reason}. {arrived} are kept in {part}; running the same command again "
        f"resumes there (from the start if the server cannot). Without a network, save that address "
        f"elsewhere as {path.name}, put it into {path.parent} and run the same command again"
    )


def _transfer(url, part, tags, size, extra, progress, end):
    """One request, for what is missing of ``part`` if the server still has the same archive; True when complete."""
    known = read_json(tags).get(url)
    have = part.stat().st_size if known and part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    if have and not known.startswith("W/"):  # a weak ETag may not be sent; it is compared below
        headers["If-Range"] = known
    try:
        response = _open(urllib.request.Request(url, headers=headers))
    except urllib.error.HTTPError as error:
        if error.code != 416:  # nothing follows the bytes we have: an answer, not a failure
            raise
        response = error
    with response:
        tag = _tag(response.headers)
        if response.status in (206, 416):
            span, _, total = response.headers.get("Content-Range", "").partition("/")
            if response.status == 416 and total == str(have):
                return True
            if not span.startswith(f"bytes {have}-") or tag not in (known, None):
                part.unlink(missing_ok=True)
                return False
            total = None if total == "*" else _count(total)
        else:
            have, total = 0, response.headers.get("Content-Length")
            total = None if total is None else _count(total)
            part.write_bytes(b"")  # emptied before the tag changes, so that old bytes never stand under a new tag
            write_json(tags, {url: tag})
        print(f"size        {'unknown' if total is None else megabytes(total)} ({megabytes(have)} here already)")
        limit = 1.1 * size + _SPARE
        if (total or 0) > limit:
            part.unlink(missing_ok=True)
            raise Refused(f"{url} announces {megabytes(total)}, but the file has about {megabytes(size)}: refused")
        need_space(part.parent, (total or size) - have + extra)
        with (
            open(part, "ab") as file,
            _watched(response.connection, end - time.monotonic()),
            tqdm(total=total, initial=have, desc="download", unit="B", unit_scale=True, disable=not progress) as bar,
        ):
            _copy(response, file, bar, end, limit - have)
        return part.stat().st_size == total if total is not None else part.stat().st_size > 0


def _copy(response, file, bar, end, limit):
    """The body of an answer into a file, while it is not too long and comes fast enough.

    Raises:
        Refused: more than ``limit`` bytes; OSError: no progress, or it is later than ``end``.
    """
    copied, since, before = 0, time.monotonic(), 0
    while block := response.read1(_BLOCK):
        copied += len(block)
        if copied > limit:
            file.truncate(0)
            raise Refused(f"{response.url} sends more than {megabytes(limit)}: refused, nothing of it is kept")
        file.write(block)
        bar.update(len(block))
        now = time.monotonic()
        if now >= end:
            raise TimeoutError("it takes too long")
        if now >= since + _WINDOW_S:
            if copied - before < _WINDOW_BYTES:
                raise TimeoutError(f"{copied - before} bytes in {now - since:.0f} s")
            since, before = now, copied


def _count(text):
    """A number of bytes in a header; ``str.isdigit`` takes superscripts, and ``int`` takes signs and underscores."""
    if not re.fullmatch("[0-9]{1,15}", text):
        raise http.client.HTTPException(f"the server announces {text[:40]!r} bytes")
    return int(text)


def _tag(headers):
    """What tells one edition of the file from the next, if it can be sent back as a header; else None."""
    tag = headers.get("ETag") or headers.get("Last-Modified")
    return tag if tag and re.fullmatch("[ -~]{1,200}", tag) else None


def _check_address(url, before="http:"):
    """Raises Refused for anything but http and https, and for http where https was ``before``."""
    scheme = url.partition(":")[0].lower()
    if scheme not in ("http", "https"):
        raise Refused(f"{visible(url)}: expected an http or https address")
    if scheme == "http" and before.lower().startswith("https:"):
        raise Refused(f"{visible(before)} sends us on to {visible(url)}, which is not encrypted: refused")


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, request, file, code, message, headers, new_url):
        _check_address(new_url, request.full_url)
        return super().redirect_request(request, file, code, message, headers, new_url)


class _Watched:
    """A connection whose answer must begin within ``_ANSWER_S``, however slowly its bytes drip in."""

    def getresponse(self):
        connection = self.sock
        with _watched(connection, _ANSWER_S):
            response = super().getresponse()
        response.connection = connection  # a response keeps it open, but does not say which
        return response


@contextlib.contextmanager
def _watched(connection, seconds):
    """Hang up if what is done here takes longer: a time limit on a socket begins anew with every byte.

    Raises:
        TimeoutError: it did; to a reader that looks like an end.
    """
    late = threading.Event()

    def hang_up():
        late.set()
        with contextlib.suppress(OSError):  # it has gone by itself
            connection.shutdown(socket.SHUT_RDWR)

    watch = threading.Timer(seconds, hang_up)
    watch.daemon = True
    watch.start()
    try:
        yield
    finally:
        watch.cancel()
        if late.is_set():
            raise TimeoutError(f"no end after {seconds:.0f} s")


class _Plain(_Watched, http.client.HTTPConnection):
    pass


class _Encrypted(_Watched, http.client.HTTPSConnection):
    pass


class _Http(urllib.request.HTTPHandler):
    def http_open(self, request):
        return self.do_open(_Plain, request)


class _Https(urllib.request.HTTPSHandler):
    def https_open(self, request):
        return self.do_open(_Encrypted, request, context=self._context)


def _open(request):
    """The answer to a request, by way of the proxy that the environment names, if any."""
    return urllib.request.build_opener(_Http, _Https, _Redirects).open(request, timeout=_ANSWER_S)


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
