"""SYNTHETIC frog calls: five classes made from a seed, so that everything runs without a download.

Nothing here is a recording, and no accuracy on it says anything about real frogs. A call is
partials x pulses x envelope; carriers, rates and lengths follow published descriptions of five
Australian species in rough outline (call tables and recogniser settings of QUT Ecoacoustics; where none
was found, a guess). Those of mode "matched" are slowed so that a frame of 25.6 ms can follow them.

Three modes, each a group of five classes:

    natural   five species with their own carriers: a mean spectrum nearly solves it.
    matched   shared carriers that vary more between individuals than between species; timing tells them apart.
    order     the same four notes, equally often, in five cyclic orders with gaps of four frames: whatever
              averages frames, or sees them one by one, stays at chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from acssm_lib.data.bank import DiskBank
from acssm_lib.data.base import AudioDataset
from acssm_lib.data.scenes import add, over_noise, reverberate

_VERSION = 1  # raise it when the calls change, so that kept ones are not found any more
MODES = ("natural", "matched", "order")


@dataclass(frozen=True)
class Call:
    """One species' call; lengths in s, frequencies in Hz, rates per s.

    Taught in: 00_start_here.
    """

    partials: tuple  # of (frequency, amplitude)
    pulse_rate: float  # 0: not pulsed
    pulse_depth: float
    pulse_decay: float  # in pulse periods
    rate_trend: float  # relative change of the pulse rate over the note
    length: float
    interval: float  # onset to onset
    sweep: float  # octaves over the note
    envelope: str  # "rising", "falling", "short" or "bell"


SPECIES = {
    "rubella": Call(((2900, 1.0),), 50, 0.95, 0.20, 0.05, 0.50, 1.0, 0.20, "rising"),
    "rothii": Call(((1700, 1.0), (3400, 0.15)), 14, 1.0, 0.18, -0.15, 0.90, 2.6, -0.25, "falling"),
    "ornatum": Call(((550, 0.6), (1850, 1.0)), 0, 0.0, 1.0, 0.0, 0.055, 0.75, -0.50, "short"),
    "novaehollandiae": Call(((500, 1.0), (1000, 0.5), (1500, 0.25)), 220, 0.9, 0.22, 0.0, 0.25, 1.3, 0.10, "bell"),
    "caerulea": Call(((500, 0.6), (1150, 1.0)), 32, 0.8, 0.22, 0.0, 0.25, 0.65, -0.05, "bell"),
}

# Mode "matched": pulse rate, note length, onset interval. All below half the frame rate (19.5 per s).
MATCHED_TIMING = {
    "rubella": (12.0, 0.60, 1.0),
    "rothii": (5.0, 0.90, 1.3),
    "ornatum": (0.0, 0.06, 0.35),
    "novaehollandiae": (0.0, 0.45, 1.1),
    "caerulea": (8.0, 0.35, 0.7),
}
MATCHED_PARTIALS = ((1300, 1.0), (2600, 0.3))

# Mode "order": four notes of one slot each; five of the six ways to go round them.
NOTES = {"A": 650.0, "B": 1150.0, "C": 2000.0, "D": 3400.0}  # Hz
ORDERS = ("ABCD", "ABDC", "ACBD", "ACDB", "ADBC")
NOTE_S, GAP_S = 0.09, 0.11  # a round of four lasts 0.8 s: a crop of 1.51 s holds nearly two


class SyntheticFrogs(AudioDataset):
    """Labelled SYNTHETIC recordings in three modes, generated on demand; same seed, same samples.

    Args:
        seed: of everything.
        n_individuals: callers per class; all clips of one share its ``source``.
        clips_per_individual: clips of each.
        duration_s: length of a clip, s.
        snr_db: signal-to-noise ratio in dB, over the samples in which the caller sounds; the same for all clips.
            Mode "order" adds 5 dB.
        visits_per_s: passing sounds (birds, insects, drips, other frogs) per second; none in mode "order".
        modes: which of "natural", "matched", "order"; each becomes a group of five classes.
    Attributes:
        as in ``AudioDataset``; ``kinds``: (mode, species or order) of each class. Every class name, and so every
        clip name and every figure with classes, says "synthetic".
    Raises:
        ValueError: an unknown mode, or a clip too short for one round of calls.
    Taught in: 00_start_here.
    """

    name = "synthetic-frogs"
    synthetic = True

    def __init__(
        self,
        seed: int = 0,
        n_individuals: int = 8,
        clips_per_individual: int = 5,
        duration_s: float = 5.0,
        snr_db: float = 10.0,
        visits_per_s: float = 2.0,
        modes: Sequence[str] = MODES,
        sample_rate: int = 20_000,
    ):
        unknown = [mode for mode in modes if mode not in MODES]
        if unknown:
            raise ValueError(f"unknown mode {unknown[0]!r}; there are {', '.join(MODES)}")
        if duration_s < 1.5:
            raise ValueError(f"duration_s={duration_s} is shorter than a round of calls; use at least 1.5 s")
        self.seed, self.duration_s, self.sample_rate = seed, duration_s, sample_rate
        self.snr_db, self.visits_per_s = snr_db, visits_per_s
        self.kinds = [(mode, kind) for mode in modes for kind in _kinds(mode)]
        self.classes = [_class_name(mode, kind) for mode, kind in self.kinds]
        self.groups = {mode: [_class_name(*pair) for pair in self.kinds if pair[0] == mode] for mode in modes}
        per_class = n_individuals * clips_per_individual
        self.labels = np.repeat(np.arange(len(self.classes)), per_class)
        self.clips_per_individual = clips_per_individual
        self.sources, self.names = [], []
        for label in self.classes:
            for clip in range(per_class):
                individual = f"{label}/frog{clip // clips_per_individual}"
                self.sources.append(individual)
                self.names.append(f"{individual}/clip{clip % clips_per_individual}")

    def waveform(self, i):
        """Clip i: float32 tensor, (samples,), in [-1, 1]."""
        label = int(self.labels[i])
        mode, kind = self.kinds[label]
        first = int(np.flatnonzero(self.labels == label)[0])
        individual, take = divmod(i - first, self.clips_per_individual)
        # One stream for the frog (shared by its clips), one for this clip; the same whatever other modes are there.
        key = [self.seed, MODES.index(mode), _kinds(mode).index(kind)]
        frog = np.random.default_rng([*key, individual])
        clip = np.random.default_rng([*key, individual, take + 1])
        n_samples = round(self.duration_s * self.sample_rate)
        if mode == "order":  # nothing but the order should be hard: 5 dB more, and no visitors
            song = _song(kind, frog, clip, n_samples, self.sample_rate)
            return torch.from_numpy(over_noise(song, clip, self.snr_db + 5, 0.0, self.sample_rate))
        call = _individual(SPECIES[kind], frog, kind if mode == "matched" else None)
        calls = _calls(call, clip, n_samples, self.sample_rate)
        if mode == "natural":
            calls = reverberate(calls, clip, self.sample_rate)
        return torch.from_numpy(over_noise(calls, clip, self.snr_db, self.visits_per_s, self.sample_rate))

    def clips(self, indices, progress=False):
        """The chosen clips in one ``Clips``, mapped from a ``DiskBank``; those never made before are made first.

        Raises:
            DataError: the cache cannot be written.
        """
        made_from = "|".join(
            map(
                str,
                (
                    self.seed,
                    self.duration_s,
                    self.snr_db,
                    self.visits_per_s,
                    self.sample_rate,
                    np.__version__,
                    _VERSION,
                ),
            )
        )
        return DiskBank(self.name).clips(
            [f"{self.names[i]}|{made_from}" for i in indices],
            lambda place: self.waveform(int(indices[place])),
            progress,
        )


def _kinds(mode):
    return list(ORDERS if mode == "order" else SPECIES)


def _class_name(mode, kind):
    return f"synthetic {kind}" if mode == "natural" else f"synthetic {mode} {kind}"


def _individual(call, frog, matched):
    """One male's own call: carrier, rates and lengths vary between individuals, rate and length with temperature."""
    if matched:
        rate, length, interval = MATCHED_TIMING[matched]
        call = replace(
            call,
            partials=MATCHED_PARTIALS,
            pulse_rate=rate,
            length=length,
            interval=interval,
            sweep=0.3 * call.sweep,
            pulse_depth=1.0,
            pulse_decay=0.25,
            envelope="bell",
        )
    carrier = np.exp((0.25 if matched else 0.05) * frog.standard_normal())
    warmth = 2 ** (2.5 * frog.standard_normal() / 10)  # q of a temperature of 25 +- 2.5 degrees C
    return replace(
        call,
        partials=tuple((frequency * carrier, amplitude) for frequency, amplitude in call.partials),
        pulse_rate=call.pulse_rate * warmth * np.exp(0.06 * frog.standard_normal()),
        length=call.length * warmth**-0.6 * np.exp(0.08 * frog.standard_normal()),
        interval=call.interval * warmth**-0.6 * np.exp(0.15 * frog.standard_normal()),
        sweep=call.sweep * (1 + 0.2 * frog.standard_normal()),
    )


