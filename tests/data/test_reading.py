"""What recorders, telephones and broken copies leave behind: read whole, or named."""

import io
import os
import struct
import tracemalloc

import numpy as np
import pytest
import soundfile
from made_calls import RATE, call, chunk, kept, riff, wav
from made_folders import FIELD_FAULTS, field_fault

from acssm_lib.data import audio
from acssm_lib.data.audio import prepare, prepare_and_tell, read
from acssm_lib.data.reading import containers, decoding, pieces
from acssm_lib.data.reading.decoding import Recording
from acssm_lib.files import DataError


def encoded(kind, samples=None, **options):
    body = io.BytesIO()
    soundfile.write(body, call() if samples is None else samples, RATE, format=kind, **options)
    return bytearray(body.getvalue())


def saved(path, content):
    path.write_bytes(content)
    return path


FORMAT = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16))
PCM = (call() * 32767).astype("<i2").tobytes()
TAGS = chunk(b"LIST", b"INFO" + bytes(range(256)) * 40) + chunk(b"guan", b"GUANO|Version: 1.0\nMake: nobody\n")


def patched(kind, mark, offset, field):
    """A file of that kind with other bytes ``offset`` behind the first ``mark``."""
    content = encoded(kind)
    place = content.find(mark) + offset
    content[place : place + len(field)] = field
    return content


NEVER_FINISHED = {
    "wav 0": riff(FORMAT, chunk(b"data", PCM, 0), size=0),
    "wav 0 and tags": riff(FORMAT, chunk(b"data", PCM, 0), TAGS, size=0),
    "wav -1": riff(FORMAT, chunk(b"data", PCM, 0xFFFFFFFF), size=0xFFFFFFFF),
    "wav -1 and tags": riff(FORMAT, chunk(b"data", PCM, 0xFFFFFFFF), TAGS, size=0xFFFFFFFF),
    "wav 2 GB": riff(FORMAT, chunk(b"data", PCM, 0x7FFFF000), size=0x7FFFF024),
    "rf64 0": patched("RF64", b"ds64", 8, bytes(24)),
    "w64 0": patched("W64", b"data", 16, struct.pack("<q", 24)),
    "w64 -1": patched("W64", b"data", 16, struct.pack("<q", -1)),
    "aiff 0": patched("AIFF", b"SSND", 4, bytes(4)),
    "caf -1": patched("CAF", b"data", 4, struct.pack(">q", -1)),
    "au -1": patched("AU", b".snd", 8, b"\xff" * 4),
}


@pytest.mark.parametrize("case", NEVER_FINISHED)
def test_a_header_that_was_never_finished_costs_no_sound(tmp_path, case):
    path = tmp_path / "powerlost.wav"
    path.write_bytes(NEVER_FINISHED[case])
    note = kept(path)
    assert "was never finished" in note or "does not say how long" in note
    assert ("bytes of tags" in note) == case.endswith("tags")


def test_a_header_without_sound_is_empty(tmp_path):
    nothing = chunk(b"data", b"")
    for name, content in (("a.wav", riff(FORMAT, nothing)), ("b.wav", riff(FORMAT, nothing, TAGS))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=f"{name}: empty, 0 samples"):
            read(tmp_path / name)


@pytest.mark.parametrize("kind", ["WAV", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "OGG", "MP3"])
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_cut_is_found_in_every_container(tmp_path, kind, share):
    content = encoded(kind)
    (tmp_path / "cut").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match="cut: truncated"):
        read(tmp_path / "cut")


def test_a_cut_recording_of_more_than_2_gb_is_no_stream(tmp_path):
    (tmp_path / "a.wav").write_bytes(riff(FORMAT, chunk(b"data", PCM, 0x90000000), size=0x90000024))
    with pytest.raises(DataError, match="truncated, 64000 of the 2415919104 bytes"):
        read(tmp_path / "a.wav")


