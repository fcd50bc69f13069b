"""A survey of long recordings stitched from ESC-10: calls at known times over rain and sea, the truth as the listener.

Two sites (rain, sea waves), four nights each, one recording a night. Calls of four classes lie at known times, each
source recording of ESC-10 in one night alone, so that no night shares a dog with another. The steps are those of the
command line: index (pre-trained on the recordings themselves, or another encoder), five yes per class as first labels,
40 answers asked by margin, heads. Judged is the average precision over all windows of site-nights without any answer:
answers come from one half of the nights, and from the other in a second round. Beside it stand as many, and 150,
answers at random after the same five.

    python benchmarks/survey_esc10.py --data ESC10 --encoders acoustic-ssm1,mel-stats,birdnet
"""

import argparse
import csv
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from sklearn.metrics import average_precision_score

from acssm_lib.data.audio import read, resample
from acssm_lib.recordings import asking, heads
from acssm_lib.recordings.folder import Survey
from acssm_lib.recordings.indexing import index_survey
from acssm_lib.recordings.labels import NO, OPEN, YES

RATE = 20_000  # Hz
CALLS, SITES, NIGHTS = ("dog", "rooster", "crying_baby", "sneezing"), ("rain", "sea_waves"), 4
FIRST, ASKED, RANDOM = 5, 40, 150
_ACTIVE = 0.1  # share of a clip's loudest tenth of a second from which on it sounds


