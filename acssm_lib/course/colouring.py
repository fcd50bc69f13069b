"""Colours of the clips on a map, by any column: words or numbers, with what is unknown in grey.

Every function returns one colour ("#rrggbb") per clip, and the legend: a list of (colour, text).
"""

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

from acssm_lib.plots import CLASS_COLOURS

UNKNOWN, OTHERS = "#BBBBBB", "#D9D9D9"
OWN, ALIKE = CLASS_COLOURS[3], CLASS_COLOURS[9]
MOST = 9  # values that can be told apart


def is_number(values):
    """Whether a column holds numbers (or nothing): then it gets a scale."""
    known = [value for value in values if value is not None]
    return bool(known) and all(
        isinstance(value, (int, float, np.number)) and not isinstance(value, (bool, np.bool_)) for value in known
    )


def by_class(labels, classes, selected):
    """A colour per class; -1 is unlabelled. Where there are more classes than colours, only that of one clip has one.

    Args:
        selected: index of that clip.
    """
    own = labels[selected]
    if len(classes) <= len(CLASS_COLOURS):
        legend = list(zip(CLASS_COLOURS, classes))
        colours = [UNKNOWN if label < 0 else CLASS_COLOURS[label] for label in labels]
    else:
        legend = [(OWN, classes[own])] * bool(own >= 0) + [(OTHERS, "the others")]
        colours = [UNKNOWN if label < 0 else OWN if label == own else OTHERS for label in labels]
    return colours, legend + ([(UNKNOWN, "unlabelled")] if UNKNOWN in colours else [])


def by_word(values):
    """A colour per value, in the order of the alphabet; None is unknown."""
    words = sorted({str(value) for value in values if value is not None})
    place = {word: CLASS_COLOURS[rank % 10] for rank, word in enumerate(words)}
    colours = [UNKNOWN if value is None else place[str(value)] for value in values]
    return colours, [(place[word], word) for word in words] + ([(UNKNOWN, "unknown")] if None in values else [])


def by_number(values, unit=""):
    """A scale from the least to the greatest value; None and NaN are unknown."""
    numbers = np.array([np.nan if value is None else float(value) for value in values])
    known = np.isfinite(numbers)
    if not known.any():
        return [UNKNOWN] * len(numbers), [(UNKNOWN, "unknown")]
    low, high = float(numbers[known].min()), float(numbers[known].max())
    shade, digits = colormaps["viridis"], 0 if high - low >= 10 else 1 if high - low >= 1 else 2
    colours = [
        to_hex(shade((value - low) / max(high - low, 1e-9))) if good else UNKNOWN for value, good in zip(numbers, known)
    ]
    steps = (0.0, 0.5, 1.0) if high > low else (0.0,)
    legend = [(to_hex(shade(step)), f"{low + step * (high - low):.{digits}f}{unit}") for step in steps]
    return colours, legend + ([] if known.all() else [(UNKNOWN, "unknown")])


def by_own(values, selected, name, labels, classes):
    """Nobody tells forty colours apart, so one value stands out: that of the selected clip.

    Args:
        values: of the column ``name``; two that are None are not alike.
        selected: index of a clip.
        labels, classes: the other values of its class have a colour too.
    """
    value, label = values[selected], labels[selected]
    own = np.array([value is not None and other == value for other in values])
    own[selected] = True
    alike = (np.asarray(labels) == label) & (label >= 0) & ~own
    legend = [(OWN, f"{name} unknown" if value is None else f"{name} {value}")]
    if label >= 0:
        legend.append((ALIKE, f"another {name}, {classes[label]}"))
    return np.select([own, alike], [OWN, ALIKE], OTHERS).tolist(), [*legend, (OTHERS, "the others")]
