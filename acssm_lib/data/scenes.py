"""What synthetic clips share: notes laid into them, the room they sound in, noise, and others that pass by.

Whatever is drawn comes from the generator ``clip`` of the clip.
"""

import numpy as np
from scipy import fft


def over_noise(calls, clip, snr_db, visits_per_s, sample_rate):
    """Calls over the pink noise that every clip shares, and passing visitors.

    What lasts through a clip is the caller alone: noise colour, noise level and gain are the same in all clips.
    Otherwise they would tell one recording from another, and contrastive pre-training would learn them instead.
    """
    spectrum = np.fft.rfft(clip.standard_normal(len(calls)))
    spectrum *= np.maximum(np.fft.rfftfreq(len(calls), 1 / sample_rate), 50) ** -0.5
    noise = np.fft.irfft(spectrum, len(calls))
    audio = calls / rms(calls) + 10 ** (-snr_db / 20) * noise / noise.std()
    for _ in range(clip.poisson(visits_per_s * len(calls) / sample_rate)):
        passing = visitor(clip, sample_rate)
        level = 10 ** (clip.uniform(-6, 6) / 20)
        add(audio, level * passing / rms(passing), round(clip.uniform(-0.2, len(calls) / sample_rate) * sample_rate))
    return np.clip(0.08 * audio, -1, 1).astype(np.float32)


def add(audio, note, onset):
    """Add ``note`` at sample ``onset``, cutting what lies outside."""
    first, last = max(0, onset), min(len(audio), onset + len(note))
    if first < last:
        audio[first:last] += note[first - onset : last - onset]


def reverberate(audio, clip, sample_rate, rt60_s=(0.08, 0.5), ratio_db=(3, 15)):
    """Exponential noise tail; RT60 and the ratio of direct to reverberant sound are drawn between their limits."""
    rt60 = clip.uniform(*rt60_s)
    times = np.arange(round(rt60 * sample_rate)) / sample_rate
    tail = clip.standard_normal(len(times)) * 10 ** (-3 * times / rt60)
    tail *= 10 ** (-clip.uniform(*ratio_db) / 20) / np.sqrt((tail**2).sum())
    tail[0] += 1
    n_fft = fft.next_fast_len(len(audio) + len(tail) - 1, real=True)  # scipy.signal has this, and takes seconds to load
    return fft.irfft(fft.rfft(audio, n_fft) * fft.rfft(tail, n_fft), n_fft)[: len(audio)]


def rms(audio):
    """Root mean square over the samples in which something sounds."""
    active = audio[np.abs(audio) > 0.05 * np.abs(audio).max()]
    return np.sqrt((active**2).mean())


def visitor(clip, sample_rate):
    """A passing sound: bird whistle, insect, drip or another frog's note, never the same twice."""
    kind = clip.choice(("whistle", "insect", "drip", "frog"))
    length = {"drip": 0.02, "frog": 0.3}.get(kind, clip.uniform(0.1, 0.5))
    n_samples = round(length * sample_rate)
    u = np.linspace(0, 1, n_samples, endpoint=False)
    if kind == "insect":
        carrier, noise = clip.uniform(4200, 8000), clip.standard_normal(n_samples)
        sound = noise * np.sin(2 * np.pi * carrier * u * length)
    elif kind == "drip":
        sound = clip.standard_normal(n_samples) * np.exp(-5 * u)
    else:
        low, high = (2000, 6000) if kind == "whistle" else (400, 3500)
        frequency = clip.uniform(low, high) * 2 ** (clip.uniform(-0.5, 0.5) * u)
        sound = np.sin(2 * np.pi * np.cumsum(frequency) / sample_rate)
        if kind == "frog":
            sound = sound * (np.sin(2 * np.pi * clip.uniform(4, 60) * u * length) > 0)
    return sound * np.sin(np.pi * u) ** 0.4
