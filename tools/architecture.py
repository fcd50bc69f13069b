"""The picture of the encoder: ``python -m tools.architecture figures/architecture.png``.

Every size in it is read off the real modules at the ``paper`` preset, and the spectrograms are those of a made-up call.
Coordinates are pixels of the README (900 wide), exported at twice that.
"""

import sys

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle

from acssm_lib.model.encoder import AcousticSSM
from acssm_lib.plots import METHOD_COLOURS, save
from acssm_lib.presets import PRESETS

WIDTH, HEIGHT = 900, 500  # pixels on the page
INK, QUIET = "#222222", "#666666"
CNN, SSM, KERNEL = METHOD_COLOURS["adapted-cnn"], METHOD_COLOURS["acoustic-ssm1"], METHOD_COLOURS["hubert"]


def sizes(preset=PRESETS["paper"]):
    """Shapes inside the encoder, without the batch, measured by passing one crop through it.

    Returns:
        dict: ``input`` (3, mel, frames), ``stages`` [(channels, bands, frames)] after the stem's convolution, its
        pooling and every stage, ``features`` (d_model, frames), ``spectrograms`` (3, mel, frames) and ``waveform``.
    """
    encoder, shapes = AcousticSSM(preset).eval(), []
    last_blocks = [encoder.cnn.stages[end - 1] for end in np.cumsum(preset.blocks)]
    for module in (encoder.cnn.stem[0], encoder.cnn.stem[-1], *last_blocks):
        module.register_forward_hook(lambda module, inputs, output: shapes.append(tuple(output.shape[1:])))
    waveform = _call(preset)
    with torch.no_grad():
        spectrograms = encoder.front_end(waveform[None])[0]
        features = encoder.cnn(spectrograms[None])
    return {
        "input": tuple(spectrograms.shape),
        "stages": shapes,
        "features": tuple(features.shape[1:]),
        "spectrograms": spectrograms.numpy(),
        "waveform": waveform.numpy(),
    }


def _call(preset):
    """Four rising, pulsed notes over a little noise: something to see in every panel."""
    time = np.arange(preset.n_samples) / preset.sample_rate
    note = (time - 0.12) % 0.36
    phase = 2 * np.pi * (1500 * note + 2600 * note**2)
    envelope = np.where((note < 0.22) & (time > 0.12), np.sin(np.pi * np.clip(note / 0.22, 0, 1)) ** 0.7, 0)
    envelope *= 0.6 + 0.4 * np.sign(np.sin(2 * np.pi * 22 * note))
    noise = np.random.default_rng(0).normal(scale=0.012, size=len(time))
    sound = 0.6 * envelope * (np.sin(phase) + 0.35 * np.sin(2 * phase)) + noise
    return torch.tensor(sound, dtype=torch.float32)


def draw(preset=PRESETS["paper"]):
    """The figure, 900 x 500 pixels at 192 dpi.

    Returns:
        fig, ax
    """
    fig = Figure(figsize=(WIDTH / 96, HEIGHT / 96), dpi=192, facecolor="white")
    ax = fig.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
    ax.set_axis_off()
    size = sizes(preset)
    _panel(ax, 8, 8, 884, 222, CNN, "What is in a frame: the CNN looks along frequency only, every frame by itself")
    _front_end(ax, preset, size)
    _cnn(ax, preset, size)
    _panel(ax, 8, 264, 452, 228, SSM, "What follows what: S4D layers link the frames", indent=62)
    _sequence(ax, preset, size)
    _heads(ax, preset, size)
    return fig, ax


def _front_end(ax, preset, size):
    """Waveform and the stack of three spectrograms."""
    sound = size["waveform"][::15]
    ax.plot(np.linspace(22, 118, len(sound)), 120 - 42 * sound / np.abs(sound).max(), color=INK, linewidth=0.4)
    seconds = preset.n_samples / preset.sample_rate
    _text(ax, 70, 182, "waveform", bold=True)
    _text(ax, 70, 196, f"{preset.n_samples:,} samples")
    _text(ax, 70, 209, f"{seconds:.2f} s at {preset.sample_rate // 1000} kHz")
    _arrow(ax, (124, 120), (146, 120))
    for channel in (2, 1, 0):
        left, top = 154 + 11 * channel, 80 - 11 * channel
        values = size["spectrograms"][channel]
        low = None if channel == 2 else values.max() - 45
        ax.imshow(
            values,
            extent=(left, left + 90, top + 84, top),
            cmap="twilight" if channel == 2 else "magma",
            vmin=low,
            aspect="auto",
            origin="lower",
            zorder=3 - channel,
        )
        ax.add_patch(Rectangle((left, top), 90, 84, fill=False, edgecolor="white", linewidth=1, zorder=3.1 - channel))
    ax.add_patch(Rectangle((198, 96), 4, 18, color=KERNEL, linewidth=0, zorder=5))
    _text(ax, 210, 182, "spectrogram stack", bold=True)
    _text(ax, 210, 196, "log-mel, log magnitude, phase")
    _text(ax, 210, 209, _times(size["input"]))
    _arrow(ax, (272, 120), (294, 120))


