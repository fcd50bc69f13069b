"""Mamba's selective state space: a linear memory that each frame tells how much to keep, to write and to read.

An S4D layer remembers the same way whatever it hears: its mean over time carries no order. Here the step size and the
vectors that write and read depend on the frame, so what is heard later is multiplied into what was heard before,

    h_t = exp(dt_t A) h_{t-1} + dt_t B_t u_t        y_t = C_t h_t + D u_t          per channel
    dt_t = softplus(W_dt x_t + b)    B_t = W_B x_t    C_t = W_C x_t

A large dt_t forgets the past and takes the frame in, a small one lets the frame pass by.

Symbols: u, y (batch, d_model, frames); A (d_model, d_state), real, below zero; h (batch, d_model, d_state) state;
dt (batch, frames, d_model); B, C (batch, frames, d_state), the same for all channels.
Source: Gu and Dao 2023, arXiv 2312.00752, section 3 and figure 3. Ours is plain PyTorch, as wide inside as outside
(their expansion is 2), and needs no kernel of its own on a GPU.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F


class Mamba(nn.Module):
    """Selective state-space layer over a sequence of frames: causal, one direction; stands in for ``S4D``.

    linear to 2 d_model, one half: short causal convolution -> SiLU -> selective state space; times SiLU of the other
    half -> dropout -> linear.

    Args:
        d_model: channels.
        d_state: states per channel, real.
        dropout: probability that a whole channel is zeroed, shared over time.
        dt_min, dt_max: range of the step sizes at the start, log-uniform.
    Shapes:
        u (batch, d_model, frames) -> y, same shape.
    Raises:
        ValueError: an input that is not (batch, d_model, frames).
    Taught in: 03_s4d.
    """

    TAPS = 4  # of the short convolution

    def __init__(
        self, d_model: int, d_state: int = 16, dropout: float = 0.0, dt_min: float = 0.001, dt_max: float = 0.1
    ):
        super().__init__()
        self.d_model, self.d_state, rank = d_model, d_state, math.ceil(d_model / 16)
        self.split = nn.Linear(d_model, 2 * d_model, bias=False)
        self.short = nn.Conv1d(d_model, d_model, self.TAPS, groups=d_model)
        self.select = nn.Linear(d_model, rank + 2 * d_state, bias=False)
        self.step_size = nn.Linear(rank, d_model)
        self.log_A = nn.Parameter(torch.arange(1.0, d_state + 1).log().repeat(d_model, 1))
        self.D = nn.Parameter(torch.ones(d_model))
        self.dropout, self.merge = nn.Dropout1d(dropout), nn.Linear(d_model, d_model, bias=False)
        dt = torch.empty(d_model).uniform_(math.log(dt_min), math.log(dt_max)).exp()
        with torch.no_grad():
            self.step_size.bias.copy_(dt + (-torch.expm1(-dt)).log())  # softplus gives dt again

    def forward(self, u, scan=None):
        """``scan``: (forget, write) -> states; ``chunked_scan`` unless another is given."""
        if u.ndim != 3 or u.shape[1] != self.d_model:
            raise ValueError(f"expected (batch, d_model={self.d_model}, frames), got {tuple(u.shape)}")
        with torch.autocast(u.device.type, enabled=False):  # products of many factors need single precision
            x, gate = self.split(u.to(self.D.dtype).transpose(1, 2)).chunk(2, dim=2)  # (batch, frames, d_model)
            x = F.silu(self.short(F.pad(x.transpose(1, 2), (self.TAPS - 1, 0)))).transpose(1, 2)
            forget, write, read = self.selected(x)
            states = (scan or chunked_scan)(forget, write)  # (batch, frames, d_model, d_state)
            y = (states @ read[..., None])[..., 0] + self.D * x
            y = self.dropout((y * F.silu(gate)).transpose(1, 2)).transpose(1, 2)
            return self.merge(y).transpose(1, 2)

    def selected(self, x):
        """What each frame does to the memory: x (batch, frames, d_model) -> how much of it stays, what is written, both
        (batch, frames, d_model, d_state), and what is read, C (batch, frames, d_state)."""
        rank = self.step_size.in_features
        dt, B, C = self.select(x).split([rank, self.d_state, self.d_state], dim=2)
        dt = F.softplus(self.step_size(dt))
        return (-dt[..., None] * self.log_A.exp()).exp(), (dt * x)[..., None] * B[:, :, None], C

    def initial_state(self, batch: int):
        """The empty memory: the last inputs of the short convolution (batch, d_model, 3), and the states."""
        return (
            self.D.new_zeros(batch, self.d_model, self.TAPS - 1),
            self.D.new_zeros(batch, self.d_model, self.d_state),
        )

    def step(self, u_t, state):
        """One frame of the same layer as a recurrence.

        Args:
            u_t: real, (batch, d_model).
            state: from ``initial_state`` or the step before.
        Returns:
            y_t: real, (batch, d_model); the new state.
        """
        recent, states = state
        x, gate = self.split(u_t).chunk(2, dim=1)
        recent = torch.cat([recent, x[..., None]], dim=2)
        x = F.silu(self.short(recent)).transpose(1, 2)  # (batch, 1, d_model)
        forget, write, read = self.selected(x)
        states = forget[:, 0] * states + write[:, 0]
        y = (states @ read[:, 0, :, None])[..., 0] + self.D * x[:, 0]
        return self.merge(self.dropout((y * F.silu(gate))[..., None])[..., 0]), (recent[..., 1:], states)

    def special_parameters(self):
        """Parameters that train with a small learning rate and no weight decay: poles and step sizes."""
        return [self.log_A, self.step_size.bias]


def sequential_scan(forget, write):
    """h_t = forget_t h_{t-1} + write_t, frame after frame, as it is written: the reference.

    Shapes:
        (batch, frames, ...), both -> states, same shape.
    Taught in: 03_s4d.
    """
    states, state = [], torch.zeros_like(write[:, 0])
    for t in range(write.shape[1]):
        state = forget[:, t] * state + write[:, t]
        states.append(state)
    return torch.stack(states, dim=1)


def chunked_scan(forget, write):
    """The same states in about 2 sqrt(frames) steps: all chunks at once, then what each hands on to the next.

    Its gradient is a scan too, from the last frame to the first: what a state is worth is what it is worth now, and
    ``forget`` of what the next one is worth.

    Taught in: 03_s4d.
    """
    return _Scan.apply(forget, write)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, forget, write):
        states = _in_chunks(forget, write)
        ctx.save_for_backward(forget, states)
        return states

    @staticmethod
    def backward(ctx, gradient):
        forget, states = ctx.saved_tensors
        onward = torch.zeros_like(forget)
        onward[:, :-1] = forget[:, 1:]
        worth = _in_chunks(onward.flip(1), gradient.flip(1)).flip(1)
        to_forget = torch.zeros_like(forget)
        torch.mul(worth[:, 1:], states[:, :-1], out=to_forget[:, 1:])
        return to_forget, worth


def _in_chunks(forget, write):
    frames = write.shape[1]
    width = math.isqrt(frames - 1) + 1
    missing = -frames % width
    if missing:
        pad = [0, 0] * (write.ndim - 2) + [0, missing]
        forget, write = F.pad(forget, pad), F.pad(write, pad)
    left, states = (x.unflatten(1, (-1, width)).clone() for x in (forget, write))  # (batch, chunks, width, ...)
    for t in range(1, width):  # within the chunks, each from an empty memory
        states[:, :, t].addcmul_(left[:, :, t], states[:, :, t - 1])
        left[:, :, t] *= left[:, :, t - 1]  # what is left of the memory a chunk began with
    for chunk in range(1, states.shape[1]):
        states[:, chunk].addcmul_(left[:, chunk], states[:, chunk - 1, -1:])
    return states.flatten(1, 2)[:, :frames]
