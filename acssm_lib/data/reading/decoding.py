"""A recording as blocks of samples, however long it is: libsndfile first, PyAV (the extra ``phones``) for the rest.

Nothing is believed that was not decoded: what a header announces is compared with what came out.
"""

import importlib.util
import io
import itertools
import os

import numpy as np
import soundfile

from acssm_lib.data.reading.containers import contents
from acssm_lib.files import DataError

BLOCK = 1 << 18  # frames decoded at a time
KEPT = 1 << 23  # samples of a recording, of all channels, that stay decoded for the next look at it
# By their endings: what libsndfile reads, and what PyAV does.
AUDIO_SUFFIXES = (
    ".wav",
    ".wave",
    ".bwf",
    ".flac",
    ".ogg",
    ".oga",
    ".opus",
    ".mp3",
    ".mp2",
    ".aif",
    ".aiff",
    ".aifc",
    ".au",
    ".snd",
    ".caf",
    ".w64",
    ".rf64",
    ".bw64",
)
PHONE_SUFFIXES = (
    ".m4a",
    ".m4b",
    ".mp4",
    ".3gp",
    ".3ga",
    ".aac",
    ".amr",
    ".awb",
    ".wma",
    ".webm",
    ".weba",
    ".mka",
    ".mov",
    ".ape",
    ".wv",
    ".tta",
    ".dsf",
    ".ac3",
)
PHONES = 'pip install "acoustic-ssm[phones]"'
_EXACT = {"PCM_16", "PCM_S8", "PCM_U8", "ULAW", "ALAW", "MS_ADPCM", "IMA_ADPCM", "GSM610"}  # fit into 16 bits
_DEEP = {"PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAC_20", "ALAC_24", "ALAC_32"}
_PLAIN = {"PCM_16", "PCM_S8", "PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"}
_IN_MEMORY = 1 << 25  # bytes of a file that are read at once
_MAGIC = (  # (place, bytes, name) of recordings by their first bytes
    (8, b"WAVE", "WAV"),
    (8, b"AIF", "AIFF"),
    (0, b"fLaC", "FLAC"),
    (0, b"OggS", "Ogg"),
    (0, b"ID3", "MP3"),
    (0, b"caff", "CAF"),
    (0, b".snd", "AU"),
    (0, b"riff\x2e\x91", "W64"),
    (4, b"ftyp", "m4a or 3gp"),
    (0, b"#!AMR", "AMR"),
    (0, b"\x1aE\xdf\xa3", "Matroska or WebM"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "WMA"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"\xff\xfb", "MP3"),
    (0, b"\xff\xf3", "MP3"),
    (0, b"\xff\xf1", "AAC"),
    (0, b"\xff\xf9", "AAC"),
    (0, b"DSD ", "DSF"),
)


def has_phones():
    """Whether PyAV is installed, which reads what telephones record."""
    return importlib.util.find_spec("av") is not None


def kind_of(path):
    """What kind of recording the first bytes of a file are, or None; an unreadable file is none."""
    try:
        with open(path, "rb") as file:
            start = file.read(16)
    except OSError:
        return None
    return next((name for place, magic, name in _MAGIC if start[place : place + len(magic)] == magic), None)


