import re

import pytest

pytest.importorskip("anywidget")

from acssm_lib.course.scatter import EmbeddingScatter


def test_the_page_fetches_nothing():
    addresses = set(re.findall(r"https?://[^\"'\s]+", EmbeddingScatter._esm + EmbeddingScatter._css))
    assert addresses == {"http://www.w3.org/2000/svg"}  # the name of SVG, never fetched
    assert "import " not in EmbeddingScatter._esm and "@import" not in EmbeddingScatter._css


def test_every_trait_of_the_script_is_one_of_the_widget():
    used = set(re.findall(r'(?:model\.get|\bset)\("(\w+)"', EmbeddingScatter._esm))
    assert used == {"points", "selected", "neighbours", "marked", "legend", "title", "row"}
    scatter = EmbeddingScatter()
    assert used <= set(scatter.get_state())


def test_selection_is_observed_and_nothing_shows_an_address():
    scatter, seen = EmbeddingScatter(points=[{"x": 0, "y": 0, "color": "#000000", "label": "one"}]), []
    scatter.observe(lambda change: seen.append(change["new"]), "selected")
    scatter.selected = 0
    assert seen == [0] and "0x" not in repr(scatter) and "1 point" in repr(scatter)
