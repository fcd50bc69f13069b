"""The listening page: keys, picture and sound of a ``ListeningState``, drawn by the browser itself, without a network.

Needs the extra ``lab``; `acssm survey label` opens it, and notebook 09 shows it.
"""

from pathlib import Path

import anywidget
import traitlets

from acssm_lib.course.panel import png
from acssm_lib.recordings.asking import ORDERS
from acssm_lib.recordings.listening import AXES


class ListeningPage(anywidget.AnyWidget):
    """One window at a time: spectrogram, sound, a button and a key for every answer.

    Keys: 1 to 9 a class (with Shift one of several, Enter when they are all chosen), 0 none of these, u unsure, z undo,
    space plays. Every key is also a button. What the page sends carries the number of its question, so that a key
    pressed twice does not answer the next window.

    Args:
        state: a ``ListeningState``.
    """

    _esm = Path(__file__).with_name("listening.js").read_text(encoding="utf-8")
    _css = Path(__file__).with_name("listening.css").read_text(encoding="utf-8")
    picture = traitlets.Bytes(b"").tag(sync=True)
    sound = traitlets.Bytes(b"").tag(sync=True)
    question = traitlets.Dict().tag(sync=True)
    classes: traitlets.List = traitlets.List().tag(sync=True)
    orders: traitlets.List = traitlets.List().tag(sync=True)
    axes: traitlets.List = traitlets.List(list(AXES)).tag(sync=True)

    def __init__(self, state):
        super().__init__(classes=state.classes, orders=[] if state.review_of else list(ORDERS))
        self.state, self._sent = state, 0
        self.on_msg(lambda _, content, buffers: self.receive(content))
        self.show()

    def receive(self, content):
        """What the page asked for: {action, asked, names or order}."""
        state, action = self.state, content.get("action")
        if content.get("asked") not in (None, state.asked):
            return
        try:
            if action == "answer":
                state.answer([name for name in content.get("names", []) if name in state.classes])
            elif action == "unsure":
                state.answer(unsure=True)
            elif action == "undo":
                state.undo()
            elif action == "order":
                state.order = content["order"]
        except Exception as error:  # in a callback nobody would see it
            state.message = f"{type(error).__name__}: {error}"
        self.show()

    def show(self):
        """Send the present question to the page."""
        state, picture, sound, message = self.state, b"", b"", self.state.message
        if state.window is not None:
            try:
                picture, sound = png(state.picture()), state.sound()
            except Exception as error:
                gone = not state.index.recordings.is_dir()
                message = (
                    "The recordings are gone (a disk that was taken out?): put it back, and load this page, or "
                    "run the cell, again."
                    if gone
                    else f"{error} (answer u to go on)"
                )
        self._sent += 1  # so that the page hears of it even where nothing else has changed
        with self.hold_sync():
            self.picture, self.sound = picture, sound
            self.question = {
                "sent": self._sent,
                "asked": state.asked,
                "title": state.title(),
                "progress": state.progress(),
                "forecast": state.forecast(),
                "message": message,
                "order": state.order,
                "done": state.window is None,
            }

    def __repr__(self):
        return "ListeningPage: run this cell to use it; the figure above shows its first view"
