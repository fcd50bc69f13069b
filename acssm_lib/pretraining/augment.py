"""Seven random changes of a waveform, each on a whole batch at once, with parameters of its own for every clip.

AcousticSSM2 makes its two views with four of them, MT-SLVR with a random choice of all seven. Every augmentation is
called as ``f(waveform, generator, range)`` with waveform (batch, samples), float32, on any device, a
``torch.Generator`` on the CPU and how far it may go, and returns a new tensor of the same shape; it may leave [-1, 1].
A plan says which of them a clip goes through, in which order; the two views of a clip share it.

Pitch shift and time stretch are one phase vocoder. It cuts the sound into overlapping frames, reads them faster or
slower, and lets the phase of every frequency advance from frame to frame as it did in the original, so that a tone
goes on as a tone. Written back at the same frame length this is another tempo. Written back with an inverse
transform of another length, every frame is resampled on the way: another pitch at the old tempo.

Whatever is drawn or planned stays on the CPU, so that a GPU is handed work without being waited for.
"""

import functools

import torch
from torch.nn.functional import pad

_FRAME = 512  # samples of a frame, 25.6 ms at 20 kHz; frames overlap by half
_ONSET = 1.5  # rise of the power from frame to frame that starts a new sound


def pitch_shift(waveform, generator, semitones=15.0):
    """Higher or lower at the same tempo, by a whole number of semitones of up to ``semitones``, never 0.

    The ratio is the nearest of 512 to an even number, within a tenth of a semitone. What would end above half the
    sample rate is lost. With ``semitones`` below 1 nothing changes.

    Taught in: 04_contrastive_pretraining.
    Source: Al-Tahan and Mohsenzadeh 2021, CLAR (whole semitones); range from the authors' code.
    """
    most = int(semitones)
    if most < 1:
        return waveform.clone()
    draws = torch.randint(2 * most, (len(waveform),), generator=generator)
    drawn = torch.where(draws < most, draws - most, draws - most + 1)  # -most ... -1, 1 ... most
    frames = 2 * (_FRAME / 2 * 2.0 ** (-drawn / 12)).round().long()
    order = frames.argsort()  # clips of one ratio side by side: they go through the vocoder together
    ratios, clips = frames.unique(return_counts=True)
    back = order.argsort().to(waveform.device, non_blocking=True)
    groups = waveform[order.to(waveform.device, non_blocking=True)].split(clips.tolist())
    shifted = [_vocoder(group, _FRAME / frame, frame) for group, frame in zip(groups, ratios.tolist())]
    return torch.cat(shifted)[back]


def fade(waveform, generator, longest=0.5):
    """Fade-in and fade-out, each uniformly 0 to ``longest`` of the clip long, both linear, logarithmic or exponential.

    Taught in: 04_contrastive_pretraining.
    Source: the authors' code; shapes as in torchaudio's ``Fade``.
    """
    n = waveform.shape[1]
    lengths = (torch.rand(2, len(waveform), generator=generator) * longest * n).long().tolist()
    shapes = torch.randint(3, (len(waveform),), generator=generator).tolist()
    position = torch.arange(n, device=waveform.device)
    faded = waveform.clone()
    for clip, rise, fall, shape in zip(faded, *lengths, shapes):
        clip[:rise] *= _RAMPS[shape](position[:rise] / rise)
        clip[n - fall :] *= _RAMPS[shape](position[:fall] / fall).flip(0)
    return faded


_RAMPS = (  # gain from 0 to 1 at a share of the ramp
    lambda share: share,
    lambda share: (torch.log10(0.1 + share) + 1).clamp(0, 1),
    lambda share: torch.exp2(share - 1) * share,
)


def time_mask(waveform, generator, longest=0.125):
    """One silent span, uniformly 0 to ``longest`` of the clip long, at a uniform place.

    Taught in: 04_contrastive_pretraining.
    Source: paper section II, method 2; Heggan et al. 2023, MT-SLVR (range).
    """
    n = waveform.shape[1]
    share, place = torch.rand(2, len(waveform), generator=generator)
    length = (share * (longest * n + 1)).long()
    start = (place * (n - length + 1)).long()
    masked = waveform.clone()
    for clip, first, last in zip(masked, start.tolist(), (start + length).tolist()):
        clip[first:last] = 0
    return masked


