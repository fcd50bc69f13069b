"""Figures: every function draws on ``ax`` (or makes one that shows inline) and returns ``(fig, ax)``.

One size per kind of figure and 96 dpi, white paper in light and dark mode, one colour per method everywhere.
Nothing global is changed: each axis is dressed by hand, so importing this module leaves matplotlib as it was.
Tensors and arrays are both welcome.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from acssm_lib.files import write_atomically
from acssm_lib.names import METHOD_COLOURS
from acssm_lib.text import in_figure

DPI = 96
# Of classes: the palette that seaborn calls "colorblind", as values, since importing it takes longer than the figure.
CLASS_COLOURS = (
    "#0173B2",
    "#DE8F05",
    "#029E73",
    "#D55E00",
    "#CC78BC",
    "#CA9161",
    "#FBAFE4",
    "#949494",
    "#ECE133",
    "#56B4E9",
)
OTHER_COLOUR = "#A0522D"  # a method this list does not know
CHANNELS = (  # of a spectrogram stack: name with unit, colour map, limits
    ("Log-mel power (dB)", "magma", None),
    ("Log STFT magnitude (dB)", "magma", None),
    ("STFT phase (rad)", "twilight", (-np.pi, np.pi)),
)
_INK = "#222222"
_MARKERS = "osD^vPX*"
_LARGEST = 150  # inches of a side, 14,400 pixels: a figure of a thousand rows is crowded, but it is one


def canvas(width, height, rows=1, columns=1):
    """Figure (inches) and axes for files, outside pyplot's registry: nothing to close, no window opens.

    Returns:
        fig, axes: one axis, or an array ``(rows, columns)`` of them.
    """
    size = min(width, _LARGEST), min(height, _LARGEST)
    fig = Figure(figsize=size, dpi=DPI, layout="constrained", facecolor="white")
    axes = fig.subplots(rows, columns, squeeze=False)
    return fig, axes if axes.size > 1 else axes[0, 0]


def axes(columns=1, rows=1, width=9.6, height=3.2):
    """Axes of one look that show inline: a row of them, or a grid (rows, columns); inches."""
    _, grid = plt.subplots(
        rows, columns, figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white", squeeze=False
    )
    for ax in grid.flat:
        ax.spines[["top", "right"]].set_visible(False)
        ax.tick_params(labelsize=9)
    return grid if rows > 1 else grid[0]


def dress(ax, title, x_label, y_label):
    """Labels and quiet frame, set on the axis itself rather than in global settings; returns ``(fig, ax)``."""
    ax.set_facecolor("white")
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=9, colors=_INK, labelcolor=_INK)
    ax.set_xlabel(x_label, fontsize=9, color=_INK)
    ax.set_ylabel(y_label, fontsize=9, color=_INK)
    if title:
        ax.set_title("\n".join(map(in_figure, title.split("\n"))), loc="left", fontsize=10, color=_INK)
    return ax.figure, ax


def save(fig, path):
    """Write the figure through a temporary name, so a reader never sees half a file, and close it.

    A letter that the font lacks, as in a name in Chinese, is drawn as a box.

    Returns:
        path: where it lies; the ending (".png") says the format.
    """
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            return write_atomically(path, lambda part: fig.savefig(part, dpi=fig.dpi, facecolor="white"))
    finally:
        plt.close(fig)


def waveform(waveform, sample_rate, ax=None, title=None):
    """Amplitude over time.

    Args:
        waveform: (samples,), in [-1, 1].
        sample_rate: Hz.
    Raises:
        ValueError: more than one dimension.
    """
    values = _array(waveform, 1, "waveform (samples,)")
    ax = axis_for(ax, 7.0, 2.2)
    ax.plot(np.arange(len(values)) / sample_rate, values, color="#0072B2", linewidth=0.6)
    ax.axhline(0, color=_INK, linewidth=0.4)
    ax.set_xlim(0, len(values) / sample_rate)
    return dress(ax, title, "Time (s)", "Amplitude (full scale = 1)")


def spectrogram(
    values,
    sample_rate=20_000,
    hop_length=512,
    ax=None,
    title=None,
    label=CHANNELS[0][0],
    colour_map="magma",
    limits=None,
):
    """One channel of a spectrogram stack; the bands lie on the HTK mel scale from 0 Hz to half the sample rate.

    Args:
        values: (mel, frames); frame t is centred on sample t * hop_length.
        sample_rate, hop_length: Hz, samples.
        label: text of the colour bar, with its unit.
        limits: colour limits; by default the loudest value and at most 80 below it, as silence has no floor.
    Raises:
        ValueError: not two-dimensional.
    """
    values = _array(values, 2, "spectrogram (mel, frames)")
    n_mels, frames = values.shape
    low, high = limits or (max(values.min(), values.max() - 80), values.max())
    ax = axis_for(ax, 7.0, 3.2)
    hop_s = hop_length / sample_rate
    image = ax.imshow(
        values,
        origin="lower",
        aspect="auto",
        cmap=colour_map,
        vmin=low,
        vmax=high,
        interpolation="nearest",
        extent=(-hop_s / 2, (frames - 0.5) * hop_s, -0.5, n_mels - 0.5),
    )
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02, extend="min" if values.min() < low else "neither")
    bar.set_label(label, fontsize=9, color=_INK)
    bar.ax.tick_params(labelsize=8, colors=_INK)
    bar.outline.set_visible(False)
    ticks = [hz for hz in (100, 300, 1000, 3000, 10_000) if hz <= sample_rate / 2]
    ax.set_yticks([mel_band(hz, n_mels, sample_rate) for hz in ticks], [f"{hz:,}" for hz in ticks])
    ax.set_ylim(-0.5, n_mels)  # the upper edge of the last band is half the sample rate
    return dress(ax, title, "Time (s)", "Frequency (Hz)")


def mel_band(hz, n_mels, sample_rate=20_000):
    """Position of a frequency on the band axis; band i peaks at i, HTK scale (method section 3)."""
    mel, top = (np.log10(1 + f / 700) for f in (hz, sample_rate / 2))
    return mel / top * (n_mels + 1) - 1


def stack(spectrograms, sample_rate=20_000, hop_length=512, axes=None, titles=None):
    """The three channels side by side: log-mel power (dB), log STFT magnitude (dB), STFT phase (rad, cyclic).

    Args:
        spectrograms: (3, mel, frames).
        axes, titles: three each.
    Returns:
        fig, axes: the three axes.
    Raises:
        ValueError: not (3, mel, frames).
    """
    values = _array(spectrograms, 3, "spectrograms (3, mel, frames)")
    if len(values) != 3:
        raise ValueError(f"expected spectrograms (3, mel, frames), got {values.shape}")
    if axes is None:
        fig, axes = plt.subplots(1, 3, figsize=(12.0, 3.2), dpi=DPI, layout="constrained", facecolor="white")
    titles = titles or [label.rsplit(" (", 1)[0] for label, _, _ in CHANNELS]
    for channel, ax, title, (label, colour_map, limits) in zip(values, axes, titles, CHANNELS):
        fig, _ = spectrogram(channel, sample_rate, hop_length, ax, title, label, colour_map, limits)
    for ax in axes[1:]:
        ax.set_ylabel("")
    return fig, axes


def loss_curve(losses, ax=None, chance=None, steps=None, title=None):
    """Contrastive loss over the training steps.

    Args:
        losses: (points,), possibly thinned.
        chance: loss of a guess, as ln B for pairs from a batch of B clips; drawn as a dashed line.
        steps: number of steps the points stand for; by default one each.
    """
    values = _array(losses, 1, "losses (points,)")
    ax = axis_for(ax, 7.0, 3.0)
    ax.plot(np.linspace(1, steps or len(values), len(values)), values, color=METHOD_COLOURS["acoustic-ssm1"], lw=1.4)
    if chance is not None:
        ax.axhline(chance, color=_INK, linestyle="--", linewidth=1)
        ax.annotate(
            f"a guess: {chance:.2f}",
            (1, chance),
            (-4, 3),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=_INK,
        )
    return dress(ax, title, "Step", "Contrastive loss (nats)")


def embedding(points, labels, classes, ax=None, highlight=None, title=None):
    """Clips as points in two dimensions, one colour and marker per class.

    Args:
        points: (n, 2).
        labels: (n,), indices into ``classes``; -1 is drawn grey as unlabelled.
        classes: names.
        highlight: indices or mask of clips to ring, such as the support.
    Raises:
        ValueError: shapes that do not fit.
    """
    points, labels = _array(points, 2, "points (n, 2)"), _array(labels, 1, "labels (n,)").astype(int)
    if points.shape != (len(labels), 2):
        raise ValueError(f"expected points (n, 2) and labels (n,), got {points.shape} and {labels.shape}")
    ax = axis_for(ax, 6.4, 4.4)
    for label in np.unique(labels):
        chosen = points[labels == label]
        style = (
            {"color": "#BBBBBB", "marker": ".", "label": "unlabelled", "zorder": 1}
            if label < 0
            else {"color": CLASS_COLOURS[label % 10], "marker": _MARKERS[label % 8], "label": in_figure(classes[label])}
        )
        ax.scatter(*chosen.T, s=30, linewidths=0.4, edgecolors="white", **style)
    if highlight is not None:
        ax.scatter(
            *points[_array(highlight, 1, "highlight (n,)")].T,
            s=95,
            facecolors="none",
            edgecolors=_INK,
            linewidths=1.3,
            label="support",
        )
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
    ax.set_xticks([])
    ax.set_yticks([])
    return dress(ax, title, "Dimension 1 (no unit)", "Dimension 2 (no unit)")


def confusion(matrix, classes, ax=None, title=None, colour_bar=True):
    """Confusion matrix: counts as numbers, share of the true class as colour.

    Args:
        matrix: (n_way, n_way) counts, rows = truth.
        classes: n_way names.
    Raises:
        ValueError: the matrix is not n_way by n_way.
    """
    counts = _array(matrix, 2, "matrix (n_way, n_way)")
    if counts.shape != (len(classes), len(classes)):
        raise ValueError(f"expected a {len(classes)} x {len(classes)} matrix for {list(classes)}, got {counts.shape}")
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ax = axis_for(ax, 5.2, 4.4)
    image = ax.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        ax.text(
            column,
            row,
            f"{count:.0f}",
            ha="center",
            va="center",
            fontsize=8,
            color="white" if share[row, column] > 0.55 else _INK,
        )
    names = [in_figure(name) for name in classes]
    ax.set_xticks(range(len(classes)), names, rotation=40, ha="right", rotation_mode="anchor")
    ax.set_yticks(range(len(classes)), names)
    if colour_bar:
        ax.figure.colorbar(image, ax=ax, label="Share of the true class", shrink=0.8).outline.set_visible(False)
    fig, ax = dress(ax, title, "Predicted class", "True class")
    ax.tick_params(length=0)
    return fig, ax


def _array(values, dimensions, what):
    """A detached numpy copy, or an error that says which shape was wanted."""
    values = np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)
    if values.ndim != dimensions:
        raise ValueError(f"expected {what}, got shape {values.shape}")
    return values


def axis_for(ax, width, height):
    """The caller's axis, or a new one that a notebook shows inline."""
    if ax is None:
        _, ax = plt.subplots(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    return ax
