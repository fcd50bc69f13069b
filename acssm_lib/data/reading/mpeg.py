"""The frames of an MPEG file (MP3), counted: its header may announce less than is there, or nothing."""

import struct
from dataclasses import dataclass

from acssm_lib.files import DataError

_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}  # Hz, by version
_KILOBITS = {  # by (MPEG 1, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_SLACK = 3 * 1152 + 4096  # samples that encoders put before and behind the sound, and decoders take away again


@dataclass(frozen=True)
class _Frame:
    version: int  # 3 for MPEG 1, 2 for MPEG 2, 0 for MPEG 2.5
    layer: int
    sample_rate: int
    mono: bool
    length: int  # bytes

    @property
    def samples(self):
        return 384 if self.layer == 1 else 1152 if self.layer == 2 or self.version == 3 else 576

    @property
    def side(self):
        """Bytes between head and the tag that counts frames."""
        return {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}[self.version == 3, self.mono]


def mpeg_parts(content, path):
    """(parts, samples, slack, notes) as ``containers.Contents`` takes them, of the ``Pieces`` of a file.

    Raises:
        DataError: the tag in its first frame announces more frames than there are, or that frame is cut itself.
    """
    whole = ((b"", 0, len(content)),)
    begin = _after_tags(content)
    first, begin = _next_frame(content, begin, None)
    if first is None:  # no MPEG, or of a kind whose frames cannot be counted
        return whole, -1, 0, ()
    place, announced = _tag(content, begin, first)
    count, cut, skipped = _count(content, begin, first)
    if not count:
        raise DataError(f"{path}: truncated, not even its first frame is whole; copy or download it again")
    count -= place is not None
    notes = (f"{skipped:,} bytes between its frames are no sound",) if skipped else ()
    if cut:
        notes += ("it ends within a frame: it may have been cut; what is there is used",)
    if announced is not None and announced > count + 1:
        raise DataError(
            f"{path}: truncated, {count} of the {announced} frames its header announces are there; "
            "copy or download it again"
        )
    samples = count * first.samples
    if announced is not None and announced >= count - 1 or first.layer != 3:
        return whole, samples, _SLACK, notes
    if place is not None and announced is not None and content[place : place + 4] != b"VBRI":
        head = content[: place + 8] + struct.pack(">I", count)
        if content[place + 7] & 2:  # its number of bytes follows
            head += struct.pack(">I", len(content) - begin)
        notes += (f"its header announces {announced} frames, and {count} are there; all are used",)
        return ((head, len(head), len(content)),), samples, _SLACK, notes
    head = _counting_frame(content[begin : begin + 4], first, count)
    skip = begin if place is None else begin + first.length
    return ((head, skip, len(content)),), samples, _SLACK, notes


def _after_tags(content, position=0):
    """Where the first frame may begin: behind ID3 tags and the zeros that fill them up."""
    while content[position : position + 3] == b"ID3" and position + 10 <= len(content):
        a, b, c, d = content[position + 6 : position + 10]
        position += 10 + (a << 21 | b << 14 | c << 7 | d) + (10 if content[position + 5] & 16 else 0)
    return content.behind_zeros(position)


def _frame(content, position):
    """The frame whose head stands at ``position``, or None."""
    head = content[position : position + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer, kilobits, rate = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3), head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or kilobits in (0, 15) or rate == 3:
        return None
    bits = 1000 * _KILOBITS[version == 3, layer][kilobits - 1]
    sample_rate, padding = _RATES[version][rate], head[2] >> 1 & 1
    if layer == 1:
        length = (12 * bits // sample_rate + padding) * 4
    else:
        length = (72 if layer == 3 and version != 3 else 144) * bits // sample_rate + padding
    return _Frame(version, layer, sample_rate, head[3] >> 6 == 3, length)


def _alike(frame, first):
    return frame is not None and (
        first is None
        or (frame.version, frame.layer, frame.sample_rate) == (first.version, first.layer, first.sample_rate)
    )


def _next_frame(content, position, first):
    """(frame, place) of the next one that another frame, or the end, follows; (None, end) where there is none."""
    limit = len(content) if first is not None else min(len(content), position + 65_536)
    while 0 <= (position := content.find(b"\xff", position)) < limit:
        frame = _frame(content, position)
        if _alike(frame, first):
            after = position + frame.length
            if after >= len(content) - 4 or _alike(_frame(content, after), frame):
                return frame, position
        position += 1
    return None, len(content)


def _count(content, position, first):
    """(whole frames, whether the last is cut, bytes between frames that are none)."""
    count, skipped = 0, 0
    while position < len(content) - 3:
        frame = _frame(content, position)
        if not _alike(frame, first):
            tags = content[position : position + 3] in (b"TAG", b"ID3", b"APE", b"LYR")
            after = max(_after_tags(content, position), position)
            frame, place = _next_frame(content, after, first)
            if frame is None:
                break
            skipped += 0 if tags else place - after
            position = place
        if position + frame.length > len(content):
            return count, True, skipped
        count += 1
        position += frame.length
    return count, False, skipped


def _tag(content, begin, first):
    """(place, frames announced) of the tag in the first frame: place None without one, frames None if not said."""
    place = begin + 4 + first.side
    if content[place : place + 4] in (b"Xing", b"Info"):
        flags, frames = struct.unpack(">II", content[place + 4 : place + 12]) if place + 12 <= len(content) else (0, 0)
        return place, frames if flags & 1 else None
    place = begin + 36
    if content[place : place + 4] == b"VBRI" and place + 18 <= len(content):
        return place, struct.unpack(">I", content[place + 14 : place + 18])[0]
    return None, None


def _counting_frame(head, first, count):
    """A frame without sound that says how many follow, as encoders put it before the others."""
    head = bytearray(head)
    head[1] |= 1  # without a checksum
    head[2] = 0x90 | head[2] & 0x0C  # enough kilobits for the tag to fit in
    frame = _frame(bytes(head), 0)
    return (bytes(head) + bytes(first.side) + b"Xing" + struct.pack(">II", 1, count)).ljust(frame.length, b"\0")
