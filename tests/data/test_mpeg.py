"""Frames of MPEG counted: streams made of heads and zeros, of every kind that there is."""

import io
import itertools
import struct

import pytest

from acssm_lib.data.reading import pieces
from acssm_lib.data.reading.containers import contents
from acssm_lib.files import DataError


def ladder(first, *steps):
    """Kilobits from ``first`` on, in steps (of so many, up to that one)."""
    rungs = [first]
    for step, last in steps:
        rungs += range(rungs[-1] + step, last + 1, step)
    return rungs


# ISO/IEC 11172-3, table 3-B.3, and 13818-3: kilobits of (MPEG 1, layer), hertz of each version (3: 1, 2: 2, 0: 2.5).
KILOBITS = {
    (True, 1): ladder(32, (32, 448)),
    (True, 2): ladder(32, (16, 48), (8, 64), (16, 128), (32, 256), (64, 384)),
    (True, 3): ladder(32, (8, 64), (16, 128), (32, 256), (64, 320)),
    (False, 1): ladder(32, (16, 48), (8, 64), (16, 160), (16, 176), (16, 192), (32, 256)),
    (False, 2): ladder(8, (8, 64), (16, 160)),
    (False, 3): ladder(8, (8, 64), (16, 160)),
}
RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
SIDE = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}  # bytes, by (MPEG 1, mono)


def samples_of(version, layer):
    return {1: 384, 2: 1152, 3: 1152 if version == 3 else 576}[layer]


def frame(version=3, layer=3, bits=9, rate=0, padding=0, mono=False, body=b""):
    """A frame of zeros, ``body`` first: of ``bits`` and ``rate`` places in the tables, 1 and 0 first."""
    head = bytes([255, 0xE1 | version << 3 | 4 - layer << 1, bits << 4 | rate << 2 | padding << 1, 192 * mono])
    slot = 4 if layer == 1 else 1
    seconds = samples_of(version, layer) / RATES[version][rate]
    length = slot * (int(1000 * KILOBITS[version == 3, layer][bits - 1] * seconds / 8 / slot + 1e-9) + padding)
    return (head + body).ljust(length, b"\0")


def tagged(announced, flags=1, mono=False, name=b"Xing", version=3, more=b""):
    """A frame that says how many follow."""
    tag = name + struct.pack(">I", flags) + (struct.pack(">I", announced) if flags & 1 else b"") + more
    return frame(version, mono=mono, body=bytes(SIDE[version == 3, mono]) + tag)


def look(content):
    return contents(io.BytesIO(content), len(content), "a.mp3")


@pytest.mark.parametrize("layer", (1, 2, 3))
@pytest.mark.parametrize("version", RATES)
def test_frames_of_every_rate_and_size_are_counted(version, layer):
    assert {len(rungs) for rungs in KILOBITS.values()} == {14}
    for bits, rate, mono in itertools.product(range(1, 15), range(3), (False, True)):
        one, padded = (frame(version, layer, bits, rate, padding, mono) for padding in (0, 1))
        found = look(one + 2 * padded + 2 * one)
        assert found.samples == 5 * samples_of(version, layer) and found.notes == (), (bits, rate)


@pytest.mark.parametrize("mono", (False, True))
@pytest.mark.parametrize("version", RATES)
def test_a_stream_without_a_count_gets_a_frame_that_counts(version, mono):
    frames = 7 * frame(version, bits=5, rate=2, mono=mono)
    for before in (b"", b"ID3\4\0\0\0\0\0\5" + bytes(5)):
        found = look(before + frames)
        ((head, start, end),) = found.parts
        assert (start, end) == (len(before), len(before + frames)) and found.notes == ()
        place = 4 + SIDE[version == 3, mono]
        assert not any(head[4:place]) and head[place:] == (b"Xing" + struct.pack(">II", 1, 7)).ljust(
            len(head) - place, b"\0"
        )
        again = look(head + frames)  # what the decoder is given
        assert (again.samples, again.parts) == (found.samples, ((b"", 0, len(head + frames)),))
    with_checksum = frames.replace(frames[:2], bytes([255, frames[1] & 0xFE]))
    assert look(with_checksum).parts[0][0][1] & 1  # the frame that counts has none


@pytest.mark.parametrize(
    "mono, name, version", [(False, b"Xing", 3), (True, b"Info", 3), (False, b"Info", 2), (True, b"Xing", 0)]
)
def test_a_count_is_compared_with_the_frames_that_are_there(mono, name, version):
    frames = 20 * frame(version, mono=mono)
    for announced in (19, 20, 21):  # encoders disagree whether the frame that counts is one of them
        content = tagged(announced, 1, mono, name, version) + frames
        found = look(content)
        assert found.samples == 20 * samples_of(version, 3) and found.notes == ()
        assert found.parts == ((b"", 0, len(content)),) and 5_000 < found.slack < 10_000
    with pytest.raises(DataError, match="a.mp3: truncated, 20 of the 22 frames its header announces are there"):
        look(tagged(22, 1, mono, name, version) + frames)
    for flags, more in ((1, b"\7\7\7\7"), (3, b"\7\7\7\7")):  # what follows is a number of bytes, or is left alone
        content = tagged(18, flags, mono, name, version, more) + frames
        found = look(content)
        ((head, start, end),) = found.parts
        right = tagged(20, flags, mono, name, version, struct.pack(">I", len(content)) if flags & 2 else more) + frames
        assert head + content[start:end] == right
        assert found.notes == ("its header announces 18 frames, and 20 are there; all are used",)
        assert found.samples == 20 * samples_of(version, 3)