def clips_of(data):
    """Class -> source -> waveforms at ``RATE``."""
    found = {}
    with open(data / "meta" / "esc50.csv", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["category"] in CALLS + SITES:
                waveform, rate = read(data / "audio" / row["filename"])
                sources = found.setdefault(row["category"], {})
                sources.setdefault(row["src_file"], []).append(resample(waveform, rate, RATE).numpy())
    return found


def sounding(waveform):
    """The part of a call's clip in which it sounds, 3 s at most."""
    step = RATE // 10
    level = np.array([np.square(waveform[k:k + step]).mean() for k in range(0, len(waveform), step)]) ** 0.5
    loud = np.flatnonzero(level > _ACTIVE * level.max())
    return waveform[loud[0] * step:min((loud[-1] + 1) * step, (loud[0] + 30) * step)]


def stitch(data, folder, minutes, seed):
    """Writes the recordings and returns rows of the truth: (file, start_s, end_s, class)."""
    clips, generator, truth = clips_of(data), np.random.default_rng(seed), []
    groups = {name: np.array_split(generator.permutation(sorted(clips[name])), len(SITES) * NIGHTS) for name in CALLS}
    for place, site in enumerate(SITES):
        beds = [clip for source in sorted(clips[site]) for clip in clips[site][source]]
        for night in range(NIGHTS):
            n = round(60 * minutes * RATE)
            mine = beds[night::NIGHTS]  # no piece of rain is in two nights
            sound = np.zeros(n, np.float32)
            for start in range(0, n, len(mine[0])):
                bed = mine[generator.integers(len(mine))][:n - start]
                sound[start:start + len(bed)] = 0.02 * bed / max(bed.std(), 1e-6)
            name = f"{site}/2024051{night}_210000.wav"
            taken = np.zeros(n // RATE + 10, bool)
            for kind in CALLS:
                own = [clip for source in groups[kind][place * NIGHTS + night] for clip in clips[kind][source]]
                for _ in range(generator.poisson(1.5 * minutes)):
                    call = sounding(own[generator.integers(len(own))])
                    start = int(generator.integers(n - len(call)))
                    if taken[start // RATE:(start + len(call)) // RATE + 1].any():
                        continue
                    taken[start // RATE:(start + len(call)) // RATE + 1] = True
                    level = 0.02 * 10 ** (generator.uniform(0, 15) / 20)
                    sound[start:start + len(call)] += level * call / np.sqrt(np.square(call).mean())
                    truth.append((name, start / RATE, (start + len(call)) / RATE, kind))
            path = folder / "recordings" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.clip(sound, -0.99, 0.99), RATE, "PCM_16")
    return truth


def truth_of(index, truth):
    """(windows, classes) YES or NO; OPEN where a call only grazes the window: nobody is judged on those."""
    answers = np.full((len(index), len(CALLS)), NO)
    names = np.array([file.name for file in index.files])[index.file_of]
    for name, start, end, kind in truth:
        inside = np.minimum(index.start_s + index.window_s, end) - np.maximum(index.start_s, start)
        inside = np.where(names == name, inside / min(end - start, index.window_s), 0)
        column = answers[:, CALLS.index(kind)]
        column[(inside > 0) & (column != YES)] = OPEN
        column[inside >= 0.5] = YES
    return answers


def answered(kind, n, embeddings, truth, open_, nights, mean, scale, seed):
    """(windows, classes) after five yes per class and ``n`` more answers asked in an order."""
    generator, wanted = np.random.default_rng(seed), np.full(truth.shape, OPEN)
    for k in range(truth.shape[1]):
        yes = np.flatnonzero((truth[:, k] == YES) & open_)
        chosen = generator.permutation(yes)[:FIRST]
        wanted[chosen] = truth[chosen]
    places = np.flatnonzero(open_)
    if kind == "random":
        chosen = places[asking.order(kind, n, embeddings[places], wanted[places], None, nights[places], mean, scale,
                                     seed=seed)]
        wanted[chosen] = truth[chosen]
        return wanted
    for turn in range(n):
        scores = heads.fit(embeddings[places], wanted[places], CALLS, mean, scale).scores(embeddings[places])
        (window,) = asking.order(kind, 1, embeddings[places], wanted[places], scores, nights[places], mean, scale,
                                 seed=seed * 1000 + turn)
        wanted[places[window]] = truth[places[window]]
    return wanted


def measured(index, truth, seeds):
    """Order and number of answers -> average precisions (draws, classes) on site-nights without answers."""
    embeddings, nights = np.array(index.embeddings), index.site_nights
    mean, scale = heads.moments(embeddings)
    found = {("first five", 0): [], ("margin", ASKED): [], ("random", ASKED): [], ("random", RANDOM): []}
    for seed in range(seeds):
        for half in range(2):
            open_ = nights % 2 == half
            for (kind, n), values in found.items():
                wanted = answered("random" if n == 0 else kind, n, embeddings, truth, open_, nights, mean, scale, seed)
                scores = heads.fit(embeddings[open_], wanted[open_], CALLS, mean, scale).scores(embeddings[~open_])
                judged = truth[~open_]
                values.append([average_precision_score(judged[judged[:, k] != OPEN, k] == YES,
                                                       scores[judged[:, k] != OPEN, k]) for k in range(len(CALLS))])
    return {key: np.array(values) for key, values in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of ESC-10 in the layout of ESC-50")
    parser.add_argument("--encoders", default="acoustic-ssm1,mel-stats")
    parser.add_argument("--minutes", type=float, default=6.0, help="of one night")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file for the numbers")
    args = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as name:
        truth = stitch(args.data, Path(name), args.minutes, 0)
        for encoder in args.encoders.split(","):
            folder = Path(name, encoder)
            survey = Survey.create(folder, Path(name, "recordings"), classes=CALLS, sample_rate=RATE)
            started = time.process_time(), time.monotonic()
            index = index_survey(survey, encoder, device="cpu", tell=lambda line: None)
            took = time.process_time() - started[0], time.monotonic() - started[1]
            answers = truth_of(index, truth)
            numbers = measured(index, answers, args.seeds)
            print(f"\n{encoder}: {len(index):,} windows, {len(truth)} calls; index {took[1]:.0f} s ({took[0]:.0f} s of "
                  "processor)", flush=True)
            for (kind, n), values in numbers.items():
                each = "  ".join(f"{name} {value:.2f}" for name, value in zip(CALLS, values.mean(0)))
                spread = values.mean(1).std(ddof=1)
                print(f"  {FIRST} yes per class{f' and {n} by {kind}' if n else ''}: average precision "
                      f"{values.mean():.3f} (deviation over draws {spread:.3f}); {each}", flush=True)
            found[encoder] = {"index_s": took[1], "index_processor_s": took[0], "windows": len(index),
                              "calls": len(truth), "average_precision":
                              {f"{kind} {n}": values.mean(0).tolist() for (kind, n), values in numbers.items()}}
            if args.json:
                args.json.write_text(json.dumps({"classes": CALLS, **found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
