"""Sound on a page: waveforms as small players that work without a network and without a kernel."""

import base64
import html
import io

import numpy as np
import soundfile
import torch

from acssm_lib.data.audio import resample

PLAYER_RATE = 24_000  # Hz; a rate that MP3 knows, above the 20 kHz of the course


def players(waveforms, sample_rate, titles=()):
    """Players side by side, each under its title; display what this returns, or leave it as a cell's last line.

    Sound is stored in the page as MP3, which every browser plays and which is a tenth of a WAV file: good for the
    ear, never for measuring. Loudness is kept: two players of one row compare.

    Args:
        waveforms: tensors or arrays, (samples,) each, in [-1, 1].
        sample_rate: Hz.
        titles: one per waveform, or none.
    Returns:
        ``IPython.display.HTML``.
    Raises:
        ValueError: titles of another number than waveforms.
    """
    from IPython.display import HTML  # here: a batch run does without

    titles = list(titles) or [""] * len(waveforms)
    if len(titles) != len(waveforms):
        raise ValueError(f"{len(waveforms)} waveforms but {len(titles)} titles")
    boxes = []
    for waveform, title in zip(waveforms, titles):
        data, label = base64.b64encode(mp3(waveform, sample_rate)).decode(), html.escape(title)
        boxes.append(
            f'<figure style="margin:4px 12px 4px 0"><figcaption style="font-size:13px">{label}</figcaption>'
            f'<audio controls preload="metadata" style="width:195px" aria-label="{label or "sound"}" '
            f'src="data:audio/mpeg;base64,{data}"></audio></figure>'
        )
    return HTML(f'<div style="display:flex;flex-wrap:wrap">{"".join(boxes)}</div>')


def mp3(waveform, sample_rate):
    """A waveform (samples,) as the bytes of an MP3 file at 24 kHz."""
    waveform = torch.as_tensor(waveform).detach().float().cpu()
    return _encode(resample(waveform, sample_rate, PLAYER_RATE), PLAYER_RATE, "MP3", "MPEG_LAYER_III")


def wav(waveform, sample_rate):
    """A waveform (samples,) as the bytes of a 16-bit WAV file at its own rate, for a panel's player."""
    return _encode(torch.as_tensor(waveform).detach().float().cpu(), sample_rate, "WAV", "PCM_16")


def _encode(waveform, sample_rate, container, subtype):
    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(waveform.numpy(), -1, 1), sample_rate, format=container, subtype=subtype)
    return buffer.getvalue()
