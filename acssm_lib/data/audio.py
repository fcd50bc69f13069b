"""Audio files in, 16-bit mono clips at one sample rate out.

A clip is prepared as ACDNet does it: mixed to mono, resampled, rounded to 16-bit integers, and cut free of the
zeros that pad short clips at both ends. What is wrong with a file is said in one sentence that names it.
"""

import io
import math
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio

from acssm_lib.data.containers import check_container
from acssm_lib.files import DataError

# The one minimum, of recordings and of prepared clips: a shorter one fills fewer than four frames of 25.6 ms, in which
# nothing changes over time.
MIN_DURATION_S = 0.1
# Of that, what is louder than the level of the trimming: a mouse click lasts about this long, one sample is a fault.
MIN_SOUND_S = 0.01
# Outside of this a header is damaged, or the file is no recording of sound in air or water.
SAMPLE_RATE_RANGE_HZ = (1_000, 1_000_000)
# Floating-point files may pass full scale a little; 12 dB above it they hold another unit (integer counts, pascals).
MAX_PEAK = 4.0

# Kaiser-windowed sinc: level flat to 0.9 of the lower Nyquist frequency, aliases below -80 dB.
_RESAMPLER = {"lowpass_filter_width": 64, "rolloff": 0.95, "resampling_method": "sinc_interp_kaiser", "beta": 8.0}
_VERSION = 2  # raise it when prepared samples change, so that kept ones are not found any more
_BLOCK = 1 << 18  # frames decoded at a time


def read(path):
    """A recording as one mono waveform, at the rate it was recorded with.

    Channels are averaged. Everything libsndfile decodes is read: WAV (8 to 32 bit, float), FLAC, Ogg, MP3, AIFF ...

    Args:
        path: an audio file.
    Returns:
        (waveform, sample_rate): float32 (samples,), full scale is 1; Hz.
    Raises:
        DataError: the file is missing, not audio, empty, truncated, or holds NaN or infinite samples.
    Taught in: 01_audio_preprocessing.
    """
    return _decode(_content(path), path)


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
    low, high = sorted((int(from_rate), int(to_rate)))
    ratio = Fraction(low, high).limit_denominator(2000)
    orig, new = ratio.as_integer_ratio() if from_rate == low else ratio.as_integer_ratio()[::-1]
    return torchaudio.functional.resample(waveform, orig, new, **_RESAMPLER)


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
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > level)  # |-32768| does not fit into 16 bits
    return samples[loud[0]:loud[-1] + 1] if len(loud) else samples[:0]


def prepare(path, sample_rate=20_000, trim_level=0):
    """A clip ready for training: mono, resampled, 16-bit, ends trimmed.

    Args:
        path: an audio file.
        sample_rate: Hz of the result.
        trim_level: 16-bit counts, see ``trim_ends``.
    Returns:
        int16 array (samples,), no shorter than ``MIN_DURATION_S``: a click keeps some of the silence around it.
    Raises:
        DataError: as ``read``, and for a recording that is too short or silent.
    Taught in: 01_audio_preprocessing.
    Source: ACDNet, the paper's reference [19].
    """
    waveform, recorded_rate = read(path)
    duration_s = len(waveform) / recorded_rate
    if duration_s < MIN_DURATION_S:
        raise DataError(f"{path}: too short, {duration_s:.3f} s; expected at least {MIN_DURATION_S} s")
    peak = waveform.abs().max().item()
    if peak > MAX_PEAK:
        raise DataError(f"{path}: samples reach {peak:.4g}; expected -1 to 1; divide them by full scale")
    counts = torch.round(resample(waveform, recorded_rate, sample_rate) * 32768).clamp(-32768, 32767)
    whole = counts.to(torch.int16).numpy()
    samples = trim_ends(whole, trim_level)
    if len(samples) < math.ceil(MIN_SOUND_S * sample_rate):
        raise DataError(f"{path}: silent, {len(samples)} samples are left when ends of at most {trim_level} counts "
                        f"(trim_level) are cut; expected {MIN_SOUND_S} s of sound; its peak is {peak * 32768:.0f}")
    least = math.ceil(MIN_DURATION_S * sample_rate)
    if len(samples) < least:  # about the middle of the sound, as far as the recording reaches
        first = np.flatnonzero(np.abs(whole.astype(np.int32)) > trim_level)[0] - (least - len(samples)) // 2
        first = max(0, min(first, len(whole) - least))
        samples = whole[first:first + least]
    return samples


def preparation_key(path, sample_rate, trim_level):
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
    return "|".join(map(str, (os.path.abspath(path), about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino,
                              sample_rate, trim_level, _VERSION)))


def _content(path):
    """All bytes of the file, read once: what is hashed is what is decoded."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); expected an audio file") from None


def _decode(content, path):
    if not content:
        raise DataError(f"{path}: empty, 0 bytes; expected a recording of at least {MIN_DURATION_S} s")
    try:
        file = soundfile.SoundFile(io.BytesIO(content))
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: a ".raw" file has no header
        reason = str(getattr(error, "error_string", error)).rstrip(".")
        raise DataError(f"{path}: not an audio file that can be decoded ({reason}); "
                        "expected WAV, FLAC, Ogg, MP3 or AIFF") from None
    with file:
        check_container(content, path)
        blocks = _read_blocks(file, path)
        sample_rate = file.samplerate
    lowest, highest = SAMPLE_RATE_RANGE_HZ
    if not lowest <= sample_rate <= highest:
        raise DataError(f"{path}: the header says {sample_rate} Hz; expected {lowest} to {highest} Hz")
    waveform = torch.from_numpy(np.concatenate(blocks))
    bad = torch.count_nonzero(~torch.isfinite(waveform)).item()
    if bad:
        raise DataError(f"{path}: {bad} of {len(waveform)} samples are NaN or infinite; expected numbers within "
                        "-1 to 1; export the recording again")
    return waveform, sample_rate


def _read_blocks(file, path):
    """The whole file as a list of mono blocks: an hour of stereo never lies in memory with both channels."""
    announced, decoded, blocks = file.frames, 0, []
    try:
        while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
            blocks.append(block.mean(axis=1))
            decoded += len(block)
    except soundfile.SoundFileError as error:
        reason = str(getattr(error, "error_string", error)).rstrip(".")
        raise DataError(f"{path}: truncated or damaged, decoding stopped after {decoded} of {announced} samples "
                        f"({reason}); copy or download it again") from None
    if decoded < announced:
        raise DataError(f"{path}: truncated, {decoded} of the {announced} samples its header announces are there; "
                        "copy or download it again")
    if not decoded:
        raise DataError(f"{path}: empty, 0 samples; expected a recording of at least {MIN_DURATION_S} s")
    return blocks


