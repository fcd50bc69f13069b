"""What an audio file says about itself against what is there, found before anything is decoded.

libsndfile believes headers, and corrects a cut in silence. Here the bytes are counted: of the chunks of WAV, RF64, W64,
AIFF, CAF and AU, of the frames of MP3, of the pages of Ogg. Where a header is wrong or was never finished (a recorder
that lost power, a program that wrote into a pipe) and the sound can be told nevertheless, the decoder is given the file
with the right number in it.
"""

import struct
import zlib
from dataclasses import dataclass, replace

import numpy as np

from acssm_lib.data.reading.mpeg import mpeg_parts
from acssm_lib.data.reading.pieces import Pieces
from acssm_lib.files import DataError

_TAIL = 1 << 24  # bytes at the end in which tags are looked for


@dataclass(frozen=True)
class Contents:
    """How to decode a file.

    Attributes:
        parts: (head, start, end) of streams that follow one another: bytes that stand for the beginning, then those
            of the file from ``start`` to ``end``.
        samples: of one channel, as the file announces them; None where the decoder has to find out.
        slack: samples that may be missing of them without a fault.
        notes: sentences about what was mended or is doubtful.
    """

    parts: tuple
    samples: int | None = None
    slack: int = 0
    notes: tuple = ()


def contents(file, size, path):
    """Read the structure of an open binary file of ``size`` bytes; ``path`` is for messages.

    Returns:
        Contents; samples is -1 where the decoder's own number may be believed.
    Raises:
        DataError: the file is truncated or damaged.
    """
    file.seek(0)
    start = file.read(16)
    kind = start[:4]
    if kind in _CHUNKED and (kind not in (b"FORM", b"RIFF") or start[8:12] in (b"AIFF", b"AIFC", b"WAVE")):
        return _chunked(file, size, path, kind)
    if kind in (b".snd", b"dns.") and len(start) >= 12:
        return _sun(size, path, start)
    if kind == b"fLaC":
        return _flac(file, size)
    if kind == b"OggS":
        return _ogg(Pieces(file, size), path)
    if kind[:3] == b"ID3" or kind[:1] == b"\xff":
        return Contents(*mpeg_parts(Pieces(file, size), path))
    return Contents(((b"", 0, size),), -1)


# Of each kind: format of a chunk's size, bytes of its name, of its head, of the file's head, what sizes are rounded up
# to, whether they count the head, the name of the sound, and bytes of the chunk before the sound.
_CHUNKED = {
    b"RIFF": ("<I", 4, 8, 12, 2, False, b"data", 0),
    b"RIFX": (">I", 4, 8, 12, 2, False, b"data", 0),
    b"RF64": ("<I", 4, 8, 12, 2, False, b"data", 0),
    b"BW64": ("<I", 4, 8, 12, 2, False, b"data", 0),
    b"FORM": (">I", 4, 8, 12, 2, False, b"SSND", 8),
    b"caff": (">q", 4, 12, 8, 1, False, b"data", 4),
    b"riff": ("<q", 16, 24, 40, 8, True, b"data", 0),
}


