"""What the explorer shows, without any widget."""

import csv
import io

import numpy as np
import pytest
import soundfile

from acssm_lib.course.embedding_state import EmbeddingState
from acssm_lib.course.neighbours import cosine_distances, nearest, pca

RATE = 8000


def test_points_follow_embedding_and_projection(state):
    first = state.points()
    assert [set(point) for point in first] == [{"x", "y", "color", "label"}] * 10
    assert first[4]["label"] == "clip 4, y, -9.0 dB"
    state.projection = "PCA"
    flat = [(point["x"], point["y"]) for point in state.points()]
    assert flat == [tuple(pair) for pair in pca(state.embeddings["after"])[0].round(4).tolist()]
    state.embedding = "before"
    assert [(point["x"], point["y"]) for point in state.points()] != flat


def test_colours_by_class_source_and_loudness(state):
    colours, legend = state.colours()
    assert len(set(colours)) == 3 and colours[0] == colours[3] == legend[0][0]
    assert [text for _, text in legend] == ["x", "y", "<z>"]
    state.colour, state.selected = "source", 6
    colours, legend = state.colours()
    assert [index for index in range(10) if colours[index] == legend[0][0]] == [6, 7, 8]
    assert [index for index in range(10) if colours[index] == legend[1][0]] == [0, 3, 9]
    assert [text for _, text in legend] == ["source c", "another source, x", "the others"]
    state.selected = 4
    assert [index for index in range(10) if state.colours()[0][index] == legend[0][0]] == [4]  # nobody knows its source
    state.colour = "loudness"
    colours, legend = state.colours()
    loud = state.measured["loudness"]
    assert colours[int(loud.argmin())] == legend[0][0] and colours[int(loud.argmax())] == legend[2][0]
    assert [text for _, text in legend] == [
        f"{value:.0f} dB" for value in (loud.min(), (loud.min() + loud.max()) / 2, loud.max())
    ]


def test_no_two_classes_share_a_colour_and_of_many_that_of_the_selected_clip_stands_out(state):
    names = [f"class {number}" for number in range(12)]
    many = EmbeddingState(
        {"map": np.random.default_rng(0).normal(size=(13, 4))},
        [*range(12), 3],
        names,
        [None] * 13,
        names + ["again"],
        state.waveform,
        RATE,
    )
    many.selected = 3
    colours, legend = many.colours()
    assert [index for index in range(13) if colours[index] == legend[0][0]] == [3, 12] and len(set(colours)) == 2
    assert [text for _, text in legend] == ["class 3", "the others"]
    ten = EmbeddingState({"map": np.eye(10)}, range(10), names[:10], [None] * 10, names[:10], state.waveform, RATE)
    assert len(set(ten.colours()[0])) == 10


def test_unlabelled_clips_are_grey_and_say_so(state):
    state.labels[2] = -1
    assert state.colours()[0][2] == "#BBBBBB" and state.colours()[1][-1][1] == "unlabelled"
    assert "unlabelled" in state.points()[2]["label"]
    state.selected = 2
    assert "<b>clip 2</b>: unlabelled" in state.caption() and "neighbours share its source" in state.caption()
    assert "share its class" not in state.caption()


def test_recordings_without_any_label_have_a_map(state):
    bare = EmbeddingState(state.embeddings, [-1] * 10, [], [None] * 10, state.names, state.waveform, RATE)
    assert bare.colour == "duration" and len(bare.points()) == 10
    for name in bare.colour_names():
        bare.colour = name
        colours, legend = bare.colours()
        assert len(colours) == 10 and legend and legend[0][0] in colours, name
    assert "unlabelled" in bare.caption() and len(bare.picture().axes) == 5


def test_columns_of_words_and_of_numbers_colour_the_map(state):
    state.add_column("confidence", [0.5, None, float("nan"), *np.linspace(0.6, 1.0, 7)])
    state.add_column("prediction", ["x", "y"] * 4 + [None, "x"])
    state.add_column("class", list("ab") * 5)
    assert state.colour_names() == [
        "class",
        "source",
        "loudness",
        "duration",
        "confidence",
        "prediction",
        "class (2)",
        "my label",
    ]
    state.colour = "confidence"
    colours, legend = state.colours()
    assert [text for _, text in legend] == ["0.50", "0.75", "1.00", "unknown"]
    assert colours[1] == colours[2] == legend[-1][0] and colours[0] == legend[0][0] and colours[9] == legend[2][0]
    assert state.points()[1]["label"].endswith("confidence unknown")
    state.colour = "prediction"
    colours, legend = state.colours()
    assert [text for _, text in legend] == ["x", "y", "unknown"] and colours[0] == colours[9] != colours[1]
    state.add_column("prediction", [str(index) for index in range(10)])  # more than can be told apart
    state.selected = 4
    colours, legend = state.colours()
    assert legend[0][1] == "prediction 4" and colours.count(legend[0][0]) == 1
    with pytest.raises(ValueError, match="column 'wide' has 3 values for 10 clips"):
        state.add_column("wide", [1, 2, 3])


def test_duration_is_a_column_in_seconds(state):
    state.colour = "duration"
    colours, legend = state.colours()
    assert [text for _, text in legend] == ["1.0 s", "4.0 s", "7.0 s"] and colours[9] == legend[2][0]


