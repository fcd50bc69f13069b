"""Fixtures shared by the tests."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from acssm_lib.clips import Clips
from acssm_lib.presets import preset


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Decoded clips go into a temporary folder, never into the user's cache."""
    monkeypatch.setenv("ACSSM_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real recordings and reference vectors beside the repository; skips where it is not there."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the shared data folder (real recordings and reference vectors) beside the repository")
    return folder


@pytest.fixture
def tiny():
    """The smallest settings that exercise every part: two CNN stages, two S4D layers, crops of 0.2 s."""
    return dataclasses.replace(
        preset("quick"), n_samples=4096, n_mels=16, widths=(4, 8), blocks=(1, 1), d_state=4, d_projection=8,
        pretrain_epochs=3, pretrain_batch=4, n_episodes=2, finetune_epochs=2, finetune_crops=2, finetune_batch=4,
        n_shot=2, test_crops=2)


@pytest.fixture
def bank():
    """Twelve clips of different lengths: three classes of tones in noise."""
    generator = torch.Generator().manual_seed(0)
    waveforms = []
    for index in range(12):
        seconds = torch.arange(6000 + 400 * index) / 20_000
        tone = torch.sin(2 * torch.pi * (500, 1500, 4500)[index // 4] * seconds)
        waveforms.append(0.3 * tone + 0.05 * torch.randn(len(seconds), generator=generator))
    return Clips(waveforms)


@pytest.fixture(scope="module")
def embedding():
    """Ten clips of three classes, six coordinates."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(3, 6)) * 4
    return centres[np.arange(10) % 3] + generator.normal(size=(10, 6)) + 50  # far from zero, as before training