def _calls(call, clip, n_samples, sample_rate):
    """A bout of notes over the whole clip, at least one; the first onset is random."""
    audio = np.zeros(n_samples)
    onset = -call.interval * clip.random()
    while onset * sample_rate < n_samples:
        note = _note(
            replace(
                call,
                length=call.length * np.exp(0.06 * clip.standard_normal()),
                pulse_rate=call.pulse_rate * np.exp(0.02 * clip.standard_normal()),
            ),
            clip,
            sample_rate,
        )
        add(audio, note * 10 ** (clip.uniform(-2, 2) / 20), round(onset * sample_rate))
        onset += max(call.interval * np.exp(0.15 * clip.standard_normal()), call.length + 0.05)
    if not audio.any():  # a short clip fell between two notes
        add(audio, _note(call, clip, sample_rate), round(0.2 * n_samples))
    return audio


def _note(call, clip, sample_rate):
    n_samples = max(8, round(call.length * sample_rate))
    u = np.linspace(0, 1, n_samples, endpoint=False)
    seconds = u * call.length
    bend = 2 ** (call.sweep * (u - 0.5)) * np.exp(0.012 * clip.standard_normal())
    tone = sum(
        amplitude * np.sin(2 * np.pi * np.cumsum(frequency * bend) / sample_rate + clip.uniform(0, 2 * np.pi))
        for frequency, amplitude in call.partials
    )
    if call.pulse_rate:
        phase = (call.pulse_rate * seconds * (1 + 0.5 * call.rate_trend * u)) % 1
        pulses = np.where(phase < 0.12, phase / 0.12, np.exp(-(phase - 0.12) / call.pulse_decay))
        tone = tone * (1 - call.pulse_depth + call.pulse_depth * pulses)
    return tone * _envelope(call.envelope, u, seconds, call.length)


