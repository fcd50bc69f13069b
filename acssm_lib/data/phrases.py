"""SYNTHETIC phrases by individuals: five classes that differ in the order of their syllables, and in nothing else.

Nothing here is a recording. Each clip is of another individual, which sings one phrase over and over. A phrase is the
same four syllables (whistle, rise, buzz, hiss) in one of five cyclic orders, loosely after the songs of sparrows; the
average spectrum of all phrases is therefore the same. What makes the task hard is what makes it hard outdoors:

    individual   pitch, tempo and timbre, the length, level and slope of its syllables, and its pauses
    distance     air takes the high frequencies, echoes fill the gaps
    recorder     a colour and a gain
    place        noise of a colour and level of its own, passing sounds

Five labelled clips of a phrase are of five individuals; all others are asked. Besides, there are clips of further
individuals without a label. Views that change pitch, tempo, gain and colour change what individuals, distances and
recorders differ in, and leave the phrase.
"""

from dataclasses import dataclass

import numpy as np
import torch

from acssm_lib.data.bank import DiskBank
from acssm_lib.data.base import AudioDataset
from acssm_lib.data.scenes import add, reverberate, rms, visitor

_VERSION = 1  # raise it when the songs change, so that kept ones are not found any more
SYLLABLES = "WRBH"  # whistle, rise, buzz, hiss
PHRASES = ("WRBH", "WRHB", "WBRH", "WBHR", "WHRB")  # five of the six ways to go round
SYLLABLE_S, GAP_S, PITCH_HZ = 0.12, 0.07, 1500  # of the average individual
NOISE_SLOPE, SNR_DB = (0.4, 0.65), (10, 20)  # of amplitude over frequency; over the samples in which it sings
VISITS = 0.3  # passing sounds per s


@dataclass(frozen=True)
class Singer:
    """One individual; lengths in s, frequencies in Hz.

    Taught in: 00_start_here.
    """

    pitch: float  # of the whistle: a fifth below the rise, an octave below the hiss
    tempo: float  # syllables and gaps are shorter by it
    pause: float  # between phrases
    lengths: dict  # of each syllable, against its usual length
    levels: dict  # amplitude of each syllable
    slopes: dict  # octaves over each syllable
    partials: tuple  # amplitudes of whistle and rise
    roughness: float  # pulses per s of the buzz
    width: float  # octaves of the hiss

    @classmethod
    def drawn(cls, draw):
        """An individual from a ``numpy.random.Generator``."""

        def own(deviation):
            return dict(zip(SYLLABLES, deviation * draw.standard_normal(len(SYLLABLES))))

        return cls(
            pitch=PITCH_HZ * 2 ** draw.uniform(-0.75, 0.75),
            tempo=1.5 ** draw.uniform(-1, 1),
            pause=draw.uniform(0.1, 0.4),
            lengths={name: np.exp(value) for name, value in own(0.05).items()},
            levels={name: 10 ** (value / 20) for name, value in own(1).items()},
            slopes=own(0.03),
            partials=(1.0, 10 ** (-draw.uniform(12, 30) / 20), 10 ** (-draw.uniform(20, 40) / 20)),
            roughness=draw.uniform(60, 120),
            width=draw.uniform(0.25, 0.5),
        )


class SyntheticPhrases(AudioDataset):
    """SYNTHETIC recordings of phrases, one individual each, generated on demand; same seed, same samples.

    Args:
        seed: of everything.
        n_labelled: individuals per phrase whose clip has a label.
        n_unlabelled: further individuals per phrase, whose clips have none.
        duration_s: length of a clip, s.
    Attributes:
        as in ``AudioDataset``; one group, "phrases". ``kinds``: phrase of each clip, also of those without a label.
        Every class name, and so every clip name and every figure with classes, says "synthetic".
    Raises:
        ValueError: a clip too short for one round of a slow phrase.
    Taught in: 00_start_here.
    """

    name = "synthetic-phrases"
    synthetic = True

    def __init__(self, seed=0, n_labelled=40, n_unlabelled=80, duration_s=3.0, sample_rate=20_000):
        if duration_s < 2:
            raise ValueError(f"duration_s={duration_s} is shorter than a slow phrase; use at least 2 s")
        self.seed, self.duration_s, self.sample_rate = seed, duration_s, sample_rate
        self.classes = [f"synthetic {phrase}" for phrase in PHRASES]
        self.groups = {"phrases": self.classes}
        labelled = [(phrase, number, label) for label, phrase in enumerate(PHRASES) for number in range(n_labelled)]
        unlabelled = [(phrase, n_labelled + number, -1) for number in range(n_unlabelled) for phrase in PHRASES]
        self.kinds, self.individuals, labels = zip(*labelled, *unlabelled)
        self.labels = np.array(labels)
        self.names = [
            f"synthetic {phrase if label >= 0 else 'unlabelled'}/individual{place}"
            for place, (phrase, label) in enumerate(zip(self.kinds, labels))
        ]
        self.sources = list(self.names)

    def waveform(self, i):
        """Clip i: float32 tensor, (samples,), in [-1, 1]."""
        draw = np.random.default_rng([self.seed, PHRASES.index(self.kinds[i]), self.individuals[i]])
        song = _song(
            self.kinds[i], Singer.drawn(draw), draw, round(self.duration_s * self.sample_rate), self.sample_rate
        )
        return torch.from_numpy(_recorded(song, draw, self.sample_rate))

    def clips(self, indices, progress=False):
        """The chosen clips in one ``Clips``, mapped from a ``DiskBank``; those never made before are made first.

        Raises:
            DataError: the cache cannot be written.
        """
        made_from = "|".join(map(str, (self.seed, self.duration_s, self.sample_rate, np.__version__, _VERSION)))
        return DiskBank(self.name).clips(
            [f"{self.kinds[i]}|{self.individuals[i]}|{made_from}" for i in indices],
            lambda place: self.waveform(int(indices[place])),
            progress,
        )


