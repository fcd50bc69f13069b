"""S4D: a diagonal state-space layer, as a convolution and as a recurrence.

A channel u(t) drives d_state / 2 independent complex states,

    s'(t) = A s(t) + u(t)        y(t) = 2 Re(C s(t)) + D u(t)        (paper, equations 1 and 2)

States come in conjugate pairs; one of each pair is kept, hence the doubled real part. B is absorbed in C.

Symbols: A (d_model, d_state / 2) poles; C output weights, same shape; D (d_model,) skip;
dt = exp(log_dt) step size in frames, (d_model,).
Source: Gu, Gupta, Goel and Re 2022, arXiv 2206.11893; parameter names and shapes are those of the
stand-alone layer of state-spaces/s4, so weights move both ways.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F

from acssm_lib.model.convolution import causal_convolution, powers, with_skip


class S4DKernel(nn.Module):
    """Parameters of the state space, and its impulse response.

    Taught in: 03_s4d.
    """

    def __init__(self, d_model, d_state, dt_min, dt_max):
        super().__init__()
        pairs = d_state // 2
        self.log_dt = nn.Parameter(torch.empty(d_model).uniform_(math.log(dt_min), math.log(dt_max)))
        self.C = nn.Parameter(torch.view_as_real(torch.randn(d_model, pairs, dtype=torch.cfloat)).clone())
        self.log_A_real = nn.Parameter(torch.full((d_model, pairs), math.log(0.5)))
        self.A_imag = nn.Parameter(math.pi * torch.arange(pairs, dtype=torch.float32).repeat(d_model, 1))

    def discretise(self):
        """Zero-order hold: the input is constant during one step.

        Returns:
            dt_A: complex, (d_model, d_state / 2); the state is multiplied by exp(dt_A) each frame.
            B_bar: complex, same shape, (exp(dt_A) - 1) / A; what one frame of input adds to the state.
        """
        A = torch.complex(-self.log_A_real.exp(), self.A_imag)
        dt_A = A * self.log_dt.exp()[:, None]
        return dt_A, (dt_A.exp() - 1) / A

    def forward(self, length):
        """Kernel K[l] = 2 Re sum_n C_n B_bar_n exp(dt_A_n)^l; real, (d_model, length).

        The powers are not written out: l = row * width + column splits exp(dt_A l) into two factors, so that about
        2 sqrt(length) exponentials per state and one real matrix product make the kernel, already in its order.
        """
        dt_A, B_bar = self.discretise()
        weights = 2 * torch.view_as_complex(self.C) * B_bar
        width = math.isqrt(length - 1) + 1
        column = torch.arange(width, device=dt_A.device, dtype=self.C.dtype)[:, None]
        row = width * torch.arange(math.ceil(length / width), device=dt_A.device, dtype=self.C.dtype)[:, None]
        rows = weights[:, None] * powers(dt_A[:, None], row)  # (d_model, rows, d_state / 2)
        columns = powers(dt_A.conj()[:, None], column)  # conjugate: Re(a b) is the dot product of a and b*
        parts = [torch.view_as_real(factor).flatten(2) for factor in (rows, columns)]  # (d_model, ..., d_state)
        return torch.bmm(parts[0], parts[1].mT).flatten(1)[:, :length]

    def vandermonde(self, length):
        """The same kernel as its formula is written: every power of every state in memory, then one sum."""
        dt_A, B_bar = self.discretise()
        weights = torch.view_as_complex(self.C) * B_bar
        steps = torch.arange(length, device=dt_A.device)
        powers = (dt_A[..., None] * steps).exp()  # (d_model, d_state / 2, length)
        return 2 * torch.einsum("hn,hnl->hl", weights, powers).real


class S4D(nn.Module):
    """State-space layer over a sequence of frames: causal, one direction.

    kernel convolution + D u -> GELU -> dropout -> linear to 2 d_model -> gated linear unit.

    Args:
        d_model: channels; each has its own state space.
        d_state: real states per channel, even.
        dropout: probability that a whole channel is zeroed, shared over time.
        dt_min, dt_max: range of the initial step sizes, log-uniform. A channel forgets with a time
            constant of 2 / dt frames.
    Shapes:
        u (batch, d_model, frames) -> y, same shape.
    Raises:
        ValueError: odd d_state, or an input that is not (batch, d_model, frames).
    Taught in: 03_s4d.
    """

    def __init__(
        self, d_model: int, d_state: int = 64, dropout: float = 0.0, dt_min: float = 0.001, dt_max: float = 0.1
    ):
        super().__init__()
        if d_state % 2:
            raise ValueError(f"d_state={d_state} is odd; states come in conjugate pairs")
        self.d_model = d_model
        self.D = nn.Parameter(torch.randn(d_model))
        self.kernel = S4DKernel(d_model, d_state, dt_min, dt_max)
        self.dropout = nn.Dropout1d(dropout)
        self.output_linear = nn.Sequential(nn.Conv1d(d_model, 2 * d_model, 1), nn.GLU(dim=1))

    def forward(self, u):
        if u.ndim != 3 or u.shape[1] != self.d_model:
            raise ValueError(f"expected (batch, d_model={self.d_model}, frames), got {tuple(u.shape)}")
        with torch.autocast(u.device.type, enabled=False):  # phases need all the digits of single precision
            kernel = with_skip(self.kernel(u.shape[2]), self.D)
            y = causal_convolution(u.to(kernel.dtype), kernel)
        return self.mix(y)

    def mix(self, y):
        """What follows the state space, frame by frame: real, (batch, d_model, frames) -> same shape.

        The 1 x 1 convolution is done as one matrix product over all positions. Its result lies in memory as
        (batch, frames, d_model), which is what a LayerNorm over the channels wants.
        """
        y = self.dropout(F.gelu(y)).transpose(1, 2)
        convolution, gate = self.output_linear
        mixed = F.linear(y.reshape(-1, self.d_model), convolution.weight[:, :, 0], convolution.bias)
        return F.glu(mixed, dim=1).view(y.shape).transpose(1, 2)

    def initial_state(self, batch: int) -> torch.Tensor:
        """The empty memory: complex zeros, (batch, d_model, d_state / 2)."""
        return self.kernel.C.new_zeros(batch, *self.kernel.C.shape[:2]) * 1j

    def step(self, u_t, state):
        """One frame of the same layer as a recurrence.

        Args:
            u_t: real, (batch, d_model).
            state: complex, (batch, d_model, d_state / 2), from ``initial_state`` or the step before.
        Returns:
            y_t: real, (batch, d_model); the new state.
        """
        dt_A, B_bar = self.kernel.discretise()
        state = dt_A.exp() * state + B_bar * u_t[..., None]
        y = 2 * (torch.view_as_complex(self.kernel.C) * state).sum(-1).real + self.D * u_t
        return self.mix(y[..., None]).squeeze(-1), state

    def special_parameters(self):
        """Parameters that train with a small learning rate and no weight decay: step sizes and poles."""
        return [self.kernel.log_dt, self.kernel.log_A_real, self.kernel.A_imag]
