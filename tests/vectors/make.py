"""The vectors in this folder: from the formulas in double precision, and excerpts of reference numbers.

python tests/vectors/make.py                    # formulas; needs NumPy and SciPy, and nothing of acssm_lib
python tests/vectors/make.py shared/vectors     # excerpts of the reference vectors in that folder
"""

import sys
from pathlib import Path

import numpy as np
from scipy.special import erf

HERE = Path(__file__).resolve().parent


def s4d(p, u):
    """The layer as a recurrence, frame by frame; (batch, d_model, frames) -> same shape."""
    A = -np.exp(p["kernel.log_A_real"]) + 1j * p["kernel.A_imag"]  # (d_model, d_state / 2)
    C = p["kernel.C"][..., 0] + 1j * p["kernel.C"][..., 1]
    forget = np.exp(A * np.exp(p["kernel.log_dt"])[:, None])
    heard = (forget - 1) / A  # zero-order hold
    state, y = np.zeros((len(u), *A.shape), complex), np.empty_like(u)
    for t in range(u.shape[2]):
        state = forget * state + heard * u[:, :, t, None]
        y[:, :, t] = 2 * (C * state).sum(-1).real + p["D"] * u[:, :, t]
    y = y * (1 + erf(y / np.sqrt(2))) / 2  # GELU
    mixed = np.einsum("oi,bit->bot", p["output_linear.0.weight"][:, :, 0], y) + p["output_linear.0.bias"][:, None]
    value, gate = np.split(mixed, 2, axis=1)
    return value / (1 + np.exp(-gate))


def kernel(p, frames):
    """Impulse response: 2 Re sum C B exp(A dt l), (d_model, frames)."""
    A = -np.exp(p["kernel.log_A_real"]) + 1j * p["kernel.A_imag"]
    C = p["kernel.C"][..., 0] + 1j * p["kernel.C"][..., 1]
    step = A * np.exp(p["kernel.log_dt"])[:, None]
    return 2 * np.einsum("hn,hnl->hl", C * (np.exp(step) - 1) / A, np.exp(step[..., None] * np.arange(frames))).real


def gradient(loss, values, h=1e-6):
    """By central differences, one value at a time; in place, and put back."""
    found = np.empty_like(values)
    for place in np.ndindex(values.shape):
        kept = values[place]
        values[place] = kept + h
        above = loss()
        values[place] = kept - h
        found[place] = (above - loss()) / (2 * h)
        values[place] = kept
    return found


def s4d_vectors(d_model=3, d_state=8, batch=2, frames=48, seed=0):
    """Parameters, input, output, gradients and kernel of one layer with arbitrary weights."""
    draw = np.random.default_rng(seed)
    shape = (d_model, d_state // 2)
    p = {
        "D": draw.normal(size=d_model),
        "kernel.C": draw.normal(size=(*shape, 2)),
        "kernel.log_dt": draw.uniform(np.log(0.001), np.log(0.3), d_model),
        "kernel.log_A_real": np.log(0.5) + draw.normal(0, 0.3, shape),
        "kernel.A_imag": np.pi * np.arange(shape[1]) + draw.normal(0, 0.3, shape),
        "output_linear.0.weight": draw.normal(0, 0.5, (2 * d_model, d_model, 1)),
        "output_linear.0.bias": draw.normal(0, 0.5, 2 * d_model),
    }
    # What is stored is what is computed with.
    p = {key: value.astype(np.float32).astype(float) for key, value in p.items()}
    u, weight = (draw.normal(size=(batch, d_model, frames)).astype(np.float32).astype(float) for _ in range(2))
    loss = lambda: (s4d(p, u) * weight).sum()
    return {
        "u": u,
        "y": s4d(p, u),
        "kernel": kernel(p, 400),
        "grad_out": weight,
        "grad_u": gradient(loss, u),
        **{f"param.{key}": value for key, value in p.items()},
        **{f"grad.{key}": gradient(loss, value) for key, value in p.items()},
    }


def mel_filters(n_fft, n_mels, sample_rate):
    """Triangles of height 1 between neighbours on the HTK mel scale, (n_mels, bins)."""
    top = 2595 * np.log10(1 + sample_rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, n_mels + 2) / 2595) - 1)
    bins = np.arange(n_fft // 2 + 1) * sample_rate / n_fft
    return np.array([np.interp(bins, corners[m : m + 3], [0, 1, 0]) for m in range(n_mels)])


def spectrograms(waveform, sample_rate, n_fft, hop_length, n_mels, window):
    """Log-mel power (Hann window), log magnitude and phase of the mel-scaled transform, (3, n_mels, frames)."""
    padded = np.pad(waveform, n_fft // 2, mode="reflect")
    frames = np.array([padded[first : first + n_fft] for first in range(0, len(padded) - n_fft + 1, hop_length)])
    n = np.arange(n_fft)
    transform = np.exp(-2j * np.pi * np.outer(np.arange(n_fft // 2 + 1), n) / n_fft)  # written out, no FFT
    hann, filters = (1 - np.cos(2 * np.pi * n / n_fft)) / 2, mel_filters(n_fft, n_mels, sample_rate)
    power = filters @ np.abs(transform @ (hann * frames).T) ** 2
    mixed = filters @ (transform @ ((hann if window == "hann" else 1) * frames).T)
    tiny = np.finfo(float).eps
    return np.stack([10 * np.log10(power + tiny), 10 * np.log10(np.abs(mixed) + tiny), np.angle(mixed)])


def front_end_vectors(seed=0):
    """A rising tone in noise, through the published front end and through a small one with Hann windows."""
    n = np.arange(2560)
    waveform = 0.4 * np.sin(2 * np.pi * (300 * n / 20_000 + 1500 * (n / 20_000) ** 2 / 0.128))
    waveform = (waveform + np.random.default_rng(seed).normal(0, 0.02, len(n))).astype(np.float32).astype(float)
    return {
        "waveform": waveform,
        "published": spectrograms(waveform, 20_000, 1024, 512, 128, "rectangular"),
        "small": spectrograms(waveform, 20_000, 512, 200, 20, "hann"),
    }


def excerpts(folder):
    """Of the vectors of the reference implementations, what a clone can carry: see README.md."""
    with np.load(folder / "frontend_authors.npz") as whole:
        first, frames = 46, 10  # a bark after silence; frame t reads samples (t - 1) * 512 to (t + 1) * 512
        clip = list(whole["names"]).index("1-100032-A-0.ogg")
        yield (
            "front_end_authors",
            {
                "waveform": whole["waveform"][clip, (first - 1) * 512 : (first + frames) * 512],
                "features": whole["features"][clip, :, :, first : first + frames],
            },
        )
    with np.load(folder / "s4d_h8_n16_l60.npz") as whole:
        yield "s4d_reference_short", dict(whole)
    with np.load(folder / "s4d_h4_n64_l1000.npz") as whole:
        yield (
            "s4d_reference_long",
            {
                **{key: whole[key] for key in whole if key.startswith("param.")},
                "u": whole["u"][:1],
                "y": whole["y"][:1, :, ::25],
                "kernel": whole["kernel"][:, ::25],
            },
        )


def main(arguments):
    vectors = (
        excerpts(Path(arguments[0]))
        if arguments
        else (("s4d_formulas", s4d_vectors()), ("front_end_formulas", front_end_vectors()))
    )
    for name, arrays in vectors:
        np.savez_compressed(HERE / f"{name}.npz", **{key: value.astype(np.float32) for key, value in arrays.items()})


if __name__ == "__main__":
    main(sys.argv[1:])
