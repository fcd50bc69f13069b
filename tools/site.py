"""The course as a static site that needs no network: notebooks with what they show, docs/, and the library's reference.

    python -m tools.site build/site

Nothing is executed. A warning of Sphinx, a link that leads nowhere, or anything that a page would fetch from
elsewhere ends the build.
"""

import argparse
import ast
import html
import re
import shutil
import subprocess
import sys
import urllib.parse
from html.parser import HTMLParser
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[1]
# A widget needs a kernel: its page shows this picture, and how to get the widget.
PICTURES = {
    "00": "panel_quiz",
    "01": "panel_spectrogram",
    "03": "panel_kernel",
    "07": "panel_embedding",
    "09": "panel_listening",
}
FILES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "CITATION.cff", "LICENSE", "docs", "figures")


def lay_out(folder):
    """Write the folder that Sphinx reads: the repository's own layout, so that links between its files hold."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "notebooks").mkdir(parents=True)
    for name in FILES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("metrics*", "*.json", "*.csv"))
        else:
            shutil.copy(ROOT / name, folder / name)
    for path in (*folder.glob("*.md"), *(folder / "docs").glob("*.md")):
        path.write_text(_inside(path.read_text(encoding="utf-8"), path.parent), encoding="utf-8")
    shutil.copytree(ROOT / "site" / "_static", folder / "_static")
    shutil.copy(ROOT / "site" / "conf.py", folder)
    pages = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
    pages = [Path(shutil.copy(path, folder / "notebooks")) for path in pages]
    for path in pages:
        nbformat.write(_for_reading(nbformat.read(path, as_version=4), path), path)
    rooms = _reference(folder / "api")
    toc = [
        ("The course", [f"notebooks/{path.stem}" for path in pages]),
        ("More to read", [f"docs/{path.stem}" for path in sorted((ROOT / "docs").glob("*.md"))]),
        ("The library", rooms),
        ("The project", ["CONTRIBUTING", "CHANGELOG"]),
    ]
    trees = [
        "```{toctree}\n:hidden:\n:caption: " + caption + "\n\n" + "\n".join(names) + "\n```" for caption, names in toc
    ]
    readme = folder / "README.md"
    readme.write_text("\n\n".join([readme.read_text(encoding="utf-8"), *trees, ""]), encoding="utf-8")


def _inside(text, here):
    """A page whose links to code and records, which are no part of the site, say their path instead."""

    def link(match):
        target = (here / match[2].partition("#")[0]).resolve()
        inside = re.match(r"https?:|#|mailto:", match[2]) or target.is_file()
        return match[0] if inside else f"{match[1]} (`{match[2].removeprefix('../')}`)"

    return re.sub(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)", link, text)


def _for_reading(notebook, path):
    """A page whose widgets are pictures, and whose answers are folded; ``path`` says where it will be."""
    cells = []
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if "solution" in tags:
            cell.metadata["tags"] = [*tags, "hide-cell"]
        if "widget" in tags:
            picture = PICTURES.get(path.name[:2], "")
            there = (ROOT / "figures" / f"{picture}.png").exists()
            shown = f"![The panel](../figures/{picture}.png)\n\n" if there else ""
            cell.outputs = []
            cells += [
                cell,
                nbformat.v4.new_markdown_cell(
                    f"{shown}*Here the page has a panel to turn and to hear, which needs Python: `make lab` opens it, "
                    f"in `notebooks/{path.name}`{', and the picture shows it' if shown else ''}.*"
                ),
            ]
        else:
            if cell.cell_type == "markdown":
                cell.source = _inside(cell.source, path.parent)
            cells.append(cell)
    notebook.cells = cells
    return notebook


def _reference(folder):
    """A page of reference per room; names of the pages."""
    folder.mkdir(parents=True)
    names, library = [], ROOT / "acssm_lib"
    rooms = [library, *sorted(path.parent for path in library.glob("*/__init__.py"))]
    for room in rooms:
        words = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8"))) or ""
        name = room.relative_to(ROOT).as_posix().replace("/", ".")
        lines = [f"# {name}", "", words, ""]
        for module in sorted(room.glob("[a-z]*.py")):
            lines += [
                f"## {module.stem}",
                "",
                "```{eval-rst}",
                f".. automodule:: {name}.{module.stem}",
                "   :members:",
                "```",
                "",
            ]
        (folder / f"{name}.md").write_text("\n".join(lines), encoding="utf-8")
        names.append(f"api/{name}")
    return names


class _Page(HTMLParser):
    """Anchors, links, and what a page fetches as it opens."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.fetched = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        own = dict(attributes)
        self.anchors |= {own[name] for name in ("id", "name") if own.get(name)}
        if tag == "a" and own.get("href"):
            self.links.append(own["href"])
        self.fetched += [
            own[name]
            for name in ("src", "href", "data")
            if own.get(name) and (tag not in ("a",) if name == "href" else True)
        ]


def faults(site):
    """Links that lead nowhere and things fetched from elsewhere, as sentences.

    Args:
        site: folder of the built pages.
    """
    pages = {
        path: _Page(path.read_text(encoding="utf-8"))
        for path in Path(site).rglob("*.html")
        if "_static" not in path.parts
    }  # the theme's own templates
    found = []
    for path, page in pages.items():
        for link in {*page.links, *page.fetched}:
            address = urllib.parse.urlsplit(html.unescape(link))
            if address.scheme in ("http", "https") or address.netloc:
                if link in page.fetched:
                    found.append(f"{path.relative_to(site)}: fetches {link}")
                continue
            if address.scheme:
                continue
            target = (path.parent / urllib.parse.unquote(address.path)).resolve() if address.path else path
            if not target.is_file():
                found.append(f"{path.relative_to(site)}: {link} is not there")
            elif address.fragment and target in pages and address.fragment not in pages[target].anchors:
                found.append(f"{path.relative_to(site)}: {link} has no such place")
    return sorted(found)


def main(argv=None):
    """The command line above; 0 when the site is whole."""
    parser = argparse.ArgumentParser(prog="python -m tools.site", description="Build the static site of the course.")
    parser.add_argument("out", nargs="?", type=Path, default=ROOT / "build" / "site")
    out = parser.parse_args(argv).out.resolve()
    source = out.with_name(f"{out.name}-source")
    lay_out(source)
    done = subprocess.run(
        [
            sys.executable,
            *"-m sphinx -W --keep-going -q -E -b html -d".split(),
            str(out.with_name(f"{out.name}-cache")),
            str(source),
            str(out),
        ],
        cwd=ROOT,
    )
    if done.returncode:
        return done.returncode
    (out / "index.html").write_text(
        '<!doctype html><meta charset="utf-8"><title>AcousticSSM</title>'
        '<meta http-equiv="refresh" content="0; url=README.html">'
        '<a href="README.html">The course</a>\n',
        encoding="utf-8",
    )
    found = faults(out)
    print("\n".join(found) or f"{out / 'index.html'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
