"""Formulas as MathML, which browsers draw by themselves: no script, no fonts, no network."""

import re

from latex2mathml.converter import convert


def setup(app):
    """An extension of Sphinx: how HTML shows the nodes of formulas."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.config.html_math_renderer = "mathml"
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def spaced(formula):
    r"""A formula with the thin space that LaTeX puts behind the name of a function: ``\ln 32``."""
    return re.sub(r"\\(ln|log|exp|cos|sin|min|max)\s+(?=\w)", r"\\\1\\,", formula)


def _inline(writer, node):
    writer.body.append(convert(spaced(node.astext())))
    raise _skip()


def _block(writer, node):
    writer.body.append(f'<div class="math">{convert(spaced(node.astext()), display="block")}</div>')
    raise _skip()


def _skip():
    from docutils.nodes import SkipNode

    return SkipNode()
