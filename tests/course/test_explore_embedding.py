import io

import numpy as np
import pytest
import soundfile
import torch

pytest.importorskip("anywidget")

from acssm_lib.course.explore_embedding import EmbeddingPanel, EmbeddingState
from acssm_lib.course.neighbours import cosine_distances, nearest, pca

RATE = 8000
SOURCES = ["a", "a", "b", "b", None, None, "c", "c", "c", "d"]


@pytest.fixture
def state(embedding):
    def waveform(index):  # a tone per clip; clip 9 is 7 s long, clip 8 is soft
        seconds = torch.arange(RATE * (7 if index == 9 else 1)) / RATE
        return (0.05 if index == 8 else 0.5) * torch.sin(2 * torch.pi * (300 + 100 * index) * seconds)

    return EmbeddingState({"after": embedding, "before": -embedding[::-1] ** 2}, np.arange(10) % 3, ["x", "y", "<z>"],
                          SOURCES, [f"clip {index}" for index in range(10)], waveform, RATE)


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
    assert legend[0][1] == "source c"
    state.selected = 4
    assert [index for index in range(10) if state.colours()[0][index] == legend[0][0]] == [4]  # nobody knows its source
    state.colour = "loudness"
    colours, legend = state.colours()
    loud = state.loudness.copy()
    assert colours[int(loud.argmin())] == legend[0][0] and colours[int(loud.argmax())] == legend[2][0]
    assert [text for _, text in legend] == [f"{value:.0f} dB" for value in (loud.min(), (loud.min() + loud.max()) / 2,
                                                                            loud.max())]


def test_unlabelled_clips_are_grey_and_say_so(state):
    state.labels[2] = -1
    assert state.colours()[0][2] == "#BBBBBB" and state.colours()[1][-1][1] == "unlabelled"
    assert "unlabelled" in state.points()[2]["label"]


def test_caption_names_the_clip_its_neighbours_and_what_they_share(state):
    state.selected = 2
    caption = state.caption()
    assert "<b>clip 2</b>: &lt;z&gt;, source b" in caption
    for index, distance in state.neighbours():
        assert f"clip {index}</td>" in caption and f"{distance:.2f}" in caption
    same_class = sum(state.labels[index] == state.labels[2] for index, _ in state.neighbours())
    same_source = sum(SOURCES[index] == "b" for index, _ in state.neighbours())
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
    few = EmbeddingState({"after": state.embeddings["after"][:3]}, [0, 1, 0], ["x", "y"], ["a", None, "a"],
                         ["p", "q", "r"], state.waveform, RATE)
    assert len(few.neighbours()) == 2 and len(few.points()) == 3
    assert EmbeddingPanel(few).image.value
    with pytest.raises(ValueError, match="at least 3"):
        EmbeddingState({"after": np.zeros((2, 4))}, [0, 1], ["x", "y"], [None] * 2, ["p", "q"], state.waveform, RATE)
    with pytest.raises(ValueError, match="'after' has 4 clips, the labels 3"):
        EmbeddingState({"after": np.zeros((4, 4))}, [0, 1, 1], ["x", "y"], [None] * 3, list("pqr"), state.waveform,
                       RATE)


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