def test_a_tag_that_does_not_count_is_replaced():
    frames = 9 * frame()
    for tag in (tagged(0, 0), frame(body=bytes(32) + b"VBRI" + bytes(10) + struct.pack(">I", 5))):
        found = look(tag + frames)
        ((head, start, end),) = found.parts
        assert start == len(tag) and look(head + frames).notes == () and found.samples == 9 * 1152
        assert head[36:48] == b"Xing" + struct.pack(">II", 1, 9)
    content = frame(body=bytes(32) + b"VBRI" + bytes(10) + struct.pack(">I", 9)) + frames
    assert look(content).parts == ((b"", 0, len(content)),)


@pytest.mark.parametrize(
    "tags, n",
    [
        (b"ID3\3\0\0\0\0\0\5", 5),
        (b"ID3\3\0\0\0\0\1\1", 129),
        (b"ID3\3\0\0\0\1\0\2", 16_386),
        (b"ID3\3\0\0\1\0\0\0", 2_097_152),
        (b"ID3\4\0\20\0\0\0\5", 15),
        (b"ID3\3\0\0\0\0\0\0", 0),
    ],
)
def test_tags_before_the_frames_are_skipped_with_the_zeros_behind_them(tags, n):
    block = tags + b"\xff\xfb\x90\0" * (n // 4) + b"\1" * (n % 4)  # what looks like a frame within a tag is none
    for before in (block, 2 * block, block + bytes(3_000)):
        assert look(before + 4 * frame()).parts[0][1:] == (len(before), len(before + 4 * frame()))


def test_what_stands_between_frames_is_named_and_left_out():
    some, other = 6 * frame(), frame(rate=1)
    assert look(some + b"\1" * 77 + some).notes == ("77 bytes between its frames are no sound",)
    assert look(some + b"\xff\xfb\x90\0" * 20 + some).samples == 12 * 1152  # heads without frames
    for between in (other, frame(2), frame(layer=2)):  # of another rate, version, layer
        found = look(some + between + some)
        assert found.samples == 12 * 1152 and found.notes == (f"{len(between)} bytes between its frames are no sound",)
    for tag in (b"TAG" + b"\1" * 125, b"APETAGEX" + b"\1" * 90, b"LYRICS" + b"\1" * 30, b"ID3\3\0\0\0\0\0\4abcd"):
        assert look(some + tag + some).notes == () and look(some + tag).notes == ()
        assert look(some + tag + some).samples == 12 * 1152 and look(some + tag).samples == 6 * 1152


def test_a_cut_within_a_frame_is_named():
    for missing in (1, 200, len(frame()) - 4):
        found = look((3 * frame())[:-missing])
        assert found.samples == 2 * 1152
        assert found.notes == ("it ends within a frame: it may have been cut; what is there is used",)
    assert look((3 * frame())[: 3 - len(frame())]).notes == ()  # of the third one not even a head is there


@pytest.mark.parametrize(
    "head",
    [
        b"\xff\xeb\x90\0",
        b"\xff\xf9\x90\0",
        b"\xff\xfb\0\0",
        b"\xff\xfb\xf0\0",
        b"\xff\xfb\x9c\0",
        b"\xff\xdb\x90\0",
        b"\xff",
    ],
)
def test_what_is_no_head_of_a_frame_begins_no_stream(head):
    """Of versions, layers, kilobits and rates that are reserved; without all bits that mark a head; cut."""
    content = 3 * head.ljust(417, b"\0")
    found = look(content)
    assert found.parts == ((b"", 0, len(content)),) and (found.samples, found.slack, found.notes) == (-1, 0, ())


@pytest.mark.parametrize("n, counted", [(65_000, True), (66_000, False)])
def test_the_first_frame_is_looked_for_in_the_first_64_kilobytes(n, counted, monkeypatch):
    monkeypatch.setattr(pieces, "_PIECE", 5_000)
    assert (look(b"\xff" + b"\1" * n + 3 * frame()).samples == 3 * 1152) == counted


def test_a_file_that_is_cut_anywhere_in_its_first_frames_is_named_or_has_none(monkeypatch):
    """Also within the tag, where the count is not there any more."""
    for whole in (
        tagged(5) + 5 * frame(),
        tagged(5, 3) + 5 * frame(),
        tagged(5, 0) + 5 * frame(),
        3 * frame(),
        frame(body=bytes(32) + b"VBRI" + bytes(10) + struct.pack(">I", 5)) + 5 * frame(),
    ):
        for n in (*range(64), *range(len(frame()) - 3, len(frame()) + 60)):
            try:
                found = look(whole[:n])
            except DataError as error:
                assert "truncated" in str(error)
            else:
                assert found.samples is None or found.samples in (-1, 0, 1152)
