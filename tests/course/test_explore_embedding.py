"""The explorer driven from code: what its widgets do to the state, and what they show of it."""

import io

import pytest
import soundfile

pytest.importorskip("anywidget")

from acssm_lib.course.explore_embedding import EmbeddingPanel


def test_panel_driven_from_code(state):
    panel = EmbeddingPanel(state)
    picture, sound = panel.image.value, panel.audio.value
    assert picture[:4] == b"\x89PNG" and not panel.audio.autoplay
    panel.scatter.selected = 5
    assert panel.image.value != picture and panel.audio.value != sound and panel.audio.autoplay
    samples, _ = soundfile.read(io.BytesIO(panel.audio.value))
    assert samples == pytest.approx(state.waveform(5).numpy(), abs=1e-4)
    assert "<b>clip 5</b>" in panel.label.value
    assert panel.scatter.neighbours == [index for index, _ in state.neighbours()]

    panel.controls["playing"].value = 1
    assert "You hear neighbour 1" in panel.label.value and panel.scatter.selected == 5
    panel.scatter.selected = 6  # another clip: heard first, not its neighbour
    assert panel.controls["playing"].value == 0 and "<b>clip 6</b>" in panel.label.value
    assert "You hear" not in panel.label.value

    points = panel.scatter.points
    panel.controls["projection"].value = "PCA"
    assert panel.scatter.points != points
    panel.controls["colour"].value = "loudness"
    assert panel.scatter.legend[0]["label"].endswith("dB")


def test_a_clip_that_cannot_be_read_is_said_and_the_picture_stays(state):
    panel = EmbeddingPanel(state)
    picture, good = panel.image.value, state.waveform

    def waveform(index):
        if index == 7:
            raise OSError("gone.wav: no such file")
        return good(index)

    state.waveform = waveform
    panel.scatter.selected = 7
    assert "gone.wav" in panel.label.value and panel.image.value == picture


def test_marks_of_one_map_are_those_of_the_other(state):
    panel = EmbeddingPanel(state)
    assert panel.maps.children == (panel.scatter,)
    panel.controls["beside"].value = "before"
    assert panel.maps.children == (panel.scatter, panel.second)
    assert panel.scatter.title == "after, t-SNE" and panel.second.title == "before, t-SNE"
    panel.second.marked = [2, 5]
    assert panel.scatter.marked == state.marks.marked == [2, 5] and panel.told.value == "2 marked"
    panel.scatter.marked = [7]
    assert panel.second.marked == [7]
    panel.second.selected = 4
    assert panel.scatter.selected == state.selected == 4 and "<b>clip 4</b>" in panel.label.value
    assert panel.second.neighbours == panel.scatter.neighbours == [index for index, _ in state.neighbours()]
    panel.controls["beside"].value = ""
    assert panel.maps.children == (panel.scatter,) and panel.scatter.title == ""


def test_marking_does_not_draw_the_clip_again(state):
    panel = EmbeddingPanel(state)
    state.picture = lambda: pytest.fail("drawn again")
    panel.scatter.marked = [1]
    panel.word.value = "odd"
    panel.give.click()
    panel.undo.click()


def test_label_and_undo_buttons(state):
    panel = EmbeddingPanel(state)
    panel.give.click()
    assert "no clip is marked" in panel.told.value
    panel.undo.click()
    assert panel.told.value == "there is nothing to undo"
    panel.scatter.marked, panel.word.value = [2, 5], " <odd> "
    panel.controls["colour"].value = "my label"
    panel.give.click()
    assert panel.told.value == "2 marked; labelled: &lt;odd&gt; 2" and "<odd>" in panel.word.options
    assert panel.scatter.points[2]["color"] == panel.scatter.points[5]["color"] != panel.scatter.points[3]["color"]
    panel.undo.click()
    assert state.marks.labels == [None] * 10 and panel.scatter.points[2]["color"] == panel.scatter.points[3]["color"]
    panel.undo.click()
    assert panel.scatter.marked == []


def test_hear_button_plays_a_row_until_a_clip_is_chosen(state):
    panel = EmbeddingPanel(state)
    panel.hear.click()
    assert "no clip is marked" in panel.told.value
    panel.scatter.marked, clip = [2, 5], panel.audio.value
    panel.hear.click()
    assert panel.scatter.row == [[0.0, 2], [1.3, 5]] and "2 marked clips" in panel.label.value
    assert panel.audio.value != clip and panel.audio.autoplay and panel.controls["playing"].value is None
    panel.controls["playing"].value = 0
    assert panel.audio.value == clip and panel.scatter.row == []
    panel.hear.click()
    panel.scatter.selected = 3
    assert panel.scatter.row == [] and panel.controls["playing"].value == 0


def test_export_button_says_where_and_never_overwrites(state, tmp_path):
    panel = EmbeddingPanel(state, tmp_path / "run")
    panel.scatter.marked, panel.word.value = [1], "odd"
    panel.give.click()
    panel.export.click()
    assert panel.told.value == f"written: {tmp_path / 'run' / 'labels.csv'}"
    text = (tmp_path / "run" / "labels.csv").read_text(encoding="utf-8")
    panel.undo.click()
    panel.export.click()
    assert "labels-2.csv; no clip has a label of yours" in panel.told.value
    assert (tmp_path / "run" / "labels.csv").read_text(encoding="utf-8") == text
    (tmp_path / "file").touch()
    panel.folder = tmp_path / "file"
    panel.export.click()
    assert panel.told.value.startswith("<b>Not written:</b>")


def test_a_column_may_come_while_the_panel_is_shown(state):
    panel = EmbeddingPanel(state)
    panel.add_column("confidence", range(10))
    panel.controls["colour"].value = "confidence"
    assert [entry["label"] for entry in panel.scatter.legend] == ["0.0", "4.5", "9.0"]
    panel.add_column("confidence", range(0, 20, 2))
    assert panel.controls["colour"].value == "confidence"
    assert [entry["label"] for entry in panel.scatter.legend] == ["0", "9", "18"]
