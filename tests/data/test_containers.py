"""What a file says about itself, byte by byte: heads that were never finished, cuts, tails, pages."""

import io
import struct

import pytest
import soundfile
from made_calls import RATE, call, chunk, riff

from acssm_lib.data.reading import containers
from acssm_lib.data.reading.containers import contents
from acssm_lib.files import DataError


def look(content):
    return contents(io.BytesIO(content), len(content), "a.wav")


def finished(kind, subtype, channels=1, **options):
    body = io.BytesIO()
    samples = call(0.1)[:, None].repeat(channels, 1)
    soundfile.write(body, samples, RATE, format=kind, subtype=subtype, **options)
    return body.getvalue()


BROKEN = {  # kind and endian -> mark before the size of the sound, where the size stands behind it, sizes of no end
    ("WAV", "FILE"): (b"data", 4, "<I", (0, 2**32 - 1)),
    ("WAV", "BIG"): (b"data", 4, ">I", (0, 2**32 - 256)),
    ("AIFF", "FILE"): (b"SSND", 4, ">I", (0, 8)),
    ("W64", "FILE"): (b"data", 16, "<q", (24, -1, 0)),
    ("CAF", "FILE"): (b"data", 4, ">q", (-1, 0, 4)),
    ("AU", "FILE"): (b".snd", 8, ">I", (2**32 - 1, 0)),
}


@pytest.mark.parametrize(
    "subtype, channels", [("PCM_16", 1), ("PCM_24", 2), ("FLOAT", 1), ("PCM_S8", 2), ("PCM_S8", 1)]
)
@pytest.mark.parametrize("kind", BROKEN, ids=" ".join)
def test_a_head_that_was_never_finished_is_mended_to_the_one_that_would_have_been(kind, subtype, channels):
    subtype = "PCM_U8" if subtype == "PCM_S8" and kind[0] == "WAV" else subtype
    subtype = "PCM_16" if subtype == "PCM_S8" and kind[0] == "W64" else subtype
    whole = finished(kind[0], subtype, channels, endian=kind[1])
    mark, behind, order, sizes = BROKEN[kind]
    for size in sizes:
        broken = bytearray(whole)
        struct.pack_into(order, broken, whole.find(mark) + behind, size)
        for place, field in ((4, "I"), (whole.find(b"COMM") + 10, "I")):  # of the whole file, of frames
            if kind[0] == "WAV" and place == 4 or kind[0] == "AIFF":
                struct.pack_into(order[0] + field, broken, place, 0)
        found = look(bytes(broken))
        ((head, start, end),) = found.parts
        assert head + whole[start:end] == whole
        assert len(found.notes) == 1 and found.samples == -1


@pytest.mark.parametrize("name", [b"RF64", b"BW64"])
def test_the_head_of_a_large_file_is_mended_in_its_own_chunk(name):
    whole = name + finished("RF64", "PCM_24", 2)[4:]
    broken = bytearray(whole)
    broken[whole.find(b"ds64") + 8 : whole.find(b"ds64") + 32] = bytes(24)
    ((head, start, end),) = look(bytes(broken)).parts
    assert head + whole[start:end] == whole


def test_a_head_that_was_never_finished_is_mended_also_where_there_is_silence_or_more_than_it_can_say():
    head = riff(form(), chunk(b"data", b""))
    ((mended, start, end),) = look(head + bytes(6_000)).parts
    assert mended == riff(form(), chunk(b"data", bytes(6_000)))[:44] and (start, end) == (44, 6_044)
    ((mended, start, end),) = contents(io.BytesIO(head), 5 * 2**30, "a.wav").parts  # five GiB, but for their bytes
    assert mended == head[:4] + b"\xff" * 4 + head[8:40] + b"\xff" * 4 and (start, end) == (44, 5 * 2**30)


def form(bytes_per_s=2 * RATE, block=2, tag=1):
    return chunk(b"fmt ", struct.pack("<HHIIHH", tag, 1, RATE, bytes_per_s, block, 16))


SOUND = bytes(range(1, 251)) * 40  # no zeros: ten thousand bytes


