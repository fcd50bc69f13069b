"""A SYNTHETIC card for ``acssm survey demo``: two sites, three nights, planted calls with their truth, real faults.

Nothing here is a recording. Bouts of three synthetic frogs (``data.frogs``) lie at known times over rain, with passing
birds and insects that belong to no class. Of the 24 recordings one has opposed channels, and four come from a recorder
whose clock begins in 1970; besides them there is one at 384 kHz and one that was cut short while it was copied.
"""

import shutil
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import soundfile
import torch

from acssm_lib.data.audio import resample
from acssm_lib.data.frogs import SyntheticFrogs
from acssm_lib.data.scenes import add, rms, visitor
from acssm_lib.files import DataError, settle
from acssm_lib.recordings.folder import Survey
from acssm_lib.recordings.tables import write_table

CLASSES = {"rubella": (2000, 3800), "rothii": (1200, 2200), "ornatum": (400, 2400)}  # name -> band of its calls, Hz
TRUTH = ("file", "start_s", "end_s", "low_hz", "high_hz", "class")
SITES, EVENINGS, HOURS = ("creek", "pond"), ("2024-05-14", "2024-05-15", "2024-05-16"), (20, 23, 26, 29)
RATE = 24_000  # Hz, of all recordings but one
_BOUT_S = (1.5, 2.0, 3.0)  # lengths of bouts
_BOUTS = {"rubella": 1.6, "rothii": 1.0, "ornatum": 1.2}  # mean number in a recording
_VISITS = 5  # passing sounds in a recording
_OPPOSED, _NO_CLOCK = ("pond", 1, 2), ("creek", 2)  # (site, night, recording); (site, night)
_COMMENT = "Recorded at {:%H:%M:%S %d/%m/%Y} (UTC+10) by AudioMoth SYNTHETIC at medium gain while battery was 4.1V"


def write_demo_card(to, seed=0, duration_s=45.0):
    """A survey with such recordings and ``truth.csv``, complete or not at all; about 45 MB, in seconds.

    Args:
        to: folder to make; must not exist.
        seed: of everything.
        duration_s: of one recording, s.
    Returns:
        Survey.
    Raises:
        DataError: ``to`` exists.
    """
    to = Path(to)
    if to.exists():
        raise DataError(f"{to}: is there already; choose a new folder")
    part = to.with_name(f".{to.name}.part")
    shutil.rmtree(part, ignore_errors=True)  # of a call that was stopped
    part.mkdir(parents=True)
    bouts, truth = _bouts(seed), []
    for place, site in enumerate(SITES):
        (part / "recordings" / site).mkdir(parents=True)
        for night in range(len(EVENINGS)):
            for take, hour in enumerate(HOURS):
                generator = np.random.default_rng([seed, place, night, take])
                sound, planted = _recording(bouts, place, generator, duration_s)
                name = _write(part / "recordings", site, night, take, hour, sound)
                truth += [(name, *row) for row in planted]
    truth += _odd_ones(part / "recordings", bouts, np.random.default_rng([seed, 9]))
    write_table(part / "truth.csv", TRUTH, sorted(truth))
    Survey.create(part, classes=tuple(CLASSES), time_zone="+10:00")
    settle(part, to)
    return Survey.open(to)


def _bouts(seed):
    """(class, length in s) -> bouts without background, each of another individual."""
    found = {}
    for length in _BOUT_S:
        frogs = SyntheticFrogs(
            seed,
            n_individuals=12,
            clips_per_individual=1,
            duration_s=length,
            snr_db=60,
            visits_per_s=0,
            modes=("natural",),
            sample_rate=RATE,
        )
        for name in CLASSES:
            kind = frogs.kinds.index(("natural", name))
            found[name, length] = [frogs.waveform(int(i)).numpy() for i in np.flatnonzero(frogs.labels == kind)]
    return found


