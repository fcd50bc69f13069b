"""All steps on the demo card, with the planted truth as the listener: ``make survey``.

    python -m acssm_lib.recordings.walk --to runs/survey

The card is SYNTHETIC. One example per class is given; everything else is asked for by the same code as in the page,
and answered by whoever planted the calls. At the end stands the species table beside the truth.
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np

from acssm_lib.files import DataError
from acssm_lib.recordings import heads, look, species, thresholds
from acssm_lib.recordings.demo_card import write_demo_card
from acssm_lib.recordings.folder import Survey
from acssm_lib.recordings.indexing import index_survey
from acssm_lib.recordings.labels import YES, Answer, Labels, Places, targets
from acssm_lib.recordings.listening import ListeningState, score_all
from acssm_lib.recordings.predict import predict_survey
from acssm_lib.recordings.share import read_recogniser
from acssm_lib.text import quoted

LISTENER = "planted truth"


def truth_of(survey, index):
    """(windows, classes) bool: does the window hold at least half of a planted call, or is half filled by one?"""
    if not (survey.folder / "truth.csv").is_file():
        raise DataError(
            f"{survey.folder / 'truth.csv'}: not there; this needs a card whose calls are known, as acssm "
            "survey demo writes one; your own is labelled by ear: acssm survey label "
            f"{quoted(survey.folder)}"
        )
    with open(survey.folder / "truth.csv", newline="", encoding="utf-8") as file:
        rows = [
            Answer(
                row["file"],
                float(row["start_s"]),
                float(row["end_s"]),
                None,
                None,
                row["class"],
                "yes",
                LISTENER,
                "",
                "",
                None,
            )
            for row in csv.DictReader(file)
        ]
    return targets(rows, survey.settings.classes, Places.of_index(index)) == YES


def give_examples(survey, index, truth):
    """One example per class, as somebody marks a call that he knows: the first window of the class without others."""
    labels, places = Labels(survey.labels_csv), Places.of_index(index)
    if len(labels):
        return
    for k, name in enumerate(survey.settings.classes):
        window = np.flatnonzero(truth[:, k] & (truth.sum(1) == 1))[0]
        start_s = float(places.start_s[window])
        labels.add(
            (index.files[index.file_of[window]].name, start_s, start_s + index.window_s),
            {other: "yes" if other == name else "no" for other in survey.settings.classes},
            LISTENER,
            "example",
        )


def listen(state, truth, enough):
    """Answer what the page asks until ``enough(state)``, or nothing is left; returns the number of answers."""
    names, count = list(state.survey.settings.classes), 0
    while state.window is not None and not enough(state, count):
        state.answer([name for name in state.classes if truth[state.window, names.index(name)]])
        count += 1
    return count


def label(survey, index, truth, similar_to=5, margin=40, seed=0):
    """Examples, similar windows until each class has some yes (60 questions at most), then the least sure ones."""
    give_examples(survey, index, truth)
    state = ListeningState(survey, index, LISTENER, "similar", seed=seed)
    first = listen(state, truth, lambda state, count: count >= 60 or ((state.wanted == YES).sum(0) >= similar_to).all())
    state.order = "margin"
    then = listen(state, truth, lambda state, count: count >= margin)
    return first, then, state


def walk(to, seed=0, n_review=60, tell=print, **index_options):
    """The nine steps; a walk that was stopped goes on.

    Args:
        to: folder of the survey. seed: of everything. n_review: windows per class.
        index_options: of ``index_survey``.
    Returns:
        cells of the species table, and (windows, classes) truth.
    """
    to, started = Path(to), time.monotonic()

    def step(number, words):
        tell(f"\n{number}  {words}   [{time.monotonic() - started:.0f} s]")

    step(1, "look: what is on the card")
    survey = Survey.open(to) if (to / "survey.toml").exists() else write_demo_card(to, seed)
    tell(look.as_text(look.look(survey.recordings, survey.settings, lambda line: None)))
    step(2, "index: pre-train on the card itself, embed every window")
    index = index_survey(survey, seed=seed, tell=lambda line: None, **index_options)
    truth = truth_of(survey, index)
    tell(f"{len(index):,} windows of {len(index.files)} recordings; {len(index.skipped)} skipped")
    step("3-4", "label: one example per class, the most similar, then the least sure")
    first, then, state = label(survey, index, truth, seed=seed)
    tell(f"{first} similar and {then} margin; {state.progress()}\n{state.forecast()}")
    step(5, "train: heads, judged across sites and nights")
    made = heads.train(survey, index)
    thresholds.kept(made, survey)
    thresholds.keep(made, survey)
    tell("\n".join(heads.in_words(made)))
    step(6, "review: a blind draw per class")
    for name in survey.settings.classes:
        listen(
            ListeningState(survey, index, LISTENER, review_of=name, n=n_review, seed=seed),
            truth,
            lambda state, count: False,
        )
        tell("\n".join(thresholds.settle(survey, index, name)))
    step(7, "predict: detections, and tables for Raven, Audacity and Kaleidoscope")
    predict_survey(survey, ("raven", "audacity", "kaleidoscope", "csv"), tell=tell)
    step(8, "table: species by site and night")
    final = read_recogniser(survey.recogniser).heads
    cells, notes = species.write_table_and_report(survey, index, final)
    tell(species.as_text(cells) + "\n" + "\n".join(notes))
    step(9, "the table beside the truth")
    judged = species.reviews(survey, index, final)
    tell(beside_truth(judged, truth, survey.settings.classes, final, score_all(final, index)))
    tell(f"\n{survey.species_csv}\n{survey.folder / 'report.html'}\nacssm survey share {quoted(to)} --to frogs.acssm")
    return cells, truth


def beside_truth(judged, truth, classes, made, scores):
    """Estimates and truth, a line per class."""
    lines = [f"{'class':<10} {'windows with the call':>30}  {'truth':>6}   {'precision from the threshold':>30}  truth"]
    for k, name in enumerate(classes):
        review, threshold = judged[name], made.thresholds[name]
        if isinstance(review, str):
            lines.append(f"{name:<10} {review}")
            continue
        number, low, high = review.windows_with_call()
        found = review.precision(threshold)
        over = scores[:, k] >= threshold
        precise = "none" if found is None else f"{found[0]:.0%} ({found[1]:.0%} to {found[2]:.0%})"
        right = f"{truth[over, k].mean():5.0%}" if over.any() else "    –"
        lines.append(
            f"{name:<10} {f'{number:.0f} ({low:.0f} to {high:.0f})':>30}  {truth[:, k].sum():6d}   "
            f"{precise:>30}  {right}"
        )
    return "\n".join(lines)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, required=True, help="folder of the survey; a started one goes on")
    parser.add_argument("--seed", type=int, default=0, help="of everything (default: 0)")
    parser.add_argument("--encoder", help="as mel-stats, which needs no pre-training (default: acssm survey index's)")
    args = parser.parse_args(argv)
    walk(args.to, args.seed, method=args.encoder)


if __name__ == "__main__":
    main()
