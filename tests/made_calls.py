"""One call, files that hold it, and whether a file was read whole: shared by the tests of reading."""

import struct

import numpy as np
import pytest
import soundfile

from acssm_lib.data.audio import prepare_and_tell

RATE, HZ = 16_000, 1_000


def call(seconds=2.0, level=0.3, noise=0.003, seed=0):
    """Pulses of a tone of 1 kHz in a little noise."""
    t = np.arange(round(seconds * RATE)) / RATE
    gate = np.sin(2 * np.pi * 4 * t) > 0
    return level * gate * np.sin(2 * np.pi * HZ * t) + noise * np.random.default_rng(seed).standard_normal(len(t))


def kept(path, seconds=2.0, rate=20_000):
    """Prepare a file that should hold the call whole; returns its notes in one text."""
    found = prepare_and_tell(path, rate)
    samples = found.samples / 32768
    power = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    near = power[np.abs(np.fft.rfftfreq(len(samples), 1 / rate) - HZ) < 60].sum() / power.sum()
    assert len(samples) / rate == pytest.approx(seconds, abs=0.13) and near > 0.9
    return "; ".join(found.notes)


def wav(path, samples, subtype="PCM_16", rate=RATE):
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def chunk(name, body, announced=None):
    """A chunk of a WAV; ``announced``: another length in its head."""
    return name + struct.pack("<I", len(body) if announced is None else announced) + body + b"\0" * (len(body) % 2)


def riff(*chunks, size=None, kind=b"RIFF"):
    """A WAV of chunks; ``size``: another length in its head."""
    body = b"WAVE" + b"".join(chunks)
    return kind + struct.pack("<I", len(body) if size is None else size) + body
