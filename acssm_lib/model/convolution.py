"""The fast half of S4D: its kernel's powers in real arithmetic, and causal convolutions for short and long inputs.

``s4d`` is the layer as the paper has it; what stands here changes nothing but rounding and time.
"""

import torch
from torch.nn import functional as F


def powers(dt_A, steps):
    """exp(dt_A steps) in real arithmetic: on a CPU several times as fast as PyTorch's complex exp.

    Args:
        dt_A: complex; steps: real; their shapes broadcast.
    Taught in: 03_s4d.
    """
    size, angle = (dt_A.real * steps).exp(), dt_A.imag * steps
    return torch.complex(size * angle.cos(), size * angle.sin())


def with_skip(kernel, D):
    """The kernel of the state space and of the way around it: D u is a kernel that has one value, at lag 0.

    Args:
        kernel: real, (d_model, length).
        D: real, (d_model,).
    Returns:
        real, (d_model, length).
    Taught in: 03_s4d.
    """
    return kernel + F.pad(D[:, None], (0, kernel.shape[1] - 1))


def causal_convolution(u, kernel):
    """y[l] = sum_{j <= l} kernel[l - j] u[j]: by a matrix for many short sequences, by FFT for few or long ones.

    A matrix has to be written for every channel, which pays only if enough sequences share it. The border is where
    both take the same time, forward and backward, on two cores; see ``benchmarks/s4d_speed.py --profile``.

    Args:
        u: real, (batch, d_model, length).
        kernel: real, (d_model, length).
    Returns:
        y: real, (batch, d_model, length).
    Taught in: 03_s4d.
    """
    batch, _, length = u.shape
    return (toeplitz_convolution if length <= min(2 * batch, 200) else fft_convolution)(u, kernel)


def toeplitz_convolution(u, kernel):
    """``causal_convolution`` as one matrix product per channel; cost grows with the square of the length.

    The matrix holds kernel[j - i] in row i, column j, so that the rows of u, one per clip, multiply it from the left.

    Taught in: 03_s4d.
    """
    length = u.shape[-1]
    matrix = F.pad(kernel, (length - 1, 0)).unfold(1, length, 1).flip(1)  # (d_model, length, length)
    return torch.bmm(u.transpose(0, 1).contiguous(), matrix).transpose(0, 1)


def fft_convolution(u, kernel):
    """``causal_convolution`` as a product of spectra, twice as long so that nothing wraps around.

    Taught in: 03_s4d.
    """
    length = u.shape[-1]
    spectrum = torch.fft.rfft(u, 2 * length) * torch.fft.rfft(kernel, 2 * length)
    return torch.fft.irfft(spectrum, 2 * length)[..., :length]