@pytest.mark.parametrize(
    "size, unknown",
    [
        (2**32 - 257, False),
        (2**32 - 256, True),
        (2**32 - 1, True),
        (0x7FFFF000 - 65, False),
        (0x7FFFF000 - 64, True),
        (2**31, True),
        (2**31 + 1, False),
        (0, True),
        (len(SOUND) + 1, False),
    ],
)
def test_which_sizes_stand_for_not_known(size, unknown):
    content = riff(form(), chunk(b"data", SOUND, size))
    if unknown:
        assert look(content).parts[0][1:] == (44, 44 + len(SOUND))
    else:
        with pytest.raises(DataError, match=f"truncated, 10000 of the {size} bytes of sound its header announces"):
            look(content)


@pytest.mark.parametrize(
    "kind, mark, behind, order, head", [("CAF", b"data", 4, ">q", 0), ("W64", b"data", 16, "<q", 24)]
)
def test_no_file_is_as_large_as_half_of_what_64_bits_can_say(kind, mark, behind, order, head):
    content = bytearray(finished(kind, "PCM_16"))
    for size, unknown in ((2**62, True), (2**62 - 1, False)):
        struct.pack_into(order, content, content.find(mark) + behind, size + head)
        if unknown:
            assert "was never finished" in look(bytes(content)).notes[0]
        else:
            with pytest.raises(DataError, match=f"of the {size} bytes"):
                look(bytes(content))


@pytest.mark.parametrize(
    "kind, mark, head",
    [("WAV", b"data", 8), ("AIFF", b"SSND", 8), ("W64", b"data", 24), ("CAF", b"data", 12), ("RF64", b"data", 8)],
)
def test_a_cut_is_named_with_what_is_there_and_what_was_announced(kind, mark, head):
    whole = finished(kind, "PCM_16")
    begin = whole.find(mark) + head
    for missing in (1, 1_000, len(whole) - begin):
        with pytest.raises(
            DataError,
            match=f"a.wav: truncated, {len(whole) - begin - missing} of the {len(whole) - begin} bytes of sound",
        ):
            look(whole[: len(whole) - missing])


def test_a_cut_au_file_is_named_and_one_with_a_tail_is_believed():
    whole = finished("AU", "PCM_16")
    with pytest.raises(DataError, match=f"truncated, {len(whole) - 25} of the {len(whole) - 24} bytes"):
        look(whole[:-1])
    with pytest.raises(DataError, match="truncated, 0 of the"):
        look(whole[:12])  # the two numbers, and nothing else
    for order, content in ((">", whole), ("<", finished("AU", "PCM_16", endian="LITTLE") + b"tail")):
        assert content[:4] == {">": b".snd", "<": b"dns."}[order]
        assert look(content) == containers.Contents(((b"", 0, len(content)),), -1)
    short = whole[:8] + struct.pack(">I", 1) + whole[12:]
    assert look(short) == containers.Contents(((b"", 0, len(short)),), -1)


@pytest.mark.parametrize("bytes_per_s, most", [(32_000, 3_200), (8_000, 1_000)])
def test_a_tail_that_is_no_chunk_is_named_from_a_tenth_of_a_second_on(bytes_per_s, most):
    def notes(n):
        return look(riff(form(bytes_per_s), chunk(b"data", SOUND)) + b"\1" * n).notes

    assert notes(most) == ()
    found = look(riff(form(bytes_per_s), chunk(b"data", SOUND)) + b"\1" * (most + 1))
    assert found.parts == ((b"", 0, 44 + len(SOUND) + most + 1),) and found.samples == -1
    assert notes(most + 1)[0].startswith(f"{most + 1:,} bytes behind the 10,000 that its header announces are no chunk")


TAILS = {  # what may stand behind the sound without a word
    "nothing": b"",
    "zeros": bytes(5_000),
    "a chunk": chunk(b"LIST", b"\1" * 4_000),
    "an odd chunk and another": chunk(b"guan", b"\1" * 3_001) + chunk(b"a 9~", b"\1" * 2_000),
    "an empty chunk and another": chunk(b"JUNK", b"") + chunk(b"LIST", b"\1" * 4_000),
    "an odd chunk that is not filled up": chunk(b"guan", b"\1" * 4_001)[:-1],
}


@pytest.mark.parametrize("tail", TAILS)
def test_chunks_behind_the_sound_are_none(tail):
    content = riff(form(), chunk(b"data", SOUND), TAILS[tail])
    assert look(content) == containers.Contents(((b"", 0, len(content)),), -1)


