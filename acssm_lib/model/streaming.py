"""Listening without an end: the encoder on a recording that arrives in blocks, in constant memory.

A crop is convolved with a kernel as long as itself. An endless recording has no length, but the same layer is also a
recurrence: whatever was heard is in its state. Here a few frames are done at a time,

    y = convolution inside the frames + 2 Re sum_n C_n exp(dt_A_n)^(l + 1) s_n        l = 0, 1, ... in the frames

and the state s moves on by as many frames. One frame at a time, this is the recurrence of ``S4D.step``.

Symbols: dt_A, B_bar, C (d_model, d_state / 2) as in ``s4d``; s (batch, d_model, d_state / 2) state.
"""

import torch
from torch.nn import functional as F

from acssm_lib.model.convolution import causal_convolution, powers, with_skip
from acssm_lib.model.encoder import StateSpaceStack
from acssm_lib.model.features import least_samples, long_enough
from acssm_lib.model.s4d import S4D


class Recurrence:
    """An S4D layer that carries its state from call to call; discretised once, when it is made.

    Args:
        layer: an ``S4D`` in eval mode.
        frames: the most frames that one call may have.
    Shapes:
        u (batch, d_model, n), n <= ``frames`` -> y, same shape: the next n frames of the same recordings.
    Taught in: 03_s4d.
    """

    @torch.no_grad()
    def __init__(self, layer, frames):
        dt_A, B_bar = layer.kernel.discretise()
        steps = torch.arange(frames + 1, device=dt_A.device, dtype=layer.D.dtype)
        self.layer, self.state = layer, None
        forget = powers(dt_A[..., None], steps)  # what is left of a state; (d_model, d_state / 2, frames + 1)
        self.kernel = with_skip(layer.kernel(frames), layer.D)
        self.read = _parts(2 * torch.view_as_complex(layer.kernel.C)[..., None] * forget[..., 1:], conjugate=True)
        self.write = _parts((B_bar[..., None] * forget[..., :-1]).flip(2)).mT.contiguous()  # (d_model, frames, d_state)
        self.forget = forget

    @torch.no_grad()
    def __call__(self, u):
        n = u.shape[2]
        if self.state is None:
            self.state = self.layer.initial_state(u.shape[0])
        y = causal_convolution(u, self.kernel[:, :n])
        channels_first = torch.view_as_real(self.state).transpose(0, 1).flatten(2)  # (d_model, batch, d_state)
        y = y + torch.bmm(channels_first, self.read[..., :n]).transpose(0, 1)
        heard = torch.bmm(u.transpose(0, 1).contiguous(), self.write[:, self.write.shape[1] - n :]).transpose(0, 1)
        heard = torch.view_as_complex(heard.unflatten(2, (-1, 2)).contiguous())  # (batch, d_model, d_state / 2)
        self.state = self.forget[..., n] * self.state + heard
        return self.layer.mix(y)


class Stepping:
    """A layer that has only its ``step``, such as ``Mamba``, frame by frame; called like a ``Recurrence``."""

    def __init__(self, layer):
        self.layer, self.state = layer, None

    @torch.no_grad()
    def __call__(self, u):
        answers = []
        for u_t in u.unbind(2):
            self.state = self.layer.initial_state(len(u)) if self.state is None else self.state
            y_t, self.state = self.layer.step(u_t, self.state)
            answers.append(y_t)
        return torch.stack(answers, dim=2)


def _parts(z, conjugate=False):
    """Complex (d_model, states, n) as real (d_model, 2 states, n), real and imaginary rows in turn."""
    return torch.stack([z.real, -z.imag if conjugate else z.imag], dim=2).flatten(1, 2)