def test_sound_behind_the_announced_end_is_named(tmp_path):
    (tmp_path / "a.wav").write_bytes(riff(FORMAT, chunk(b"data", PCM, len(PCM) // 2)))
    assert "32,000 bytes behind the 32,000 that its header announces are no chunk" in kept(tmp_path / "a.wav", 1.0)
    (tmp_path / "b.wav").write_bytes(riff(FORMAT, chunk(b"data", PCM), TAGS))
    assert kept(tmp_path / "b.wav") == ""


def test_a_second_chunk_of_sound_is_named(tmp_path):
    halves = PCM[: len(PCM) // 2], PCM[len(PCM) // 2 :]
    path = saved(tmp_path / "a.wav", riff(FORMAT, chunk(b"data", halves[0]), TAGS, chunk(b"data", halves[1])))
    assert "a second chunk of sound, 32,000 bytes, follows the first and is not used" in kept(path, 1.0)


def test_a_tag_behind_flac_is_no_damage(tmp_path):
    assert kept(saved(tmp_path / "a.flac", encoded("FLAC") + b"TAG" + bytes(125))) == ""


def test_flac_is_read_to_its_end_whatever_its_header_says(tmp_path):
    def with_samples(n):
        content = encoded("FLAC")
        content[21] = content[21] & 0xF0
        content[22:26] = struct.pack(">I", n)
        (tmp_path / "a.flac").write_bytes(content)
        return tmp_path / "a.flac"

    assert kept(with_samples(0)) == ""
    assert "announces 16,000 samples, and 32,000 are there" in kept(with_samples(16_000))
    with pytest.raises(DataError, match="truncated, 32000 of the 40000 samples"):
        read(with_samples(40_000))
    path = with_samples(0)
    path.write_bytes(path.read_bytes()[:9_000])
    with pytest.raises(DataError, match="a.flac: truncated or damaged"):
        read(path)


def mp3(**options):
    """(first frame, which counts the others; the others)"""
    content = bytes(
        encoded("MP3", bitrate_mode="VARIABLE", compression_level=0.6) if not options else encoded("MP3", **options)
    )
    start = max(content.find(b"Xing"), content.find(b"Info"))
    second = content.find(content[:2], start)
    return content[:second], content[second:]


@pytest.mark.parametrize("options", [{}, {"bitrate_mode": "CONSTANT", "compression_level": 0.5}])
def test_mp3_without_a_count_of_its_frames_is_whole(tmp_path, options):
    _, frames = mp3(**options)
    for name, content in (
        ("a.mp3", frames),
        ("tagged.mp3", b"ID3\3\0\0\0\0\1\0" + bytes(128) + frames),
        ("old tag.mp3", frames + b"TAG" + bytes(125)),
        ("named.wav", frames),
    ):
        (tmp_path / name).write_bytes(content)
        assert kept(tmp_path / name) == ""


def test_mp3_with_a_wrong_count_of_its_frames(tmp_path):
    head, frames = mp3()
    place = head.find(b"Xing") + 8
    (count,) = struct.unpack_from(">I", head, place)

    def counting(n):
        (tmp_path / "a.mp3").write_bytes(head[:place] + struct.pack(">I", n) + head[place + 4 :] + frames)
        return tmp_path / "a.mp3"

    assert kept(counting(count)) == ""
    assert f"announces {count // 2} frames, and {count} are there" in kept(counting(count // 2))
    with pytest.raises(DataError, match=f"truncated, {count} of the {2 * count} frames"):
        read(counting(2 * count))
    (tmp_path / "twice.mp3").write_bytes(2 * (head + frames))
    assert "all are used" in kept(tmp_path / "twice.mp3", 4.1)
    (tmp_path / "cut.mp3").write_bytes(frames[: len(frames) // 2 + 7])
    assert "it ends within a frame" in "".join(Recording(tmp_path / "cut.mp3").notes)


def test_ogg_streams_that_follow_one_another_are_all_used(tmp_path):
    (tmp_path / "a.ogg").write_bytes(2 * encoded("OGG"))
    assert "2 Ogg streams follow one another" in kept(tmp_path / "a.ogg", 4.0)
    other = io.BytesIO()
    soundfile.write(other, call(), 8_000, format="OGG")
    (tmp_path / "b.ogg").write_bytes(encoded("OGG") + other.getvalue())
    with pytest.raises(DataError, match="its streams differ, 16000 Hz and 8000 Hz"):
        read(tmp_path / "b.ogg")


def test_an_ogg_stream_without_its_last_page_is_read_and_said(tmp_path):
    content = encoded("OGG", np.random.default_rng(0).normal(0, 0.1, 200_000))
    (tmp_path / "a.ogg").write_bytes(content[: content.rfind(b"OggS")])
    recording = Recording(tmp_path / "a.ogg")
    assert "its last page is not there" in recording.notes[0]
    assert 150_000 < sum(map(len, recording.blocks())) < 200_000


def night_of_ogg():
    """Pages of one stream without sound in them."""
    pages = []
    for number in range(40):
        ends = 2 * (number == 0) + 4 * (number == 39)
        page = bytearray(
            b"OggS"
            + struct.pack("<BBqIIIB", 0, ends, number, 7, number, 0, 255)
            + bytes([255] * 255)
            + bytes([number]) * 255 * 255
        )
        struct.pack_into("<I", page, 22, containers._ogg_checksum(bytes(page)))
        pages.append(bytes(page))
    return b"".join(pages)


@pytest.mark.parametrize("kind", ["MP3", "OGG"])
def test_a_night_is_looked_at_in_pieces_that_fit_into_memory(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(pieces, "_PIECE", 1 << 14)
    frames = mp3(bitrate_mode="CONSTANT", compression_level=0.5)[1]
    night = b"ID3\3\0\0\0\0\1\0" + bytes(400_000) + 40 * frames if kind == "MP3" else night_of_ogg()
    path = tmp_path / "night"
    path.write_bytes(night)
    with open(path, "rb") as file:
        tracemalloc.start()
        found = containers.contents(file, len(night), path)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < len(night) / 4
    assert len(found.parts) == 1 and found.notes == ()
    assert found.samples == (-1 if kind == "OGG" else 40 * Recording(saved(tmp_path / "once", frames)).samples)


def test_pieces_of_a_file_read_as_its_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(pieces, "_PIECE", 100)
    content = np.random.default_rng(0).integers(0, 4, 1_000, np.uint8).tobytes() + bytes(350) + b"\1\0"
    with open(saved(tmp_path / "a", content), "rb") as file:
        looked_at = pieces.Pieces(file, len(content))
        assert len(looked_at) == len(content)
        for start in (0, 99, 37, 950, 1_340, 1_351, 2_000):
            for length in (1, 4, 99, 100, 101, 500):
                assert looked_at[start : start + length] == content[start : start + length]
            for wanted in (b"\1\2\3", b"\0\1\0", b"\7"):
                assert looked_at.find(wanted, start) == content.find(wanted, start)
        assert looked_at.find(content[:5]) == content.find(content[:5])
        assert looked_at[1_001] == content[1_001] and looked_at[1_300:] == content[1_300:]
        assert looked_at.behind_zeros(1_000) == 1_350 and looked_at.behind_zeros(1_351) == 1_352
        with pytest.raises(IndexError):
            looked_at[len(content)]


def test_a_flipped_byte_in_ogg_or_flac_is_damage(tmp_path):
    for kind in ("OGG", "FLAC"):
        content = encoded(kind)
        content[len(content) // 2] ^= 0xFF
        (tmp_path / "a").write_bytes(content)
        with pytest.raises(DataError, match="damaged"):
            read(tmp_path / "a")


def telephone(path, codec="aac", **options):
    """The call as a telephone keeps it."""
    av = pytest.importorskip("av", reason="needs the extra phones")
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=RATE, layout="mono")
        frame = av.AudioFrame.from_ndarray(call().astype(np.float32)[None], "fltp", "mono")
        frame.sample_rate = RATE
        resampler = av.AudioResampler(stream.format, "mono", RATE, stream.frame_size or None)
        for part in (*resampler.resample(frame), *resampler.resample(None), None):
            container.mux(stream.encode(part))
    return path


@pytest.mark.parametrize(
    "name, codec",
    [
        ("a.m4a", "aac"),
        ("a.3gp", "aac"),
        ("a.m4a", "alac"),
        ("a.mka", "aac"),
        ("a.aac", "aac"),
        ("named.wav.m4a", "aac"),
    ],
)
def test_what_telephones_record_is_read_with_the_extra(tmp_path, name, codec):
    path = telephone(tmp_path / name, codec)
    assert kept(path) == ""
    assert (Recording(path).exact, Recording(path).deep) == (False, codec == "alac")
    kept(path, rate=16_000)


def test_a_cut_telephone_file_is_named(tmp_path):
    path = telephone(tmp_path / "a.m4a", movflags="faststart")
    path.write_bytes(path.read_bytes()[:-3_000])
    with pytest.raises(DataError, match="a.m4a: .*truncated"):
        read(path)


def test_without_the_extra_a_telephone_file_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, "has_phones", lambda: False)
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x18ftypM4A \0\0\0\0" + bytes(100))
    with pytest.raises(DataError, match=r'a.m4a: m4a or 3gp, .*pip install "acoustic-ssm\[phones\]"'):
        read(tmp_path / "a.m4a")


def test_a_long_recording_is_prepared_in_pieces_as_in_one(tmp_path, monkeypatch):
    for rate in (16_000, 44_100, 47_998):
        path = wav(tmp_path / "a.wav", np.stack([call(seed=1), call(seed=2)], 1), rate=rate)
        whole = prepare(path)
        with monkeypatch.context() as patch:
            patch.setattr(audio, "_AT_ONCE", 5_000)
            patch.setattr(audio, "_PIECE", 4_096)
            patch.setattr(decoding, "BLOCK", 3_000)
            patch.setattr(decoding, "KEPT", 10_000)
            pieces = prepare(path)
        assert len(pieces) == len(whole) and np.abs(pieces.astype(int) - whole).max() <= 1


@pytest.mark.parametrize("name", FIELD_FAULTS)
def test_sound_of_the_field_faults_is_right_or_named(tmp_path, name):
    if name in ("one_hour", "long_recordings", "raven_tables") and "ACSSM_SLOW" not in os.environ:
        pytest.skip("seconds each, and long recordings have tests of their own; ACSSM_SLOW=1 runs them")
    made = field_fault(name, tmp_path)
    for path, (seconds, hz) in made["probe"].items():
        try:
            found = prepare_and_tell(path)
        except DataError as error:
            assert seconds is None or name == "nan_and_units", error
            assert str(error).startswith(f"{path}: ")
            continue
        if seconds is not None:
            assert len(found.samples) / 20_000 == pytest.approx(seconds, abs=0.12), path
        if hz is not None and hz < 9_000:
            power = np.abs(np.fft.rfft(found.samples * np.hanning(len(found.samples)))) ** 2
            near = np.abs(np.fft.rfftfreq(len(found.samples), 1 / 20_000) - hz) < 0.06 * hz
            assert power[near].sum() / power.sum() > 0.9, path
            assert np.mean(np.abs(found.samples.astype(int)) > 32_700) < 0.01, path
