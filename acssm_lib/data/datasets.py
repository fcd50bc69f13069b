"""Data sets: which clips there are, what class each has and which recording it comes from.

A data set opens from names and tables alone; sound is decoded when a clip is asked for (``audio.prepare``), and kept
from then on (``bank.DiskBank``). A data set refuses to open on the first error its folder has; ``acssm data check``
lists them all.
"""

import os
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from acssm_lib.data.audio import preparation_key, prepare
from acssm_lib.data.bank import DiskBank
from acssm_lib.data.base import AudioDataset
from acssm_lib.data.folders import is_unlabelled, scan_folder, scan_unlabelled
from acssm_lib.data.frogs import SyntheticFrogs
from acssm_lib.data.layouts import scan_esc50, too_few_clips
from acssm_lib.data.phrases import SyntheticPhrases
from acssm_lib.files import DataError
from acssm_lib.names import DATASETS
from acssm_lib.text import visible

# Group i of the paper takes five targets in order; E1 and E2 are our five-class groups of the ESC-10 classes.
ESC50_GROUPS = {f"G{i + 1}": tuple(range(5 * i, 5 * i + 5)) for i in range(10)}
ESC50_GROUPS |= {"E1": (0, 1, 20, 21, 38), "E2": (10, 11, 12, 40, 41)}
# Halves of the ten digits: choices are made on D1 and confirmed on D2.
DIGIT_GROUPS = {"D1": ["zero", "two", "four", "six", "eight"], "D2": ["one", "three", "five", "seven", "nine"]}


class FileDataset(AudioDataset):
    """A data set of audio files, each prepared when it is asked for and kept in a ``DiskBank`` from then on.

    A subclass says how a folder is read, ``scan``, and what more follows from it, ``arrange``.

    Args:
        root: the folder.
        sample_rate: Hz.
        trim_level: 16-bit counts, see ``audio.trim_ends``.
        cache_dir: see ``bank.DiskBank``.
        channel: of a recording with several, see ``audio.read``.
    Raises:
        DataError: the first error that the folder has.
    Taught in: 01_audio_preprocessing.
    """

    scan = staticmethod(scan_folder)

    def __init__(
        self,
        root: str | os.PathLike,
        sample_rate: int = 20_000,
        trim_level: int = 0,
        cache_dir: str | os.PathLike | None = None,
        channel: str = "auto",
    ):
        scan = self.scan(root)
        errors = [problem for problem in scan.problems if problem.severity == "error"]
        if errors:
            more = f" ({len(errors) - 1} more: `acssm data check {root}` lists them)" if len(errors) > 1 else ""
            raise DataError(f"{root}: {errors[0]}{more}")
        self.root, self.sample_rate, self.trim_level, self.cache_dir = Path(root), sample_rate, trim_level, cache_dir
        self.channel = channel
        targets = {clip.category: clip.target for clip in scan.clips if clip.category is not None}
        self.classes = sorted(targets, key=lambda category: (targets[category], category))
        index = {category: i for i, category in enumerate(self.classes)} | {None: -1}
        self.labels = np.array([index[clip.category] for clip in scan.clips], dtype=np.int64)
        self.names = [clip.name for clip in scan.clips]
        self.sources = [clip.source for clip in scan.clips]
        self.paths = [clip.path for clip in scan.clips]
        self.arrange(scan)

    def arrange(self, scan):
        """Set ``groups``, and what else a data set has."""
        self.groups = {"all": self.classes}

    def waveform(self, i):
        """Clip ``i`` as a float32 tensor (samples,) in [-1, 1] at ``sample_rate``.

        Raises:
            DataError: the file is not usable, see ``audio.prepare``.
        """
        return self.clips([i]).waveform(0)

    def clips(self, indices, progress=False):
        """The chosen clips in one ``Clips``, mapped from the ``DiskBank`` of this folder; new ones are prepared first.

        Args:
            indices: of the clips.
            progress: whether to show a bar while clips are prepared.
        Raises:
            DataError: a file is not usable, see ``audio.prepare``, or the cache cannot be written.
        """
        keys, make = self._recipe(indices)
        return DiskBank(self.root.resolve(), self.cache_dir).clips(keys, make, progress)

    def usable(self, indices, progress=False):
        """The chosen clips less the unlabelled ones that cannot be used, which a warning names.

        Every clip is prepared, and kept.

        Raises:
            DataError: a clip with a label is not usable, or the cache cannot be written.
        """
        indices, faults = np.asarray(indices, dtype=np.int64), []
        keys, make = self._recipe(indices)

        def made(place):
            try:
                return make(place)
            except DataError as error:
                if self.labels[indices[place]] >= 0:
                    raise
                faults.append(str(error).replace(str(self.paths[indices[place]]), self.names[indices[place]]))
                return None

        there = DiskBank(self.root.resolve(), self.cache_dir).fill(keys, made, progress)
        if faults:
            more = f" (and {len(faults) - 3} more)" if len(faults) > 3 else ""
            warnings.warn(
                visible(
                    f"{len(faults)} unlabelled clips that cannot be used are left out: {'; '.join(faults[:3])}{more}"
                )
            )
        return indices[there]

    def _recipe(self, indices):
        """(keys, place -> prepared clip) of the chosen clips."""
        settings = self.sample_rate, self.trim_level, self.channel
        paths = [self.paths[i] for i in indices]
        return [preparation_key(path, *settings) for path in paths], lambda place: prepare(paths[place], *settings)