def _chunked(file, size, path, kind):
    """A file of chunks, each with a name and a size, one of which holds the sound."""
    order, name_bytes, head_bytes, position, even, counts_head, wanted, offset = _CHUNKED[kind]
    large, block, rate, exact = None, 1, 0, -1
    while position + head_bytes <= size:
        file.seek(position)
        head = file.read(head_bytes + 40)
        name = head[:4]
        announced = struct.unpack_from(order, head, name_bytes)[0] - (head_bytes if counts_head else 0)
        body = head[head_bytes:]
        if name == wanted:
            if announced == 0xFFFFFFFF and large is not None:
                announced = large[0]
            found = _sound(file, size, path, kind, position, announced, block, rate, large)
            return replace(found, samples=exact)
        if name == b"ds64" and len(body) >= 24:
            large = (struct.unpack_from("<Q", body, 8)[0], position + head_bytes)
        elif name == b"fmt " and len(body) >= 14:
            rate, block = struct.unpack_from(f"{order[0]}IH", body, 8)
            if struct.unpack_from(f"{order[0]}H", body)[0] in (0x50, 0x55):  # MPEG: how many samples is a guess
                exact = None
        elif name == b"desc" and len(body) >= 24:
            rate, block = 0, struct.unpack_from(">I", body, 16)[0]
        elif name == b"COMM" and len(body) >= 8:
            channels, _, bits = struct.unpack_from(">HIH", body)
            block = channels * ((bits + 7) // 8)
        if announced < 0:
            break
        position += head_bytes + announced + -announced % even
    return Contents(((b"", 0, size),), -1)  # the decoder will say what it misses


def _sound(file, size, path, kind, position, announced, block, rate, large):
    """The chunk of the sound at ``position``: cut, without a size, or as announced."""
    order, name_bytes, head_bytes, _, even, counts_head, _, offset = _CHUNKED[kind]
    begin = position + head_bytes
    there = size - begin
    if not _unknown(announced, kind):
        if announced > there:
            raise _truncated(path, there, announced)
        end = begin + announced + -announced % even
        rest = size - end
        if announced > offset and rest > max(rate // 10, 1_000) and not _is_chunks(file, end, size, kind):
            return Contents(
                ((b"", 0, size),),
                -1,
                notes=(
                    f"{rest:,} bytes behind the {announced:,} that its header announces are no chunk, and are not "
                    "used; if the recording should be longer, its header is wrong",
                ),
            )
        if announced > offset or rest <= 0 or _is_chunks(file, end, size, kind):
            return Contents(((b"", 0, size),), -1, notes=_more_sound(file, end, size, kind))
    end = _before_tags(file, begin + offset, size, order) if head_bytes == 8 else size
    length = (end - begin - offset) // max(block, 1) * max(block, 1) + offset
    if length <= offset:
        return Contents(((b"", 0, size),), -1)
    file.seek(0)
    head = bytearray(file.read(begin))
    if kind in (b"RF64", b"BW64") and large is not None:
        struct.pack_into("<QQQ", head, large[1], begin + length - 8, length, length // max(block, 1))
    else:
        most = 0xFFFFFFFF if order[1] == "I" else length
        struct.pack_into(order, head, position + name_bytes, min(length, most) + (head_bytes if counts_head else 0))
        if order[1] == "I":
            struct.pack_into(order, head, 4, min(begin + length - 8, most))
        elif counts_head:
            struct.pack_into(order, head, 16, begin + length)
    if kind == b"FORM" and (place := head.find(b"COMM")) >= 0:
        struct.pack_into(">I", head, place + 10, (length - offset) // max(block, 1))
    tags = f", less {size - end:,} bytes of tags" if end < size else ""
    return Contents(
        ((bytes(head), begin, begin + length),),
        -1,
        notes=(
            f"its header was never finished (power lost, or written into a pipe); all {length - offset:,} bytes up to "
            f"the end of the file are taken for sound{tags}",
        ),
    )


def _truncated(path, there, announced):
    return DataError(
        f"{path}: truncated, {max(there, 0)} of the {announced} bytes of sound its header announces are "
        "there; copy or download it again"
    )


def _unknown(announced, kind):
    """Whether a size stands for "not known": nothing, -1, or what programs write that cannot go back."""
    if kind in (b"caff", b"riff"):
        return announced <= 0 or announced >= 2**62
    return announced == 0 or announced >= 0xFFFFFF00 or 0x7FFFF000 - 64 <= announced <= 0x80000000


def _is_chunks(file, position, size, kind):
    """Whether the bytes from ``position`` on are whole chunks, or zeros."""
    order, name_bytes, head_bytes, _, even, counts_head, _, _ = _CHUNKED[kind]
    file.seek(position)
    if not file.read(min(size - position, _TAIL)).strip(b"\0"):
        return True
    while position + head_bytes <= size:
        file.seek(position)
        head = file.read(head_bytes)
        length = struct.unpack_from(order, head, name_bytes)[0] - (head_bytes if counts_head else 0)
        if not all(32 <= byte < 127 for byte in head[:4]) or length < 0:
            return False
        position += head_bytes + length
        position += -length % even
    return position - size <= even


def _more_sound(file, position, size, kind):
    """A sentence in a tuple where a second chunk of sound follows, which no decoder reads; else an empty one."""
    order, name_bytes, head_bytes, _, even, counts_head, wanted, _ = _CHUNKED[kind]
    while position + head_bytes <= size:
        file.seek(position)
        head = file.read(head_bytes)
        length = struct.unpack_from(order, head, name_bytes)[0] - (head_bytes if counts_head else 0)
        if head[:4] == wanted and length > 0:
            return (
                f"a second chunk of sound, {length:,} bytes, follows the first and is not used; export the "
                "recording again",
            )
        if length < 0:
            break
        position += head_bytes + length + -length % even
    return ()


def _before_tags(file, begin, size, order):
    """Where the sound ends: before the chunks that end where the file ends, if any do."""
    low = max(begin, size - _TAIL)
    file.seek(low)
    tail = np.frombuffer(file.read(size - low), np.uint8)
    end = len(tail)
    if end < 8:
        return size
    letters = (
        ((tail >= 97) & (tail <= 122))
        | ((tail >= 65) & (tail <= 90))
        | ((tail >= 48) & (tail <= 57))
        | (tail == 32)
        | (tail == 95)
    )
    n = len(tail) - 7
    named = letters[:n] & letters[1 : n + 1] & letters[2 : n + 2] & letters[3 : n + 3]
    places = np.flatnonzero(named)
    sizes = np.frombuffer(tail[places[:, None] + np.arange(4, 8)].tobytes(), f"{order[0]}u4").astype(np.int64)
    while True:  # from the last chunk to the first
        found = places[(places + 8 + sizes == end) | (places + 8 + sizes + sizes % 2 == end)]
        if not len(found):
            return low + end
        end = int(found[0])


def _sun(size, path, start):
    """AU: offset and size of the sound stand at the beginning."""
    order = ">" if start[:4] == b".snd" else "<"
    offset, announced = struct.unpack_from(f"{order}II", start, 4)
    there = size - offset
    if 0 < announced < 0xFFFFFFFF:
        if announced > there:
            raise _truncated(path, there, announced)
        return Contents(((b"", 0, size),), -1)
    head = start[:8] + struct.pack(f"{order}I", max(min(there, 0xFFFFFFFE), 0))
    return Contents(
        ((head, len(head), size),),
        -1,
        notes=("its header does not say how long it is; everything up to the end of the file is taken for sound",),
    )


def _flac(file, size):
    """FLAC, its number of samples set to "not known": the decoder then reads to the end, whatever is announced."""
    file.seek(0)
    head = bytearray(file.read(26))
    samples = ((head[21] & 15) << 32 | int.from_bytes(head[22:26], "big")) if len(head) == 26 else 0
    if len(head) == 26 and head[4] & 127 == 0:  # the block of the stream's numbers always comes first
        head[21] &= 0xF0
        head[22:26] = bytes(4)
    file.seek(max(size - 128, 0))
    end = size - 128 * (file.read(3) == b"TAG")  # an ID3 tag of 128 bytes, at which the decoder would lose its way
    return Contents(((bytes(head), len(head), end),), samples or None)


def _ogg(content, path):
    """Ogg: whole pages with right checksums; streams that follow one another are decoded one by one."""
    position, links, began, following, lost, closed = 0, [0], False, {}, 0, True
    while (position := content.find(b"OggS", position)) >= 0:
        table = position + 27
        n_segments = content[position + 26] if table <= len(content) else 0
        end = table + n_segments + sum(content[table : table + n_segments])
        if table > len(content) or end > len(content) or table + n_segments > len(content):
            raise DataError(f"{path}: truncated, the Ogg stream breaks off within a page; copy or download it again")
        page = content[position:end]
        flags = page[5]
        serial, number, checksum = struct.unpack_from("<III", page, 14)
        if _ogg_checksum(page) != checksum:
            raise DataError(
                f"{path}: damaged, a page of the Ogg stream at byte {position} does not fit its checksum; "
                "copy or download it again"
            )
        if flags & 2 and began:
            links.append(position)
        began = not flags & 2
        lost += not flags & 2 and number != following.get(serial, number)
        following[serial] = number + 1
        closed = bool(flags & 4)
        position = end
    notes = (
        ()
        if closed
        else (
            "its last page is not there: the recorder was switched off, or the file was cut "
            "between two pages; what is there is used",
        )
    )
    if lost:
        notes += (f"pages are missing at {lost} places in the middle of the stream",)
    if len(links) > 1:
        notes += (f"{len(links)} Ogg streams follow one another in it; all are used",)
    ends = [*links[1:], len(content)]
    return Contents(tuple((b"", start, end) for start, end in zip(links, ends)), -1, notes=notes)


_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _ogg_checksum(page):
    """CRC-32 of a page, its own field zero: zlib's, with bits in the other order and without its two inversions."""
    page = (page[:22] + bytes(4) + page[26:]).translate(_MIRRORED)
    return int(f"{zlib.crc32(page, 0xFFFFFFFF) ^ 0xFFFFFFFF:032b}"[::-1], 2)
