"""Controls for the state-space layers: a CNN widened to their size, and the layers without memory."""

from bisect import bisect_left
from dataclasses import replace

import torch
from torch import nn

from acssm_lib.model.encoder import AcousticSSM, AdaptedCNN, StateSpaceStack
from acssm_lib.model.features import front_end
from acssm_lib.model.resnet import FrequencyResNet
from acssm_lib.training import count_parameters


class MatchedCNN(AdaptedCNN):
    """The control for size: an ``AdaptedCNN`` widened until it has as many parameters as ``AcousticSSM``.

    All widths grow by one factor, ``d_model`` among them; the count is met to within 2 % with every preset.

    Taught in: 06_ablation_comparison.
    """

    def __init__(self, config):
        super().__init__(replace(config, widths=_matched_widths(config)))


def _matched_widths(config):
    def widths(last):
        return tuple(round(width * last / config.widths[-1]) for width in config.widths)

    def size(last):
        return count_parameters(FrequencyResNet(n_channels, widths(last), config.blocks))

    n_channels = front_end(config).n_channels
    with torch.device("meta"):  # counted without memory, time or random numbers
        wanted = size(config.widths[-1]) + count_parameters(
            StateSpaceStack(config.widths[-1], config.n_layers, config.d_state, kind=config.sequence)
        )
        wider = range(config.widths[-1], 8 * config.widths[-1])
        first = wider[bisect_left(wider, wanted, key=size)]
        return widths(min(first, first - 1, key=lambda last: abs(size(last) - wanted)))


class KernelZeroed(AcousticSSM):
    """The control for depth: the same layers, but C is fixed at zero, so that the kernel is zero for ever.

    Skip connection, GELU and gated linear units stay, frame by frame. What it lacks against ``AcousticSSM`` is memory,
    not layers.

    Raises:
        ValueError: ``config.sequence`` is "mamba", which has no kernel.
    Taught in: 06_ablation_comparison.
    Source: method section 11, rule 11.
    """

    remembers = False

    def sequence_layers(self, config):
        if config.sequence != "s4d":
            raise ValueError(
                f"sequence={config.sequence} has no kernel to set to zero; kernel-zeroed is for s4d, leave it out"
            )
        stack = super().sequence_layers(config)
        for layer in stack.layers:
            nn.init.zeros_(layer.kernel.C).requires_grad_(False)
        return stack
