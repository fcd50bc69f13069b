"""A panel shows what its state draws, and says in words what cannot be drawn."""

import ipywidgets as widgets
import pytest

from acssm_lib import plots
from acssm_lib.course import panel
from acssm_lib.course.listen import wav


class State:
    """A bar of a height; heights above 9 cannot be drawn."""

    height = 1

    def picture(self):
        if self.height > 9:
            raise ValueError(f"height {self.height} is above 9")
        fig, ax = plots.canvas(2, 2)
        ax.bar([0], [self.height])
        ax.set_ylim(0, 10)
        return fig

    def sound(self):
        return wav([0.01 * self.height] * 100, 20_000)

    def caption(self):
        return f"height {self.height}"


@pytest.fixture
def shown():
    return panel.Panel(State(), {"height": widgets.IntSlider(value=1, max=20, continuous_update=False)}, 200)


def test_a_control_changes_state_picture_sound_and_caption(shown):
    picture, sound = shown.image.value, shown.audio.value
    assert picture[:4] == b"\x89PNG" and sound[:4] == b"RIFF" and shown.label.value == "height 1"
    assert not shown.audio.autoplay
    shown.controls["height"].value = 5
    assert shown.state.height == 5 and shown.label.value == "height 5" and shown.audio.autoplay
    assert shown.image.value != picture and shown.audio.value != sound


def test_what_cannot_be_drawn_is_said_and_the_last_picture_stays(shown):
    shown.controls["height"].value = 5
    picture = shown.image.value
    shown.controls["height"].value = 12
    assert "height 12 is above 9" in shown.label.value and shown.image.value == picture
    shown.controls["height"].value = 2
    assert shown.label.value == "height 2" and shown.image.value != picture


def test_a_page_without_a_kernel_says_what_to_do(shown):
    text = shown._repr_mimebundle_()["text/plain"]
    assert "run this cell" in text and "0x" not in text and len(text) <= 110
    assert "t-height" in shown.controls["height"]._dom_classes
