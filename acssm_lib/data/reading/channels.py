"""Which channel of a recording is heard: they are compared before they are mixed.

A mix loses the sound where two channels are upside down to one another (a balanced cable wired wrongly), and buries it
where one of them hums. Both are measured on what stands out of each channel's own steady background: per band of the
spectrum, power over what it has in the quietest fifth of the time, and per moment over the median of the bands. Hum and
hiss do not stand out, nor does the crackle of a broken cable; calls do.
"""

from dataclasses import dataclass

import numpy as np

_FRAME = 1024  # samples of a spectrum
_FRAMES = 4096  # spectra that are compared, at most, spread over the recording
_DEAD = 1e-4  # root mean square, full scale 1: -80 dB, the noise of the last bits
_BETTER_DB = 10.0  # one channel is taken where its sound stands out by so much more
_OPPOSED = -0.5  # correlation, of what stands out or of all
_BANDS = 8  # lines of a spectrum that make one band
_STANDS_OUT = 5.0  # times the background, in power: white noise gets there once in a million times
_FLAT = 0.01  # share of samples at the very top from which on a channel counts as clipped
CHANNELS = ("auto", "mix", "left", "right")


@dataclass(frozen=True)
class Choice:
    """``channel``: index of the one that is heard, None for the mean of all; ``note``: why, or None."""

    channel: int | None
    note: str | None = None

    def mono(self, block):
        """(frames, channels) -> (frames,)."""
        if block.shape[1] == 1 or self.channel is None:
            return block.mean(axis=1)
        return block[:, self.channel]


def choose(recording, channel="auto"):
    """The channel of a ``Recording`` that is heard.

    Args:
        channel: "mix" (the mean), "left", "right" (the first, the second), or "auto": the mean of two live channels
            that agree; one of them where they are opposed, one is dead, or one hears much better; of more than two
            the one that hears best.
    Raises:
        ValueError: another word. DataError: as ``Recording.blocks``.
    """
    if channel not in CHANNELS:
        raise ValueError(f"channel={channel!r}: choose one of {', '.join(CHANNELS)}")
    n = recording.n_channels
    if n == 1 or channel == "mix":
        return Choice(None)
    if channel != "auto":
        return Choice(int(channel == "right"), f"{channel} channel of {n}, as asked")
    return _compare(*_spectra(recording))


def _compare(spectra, covariance, flat):
    """Choice from spectra (frames, channels, bands, lines), the covariance of the samples (channels, channels), and the
    share of samples at the top (channels,)."""
    level = np.sqrt(np.maximum(np.diag(covariance), 0))
    n = len(level)
    alive = np.flatnonzero(level > _DEAD)
    if not len(alive):  # all as quiet as one another: an array of good microphones on a still night, or nothing
        alive = np.flatnonzero(level > level.max() / 10)
    if len(alive) == 1:
        return Choice(int(alive[0]), f"only channel {alive[0] + 1} of {n} has a signal; it is used alone")
    if not len(alive):
        return Choice(None)
    power = (np.abs(spectra[:, alive]) ** 2).sum(-1)  # (frames, channels, bands)
    sound = np.stack([_outstanding(power[:, c]) for c in range(len(alive))])  # (channels, frames, bands)
    merit = 10 * np.log10(1 + sound.mean((1, 2)))
    merit = np.where(flat[alive] > _FLAT, merit - 2 * _BETTER_DB, merit)
    best = int(merit.argmax())
    chosen = int(alive[best])
    if n > 2:
        return Choice(chosen, f"channel {chosen + 1} of {n} is used, in which sound stands out most")
    if len(alive) < n:
        return Choice(chosen, f"only channel {chosen + 1} of {n} has a signal; it is used alone")
    cross = (spectra[:, 0] * spectra[:, 1].conj()).real.sum(-1) / np.maximum(np.sqrt(power[:, 0] * power[:, 1]), 1e-30)
    weight = np.sqrt(sound[0] * sound[1])
    agree = min(float((weight * cross).sum() / max(weight.sum(), 1e-30)), covariance[0, 1] / (level[0] * level[1]))
    if agree < _OPPOSED:
        return Choice(
            chosen,
            f"its channels are opposed (correlation {agree:.2f}) and would cancel "
            f"each other; channel {chosen + 1} is used alone",
        )
    if merit.max() - merit.min() > _BETTER_DB:
        return Choice(
            chosen,
            f"its channels differ by much: sound stands out {merit.max() - merit.min():.0f} dB more "
            f"in channel {chosen + 1}, which is used alone (the other is at "
            f"{20 * np.log10(level[1 - chosen] / level[chosen]):+.0f} dB)",
        )
    return Choice(None)


def _outstanding(power):
    """Power (frames, bands) over its background where it stands out of it, else zero."""
    floor = np.maximum(np.quantile(power, 0.2, axis=0), max(1e-6 * power.mean(), 1e-20))
    ratio = power / floor
    ratio = ratio / np.maximum(np.median(ratio, axis=1, keepdims=True), 1)
    return np.where(ratio > _STANDS_OUT, ratio, 0)


def _spectra(recording):
    """What ``_compare`` takes, the spectra spread over the recording."""
    window = np.hanning(_FRAME).astype(np.float32)[:, None]
    every = max(1, (recording.samples or 0) // (_FRAME * _FRAMES))
    kept, rest, place = [], None, 0
    total, products, count = 0.0, 0.0, 0
    top, at_top = np.zeros(recording.n_channels), np.zeros(recording.n_channels)
    for block in recording.blocks():
        exact = block.astype(float)
        total, products, count = total + exact.sum(0), products + exact.T @ exact, count + len(block)
        peak = np.abs(block).max(0)
        at_top = np.where(peak > 1.001 * top, 0, at_top)
        top = np.maximum(top, peak)
        at_top = at_top + (np.abs(block) >= 0.999 * top).sum(0)
        block = block if rest is None else np.concatenate([rest, block])
        n_frames = len(block) // _FRAME
        for first in range(0, n_frames * _FRAME, _FRAME):
            if place % every == 0:
                kept.append(_spectrum(window * block[first : first + _FRAME]))
            place += 1
        while len(kept) >= 2 * _FRAMES:  # nobody had announced how long it is
            kept, every = kept[::2], 2 * every
        rest = block[n_frames * _FRAME :]
    if not kept:  # shorter than one frame
        padded = np.zeros((_FRAME, recording.n_channels), np.float32)
        padded[: len(rest)] = rest
        kept.append(_spectrum(window * padded))
    mean = total / count
    return np.stack(kept), products / count - np.outer(mean, mean), at_top / count


def _spectrum(frame):
    """(samples, channels) -> (channels, bands, lines), without the lowest band."""
    lines = np.fft.rfft(frame, axis=0)[_BANDS:-1].T.astype(np.complex64)
    return lines.reshape(len(lines), -1, _BANDS)
