"""Every page on other data: what is asked of a page, and how what stops is told."""

import nbformat

from acssm_lib import presets
from acssm_lib.data import datasets
from tools import everywhere


def test_the_folder_of_short_clips_is_what_the_pages_take(tmp_path):
    folder = everywhere.short_clips(tmp_path / "short")
    opened = datasets.load("folder", folder, preset=presets.preset("quick"))
    datasets.require_shots(opened, "all", 5)
    lengths = [len(opened.waveform(i)) for i in range(0, 60, 7)]
    assert max(lengths) < presets.preset("quick").n_samples and len(set(lengths)) == len(lengths)
    assert len(opened.classes) == 5 and (opened.labels == -1).sum() == 12
    assert len({opened.sources[i] for i in range(12)}) == 6


def test_a_page_gets_the_settings_that_it_has_and_one_that_stops_is_named(tmp_path, monkeypatch, capsys):
    asked = []

    def ended(page, out, parameters):
        asked.append((page.name[:2], parameters))
        return ("cell [3]: IndexError: 7143" if parameters["dataset"] == "folder" else None), 1.0

    monkeypatch.setattr(everywhere, "ended", ended)
    assert everywhere.main(["--digits", str(tmp_path), "--pages", "05", "09", "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr().out
    assert "05_few_shot_finetuning, spoken-digits D1: ran" in told and "folder all: cell [3]: IndexError: 7143" in told
    assert "09_from_card_to_table: takes no data set" in told
    (name, given), _ = asked
    assert name == "05" and given["data"] == str(tmp_path) and given["n_finetuned"] == 2
    assert given["overrides"]["pretrain_epochs"] == 2 and "memory_steps" not in given


def test_where_and_why_a_page_stopped(tmp_path):
    page = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("data = None", metadata={"tags": ["parameters"]}),
            nbformat.v4.new_code_cell("assert data is None, 'short\\nof clips'"),
        ]
    )
    page.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(page, tmp_path / "page.ipynb")
    why, _ = everywhere.ended(tmp_path / "page.ipynb", tmp_path / "done.ipynb", {"data": "here"})
    assert why == "cell [3]: AssertionError: short"
    assert everywhere.ended(tmp_path / "page.ipynb", tmp_path / "done.ipynb", {})[0] is None