def test_a_second_map_is_of_another_embedding(state):
    assert state.points("before") != state.points() == state.points("after")
    assert state.map_title("before") == "before, t-SNE"


def test_caption_names_the_clip_its_neighbours_and_what_they_share(state):
    state.selected = 2
    caption = state.caption()
    assert "<b>clip 2</b>: &lt;z&gt;, source b" in caption
    for index, distance in state.neighbours():
        assert f"clip {index}</td>" in caption and f"{distance:.2f}" in caption
    same_class = sum(state.labels[index] == state.labels[2] for index, _ in state.neighbours())
    same_source = sum(state.sources[index] == "b" for index, _ in state.neighbours())
    assert f"{same_class} of 4 neighbours share its class, {same_source} its source" in caption


def test_neighbours_come_from_the_full_space_of_the_chosen_embedding(state):
    for name in ("after", "before"):
        state.embedding, state.selected = name, 5
        distances = cosine_distances(state.embeddings[name])
        assert [index for index, _ in state.neighbours(3)] == nearest(distances, 3)[5].tolist()
    assert len(state.neighbours(50)) == 9


def test_sound_is_the_clip_or_the_neighbour_at_most_five_seconds(state):
    state.selected = 9
    samples, rate = soundfile.read(io.BytesIO(state.sound()))
    assert rate == RATE and len(samples) == 5 * RATE
    state.playing = 2
    neighbour = state.neighbours()[1][0]
    samples, _ = soundfile.read(io.BytesIO(state.sound()))
    assert samples == pytest.approx(state.waveform(neighbour).numpy(), abs=1e-4)
    assert f"You hear neighbour 2: clip {neighbour}" in state.caption()
    state.selected = 3
    assert state.playing == 0


def test_picture_has_a_panel_per_clip(state):
    titles = [ax.get_title(loc="left") for ax in state.picture().axes]
    assert titles[0] == "Selected: clip 0"
    assert [title[:3] for title in titles if title[:1].isdigit()] == ["1: ", "2: ", "3: ", "4: "]


def test_three_clips_are_enough_and_two_are_refused(state):
    few = EmbeddingState(
        {"after": state.embeddings["after"][:3]},
        [0, 1, 0],
        ["x", "y"],
        ["a", None, "a"],
        ["p", "q", "r"],
        state.waveform,
        RATE,
    )
    assert len(few.neighbours()) == 2 and len(few.points()) == 3 and len(few.picture().axes) == 5
    with pytest.raises(ValueError, match="at least 3"):
        EmbeddingState({"after": np.zeros((2, 4))}, [0, 1], ["x", "y"], [None] * 2, ["p", "q"], state.waveform, RATE)
    with pytest.raises(ValueError, match="'after' has 4 clips, the labels 3"):
        EmbeddingState(
            {"after": np.zeros((4, 4))}, [0, 1, 1], ["x", "y"], [None] * 3, list("pqr"), state.waveform, RATE
        )


def test_marked_clips_are_heard_in_a_row(state):
    with pytest.raises(ValueError, match="no clip is marked"):
        state.hear_marked()
    state.marks.mark([9, 2, 5])
    state.hear_marked()
    assert state.row == [(0.0, 2), (1.3, 5), (2.6, 9)]  # 1 s and 0.3 s of silence each
    samples, _ = soundfile.read(io.BytesIO(state.sound()))
    assert len(samples) / RATE == pytest.approx(1.3 + 1.3 + 3.3)  # 3 s of the long one
    for start, index in state.row:
        heard = samples[round(start * RATE) :][:RATE]
        assert heard == pytest.approx(state.waveform(index).numpy()[:RATE], abs=1e-4)
    assert "You hear 3 marked clips" in state.caption()
    state.selected = 1
    assert len(soundfile.read(io.BytesIO(state.sound()))[0]) == RATE and "You hear" not in state.caption()


def test_a_row_has_an_end(state):
    many = EmbeddingState(
        {"after": np.arange(100.0).reshape(50, 2) % 7},
        [0] * 50,
        ["x"],
        [None] * 50,
        [str(index) for index in range(50)],
        state.waveform,
        RATE,
    )
    many.marks.mark(range(50))
    many.hear_marked()
    assert [index for _, index in many.row] == list(range(20))


def test_labels_marks_and_places_are_exported_under_a_new_name(state, tmp_path):
    state.marks.mark([1, 4])
    state.marks.label("=odd")
    state.beside = "before"
    state.add_column("confidence", [None, *np.linspace(0.1, 0.9, 9).round(1)])
    first, second = state.export(tmp_path / "new"), state.export(tmp_path / "new")
    assert (first.name, second.name) == ("labels.csv", "labels-2.csv")
    with open(first, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == state.names
    assert [row["my label"] for row in rows] == ["", "'=odd", "", "", "'=odd", "", "", "", "", ""]
    assert [row["marked"] for row in rows] == list("0100100000")
    assert rows[4]["source"] == "" and rows[3]["class"] == "x" and rows[0]["confidence"] == ""
    assert rows[0]["map"] == "after, t-SNE" and rows[0]["map beside"] == "before, t-SNE"
    assert float(rows[9]["duration (s)"]) == 7
    for suffix, embedding in (("", "after"), (" beside", "before")):
        places = [[float(row[f"x{suffix}"]), float(row[f"y{suffix}"])] for row in rows]
        assert np.allclose(places, state.positions(embedding), atol=1e-4)
