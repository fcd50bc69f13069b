"""A map of points to click, drawn as SVG circles by the page itself: no network, no server, no canvas to guess at."""

from pathlib import Path

import anywidget
import traitlets


def _text(name):
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


class EmbeddingScatter(anywidget.AnyWidget):
    """Points in a plane to select, mark and zoom into.

    A click, or Enter on the point that has the focus, selects one; arrow keys move the focus. A loop drawn with the
    mouse marks the points in it (with Shift in addition); Shift and an arrow, Shift and a click, or the key m mark one
    by one, Escape unmarks. ``+``, ``-``, or Ctrl and the wheel zoom, 0 shows the whole again.

    Attributes:
        points: list of {x, y, color, label}; any scale, y upwards; the label is the tooltip.
        selected: index of the point with the dark ring, -1 for none; set it from either side.
        neighbours: indices of points with a light ring, numbered from 1 in this order.
        marked: indices of the points that stand out, ascending; set it from either side.
        legend: list of {color, label}.
        title: text above it.
        row: list of [second, index]: when which point is heard in the player of the panel.
    """

    _esm = _text("map_geometry.js") + _text("scatter.js")
    _css = _text("scatter.css")
    points: traitlets.List = traitlets.List().tag(sync=True)
    selected = traitlets.Int(-1).tag(sync=True)
    neighbours: traitlets.List = traitlets.List().tag(sync=True)
    marked: traitlets.List = traitlets.List().tag(sync=True)
    legend: traitlets.List = traitlets.List().tag(sync=True)
    title = traitlets.Unicode("").tag(sync=True)
    row: traitlets.List = traitlets.List().tag(sync=True)

    def __repr__(self):
        return f"EmbeddingScatter of {len(self.points)} points; run this cell to use it"
