"""Audio files in, 16-bit mono clips at one sample rate out.

A clip is prepared as ACDNet does it: mixed to mono, resampled, rounded to 16-bit integers, and cut free of the
zeros that pad short clips at both ends. What is wrong with a file is said in one sentence that names it. What could be
mended is mended and said: opposed channels, an offset, a level that 16 bits cannot hold.
"""

import math
import os
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
import torchaudio

from acssm_lib.data.reading.channels import Choice, choose
from acssm_lib.data.reading.decoding import Recording
from acssm_lib.data.reading.levels import MAX_PEAK, gain_of, measure
from acssm_lib.files import DataError

# The one minimum, of recordings and of prepared clips: a shorter one fills fewer than four frames of 25.6 ms, in which
# nothing changes over time.
MIN_DURATION_S = 0.1
# Of that, what is louder than the level of the trimming: a mouse click lasts about this long, one sample is a fault.
MIN_SOUND_S = 0.01
# Outside of this a header is damaged, or the file is no recording of sound in air or water.
SAMPLE_RATE_RANGE_HZ = (1_000, 1_000_000)
# Kaiser-windowed sinc: level flat to 0.9 of the lower Nyquist frequency, aliases below -80 dB.
_RESAMPLER = {"lowpass_filter_width": 64, "rolloff": 0.95, "resampling_method": "sinc_interp_kaiser", "beta": 8.0}
_VERSION = 3  # raise it when prepared samples change, so that kept ones are not found any more
_AT_ONCE = 1 << 23  # samples that are resampled in one piece; a longer recording in pieces that overlap
_PIECE = 1 << 21


def read(path, channel="auto"):
    """A recording as one mono waveform, at the rate it was recorded with.

    WAV (8 to 32 bit, float), FLAC, Ogg, MP3, AIFF ... are read, and with the extra ``phones`` what telephones record.

    Args:
        path: an audio file.
        channel: "auto" (two channels are averaged if they agree, see ``channels.choose``), "mix", "left" or "right".
    Returns:
        (waveform, sample_rate): float32 (samples,), full scale is 1; Hz.
    Raises:
        DataError: the file is missing, not audio, empty, truncated, or holds NaN or infinite samples.
    Taught in: 01_audio_preprocessing.
    """
    recording = _open(path)
    choice = choose(recording, channel)
    waveform = torch.from_numpy(np.concatenate([choice.mono(block) for block in recording.blocks()]))
    bad = torch.count_nonzero(~torch.isfinite(waveform)).item()
    if bad:
        raise DataError(_not_finite(path, bad, len(waveform)))
    return waveform, recording.sample_rate


def resample(waveform, from_rate, to_rate):
    """The same sound at another sample rate: polyphase filtering with a windowed sinc.

    An awkward ratio (47,998 to 20,000 Hz) is rounded to a fraction with numbers up to 2,000: that shifts every
    frequency by less than 2 parts in 10,000 (a third of a cent) and keeps the filter bank small.

    Args:
        waveform: (..., samples).
        from_rate, to_rate: Hz.
    Returns:
        waveform (..., ceil(samples * to_rate / from_rate)); the input itself when the rates are equal.
    Taught in: 01_audio_preprocessing.
    Source: Smith, "Digital audio resampling", windowed-sinc interpolation.
    """
    return torchaudio.functional.resample(waveform, *ratio(from_rate, to_rate), **_RESAMPLER)


def ratio(from_rate, to_rate):
    """Two rates in small numbers: those that ``resample`` uses."""
    low, high = sorted((int(from_rate), int(to_rate)))
    small = Fraction(low, high).limit_denominator(2000).as_integer_ratio()
    return small if from_rate == low else small[::-1]


def trim_ends(samples, level=0):
    """Cut what is no louder than ``level`` off both ends; quiet stretches inside stay.

    Lossy copies hold no exact zeros; for them a level of a few counts does what zero does for the originals.

    Args:
        samples: int16 array (samples,).
        level: 16-bit counts; 0 cuts exact zeros only.
    Returns:
        a view of ``samples``, empty if nothing is louder than ``level``.
    Taught in: 01_audio_preprocessing.
    Source: ACDNet, the paper's reference [19].
    """
    first = _first_loud(samples, level)
    if first is None:
        return samples[:0]
    return samples[first : len(samples) - _first_loud(samples[::-1], level)]


