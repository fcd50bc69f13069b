"""What the widget panels share. A panel is a thin view: controls set a plain state object, which makes the pictures.

Pictures and sounds are set as values of ``Image`` and ``Audio`` widgets. An ``Output`` area is never used: a page
that is executed in batch can stall on it. Nothing is fetched from a network.
"""

import io

import ipywidgets as widgets

from acssm_lib.plots import DPI


def png(fig):
    """A figure (``plots.canvas``) as the bytes of a PNG file."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=DPI, facecolor="white")
    return buffer.getvalue()


class Panel(widgets.VBox):
    """Controls above a picture, a player and a line of text.

    Args:
        state: has ``picture()`` -> figure, ``sound()`` -> WAV bytes or None, ``caption()`` -> text.
        controls: field of the state -> widget with a ``value``; a change sets the field, then everything is redrawn.
        width: of the picture, pixels.
    Attributes:
        state, controls, image, audio, label: for those who drive the panel from code; each control carries the
        class ``t-<field>``, the panel ``t-panel``, so that a browser test finds them.
    A setting that cannot be drawn is said in the line of text and the last good picture stays: an exception in a
    callback would be seen by nobody.
    """

    def __init__(self, state, controls, width):
        self.state, self.controls = state, controls
        self.image = widgets.Image(
            format="png", layout=widgets.Layout(width=f"{width}px", max_width="calc(100% - 4px)", height="auto")
        )
        self.audio = widgets.Audio(format="wav", autoplay=False, loop=False)
        self.label = widgets.HTML()
        for name, control in controls.items():
            control.add_class(f"t-{name}")
            control.observe(lambda change, name=name: self.change(name, change["new"]), "value")
        self.image.add_class("t-image")
        self.audio.add_class("t-audio")
        self.label.add_class("t-label")
        super().__init__([self.arrange(), self.image, self.audio, self.label])
        self.add_class("t-panel")
        self.show()

    def arrange(self):
        """The controls as one widget; a subclass may group them."""
        return widgets.HBox(list(self.controls.values()), layout=widgets.Layout(flex_flow="row wrap"))

    def change(self, name, value):
        """A control was turned: set the state, redraw, and let the sound start by itself from now on."""
        setattr(self.state, name, value)
        self.audio.autoplay = True
        self.show()

    def show(self):
        """Draw the state as it is."""
        try:
            picture, sound, caption = png(self.state.picture()), self.state.sound(), self.state.caption()
        except Exception as error:
            self.label.value = f"<b>{type(error).__name__}:</b> {error}"
            return
        self.image.value = picture
        if sound is not None and sound != self.audio.value:
            self.audio.value = sound
        self.label.value = caption

    def __repr__(self):
        return f"{type(self).__name__}: run this cell to use it; the figure above shows its first view"