def spectrogram_blocks(front_end, blocks, frames):
    """The front end on a waveform that arrives in blocks: the frames of the whole, centred, reflected at both ends.

    A frame is given out when all its samples are there. Kept are the samples of the frames still to come and, before
    them, so many that a reflection at the cut meets only frames that were given out already.

    Args:
        front_end: a ``SpectrogramStack``.
        blocks: iterable of waveforms (samples,), of any length.
        frames: as many are given out at a time; fewer at the end.
    Yields:
        (1, 3, n_mels, n), n <= ``frames``.
    Raises:
        ValueError: fewer samples in all than ``front_end`` accepts.
    Taught in: 03_s4d.
    """
    hop_length, n_fft = front_end.hop_length, front_end.n_fft
    margin = n_fft // (2 * hop_length) + 2  # frames before the first new one
    held, done = front_end.hann.new_empty(0), 0  # the first ``done`` frames of ``held`` have been given out
    for block in blocks:
        held = torch.cat([held, block.to(held)])
        while len(held) >= (needed := (done + frames - 1) * hop_length + n_fft // 2 + 1):
            yield front_end(held[None, :needed])[..., done : done + frames]
            cut = max(0, done + frames - margin)
            held, done = held[cut * hop_length :], done + frames - cut
    rest = front_end(held[None])[..., done:]
    for part in rest.split(frames, dim=3):
        if part.shape[3]:
            yield part


AT_ONCE = 2**20  # samples that are turned into frames at once, 52 s: an hour of sound needs no more room than that


def clip_blocks(front_end, clips, index):
    """One clip of a bank as spectrograms of 52 s and less, end to end; a very short one has zeros behind it.

    Args:
        front_end: a ``SpectrogramStack``.
        clips: a ``Clips`` bank.
        index: which clip.
    Yields:
        (1, channels, n_mels, n).
    """
    least = least_samples(front_end)
    pieces = (
        clips.pieces(index, AT_ONCE)
        if clips.lengths[index] >= least
        else [long_enough(clips.waveform(index), front_end)]
    )
    yield from spectrogram_blocks(front_end, pieces, AT_ONCE // front_end.hop_length)


@torch.no_grad()
def stream(encoder, blocks, frames=32):
    """Features of an endless recording: what ``encoder`` would say of the whole, without ever having the whole.

    Memory does not depend on the length. A feature comes when ``frames`` of them are complete: ``frames=1`` answers
    within two frames of the sound, more are cheaper.

    Args:
        encoder: ``AcousticSSM`` or ``AdaptedCNN`` in eval mode.
        blocks: iterable of waveforms (samples,) at the encoder's sample rate, of any length, as they are recorded.
        frames: frames per step.
    Yields:
        (d_model, n), n <= ``frames``: the next n frames.
    Raises:
        ValueError: an encoder in training mode, whose batch norm would look at other frames; ``frames`` below 1; fewer
            samples in all than half a frame.
    Taught in: 03_s4d.
    """
    _only_in_eval_mode(encoder)
    if frames < 1:
        raise ValueError(f"frames={frames}: at least one frame is needed per step")
    sequence = encoder.sequence
    layers = (
        [Recurrence(layer, frames) if isinstance(layer, S4D) else Stepping(layer) for layer in sequence.layers]
        if isinstance(sequence, StateSpaceStack)
        else None
    )
    for spectrograms in spectrogram_blocks(encoder.front_end, blocks, frames):
        features = encoder.by_frame(spectrograms)
        yield (sequence(features, layers) if layers else sequence(features))[0]


def running_mean(chunks, window):
    """Embeddings over time: the mean of the last ``window`` features of a stream, which remembers all that came before.

    An encoder that was trained on crops has only met short memories; for it, see ``crop_embeddings``.

    Args:
        chunks: iterable of (d_model, n), as ``stream`` yields them.
        window: frames; 60 are one crop of ``paper``.
    Yields:
        (d_model, m): one embedding per frame, from the first frame with ``window`` - 1 others before it.
    Taught in: 03_s4d.
    """
    held = None
    for chunk in chunks:
        held = chunk if held is None else torch.cat([held, chunk], dim=1)
        if held.shape[1] >= window:
            yield F.avg_pool1d(held[None], window, stride=1)[0]
            held = held[:, held.shape[1] - window + 1 :]


@torch.no_grad()
def crop_embeddings(encoder, blocks, window, step):
    """Embeddings over time as in training: every crop of an endless recording by itself, with an empty memory.

    Crops overlap and share what the CNN says of their frames; only the state-space layers hear them again and again.
    Each embedding is that of ``encoder.embed(crop)``, but for the first and last frame of the crop, which see the
    sound beyond it in place of a reflection.

    Args:
        encoder, blocks: as for ``stream``.
        window: frames of a crop; 60 at ``paper``.
        step: frames from one crop to the next.
    Yields:
        (d_model,): the first is of frames 0 to window - 1, if ``step`` divides ``window``.
    Raises:
        ValueError: an encoder in training mode.
    Taught in: 03_s4d.
    """
    _only_in_eval_mode(encoder)
    held = None
    for spectrograms in spectrogram_blocks(encoder.front_end, blocks, step):
        features = encoder.by_frame(spectrograms)
        held = (features if held is None else torch.cat([held, features], dim=2))[..., -window:]
        if held.shape[2] == window:
            yield encoder.pooled(encoder.sequence(held))[0]


def _only_in_eval_mode(encoder):
    if encoder.training:
        raise ValueError("the encoder is in training mode; call encoder.eval() before streaming")
