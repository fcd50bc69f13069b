"""Sphinx reads this for `make site`; tools/site.py lays out the folder that is built."""

import re

project = "AcousticSSM"
author = "the contributors"
html_title = "AcousticSSM, the notebook course"
root_doc = "README"
source_suffix = {".md": "myst-nb", ".ipynb": "myst-nb"}
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "tools.site_math"]

nb_execution_mode = "off"  # pages are stored with their outputs
nb_mime_priority_overrides = [("html", "application/vnd.jupyter.widget-view+json", None)]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 4
myst_dmath_double_inline = True
suppress_warnings = ["myst.header"]  # pages begin their exercises at the third level

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # shapes and units stand in the docstrings
autodoc_inherit_docstrings = False  # torch says the same of every forward
napoleon_numpy_docstring = False
napoleon_use_rtype = False

add_module_names = False
highlight_language = "none"  # of docstrings, which show formulas

html_theme = "sphinx_book_theme"
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_copy_source = False
html_show_sourcelink = False
html_context = {"default_mode": "auto"}  # dark where the reader's system is
html_theme_options = {
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "navigation_with_keys": True,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}


def tidy(app, what, name, thing, options, lines):
    """Our docstrings as reStructuredText: what is indented by itself is shown as it is, and bars are only bars."""
    made, before, literal = [], 0, False
    for line in lines:
        indent = len(line) - len(line.lstrip())
        if line.strip():
            last = next((one for one in reversed(made) if one.strip()), "")
            if indent and not before and not re.fullmatch(r"[A-Z][\w ]*:", last) and not re.match(r"[*-]|\d+\. ", last):
                made += ["", "::", ""]
                literal = True
            elif indent < before:
                made.append("")
            literal, before = literal and indent > 0, indent
        made.append(line if literal else line.replace("|", r"\|"))
    lines[:] = made


def setup(app):
    app.connect("autodoc-process-docstring", tidy, priority=400)  # before napoleon
