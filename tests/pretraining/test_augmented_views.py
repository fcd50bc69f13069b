import dataclasses

import pytest
import torch

from acssm_lib.data.clips import Clips
from acssm_lib.model.encoder import AcousticSSM
from acssm_lib.pretraining import augmented_views, contrastive
from acssm_lib.pretraining.augmented_views import AugmentedViews, NoisyViews
from acssm_lib.pretraining.contrastive import AugmentedPairs, NoisyPairs


@pytest.mark.parametrize(
    "kind, module, n_views",
    [
        (AugmentedViews, augmented_views, 3),
        (NoisyViews, augmented_views, 3),
        (AugmentedPairs, contrastive, 2),
        (NoisyPairs, contrastive, 2),
    ],
)
def test_every_view_of_a_recording_goes_once_through_each_augmentation(tiny, monkeypatch, kind, module, n_views):
    clips = Clips([torch.full((100,), n / 16) for n in range(5)])
    changes = [lambda rows, generator, by=4.0**k: rows + by for k in range(len(kind.augmentations))]
    monkeypatch.setattr(module, "augmentations", lambda names, config: changes)
    objective = kind(AcousticSSM(tiny), dataclasses.replace(tiny, n_views=3, n_samples=100))
    views = objective.views(clips, torch.tensor([4, 1]), torch.Generator().manual_seed(0))
    each_once = sum(4.0**k for k in range(len(changes)))
    assert torch.equal(views.floor(), torch.full((2 * n_views, 100), each_once))  # all of a crop
    assert (views - each_once).amax(1).tolist() == [4 / 16, 1 / 16] * n_views
