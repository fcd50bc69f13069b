import io

import pytest
import soundfile
import torch

from acssm_lib.course.explore_spectrogram import HEIGHT, WIDTH, SpectrogramPanel, SpectrogramState
from acssm_lib.model.features import SpectrogramStack


@pytest.fixture
def state():
    seconds = torch.arange(30_225) / 20_000
    tones = 0.3 * torch.sin(2 * torch.pi * torch.tensor([[700.0], [2500.0]]) * seconds)
    noise = 0.01 * torch.randn(tones.shape, generator=torch.Generator().manual_seed(0))
    return SpectrogramState(tones + noise, ["low tone", "high tone"])


def test_values_are_those_of_the_front_end(state):
    expected = SpectrogramStack(n_mels=32)(state.waveforms[0])[0]
    assert torch.equal(state.values(), expected[0])
    state.window = "rectangular"
    for channel, name in ((1, "magnitude"), (2, "phase")):
        state.channel = name
        assert torch.equal(state.values(), expected[channel])


def test_the_window_acts_on_log_mel_too_and_the_caption_says_so(state):
    clean, caption = state.values(), state.caption()
    state.window = "rectangular"
    assert (state.values() - clean)[25].mean() > 3  # far above the 700 Hz tone, dB
    assert "published window" not in caption and "published window of this channel is hann" in state.caption()
    state.channel = "phase"
    assert "published window" not in state.caption()


def test_picture_has_its_size_title_and_seconds(state):
    for hop_length in (64, 1024):
        state.hop_length, state.clip = hop_length, 1
        fig = state.picture()
        assert (fig.get_size_inches() * fig.dpi).round().tolist() == [WIDTH, HEIGHT]
        assert fig.axes[0].get_title(loc="left") == "high tone"
        assert fig.axes[0].get_xlim() == pytest.approx((0, 30_225 / 20_000))


def test_sound_is_the_chosen_crop(state):
    state.clip = 1
    samples, rate = soundfile.read(io.BytesIO(state.sound()), dtype="float32")
    assert rate == 20_000
    torch.testing.assert_close(torch.from_numpy(samples), state.waveforms[1], atol=1 / 32768, rtol=0)


def test_caption_counts_frames_milliseconds_and_hertz(state):
    assert "60 frames, one every 25.6 ms; each looks at 51.2 ms of sound, and its bins are 19.5 Hz" in state.caption()
    assert "tones closer than about 39.1 Hz" in state.caption()  # Hann: two bins
    assert f"{state.values().shape[1]} frames" in state.caption()
    state.n_fft, state.hop_length = 128, 512
    assert "75% of the sound falls between the frames" in state.caption()


def test_controls_redraw_the_picture_and_change_the_sound(state):
    panel = SpectrogramPanel(state)
    seen = [panel.image.value]
    for name, value in (
        ("n_fft", 2048),
        ("hop_length", 128),
        ("n_mels", 64),
        ("window", "rectangular"),
        ("channel", "phase"),
    ):
        panel.controls[name].value = value
        assert getattr(state, name) == value and panel.image.value not in seen
        seen.append(panel.image.value)
    sound = panel.audio.value
    panel.controls["clip"].value = 1
    assert panel.image.value not in seen and panel.audio.value != sound
    assert panel.label.value == state.caption()


def test_every_offered_setting_can_be_computed_with_16_bands(state):
    controls = SpectrogramPanel(state).controls
    state.n_mels = 16
    for name in ("n_fft", "hop_length", "window", "channel"):
        for value in controls[name].options:
            setattr(state, name, value)
            assert torch.isfinite(state.values()).all()


def test_a_setting_outside_of_the_list_is_offered_too(state):
    state.n_mels = 40
    control = SpectrogramPanel(state).controls["n_mels"]
    assert control.value == 40 and control.options == (16, 32, 40, 64, 128, 256)


def test_a_bad_combination_is_said_the_picture_stays_and_the_panel_recovers(state):
    panel = SpectrogramPanel(state)
    good = panel.image.value
    panel.controls["n_mels"].value = 256  # 1024 points cannot feed that many bands
    assert "mel filters are empty" in panel.label.value and panel.image.value == good
    panel.controls["n_fft"].value = 4096
    assert panel.label.value == state.caption() and panel.image.value != good


def test_wrong_input_is_named(state):
    with pytest.raises(ValueError, match="2 crops but 1 names"):
        SpectrogramState(state.waveforms, ["only one"])
    state.channel = "colour"
    with pytest.raises(ValueError, match="log-mel, magnitude, phase"):
        state.picture()
