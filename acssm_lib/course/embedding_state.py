"""What the explorer of notebook 07 shows, without its looks: maps, colours, neighbours, marks, sound and text."""

import functools
import html
from collections import Counter

import numpy as np
import torch

from acssm_lib.course import colouring
from acssm_lib.course.clip_marks import Marks, write_new
from acssm_lib.course.clip_picture import ClipPicture
from acssm_lib.course.listen import wav
from acssm_lib.course.neighbours import cosine_distances, loudness_db, pca, tsne

N_NEIGHBOURS = 4  # as many as the picture has room for
MAX_SOUND_S = 5.0  # of a clip, heard and drawn; s
IN_A_ROW, ROW_S, GAP_S = 20, 3.0, 0.3  # clips that are heard one after another; s of each, s between two
PROJECTIONS = ("PCA", "t-SNE")
MEASURED = {"loudness": " dB", "duration": " s"}  # columns of every map, with their units
OWN = "my label"


class EmbeddingState:
    """What the explorer shows: which embedding, how it is projected and coloured, which clips are selected and marked.

    Args:
        embeddings: name -> (clips, d); the first is shown first.
        labels: (clips,), indices into ``classes``; -1 is unlabelled.
        classes: names.
        sources, names: of each clip; an unknown source is None.
        waveform: function, index -> (samples,) in [-1, 1].
        sample_rate: Hz.
        seed: of t-SNE.
        columns: name -> (clips,) words or numbers, None where unknown: what else may colour the map.
    Attributes:
        embedding: a name of ``embeddings``.
        beside: the name of another, shown as a second map; "": one map.
        projection: "PCA" or "t-SNE".
        colour: one of ``colour_names()``.
        selected: index of a clip.
        playing: 0 for the selected clip, 1 to 4 for its neighbours, None for clips in a row; 0 again when another clip
            is selected.
        row: list of (second, index), when which clip begins while clips are heard in a row.
        marks: ``clip_marks.Marks``.
    Raises:
        ValueError: fewer than three clips, or an embedding or column of another number of clips.
    """

    def __init__(self, embeddings, labels, classes, sources, names, waveform, sample_rate, seed=0, columns=None):
        self.embeddings, self.labels = dict(embeddings), np.asarray(labels)
        self.classes, self.sources, self.names = list(classes), list(sources), list(names)
        self.waveform, self.sample_rate, self.seed = waveform, sample_rate, seed
        if len(self.labels) < 3:
            raise ValueError(f"a map needs at least 3 clips, got {len(self.labels)}")
        for name, embedding in self.embeddings.items():
            if len(embedding) != len(self.labels):
                raise ValueError(f"embedding {name!r} has {len(embedding)} clips, the labels {len(self.labels)}")
        self.embedding, self.beside = next(iter(self.embeddings)), ""
        self.projection, self.colour = "t-SNE", "class" if self.classes else "duration"
        self._selected, self.playing, self.row = 0, 0, []
        self.marks, self.columns = Marks(len(self.labels)), {}
        self._maps, self._distances, self._picture = {}, {}, ClipPicture(sample_rate)
        for name, values in (columns or {}).items():
            self.add_column(name, values)

    @property
    def selected(self):
        return self._selected

    @selected.setter
    def selected(self, index):
        self._selected, self.playing = int(index), 0

    def add_column(self, name, values):
        """A column to colour by: words or numbers, None where unknown; one of that name is replaced.

        Where the explorer has a column of that name itself, "(2)" is put behind it.

        Raises:
            ValueError: it has another number of clips.
        """
        values = [None if value is None or value != value else value for value in values]  # NaN differs from itself
        if len(values) != len(self.labels):
            raise ValueError(f"column {name!r} has {len(values)} values for {len(self.labels)} clips")
        self.columns[f"{name} (2)" if name in ("class", "source", *MEASURED, OWN) else name] = values

    def colour_names(self):
        """What the map may be coloured by."""
        return ["class", "source", *MEASURED, *self.columns, OWN]

    @functools.cached_property
    def measured(self):
        """Loudness (dB) and duration (s) of every clip: name -> (clips,)."""
        waveforms = (self.waveform(index) for index in range(len(self.labels)))
        rows = [(loudness_db(waveform), len(waveform) / self.sample_rate) for waveform in waveforms]
        return dict(zip(MEASURED, np.array(rows).T))

    def positions(self, embedding=None):
        """(clips, 2), computed when first asked for; of the embedding on the left if none is named."""
        key = embedding or self.embedding, self.projection
        if key not in self._maps:
            values = self.embeddings[key[0]]
            self._maps[key] = pca(values)[0] if self.projection == "PCA" else tsne(values, self.seed)
        return self._maps[key]

    def class_of(self, index):
        """Name of a clip's class."""
        return self.classes[self.labels[index]] if self.labels[index] >= 0 else "unlabelled"

    def colours(self):
        """One colour ("#rrggbb") per clip, and the legend: list of (colour, text)."""
        if self.colour == "class":
            return colouring.by_class(self.labels, self.classes, self.selected)
        if self.colour in MEASURED:
            return colouring.by_number(self.measured[self.colour], MEASURED[self.colour])
        values = {"source": self.sources, OWN: self.marks.labels}.get(self.colour) or self.columns[self.colour]
        if colouring.is_number(values):
            return colouring.by_number(values)
        if self.colour == "source" or len(set(values) - {None}) > colouring.MOST:
            return colouring.by_own(values, self.selected, self.colour, self.labels, self.classes)
        return colouring.by_word(values)

    def points(self, embedding=None):
        """What a map draws: a list of {x, y, color, label}."""
        colours, _ = self.colours()
        return [
            {"x": round(float(x), 4), "y": round(float(y), 4), "color": colour, "label": self._tooltip(index)}
            for index, ((x, y), colour) in enumerate(zip(self.positions(embedding), colours))
        ]

    def _tooltip(self, index):
        text = f"{self.names[index]}, {self.class_of(index)}, {self.measured['loudness'][index]:.1f} dB"
        if self.colour in self.columns:
            value = self.columns[self.colour][index]
            text += f", {self.colour} " + ("unknown" if value is None else str(value))
        own = self.marks.labels[index]
        return text if own is None else f"{text}, {OWN} {own}"

    def neighbours(self, k=N_NEIGHBOURS):
        """The nearest other clips of the selected one in the full space: list of (index, distance)."""
        if self.embedding not in self._distances:
            self._distances[self.embedding] = cosine_distances(self.embeddings[self.embedding])
        distances = self._distances[self.embedding][self.selected].copy()
        distances[self.selected] = np.inf
        chosen = np.argsort(distances, kind="stable")[: min(k, len(distances) - 1)]
        return [(int(index), float(distances[index])) for index in chosen]

    def picture(self):
        """Log-mel spectrogram of the selected clip, and below it those of its four nearest neighbours.

        All share one scale of time and of level; the frames have the colours of the classes.
        """
        near = self.neighbours()
        shown = [self.selected, *(index for index, _ in near)]
        titles = [
            f"Selected: {_tail(self.names[self.selected], 56)}",
            *(
                f"{rank}: {_tail(self.class_of(index), 34)}, {distance:.2f}"
                for rank, (index, distance) in enumerate(near, start=1)
            ),
        ]
        colours, _ = colouring.by_class(self.labels, self.classes, self.selected)
        return self._picture.draw([self._heard(index) for index in shown], titles, [colours[index] for index in shown])

    def hear_marked(self):
        """From now on the sound is that of the marked clips, one after another.

        Raises:
            ValueError: nothing is marked.
        """
        if not self.marks.marked:
            raise ValueError("no clip is marked: draw a loop around some, or press m on one")
        starts = np.cumsum(
            [0.0]
            + [len(self._heard(index, ROW_S)) / self.sample_rate + GAP_S for index in self.marks.marked[:IN_A_ROW]]
        )
        self.playing, self.row = None, list(zip(starts.round(3).tolist(), self.marks.marked))[:IN_A_ROW]

    def sound(self):
        """The selected clip, the neighbour that ``playing`` says, or the row, as WAV bytes; of a clip at most 5 s."""
        if self.playing is None:
            silence = torch.zeros(round(GAP_S * self.sample_rate))
            parts = [part for _, index in self.row for part in (self._heard(index, ROW_S).float(), silence)]
            return wav(torch.cat(parts), self.sample_rate)
        return wav(self._heard(self._playing_index()), self.sample_rate)

    def caption(self):
        """HTML: what the clip is, how loud, its neighbours with class and distance, how many share class and source."""
        near, label = self.neighbours(), self.labels[self.selected]
        source = self.sources[self.selected]
        same_class = [label >= 0 and self.labels[index] == label for index, _ in near]
        same_source = [source is not None and self.sources[index] == source for index, _ in near]
        rows = [("", "nearest in the full space", "class", "distance", "")]
        for rank, (index, distance) in enumerate(near, start=1):
            other = label >= 0 and self.labels[index] >= 0 and not same_class[rank - 1]
            note = "same source" if same_source[rank - 1] else "other class" if other else ""
            rows.append((rank, self.names[index], self.class_of(index), f"{distance:.2f}", note))
        cells = [[f'<td style="padding-right:10px">{html.escape(str(cell))}</td>' for cell in row] for row in rows]
        table = "".join(f"<tr>{''.join(row)}</tr>" for row in cells)
        share = f"{sum(same_class)} of {len(near)} neighbours share its class, {sum(same_source)} its source"
        if label < 0:
            share = f"{sum(same_source)} of {len(near)} neighbours share its source"
        return (
            '<div style="line-height:1.4">'
            f"<b>{html.escape(self.names[self.selected])}</b>: {html.escape(self.class_of(self.selected))}, "
            f"source {html.escape('unknown' if source is None else str(source))}, "
            f"{self.measured['loudness'][self.selected]:.1f} dB. {share}."
            f"{self._heard_in_words()}"
            f'<table style="font-size:12px;line-height:1.35">{table}</table></div>'
        )

    def _heard_in_words(self):
        if self.playing is None:
            return f" You hear {len(self.row)} marked clips, one after another, at most {ROW_S:.0f} s of each."
        neighbour = html.escape(self.names[self._playing_index()])
        return f" You hear neighbour {self.playing}: {neighbour}." if self.playing else ""

    def marks_in_words(self):
        """How many clips are marked, and how many have which label of the reader's own."""
        counts = Counter(label for label in self.marks.labels if label is not None)
        words = f"{len(self.marks.marked)} marked"
        return words + (
            f"; labelled: {', '.join(f'{name} {count}' for name, count in counts.most_common())}" if counts else ""
        )

    def export(self, folder, stem="labels"):
        """Write every clip with its label, mark and places as a CSV table with a new name; returns its path.

        Raises:
            OSError: the folder cannot be written to.
        """
        marked = set(self.marks.marked)
        columns = {
            "name": self.names,
            OWN: self.marks.labels,
            "marked": [int(index in marked) for index in range(len(self.names))],
            "class": [self.classes[label] if label >= 0 else None for label in self.labels],
            "source": self.sources,
        }
        for suffix, embedding in (("", self.embedding), (" beside", self.beside)):
            if embedding:
                places = np.asarray(self.positions(embedding), float).round(4).tolist()
                columns[f"map{suffix}"] = [self.map_title(embedding)] * len(self.names)
                columns[f"x{suffix}"], columns[f"y{suffix}"] = zip(*places)
        for name, unit in MEASURED.items():
            columns[f"{name} ({unit.strip()})"] = self.measured[name].round(3).tolist()
        return write_new(folder, stem, columns | self.columns)

    def map_title(self, embedding):
        """ "after, t-SNE" """
        return f"{embedding}, {self.projection}"

    def _playing_index(self):
        return self.neighbours()[self.playing - 1][0] if self.playing else self.selected

    def _heard(self, index, most_s=MAX_SOUND_S):
        return torch.as_tensor(self.waveform(index))[: round(most_s * self.sample_rate)]


def _tail(text, most):
    return text if len(text) <= most else "…" + text[1 - most :]
