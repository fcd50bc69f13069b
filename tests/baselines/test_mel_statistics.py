"""Statistics of log-mel bands over clips of any length."""

import numpy as np
import torch

from acssm_lib.baselines.mel_statistics import MelStatistics
from acssm_lib.data.clips import Clips
from acssm_lib.model import streaming
from acssm_lib.model.features import SpectrogramStack
from acssm_lib.presets import preset


def test_a_long_clip_is_read_in_pieces_and_answered_as_in_one(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    clips = Clips([0.1 * torch.randn(n, generator=generator) for n in (60_000, 3_000)])
    whole, most = MelStatistics(clips, preset("quick")).features([0, 1]), []
    monkeypatch.setattr(streaming, "AT_ONCE", 2**13)
    listen = SpectrogramStack.forward
    monkeypatch.setattr(SpectrogramStack, "forward", lambda self, x: most.append(x.shape[1]) or listen(self, x))
    np.testing.assert_allclose(MelStatistics(clips, preset("quick")).features([0, 1]), whole, rtol=1e-4, atol=1e-4)
    assert max(most) < 20_000
