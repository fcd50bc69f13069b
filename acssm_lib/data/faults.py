"""What is doubtful about recordings that can be read: sound that the working rate cannot hold, long clips, a recorder
that gives its class away."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from acssm_lib.data.layouts import Problem

_FRAME = 1024  # samples of a spectrum
_WINDOW = np.hanning(_FRAME).astype(np.float32)
_SPECTRA = 1024  # kept of a recording, at most
_LOWEST_HZ = 100  # wind and handling lie below
_STANDS_OUT = 40.0  # times the background, in power: white noise gets there once in 10,000 times
_LEAST = 5  # clips of a class, and of the others, before one says that something tells them apart
_LONG = 4  # crops that fit into a clip: from here on most of it is not asked about


class Listener:
    """Hears a recording block by block (``prepare_and_tell(..., listener=...)``) and keeps its spectrum."""

    def __init__(self):
        self._kept, self._every, self._seen, self._rest, self._rate = [], 1, 0, np.zeros(0, np.float32), 0
        self._lowest, self._of = None, None  # background, and frames seen when it was measured

    def __call__(self, block, sample_rate):
        self._rate = sample_rate
        block = np.concatenate([self._rest, block])
        n_frames = len(block) // _FRAME
        frames = block[: n_frames * _FRAME].reshape(n_frames, _FRAME)[-self._seen % self._every :: self._every]
        frames = frames[np.isfinite(frames).all(1)]
        spectra = np.fft.rfft((frames - frames.mean(1, keepdims=True)) * _WINDOW)
        self._kept.extend(np.square(spectra.real) + np.square(spectra.imag))
        self._seen += n_frames
        while len(self._kept) >= 2 * _SPECTRA:
            self._kept, self._every = self._kept[::2], 2 * self._every
        self._rest = block[n_frames * _FRAME :]

    def above(self, limit_hz):
        """Share of the energy above a frequency: (of all, of what stands out of the background); 0 if unknown.

        The second is 0 where hardly anything stands out.
        """
        if len(self._kept) < 16 or self._rate <= 2 * limit_hz:
            return 0.0, 0.0
        power = np.stack(self._kept)[:, self._hz() > _LOWEST_HZ]
        high = self._hz()[self._hz() > _LOWEST_HZ] > limit_hz
        floor = self._floor()[self._hz() > _LOWEST_HZ]
        out = np.where(power > _STANDS_OUT * floor, power, 0)
        out *= out.sum() > 0.05 * power.sum()
        return tuple(float(x[:, high].sum() / x.sum()) if x.sum() > 0 else 0.0 for x in (power, out))

    def edge_hz(self):
        """Where the background ends: half the rate, or less in what was recorded or kept at a lower rate; None if
        unknown."""
        if len(self._kept) < 8:
            return None
        floor = np.convolve(self._floor(), np.ones(9) / 9, "same")[4:-4]
        if not floor.max() > 0:
            return None
        there = np.flatnonzero(floor > 1e-3 * np.median(floor[floor > 1e-6 * floor.max()]))
        return float(self._hz()[4:-4][there[-1]])

    def _floor(self):
        """Power that each line of the spectrum has in the quietest fifth of the time."""
        if self._of != self._seen:
            power = np.stack(self._kept, 1)  # (lines, frames): along a row a partition is fast
            fifth = power.shape[1] // 5
            self._lowest, self._of = np.partition(power, fifth, axis=1)[:, fifth], self._seen
        return self._lowest

    def _hz(self):
        return np.fft.rfftfreq(_FRAME, 1 / self._rate)


@dataclass(frozen=True)
class Facts:
    """Of one labelled clip: what may give its class away, and how long it is."""

    category: str
    name: str
    sample_rate: int
    n_channels: int
    subtype: str
    offset: float
    peak_db: float  # below full scale
    edge_hz: float | None
    duration_s: float  # prepared
    loudest_s: float  # where its loudest second begins

    @classmethod
    def of(cls, clip, prepared, listener, sample_rate):
        return cls(
            clip.category,
            clip.name,
            prepared.sample_rate,
            prepared.n_channels,
            prepared.subtype,
            prepared.offset,
            20 * float(np.log10(prepared.peak)),
            listener.edge_hz(),
            len(prepared.samples) / sample_rate,
            _loudest(prepared.samples, sample_rate),
        )


def _loudest(samples, sample_rate):
    """Second at which the loudest second of a clip begins, in tenths."""
    step = sample_rate // 10
    tenths = [
        float(np.square(samples[first : first + step], dtype=np.float32).sum())
        for first in range(0, len(samples), step)
    ]
    return int(np.convolve(tenths, np.ones(10), "valid").argmax()) / 10 if len(tenths) > 10 else 0.0


def too_high(name, shares, sample_rate):
    """A problem where most of the sound lies above what the working rate holds, else None."""
    of_all, of_sound = shares
    if of_all < 0.8 and of_sound < 0.5:
        return None
    return Problem(
        name,
        f"{of_all:.0%} of its energy, and {of_sound:.0%} of what stands out of the background, lies "
        f"above {sample_rate / 2000:g} kHz, which is not heard at the working rate of {sample_rate:,} Hz; "
        "choose a higher sample_rate, or slow the recordings down",
        "warning",
    )


def long_clips(facts, crop_s):
    """Problems of clips that are much longer than a crop, and of one that is much longer than the others."""
    problems = []
    median = float(np.median([fact.duration_s for fact in facts])) if facts else 0.0
    longest = max(facts, key=lambda fact: fact.duration_s, default=None)
    if longest is not None and longest.duration_s > max(20 * median, 60):
        problems.append(
            Problem(
                longest.name,
                f"lasts {longest.duration_s:,.0f} s, {longest.duration_s / median:,.0f} "
                "times as long as the median clip, and counts as one clip; cut the calls out of it",
                "warning",
            )
        )
    long = [fact for fact in facts if fact.duration_s > _LONG * crop_s]
    if long:
        middle = [abs(fact.loudest_s + 0.5 - fact.duration_s / 2) < crop_s / 2 for fact in long]
        problems.append(
            Problem(
                f"{len(long)} of {len(facts)} clips",
                f"last up to {max(fact.duration_s for fact in long):,.0f} s; of a "
                f"clip only a crop of {crop_s:.1f} s in the middle is asked about (preset paper), and "
                f"the loudest second lies outside of the middle in {middle.count(False)} of them; cut the clips to the "
                "calls, or let the whole clip be asked (--preset quick or best, or --set test_crops=0)",
                "warning",
            )
        )
    return problems


def recorder_tells_class(facts):
    """Problems where a number of the recording alone, and no sound, tells a class from the others."""
    by_class = defaultdict(list)
    for fact in facts:
        by_class[fact.category].append(fact)
    if len(by_class) < 2:
        return []
    problems = []
    for word, value in (
        ("sample rate (Hz)", lambda fact: fact.sample_rate),
        ("number of channels", lambda fact: fact.n_channels),
        ("sample format", lambda fact: fact.subtype),
    ):
        told = [name for name, own in by_class.items() if _own_value(own, facts, value)]
        if told:
            values = ", ".join(f"{name}: {_most(by_class[name], value)}" for name in told)
            problems.append(_told(told, word, values))
    for word, value, gap in (
        ("offset (of full scale)", lambda fact: fact.offset, 0.003),
        ("peak (dB)", lambda fact: fact.peak_db, 10.0),
        ("upper end of the spectrum (Hz)", lambda fact: fact.edge_hz, 1_500),
    ):
        known = [fact for fact in facts if value(fact) is not None]
        told = [name for name, own in by_class.items() if _apart(own, known, value, gap)]
        already = any("sample rate" in problem.message for problem in problems)
        if told and not (already and "spectrum" in word):
            middle = {name: np.median([value(fact) for fact in known if fact.category == name]) for name in told}
            values = ", ".join(f"{name}: {number:.3g}" for name, number in middle.items())
            problems.append(_told(told, word, values))
    return problems


def _told(names, word, values):
    return Problem(
        f"class {names[0]}" if len(names) == 1 else f"{len(names)} classes",
        f"the {word} alone tells {'it' if len(names) == 1 else 'them'} from the others ({values}); a high "
        "accuracy may then say which recorder it was, and nothing about the calls",
        "warning",
    )


def _most(facts, value):
    values = [value(fact) for fact in facts]
    return max(sorted(set(values), key=str), key=values.count)


def _own_value(own, facts, value):
    """Whether a class has a value of its own: nearly all of its clips, and nearly none of the others."""
    others = [fact for fact in facts if fact.category != own[0].category]
    if min(len(own), len(others)) < _LEAST:
        return False
    common = _most(own, value)
    return (
        np.mean([value(fact) == common for fact in own]) >= 0.9
        and np.mean([value(fact) == common for fact in others]) <= 0.1
    )


def _apart(own, known, value, gap):
    """Whether the values of a class lie all above, or all below, those of the others, with a gap."""
    mine = [value(fact) for fact in known if fact.category == own[0].category]
    others = [value(fact) for fact in known if fact.category != own[0].category]
    if min(len(mine), len(others)) < _LEAST:
        return False
    (low, high), (below, above) = np.quantile(mine, (0.05, 0.95)), np.quantile(others, (0.05, 0.95))
    return bool(low > above + gap or high < below - gap)
