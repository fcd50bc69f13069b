"""The explorer of notebook 07: the state behind it, and a thin view.

The state (``EmbeddingState``) is plain Python and draws with matplotlib; ``EmbeddingPanel`` shows it.
"""

import functools
import html

import ipywidgets as widgets
import numpy as np
import seaborn as sns
import torch
from matplotlib import colormaps
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from acssm_lib import plots
from acssm_lib.course.listen import wav
from acssm_lib.course.neighbours import cosine_distances, loudness_db, pca, same_known, tsne
from acssm_lib.course.panel import Panel
from acssm_lib.course.scatter import EmbeddingScatter
from acssm_lib.model.features import SpectrogramStack

N_NEIGHBOURS = 4  # as many as the picture has room for
MAX_SOUND_S = 5.0  # of a clip, heard and drawn; s
N_MELS = 64  # bands of a spectrogram
RANGE_DB = 45  # of a spectrogram, below the loudest value of all that are shown
PROJECTIONS = ("PCA", "t-SNE")
COLOURS = ("class", "source", "loudness")
_GREY = "#BBBBBB"
_PALETTE = [to_hex(colour) for colour in sns.color_palette("colorblind", 10)]


class EmbeddingState:
    """What the explorer shows: which embedding, how it is projected and coloured, which clip is selected.

    Args:
        embeddings: name -> (clips, d); the first is shown first.
        labels: (clips,), indices into ``classes``; -1 is unlabelled.
        classes: names.
        sources, names: of each clip; an unknown source is None.
        waveform: function, index -> (samples,) in [-1, 1].
        sample_rate: Hz.
        seed: of t-SNE.
    Attributes:
        embedding: a name of ``embeddings``.
        projection: "PCA" or "t-SNE".
        colour: "class", "source" (the selected clip's source stands out) or "loudness".
        selected: index of a clip.
        playing: 0 for the selected clip, 1 to 4 for its neighbours; 0 again when another clip is selected.
    Raises:
        ValueError: fewer than three clips, or an embedding of another number of clips.
    """

    def __init__(self, embeddings, labels, classes, sources, names, waveform, sample_rate, seed=0):
        self.embeddings, self.labels = dict(embeddings), np.asarray(labels)
        self.classes, self.sources, self.names = list(classes), list(sources), list(names)
        self.waveform, self.sample_rate, self.seed = waveform, sample_rate, seed
        if len(self.labels) < 3:
            raise ValueError(f"a map needs at least 3 clips, got {len(self.labels)}")
        for name, embedding in self.embeddings.items():
            if len(embedding) != len(self.labels):
                raise ValueError(f"embedding {name!r} has {len(embedding)} clips, the labels {len(self.labels)}")
        self.embedding, self.projection, self.colour = next(iter(self.embeddings)), "t-SNE", "class"
        self._selected = self.playing = 0
        self._maps, self._distances = {}, {}
        self._front_end = SpectrogramStack(sample_rate, n_mels=N_MELS, floor_db=-80.0)

    @property
    def selected(self):
        return self._selected

    @selected.setter
    def selected(self, index):
        self._selected, self.playing = int(index), 0

    @functools.cached_property
    def loudness(self):
        """(clips,), dB."""
        return np.array([loudness_db(self.waveform(index)) for index in range(len(self.labels))])

    def positions(self):
        """(clips, 2), computed when first asked for."""
        key = self.embedding, self.projection
        if key not in self._maps:
            embedding = self.embeddings[self.embedding]
            self._maps[key] = pca(embedding)[0] if self.projection == "PCA" else tsne(embedding, self.seed)
        return self._maps[key]

    def class_of(self, index):
        """Name of a clip's class."""
        return self.classes[self.labels[index]] if self.labels[index] >= 0 else "unlabelled"

    def colours(self):
        """One colour ("#rrggbb") per clip, and the legend: list of (colour, text)."""
        if self.colour == "loudness":
            low, high = float(self.loudness.min()), float(self.loudness.max())
            shade = colormaps["viridis"]
            colours = [to_hex(shade((value - low) / max(high - low, 1e-9))) for value in self.loudness]
            return colours, [(to_hex(shade(step)), f"{low + step * (high - low):.0f} dB") for step in (0.0, 0.5, 1.0)]
        by_class = [_GREY if label < 0 else _PALETTE[label % 10] for label in self.labels]
        if self.colour == "class":
            legend = [(_PALETTE[label % 10], name) for label, name in enumerate(self.classes)]
            return by_class, legend + ([(_GREY, "unlabelled")] if (self.labels < 0).any() else [])
        # Nobody tells forty colours apart, so one source stands out: that of the selected clip.
        own = same_known([self.sources[self.selected]], self.sources)[0]
        own[self.selected] = True
        alike = (self.labels == self.labels[self.selected]) & ~own
        source = self.sources[self.selected]
        return (np.select([own, alike], [_PALETTE[3], _PALETTE[9]], "#D9D9D9").tolist(),
                [(_PALETTE[3], "source unknown" if source is None else f"source {source}"),
                 (_PALETTE[9], f"other sources of {self.class_of(self.selected)}"), ("#D9D9D9", "other classes")])

    def points(self):
        """What the scatter draws: a list of {x, y, color, label}."""
        colours, _ = self.colours()
        return [{"x": round(float(x), 4), "y": round(float(y), 4), "color": colour,
                 "label": f"{self.names[index]}, {self.class_of(index)}, {self.loudness[index]:.1f} dB"}
                for index, ((x, y), colour) in enumerate(zip(self.positions(), colours))]

    def neighbours(self, k=N_NEIGHBOURS):
        """The nearest other clips of the selected one in the full space: list of (index, distance)."""
        if self.embedding not in self._distances:
            self._distances[self.embedding] = cosine_distances(self.embeddings[self.embedding])
        distances = self._distances[self.embedding][self.selected].copy()
        distances[self.selected] = np.inf
        chosen = np.argsort(distances, kind="stable")[:min(k, len(distances) - 1)]
        return [(int(index), float(distances[index])) for index in chosen]

    def picture(self):
        """Log-mel spectrogram of the selected clip, and below it those of its four nearest neighbours.

        All share one scale of time and of level; the frames have the colours of the classes.
        """
        fig = Figure(figsize=(5.6, 4.5), dpi=plots.DPI, layout="constrained", facecolor="white")
        axes = fig.subplot_mosaic([["clip", "clip"], [1, 2], [3, 4]], height_ratios=[1.45, 1, 1])
        shown = {"clip": (self.selected, 0.0)} | dict(enumerate(self.neighbours(), start=1))
        spectrograms = {place: self._log_mel(index) for place, (index, _) in shown.items()}
        high = max(float(values.max()) for values in spectrograms.values())
        end_s = max(values.shape[1] for values in spectrograms.values()) * 512 / self.sample_rate
        for place, ax in axes.items():
            if place not in shown:
                ax.set_axis_off()
                continue
            index, distance = shown[place]
            frames = spectrograms[place].shape[1]
            ax.imshow(spectrograms[place], origin="lower", aspect="auto", cmap="magma", vmin=high - RANGE_DB, vmax=high,
                      interpolation="nearest", extent=(0, frames * 512 / self.sample_rate, -0.5, N_MELS - 0.5))
            colour = _GREY if self.labels[index] < 0 else _PALETTE[self.labels[index] % 10]
            for spine in ax.spines.values():
                spine.set(color=colour, linewidth=2.5)
            ax.set_xlim(0, end_s)
            ticks = [hz for hz in (300, 1000, 3000, 10_000) if hz < self.sample_rate / 2] if place == "clip" else []
            ax.set_yticks([plots.mel_band(hz, N_MELS, self.sample_rate) for hz in ticks], [f"{hz:,}" for hz in ticks])
            ax.tick_params(labelsize=8)
            if place == "clip":
                ax.set_title(f"Selected: {_tail(self.names[index], 56)}", loc="left", fontsize=9, fontweight="bold")
                ax.set_xlabel(f"Time (s). Colour: log-mel power, {RANGE_DB} dB from dark to bright", fontsize=8)
                ax.set_ylabel("Frequency (Hz)", fontsize=8)
            else:
                ax.set_xticks([])
                ax.set_title(f"{place}: {_tail(self.class_of(index), 34)}, {distance:.2f}", loc="left", fontsize=8)
        return fig

    def sound(self):
        """The selected clip, or the neighbour that ``playing`` says, as WAV bytes of at most 5 s."""
        return wav(self._heard(self._playing_index()), self.sample_rate)

    def caption(self):
        """HTML: what the clip is, how loud, its neighbours with class and distance, how many share class and source."""
        near = self.neighbours()
        source = self.sources[self.selected]
        same_class = sum(self.labels[index] == self.labels[self.selected] for index, _ in near)
        same_source = sum(source is not None and self.sources[index] == source for index, _ in near)
        rows = [("", "nearest in the full space", "class", "distance", "")]
        for rank, (index, distance) in enumerate(near, start=1):
            same = self.labels[index] == self.labels[self.selected]
            shared = source is not None and self.sources[index] == source
            note = "same source" if shared else "" if same else "other class"
            rows.append((rank, self.names[index], self.class_of(index), f"{distance:.2f}", note))
        cells = [[f'<td style="padding-right:10px">{html.escape(str(cell))}</td>' for cell in row] for row in rows]
        table = "".join(f"<tr>{''.join(row)}</tr>" for row in cells)
        heard = ("" if self.playing == 0 else
                 f" You hear neighbour {self.playing}: {html.escape(self.names[self._playing_index()])}.")
        return ('<div style="line-height:1.4">'
                f"<b>{html.escape(self.names[self.selected])}</b>: {html.escape(self.class_of(self.selected))}, "
                f"source {html.escape('unknown' if source is None else str(source))}, "
                f"{self.loudness[self.selected]:.1f} dB. {same_class} of {len(near)} neighbours share its class, "
                f'{same_source} its source.{heard}<table style="font-size:12px;line-height:1.35">{table}</table></div>')

    def _playing_index(self):
        return self.selected if self.playing == 0 else self.neighbours()[self.playing - 1][0]

    def _heard(self, index):
        return torch.as_tensor(self.waveform(index))[:round(MAX_SOUND_S * self.sample_rate)]

    def _log_mel(self, index):
        return self._front_end(self._heard(index).float())[0, 0].numpy()


