"""Opened recordings: what they are, how much they hold, and any part of them."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from made_calls import RATE, call, riff

from acssm_lib.data.reading import decoding
from acssm_lib.data.reading.decoding import Recording, kind_of


def written(path, kind="WAV", subtype="PCM_16", channels=1, **options):
    samples = call(0.4)[:, None] * np.linspace(1, 0.5, channels)
    soundfile.write(path, samples, RATE, format=kind, subtype=subtype, **options)
    return path


@pytest.mark.parametrize(
    "start, kind",
    [
        (b"RIFF\1\2\3\4WAVEfmt ", "WAV"),
        (b"RF64\1\2\3\4WAVE", "WAV"),
        (b"FORM\1\2\3\4AIFF", "AIFF"),
        (b"FORM\1\2\3\4AIFC", "AIFF"),
        (b"fLaC", "FLAC"),
        (b"OggS\0\2", "Ogg"),
        (b"ID3\4", "MP3"),
        (b"\xff\xfb\x90", "MP3"),
        (b"\xff\xf3\x90", "MP3"),
        (b"caff\0\1", "CAF"),
        (b".snd", "AU"),
        (b"riff\x2e\x91\xcf\x11", "W64"),
        (b"\0\0\0\x20ftypM4A ", "m4a or 3gp"),
        (b"#!AMR\n", "AMR"),
        (b"\x1aE\xdf\xa3", "Matroska or WebM"),
        (b"0&\xb2u\x8ef\xcf\x11", "WMA"),
        (b"wvpk", "WavPack"),
        (b"MAC ", "Monkey's Audio"),
        (b"\xff\xf1", "AAC"),
        (b"\xff\xf9", "AAC"),
        (b"DSD ", "DSF"),
        (b"RIFF\1\2\3\4AVI ", None),
        (b"PK\3\4", None),
        (b"", None),
        (bytes(15) + b"WAVE", None),
    ],
)
def test_a_recording_is_known_by_its_first_bytes(tmp_path, start, kind):
    (tmp_path / "a").write_bytes(start)
    assert kind_of(tmp_path / "a") == kind and kind_of(tmp_path) is kind_of(tmp_path / "nothing") is None


@pytest.mark.parametrize(
    "kind, subtype, exact, deep",
    [
        ("WAV", "PCM_16", True, False),
        ("WAV", "PCM_U8", True, False),
        ("WAV", "ULAW", True, False),
        ("WAV", "IMA_ADPCM", True, False),
        ("WAV", "PCM_24", False, True),
        ("WAV", "PCM_32", False, True),
        ("WAV", "FLOAT", False, True),
        ("WAV", "DOUBLE", False, True),
        ("OGG", "VORBIS", False, False),
        ("MP3", "MPEG_LAYER_III", False, False),
        ("FLAC", "PCM_S8", True, False),
        ("FLAC", "PCM_24", False, True),
        ("CAF", "ALAC_16", False, False),
        ("CAF", "ALAC_24", False, True),
    ],
)
def test_what_16_bits_hold_and_what_holds_more(tmp_path, kind, subtype, exact, deep):
    recording = Recording(written(tmp_path / "a", kind, subtype, 2))
    assert (recording.subtype, recording.exact, recording.deep) == (subtype, exact, deep)
    assert (recording.sample_rate, recording.n_channels) == (RATE, 2)


KINDS = [
    ("WAV", "PCM_16"),
    ("WAV", "PCM_24"),
    ("AIFF", "FLOAT"),
    ("RF64", "PCM_16"),
    ("W64", "PCM_16"),
    ("CAF", "PCM_16"),
    ("AU", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("OGG", "VORBIS"),
    ("WAV", "IMA_ADPCM"),
]


@pytest.mark.parametrize("kind, subtype", KINDS)
@pytest.mark.parametrize("once_read", [False, True])
def test_any_part_of_a_recording_is_that_part_of_the_whole(tmp_path, monkeypatch, kind, subtype, once_read):
    monkeypatch.setattr(decoding, "BLOCK", 1_000)
    path = written(tmp_path / "a", kind, subtype, 2)
    whole = np.concatenate(list(Recording(path).blocks()))
    assert whole.shape[1] == 2 and len(whole) >= 6_400 and whole.dtype == np.float32
    recording = Recording(path)
    if once_read:
        list(recording.blocks())
    for start, stop in ((0, 10), (995, 2_005), (1_000, 2_000), (6_399, 9_000), (9_000, 9_001), (-5, 3), (5, 5), (7, 3)):
        part = recording.part(start, stop)
        np.testing.assert_array_equal(part, whole[max(start, 0) : max(stop, 0)])
        assert part.dtype == np.float32 and part.shape[1:] == (2,)


def test_a_part_of_plain_samples_is_read_alone_and_one_of_a_mended_file_is_not(tmp_path, monkeypatch):
    plain, decoded = Recording(written(tmp_path / "a.wav")), []
    blocks = Recording.blocks
    monkeypatch.setattr(Recording, "blocks", lambda self: decoded.append(self) or blocks(self))
    assert len(plain.part(100, 200)) == 100 and decoded == []
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[content.find(b"data") + 4 : content.find(b"data") + 8] = bytes(4)
    (tmp_path / "b.wav").write_bytes(content)
    mended = Recording(tmp_path / "b.wav")
    np.testing.assert_array_equal(mended.part(100, 200), plain.part(100, 200))
    assert decoded == [mended]


@pytest.mark.parametrize("kind, subtype", KINDS)
def test_a_recording_is_decoded_again_only_where_it_is_too_long_to_keep(tmp_path, monkeypatch, kind, subtype):
    path = written(tmp_path / "a", kind, subtype, 2)
    n = len(np.concatenate(list(Recording(path).blocks())))
    monkeypatch.setattr(decoding, "BLOCK", 1_000)
    for most, kept in ((2 * n, True), (2 * n - 1, False)):
        monkeypatch.setattr(decoding, "KEPT", most)
        recording = Recording(path)
        first, second = list(recording.blocks()), list(recording.blocks())
        assert (first[0] is second[0]) == kept
        np.testing.assert_array_equal(np.concatenate(first), np.concatenate(second))


@pytest.mark.parametrize("kind, subtype", [*KINDS, ("MP3", "MPEG_LAYER_III")])
def test_a_file_too_large_for_memory_is_decoded_to_the_same_samples(tmp_path, monkeypatch, kind, subtype):
    path = written(tmp_path / "a", kind, subtype)
    whole = np.concatenate(list(Recording(path).blocks()))
    monkeypatch.setattr(decoding, "_IN_MEMORY", 0)
    np.testing.assert_array_equal(np.concatenate(list(Recording(path).blocks())), whole)


def test_a_file_with_another_beginning_reads_as_its_bytes():
    body, head = bytes(range(200)), b"another head"
    whole = head + body[50:180]
    file = io.BytesIO(body)
    spliced = decoding._Spliced(file, head, 50, 180)
    assert spliced.read(7) == whole[:7] and spliced.tell() == 7  # from its beginning, wherever the file stands
    assert spliced.read() == whole[7:] and spliced.read(1) == b""
    for offset, whence, place in ((0, 0, 0), (5, 0, 5), (20, 0, 20), (3, 1, 23), (-4, 2, len(whole) - 4), (-9, 0, 0)):
        assert spliced.seek(offset, whence) == spliced.tell() == place
        for n in (1, 10, 30, 500):
            spliced.seek(place)
            assert spliced.read(n) == whole[place : place + n]
        spliced.seek(place)
    for part in ((head, 50, 180), (b"", 0, 200)):
        assert decoding._part(file, part).read() == (whole if part[0] else body)


def test_less_than_was_announced_is_a_cut_more_is_said_and_a_little_of_either_is_neither(tmp_path):
    recording = Recording(written(tmp_path / "a.wav"))
    recording._contents = SimpleContents(slack=10)
    for announced, note in ((6_400, ""), (6_410, ""), (6_390, ""), (6_389, "announces 6,389 samples, and 6,400 are")):
        recording.samples, recording.notes, recording._kept = announced, (), None
        list(recording.blocks())
        list(recording.blocks())
        assert note in "".join(recording.notes) and len(recording.notes) == bool(note)
    recording.samples, recording._kept = 6_411, None
    with pytest.raises(decoding.DataError, match="a.wav: truncated, 6400 of the 6411 samples"):
        list(recording.blocks())


class SimpleContents:
    """What ``Recording`` asks of contents: the whole file, and how many samples may be missing."""

    parts = ((b"", 0, 1 << 20),)

    def __init__(self, slack):
        self.slack = slack


def test_what_is_no_sound_says_what_it_is(tmp_path):
    for content, words in (
        (b"", "empty, 0 bytes; expected a recording"),
        (b"hello", "not an audio file that can be"),
        (riff(), "WAV, truncated or damaged"),
        (b"fLaC" + bytes(9), "FLAC, truncated or damaged"),
    ):
        (tmp_path / "a.wav").write_bytes(content)
        with pytest.raises(decoding.DataError, match=f"a.wav: {words}"):
            Recording(tmp_path / "a.wav")
    with pytest.raises(decoding.DataError, match=r"cannot be read \(No such file or directory\)"):
        Recording(tmp_path / "nothing.wav")


@pytest.mark.parametrize(
    "name, script, words",
    [
        (
            "a.m3u8",
            "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.wav\n#EXT-X-ENDLIST\n",
            "asks for another file",
        ),
        ("a.m4a", "ffconcat version 1.0\nfile other.wav\n", "not an audio file"),
    ],
)
def test_a_list_of_other_files_is_no_recording(tmp_path, monkeypatch, name, script, words):
    pytest.importorskip("av")
    monkeypatch.chdir(tmp_path)
    soundfile.write("other.wav", np.zeros(8_000), 8_000)
    Path(name).write_text(script)
    with pytest.raises(decoding.DataError, match=words):
        list(Recording(Path(name)).blocks())
