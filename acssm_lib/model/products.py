"""Pooling by products: a mean over time that knows what came before what.

A mean over time of frames, or of a linear memory of frames, is the same for every order of the frames. The mean of a
*product* of the two is not: it is large where what is remembered and what is there now go together.

    now      n_t = P x_t                         P, Q (N_PRODUCTS, d_model), learned
    before   b_t = sum_l K[l] Q x_{t-l}          K the kernel of a state space (``s4d``), without the skip D
    pooled   r_ij = mean_t b_ti n_tj, both less their mean and over their deviation: a correlation

What stands still in a clip, such as its noise, its level and its colour, has no deviation and drops out.
"""

import torch
from torch import nn

from acssm_lib.model.convolution import causal_convolution
from acssm_lib.model.s4d import S4DKernel

N_PRODUCTS = 16  # channels of either side; every one of one side meets every one of the other
_LEAST = 1e-3  # added to each variance: a channel that does not move correlates with nothing


class TimeProducts(nn.Module):
    """Correlations of what is remembered with what is there, one vector per clip.

    Args:
        d_model: channels of the features.
        d_state, dt_min, dt_max: of the memory, see ``S4D``.
        remembers: False for an encoder without memory; the products are then those of a frame with itself, and the
            order of the frames does not matter.
    Shapes:
        features (batch, d_model, frames) -> (batch, N_PRODUCTS ** 2).
    Taught in: 03_s4d.
    Source: ours; a product of memory and input as in H3 (Fu et al. 2023), its mean over time as in bilinear pooling
        (Lin et al. 2015).
    """

    def __init__(self, d_model, d_state, dt_min, dt_max, remembers=True):
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.maps = nn.Linear(d_model, 2 * N_PRODUCTS, bias=False)
        self.kernel = S4DKernel(N_PRODUCTS, d_state, dt_min, dt_max) if remembers else None

    def forward(self, features):
        now, before = self.maps(self.norm(features.transpose(1, 2))).transpose(1, 2).chunk(2, dim=1)
        now, before = _moving(now), _moving(before)
        if self.kernel is not None:
            before = _moving(causal_convolution(before, self.kernel(before.shape[2])))
        return (_unit(before) @ _unit(now).mT / now.shape[2]).flatten(1)

    def special_parameters(self):
        """Step sizes and poles of the memory; see ``parameter_groups``."""
        kernel = self.kernel
        return [] if kernel is None else [kernel.log_dt, kernel.log_A_real, kernel.A_imag]


def _moving(x):
    return x - x.mean(dim=2, keepdim=True)


def _unit(x):
    return x * torch.rsqrt(x.square().mean(dim=2, keepdim=True) + _LEAST)
