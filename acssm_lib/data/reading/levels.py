"""The level of a recording: its extremes, its offset, and the gain that 16 bits need."""

import math
from dataclasses import dataclass

import numpy as np

# Floating-point files may pass full scale; 40 dB above it they hold another unit (integer counts, pascals).
MAX_PEAK = 100.0
# A lossy copy of a loud recording passes full scale a little, and is clipped as the recording was; 3 dB is more.
MAX_LOSSY_PEAK = 1.41
# An offset from here on is the recorder's, no sound: it would be the loudest feature of the clip.
MAX_OFFSET, MIN_OFFSET_SAMPLES = 0.01, 2_000
# A recording of more than 16 bits (a lossy copy) that peaks below so many counts is raised, or its precision is lost;
# one that peaks below -120 dB is silent.
MIN_COUNTS, MIN_LOSSY_COUNTS, SILENT_PEAK = 128, 16, 2.0**-20


@dataclass
class Level:
    """Of one mono waveform (full scale is 1): counts, extremes, and place and sums of what lies between zeros at both
    ends."""

    count: int = 0
    bad: int = 0
    highest: float = 0.0
    lowest: float = 0.0
    first: int | None = None
    last: int = -1
    total: float = 0.0
    squares: float = 0.0

    @property
    def wrong_offset(self):
        """The offset where it is the recorder's, else 0: a click has a mean too."""
        real = self.last - (self.first or 0) >= MIN_OFFSET_SAMPLES
        return self.offset if real and abs(self.offset) > max(MAX_OFFSET, 0.1 * self.deviation) else 0.0

    @property
    def peak(self):
        return max(self.highest, -self.lowest)

    @property
    def offset(self):
        return 0.0 if self.first is None else self.total / (self.last + 1 - self.first)

    @property
    def deviation(self):
        return (
            0.0
            if self.first is None
            else math.sqrt(max(self.squares / (self.last + 1 - self.first) - self.offset**2, 0.0))
        )


def measure(recording, choice, listener=None):
    """The Level of a ``Recording`` heard through a ``channels.Choice``; ``listener`` as in ``prepare_and_tell``."""
    about = Level()
    for block in recording.blocks():
        block = choice.mono(block)
        if listener is not None:
            listener(block, recording.sample_rate)
        about.bad += int(np.count_nonzero(~np.isfinite(block)))
        loud = np.flatnonzero(block)
        if len(loud) and not about.bad:
            about.first = about.count + int(loud[0]) if about.first is None else about.first
            about.last = about.count + int(loud[-1])
            about.highest, about.lowest = max(about.highest, float(block.max())), min(about.lowest, float(block.min()))
            about.total += float(block.sum(dtype=np.float64))
            about.squares += float(np.square(block, dtype=np.float64).sum())
        about.count += len(block)
    return about


def gain_of(recording, peak):
    """(factor, sentences): what 16 bits cannot hold is scaled."""
    if recording.exact or peak <= SILENT_PEAK:
        return 1.0, ()
    if peak > (1.0 if recording.deep else MAX_LOSSY_PEAK):
        return 1 / peak, (
            f"it reaches {peak:.3g} times full scale, and was scaled down by {20 * math.log10(peak):.1f} dB",
        )
    if peak * 32768 < (MIN_COUNTS if recording.deep else MIN_LOSSY_COUNTS):
        gain = 2.0 ** math.floor(math.log2(0.5 / peak))
        return gain, (
            f"it is very quiet, its peak is {-20 * math.log10(peak):.0f} dB below full scale, and was raised "
            f"by {20 * math.log10(gain):.0f} dB",
        )
    return 1.0, ()