class ESC50(FileDataset):
    """ESC-50, or any part of it in the same layout: ``meta/esc50.csv`` and ``audio/`` (WAV, Ogg, FLAC).

    Groups are G1 to G10 of the paper (group i holds targets 5(i-1) to 5(i-1)+4) and our E1 and E2 of the ESC-10
    classes, each if its five classes are there; if none is, one group "all". ``default_groups`` are the paper's
    where there are any. A source is the Freesound recording; four of them appear in two classes, so compare sources
    across classes.

    Args:
        as ``FileDataset``; ``root`` is the folder that holds ``meta`` and ``audio``.
    Attributes:
        targets, folds: int64 arrays (n_clips,), as in the metadata.
    Raises:
        DataError: the layout is another one, a column is missing, or a row is wrong (file missing or outside of
            ``audio/``, target or fold not a number, ...).
    Taught in: 01_audio_preprocessing.
    Source: Piczak 2015, "ESC: Dataset for Environmental Sound Classification"; groups: the paper, section IV.
    """

    name = "esc50"
    scan = staticmethod(scan_esc50)

    def arrange(self, scan):
        self.targets = np.array([clip.target for clip in scan.clips], dtype=np.int64)
        self.folds = np.array([clip.fold for clip in scan.clips], dtype=np.int64)
        category = {clip.target: clip.category for clip in scan.clips}
        self.groups = {
            name: [category[target] for target in targets]
            for name, targets in ESC50_GROUPS.items()
            if all(target in category for target in targets)
        } or {"all": self.classes}
        self.default_groups = [name for name in self.groups if name.startswith("G")] or list(self.groups)


class AudioFolder(FileDataset):
    """Recordings in one folder per class, any mix of formats, rates, channels and lengths.

        root/
          species_a/     clip1.wav  clip2.flac  night3/clip1.ogg  ...
          species_b/     ...
          unlabelled/    optional: clips without a class (label -1), which join the pre-training pool
          sources.csv    optional: which recording each clip comes from

    ``sources.csv`` has the columns ``file`` (as ``species_a/clip1.wav``) and ``source``, any text that is the same
    for clips which are easier to tell together than apart: one recorder and night, one individual, one long
    recording cut into pieces. Accuracy on queries that share no source with the support is the honest number; clips
    without a source count as recordings of their own. Hidden files and files that are not audio are passed over.

    Args:
        as ``FileDataset``; ``root`` is the folder above.
    Raises:
        DataError: fewer than two class folders, one without audio, or a wrong row in ``sources.csv``.
    Taught in: 01_audio_preprocessing.
    """

    name = "folder"


