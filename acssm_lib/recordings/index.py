"""The index of a survey: every window of every recording that can be read, with its embedding."""

import functools
from dataclasses import dataclass

import numpy as np

from acssm_lib.files import DataError
from acssm_lib.recordings import journal
from acssm_lib.recordings.encoders import WindowEncoder
from acssm_lib.recordings.windows import Source
from acssm_lib.text import quoted
from acssm_lib.training import load_state


@dataclass(frozen=True)
class IndexedFile:
    """One recording of an index.

    Attributes:
        name: its path below the folder of the recordings, with "/".
        site: folder it lies in, or what its name begins with; night: see ``Moment.night``.
        recorded_at: ISO 8601, "" if unknown; clock: "name", "header" or "none".
        source: how its windows are read.
    """

    name: str
    site: str
    night: str
    recorded_at: str
    clock: str
    source: Source
    n_windows: int

    @property
    def sample_rate(self):
        """Hz, of the file."""
        return self.source.sample_rate

    @property
    def nyquist_hz(self):
        """No box may reach above it."""
        return self.source.sample_rate / 2

    @property
    def duration_s(self):
        return self.source.duration_s


class Index:
    """All windows of a survey, in the order in which their recordings were embedded.

    Attributes:
        files: list of IndexedFile.
        file_of: int32 (windows,), place in ``files``. start_s: float64 (windows,), seconds in that file.
        site_nights: int32 (windows,), equal for windows of one site and night; unknown nights of a site are one.
        window_s: s. embeddings: float32 memory map (windows, d).
        skipped: list of (name, why). complete: whether every recording found has been looked at.
    """

    def __init__(self, folder, recordings, head, lines):
        self.folder, self.recordings, self.head = folder, recordings, head
        self.complete = bool(lines) and lines[-1].get("complete", False)
        last = journal.latest(lines)
        self.skipped = sorted((line["name"], line["skipped"]) for line in last.values() if "skipped" in line)
        self.files = [
            IndexedFile(
                line["name"],
                *(last[line["name"]][key] for key in journal.TIMES),
                Source.from_dict(line["source"]),
                line["n_windows"],
            )
            for line in lines
            if "source" in line
        ]
        self.window_s = head["windows"]["window_s"]
        counts = [file.n_windows for file in self.files]
        self.file_of = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
        self.start_s = np.concatenate([file.source.starts_s for file in self.files])
        groups = {key: place for place, key in enumerate(sorted({(file.site, file.night) for file in self.files}))}
        self.site_nights = np.array([groups[file.site, file.night] for file in self.files], np.int32)[self.file_of]
        self.embeddings = np.memmap(folder / "embeddings.f32", "<f4", "r", shape=(sum(counts), head["width"]))

    @classmethod
    def open(cls, survey):
        """The index of a ``Survey``, as far as it has got; that of its fine-tuned encoder where there is one.

        Raises:
            DataError: there is none yet, or it holds no window. DamagedFile: see ``journal.read``.
        """
        tuned = survey.tuned_folder
        return cls.at(tuned if tuned.is_dir() else survey.index_folder, survey.recordings)

    @classmethod
    def at(cls, folder, recordings):
        """The same by its folder and that of the recordings."""
        found = journal.read(folder)
        if found is None:
            raise DataError(f"{folder}: no index yet; acssm survey index {quoted(folder.parent)} makes one")
        head, lines, _ = found
        if not any("source" in line for line in lines):
            raise DataError(
                f"{folder}: the index holds no window"
                + (
                    f": {len(lines)} files were skipped, the first because {lines[0].get('skipped')}"
                    if lines
                    else f"; acssm survey index {quoted(folder.parent)} goes on with it"
                )
            )
        return cls(folder, recordings, head, lines)

    def __len__(self):
        return len(self.file_of)

    def waveform(self, i):
        """Window ``i``, read from its recording: float32 tensor (samples,) at the survey's rate.

        Raises:
            DataError: the recording is not there any more, or is another.
        """
        file = self.files[self.file_of[i]]
        place = i - int(np.searchsorted(self.file_of, self.file_of[i]))
        return file.source.read(self.recordings / file.name, int(file.source.starts[place]))

    @functools.cached_property
    def settings(self):
        """Window, step, band and rate: dict, as ``SurveySettings.of_windows``."""
        return self.head["windows"]

    def encoder(self, device=None):
        """The WindowEncoder that made the embeddings."""
        path = self.folder / "encoder.pt"
        return WindowEncoder.from_state(load_state(path), path, device)
