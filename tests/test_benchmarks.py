"""The plain side of every benchmark computes what the library computes."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from published import small

from acssm_lib.data.clips import Clips
from acssm_lib.model.encoder import AcousticSSM
from acssm_lib.model.features import SpectrogramStack
from acssm_lib.presets import preset
from acssm_lib.training import seeded


@pytest.fixture
def plain(monkeypatch):
    """The module ``benchmarks/plain.py``."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "benchmarks"))
    import plain

    yield plain
    del sys.modules["plain"]


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("stretch", [0.8, 1.0, 1.25])
def test_views_clip_by_clip(plain, stretch):
    waveforms = [(2000 * noise(length)).to(torch.int16) for length in (9000, 6001, 12_345)]
    n_samples = 4096
    starts = [-n_samples // 2, 300, int(12_345 * stretch) - n_samples // 2]  # before, inside of and beyond its clip
    got = plain.views([waveform.numpy() for waveform in waveforms], [stretch] * 3, starts, n_samples)
    stretches = torch.full((3,), stretch, dtype=torch.float64)
    wanted = Clips(waveforms).cut(torch.arange(3), torch.tensor(starts), stretches, n_samples)
    assert got.shape == wanted.shape == (3, n_samples) and got.abs().max() > 0.05
    torch.testing.assert_close(got, wanted, atol=2e-5, rtol=0)


@pytest.mark.parametrize("window, floor_db", [("rectangular", None), ("hann", -80.0)])
def test_spectrograms_clip_by_clip(plain, window, floor_db):
    front_end = SpectrogramStack(n_mels=32, stft_window=window, floor_db=floor_db)
    waveform = 0.1 * noise(3, 8000)
    got, wanted = plain.spectrogram_stack(waveform, front_end), front_end(waveform)
    torch.testing.assert_close(got[:, :2], wanted[:, :2], atol=2e-3, rtol=0)
    turned = (got[:, 2] - wanted[:, 2]).abs()
    assert torch.minimum(turned, 2 * np.pi - turned).max() < 2e-3  # an angle may jump from pi to -pi


def test_kernel_by_all_powers(plain):
    with seeded(0):
        kernel = AcousticSSM(preset("quick")).sequence.layers[0].kernel
    torch.testing.assert_close(plain.kernel(kernel, 77), kernel(77), atol=1e-4, rtol=1e-4)


def test_encoder_and_its_gradients(plain):
    config = small(n_mels=16, widths=(4, 8), blocks=(1, 1), d_state=4, dropout=0.0)
    with seeded(0):
        encoder = AcousticSSM(config).train()
    copied = plain.PlainEncoder(encoder).train()
    assert all(value.is_contiguous() for value in copied.encoder.cnn.parameters())
    waveform, weights = 0.1 * noise(4, 8000), noise(4, 8)
    embeddings = [module.embed(waveform) for module in (copied, encoder)]
    for embedding in embeddings:
        (embedding * weights).sum().backward()
    torch.testing.assert_close(*embeddings, atol=1e-4, rtol=1e-4)
    for (name, one), other in zip(copied.encoder.named_parameters(), encoder.parameters()):
        assert (one.grad - other.grad).norm() <= 1e-3 * other.grad.norm() + 1e-4, name


def test_a_stitched_survey_never_asks_about_a_window_twice(monkeypatch):
    """Not even where a call only grazes it, which the listener of benchmarks/survey_esc10.py cannot name."""
    from acssm_lib.recordings import asking, heads
    from acssm_lib.recordings.labels import NO, OPEN, YES
    from benchmarks import survey_esc10 as stitched
    from benchmarks.made_surveys import made_survey

    made = made_survey(0, windows=400, classes=4, nights=4, rate=(0.05, 0.2))
    truth = np.where(made.truth, YES, NO)
    truth[::3] = np.where(truth[::3] == YES, OPEN, truth[::3])
    asked, order = [], asking.order
    monkeypatch.setattr(asking, "order", lambda *args, **options: asked.append(order(*args, **options)) or asked[-1])
    monkeypatch.setattr(stitched, "ANSWERS", (0, 40))
    open_ = made.site_nights % 2 == 0
    for kind in ("margin", "random"):
        asked.clear()
        found = stitched.curve(kind, made.embeddings, truth, open_, made.site_nights, heads.moments(made.embeddings), 0)
        assert np.shape(found) == (2, 4) and len(np.unique(np.concatenate(asked))) == len(asked) == 41
        assert np.all(np.isfinite(found))


def test_a_topic_measured_anew_leaves_the_other_topics_as_they_were(monkeypatch, tmp_path):
    """So that one of them can be measured without the half hour that all of them take."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "benchmarks"))
    import bench

    table = tmp_path / "bench.json"
    bench.keep(table, {"s4d": {"date": "2026-01-01"}, "demo": {"date": "2026-01-01"}})
    bench.keep(table, {"front_end": {"date": "2026-02-02"}, "demo": {"date": "2026-02-02"}})
    kept = json.loads(table.read_text(encoding="utf-8"))
    assert {topic: one["date"] for topic, one in kept.items()} == {
        "front_end": "2026-02-02",
        "s4d": "2026-01-01",
        "demo": "2026-02-02",
    }
    assert list(kept) == ["front_end", "s4d", "demo"]