def _cnn(ax, preset, size):
    """One block per stage: height for bands, width for the frames that never shrink, depth for channels."""
    stem, _, *stages = size["stages"]
    names = ["stem"] + [f"stage {number}" for number in range(2, 2 + len(stages))]
    left, width, floor = 304, 66, 166
    for index, (name, (channels, bands, frames)) in enumerate(zip(names, [stem, *stages])):
        height = 12 + 78 * bands / stem[1]
        depth = 5 + 21 * channels / stages[-1][0]
        _block(ax, left, floor - height, width, height, depth)
        tall = min(height - 4, 9 + 9 * bands / stem[1])
        middle = floor - height / 2
        ax.add_patch(Rectangle((left + 24, middle - tall / 2), 6, tall, color=KERNEL, linewidth=0, zorder=5))
        _text(ax, left + width / 2 + 4, 182, name, bold=True)
        _text(ax, left + width / 2 + 4, 196, _times((channels, bands, frames)))
        _text(
            ax,
            left + width / 2 + 4,
            209,
            "conv 7×1, then pool" if index == 0 else f"{preset.blocks[index - 1]} blocks, 3×1",
            colour=QUIET,
        )
        if index:
            _arrow(ax, (left - 16, floor - 6), (left - 3, floor - 6))
        left += 116 if index == 0 else 118
    ax.add_patch(Rectangle((622, 50), 6, 26, color=KERNEL, linewidth=0))
    _text(ax, 636, 57, "kernel: several bands tall, one frame wide;", align="left", colour=KERNEL)
    _text(ax, 636, 70, f"the {size['input'][2]} frames pass through side by side", align="left", colour=KERNEL)


def _sequence(ax, preset, size):
    """Mean over frequency, the frames as a sequence, the S4D layers, mean over time."""
    d_model, frames = size["features"]
    ax.plot([811, 811, 56, 56], [219, 247, 247, 330], color=INK, linewidth=1.2, solid_joinstyle="round")
    _arrow(ax, (56, 318), (56, 338))
    label = _text(ax, 448, 247, f"mean over frequency: {d_model} × {frames}, one vector per frame", bold=True)
    label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 3})
    _frames(ax, 26, 344, 60, 64, CNN)
    _text(ax, 56, 428, "features", bold=True)
    _text(ax, 56, 442, f"{d_model} × {frames}")
    _arrow(ax, (94, 376), (112, 376))
    for shift in (12, 8, 4, 0):
        ax.add_patch(
            FancyBboxPatch(
                (120 + shift, 318 - shift),
                206,
                120,
                boxstyle="round,pad=0,rounding_size=7",
                facecolor="white",
                edgecolor=SSM,
                linewidth=1.1,
                zorder=2 - shift / 100,
            )
        )
    _text(ax, 134, 335, "S4D", align="left", bold=True, colour=SSM)
    xs = np.linspace(140, 306, 7)
    for x in xs:
        ax.add_patch(Rectangle((x - 6, 352), 12, 30, facecolor=SSM, edgecolor="none", alpha=0.85, zorder=3))
    for before, after in zip(xs, xs[1:]):
        _arrow(ax, (before + 6, 367), (after - 5, 367), SSM, 0.9)
    _text(ax, 223, 396, f"state along the {frames} frames, left to right", colour=QUIET)
    _text(ax, 223, 418, "+ residual, then LayerNorm", bold=True)
    _text(ax, 223, 456, f"{preset.n_layers} layers", bold=True)
    _text(ax, 223, 470, f"{d_model} × {frames} in, {d_model} × {frames} out")
    _arrow(ax, (342, 376), (398, 376))
    _text(ax, 368, 362, "mean")
    _text(ax, 368, 391, "over time")
    _vector(ax, 406, 336, 80, SSM)
    _text(ax, 412, 428, "embedding", bold=True)
    _text(ax, 412, 442, f"{d_model}")