def _song(phrase, singer, clip, n_samples, sample_rate):
    """The phrase again and again over the whole clip, which begins anywhere in it; no two gaps are quite the same."""
    audio = np.zeros(n_samples)
    syllables = {name: _syllable(name, singer, clip, sample_rate) for name in phrase}
    seconds = -clip.uniform(0, 1.2)
    while seconds < n_samples / sample_rate:
        for name in phrase:
            add(audio, syllables[name] * 10 ** (clip.uniform(-1, 1) / 20), round(seconds * sample_rate))
            seconds += len(syllables[name]) / sample_rate
            seconds += GAP_S / singer.tempo * np.exp(0.1 * clip.standard_normal())
        seconds += singer.pause / singer.tempo * np.exp(0.1 * clip.standard_normal())
    return audio


def _syllable(name, singer, clip, sample_rate):
    length = SYLLABLE_S / singer.tempo * singer.lengths[name]
    u = np.linspace(0, 1, round(length * sample_rate), endpoint=False)
    if name == "H":  # noise in a band about an octave above the pitch
        octaves = np.log2(np.fft.rfftfreq(len(u), 1 / sample_rate).clip(1) / (2.2 * singer.pitch))
        noise = np.fft.rfft(clip.standard_normal(len(u)))
        sound = np.fft.irfft(noise * np.exp(-0.5 * (octaves / singer.width) ** 2), len(u))
    else:
        octaves = (singer.slopes[name] + (0.6 if name == "R" else 0.0)) * (u - 0.5)
        pitch = singer.pitch * (1.5 if name == "R" else 1.0)
        phase = 2 * np.pi * np.cumsum(pitch * 2**octaves) / sample_rate
        if name == "B":
            sound = sum(np.sin(partial * phase + clip.uniform(0, 2 * np.pi)) for partial in (0.5, 1, 1.5, 2, 2.5))
            sound = sound * (0.55 + 0.45 * np.sin(2 * np.pi * singer.roughness * u * length))
        else:
            sound = sum(amplitude * np.sin(partial * phase) for partial, amplitude in enumerate(singer.partials, 1))
    sound = sound * np.sin(np.pi * u) ** 0.4
    return singer.levels[name] * sound / np.sqrt((sound**2).mean())


def _recorded(song, clip, sample_rate):
    """The song from some distance, at a place with its sounds, through a recorder."""
    hertz = np.fft.rfftfreq(len(song), 1 / sample_rate).clip(50)
    distance = clip.uniform(0, 1)  # 0 is near; air lets 9 to 2.5 kHz pass
    song = reverberate(song, clip, sample_rate, rt60_s=(0.05, 0.3), ratio_db=(5, 15))
    song = np.fft.irfft(np.fft.rfft(song) * (1 + (hertz / (9000 - 6500 * distance)) ** 4) ** -0.5, len(song))
    noise = np.fft.irfft(np.fft.rfft(clip.standard_normal(len(song))) * hertz ** -clip.uniform(*NOISE_SLOPE), len(song))
    audio = song / rms(song) + 10 ** (-clip.uniform(*SNR_DB) / 20) * noise / noise.std()
    for _ in range(clip.poisson(VISITS * len(song) / sample_rate)):
        passing = visitor(clip, sample_rate)
        add(
            audio,
            10 ** (clip.uniform(-12, 0) / 20) * passing / rms(passing),
            round(clip.uniform(-0.2, len(song) / sample_rate) * sample_rate),
        )
    colour_db = np.interp(
        np.log(hertz), np.linspace(np.log(50), np.log(sample_rate / 2), 6), 4 * clip.standard_normal(6)
    )
    audio = np.fft.irfft(np.fft.rfft(audio) * 10 ** (colour_db / 20), len(song))
    return np.clip(0.1 * 10 ** (clip.uniform(-20, 0) / 20) * audio / audio.std(), -1, 1).astype(np.float32)
