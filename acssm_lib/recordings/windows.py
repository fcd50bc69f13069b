"""Windows of recordings of any length: one after another in constant memory, or a single one.

A window is ``window_s`` long, and the next begins ``step_s`` later; the last one ends with the recording, so that
nothing is left out and no silence is made up. A recording shorter than a window is one window with zeros behind it.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np
import torch

from acssm_lib.data.audio import MIN_DURATION_S, Heard, hear, levelled, pieces, ratio, reach, resample, rounded
from acssm_lib.data.reading.decoding import Recording
from acssm_lib.files import DataError


@dataclass(frozen=True)
class Source:
    """One recording, heard as a whole once: all that its windows need, so that any of them can be read later.

    Attributes:
        sample_rate: Hz, of the file. heard: see ``data.audio.Heard``. working_rate: Hz, of the windows.
        window, step: samples at the working rate.
    """

    sample_rate: int
    heard: Heard
    working_rate: int
    window: int
    step: int

    @classmethod
    def of(cls, path, settings, listener=None):
        """(Recording, Source); ``settings``: a ``SurveySettings``.

        Raises:
            DataError: the file cannot be used; the message names it.
        """
        recording, heard = hear(path, listener=listener)
        if heard.first is None:
            raise DataError(f"{path}: silent, every sample is zero; the microphone was off or broken")
        rate = settings.sample_rate
        return recording, cls(
            recording.sample_rate, heard, rate, round(settings.window_s * rate), max(1, round(settings.step_s * rate))
        )

    def as_dict(self):
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values):
        heard = Heard(**{**values["heard"], "notes": tuple(values["heard"]["notes"])})
        return cls(**{**values, "heard": heard})

    @property
    def duration_s(self):
        return self.heard.count / self.sample_rate

    @property
    def length(self):
        """Samples at the working rate."""
        old, new = ratio(self.sample_rate, self.working_rate)
        return math.ceil(self.heard.count * new / old)

    @property
    def starts(self):
        """First sample of every window, at the working rate: int64 (windows,)."""
        room = self.length - self.window
        starts = np.arange(0, max(room, 0) + 1, self.step)
        if room - starts[-1] >= MIN_DURATION_S * self.working_rate:
            starts = np.append(starts, room)
        return starts

    @property
    def starts_s(self):
        """The same in seconds of the file: float64 (windows,). An awkward ratio of rates is rounded, a time is not."""
        old, new = ratio(self.sample_rate, self.working_rate)
        return self.starts * (old / new / self.sample_rate)

    def read(self, path, start, recording=None):
        """The window that begins at sample ``start`` of the working rate, from the file: float32 (window,).

        It is what ``windows`` gives, to one 16-bit count: filters round differently in pieces of another length.

        Args:
            recording: of that file, where it is open already.
        Raises:
            DataError: the file is not there any more, or is another.
        """
        recording = recording or Recording(path)
        if recording.sample_rate != self.sample_rate:
            raise DataError(
                f"{path}: {recording.sample_rate} Hz, and {self.sample_rate} Hz when it was indexed; put "
                "that recording back, or remove the folder index"
            )
        old, new = ratio(self.sample_rate, self.working_rate)
        begin = max(0, start // new * old - reach(old, new))  # multiples of old, where both rates have a sample
        end = min(self.heard.count, math.ceil((start + self.window) / new) * old + reach(old, new))
        part = levelled(recording.part(begin, end), begin, self.heard)
        made = rounded(resample(torch.from_numpy(part), self.sample_rate, self.working_rate))
        return _as_window(made[start - begin // old * new :][: self.window], self.window)


def windows(recording, source, at_once=32):
    """Yields all windows of a recording, in batches: float32 (batch, window), full scale 1.

    Memory holds one decoded block, one resampled piece and one batch, however long the recording is.

    Args:
        recording, source: as from ``Source.of``.
        at_once: most windows of a batch; where batches end depends on the recording alone.
    """
    starts, place, batch = source.starts, 0, []
    held, base = np.zeros(0, np.int16), 0  # ``held`` begins at sample ``base``
    for piece in pieces(recording, source.heard, source.working_rate):
        held = np.concatenate([held, piece])
        while place < len(starts) and starts[place] + source.window <= base + len(held):
            batch.append(_as_window(held[starts[place] - base :][: source.window], source.window))
            place += 1
            if len(batch) == at_once:
                yield torch.stack(batch)
                batch = []
        done = min(int(starts[place]) if place < len(starts) else base + len(held), base + len(held))
        held, base = held[done - base :], done
    if place < len(starts):  # a recording shorter than a window
        batch.append(_as_window(held, source.window))
    if batch:
        yield torch.stack(batch)


def _as_window(samples, window):
    """int16 (samples,) -> float32 (window,), zeros behind."""
    waveform = torch.zeros(window)
    waveform[: len(samples)] = torch.from_numpy(samples.astype(np.float32)) / 32768
    return waveform


def in_band(waveform, low_hz, top_hz, sample_rate):
    """What lies between two frequencies, the edges an eighth of an octave wide; the same samples where that is all.

    Args:
        waveform: (..., samples). low_hz: 0 for no lower end. top_hz: half the rate for no upper end.
    """
    if low_hz <= 0 and top_hz >= sample_rate / 2:
        return waveform
    hertz = torch.fft.rfftfreq(waveform.shape[-1], 1 / sample_rate).clamp_min(1e-3)
    gain = torch.ones_like(hertz)
    if low_hz > 0:
        gain = gain * (0.5 + 8 * torch.log2(hertz / low_hz)).clamp(0, 1)
    if top_hz < sample_rate / 2:
        gain = gain * (0.5 - 8 * torch.log2(hertz / top_hz)).clamp(0, 1)
    return torch.fft.irfft(torch.fft.rfft(waveform) * gain.to(waveform.device), waveform.shape[-1])