class Recording:
    """An audio file, opened: its numbers, and its samples as often as they are asked for.

    Attributes:
        path, sample_rate (Hz), n_channels: of the file.
        subtype: how samples are kept, as soundfile names it ("PCM_16", "FLOAT", "VORBIS"), or FFmpeg's name.
        exact: whether every sample fits into 16 bits; deep: whether it holds more; else it is a lossy copy.
        samples: of each channel as announced, None where nothing is.
        notes: sentences about what was mended.
    Raises:
        DataError: the file is missing, empty, not audio, truncated as its header says, or needs the extra ``phones``.
    """

    def __init__(self, path):
        self.path, self.notes, self._kept = path, (), None
        try:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                if not size:
                    raise DataError(f"{path}: empty, 0 bytes; expected a recording")
                self._contents = contents(file, size, path)
                self.notes = self._contents.notes
                try:
                    with _Stream(_part(file, self._contents.parts[0])) as stream:
                        self._numbers(stream.samplerate, stream.channels, stream.subtype, stream.frames)
                    self._decode = self._by_soundfile
                except (soundfile.SoundFileError, TypeError) as error:
                    self._open_by_av(error)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error}); expected an audio file") from None

    def _numbers(self, sample_rate, n_channels, subtype, frames):
        self.sample_rate, self.n_channels, self.subtype = sample_rate, n_channels, subtype
        self.exact, self.deep = subtype in _EXACT, subtype in _DEEP
        announced = self._contents.samples
        self.samples = frames if announced == -1 and len(self._contents.parts) == 1 else announced
        if self.samples == -1:
            self.samples = None

    def blocks(self):
        """Yields float32 (frames, channels), full scale 1, to the end of the recording.

        Raises:
            DataError: decoding stops early, or less comes out than was announced.
        """
        if self._kept is not None:
            yield from self._kept
            return
        kept, decoded = [], 0
        try:
            for block in self._decode():
                decoded += len(block)
                if kept is not None:
                    kept = [*kept, block] if decoded * self.n_channels <= KEPT else None
                yield block
        except (soundfile.SoundFileError, ValueError, OSError) as error:
            if isinstance(error, DataError):
                raise
            reason = _reason(error)
            of_all = f" of {self.samples}" if self.samples else ""
            raise DataError(
                f"{self.path}: truncated or damaged, decoding stopped after {decoded}{of_all} samples"
                f"{f' ({reason})' if reason else ''}; copy or download it again"
            ) from None
        if not decoded:
            raise DataError(f"{self.path}: empty, 0 samples; expected a recording")
        if self.samples is not None and decoded < self.samples - self._contents.slack:
            raise DataError(
                f"{self.path}: truncated, {decoded} of the {self.samples} samples its header announces are "
                "there; copy or download it again"
            )
        if self.samples is not None and decoded > self.samples + self._contents.slack:
            note = f"its header announces {self.samples:,} samples, and {decoded:,} are there; all are used"
            self.notes = tuple(dict.fromkeys((*self.notes, note)))
        self._kept = kept

    def part(self, start, stop):
        """Samples from ``start`` to ``stop``, as far as there are any: float32 (frames, channels).

        Where samples lie one after another in the file only these are read; elsewhere it is decoded up to ``stop``.
        """
        if self._plain and self._kept is None:
            with soundfile.SoundFile(self.path) as stream:
                stream.seek(min(max(start, 0), stream.frames))
                return stream.read(max(0, stop - max(start, 0)), dtype="float32", always_2d=True)
        found, place = [np.zeros((0, self.n_channels), np.float32)], 0
        for block in self.blocks():
            found.append(block[max(start - place, 0) : max(stop - place, 0)])
            place += len(block)
            if place >= stop:
                break
        return np.concatenate(found)

    @property
    def _plain(self):
        """Whether libsndfile may be trusted to find a sample by its number: a WAV, RF64 or AIFF of plain samples."""
        return (
            self._decode == self._by_soundfile
            and self._contents.samples == -1
            and self.subtype in _PLAIN
            and self._contents.parts == ((b"", 0, os.path.getsize(self.path)),)
        )

    def _by_soundfile(self):
        with open(self.path, "rb") as file:
            for part in self._contents.parts:
                with _Stream(_part(file, part)) as stream:
                    if (stream.samplerate, stream.channels) != (self.sample_rate, self.n_channels):
                        raise DataError(
                            f"{self.path}: its streams differ, {self.sample_rate} Hz and "
                            f"{stream.samplerate} Hz, {self.n_channels} and {stream.channels} channels; "
                            "expected one recording a file"
                        )
                    while len(block := stream.read(BLOCK, dtype="float32", always_2d=True)):
                        yield block

    def _open_by_av(self, error):
        reason, kind = _reason(error), kind_of(self.path)
        if has_phones():
            self._decode = self._by_av
            try:
                with _av_open(self.path) as container:
                    stream = container.streams.audio[0]
                    if stream.codec_context is None:
                        raise ValueError("no decoder for what it announces")
                    length = float(stream.duration * stream.time_base) if stream.duration else None
                    self._numbers(stream.rate, stream.codec_context.layout.nb_channels, stream.codec.name, None)
                    self.exact, self.deep = False, "flac" in self.subtype or "alac" in self.subtype
                    self.samples = round(length * stream.rate) if length and kind == "m4a or 3gp" else self.samples
                    self._slack = round(0.15 * stream.rate)  # encoders pad, edit lists cut
                return
            except (OSError, ValueError, IndexError) as second:
                reason = f"{reason}; FFmpeg: {_reason(second)}"
        elif kind is not None:
            raise DataError(
                f"{self.path}: {kind}, which needs another decoder ({reason}); {PHONES}, or convert it to WAV or FLAC"
            ) from None
        what = "not an audio file that can be decoded" if kind is None else f"{kind}, truncated or damaged"
        raise DataError(f"{self.path}: {what} ({reason}); expected WAV, FLAC, Ogg, MP3 or AIFF") from None

    def _by_av(self):
        import av

        decoded = 0
        with _av_open(self.path) as container:
            stream = container.streams.audio[0]
            resampler = av.AudioResampler("fltp", stream.codec_context.layout, stream.rate)
            for frame in itertools.chain(container.decode(stream), (None,)):
                for part in resampler.resample(frame):
                    block = np.ascontiguousarray(part.to_ndarray().T, np.float32)
                    decoded += len(block)
                    yield block
        if self.samples is not None and abs(decoded - self.samples) <= self._slack:
            self.samples = decoded


def _reason(error):
    """What a library says, in short."""
    return str(getattr(error, "error_string", None) or getattr(error, "strerror", None) or error).rstrip(".")


def _av_open(path):
    import av

    def refuse(url, *_):
        raise PermissionError(f"it asks for another file, {url}")

    # A file, since a name could be an address; and no lists of other files or addresses, whichever way they open them.
    closed = {"protocol_whitelist": "none"}
    return av.open(open(path, "rb"), metadata_errors="ignore", io_open=refuse, options=closed)


class _Stream(soundfile.SoundFile):
    """Read from the beginning to the end only: a stream whose length is not known cannot be searched."""

    def seekable(self):
        return False


def _part(file, part):
    head, start, end = part
    if end - start <= _IN_MEMORY:
        file.seek(start)
        return io.BytesIO(head + file.read(end - start))
    return _Spliced(file, head, start, end)


class _Spliced(io.RawIOBase):
    """Part of a file with another beginning, as a file."""

    def __init__(self, file, head, start, end):
        self._file, self._head, self._start = file, head, start
        self._size, self._place = len(head) + end - start, 0

    def seek(self, offset, whence=0):
        self._place = max(0, offset + (0, self._place, self._size)[whence])
        return self._place

    def tell(self):
        return self._place

    def readinto(self, buffer):
        wanted = max(0, min(len(buffer), self._size - self._place))
        first = self._head[self._place : self._place + wanted]
        buffer[: len(first)] = first
        if len(first) < wanted:
            self._file.seek(self._start + self._place + len(first) - len(self._head))
            rest = self._file.read(wanted - len(first))
            buffer[len(first) : len(first) + len(rest)] = rest
            wanted = len(first) + len(rest)
        self._place += wanted
        return wanted
