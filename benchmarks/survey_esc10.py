"""A survey of long recordings stitched from ESC-10: calls at known times over rain and sea, the truth as the listener.

Two sites (rain, sea waves), four nights each, one recording a night. Calls of four classes lie at known times, each
source recording of ESC-10 in one night alone, so that no night shares a dog with another. The steps are those of the
command line: index (pre-trained on the recordings themselves, or another encoder), five yes per class as first labels,
up to 150 answers asked by margin, heads with unheard windows as background. Judged is the average precision over all
windows of site-nights without any answer: answers come from one half of the nights, and from the other in a second
round. Beside it stand as many answers at random after the same five.

One run measures all encoders on the same recordings and the same first labels, one after another on one thread:

    OMP_NUM_THREADS=1 python benchmarks/survey_esc10.py --data ESC10 --encoders acoustic-ssm1,mel-stats,birdnet,mn04 \\
        --finetune acoustic-ssm1 --minutes 4 --json figures/survey_esc10.json

Of an encoder named in ``--finetune`` a copy is fine-tuned once 40 and 150 answers are there, by margin or at random,
and judged in the same way beside the frozen one.

Published weights are looked for where `acssm data weights` puts them; `birdnet` needs the extra of that name.
"""

import argparse
import csv
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch
from sklearn.metrics import average_precision_score

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from acssm_lib.data.audio import read, resample
from acssm_lib.files import write_json
from acssm_lib.recordings import asking, heads, indexing, tuning
from acssm_lib.recordings.folder import Survey
from acssm_lib.recordings.labels import NO, OPEN, UNSURE, YES
from benchmarks.common import machine

