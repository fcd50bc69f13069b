"""A map of points to click, drawn as SVG circles by the page itself: no network, no server, no canvas to guess at."""

from pathlib import Path

import anywidget
import traitlets


class EmbeddingScatter(anywidget.AnyWidget):
    """Points in a plane; a click, or Enter on the point that has the focus, selects one. Arrow keys move the focus.

    Attributes:
        points: list of {x, y, color, label}; any scale, y upwards; the label is the tooltip.
        selected: index of the point with the dark ring, -1 for none; set it from either side.
        neighbours: indices of points with a light ring, numbered from 1 in this order.
        legend: list of {color, label}.
    """

    _esm = Path(__file__).with_name("scatter.js").read_text(encoding="utf-8")
    _css = Path(__file__).with_name("scatter.css").read_text(encoding="utf-8")
    points: traitlets.List = traitlets.List().tag(sync=True)
    selected = traitlets.Int(-1).tag(sync=True)
    neighbours: traitlets.List = traitlets.List().tag(sync=True)
    legend: traitlets.List = traitlets.List().tag(sync=True)

    def __repr__(self):
        return f"EmbeddingScatter of {len(self.points)} points; run this cell to use it"