def _envelope(kind, u, seconds, length):
    if kind == "rising":
        return (0.15 + 0.85 * u) * np.clip((length - seconds) / 0.04, 0, 1)
    if kind == "falling":
        return np.clip(seconds / 0.05, 0, 1) * np.exp(-1.6 * u)
    if kind == "short":
        return np.clip(seconds / 0.002, 0, 1) * np.exp(-3 * u)
    return np.sin(np.pi * u) ** 0.4


def _song(order, frog, clip, n_samples, sample_rate):
    """Mode "order": the notes go round for the whole clip; each has the same length, gap and level."""
    # A frog differs less from its neighbours than from itself on another day: its voice does not give its song away.
    carrier = np.exp(0.01 * frog.standard_normal() + 0.03 * clip.standard_normal())
    tempo = np.exp(0.01 * frog.standard_normal() + 0.04 * clip.standard_normal())
    slot = (NOTE_S + GAP_S) * tempo
    u = np.linspace(0, 1, round(NOTE_S * tempo * sample_rate), endpoint=False)
    envelope = np.sin(np.pi * u) ** 0.4
    notes = {
        name: envelope * np.sin(2 * np.pi * frequency * carrier * u * NOTE_S * tempo)
        for name, frequency in NOTES.items()
    }
    audio = np.zeros(n_samples)
    start = clip.uniform(0, len(order))  # where in the round the clip begins
    for place in range(int(start), int(start + n_samples / sample_rate / slot) + 1):
        add(audio, notes[order[place % len(order)]], round((place - start) * slot * sample_rate))
    return audio
