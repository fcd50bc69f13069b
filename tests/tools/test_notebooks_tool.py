"""Notebooks as files: executed clean, and copied without answers."""

import base64
import io
import re

import nbformat
import numpy as np
import pytest
from PIL import Image

from tools import notebooks


def notebook(*cells):
    made = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(source, metadata={"tags": tags}, id=f"c{place}")
            for place, (source, tags) in enumerate(cells)
        ]
    )
    made.metadata["kernelspec"] = {"display_name": "mine", "language": "python", "name": "mine"}
    return made


def test_execute_stores_outputs_without_widget_state_times_or_names_of_kernels(tmp_path):
    path = tmp_path / "page.ipynb"
    bar = ("print('draws: 100%|####| 2/2 [02:41<00:00, 80.71s/it]')", [])
    source = ("import ipywidgets\nslider = ipywidgets.IntSlider(7)\nslider", ["widget"])
    nbformat.write(notebook(("print(6 * 7)", []), source, bar), path)
    assert notebooks.execute(path) > 0
    done = nbformat.read(path, as_version=4)
    assert done.cells[0].outputs[0].text == "42\n" and [cell.execution_count for cell in done.cells] == [1, 2, 3]
    assert list(done.cells[1].outputs[0].data) == ["text/plain"] and "widgets" not in done.metadata
    assert done.cells[2].outputs == []
    assert done.cells[1].metadata == {"tags": ["widget"]} and done.metadata.kernelspec.name == "python3"


def test_pictures_take_fewer_bytes_and_look_the_same():
    generator = np.random.default_rng(0)
    smooth = np.linspace(0, 255, 200)[:, None] * np.ones((1, 300))
    noise = generator.uniform(0, 8, (200, 300, 3))
    picture = Image.fromarray((smooth[..., None] * [1, 0.5, 0.2] + noise).astype("uint8"))
    stored = io.BytesIO()
    picture.save(stored, "png")
    png = base64.b64encode(stored.getvalue()).decode()
    small = notebooks._fewer_colours(png)
    assert len(small) < 0.5 * len(png)
    seen = Image.open(io.BytesIO(base64.b64decode(small))).convert("RGB")
    assert np.abs(np.asarray(seen, int) - np.asarray(picture, int)).max() < 20
    assert notebooks._fewer_colours(small) == small


def test_a_notebook_that_raises_is_left_as_it_was(tmp_path):
    path = tmp_path / "page.ipynb"
    nbformat.write(notebook(("1 / 0", [])), path)
    before = path.read_bytes()
    with pytest.raises(Exception, match="ZeroDivisionError"):
        notebooks.execute(path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_a_kernel_that_never_answered_is_started_again_and_one_that_died_at_work_is_not():
    ends = ["Kernel died before replying to kernel_info", "Kernel died before replying to kernel_info", "Kernel died"]

    def start(page, port=0):
        if ends:
            raise RuntimeError(ends.pop(0))
        return page, port

    with pytest.raises(RuntimeError, match="^Kernel died$"):
        notebooks.with_a_kernel(start, "page")
    assert notebooks.with_a_kernel(start, "page", port=7) == ("page", 7)
    ends += ["Kernel died before replying to kernel_info"] * notebooks.KERNEL_TRIES
    with pytest.raises(RuntimeError, match="before replying"):
        notebooks.with_a_kernel(start, "page")
    assert ends == []


def test_students_get_the_exercise_and_not_the_answer(tmp_path, capsys):
    pages, copies = tmp_path / "pages", tmp_path / "copies"
    pages.mkdir()
    nbformat.write(
        notebook(("def f(): ...", ["exercise"]), ("secret = 1", ["solution"]), ("f()", [])), pages / "00_page.ipynb"
    )
    notebooks.main(["student", str(pages), str(copies)])
    assert capsys.readouterr().out == f"1 notebooks without solutions in {copies}\n"
    copy = nbformat.read(copies / "00_page.ipynb", as_version=4)
    assert [cell.source for cell in copy.cells] == ["def f(): ...", "f()"]
    assert "secret" in (pages / "00_page.ipynb").read_text()
    with pytest.raises(ValueError, match="folder of its own"):
        notebooks.write_student_edition(pages, pages)
    with pytest.raises(ValueError, match="no notebook there"):
        notebooks.write_student_edition(tmp_path / "empty", copies)


def test_what_keeps_a_notebook_from_being_committed_is_named(tmp_path, capsys):
    page = notebook(("print(1)", []), ("x = 1", []), ("1 / 0", []), ("slider", []))
    for count, cell in enumerate(page.cells, 1):
        cell.execution_count = count
    nbformat.write(page, tmp_path / "page.ipynb")
    assert notebooks.unclean(page) == []
    page.cells[0].outputs = [nbformat.v4.new_output("stream", text="stored in /home/me/runs\n")]
    page.cells[1].source = "\n".join(["x = 1"] * 31)
    page.cells[2].outputs = [nbformat.v4.new_output("error", ename="ZeroDivisionError", evalue="", traceback=[])]
    page.cells[3].outputs = [nbformat.v4.new_output("display_data", {notebooks.WIDGET_VIEW: {}})]
    page.cells[3].execution_count = 7
    assert [re.sub(r" \(.*", "", why) for why in notebooks.unclean(page)] == [
        "its cells were not run once, from the first to the last",
        "cell [1] prints a path or an address of one machine",
        "cell [2] has more than 30 lines",
        "cell [3] ends in an error or a warning",
        "cell [4] holds the state of a widget",
    ]
    nbformat.write(page, tmp_path / "wrong.ipynb")
    assert notebooks.main(["check", str(tmp_path / "page.ipynb")]) == 0
    assert notebooks.main(["check", str(tmp_path / "page.ipynb"), str(tmp_path / "wrong.ipynb")]) == 1
    assert f"{tmp_path / 'wrong.ipynb'}: cell [3]" in capsys.readouterr().out


def test_a_page_says_how_long_it_takes_and_cannot_go_stale():
    def text(words, **metadata):
        return nbformat.v4.new_markdown_cell(words, metadata=metadata)

    page = nbformat.v4.new_notebook(
        cells=[
            text("# 1 · A title"),
            text("## Thread\n\n" + "word " * 297 + "\n```\nno word\n```"),
            text("### Aside\n\n" + "word " * 100, **{"jp-MarkdownHeadingCollapsed": True}),
            text("word " * 100),
            text("## Thread again\n\n**References.** " + "word " * 900),
        ]
    )
    assert notebooks.words(page) == (303, 201)
    notebooks.state_time(page, 61)
    assert page.cells[0].source == (
        "# 1 · A title\n\n*About 5 minutes: 3 of text, 2 of running; 2 more in folded sections, which can be skipped.*"
    )
    notebooks.state_time(page)
    assert page.cells[0].source.count("About 5 minutes") == 1
    page.cells[1].source += " and" * 200
    notebooks.state_time(page)
    assert page.cells[0].source.endswith(
        "*About 6 minutes: 4 of text, 2 of running; 2 more in folded sections, which can be skipped.*"
    )