@pytest.mark.parametrize(
    "tail",
    [
        chunk(b"LI\x7fT", b"\1" * 4_000),
        chunk(b"LI\x1fT", b"\1" * 4_000),
        chunk(b"LIST", b"\1" * 4_000, 4_003),
        chunk(b"LIST", b"\1" * 4_000, 3_990),
    ],
)
def test_what_only_looks_like_a_chunk_is_a_tail(tail):
    assert "are no chunk" in look(riff(form(), chunk(b"data", SOUND)) + tail).notes[0]


def w64(*chunks):
    """A W64: names of sixteen bytes, sizes that count their head, everything filled up to eight."""
    body = b"".join(
        name.ljust(16, b"\2") + struct.pack("<q", 24 + len(content)) + content + bytes(-len(content) % 8)
        for name, content in chunks
    )
    return b"riff".ljust(16, b"\2") + struct.pack("<q", 40 + len(body)) + b"wave".ljust(16, b"\2") + body


@pytest.mark.parametrize("n", range(1, 9))
def test_chunks_of_a_w64_are_filled_up_to_eight_bytes(n):
    head, extra = (b"fmt ", form()[8:]), (b"summ", b"\1" * (4_000 + n))
    plain = w64(head, extra, (b"data", SOUND), extra, extra)
    assert look(plain) == containers.Contents(((b"", 0, len(plain)),), -1)
    with pytest.raises(DataError, match=f"truncated, {len(SOUND) - 50} of the {len(SOUND)} bytes"):
        look(w64(head, extra, (b"data", SOUND))[:-50])
    assert (
        look(w64(head, (b"data", SOUND), extra, (b"data", SOUND[:n])))
        .notes[0]
        .startswith(f"a second chunk of sound, {n:,} bytes, follows the first")
    )


def test_what_is_of_no_known_kind_is_left_to_the_decoder():
    for content in (b"hello", b"RIFF\1\0\0\0AVI LIST", b"FORM\0\0\0\1ILBM", b"snd", b"\0" * 40):
        assert look(content) == containers.Contents(((b"", 0, len(content)),), -1)


def test_a_second_chunk_of_sound_is_named_wherever_it_stands():
    for between in (b"", chunk(b"LIST", b"\1" * 501), chunk(b"JUNK", b"")):
        found = look(riff(form(), chunk(b"data", SOUND), between, chunk(b"data", SOUND[:77])))
        assert found.notes[0].startswith("a second chunk of sound, 77 bytes, follows the first")
    assert look(riff(form(), chunk(b"data", SOUND), chunk(b"data", b""))).notes == ()


