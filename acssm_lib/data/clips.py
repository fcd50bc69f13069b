"""A bank of recordings of any length, and crops cut from it for a whole batch at once.

A crop of the paper's clip preparation (method of ACDNet, the paper's reference [19]) is: stretch the
clip by a factor s (linear interpolation, which changes speed and pitch together), pad half a crop of
zeros on both sides, take ``n_samples``. Sample j of the stretched clip is the old clip read at j / s,
so crop, padding and stretch are one gather: only the piece of the clip that a crop needs is read, and whole batches
are interpolated at once. Where to cut is decided on the CPU, whatever device the samples are on.
"""

import hashlib
import math
import mmap
import warnings

import numpy as np
import torch

_CACHED = 250_000  # samples that a processor cuts at once, so that they stay in its cache
_HELD = 2**26  # bytes of a mapped file that are read before its pages are handed back
_AROUND = 2**16  # bytes that a system brings in around what is read


class Clips:
    """Recordings laid end to end in one 16-bit tensor, in memory or mapped from a file (``mapped``).

    Args:
        waveforms: sequence of (samples,) tensors or arrays; float in [-1, 1], or int16.
    Attributes:
        samples: int16, (total samples,); a mapped file may hold other clips too, and must not be written to.
        offsets, lengths: int64, (clips,), on the CPU; clip i is ``samples[offsets[i] : offsets[i] + lengths[i]]``.
    Taught in: 01_audio_preprocessing.
    """

    def __init__(self, waveforms):
        waveforms = [torch.as_tensor(waveform) for waveform in waveforms]
        if not waveforms:
            raise ValueError("no waveforms given; a bank needs at least one clip")
        self.lengths = torch.tensor([len(waveform) for waveform in waveforms])
        if int(self.lengths.min()) < 2:
            raise ValueError(f"clip {int(self.lengths.argmin())} has fewer than 2 samples")
        self.offsets = self.lengths.cumsum(0) - self.lengths
        self.samples = torch.cat([_to_int16(waveform) for waveform in waveforms])
        self._digests = self._file = None

    @classmethod
    def mapped(cls, path, offsets, lengths, digests):
        """Recordings that lie in a file of 16-bit samples: it is mapped, and a page is read when a crop needs it.

        Args:
            path: the file.
            offsets, lengths: integer arrays, (clips,), in samples.
            digests: uint8 array, (clips, 32), the SHA-256 of each clip's samples.
        Raises:
            ValueError: no clips.
        Taught in: 01_audio_preprocessing.
        """
        if not len(lengths):
            raise ValueError("no clips chosen; a bank needs at least one clip")
        clips = cls.__new__(cls)
        with open(path, "rb") as file:
            clips._file = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        samples = np.frombuffer(clips._file, np.int16, len(clips._file) // 2)
        with warnings.catch_warnings():  # a map that may be written to would have to fit into memory as a whole
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            clips.samples, clips._n_read = torch.from_numpy(samples), 0
        clips.offsets, clips.lengths = (torch.as_tensor(np.ascontiguousarray(rows)) for rows in (offsets, lengths))
        clips._digests = digests
        return clips

    def __len__(self):
        return len(self.lengths)

    def to(self, device):
        """The same recordings on ``device``: this bank where they lie there already, else a copy of these ones only.

        For an Apple GPU they stay on the CPU, and crops are moved: positions need double precision, which it lacks.
        """
        if torch.device(device).type in ("mps", self.device.type):
            return self
        moved = Clips.__new__(Clips)
        moved.__dict__.update(self._moved(device))
        return moved

    def __getstate__(self):  # a copy, pickled or deep, holds these clips and not the rest of a mapped file
        return self._moved("cpu")

    def _moved(self, device):
        """The attributes with the samples on another device, the clips end to end again."""
        samples = torch.empty(int(self.lengths.sum()), dtype=torch.int16, device=device)
        for part, first in zip(samples.split(self.lengths.tolist()), self.offsets.tolist()):
            part.copy_(self.samples[first : first + len(part)])
        return {
            "samples": samples,
            "offsets": self.lengths.cumsum(0) - self.lengths,
            "lengths": self.lengths,
            "_digests": self._digests,
            "_file": None,
        }

    def _hand_back(self, n_pieces, n_samples):
        """After so many bytes, give the pages of a mapped file back to the system.

        It keeps them, in case they are read again, as long as nobody needs the room; it would take them back by
        itself, but until then they count as memory of this process.
        """
        if self._file is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._n_read += n_pieces * (2 * n_samples + _AROUND)
            if self._n_read > _HELD:
                self._file.madvise(mmap.MADV_DONTNEED)
                self._n_read = 0

    @property
    def device(self):
        return self.samples.device

    def waveform(self, index):
        """One whole recording: float32 on the CPU, (samples,), in [-1, 1]."""
        first, length = int(self.offsets[index]), int(self.lengths[index])
        self._hand_back(1, length)
        return self.samples[first : first + length].cpu().float() / 32768

    def pieces(self, index, size):
        """The same in pieces of ``size`` samples, the last one shorter: an hour of sound is never whole in memory."""
        first, end = int(self.offsets[index]), int(self.offsets[index] + self.lengths[index])
        for start in range(first, end, size):
            self._hand_back(1, size)
            yield self.samples[start : min(start + size, end)].cpu().float() / 32768

    def digests(self):
        """SHA-256 of each recording's 16-bit samples: uint8 array, (clips, 32); known beforehand for a mapped file."""
        if self._digests is None:
            pieces = zip(self.offsets.tolist(), self.lengths.tolist())
            self._digests = np.stack(
                [
                    np.frombuffer(hashlib.sha256(self.samples[first : first + length].cpu().numpy()).digest(), np.uint8)
                    for first, length in pieces
                ]
            )
        return self._digests

    def stretched_lengths(self, indices, stretch):
        """Length of each stretched clip in samples, floor(n s)."""
        return (self.lengths[indices].double() * stretch.double()).floor().long()

    def cut(self, indices, starts, stretch, n_samples):
        """Crops of stretched, zero-padded clips.

        Args:
            indices: int64, (batch,), which clips.
            starts: int64, (batch,), first sample of the crop on the stretched clip; negative starts in the padding.
            stretch: float, (batch,), length factor s (0.8 plays faster and higher, 1.25 slower and lower).
            n_samples: length of a crop, samples.
        Returns:
            waveform: float32, (batch, n_samples), in [-1, 1]; zero outside the clip. On the device of the samples; the
                three tensors above belong on the CPU.
        """
        indices, starts, stretch = indices.cpu(), starts.cpu(), stretch.cpu().double()
        old = starts / stretch  # where each crop begins on its clip; its whole part, ``first``, is a sample
        first = old.floor()
        lengths, room = self.lengths[indices], self.stretched_lengths(indices, stretch) - starts
        reads = list(zip(self.offsets[indices].tolist(), lengths.tolist(), first.long().tolist()))
        inside = list(zip((-starts).clamp(0, n_samples).tolist(), room.clamp(0, n_samples).tolist()))
        # Whole part and fraction in double: a float32 position is off by 1/512 sample at 30,000.
        steps, fractions = (x.to(self.device, non_blocking=True)[:, None] for x in (1 / stretch, old - first))
        places = torch.arange(n_samples, dtype=torch.float64, device=self.device)

        crops = torch.empty(len(indices), n_samples, device=self.device)
        at_once = max(1, _CACHED // n_samples if self.device.type == "cpu" else len(indices))
        longest = max((int(n_samples / factor) + 3 for factor in stretch.tolist()), default=0)
        pieces = torch.zeros(min(at_once, len(indices)), longest, device=self.device)
        for rows in (slice(start, start + at_once) for start in range(0, len(indices), at_once)):
            self._read(pieces, reads[rows])
            positions = (places * steps[rows]).add_(fractions[rows])  # in the piece of the clip, (crops, n_samples)
            left, share = positions.long(), positions.frac_().float()
            before, after = pieces[: len(left)].gather(1, left), pieces[: len(left), 1:].gather(1, left)
            torch.mul(before.lerp_(after, share), 1 / 32768, out=crops[rows])
        for crop, (since, until) in zip(crops, inside):
            crop[:since] = 0
            crop[until:] = 0
        return crops

    def _read(self, pieces, reads):
        """Copies what crops need of their clips, from sample ``first`` on; outside of a clip a piece is left as it is.

        The sample after the last is the last once more: it holds until the stretched clip ends.
        """
        for piece, (offset, length, first) in zip(pieces, reads):
            clip = self.samples[offset : offset + length]
            inside = clip[max(first, 0) : max(first + len(piece), 0)]
            piece[max(-first, 0) :][: len(inside)] = inside
            if first <= length:
                piece[length - first :][:1] = clip[-1]
        self._hand_back(len(reads), pieces.shape[1])


def random_crops(clips, indices, n_samples, max_stretch, generator):
    """One random stretch and crop of each clip: a view of AcousticSSM1 (method 1 of the paper, section II).

    The factor is ``max_stretch ** u`` with u uniform in [-1, 1]; the start is uniform over all positions
    of the clip padded with ``n_samples // 2`` zeros on both sides.

    Args:
        clips: a ``Clips`` bank.
        indices: int64, (batch,).
        n_samples: samples of a crop.
        max_stretch: largest length factor, at least 1; 1 switches the stretch off.
        generator: ``torch.Generator`` on the CPU; the same state gives the same crops on every device.
    Returns:
        waveform: float32, (batch, n_samples).
    Taught in: 04_contrastive_pretraining.
    """
    indices = indices.cpu()
    draws = torch.rand(2, len(indices), generator=generator, dtype=torch.float64)
    stretch = max_stretch ** (2 * draws[0] - 1)
    pad = n_samples // 2
    room = clips.stretched_lengths(indices, stretch) + 2 * pad - n_samples  # last start on the padded clip
    starts = (draws[1] * (room + 1)).floor().long().clamp_max(room) - pad
    return clips.cut(indices, starts, stretch, n_samples)


def even_crops(clips, indices, n_samples, n_crops, stretch=None):
    """Equally spaced crops of each padded clip; with ``n_crops`` = 1 the centre crop (the paper's test input).

    Args:
        clips: a ``Clips`` bank.
        indices: int64, (batch,).
        n_samples: samples of a crop.
        n_crops: crops per clip; more than one are ``floor((padded length - n_samples) / (n_crops - 1))`` apart.
        stretch: float, (batch,) or None for no stretch.
    Returns:
        waveform: float32, (batch, n_crops, n_samples).
    Taught in: 05_few_shot_finetuning.
    """
    indices = indices.cpu()
    stretch = torch.ones(len(indices), dtype=torch.float64) if stretch is None else stretch.cpu()
    pad = n_samples // 2
    room = clips.stretched_lengths(indices, stretch) + 2 * pad - n_samples
    if n_crops == 1:
        starts = (room // 2)[:, None] - pad
    else:
        starts = (room // (n_crops - 1))[:, None] * torch.arange(n_crops) - pad
    crops = clips.cut(
        indices.repeat_interleave(n_crops), starts.flatten(), stretch.repeat_interleave(n_crops), n_samples
    )
    return crops.view(len(indices), n_crops, n_samples)


def random_stretch(n, max_stretch, generator):
    """Length factors ``max_stretch ** u``, u uniform in [-1, 1]; float64, (n,).

    Taught in: 04_contrastive_pretraining.
    """
    return max_stretch ** (2 * torch.rand(n, generator=generator, dtype=torch.float64) - 1)


def _to_int16(waveform):
    if waveform.dtype == torch.int16:
        return waveform
    peak = float(waveform.abs().max())
    if not math.isfinite(peak) or peak > 1.0:
        raise ValueError(f"a waveform peaks at {peak}; expected finite values in [-1, 1]")
    return (waveform * 32768).round().clamp(-32768, 32767).to(torch.int16)
