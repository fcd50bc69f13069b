"""EfficientAT mn04: small stand-ins in the published layout, and the real file where it is at hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from acssm_lib.baselines import weights
from acssm_lib.baselines.mn04 import MobileLogMel, MobileNet
from acssm_lib.data import datasets
from acssm_lib.experiment.shelf import pretrained_encoder
from acssm_lib.fewshot.evaluation import evaluate
from acssm_lib.fewshot.groups import GroupData, load_group
from acssm_lib.fewshot.readout import LogisticReadout
from acssm_lib.files import DataError
from acssm_lib.presets import preset

BLOCKS = {  # number: (kernel, widened, out, squeezed); three channels come in; widths of the test's own
    1: (3, 4, 4, 0),
    2: (3, 6, 5, 0),
    3: (3, 6, 5, 0),
    4: (5, 6, 5, 2),
    5: (5, 6, 5, 2),
    6: (5, 6, 5, 2),
    7: (3, 6, 5, 0),
    8: (3, 6, 5, 0),
    9: (3, 6, 5, 0),
    10: (3, 6, 5, 0),
    11: (3, 6, 5, 2),
    12: (3, 6, 5, 2),
    13: (5, 6, 5, 2),
    14: (5, 6, 5, 2),
    15: (5, 6, 5, 2),
}


def published(seed=0):
    """Tensors named as in the published file, narrow."""
    generator = torch.Generator().manual_seed(seed)
    state = {}

    def conv(name, out_channels, per_group, kernel):
        state[f"{name}.0.weight"] = 0.3 * torch.randn(out_channels, per_group, kernel, kernel, generator=generator)
        state[f"{name}.1.weight"], state[f"{name}.1.bias"] = torch.ones(out_channels), torch.zeros(out_channels)
        state[f"{name}.1.running_mean"] = torch.zeros(out_channels)
        state[f"{name}.1.running_var"] = torch.ones(out_channels)
        state[f"{name}.1.num_batches_tracked"] = torch.tensor(7)

    conv("features.0", 4, 1, 3)
    channels = 4
    for number, (kernel, wide, out, squeezed) in BLOCKS.items():
        place = 0
        if wide != channels:
            conv(f"features.{number}.block.0", wide, channels, 1)
            place = 1
        conv(f"features.{number}.block.{place}", wide, 1, kernel)
        if squeezed:
            place += 1
            for layer, rows, columns in (("fc1", squeezed, wide), ("fc2", wide, squeezed)):
                name = f"features.{number}.block.{place}.conc_se_layers.0.{layer}"
                state[f"{name}.weight"] = torch.randn(rows, columns, generator=generator)
                state[f"{name}.bias"] = torch.zeros(rows)
        conv(f"features.{number}.block.{place + 1}", out, wide, 1)
        channels = out
    conv("features.16", 30, channels, 1)
    state["classifier.2.weight"], state["classifier.2.bias"] = torch.zeros(8, 30), torch.zeros(8)
    return state


def test_every_tensor_but_the_classifiers_is_where_its_name_says(tmp_path):
    torch.save(published(), tmp_path / "mn04.pt")
    state = weights.load("mn04", tmp_path / "mn04.pt")
    encoder = MobileNet(preset("quick"), state).eval()
    own = encoder.state_dict()
    assert set(own) == {name for name in state if not name.startswith("classifier")}
    assert all(torch.equal(own[name], state[name]) for name in own)
    assert encoder.d_model == 30


def test_32_frames_become_one_and_embed_is_their_mean():
    encoder = MobileNet(preset("quick"), published()).eval()
    waveform = 0.1 * torch.randn(2, 30_225, generator=torch.Generator().manual_seed(0))
    log_mel = encoder.front_end(waveform)
    assert log_mel.shape == (2, 1, 128, 152)  # 100 a second
    features = encoder(log_mel)
    assert features.shape == (2, 30, 5)
    torch.testing.assert_close(encoder.embed(waveform), features.mean(2))


def test_a_channel_that_the_squeeze_closes_does_not_pass():
    state = published()
    for name in state:
        if name.endswith("fc2.bias"):
            state[name] = torch.full_like(state[name], -100.0)
        elif name.endswith("fc2.weight"):
            state[name] = torch.zeros_like(state[name])
    block = MobileNet(preset("quick"), state).eval().features[5]
    x = torch.randn(1, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(block(x), x)  # what is left is the shortcut


def test_a_tone_is_loudest_in_the_band_that_holds_it():
    time = torch.arange(20_000) / 20_000
    log_mel = MobileLogMel(20_000)(torch.sin(2 * torch.pi * 3000 * time)[None])[0, 0]
    mel = 1127 * np.log1p(np.array([3000, 15_000]) / 700)  # Kaldi's scale
    assert abs(int(log_mel[:, 50].argmax()) + 1 - 129 * mel[0] / mel[1]) < 1.5


def test_other_weights_are_refused():
    with pytest.raises(DataError, match="no tensor 'features.0.0.weight'.*EfficientAT"):
        MobileNet(preset("quick"), {"fc.weight": torch.zeros(2, 2)})
    state = published()
    del state["features.16.1.running_var"]
    with pytest.raises(DataError, match="EfficientAT mn04.*running_var"):
        MobileNet(preset("quick"), state)


def test_the_published_file_tells_real_sounds_apart(shared_data):
    path = shared_data / "weights" / "mn04_as_mAP_432.pt"
    if not path.is_file():
        pytest.skip("no mn04 weights beside the repository")
    config = preset("quick", n_episodes=10)
    encoder = MobileNet(config, weights.load("mn04", path)).eval()
    data = load_group(datasets.load("esc50", shared_data / "esc10", preset=config), "E1", config, 0, progress=False)
    some = np.concatenate([np.flatnonzero(data.labels == label)[:12] for label in range(5)])
    with torch.no_grad():
        embedding = torch.cat([encoder.embed(data.clips.waveform(int(index))[None]) for index in some]).numpy()
    draws = evaluate(
        LogisticReadout(embedding),
        data.labels[some],
        [data.sources[index] for index in some],
        [data.names[index] for index in some],
        config,
        0,
        progress=False,
    )
    assert np.mean([draw["accuracy"] for draw in draws]) > 0.9  # chance 0.2; mel statistics reach about 0.7


def test_its_training_goes_on_from_the_file_on_the_pool(bank, tiny, tmp_path):
    """``mn04-adapted`` starts at the published values, moves, and is found again only for the same file."""
    data = GroupData(
        bank,
        np.repeat(np.arange(3), 4),
        [None] * 12,
        [f"clip{n}" for n in range(12)],
        ["a", "b", "c"],
        np.array([], dtype=int),
    )
    config = replace(tiny, projection="mlp", temperature=0.1, n_views=2, pretrain_epochs=1)
    weights_of = {}
    for seed in (0, 1):
        path = tmp_path / f"mn04_{seed}.pt"
        torch.save(published(seed), path)
        encoder, done = pretrained_encoder(
            "mn04-adapted", data, config, 0, folder=tmp_path, weights=path, progress=False
        )
        assert done.steps == 3 and not encoder.training
        assert not torch.equal(encoder.state_dict()["features.0.0.weight"], published(seed)["features.0.0.weight"])
        weights_of[seed] = encoder.state_dict()["features.0.0.weight"]
    assert (weights_of[0] - published(0)["features.0.0.weight"]).abs().max() < 0.05  # a few small steps
    assert not torch.allclose(weights_of[0], weights_of[1], atol=0.05)