class EmbeddingPanel(Panel):
    """The explorer: menus above, the map on the left, and what was clicked on the right.

    Attributes:
        scatter: an ``EmbeddingScatter``; set ``scatter.selected`` to drive the panel from code.
    """

    def __init__(self, state):
        self.scatter = EmbeddingScatter(selected=state.selected)
        self.scatter.add_class("t-scatter")
        super().__init__(state, {
            "embedding": _menu("embedding", state.embeddings, state.embedding),
            "projection": _menu("projection", PROJECTIONS, state.projection),
            "colour": _menu("colour", COLOURS, state.colour),
            "playing": widgets.ToggleButtons(
                options=[("clip", 0)] + [(str(rank), rank) for rank in range(1, len(state.neighbours()) + 1)],
                value=0, tooltips=["hear the selected clip"] + ["hear this neighbour"] * N_NEIGHBOURS,
                style={"button_width": "44px"}, layout=widgets.Layout(width="max-content")),
        }, 538, 432)
        self.scatter.observe(lambda change: self.change("selected", change["new"]), "selected")
        heard = widgets.HBox([widgets.Label("hear"), self.controls["playing"], self.audio],
                             layout=widgets.Layout(align_items="center", flex_flow="row wrap"))
        # Map and clip shrink together and never wrap: what a click changes is seen where one clicks.
        clip = widgets.VBox([self.image, heard, self.label], layout=widgets.Layout(
            flex="1 1 0", min_width="0", max_width="546px"))
        self.image.layout = widgets.Layout(width="100%", height="auto")
        self.audio.layout = widgets.Layout(flex="1 1 130px", width="auto", min_width="110px", max_width="300px")
        both = widgets.HBox([self.scatter, clip], layout=widgets.Layout(flex_flow="row nowrap"))
        self.children = [self.arrange(), both]

    def arrange(self):
        """The three menus; the buttons that say what to hear stand beside the player."""
        return widgets.HBox([self.controls[name] for name in ("embedding", "projection", "colour")],
                            layout=widgets.Layout(flex_flow="row wrap"))

    def change(self, name, value):
        if name == "selected" and self.controls["playing"].value:
            self.state.selected = value
            self.controls["playing"].value = 0  # its own change draws
        else:
            super().change(name, value)

    def show(self):
        super().show()
        with self.scatter.hold_sync():
            self.scatter.points = self.state.points()
            self.scatter.legend = [{"color": colour, "label": text} for colour, text in self.state.colours()[1]]
            self.scatter.selected = self.state.selected
            self.scatter.neighbours = [index for index, _ in self.state.neighbours()]


def _menu(name, options, value):
    return widgets.Dropdown(options=list(options), value=value, description=name,
                            layout=widgets.Layout(width="220px"), style={"description_width": "84px"})


def _tail(text, most):
    return text if len(text) <= most else "…" + text[1 - most:]
