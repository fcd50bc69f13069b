"""Do the intervals of a review cover the truth? Synthetic surveys: scores and planted truth, no sound.

    .venv/bin/python benchmarks/survey_coverage.py --json figures/survey_coverage.json

Each survey has its own number of windows, share of windows with the call, quality of the head, and nights that differ.
60 windows are reviewed. Counted is how often the 95 % interval holds the truth: of the number of windows with the call,
of the precision at a score of 0.5, among these windows and among as many to come in the same nights, and at the
threshold chosen for "90 % precise"; beside it two usual intervals. Then of the number in single nights, which are
carried over from the whole although nights differ here more than tenfold.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from acssm_lib.files import write_json
from acssm_lib.recordings import review as r
from acssm_lib.recordings.labels import NO, OPEN, YES


def made(seed):
    """Scores (windows,), truth (windows,) and nights (windows,) of one survey; scores and truth of windows to come."""
    generator = np.random.default_rng([7, seed])
    n, nights = int(generator.uniform(1_500, 20_000)), int(generator.integers(4, 20))
    night = np.sort(generator.integers(0, nights, n))
    share = np.exp(generator.uniform(np.log(0.002), np.log(0.15))) * generator.gamma(2, 0.5, nights)
    truth = generator.random(n) < np.minimum(share, 0.7)[night]
    noise, quality = generator.normal(0, 1, n), generator.uniform(1.5, 5)
    logit = noise + truth * generator.gamma(8, quality / 8, n)
    level = 0.4 * generator.standard_normal(nights)[night] - generator.uniform(1.5, 3.5)
    other = np.random.default_rng([9, seed])
    later = other.random(n) < np.minimum(share, 0.7)[night]
    later_logit = other.normal(0, 1, n) + later * other.gamma(8, quality / 8, n)
    score_of = lambda logit: 1 / (1 + np.exp(-1.5 * (logit + level)))
    return score_of(logit), truth, night, score_of(later_logit), later


def bootstrap(review, inside, generator, rounds=400):
    """Percentile bootstrap within strata, of the number of windows with the call."""
    totals = np.zeros(rounds)
    for k in range(len(review.edges)):
        size = (inside & (review.strata == k)).sum()
        here = review.answers[inside[review.windows] & (review.strata[review.windows] == k)] == YES
        if size and len(here):
            totals += size * generator.binomial(len(here), here.mean(), rounds) / len(here)
    return np.quantile(totals, [0.025, 0.975])


def jeffreys(review, inside, generator, rounds=2_000):
    """Posterior with Jeffreys' prior within strata."""
    totals = np.zeros(rounds)
    for k in range(len(review.edges)):
        size = (inside & (review.strata == k)).sum()
        here = review.answers[inside[review.windows] & (review.strata[review.windows] == k)] == YES
        if size:
            share = generator.beta(here.sum() + 0.5, len(here) - here.sum() + 0.5, rounds)
            totals += here.sum() + generator.binomial(max(size - len(here), 0), share)
    return np.quantile(totals, [0.025, 0.975])


def one(seed, n):
    """What held in one survey: name -> bool or number."""
    scores, truth, night, later_scores, later = made(seed)
    windows, reasons = r.draw(scores, np.zeros(len(scores), bool), n, seed)
    edges = r.edges_from(reasons)
    review = r.Review(
        scores,
        r.stratum_of(scores, edges),
        edges,
        np.full(len(scores), OPEN),
        windows,
        np.where(truth[windows], YES, NO),
    )
    generator, held = np.random.default_rng([8, seed]), {}
    chosen = review.threshold(0.9)
    places = {"number": -1.0, "precision_at_half": 0.5, "precision_at_chosen": chosen}
    for name, place in places.items():
        inside = scores >= place if place is not None else np.zeros(len(scores), bool)
        if not inside.any():
            continue
        value = truth[inside].sum()
        estimate, low, high = review.counted(inside, alike=name != "number")
        held[name] = bool(low - 1e-9 <= value <= high + 1e-9)
        held[f"{name}_width"] = (high - low) / inside.sum() if name != "number" else (high - low) / max(value, 1)
        for other, function in (("bootstrap", bootstrap), ("jeffreys", jeffreys)):
            ends = function(review, inside, generator)
            held[f"{name}_{other}"] = bool(ends[0] <= value <= ends[1])
    found, over = review.precision(0.5), later_scores >= 0.5
    if found is not None and over.any():
        held["precision_to_come_at_half"] = bool(found[1] - 1e-9 <= later[over].mean() <= found[2] + 1e-9)
    cells = [(truth[night == one].sum(), *review.cell(night == one)[1:]) for one in np.unique(night)]
    held["number_of_a_night"] = float(np.mean([low - 1e-9 <= value <= high + 1e-9 for value, low, high in cells]))
    if chosen is not None:
        held["true_precision_at_chosen"] = float(truth[scores >= chosen].mean())
    return held


def measured(surveys, n):
    """Shares over many surveys, and of how many each is."""
    all_held = [one(seed, n) for seed in range(surveys)]
    names = sorted({name for held in all_held for name in held})
    values = {name: [held[name] for held in all_held if name in held] for name in names}
    found = {
        name: round(float(np.median(some) if name.endswith("width") else np.mean(some)), 4)
        for name, some in values.items()
    }
    truths = values.get("true_precision_at_chosen", [])
    return found | {
        "surveys": surveys,
        "reviewed": n,
        "with_a_threshold": len(truths),
        "chosen_at_least_80_percent": round(float(np.mean(np.array(truths) >= 0.8)), 4) if truths else None,
    }


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--surveys", type=int, default=500, help="beside the first 100")
    parser.add_argument("--json", type=Path, help="file to write")
    args = parser.parse_args(argv)
    found = {"hundred": measured(100, 60), "many": measured(args.surveys, 60), "many_120": measured(args.surveys, 120)}
    for name, values in found.items():
        print(name, *(f"  {key:<32} {value}" for key, value in values.items()), sep="\n")
    if args.json:
        write_json(args.json, found)


if __name__ == "__main__":
    main()