def _recording(bouts, place, generator, duration_s):
    """(float32 (samples,), rows of the truth without the file)."""
    n = round(duration_s * RATE)
    sound, planted = _rain(n, place, generator), []
    for _ in range(_VISITS):
        passing = visitor(generator, RATE)
        add(sound, 0.03 * 10 ** (generator.uniform(-8, 8) / 20) * passing / rms(passing), int(generator.integers(n)))
    for name, mean in _BOUTS.items():
        for _ in range(generator.poisson(mean * duration_s / 45)):
            length = float(generator.choice(_BOUT_S))
            start = float(np.round(generator.uniform(0, duration_s - length), 2))
            one = bouts[name, length][int(generator.integers(12))]
            add(sound, 10 ** (generator.uniform(-12, 3) / 20) * one, round(start * RATE))
            planted.append((start, round(start + length, 2), *CLASSES[name], name))
    return np.clip(sound, -0.99, 0.99).astype(np.float32), planted


def _rain(n, place, generator):
    """Noise whose colour is the site's and whose level is the night's and drifts, with drips."""
    spectrum = np.fft.rfft(generator.standard_normal(n))
    hertz = np.maximum(np.fft.rfftfreq(n, 1 / RATE), 60)
    noise = np.fft.irfft(spectrum * hertz ** (-0.45 - 0.25 * place), n)
    drift = 1 + 0.5 * np.sin(2 * np.pi * (np.arange(n) / RATE / generator.uniform(15, 40) + generator.random()))
    sound = 0.008 * 10 ** (generator.uniform(-3, 6) / 20) * drift * noise / noise.std()
    for _ in range(generator.poisson(n / RATE)):
        length = round(0.01 * RATE)
        add(
            sound,
            0.05 * generator.random() * generator.standard_normal(length) * np.exp(-np.linspace(0, 6, length)),
            int(generator.integers(n)),
        )
    return sound


def _write(recordings, site, night, take, hour, sound):
    """One recording as its recorder names and writes it; returns its name below the card."""
    at = datetime.fromisoformat(EVENINGS[night]) + timedelta(hours=hour)
    if (site, night) == _NO_CLOCK:
        at = datetime(1970, 1, 1) + timedelta(hours=3 * take, seconds=12)
    channels = np.stack([sound, -sound], axis=1) if (site, night, take) == _OPPOSED else sound
    if site == "creek" and (site, night) != _NO_CLOCK:
        name = f"{site}/{at:%Y%m%dT%H%M%S}+1000_{site}.flac"
        soundfile.write(recordings / name, channels, RATE, "PCM_16")
        return name
    name = f"{site}/{at:%Y%m%d_%H%M%S}.WAV"
    _wav(recordings / name, channels, RATE, at)
    return name


def _wav(path, sound, sample_rate, at):
    """A WAV with AudioMoth's comment."""
    with soundfile.SoundFile(path, "w", sample_rate, 1 if sound.ndim == 1 else 2, "PCM_16", format="WAV") as file:
        file.comment = _COMMENT.format(at)
        file.write(sound)


def _odd_ones(recordings, bouts, generator):
    """A recording at 384 kHz, and one that is cut short; returns the truth of the former."""
    sound = _rain(6 * RATE, 1, generator)
    add(sound, bouts["rothii", 3.0][0], 2 * RATE)
    at = datetime.fromisoformat(EVENINGS[0]) + timedelta(hours=21, minutes=30)
    name = f"pond/{at:%Y%m%d_%H%M%S}.WAV"
    fast = resample(torch.from_numpy(np.clip(sound, -0.99, 0.99).astype(np.float32)), RATE, 384_000).numpy()
    _wav(recordings / name, fast, 384_000, at)
    at += timedelta(hours=1)
    cut = recordings / f"pond/{at:%Y%m%d_%H%M%S}.WAV"
    _wav(cut, _rain(8 * RATE, 1, generator).astype(np.float32), RATE, at)
    cut.write_bytes(cut.read_bytes()[:100_000])
    return [(name, 2.0, 5.0, *CLASSES["rothii"], "rothii")]