def _first_loud(samples, level):
    """Place of the first sample that is louder than ``level``, or None; a long clip is searched piece by piece."""
    for start in range(0, len(samples), _PIECE):
        piece = samples[start : start + _PIECE].astype(np.int32)  # |-32768| does not fit into 16 bits
        loud = np.abs(piece) > level
        if loud.any():
            return start + int(loud.argmax())
    return None


@dataclass(frozen=True)
class Prepared:
    """A clip ready for training, and what was found on the way.

    Attributes:
        samples: int16 (samples,), at the working rate.
        notes: sentences about what was mended or is doubtful.
        sample_rate, n_channels, subtype, duration_s: of the recording (Hz, s).
        offset: mean of the recording, full scale is 1, before it was removed.
        peak: largest absolute value, full scale is 1, before any gain.
    """

    samples: np.ndarray
    notes: tuple
    sample_rate: int
    n_channels: int
    subtype: str
    duration_s: float
    offset: float
    peak: float


def prepare(path, sample_rate=20_000, trim_level=0, channel="auto"):
    """A clip ready for training: mono, resampled, 16-bit, ends trimmed.

    An offset is taken away, a floating-point recording that passes full scale is scaled down, and a very quiet one of
    more than 16 bits is raised; every other recording keeps its level.

    Args:
        path: an audio file.
        sample_rate: Hz of the result.
        trim_level: 16-bit counts, see ``trim_ends``.
        channel: see ``read``.
    Returns:
        int16 array (samples,), no shorter than ``MIN_DURATION_S``: a click keeps some of the silence around it.
    Raises:
        DataError: as ``read``, and for a recording that is too short or silent.
    Taught in: 01_audio_preprocessing.
    Source: ACDNet, the paper's reference [19].
    """
    return prepare_and_tell(path, sample_rate, trim_level, channel).samples


def prepare_and_tell(path, sample_rate=20_000, trim_level=0, channel="auto", listener=None):
    """As ``prepare``, with what was found on the way.

    Args:
        listener: called with every block of the mono waveform, float32 (samples,) at the recorded rate, and that rate.
    Returns:
        Prepared.
    """
    recording, heard = hear(path, channel, listener)
    whole = np.concatenate(list(pieces(recording, heard, sample_rate)))
    samples = _trimmed(whole, path, sample_rate, trim_level)
    return Prepared(
        samples,
        heard.notes,
        recording.sample_rate,
        recording.n_channels,
        recording.subtype,
        heard.count / recording.sample_rate,
        heard.mean,
        heard.peak,
    )


@dataclass(frozen=True)
class Heard:
    """What has to be known of a whole recording before any part of it is prepared; plain numbers, so it can be kept.

    Attributes:
        count: samples of each channel.
        channel: index of the one that is heard, None for the mean of all.
        first, last: samples between which something sounds; None and -1 in digital silence.
        offset, gain: what is taken away between them, and the factor after that.
        mean, peak: of the recording, full scale is 1, before both.
        notes: sentences about what was mended or is doubtful.
    """

    count: int
    channel: int | None
    first: int | None
    last: int
    offset: float
    gain: float
    mean: float
    peak: float
    notes: tuple = ()


def hear(path, channel="auto", listener=None):
    """Decode a recording of any length once or twice, in constant memory, and say how it is to be heard.

    Args:
        channel, listener: see ``read``, ``prepare_and_tell``.
    Returns:
        (Recording, Heard)
    Raises:
        DataError: as ``read``, and for a recording that is too short or of another unit.
    """
    recording = _open(path)
    choice = choose(recording, channel)
    about = measure(recording, choice, listener)
    duration_s = about.count / recording.sample_rate
    if about.bad:
        raise DataError(_not_finite(path, about.bad, about.count))
    if duration_s < MIN_DURATION_S:
        raise DataError(f"{path}: too short, {duration_s:.3f} s; expected at least {MIN_DURATION_S} s")
    if about.peak > MAX_PEAK:
        raise DataError(f"{path}: samples reach {about.peak:.4g}; expected -1 to 1; divide them by full scale")
    offset = about.wrong_offset
    peak = max(abs(about.highest - offset), abs(about.lowest - offset))
    gain, notes = gain_of(recording, peak)
    if offset:
        notes = (f"its offset of {offset:+.3f} of full scale was taken away", *notes)
    told = (choice.note,) if choice.note else ()
    return recording, Heard(
        about.count,
        choice.channel,
        about.first,
        about.last,
        offset,
        gain,
        about.offset,
        about.peak,
        (*told, *recording.notes, *notes),
    )