def time_shift(waveform, generator, furthest=0.5):
    """Moved by uniformly up to ``furthest`` of the clip, either way; what leaves at one end returns at the other.

    Taught in: 04_contrastive_pretraining.
    Source: paper section II, method 2; range from the authors' code.
    """
    shift = (2 * torch.rand(len(waveform), generator=generator) - 1) * furthest * waveform.shape[1]
    return torch.stack([clip.roll(by) for clip, by in zip(waveform, shift.round().long().tolist())])


def white_noise(waveform, generator, snr_db=(3.0, 30.0)):
    """Noise between white and blue, uniformly ``snr_db`` dB below the clip; the authors' code has it for time masking.

    Taught in: 04_contrastive_pretraining.
    Source: the authors' code.
    """
    return _with_noise(waveform, -1.0, 0.0, generator, snr_db)


def mixed_noise(waveform, generator, snr_db=(3.0, 30.0)):
    """Noise between violet and brown, uniformly ``snr_db`` dB below the clip.

    Taught in: 04_contrastive_pretraining.
    Source: Heggan et al. 2023, MT-SLVR.
    """
    return _with_noise(waveform, -2.0, 2.0, generator, snr_db)


def time_stretch(waveform, generator):
    """Slower or faster at the same pitch: uniformly 0.5 to 1.5 times as long, then cut or filled up with silence.

    Taught in: 04_contrastive_pretraining.
    Source: Heggan et al. 2023, MT-SLVR.
    """
    factors = 0.5 + torch.rand(len(waveform), generator=generator)
    return torch.cat([_vocoder(clip[None], factor, _FRAME) for clip, factor in zip(waveform, factors.tolist())])


AUGMENTATIONS = {
    function.__name__: function
    for function in (pitch_shift, fade, white_noise, mixed_noise, time_mask, time_shift, time_stretch)
}


def augmentations(names, config):
    """The named augmentations with the ranges of a ``Preset``: functions of (waveform, generator), in this order.

    Taught in: 04_contrastive_pretraining.
    """
    ranges = {
        pitch_shift: config.pitch_semitones,
        fade: config.fade_max,
        time_mask: config.mask_max,
        time_shift: config.shift_max,
        white_noise: config.noise_snr_db,
        mixed_noise: config.noise_snr_db,
    }
    return [functools.partial(_ranged, AUGMENTATIONS[name], ranges.get(AUGMENTATIONS[name])) for name in names]


def _ranged(function, own, waveform, generator):
    return function(waveform, generator) if own is None else function(waveform, generator, own)


def draw_plans(n, names, generator, all_of_them=True):
    """Which augmentations each of ``n`` clips goes through, in which order.

    Args:
        names: of ``AUGMENTATIONS``; a plan holds indices into them.
        generator: ``torch.Generator`` on the CPU.
        all_of_them: every one, in a random order (AcousticSSM2); False draws how many, 1 to all, and then which
            (MT-SLVR).
    Returns:
        plans: int64, (n, len(names)), on the CPU; a row is an order, filled up with -1.
    Taught in: 04_contrastive_pretraining.
    """
    plans = torch.rand(n, len(names), generator=generator).argsort(dim=1)
    if not all_of_them:
        many = torch.randint(1, len(names) + 1, (n, 1), generator=generator)
        plans[torch.arange(len(names)) >= many] = -1
    return plans


def apply_plans(waveform, plans, changes, generator):
    """Each clip through its own plan, every augmentation with fresh parameters.

    Args:
        waveform: (batch, samples).
        plans: (batch, len(changes)), as from ``draw_plans``.
        changes: functions of (waveform, generator), as ``augmentations`` gives them.
    Returns:
        waveform: a new tensor, (batch, samples).
    Taught in: 04_contrastive_pretraining.
    """
    waveform = waveform.clone()
    for place in plans.T:  # first every clip's first augmentation, then its second
        for index, change in enumerate(changes):
            rows = (place == index).nonzero()[:, 0].to(waveform.device, non_blocking=True)
            if len(rows):
                waveform[rows] = change(waveform[rows], generator)
    return waveform


