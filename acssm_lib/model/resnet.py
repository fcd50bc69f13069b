"""A residual network that convolves along frequency only: every frame is read by itself.

All kernels are k x 1 (frequency x time) and all strides and paddings act on frequency, so frames pass
through side by side and never mix.

Tensors are (batch, channels, bands, frames) but lie in memory with the channels innermost (``channels_last``): the
channels of one band and frame, which every product sums over, are then neighbours.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F


def frequency_conv(in_channels, out_channels, kernel, stride=1):
    """A convolution whose kernel spans ``kernel`` mel bands and exactly one frame.

    Taught in: 02_frequency_cnn.
    """
    return nn.Conv2d(in_channels, out_channels, (kernel, 1), stride=(stride, 1), padding=(kernel // 2, 0), bias=False)


class ResidualBlock(nn.Module):
    """conv 3x1 -> BN -> ReLU -> conv 3x1 -> BN, plus the shortcut, then ReLU.

    Shapes:
        (batch, in_channels, bands, frames) -> (batch, out_channels, bands / stride, frames).
    Taught in: 02_frequency_cnn.
    """

    def __init__(self, in_channels, out_channels, stride):
        super().__init__()
        self.conv1 = frequency_conv(in_channels, out_channels, 3, stride)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = frequency_conv(out_channels, out_channels, 3)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.stride, self.shortcut = stride, nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(frequency_conv(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels))

    def forward(self, x):
        y = F.relu(self.norm1(self.conv1(x)))
        # A 1x1 kernel with a stride reads every second band. Slicing says the same, and keeps clear of a fault in
        # oneDNN (its issue 6035): with few channels, the weight gradient of that convolution writes past its memory.
        kept = x[:, :, :: self.stride]
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(kept))


class FrequencyResNet(nn.Module):
    """Spectrogram stack to one feature vector per frame.

    A frame's output depends on that frame's input alone (batch-norm statistics aside), so whatever links
    frames in time is left to the layers that follow.

    Args:
        in_channels: channels of the stack.
        widths: channels of the stages; every stage but the first halves the bands.
        blocks: residual blocks of each stage.
    Shapes:
        (batch, in_channels, mel, frames) -> (batch, widths[-1], frames).
    Raises:
        ValueError: ``widths`` and ``blocks`` differ in length, or the input is not four-dimensional.
    Taught in: 02_frequency_cnn.
    Source: paper section II (3,844,800 parameters at the defaults); layer sizes from the authors' code.
    """

    def __init__(
        self, in_channels: int = 3, widths: Sequence[int] = (64, 128, 256, 512), blocks: Sequence[int] = (2, 2, 2, 2)
    ):
        super().__init__()
        if len(widths) != len(blocks):
            raise ValueError(f"{len(widths)} widths but {len(blocks)} block counts; give one of each per stage")
        self.stem = nn.Sequential(
            frequency_conv(in_channels, widths[0], 7, stride=2),
            nn.BatchNorm2d(widths[0]),
            nn.ReLU(),
            nn.MaxPool2d((3, 1), stride=(2, 1), padding=(1, 0)),
        )
        stages, channels = [], widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks)):
            for block in range(count):
                stages.append(ResidualBlock(channels, width, stride=2 if stage > 0 and block == 0 else 1))
                channels = width
        self.stages = nn.Sequential(*stages)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs leave it out

    def forward(self, spectrograms):
        if spectrograms.ndim != 4:
            raise ValueError(f"expected (batch, channels, mel, frames), got {tuple(spectrograms.shape)}")
        spectrograms = spectrograms.contiguous(memory_format=torch.channels_last)
        return self.stages(self.stem(spectrograms)).mean(dim=2)
