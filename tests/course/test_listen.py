"""Sound on a page decodes to what went in."""

import base64
import io
import re

import numpy as np
import pytest
import soundfile

from acssm_lib.course import listen

TONE = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(20_000) / 20_000)


def loudest_hz(samples, rate):
    return np.abs(np.fft.rfft(samples)).argmax() * rate / len(samples)


def test_mp3_keeps_pitch_length_and_loudness():
    samples, rate = soundfile.read(io.BytesIO(listen.mp3(TONE, 20_000)))
    assert rate == listen.PLAYER_RATE and len(samples) / rate == pytest.approx(1.0, abs=0.1)
    assert loudest_hz(samples, rate) == pytest.approx(1000, abs=5)
    assert np.abs(samples[5000:15000]).max() == pytest.approx(0.5, abs=0.05)


def test_wav_is_exact_to_16_bits_and_clips_rather_than_wraps():
    samples, rate = soundfile.read(io.BytesIO(listen.wav(TONE, 20_000)))
    assert rate == 20_000 and np.abs(samples - TONE).max() < 1 / 32768
    samples, _ = soundfile.read(io.BytesIO(listen.wav(np.array([2.0, -2.0]), 20_000)))
    assert samples == pytest.approx([1, -1], abs=1e-4)


def test_players_show_titles_as_text_and_hold_the_sound():
    page = listen.players([TONE, TONE], 20_000, ["a <b>", "c"]).data
    assert "a &lt;b&gt;" in page and page.count("<audio controls") == 2 and "http" not in page
    data = re.search(r"base64,([^\"]+)", page)[1]
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
    assert loudest_hz(samples, rate) == pytest.approx(1000, abs=5)
    with pytest.raises(ValueError, match="2 waveforms but 1 titles"):
        listen.players([TONE, TONE], 20_000, ["only one"])
