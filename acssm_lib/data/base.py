"""What every data set of clips offers, whatever it is read from."""

import functools

import numpy as np

from acssm_lib.data.clips import Clips


class AudioDataset:
    """What every data set offers; subclasses set the attributes and define ``waveform``.

    Attributes:
        name: "esc50", "spoken-digits", "folder", "synthetic-frogs" or "synthetic-phrases".
        classes: names of the classes.
        labels: int64 array (n_clips,), index into ``classes``; -1 is unlabelled.
        sources: recording (or individual) each clip comes from, None where nobody knows.
        names: file name or clip id, unique.
        groups: group name -> names of its classes.
        default_groups: the groups that "all" stands for; every group unless a subclass says otherwise.
        sample_rate: Hz.
    Taught in: 01_audio_preprocessing.
    """

    name: str
    classes: list[str]
    labels: np.ndarray
    sources: list[str | None]
    names: list[str]
    groups: dict[str, list[str]]
    sample_rate: int = 20_000

    @functools.cached_property
    def default_groups(self):
        return list(self.groups)

    def __len__(self):
        return len(self.labels)

    def waveform(self, i):
        """Clip ``i`` as a float32 tensor (samples,) in [-1, 1] at ``sample_rate``."""
        raise NotImplementedError

    def clips(self, indices, progress=False):
        """The chosen clips in one ``Clips``; a data set that keeps its clips on disk maps them from there."""
        return Clips([self.waveform(int(i)) for i in indices])

    def usable(self, indices, progress=False):
        """The chosen clips less unlabelled ones that cannot be read; a data set of files looks, and says which."""
        return np.asarray(indices)

    def clips_of(self, group):
        """Indices of the clips whose class is in ``group``, ascending.

        Raises:
            ValueError: no such group; the message lists those there are.
        """
        if group not in self.groups:
            raise ValueError(f"no group {group!r} in {self.name}; there are {', '.join(self.groups)}")
        labels = [self.classes.index(name) for name in self.groups[group]]
        return np.flatnonzero(np.isin(self.labels, labels))

    def unlabelled(self):
        """Indices of the clips without a class, ascending."""
        return np.flatnonzero(self.labels == -1)
