import copy

import pytest
import torch
from published import small
from torch.nn import functional as F

from acssm_lib.baselines.controls import KernelZeroed
from acssm_lib.model.encoder import AcousticSSM, AdaptedCNN
from acssm_lib.model.resnet import FrequencyResNet, ResidualBlock
from acssm_lib.presets import preset
from acssm_lib.training import count_parameters, parameter_groups, pick_device, reduced_precision, save_weights


def test_parameter_counts_at_paper_size():
    encoder = AcousticSSM(preset("paper"))
    assert count_parameters(encoder) == 7_402_176
    assert count_parameters(encoder.cnn) == count_parameters(AdaptedCNN(preset("paper"))) == 3_844_800
    assert count_parameters(AcousticSSM(preset("paper", n_layers=8))) == 8_587_968


def test_resnet_shapes_stage_by_stage():
    network = FrequencyResNet()
    x = torch.zeros(1, 3, 128, 5)
    x = network.stem(x)
    assert x.shape == (1, 64, 32, 5)
    shapes = []
    for block in network.stages:
        x = block(x)
        shapes.append(tuple(x.shape[1:3]))
    assert shapes[1::2] == [(64, 32), (128, 16), (256, 8), (512, 4)]
    assert network(torch.zeros(2, 3, 128, 60)).shape == (2, 512, 60)


def test_a_frame_s_output_depends_on_that_frame_alone():
    torch.manual_seed(0)
    network = FrequencyResNet(widths=(8, 16), blocks=(1, 1)).eval()
    spectrograms = torch.randn(2, 3, 32, 20)
    changed = spectrograms.clone()
    changed[:, :, :, 7] += 1
    difference = (network(changed) - network(spectrograms)).abs().amax(dim=(0, 1))
    assert difference[7] > 1e-3
    assert difference[torch.arange(20) != 7].max() == 0


def gradients(network, spectrograms):
    """Features and the gradient of every weight, as one vector each, in double precision."""
    features = network.stages(network.stem(spectrograms)).mean(dim=2)
    weights = torch.linspace(-1, 1, features[0].numel(), dtype=features.dtype).view(features[0].shape)
    (features * weights).sum().backward()
    return [features.detach().flatten().double(), torch.cat([p.grad.flatten().double() for p in network.parameters()])]


@pytest.mark.parametrize("widths, frames", [((4, 8), 9), ((8, 16), 59), ((8, 16, 32), 60), ((12, 16), 31)])
@pytest.mark.parametrize("precision, near", [("float32", 1e-3), ("bfloat16", 0.1)])
def test_channels_innermost_change_neither_features_nor_gradients(widths, frames, precision, near):
    """Odd numbers of frames and few channels: where processors' libraries have gone wrong."""
    torch.manual_seed(0)
    network = FrequencyResNet(widths=widths, blocks=(1,) * len(widths))
    assert all(
        module.weight.is_contiguous(memory_format=torch.channels_last)
        for module in network.modules()
        if isinstance(module, torch.nn.Conv2d)
    )
    spectrograms = torch.randn(6, 3, 32, frames)
    exact = copy.deepcopy(network).double().to(memory_format=torch.contiguous_format)
    wanted = gradients(exact, spectrograms.double())
    with reduced_precision(precision, "cpu"):
        assert torch.equal(network(spectrograms), copy.deepcopy(network)(spectrograms.clone()))
        got = gradients(network, spectrograms.contiguous(memory_format=torch.channels_last))
    for a, b in zip(got, wanted):
        assert (a - b).norm() < near * b.norm()


def test_a_shortcut_reads_the_bands_that_a_stride_of_two_reads():
    torch.manual_seed(0)
    block, x = ResidualBlock(4, 8, stride=2).eval(), torch.randn(2, 4, 9, 5)
    strided = F.conv2d(x, block.shortcut[0].weight, stride=(2, 1))
    y = block.norm2(block.conv2(F.relu(block.norm1(block.conv1(x)))))
    torch.testing.assert_close(block(x), F.relu(y + block.shortcut[1](strided)))


