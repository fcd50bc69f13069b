"""From a review to the threshold of a class, kept in the recogniser with its evidence."""

import numpy as np

from acssm_lib.files import DataError
from acssm_lib.recordings import share, species
from acssm_lib.recordings.heads import train
from acssm_lib.recordings.labels import UNSURE, YES
from acssm_lib.text import quoted


def keep(made, survey):
    """Write the heads to the survey's recogniser; returns its path."""
    return share.write_recogniser(survey.recogniser, made, survey)


def kept(made, survey):
    """Take over thresholds that a review has chosen for the same heads; trained on other answers they are void."""
    if not survey.recogniser.is_file():
        return
    try:
        old = share.read_recogniser(survey.recogniser).heads
    except (DataError, OSError):  # of an older version, or damaged: it is about to be written anew
        return
    for k, name in enumerate(made.classes):
        if name in old.classes and "threshold" in old.evidence.get(name, {}):
            j = old.classes.index(name)
            if np.allclose(made.weight[k], old.weight[j]) and np.allclose(made.bias[k], old.bias[j]):
                made.thresholds[name] = old.thresholds[name]
                made.evidence[name]["threshold"] = old.evidence[name]["threshold"]


def settle(survey, index, label, target=0.9):
    """What the review of a class says, and its threshold into the recogniser.

    Args:
        label: the class. target: precision wanted.
    Returns:
        lines of text.
    Raises:
        DataError: no answer of a review yet.
    """
    made = train(survey, index)
    kept(made, survey)
    review = species.reviews(survey, index, made)[label]
    if isinstance(review, str):
        raise DataError(review)
    number, low, high = review.windows_with_call()
    lines = [
        f"{label}: {len(review.windows)} windows reviewed, {int((review.answers == YES).sum())} with the call, "
        f"{int((review.answers == UNSURE).sum())} unsure",
        f"windows with the call: {number:,.0f} ({low:,.0f} to {high:,.0f}) of {len(review.scores):,}",
        "score from   precision (95 % interval)   of the windows with the call",
    ]
    chosen = review.threshold(target)
    for place in sorted({0.5, *review.edges[1:], *([] if chosen is None else [chosen])}):
        found = review.precision(place)
        if found is not None:
            reached = review.found(place)
            lines.append(
                f"{place:10.3f}   {found[0]:4.0%} ({found[1]:.0%} to {found[2]:.0%})"
                + ("" if reached is None else f"   finds about {min(reached, 1):.0%}")
                + ("   <- chosen" if place == chosen else "")
            )
    if chosen is None:
        lines.append(
            f"no threshold reaches {target:.0%}: more labels, or a longer review; {made.thresholds[label]:.3f} stays"
        )
        return lines
    precise, least, most = review.precision(chosen)
    made.thresholds[label] = chosen
    made.evidence[label]["threshold"] = (
        f"meant to be {target:.0%} precise: {precise:.0%} ({least:.0%} to {most:.0%}) "
        f"by {len(review.windows)} reviewed windows"
    )
    lines.append(
        f"threshold {chosen:.3f} into {keep(made, survey)}; acssm survey predict {quoted(survey.folder)} uses it"
    )
    return lines