@pytest.mark.parametrize(
    "tail",
    [
        b"",
        chunk(b"LIST", b"\0" * 4_000),
        chunk(b"guan", b"\0" * 31) + chunk(b"ID3 ", b"\0"),
        chunk(b"a_9Z", b"\0" * 20),
        chunk(b"zAZ0", b"\0" * 21)[:-1],
        b"\0" * 7,
    ],
    ids=range(6),
)
def test_tags_behind_sound_of_unknown_length_are_no_sound(tail):
    content = riff(form(), chunk(b"data", SOUND, 0), tail)
    n_tags = 0 if tail == b"\0" * 7 else len(tail)  # too short to be told
    found = look(content)
    assert found.parts[0][1:] == (44, 44 + (len(SOUND) + len(tail) - n_tags) // 2 * 2)
    assert (f", less {n_tags:,} bytes of tags" in found.notes[0]) == (n_tags > 0)
    assert f"all {(len(SOUND) + len(tail) - n_tags) // 2 * 2:,} bytes up to the end" in found.notes[0]


@pytest.mark.parametrize("letter", b"/:@[`{\x1f!^~")
def test_what_is_no_letter_is_in_no_name_of_tags(letter):
    for place in range(4):
        name = bytearray(b"LIST")
        name[place] = letter
        assert look(riff(form(), chunk(b"data", SOUND, 0), chunk(bytes(name), b"\1" * 40))).parts[0][2] == 44 + 10_048


def test_tags_alone_are_no_sound():
    for tail in (chunk(b"LIST", b""), chunk(b"LIST", b"\1" * 50)):
        content = riff(form(), chunk(b"data", b""), tail)
        assert look(content) == containers.Contents(((b"", 0, len(content)),), -1)


def test_a_frame_that_is_not_whole_is_left_out():
    found = look(riff(form(block=6), chunk(b"data", SOUND, 0)))
    assert found.parts[0][2] - found.parts[0][1] == len(SOUND) // 6 * 6
    assert look(riff(form(block=6), chunk(b"data", SOUND[:4], 0))).notes == ()  # none is


def test_chunks_before_the_sound_hide_nothing():
    for before in (chunk(b"JUNK", b""), chunk(b"bext", b"\1" * 601), chunk(b"LIST", b"data" * 10)):
        with pytest.raises(DataError, match="truncated, 10000 of the 10002"):
            look(riff(before, form(), before, chunk(b"data", SOUND, 10_002)))


def test_how_many_samples_mpeg_in_a_wav_has_is_not_believed():
    for tag, samples in ((0x50, None), (0x55, None), (1, -1), (0x51, -1), (0x54, -1)):
        assert look(riff(form(tag=tag), chunk(b"data", SOUND))).samples == samples


def test_flac_is_opened_without_its_number_of_samples_which_is_compared_afterwards():
    content = bytearray(finished("FLAC", "PCM_16", 2))
    assert look(bytes(content)).samples == 1_600
    rate_and_channels = content[18:21], content[21] & 0xF0
    content[21:26] = bytes([content[21] & 0xF0 | 5]) + struct.pack(">I", 7)
    for tail in (b"", b"TAG" + bytes(125)):
        found = look(bytes(content) + tail)
        ((head, start, end),) = found.parts
        assert found.samples == 5 * 2**32 + 7 and (start, end) == (26, len(content))
        assert head[:18] == content[:18] and (head[18:21], head[21]) == rate_and_channels and not any(head[22:26])
    content[21:26] = bytes([content[21] & 0xF0]) + bytes(4)
    assert look(bytes(content)).samples is None
    assert look(bytes(content[:20])).parts == ((bytes(content[:20]), 20, 20),)


def page(number, flags=0, body=b"\1" * 300, serial=7):
    """A page of an Ogg stream; flags: 1 goes on with a packet, 2 begins the stream, 4 ends it."""
    segments = bytes([255] * (len(body) // 255) + [len(body) % 255])
    made = bytearray(b"OggS" + struct.pack("<BBqIIIB", 0, flags, 0, serial, number, 0, len(segments)) + segments + body)
    struct.pack_into("<I", made, 22, containers._ogg_checksum(bytes(made)))
    return bytes(made)


FIRST = page(0, 2) + page(1) + page(2, 1) + page(3, 5)  # the last two go on with a packet


def test_streams_of_ogg_that_follow_one_another_begin_where_they_begin():
    found = look(FIRST + page(0, 2, serial=8) + page(1, 4, serial=8))
    assert found.parts == ((b"", 0, len(FIRST)), (b"", len(FIRST), len(FIRST) + 2 * len(page(0))))
    assert found.notes == ("2 Ogg streams follow one another in it; all are used",) and found.samples == -1
    beside = page(0, 2) + page(0, 2, serial=8) + page(1, 4) + page(1, 4, serial=8)  # two at a time are one part
    assert look(beside).parts == ((b"", 0, len(beside)),) and look(beside).notes == ()


def test_pages_of_ogg_that_are_missing_are_counted():
    assert look(FIRST).notes == ()
    assert look(page(0, 2) + page(2) + page(5) + page(6, 4)).notes == (
        "pages are missing at 2 places in the middle of the stream",
    )
    assert look(FIRST[: -len(page(3))]).notes[0].startswith("its last page is not there")
    assert look(FIRST + b"behind it").notes == ()
    assert look(page(0, 2) + page(1) + page(2, 4, b"")).notes == ()  # ends with a page of nothing


def test_a_page_of_ogg_that_is_not_whole_or_not_right_is_named():
    whole, last = FIRST, len(FIRST) - len(page(3))
    for missing in (1, 299, 300, 301, 302, 303, 320, 324):
        with pytest.raises(DataError, match="the Ogg stream breaks off within a page"):
            look(whole[:-missing])
    for place in (last + 5, last + 24, last + 40, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 8
        with pytest.raises(DataError, match=f"a page of the Ogg stream at byte {last} does not fit its checksum"):
            look(bytes(damaged))


@pytest.mark.parametrize("kind", ["WAV", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG"])
def test_every_beginning_of_a_file_is_named_or_left_to_the_decoder(kind):
    whole = finished(kind, "VORBIS" if kind == "OGG" else "PCM_16")
    for n in range(1, 160):
        try:
            found = look(whole[:n])
        except DataError as error:
            assert "truncated" in str(error)
        else:
            assert found.parts[0][2] == n
