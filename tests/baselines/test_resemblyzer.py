import pytest
import torch
from torch import nn
from torch.nn import functional as F

from acssm_lib.baselines.resemblyzer import LOUDNESS, VoiceEncoder, VoiceMel
from acssm_lib.files import DataError
from acssm_lib.presets import preset
from acssm_lib.training import seeded


def published():
    """Weights of the published names and shapes, and the parts they came from."""
    with seeded(0):
        parts = nn.ModuleDict({"lstm": nn.LSTM(40, 256, 3, batch_first=True), "linear": nn.Linear(256, 256)})
    return parts, {"model_state": {**parts.state_dict(), "similarity_weight": torch.tensor([10.0])}, "step": 1}


def test_embedding_equals_the_published_network_on_windows_of_160_frames():
    parts, state = published()
    encoder = VoiceEncoder(preset("best"), state).eval()
    mel = torch.rand(2, 40, 300, generator=torch.Generator().manual_seed(0))
    answers = encoder(mel)
    assert answers.shape == (2, 256, 3)
    _, (hidden, _) = parts["lstm"](mel[:, :, 80:240].mT)
    wanted = F.normalize(parts["linear"](hidden[-1]).relu(), dim=1)
    assert torch.allclose(answers[:, :, 1], wanted, atol=1e-6)
    assert encoder(mel[:, :, :30]).shape == (2, 256, 1)  # a short clip is one window


def test_quiet_clips_are_raised_and_loud_ones_left():
    front_end, noise = VoiceMel(16_000), torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0))
    loud, quiet, raised = (front_end(noise * level) for level in (0.5, 1e-4, LOUDNESS))
    assert torch.allclose(quiet, raised, rtol=1e-2) and loud.mean() > 100 * raised.mean()
    assert loud.shape == (1, 40, 101)


def test_another_file_is_refused():
    _, state = published()
    del state["model_state"]["linear.bias"]
    with pytest.raises(DataError, match="linear.bias"):
        VoiceEncoder(preset("best"), state)