def _with_noise(waveform, least_decay, most_decay, generator, snr_db):
    """Adds noise of power ~ 1 / f^decay, decay uniform; drawn as a spectrum, so that one transform is enough."""
    batch, n = waveform.shape
    draws = torch.rand(2, batch, 1, generator=generator).to(waveform.device, non_blocking=True)
    decay = least_decay + draws[0] * (most_decay - least_decay)
    low, high = snr_db
    snr_db = low + draws[1] * (high - low)
    half = 1 << (n - 1).bit_length() - 1  # a transform of a power of two is the fastest; cut afterwards
    spectrum = torch.view_as_complex(
        torch.randn(batch, half + 1, 2, generator=generator).to(waveform.device, non_blocking=True)
    )
    spectrum[:, 0] = 0
    bins = torch.arange(half + 1, device=waveform.device).clamp_min(1)
    noise = torch.fft.irfft(spectrum * torch.exp(-decay / 2 * bins.log()))[:, :n]
    power, noise_power = (x.square().mean(dim=1, keepdim=True) for x in (waveform, noise))
    return waveform + noise * (power / noise_power * 10 ** (-snr_db / 10)).sqrt()


def _vocoder(waveform, stretch, frame):
    """Waveform (batch, samples) made ``stretch`` times as long, then resampled by ``frame / _FRAME``; cut or padded.

    Phases advance by products of unit numbers, without a sine or an angle. At an onset they start again from the
    original's: a pulse is a pulse only while its frequencies keep step with one another.
    """
    n, hop, out_hop = waveform.shape[1], _FRAME // 2, frame // 2
    frames = pad(waveform, (hop, _FRAME + hop)).unfold(1, _FRAME, hop)
    tiny = 2.0**-40  # lets digital silence have a phase
    spectra = (
        torch.fft.rfft(frames * _window(_FRAME, waveform.device))[..., : out_hop + 1] + tiny
    )  # (batch, frame, bin)
    power = (spectra * spectra.conj()).real
    size = power.sqrt()  # several times as fast as spectra.abs(), and exactly tiny in silence
    phase = spectra * size.reciprocal()
    phase[size < tiny**1.5] = 1  # a bin of just -tiny: nothing is left to tell a phase from

    n_out = -(-n // out_hop) + 1
    places = torch.arange(n_out) / stretch  # where the new frames lie among the old ones; on the CPU, to count them
    places = places[places < spectra.shape[1] - 1]
    old, nearest = (x.long().to(waveform.device, non_blocking=True) for x in (places, places.round()))
    advance = phase[:, old + 1] * phase[:, old].conj()
    turned = torch.cat([phase[:, :1], advance[:, :-1]], dim=1).cumprod(dim=1)  # phase of the new frames
    power = power.sum(dim=2)[:, old]
    onset = pad(power[:, 1:] > _ONSET * power[:, :-1], (1, 0), value=True)
    last = torch.where(onset, torch.arange(len(old), device=waveform.device), 0).cummax(dim=1).values
    clip = torch.arange(len(waveform), device=waveform.device)[:, None]
    turned = turned * (turned[clip, last].conj() * phase[clip, old[last]])
    frames = torch.fft.irfft((size[:, nearest] - tiny) * turned, frame)
    frames *= frame / _FRAME * _window(frame, waveform.device)

    new = waveform.new_zeros(len(waveform), n_out + 1, out_hop)
    new[:, : len(old)] = frames[..., :out_hop]
    new[:, 1 : len(old) + 1] += frames[..., out_hop:]
    return new.flatten(1)[:, out_hop : out_hop + n]


@functools.cache
def _window(size, device):
    """Its square, one half apart from the next, sums to 1."""
    return torch.hann_window(size, device=device).sqrt()
