"""When a recording began: from its name or its header, by a strict list of patterns; never a guess.

    20240514_040000.WAV, 20240514_040000T.WAV      AudioMoth (T: triggered)
    SITE_20240514_040000.wav, ..._000.wav          Song Meter and others by Wildlife Acoustics, with an optional part
    20240514T040000+1000_NAME.flac                 Frontier Labs, with the offset from UTC; + or Z
    comment "Recorded at 04:00:00 14/05/2024 (UTC+10) by AudioMoth ..."      chunk LIST of a WAV
    "Timestamp: 2024-05-14T04:00:00+10:00"         chunk guan of a WAV (GUANO)

Sources: AudioMoth operation manual and firmware; Wildlife Acoustics' Song Meter user guides; Frontier Labs' BAR-LT
manual; GUANO metadata specification 1.0.
"""

import re
import struct
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from pathlib import PurePosixPath

_NAME = re.compile(
    r"(?:(?P<site>.*?)[_-])?(?P<date>\d{8})(?P<joint>[_T-])(?P<time>\d{6})(?P<zone>Z|[+-]\d{2}:?\d{2})?"
    r"(?:T|_\d{1,3}|_\d{3}T|_(?P<rest>[A-Za-z][^/]*))?"
)
_MOTH = re.compile(r"Recorded at (\d\d:\d\d:\d\d(?:\.\d+)?) (\d\d/\d\d/\d{4}) \(UTC(?:([+-]\d{1,2})(?::(\d\d))?)?\)")
_GUANO = re.compile(
    r"^Timestamp:\s*(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:\.\d+)?\s*(Z|[+-]\d\d:?\d\d)?\s*$", re.MULTILINE
)
_FIRST_YEAR = 1990  # there was no recorder of this kind before: a clock that was never set begins in 1970
_MOST_TEXT = 1 << 16  # bytes of a comment that are read


@dataclass(frozen=True)
class Moment:
    """When a recording began.

    Attributes:
        at: datetime, with an offset where one is known; None if unknown.
        origin: "name", "header" or "none".
        note: what is doubtful, or "".
    """

    at: datetime | None = None
    origin: str = "none"
    note: str = ""

    @property
    def text(self):
        """ISO 8601, "" if unknown."""
        return "" if self.at is None else self.at.isoformat()

    @property
    def night(self):
        """ISO date of the evening on which the night began, from noon to noon of the clock; "" if unknown."""
        return "" if self.at is None else (self.at - timedelta(hours=12)).date().isoformat()


def moment_of(path, zone=None):
    """The Moment of a recording.

    Name and header should agree; where they do not, the name counts and the note says so. Where they agree, an offset
    from UTC that only one has is taken. A zone of the survey is given to a time without offset, and one with offset is
    told in that zone.

    Args:
        path: of the file; only the chunks of its header are read.
        zone: as ``SurveySettings.time_zone``.
    """
    named, told = from_name(path), from_header(path)
    note = ""
    if named and told:
        apart = abs((named.replace(tzinfo=None) - told.replace(tzinfo=None)).total_seconds())
        if apart > 2:
            note = f"its name says {named.isoformat(sep=' ')}, its header {told.isoformat(sep=' ')}; the name is used"
        elif named.tzinfo is None:
            named = named.replace(tzinfo=told.tzinfo)
    at, origin = (named, "name") if named else (told, "header")
    if at is None:
        return Moment(note="neither its name nor its header says when it was recorded")
    if at.year < _FIRST_YEAR:
        return Moment(note=f"its clock says {at:%Y-%m-%d}: it was never set, or lost its power")
    zone = time_zone_of(zone)
    if zone is not None:
        at = at.astimezone(zone) if at.tzinfo else at.replace(tzinfo=zone)
    return Moment(at, origin, note)


def from_name(path):
    """Datetime that a file's name holds by one of the patterns above, else None."""
    found = _NAME.fullmatch(PurePosixPath(str(path).replace("\\", "/")).stem)
    if not found or (found["joint"] == "T") != bool(found["zone"]):  # the T stands between them only with an offset
        return None
    try:
        at = datetime.strptime(found["date"] + found["time"], "%Y%m%d%H%M%S")
    except ValueError:
        return None
    return at.replace(tzinfo=_offset(found["zone"]))


def site_in_name(path):
    """What stands before the date in a file's name ("SITE" of SITE_20240514_040000.wav), "" if nothing does."""
    found = _NAME.fullmatch(PurePosixPath(str(path).replace("\\", "/")).stem)
    return (found["site"] or "") if found and from_name(path) else ""


def from_header(path):
    """Datetime from AudioMoth's comment or GUANO in a WAV file, else None; an unreadable file has none."""
    try:
        text = "\n".join(_texts(path))
    except (OSError, struct.error):
        return None
    moth, guano = _MOTH.search(text), _GUANO.search(text)
    try:
        if moth:
            at = datetime.strptime(f"{moth[2]} {moth[1][:8]}", "%d/%m/%Y %H:%M:%S")
            hours, minutes = int(moth[3] or 0), int(moth[4] or 0)
            shift = timedelta(hours=hours, minutes=-minutes if hours < 0 else minutes)
            return at.replace(tzinfo=timezone(shift))
        if guano:
            at = datetime.fromisoformat(guano[1].replace(" ", "T"))
            return at.replace(tzinfo=_offset(guano[2]))
    except ValueError:
        pass
    return None


def _texts(path):
    """Yields the comment (LIST INFO) and GUANO text of a WAV file; the sound is stepped over."""
    with open(path, "rb") as file:
        if file.read(12)[8:] != b"WAVE":
            return
        while len(head := file.read(8)) == 8:
            name, size = head[:4], struct.unpack_from("<I", head, 4)[0]
            text = file.read(min(size, _MOST_TEXT)) if name in (b"LIST", b"guan") else b""
            if text:
                yield text.decode("utf-8", "replace").replace("\0", "\n")
            file.seek(size - len(text) + size % 2, 1)


def time_zone_of(text):
    """``tzinfo`` of "+10:00", "UTC" or a name such as "Australia/Brisbane"; None for None.

    Raises:
        ValueError: no such zone.
    """
    if text is None:
        return None
    if text in ("UTC", "Z") or re.fullmatch(r"[+-]\d\d:?\d\d", text):
        return _offset("Z" if text in ("UTC", "Z") else text)
    try:
        return zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f'time_zone={text!r}: expected an offset, as in "+10:00", or a name, as in "Australia/Brisbane"'
        ) from None


def _offset(text):
    """ "+1000", "+10:00", "Z" -> tzinfo; None for None or "".

    Raises:
        ValueError: a day or more.
    """
    if not text:
        return None
    if text == "Z":
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[-2:])))
