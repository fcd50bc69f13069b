"""Ten clips of three classes, as the explorer shows them."""

import numpy as np
import pytest
import torch

RATE = 8000


@pytest.fixture
def state(embedding):
    """Clip 9 is 7 s long, the others 1 s; clip 8 is soft; each is a tone of its own."""
    from acssm_lib.course.embedding_state import EmbeddingState

    def waveform(index):
        seconds = torch.arange(RATE * (7 if index == 9 else 1)) / RATE
        return (0.05 if index == 8 else 0.5) * torch.sin(2 * torch.pi * (300 + 100 * index) * seconds)

    return EmbeddingState(
        {"after": embedding, "before": -(embedding[::-1] ** 2)},
        np.arange(10) % 3,
        ["x", "y", "<z>"],
        ["a", "a", "b", "b", None, None, "c", "c", "c", "d"],
        [f"clip {index}" for index in range(10)],
        waveform,
        RATE,
    )