def test_shuffled_frames_change_the_ssm_but_not_the_cnn(tiny):
    torch.manual_seed(0)
    spectrograms = torch.randn(1, 3, tiny.n_mels, 20)
    shuffled = spectrograms[..., torch.randperm(20)]
    cnn, ssm = AdaptedCNN(tiny).eval(), AcousticSSM(tiny).eval()
    torch.testing.assert_close(cnn(shuffled).mean(2), cnn(spectrograms).mean(2), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(ssm(shuffled).mean(2), ssm(spectrograms).mean(2), atol=1e-3)


@pytest.mark.parametrize("prenorm", [False, True])
def test_embedding_shape_and_gradients_everywhere(tiny, prenorm):
    encoder = AcousticSSM(small(n_mels=16, widths=(4, 8), blocks=(1, 1), d_state=4, prenorm=prenorm))
    embedding = encoder.embed(torch.randn(3, tiny.n_samples, generator=torch.Generator().manual_seed(0)))
    assert embedding.shape == (3, 8)
    embedding.square().sum().backward()
    silent = [
        name
        for name, parameter in encoder.named_parameters()
        if parameter.grad is None or not torch.isfinite(parameter.grad).all()
    ]
    assert silent == []


def test_special_parameters_train_slowly_and_without_decay(tiny):
    encoder = AcousticSSM(tiny)
    general, special = parameter_groups(encoder, 0.01, 1e-3, 0.001, encoder.special_parameters())
    names = {id(parameter): name for name, parameter in encoder.named_parameters()}
    assert {names[id(parameter)].split(".")[-1] for parameter in special["params"]} == {
        "log_dt",
        "log_A_real",
        "A_imag",
    }
    assert (special["lr"], special["weight_decay"], general["lr"], general["weight_decay"]) == (0.001, 0.0, 0.01, 1e-3)
    assert sum(p.numel() for group in (general, special) for p in group["params"]) == count_parameters(encoder)


def test_weights_move_through_a_file_loaded_as_weights_only(tiny, tmp_path):
    waveform = torch.randn(2, tiny.n_samples, generator=torch.Generator().manual_seed(0))
    encoder = AcousticSSM(tiny).eval()
    encoder.standardisation.fit(encoder.front_end, waveform)
    save_weights(tmp_path / "encoder.pt", encoder)
    other = AcousticSSM(tiny).eval()
    other.load_state_dict(torch.load(tmp_path / "encoder.pt", weights_only=True))
    assert torch.equal(other.embed(waveform), encoder.embed(waveform))
    assert [path.name for path in tmp_path.iterdir()] == ["encoder.pt"]


def test_wrong_shapes_and_devices_are_named():
    with pytest.raises(ValueError, match="batch, channels, mel, frames"):
        FrequencyResNet()(torch.zeros(3, 128, 60))
    with pytest.raises(ValueError, match="2 widths but 3"):
        FrequencyResNet(widths=(4, 8), blocks=(1, 1, 1))
    assert pick_device("cpu").type == "cpu"
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="'cuda' is not available"):
            pick_device("cuda")


def test_zeroed_kernel_reads_frame_by_frame_and_stays_zero(tiny):
    spectrograms = torch.randn(2, 3, tiny.n_mels, 12, generator=torch.Generator().manual_seed(0))
    order = torch.tensor([3, 0, 9, 1, 11, 2, 10, 4, 8, 5, 7, 6])
    torch.manual_seed(0)
    encoder = KernelZeroed(tiny)
    torch.manual_seed(0)
    full = AcousticSSM(tiny)
    optimiser = torch.optim.AdamW(parameter_groups(encoder, 0.1, 0.1, 0.1, encoder.special_parameters()))
    encoder(spectrograms).square().mean().backward()
    optimiser.step()
    for module, mixes in ((encoder.eval(), False), (full.eval(), True)):
        moved = (module(spectrograms[..., order]) - module(spectrograms)[..., order]).abs().max()
        assert (moved > 1e-3) == mixes
