"""The explorer of notebook 07: menus, one map or two, and beside them the clip that was clicked.

``embedding_state.EmbeddingState`` has all that is shown; here is where it stands on the screen.
"""

import html

import ipywidgets as widgets

from acssm_lib.course.embedding_state import N_NEIGHBOURS, OWN, PROJECTIONS
from acssm_lib.course.panel import Panel
from acssm_lib.course.scatter import EmbeddingScatter

NO_OTHER = "(none)"


class EmbeddingPanel(Panel):
    """The explorer: menus above, maps on the left with what to do with marked clips, the clicked clip on the right.

    Args:
        state: an ``EmbeddingState``.
        folder: where tables of labels go; made when the first is written.
    Attributes:
        scatter: an ``EmbeddingScatter``; set ``scatter.selected`` or ``scatter.marked`` to drive the panel from code.
        second: the map beside it, shown once ``controls["beside"]`` names an embedding.
        word, hear, give, undo, export: the box for a label and the buttons, with ``click()``.
        told: what the last of them did.
    """

    def __init__(self, state, folder="../runs/explorer"):
        self.folder = folder
        self.scatter, self.second = EmbeddingScatter(selected=state.selected), EmbeddingScatter(selected=state.selected)
        self.scatter.add_class("t-scatter")
        self.second.add_class("t-second")
        self.maps = widgets.HBox([self.scatter])
        self.maps.add_class("acssm-maps")
        self.told = widgets.HTML()
        self.told.add_class("t-told")
        self.word = widgets.Combobox(
            placeholder="label",
            options=state.classes,
            ensure_option=False,
            continuous_update=False,  # else a click overtakes the last letters
            layout=widgets.Layout(flex="1 1 80px", width="auto", min_width="70px", max_width="170px"),
        )
        self.word.add_class("t-word")
        self.hear = self._button("hear", "the marked clips, one after another", self._hear)
        self.give = self._button(
            "label",
            "give the marked clips the label in the box; an empty box takes it away",
            lambda: self._marked(lambda: state.marks.label(self.word.value)),
        )
        self.undo = self._button("undo", "take back the last marks or labels", lambda: self._marked(self._undo))
        self.export = self._button("export", "write names, labels and places as a CSV table", self._export)
        super().__init__(
            state,
            {
                "embedding": _menu("embedding", state.embeddings, state.embedding),
                "beside": _menu(
                    "beside it", [(NO_OTHER, ""), *((name, name) for name in state.embeddings)], state.beside
                ),
                "projection": _menu("projection", PROJECTIONS, state.projection),
                "colour": _menu("colour", state.colour_names(), state.colour),
                "playing": widgets.ToggleButtons(
                    options=[("clip", 0)] + [(str(rank), rank) for rank in range(1, len(state.neighbours()) + 1)],
                    value=0,
                    tooltips=["hear the selected clip"] + ["hear this neighbour"] * N_NEIGHBOURS,
                    style={"button_width": "44px"},
                    layout=widgets.Layout(width="max-content"),
                ),
            },
            538,
        )
        for scatter in (self.scatter, self.second):
            scatter.observe(self._select, "selected")
            scatter.observe(self._mark, "marked")
        self.children = [self.arrange(), self._side_by_side()]

    def arrange(self):
        """The menus; the buttons that say what to hear stand beside the player."""
        return widgets.HBox(
            [self.controls[name] for name in ("embedding", "beside", "projection", "colour")],
            layout=widgets.Layout(flex_flow="row wrap"),
        )

    def _side_by_side(self):
        """Maps and clip shrink together and never wrap: what a click changes is seen where one clicks."""
        row = widgets.Layout(align_items="center", flex_flow="row wrap")
        marks = widgets.HBox([self.hear, self.word, self.give, self.undo, self.export, self.told], layout=row)
        left = widgets.VBox([self.maps, marks])
        left.add_class("acssm-left")
        heard = widgets.HBox([widgets.Label("hear"), self.controls["playing"], self.audio], layout=row)
        clip = widgets.VBox([self.image, heard, self.label])
        clip.add_class("acssm-clip")
        self.audio.layout = widgets.Layout(flex="1 1 130px", width="auto", min_width="110px", max_width="300px")
        both = widgets.HBox([left, clip], layout=widgets.Layout(flex_flow="row nowrap"))
        both.add_class("acssm-beside")
        return both

    def add_column(self, name, values):
        """One more column to colour by, also while the panel is shown; raises as ``EmbeddingState.add_column``."""
        self.state.add_column(name, values)
        menu, chosen = self.controls["colour"], self.state.colour
        menu.options = self.state.colour_names()
        menu.value = chosen  # new options have set it to the first
        self.show_maps()

    def change(self, name, value):
        if name == "selected" and self.controls["playing"].value != 0:
            self.state.selected = value
            self.controls["playing"].value = 0  # its own change draws
        elif name != "playing" or value is not None:  # None: clips are heard in a row, which ``_hear`` shows
            super().change(name, value)

    def show(self):
        super().show()
        self.show_maps()

    def show_maps(self):
        """Places, colours and rings, without drawing the clip again."""
        state, two = self.state, bool(self.state.beside)
        legend = [{"color": colour, "label": text} for colour, text in state.colours()[1]]
        for scatter, embedding in ((self.scatter, state.embedding), (self.second, state.beside)):
            if embedding:
                with scatter.hold_sync():
                    scatter.points = state.points(embedding)
                    scatter.title = state.map_title(embedding) if two else ""
                    scatter.legend = legend if scatter is self.scatter else []
                    scatter.selected, scatter.marked = state.selected, state.marks.marked
                    scatter.neighbours = [index for index, _ in state.neighbours()]
                    scatter.row = [list(part) for part in state.row] if state.playing is None else []
        shown = [self.scatter, self.second] if two else [self.scatter]
        if list(self.maps.children) != shown:
            self.maps.children = shown
            (self.maps.add_class if two else self.maps.remove_class)("two")
        self.told.value = html.escape(state.marks_in_words())

    def _button(self, text, tooltip, action):
        button = widgets.Button(description=text, tooltip=tooltip, layout=widgets.Layout(width="auto"))
        button.add_class(f"t-do-{text}")
        button.on_click(lambda _: action())
        return button

    def _select(self, change):
        if change["new"] != self.state.selected:  # else it is one map that follows the other
            self.change("selected", change["new"])

    def _mark(self, change):
        if change["new"] != self.state.marks.marked:
            self._marked(lambda: self.state.marks.mark(change["new"]))

    def _marked(self, step):
        """Marks or labels change: all maps show it, and what cannot be done is said."""
        try:
            step()
        except ValueError as error:
            self.told.value = html.escape(str(error))
            return
        own = self.state.marks.labels
        self.word.options = list(dict.fromkeys([*self.state.classes, *(name for name in own if name is not None)]))
        self.show_maps()

    def _undo(self):
        if not self.state.marks.undo():
            raise ValueError("there is nothing to undo")

    def _hear(self):
        try:
            self.state.hear_marked()
        except ValueError as error:
            self.told.value = html.escape(str(error))
            return
        self.controls["playing"].value = None
        self.audio.autoplay = True
        self.show()

    def _export(self):
        try:
            path = self.state.export(self.folder)
        except OSError as error:
            self.told.value = f"<b>Not written:</b> {html.escape(str(error))}"
            return
        self.told.value = f"written: {html.escape(str(path))}" + (
            "" if any(self.state.marks.labels) else f"; no clip has a label of yours, so “{OWN}” is empty"
        )


def _menu(name, options, value):
    return widgets.Dropdown(
        options=list(options),
        value=value,
        description=name,
        layout=widgets.Layout(width="172px"),
        style={"description_width": "initial"},
    )