def _trimmed(whole, path, sample_rate, trim_level):
    samples = trim_ends(whole, trim_level)
    if len(samples) < math.ceil(MIN_SOUND_S * sample_rate):
        peak = max(int(whole.max()), -int(whole.min())) if len(whole) else 0
        raise DataError(
            f"{path}: silent, {len(samples)} samples are left when ends of at most {trim_level} counts "
            f"(trim_level) are cut; expected {MIN_SOUND_S} s of sound; its peak is {peak}"
        )
    least = math.ceil(MIN_DURATION_S * sample_rate)
    if len(samples) < least:  # about the middle of the sound, as far as the recording reaches
        first = _first_loud(whole, trim_level) - (least - len(samples)) // 2
        first = max(0, min(first, len(whole) - least))
        samples = whole[first : first + least]
    return samples


def preparation_key(path, sample_rate, trim_level, channel="auto"):
    """All that a prepared clip depends on, as text, without reading the file.

    It changes when the file is edited, replaced or swapped with another, even one of the same size and date: besides
    those, it has the file's number on the disk and the time of its last change of any kind, which programs cannot set.

    Raises:
        DataError: the file is missing.
    Taught in: 01_audio_preprocessing.
    """
    try:
        about = os.stat(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); expected an audio file") from None
    return "|".join(
        map(
            str,
            (
                os.path.abspath(path),
                about.st_size,
                about.st_mtime_ns,
                about.st_ctime_ns,
                about.st_ino,
                sample_rate,
                trim_level,
                channel,
                _VERSION,
            ),
        )
    )


def _open(path):
    """A Recording of a rate that can be right."""
    recording = Recording(path)
    lowest, highest = SAMPLE_RATE_RANGE_HZ
    if not lowest <= recording.sample_rate <= highest:
        raise DataError(f"{path}: the header says {recording.sample_rate} Hz; expected {lowest} to {highest} Hz")
    return recording


def _not_finite(path, bad, count):
    return (
        f"{path}: {bad} of {count} samples are NaN or infinite; expected numbers within -1 to 1; export the "
        "recording again"
    )


def pieces(recording, heard, sample_rate):
    """Yields a recording as int16 arrays at ``sample_rate``: in one piece, or a long one in several."""
    place, held = 0, []
    for block in recording.blocks():
        held.append(levelled(block, place, heard))
        place += len(block)
        if place > _AT_ONCE and sum(map(len, held)) > _PIECE:
            break
    else:
        yield rounded(resample(torch.from_numpy(np.concatenate(held)), recording.sample_rate, sample_rate))
        return
    yield from _piecewise(recording, heard, sample_rate)


def _piecewise(recording, heard, sample_rate):
    """As ``pieces``, resampled with as much before and behind them as the filter reaches."""
    old, new = ratio(recording.sample_rate, sample_rate)
    margin = reach(old, new)
    step = old * max(1, _PIECE // old)
    held, place, before = np.zeros(0, np.float32), 0, 0  # ``before``: samples of the piece before, at the start of held
    for block in recording.blocks():
        held = np.concatenate([held, levelled(block, place, heard)])
        place += len(block)
        while len(held) >= before + step + margin:
            made = resample(torch.from_numpy(held[: before + step + margin]), recording.sample_rate, sample_rate)
            yield rounded(made[before // old * new : (before + step) // old * new])
            held, before = held[before + step - margin :], margin
    made = resample(torch.from_numpy(held), recording.sample_rate, sample_rate)
    yield rounded(made[before // old * new :])


def reach(old, new):
    """Samples before and behind a piece that the filter of ``resample`` needs, a multiple of ``old``."""
    return old * (2 * _RESAMPLER["lowpass_filter_width"] // min(old, new) + 2)


def levelled(block, place, heard):
    """A block (frames, channels) that begins at sample ``place`` as one channel, without its offset and with its gain.

    Silent ends stay silent.
    """
    block = Choice(heard.channel).mono(block)
    if heard.offset:
        inside = slice(max(heard.first - place, 0), max(heard.last + 1 - place, 0))
        block = block.copy()
        block[inside] -= np.float32(heard.offset)
    return block if heard.gain == 1.0 else block * np.float32(heard.gain)


def rounded(waveform):
    """Float32 of full scale 1 to int16."""
    return torch.round(waveform * 32768).clamp(-32768, 32767).to(torch.int16).numpy()