class SpokenDigits(AudioFolder):
    """The Free Spoken Digit Dataset in the layout of ``AudioFolder``: ten classes, zero to nine; sources are speakers.

    Group D1 holds the even digits, D2 the odd ones: two halves, one to choose on and one to confirm. Who labels and who
    is asked is the setting ``support_sources``: a speaker's voice tells more than the digit unless all classes get
    their labelled clips from the same speakers. The clips come at 8 kHz and are resampled.

    Args:
        as ``FileDataset``.
    Raises:
        DataError: as ``AudioFolder``; a digit without a folder; a clip whose speaker is not in ``sources.csv``.
    Source: Jackson et al., github.com/Jakobovski/free-spoken-digit-dataset, CC BY-SA 4.0; the halves are ours.
    """

    name = "spoken-digits"

    def arrange(self, scan):
        missing = [digit for digits in DIGIT_GROUPS.values() for digit in digits if digit not in self.classes]
        if missing:
            raise DataError(
                f"{self.root}: no folder for {', '.join(missing)}; spoken-digits needs one for each of zero, "
                "one, ... nine; other classes are --dataset folder"
            )
        unknown = [name for name, source in zip(self.names, self.sources) if source is None]
        if unknown:
            raise DataError(
                f"{self.root}/sources.csv: has no speaker for {unknown[0]} ({len(unknown)} such clips); "
                "expected a row for every clip, as in zero/0_george_0.wav,george"
            )
        self.groups = DIGIT_GROUPS


class UnlabelledFolder(FileDataset):
    """Recordings of which nobody has said what they are: every audio file below a folder, all with label -1.

    ``sources.csv`` may lie in it, as in an ``AudioFolder``. One group, "all", of no class: there is something to map
    and to hear, and nothing to classify.

    Args:
        as ``FileDataset``.
    Raises:
        DataError: no folder, no recording in it, or a wrong row in ``sources.csv``.
    """

    name = "folder"
    scan = staticmethod(scan_unlabelled)


def has_classes(root):
    """Whether a folder of recordings has two folders or more that stand for classes; one tells nothing apart."""
    folders = [entry.name for entry in Path(root).iterdir() if entry.is_dir()] if Path(root).is_dir() else []
    return sum(not name.startswith(".") and not is_unlabelled(name) for name in folders) > 1


def load(name, path=None, *, preset, unlabelled=False):
    """The data set of that name, prepared as the preset says.

    Args:
        name: "esc50", "spoken-digits", "folder", "synthetic-frogs" or "synthetic-phrases".
        path: the data folder; None for the synthetic ones.
        preset: gives ``sample_rate``, ``trim_level`` and ``channel``.
        unlabelled: whether a "folder" may be one without classes, to look at and listen to.
    Raises:
        ValueError: unknown name, or a path missing or not wanted.
        DataError: as ``ESC50`` and ``AudioFolder``.
    """
    kinds = {"esc50": ESC50, "spoken-digits": SpokenDigits, "folder": AudioFolder}
    made = {"synthetic-frogs": SyntheticFrogs, "synthetic-phrases": SyntheticPhrases}
    if name in made:
        if path is not None:
            raise ValueError(f"{name} are generated, they read no data from {path}; leave the path out")
        dataset = made[name]()
        if dataset.sample_rate != preset.sample_rate:
            raise ValueError(f"sample_rate={preset.sample_rate}: {name} come at {dataset.sample_rate} Hz")
        return dataset
    if name not in kinds:
        raise ValueError(f"unknown data set {name!r}; there are {', '.join(DATASETS)}")
    if path is None:
        raise ValueError(f"{name} needs a data folder: --data PATH (`acssm data esc50 --to PATH` downloads ESC-50)")
    if unlabelled and name == "folder" and not has_classes(path):
        kinds["folder"] = UnlabelledFolder
    return kinds[name](path, preset.sample_rate, preset.trim_level, channel=preset.channel)


def require_shots(dataset, group, n_shot):
    """Check that every class of a group has ``n_shot`` clips for the support and one more to ask about.

    Raises:
        DataError: names each class with too few clips.
        ValueError: no such group.
    """
    counts = Counter(dataset.classes[label] for label in dataset.labels[dataset.clips_of(group)])
    problems = too_few_clips({name: counts[name] for name in dataset.groups[group]}, n_shot)
    if problems:
        raise DataError(f"group {group}: " + "; ".join(map(str, problems)))


def require_readable(dataset, groups, everything=False):
    """Prepare every clip that runs will hear, so that a fault is found before the first, and not by each of them.

    Args:
        groups: names of the groups.
        everything: whether the other classes are heard too (pools "all" and "everything").
    Returns:
        sentences about unlabelled clips that will be left out.
    Raises:
        DataError: a clip with a label cannot be used.
    """
    chosen = np.concatenate([*(dataset.clips_of(group) for group in groups), dataset.unlabelled()])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            dataset.usable(np.arange(len(dataset)) if everything else np.unique(chosen), progress=True)
        except DataError as error:
            raise DataError(f"{error}; nothing was started; `acssm data check` lists every fault") from None
    return [str(warning.message) for warning in told]
