"""Clips that hold the same sound: copies at another level or through MP3, and pieces of one recording that overlap.

Pairs of peaks of the spectrogram (method of Wang 2003, "An industrial-strength audio search algorithm") find what may
be the same among thousands of clips; the phases of the two clips, laid over one another, decide.
"""

from collections import defaultdict

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import maximum_filter

_FRAME, _HOP = 1024, 128  # samples; short steps, since two copies rarely begin at the same one
_WINDOW = np.hanning(_FRAME).astype(np.float32)
_TICK = 4  # steps that count as one moment
_LONGEST_S = 60  # of a clip that is looked at
_PEAKS, _REGIONS = 40, 8  # a second, over so many parts of the spectrum
_FAN_OUT, _REACH = 6, 240  # following peaks that a peak is paired with, and steps to them
_COMMON = 40  # clips that share a pair of peaks: from here on it says nothing
_PATIENCE = 8  # partners of a clip that turn out to be others, after which it waits to be looked for
_VOTES = 5  # pairs of peaks that two clips share at one shift
_SAME = 0.3  # of 1, how well the phases agree; of two recordings of one tone 0.15
_LEAST_S = 0.3  # of overlap


def landmarks(samples, sample_rate):
    """(codes, moments): pairs of peaks of a clip, int64, and where they stand."""
    samples = samples[: _LONGEST_S * sample_rate].astype(np.float32)
    n_frames = (len(samples) - _FRAME) // _HOP + 1
    if n_frames < 4:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FRAME)[::_HOP]
    lines = rfft(frames * _WINDOW)[:, 4:]
    level = np.log(np.square(lines.real) + np.square(lines.imag) + 1.0)
    level -= np.median(np.ascontiguousarray(level.T), axis=1)  # along a row a median is fast
    peaks = np.argwhere((level == maximum_filter(level, (25, 15))) & (level > 1.0))
    per_region = max(4, int(_PEAKS / _REGIONS * len(samples) / sample_rate))
    peaks = peaks[np.argsort(-level[tuple(peaks.T)], kind="stable")]
    region = peaks[:, 1] * _REGIONS // level.shape[1]
    peaks = np.concatenate([peaks[region == number][:per_region] for number in range(_REGIONS)])  # not the call alone
    time, band = peaks[np.lexsort(peaks.T[::-1])].T.astype(np.int64)
    codes, places = [], []
    for step in range(1, _FAN_OUT + 1):
        apart = time[step:] - time[:-step]
        near = (apart > 0) & (apart < _REACH)
        codes.append(((band[:-step] << 20) + (band[step:] << 10) + (apart + _TICK // 2) // _TICK)[near])
        places.append(time[:-step][near] // _TICK)
    return np.concatenate(codes), np.concatenate(places)


def alike(marks, clips, sample_rate):
    """Groups of clips that share sound.

    The work grows with the number of clips, not of pairs: a clip whose most likely partners were all others is not
    compared with the less likely ones, unless they still look for a partner.

    Args:
        marks: list of what ``landmarks`` returned, one for each clip of ``clips``.
        clips: ``Clips``.
        sample_rate: Hz.
    Returns:
        list of lists of indices, each ascending and of two or more clips.
    """
    leader = list(range(len(marks)))

    def lead(i):
        while leader[i] != i:
            leader[i] = leader[leader[i]]
            i = leader[i]
        return i

    others = np.zeros(len(marks), int)  # partners of each clip that were others
    for a, b, shift in _candidates(marks):
        if lead(a) == lead(b) or min(others[a], others[b]) >= _PATIENCE:
            continue
        if _same(clips.waveform(a).numpy(), clips.waveform(b).numpy(), shift * _HOP * _TICK, sample_rate):
            leader[max(lead(a), lead(b))] = min(lead(a), lead(b))
        else:
            others[[a, b]] += 1
    groups = defaultdict(list)
    for i in range(len(marks)):
        groups[lead(i)].append(i)
    return [group for group in groups.values() if len(group) > 1]


def _candidates(marks):
    """(a, b, moments by which a runs ahead) of pairs that share enough, most first."""
    if not marks:
        return []
    code = np.concatenate([codes for codes, _ in marks])
    place = np.concatenate([places for _, places in marks])
    clip = np.repeat(np.arange(len(marks)), [len(codes) for codes, _ in marks])
    order = np.lexsort((clip, code))
    code, place, clip = code[order], place[order], clip[order]
    _, inverse, counts = np.unique(code, return_inverse=True, return_counts=True)
    keep = counts[inverse] <= _COMMON
    code, place, clip = code[keep], place[keep], clip[keep]
    found = []
    for step in range(1, _COMMON):
        same = (code[step:] == code[:-step]) & (clip[step:] != clip[:-step])
        found.append(np.stack([clip[:-step][same], clip[step:][same], (place[:-step] - place[step:])[same]], 1))
    found = np.concatenate(found)
    found[found[:, 0] > found[:, 1]] = found[found[:, 0] > found[:, 1]][:, [1, 0, 2]] * (1, 1, -1)
    pairs, votes = np.unique(np.concatenate([found, found + (0, 0, 1)]), axis=0, return_counts=True)  # or one moment on
    order = np.argsort(-votes, kind="stable")
    return [tuple(pair) for pair in pairs[order][votes[order] >= _VOTES].tolist()]


def _same(a, b, shift, sample_rate):
    """Whether two waveforms hold the same sound where b begins ``shift`` samples after a."""
    a, b = (a[shift:], b) if shift >= 0 else (a, b[-shift:])
    n = min(len(a), len(b), 4 * sample_rate)
    if n < _LEAST_S * sample_rate:
        return False
    window, length = np.hanning(n).astype(np.float32), next_fast_len(2 * n, real=True)
    left, right = rfft(a[:n] * window, length), rfft(b[:n] * window, length)
    cross = left * right.conj()
    loud_left, loud_right = np.abs(left), np.abs(right)
    strong = (loud_left > 1e-4 * loud_left.max()) & (loud_right > 1e-4 * loud_right.max())
    if strong.sum() < 500:
        return False
    phases = np.where(strong, cross / np.maximum(np.abs(cross), 1e-30), 0)
    return np.abs(irfft(phases, length)).max() * length / 2 / strong.sum() > _SAME
