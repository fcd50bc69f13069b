"""The site: links are checked, what it would fetch is named, widgets become pictures."""

import os

import nbformat
import pytest

from tools import site


def test_dead_links_and_things_from_elsewhere_are_named(tmp_path):
    (tmp_path / "a.html").write_text(
        '<h1 id="top">A</h1><a href="b.html#there">b</a><a href="https://example.org">out</a>'
    )
    (tmp_path / "b.html").write_text('<p id="there"><a href="a.html">a</a></p><img src="data:image/png;base64,AA">')
    assert site.faults(tmp_path) == []
    (tmp_path / "b.html").write_text('<a href="c.html">c</a><script src="https://cdn.example.org/x.js"></script>')
    assert site.faults(tmp_path) == [
        "a.html: b.html#there has no such place",
        "b.html: c.html is not there",
        "b.html: fetches https://cdn.example.org/x.js",
    ]


def test_links_to_what_is_no_part_of_the_site_say_their_path(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "b.md").write_text("b")
    text = "[b](docs/b.md#part), [code](tools/site.py), [web](https://example.org) and [here](#here)"
    assert site._inside(text, tmp_path) == text.replace("[code](tools/site.py)", "code (`tools/site.py`)")


def test_a_widget_becomes_a_picture_and_says_how_to_run_it(tmp_path):
    page = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("panel", metadata={"tags": ["widget"]}),
            nbformat.v4.new_code_cell("answer = 1", metadata={"tags": ["solution"]}),
        ]
    )
    cells = site._for_reading(page, tmp_path / "07_page.ipynb").cells
    assert "panel_embedding.png" in cells[1].source and "`make lab`" in cells[1].source
    assert "hide-cell" in cells[2].metadata["tags"]


def test_what_needs_a_kernel_is_tagged_and_has_its_picture():
    for path in sorted(site.ROOT.glob("notebooks/[0-9]*.ipynb")):
        for cell in nbformat.read(path, as_version=4).cells:
            shown = "".join(output.get("data", {}).get("text/plain", "") for output in cell.get("outputs", []))
            assert ("run this cell" in shown) == ("widget" in cell.metadata.get("tags", [])), (path.name, shown)
            if "widget" in cell.metadata.get("tags", []):
                assert (site.ROOT / "figures" / f"{site.PICTURES[path.name[:2]]}.png").is_file(), path.name


@pytest.mark.skipif(os.environ.get("ACSSM_SLOW") != "1", reason="half a minute; ACSSM_SLOW=1 builds the site")
def test_the_site_builds_without_a_warning_and_has_every_page(tmp_path):
    pytest.importorskip("myst_nb")
    assert site.main([str(tmp_path / "site")]) == 0
    for page in (*site.ROOT.glob("notebooks/[0-9]*.ipynb"), *site.ROOT.glob("docs/*.md")):
        assert (tmp_path / "site" / page.relative_to(site.ROOT)).with_suffix(".html").is_file()
