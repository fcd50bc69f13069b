"""A survey without sound for tests: numbers of benchmarks.made_surveys in the shape of an index."""

from types import SimpleNamespace

import numpy as np
import torch

from acssm_lib.recordings.folder import Survey
from benchmarks.made_surveys import made_survey

CLASSES = ("frog", "owl", "toad")


def made_index(seed=0, windows=900, nights=6):
    """(index, truth): two sites, each night one recording; windows of 3 s every 1.5 s."""
    made = made_survey(seed, windows=windows, nights=nights, d=16)
    counts = np.bincount(made.site_nights, minlength=nights)
    start_s = np.concatenate([1.5 * np.arange(count) for count in counts])
    files = [
        SimpleNamespace(
            name=f"{'ab'[k % 2]}/2024051{k // 2}_213000.WAV",
            site="ab"[k % 2],
            night=f"2024-05-1{k // 2}",
            recorded_at=f"2024-05-1{k // 2}T21:30:00+10:00" if k else "",
            clock="name" if k else "none",
            duration_s=1.5 * count + 1.5,
        )
        for k, count in enumerate(counts)
    ]
    noise = torch.randn(6_000, generator=torch.Generator().manual_seed(0)) / 10
    index = SimpleNamespace(
        files=files,
        file_of=made.site_nights.astype(np.int32),
        start_s=start_s,
        window_s=3.0,
        skipped=[("x.wav", "cut")],
        embeddings=made.embeddings,
        site_nights=made.site_nights.astype(np.int32),
        waveform=lambda i: noise,
    )
    return index, made.truth


def made_folder(tmp_path, **settings):
    """A survey's folder without recordings."""
    (tmp_path / "recordings").mkdir(parents=True)
    return Survey.create(tmp_path, classes=CLASSES, sample_rate=2_000, **settings)