def _heads(ax, preset, size):
    """Pre-training above, fine-tuning below; both read the same embedding."""
    d_model = size["features"][0]
    _panel(ax, 500, 264, 392, 110, QUIET, "1  Pre-training, no labels: which two views are one clip?")
    _panel(ax, 500, 382, 392, 110, QUIET, f"2  Fine-tuning: {preset.n_shot} labelled clips per class")
    _arrow(ax, (424, 366), (499, 326), bend=-0.12)
    _arrow(ax, (424, 386), (499, 436), bend=0.12)
    for top, name in ((298, "view a"), (330, "view b")):
        _text(ax, 531, top + 10, name)
        _box(ax, 556, top, 114, 20, f"projection {d_model} → {preset.d_projection}")
        _arrow(ax, (674, top + 10), (692, top + 10))
    _text(ax, 620, 362, "one encoder, two draws of stretch and crop", colour=QUIET)
    _box(ax, 696, 298, 72, 52, "bilinear\nsimilarity\n$a^{T}\\,W\\,b$")
    _arrow(ax, (772, 324), (794, 324))
    for row, column in np.ndindex(5, 5):
        shade = KERNEL if row == column else "#E3E3E3"
        ax.add_patch(Rectangle((800 + 11 * column, 296 + 11 * row), 10, 10, color=shade, linewidth=0))
    _text(ax, 827, 362, "batch × batch", colour=QUIET)
    _box(ax, 526, 422, 138, 34, f"classifier\n{d_model} → {preset.head_width} → {preset.head_width} → 5")
    _arrow(ax, (668, 439), (690, 439))
    for index, length in enumerate((14, 74, 22, 9, 18)):
        shade = KERNEL if index == 1 else "#CFCFCF"
        ax.add_patch(Rectangle((698, 413 + 11 * index), length, 8, color=shade, linewidth=0))
    _text(ax, 790, 432, "5 classes", align="left", bold=True)
    _text(ax, 790, 446, "whole network", align="left", colour=QUIET)
    _text(ax, 790, 459, "is trained", align="left", colour=QUIET)


def _panel(ax, left, top, width, height, colour, title, indent=14):
    for face, alpha, line in ((colour, 0.07, 0), ("none", 0.45, 1)):
        ax.add_patch(
            FancyBboxPatch(
                (left, top),
                width,
                height,
                boxstyle="round,pad=0,rounding_size=9",
                alpha=alpha,
                facecolor=face,
                edgecolor=colour,
                linewidth=line,
                zorder=0,
            )
        )
    _text(ax, left + indent, top + 17, title, align="left", bold=True, colour=colour, points=8.2)


def _block(ax, left, top, width, height, depth):
    """A cuboid seen from the front left; thin lines on its face are frames."""
    right, low, up = left + width, top + height, 0.6 * depth
    for corners, shade in (
        ([(left, top), (left + depth, top - up), (right + depth, top - up), (right, top)], 0.30),
        ([(right, top), (right + depth, top - up), (right + depth, low - up), (right, low)], 0.85),
        ([(left, top), (right, top), (right, low), (left, low)], 0.55),
    ):
        colour = 1 - shade * (1 - np.array([int(CNN[i : i + 2], 16) / 255 for i in (1, 3, 5)]))
        ax.add_patch(Polygon(corners, facecolor=colour, edgecolor="white", linewidth=0.6, zorder=3))
    for x in np.linspace(left, right, 12)[1:-1]:
        ax.plot([x, x], [top, low], color="white", linewidth=0.5, alpha=0.8, zorder=4)


def _frames(ax, left, top, width, height, colour):
    """A sequence of frame vectors, with dots for those left out."""
    for x in (0, 10, 20, 50):
        ax.add_patch(Rectangle((left + x, top), 8, height, color=colour, linewidth=0))
    _text(ax, left + 0.66 * width, top + height / 2, "…", points=10)


def _vector(ax, left, top, height, colour):
    for index, alpha in enumerate((0.9, 0.35, 0.7, 0.5, 1.0, 0.3, 0.8, 0.45)):
        cell = Rectangle((left, top + index * height / 8), 12, height / 8 - 1, color=colour, alpha=alpha, linewidth=0)
        ax.add_patch(cell)


def _box(ax, left, top, width, height, text):
    ax.add_patch(
        FancyBboxPatch(
            (left, top),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=4",
            facecolor="white",
            edgecolor=QUIET,
            linewidth=0.9,
        )
    )
    _text(ax, left + width / 2, top + height / 2, text)


def _arrow(ax, start, end, colour=INK, width=1.2, bend=0.0):
    ax.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>,head_width=2.2,head_length=4",
            shrinkA=0,
            shrinkB=0,
            color=colour,
            linewidth=width,
            connectionstyle=f"arc3,rad={bend}",
            zorder=4,
        )
    )


def _text(ax, x, y, text, align="center", bold=False, colour=INK, points=7.2):
    return ax.text(
        x,
        y,
        text,
        ha=align,
        va="center",
        fontsize=points,
        color=colour,
        zorder=6,
        linespacing=1.25,
        fontweight="bold" if bold else "normal",
    )


def _times(shape):
    return " × ".join(str(length) for length in shape)


def main(arguments):
    """Write the figure to the one path given.

    Raises:
        SystemExit: not exactly one path.
    """
    if len(arguments) != 1:
        raise SystemExit("usage: python -m tools.architecture figures/architecture.png")
    print(save(draw()[0], arguments[0]))


if __name__ == "__main__":
    main(sys.argv[1:])
