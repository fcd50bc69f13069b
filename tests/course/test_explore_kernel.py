import io
import math

import numpy as np
import pytest
import soundfile
import torch

from acssm_lib.course.explore_kernel import STEP_RATE, KernelPanel, KernelState
from acssm_lib.model.s4d import S4DKernel


def test_kernel_equals_the_formula_tap_by_tap():
    state = KernelState(dt=0.1, real=0.5, imag=3.0, length=3)
    A = complex(-0.5, 3.0)
    # one frame of constant input adds the integral of exp(A t) over the frame; the pair doubles the real part
    B_bar = sum(np.exp(A * (i + 0.5) * 0.1 / 10_000) for i in range(10_000)) * 0.1 / 10_000
    expected = [2 * (B_bar * np.exp(A * 0.1) ** lag).real for lag in range(3)]
    assert state.kernel() == pytest.approx(expected, abs=1e-9)


def test_kernel_equals_that_of_the_layer():
    state = KernelState(dt=0.07, real=0.3, imag=11.0, length=60)
    layer = S4DKernel(1, 2, 0.001, 0.1).double()
    with torch.no_grad():
        layer.log_dt.fill_(math.log(0.07))
        layer.log_A_real.fill_(math.log(0.3))
        layer.A_imag.fill_(11.0)
        layer.C.copy_(torch.tensor([[[1.0, 0.0]]]))
    torch.testing.assert_close(torch.from_numpy(state.kernel()), layer(60)[0], atol=1e-12, rtol=0)


def test_kernel_falls_to_1_over_e_in_one_time_constant():
    state = KernelState(dt=0.02, real=0.5, imag=0.0)
    assert state.time_constant == pytest.approx(100)
    taps = state.kernel(101)
    assert taps[100] / taps[0] == pytest.approx(math.exp(-1))


@pytest.mark.parametrize("dt, imag", [(0.05, 16.0), (0.01, 90.0), (0.05, 100.0), (0.2, 60.0)])
def test_sound_has_the_predicted_pitch(dt, imag):
    state = KernelState(dt=dt, real=0.05 / (10 * dt), imag=imag)
    samples, rate = soundfile.read(io.BytesIO(state.sound()))
    assert rate == STEP_RATE and len(samples) < 1.1 * rate
    peak_hz = np.argmax(np.abs(np.fft.rfft(samples, 8 * rate))) / 8
    turn = math.remainder(dt * imag, 2 * math.pi)
    assert state.pitch_hz == pytest.approx(abs(turn) / (2 * math.pi) * STEP_RATE)
    assert peak_hz == pytest.approx(state.pitch_hz, abs=5)


@pytest.mark.parametrize("dt", [0.001, 0.3])
@pytest.mark.parametrize("real", [0.01, 2.0])
@pytest.mark.parametrize("imag", [0.0, 100.0])
def test_every_corner_of_the_sliders_has_picture_sound_and_words(dt, real, imag):
    state = KernelState(dt, real, imag)
    waveform = state.waveform()
    assert np.isfinite(waveform).all() and np.abs(waveform).max() == pytest.approx(0.5)
    assert waveform[0] == 0 and abs(waveform[-1]) < 1e-6
    assert len(state.picture().axes) == 3 and "time constant" in state.caption()


def test_caption_says_when_the_mode_aliases():
    assert "aliases" not in KernelState(dt=0.03, imag=100.0).caption()
    state = KernelState(dt=0.05, imag=100.0)
    assert state.turn == pytest.approx(5.0) and state.seen_turn == pytest.approx(2 * math.pi - 5)
    assert "It aliases" in state.caption() and "5.00 rad" in state.caption() and "1.28 rad" in state.caption()


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"imag": 0.0}, "no pitch"),
        ({"dt": 0.001, "imag": 10.0}, "too low to hear as a pitch"),
        ({"real": 2.0, "imag": 4.0, "dt": 0.3}, "a click"),
        ({"dt": 0.005, "real": 0.01, "imag": 10.0}, "loudspeakers"),
        ({"dt": 0.02, "real": 0.01, "imag": 50.0}, "faded out after 1 s"),
    ],
)
def test_caption_says_what_cannot_be_heard(settings, words):
    assert words in KernelState(**settings).caption()


def test_caption_gives_both_clocks():
    caption = KernelState(dt=0.05, real=0.2, imag=16.0).caption()
    for part in ("100 frames = 2.6 s", "7.9 frames = 201 ms", "a tone of 1,019 Hz", "time constant 12.5 ms"):
        assert part in caption


def test_panel_redraws_picture_sound_and_words():
    panel = KernelPanel()
    assert set(panel.controls) == {"dt", "real", "imag"}
    for name, value in (("dt", 0.02), ("real", 1.0), ("imag", 40.0)):
        before = panel.image.value, panel.audio.value, panel.label.value
        panel.controls[name].value = value
        after = panel.image.value, panel.audio.value, panel.label.value
        assert all(new != old for new, old in zip(after, before)), name
        assert getattr(panel.state, name) == pytest.approx(value)
    assert panel.image.value[:4] == b"\x89PNG" and panel.audio.value[:4] == b"RIFF" and panel.audio.autoplay
