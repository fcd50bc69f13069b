"""Labels needed: five examples per class and 40 answers asked by margin, against 150 answers at random.

    .venv/bin/python benchmarks/survey_asking.py --json figures/survey_asking.json

Synthetic surveys of three classes (benchmarks/made_surveys.py). After every answer the heads are fitted again, as the
listening page does. Measured is the average precision over all windows, mean over classes. Margin is also tried without
the windows that nobody has heard as background, which is where most of the difference comes from.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from sklearn.metrics import average_precision_score

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from acssm_lib.files import write_json
from acssm_lib.recordings import asking, heads
from acssm_lib.recordings.labels import NO, OPEN, YES
from benchmarks.made_surveys import made_survey


def average_precisions(survey, order, at, seed, background=True):
    """Mean average precision after each number of answers in ``at``, ascending; five examples per class come first."""
    generator, (windows, classes) = np.random.default_rng(seed), survey.truth.shape
    wanted = np.full((windows, classes), OPEN, np.int8)
    mean, scale = heads.moments(survey.embeddings)
    chosen = np.concatenate(
        [generator.choice(np.flatnonzero(survey.truth[:, k]), 5, replace=False) for k in range(classes)]
    )
    rest, found = heads.unheard(wanted, seed), []
    for count in range(at[-1] + 1):
        wanted[chosen] = np.where(survey.truth[chosen], YES, NO)
        told = np.flatnonzero((wanted != OPEN).any(1))
        unheard = rest[(wanted[rest] == OPEN).all(1)]
        made = heads.fit(
            survey.embeddings[told],
            wanted[told],
            list(range(classes)),
            mean,
            scale,
            survey.embeddings[unheard] if background else None,
        )
        scores = made.scores(survey.embeddings) if order == "margin" or count in at else None
        if count in at:
            found.append(
                float(np.mean([average_precision_score(survey.truth[:, k], scores[:, k]) for k in range(classes)]))
            )
        chosen = asking.order(
            order, 1, survey.embeddings, wanted, scores, survey.site_nights, mean, scale, seed=seed * 1_000 + count
        )
    return found


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--surveys", type=int, default=12)
    parser.add_argument("--json", type=Path, help="file to write")
    args = parser.parse_args(argv)
    values = {"margin": [], "random": [], "margin_answers_alone": [], "random_answers_alone": []}
    for seed in range(args.surveys):
        survey = made_survey(seed, windows=3_000)
        for name, some in values.items():
            order, alone = name.split("_")[0], name.endswith("alone")
            at = [0, 20, 40] if order == "margin" else [0, 40, 150]
            some.append(average_precisions(survey, order, at, seed, not alone))
    found = {
        name: {
            "answers": [0, 20, 40] if name.startswith("margin") else [0, 40, 150],
            "average_precision": np.mean(some, 0).round(3).tolist(),
        }
        for name, some in values.items()
    }
    margin, random = (np.array(values[name])[:, -1] for name in ("margin", "random"))
    found |= {
        "surveys": args.surveys,
        "margin_40_reaches_random_150": int((margin >= random).sum()),
        "difference": [round(float(value), 3) for value in margin - random],
    }
    for name, value in found.items():
        print(f"{name:<32} {value}")
    if args.json:
        write_json(args.json, found)


if __name__ == "__main__":
    main()
