"""Spectrograms of one clip and of those nearest to it, on one scale of time and of level."""

import torch
from matplotlib.figure import Figure

from acssm_lib import plots
from acssm_lib.model.features import SpectrogramStack
from acssm_lib.text import in_figure

N_MELS = 64  # bands of a spectrogram
RANGE_DB = 45  # of a spectrogram, below the loudest value of all that are shown
HOP = 512  # samples from frame to frame


class ClipPicture:
    """Draws clips as log-mel spectrograms.

    Args:
        sample_rate: Hz.
    """

    def __init__(self, sample_rate):
        self.sample_rate = sample_rate
        self._front_end = SpectrogramStack(sample_rate, n_mels=N_MELS, floor_db=-80.0)

    def draw(self, waveforms, titles, colours):
        """The first clip large, up to four others below it; the frames have the colours.

        Args:
            waveforms: (samples,) each.
            titles: one per clip; of the first, its name.
            colours: one per clip.
        Returns:
            ``matplotlib.figure.Figure``.
        """
        fig = Figure(figsize=(5.6, 4.5), dpi=plots.DPI, layout="constrained", facecolor="white")
        axes = fig.subplot_mosaic([[0, 0], [1, 2], [3, 4]], height_ratios=[1.45, 1, 1])
        spectrograms = [self._front_end(torch.as_tensor(waveform).float())[0, 0].numpy() for waveform in waveforms]
        high = max(float(values.max()) for values in spectrograms)
        end_s = max(values.shape[1] for values in spectrograms) * HOP / self.sample_rate
        for place, ax in axes.items():
            if place >= len(spectrograms):
                ax.set_axis_off()
                continue
            values = spectrograms[place]
            ax.imshow(
                values,
                origin="lower",
                aspect="auto",
                cmap="magma",
                vmin=high - RANGE_DB,
                vmax=high,
                interpolation="nearest",
                extent=(0, values.shape[1] * HOP / self.sample_rate, -0.5, N_MELS - 0.5),
            )
            for spine in ax.spines.values():
                spine.set(color=colours[place], linewidth=2.5)
            ax.set_xlim(0, end_s)
            ax.tick_params(labelsize=8)
            first = place == 0
            ticks = [hz for hz in (300, 1000, 3000, 10_000) if hz < self.sample_rate / 2] if first else []
            ax.set_yticks([plots.mel_band(hz, N_MELS, self.sample_rate) for hz in ticks], [f"{hz:,}" for hz in ticks])
            ax.set_title(
                in_figure(titles[place]),
                loc="left",
                fontsize=9 if first else 8,
                fontweight="bold" if first else "normal",
            )
            if first:
                ax.set_xlabel(f"Time (s). Colour: log-mel power, {RANGE_DB} dB from dark to bright", fontsize=8)
                ax.set_ylabel("Frequency (Hz)", fontsize=8)
            else:
                ax.set_xticks([])
        return fig