RATE = 20_000  # Hz
CALLS, SITES, NIGHTS = ("dog", "rooster", "crying_baby", "sneezing"), ("rain", "sea_waves"), 4
FIRST = 5  # windows of each class with a yes, at the start
ANSWERS = (0, 10, 20, 40, 80, 150)  # after which it is judged
ORDERS = ("margin", "random")
TUNED = (40, 150)  # after which the encoder is fine-tuned
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
    level = np.array([np.square(waveform[k : k + step]).mean() for k in range(0, len(waveform), step)]) ** 0.5
    loud = np.flatnonzero(level > _ACTIVE * level.max())
    return waveform[loud[0] * step : min((loud[-1] + 1) * step, (loud[0] + 30) * step)]


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
                bed = mine[generator.integers(len(mine))][: n - start]
                sound[start : start + len(bed)] = 0.02 * bed / max(bed.std(), 1e-6)
            name = f"{site}/2024051{night}_210000.wav"
            taken = np.zeros(n // RATE + 10, bool)
            for kind in CALLS:
                own = [clip for source in groups[kind][place * NIGHTS + night] for clip in clips[kind][source]]
                for _ in range(generator.poisson(1.5 * minutes)):
                    call = sounding(own[generator.integers(len(own))])
                    start = int(generator.integers(n - len(call)))
                    if taken[start // RATE : (start + len(call)) // RATE + 1].any():
                        continue
                    taken[start // RATE : (start + len(call)) // RATE + 1] = True
                    level = 0.02 * 10 ** (generator.uniform(0, 15) / 20)
                    sound[start : start + len(call)] += level * call / np.sqrt(np.square(call).mean())
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


def first_labels(truth, open_, seed):
    """(windows, classes) with five yes per class among the windows that may be answered."""
    generator, wanted = np.random.default_rng(seed), np.full(truth.shape, OPEN)
    for k in range(truth.shape[1]):
        chosen = generator.permutation(np.flatnonzero((truth[:, k] == YES) & open_))[:FIRST]
        wanted[chosen] = answer_of(truth[chosen])
    return wanted


def answer_of(truth):
    """What the listener says: unsure of a call that only grazes the window, so that it is not asked for again."""
    return np.where(truth == OPEN, UNSURE, truth)


class FineTuned:
    """Average precision of every class by a fine-tuned copy of an index's encoder, after each of ``TUNED`` answers.

    Attributes:
        found: (order, answers) -> list of (classes,), one for each draw.
        seconds: list, of the processor, of one fine-tuning.
    """

    def __init__(self, index):
        self.encoder, self.nights = index.encoder("cpu"), index.site_nights
        parts = np.array_split(np.arange(len(index)), -(-len(index) // 64))
        self.spectrograms = torch.cat(
            [self.encoder.spectrograms(torch.stack([*map(index.waveform, part)])) for part in parts]
        )
        self.found, self.seconds = {(kind, n): [] for kind in ORDERS for n in TUNED}, []

    def __call__(self, told, others, wanted, truth, open_):
        """Learn from the windows ``told`` and the unheard ``others``; judge what is not ``open_``."""
        chosen, begun = np.concatenate([told, others]), time.process_time()
        lesson = tuning.Lesson(
            self.spectrograms[chosen],
            np.concatenate([wanted[told], np.full((len(others), len(CALLS)), NO)]).astype(np.int8),
            np.repeat(np.float32([1, heads.UNHEARD_WEIGHT]), [len(told), len(others)]),
            self.nights[chosen],
            chosen,
        )
        made = tuning.tuned(self.encoder, lesson)
        self.seconds.append(time.process_time() - begun)
        embeddings = np.concatenate([made.of(some) for some in self.spectrograms.split(64)])
        fitted = heads.fit(embeddings[told], wanted[told], CALLS, *heads.moments(embeddings), embeddings[others])
        return precisions(fitted.scores(embeddings[~open_]), truth[~open_])

    def as_dict(self):
        """Plain values for the file of the numbers."""
        values = {kind: np.array([self.found[kind, n] for n in TUNED]) for kind in ORDERS}  # (answers, draws, classes)
        return {
            "answers": TUNED,
            "average_precision": {kind: one.mean(1).tolist() for kind, one in values.items()},
            "deviation": {kind: one.mean(2).std(1, ddof=1).tolist() for kind, one in values.items()},
            "seconds": float(np.mean(self.seconds)),
        }


def curve(kind, embeddings, truth, open_, nights, moments, seed, fine_tuned=None):
    """Average precision of every class after each of ``ANSWERS``, asked in an order: (answers, classes)."""
    wanted, places, found = first_labels(truth, open_, seed), np.flatnonzero(open_), []
    rest, scores = places[heads.unheard(wanted[places], seed)], None
    for turn in range(max(ANSWERS) + 1):
        if turn in ANSWERS or kind == "margin":
            told, others = np.flatnonzero((wanted != OPEN).any(1)), rest[(wanted[rest] == OPEN).all(1)]
            made = heads.fit(embeddings[told], wanted[told], CALLS, *moments, embeddings[others])
            scores = made.scores(embeddings[places])
        if turn in ANSWERS:
            found.append(precisions(made.scores(embeddings[~open_]), truth[~open_]))
            if fine_tuned is not None and turn in TUNED:
                fine_tuned.found[kind, turn].append(fine_tuned(told, others, wanted, truth, open_))
        window = places[
            asking.order(
                kind, 1, embeddings[places], wanted[places], scores, nights[places], *moments, seed=seed * 1000 + turn
            )
        ]  # none, once all have been answered
        wanted[window] = answer_of(truth[window])
    return found


def precisions(scores, truth):
    """Average precision of each class, where windows that a call only grazes are left out."""
    told = [truth[:, k] != OPEN for k in range(len(CALLS))]
    return [average_precision_score(truth[told[k], k] == YES, scores[told[k], k]) for k in range(len(CALLS))]


def measured(index, truth, seeds, fine_tuned=None):
    """Order -> average precisions (draws, answers, classes) on site-nights without answers."""
    embeddings, nights = np.array(index.embeddings), index.site_nights
    moments = heads.moments(embeddings)
    return {
        kind: np.array(
            [
                curve(kind, embeddings, truth, nights % 2 == half, nights, moments, seed, fine_tuned)
                for seed in range(seeds)
                for half in range(2)
            ]
        )
        for kind in ORDERS
    }


def indexed(survey, encoder):
    """(index, seconds on the wall and of the processor: of the encoder, and of embedding)."""
    spans, embed = {}, indexing.embed_files

    def timed(*args, **options):
        spans["encoder"] = now()
        embed(*args, **options)
        spans["embedding"] = now()

    now = lambda: np.array([time.monotonic(), time.process_time()])
    begun, indexing.embed_files = now(), timed
    try:
        index = indexing.index_survey(survey, encoder, device="cpu", tell=lambda line: None)
    finally:
        indexing.embed_files = embed
    return index, spans["encoder"] - begun, spans["embedding"] - spans["encoder"]


def needed(curves, target):
    """Answers after which the mean average precision reaches a target, or None within those that were asked."""
    reached = np.flatnonzero(curves.mean((0, 2)) >= target)
    return ANSWERS[reached[0]] if len(reached) else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of ESC-10 in the layout of ESC-50")
    parser.add_argument("--encoders", default="acoustic-ssm1,mel-stats")
    parser.add_argument("--finetune", default="", help="of the encoders, those that are fine-tuned too")
    parser.add_argument("--card", type=int, default=0, help="seed of the recordings (default: 0)")
    parser.add_argument("--minutes", type=float, default=6.0, help="of one night")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file for the numbers")
    args = parser.parse_args()
    found = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "classes": CALLS,
        "first": FIRST,
        "answers": ANSWERS,
        "minutes": args.minutes,
        "card": args.card,
        "draws": 2 * args.seeds,
        "encoders": {},
    }
    with tempfile.TemporaryDirectory() as name:
        truth = stitch(args.data, Path(name), args.minutes, args.card)
        for encoder in args.encoders.split(","):
            survey = Survey.create(Path(name, encoder), Path(name, "recordings"), classes=CALLS, sample_rate=RATE)
            index, training, embedding = indexed(survey, encoder)
            fine_tuned = FineTuned(index) if encoder in args.finetune.split(",") else None
            curves = measured(index, truth_of(index, truth), args.seeds, fine_tuned)
            hours = sum(file.duration_s for file in index.files) / 3600
            found |= {"calls": len(truth), "windows": len(index), "hours": hours}
            found["encoders"][encoder] = one = {
                "encoder_s": training.tolist(),
                "embedding_s": embedding.tolist(),
                "hours_per_hour": 3600 * hours / float(embedding[1]),
                "average_precision": {kind: values.mean(0).tolist() for kind, values in curves.items()},
                "deviation": {kind: values.mean(2).std(0, ddof=1).tolist() for kind, values in curves.items()},
            }
            random = float(curves["random"][:, -1].mean())
            one["needed_for_own_random"] = needed(curves["margin"], random)
            print(
                f"\n{encoder}: {len(index):,} windows, {len(truth)} calls; encoder {training[1]:.0f} s and embedding "
                f"{embedding[1]:.1f} s of processor, {one['hours_per_hour']:,.0f} h of sound per hour",
                flush=True,
            )
            for kind, values in curves.items():
                print(
                    f"  {kind:<7}" + "  ".join(f"{n}: {value:.3f}" for n, value in zip(ANSWERS, values.mean((0, 2)))),
                    flush=True,
                )
            if fine_tuned is not None:
                one["finetuned"] = fine_tuned.as_dict()
                print(f"  fine-tuned {one['finetuned']}", flush=True)
            if args.json:
                write_json(args.json, found)


if __name__ == "__main__":
    main()
