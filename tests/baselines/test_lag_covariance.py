"""The lag covariance by hand, its indifference to level and colour, and that nothing of it is fine-tuned."""

import numpy as np
import torch

from acssm_lib.baselines.lag_covariance import LAG, LagCovariance
from acssm_lib.data.clips import Clips
from acssm_lib.data.phrases import SyntheticPhrases
from acssm_lib.experiment.classifier import load_classifier
from acssm_lib.experiment.run import run
from acssm_lib.model.base import summary
from acssm_lib.presets import preset
from acssm_lib.pretraining.spectrogram_views import SpectrogramViews

CONFIG = preset("quick", n_frozen_episodes=10, n_episodes=2, frozen_shots="5")


def test_mean_of_products_by_hand():
    spectrograms = torch.randn(1, 1, 32, 50)
    found = summary(LagCovariance(CONFIG), spectrograms).view(32, 32)
    x = spectrograms[0, 0].numpy()
    x = (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    assert np.isclose(found[3, 20], np.mean([x[3, t] * x[20, t + LAG] for t in range(50 - LAG)]), atol=1e-4)


def test_gain_colour_and_silence_do_no_harm():
    control, spectrograms = LagCovariance(CONFIG), torch.randn(1, 1, 32, 50)
    coloured = 3 * spectrograms + torch.randn(1, 1, 32, 1)
    torch.testing.assert_close(summary(control, coloured), summary(control, spectrograms), rtol=1e-3, atol=1e-4)
    assert summary(control, torch.full((2, 1, 32, 4), -80.0)).abs().sum() == 0  # shorter than the lag, and silent


def test_a_run_reads_phrases_better_than_chance_and_fine_tunes_nothing(tmp_path):
    recordings = SyntheticPhrases(seed=7, n_labelled=12, n_unlabelled=0)
    record = run(recordings, "phrases", "lag-covariance", CONFIG, 0, out=tmp_path, encoders=tmp_path, progress=False)
    assert record["readout"] == "logistic" and record["parameters"] == 0 and record["pretraining"]["steps"] == 0
    in_time, shuffled = (
        next(
            entry
            for entry in record["readouts"]
            if entry["name"] == "logistic" and entry["n_shot"] == 5 and entry["shuffled"] is mixed
        )
        for mixed in (False, True)
    )
    assert np.mean(in_time["accuracy"]) > 0.35 > 0.32 > np.mean(shuffled["accuracy"])
    assert load_classifier(tmp_path / "classifier.pt").readout == "logistic"


def test_its_spectrogram_can_be_shown_changed_as_the_pages_do():
    control, generator = LagCovariance(CONFIG), torch.Generator().manual_seed(0)
    clips = Clips([torch.randn(40_000).clamp(-1, 1) / 4] * 2)
    views = SpectrogramViews(control, CONFIG).views(control, clips, torch.tensor([0, 1]), generator)
    assert views.shape == (2 * CONFIG.n_views, 1, 32, 60)
