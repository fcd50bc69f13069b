"""One folder per survey: where everything lies, and the settings in ``survey.toml``."""

import dataclasses
import difflib
import json
import tomllib
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from acssm_lib.data.audio import SAMPLE_RATE_RANGE_HZ
from acssm_lib.files import DataError, write_text
from acssm_lib.presets import Preset
from acssm_lib.recordings.clock import time_zone_of
from acssm_lib.text import quoted

_TOML = "survey.toml"


@dataclass(frozen=True)
class SurveySettings:
    """What a survey listens for; all of it is fixed once the index is made, but the classes.

    Raises:
        ValueError: a value that cannot be; the message names it and says what would be right.
    """

    window_s: float = 3.0  # s, of one window: what is labelled, scored and counted
    step_s: float = 1.5  # s, from the start of a window to that of the next
    low_hz: float = 0.0  # Hz, what lies below is not heard (wind, handling)
    high_hz: float | None = None  # Hz, what lies above is not heard; None: half the sample rate
    sample_rate: int = 20_000  # Hz, to which all recordings are brought
    time_zone: str | None = None  # of the recorders' clocks: "Australia/Brisbane", "+10:00", or None for unknown
    classes: tuple[str, ...] = ()  # that are looked for, in the order of keys and tables

    def __post_init__(self):
        spelled = tuple(unicodedata.normalize("NFC", name) for name in self.classes)  # on a Mac ü may be two letters
        object.__setattr__(self, "classes", spelled)
        lowest, highest = SAMPLE_RATE_RANGE_HZ
        checks = (
            (lowest <= self.sample_rate <= highest, f"sample_rate={self.sample_rate}: from {lowest} to {highest} Hz"),
            (0.25 <= self.window_s <= 60, f"window_s={self.window_s}: from 0.25 to 60 s"),
            (
                0.01 <= self.step_s <= self.window_s,
                f"step_s={self.step_s}: from 0.01 s up to window_s, {self.window_s} s; "
                "a longer step would leave sound out",
            ),
            (
                0 <= self.low_hz < self.top_hz <= self.sample_rate / 2,
                f"low_hz={self.low_hz}, high_hz={self.high_hz}: 0 <= low_hz < high_hz <= {self.sample_rate / 2:g}, "
                "half the sample rate",
            ),
            (
                len(set(self.classes)) == len(self.classes) and all(self.classes),
                f"classes={list(self.classes)}: every name once, none empty",
            ),
        )
        for right, words in checks:
            if not right:
                raise ValueError(words)
        time_zone_of(self.time_zone)

    @property
    def top_hz(self):
        """Upper end of what is heard, Hz."""
        return self.sample_rate / 2 if self.high_hz is None else self.high_hz

    def as_dict(self):
        """Plain values for JSON."""
        return {**dataclasses.asdict(self), "classes": list(self.classes)}

    def in_words(self):
        """What windows are like, for a terminal."""
        return (
            f"windows of {self.window_s:g} s every {self.step_s:g} s, {self.low_hz / 1000:g} to "
            f"{self.top_hz / 1000:g} kHz, at {self.sample_rate / 1000:g} kHz, time zone "
            f"{self.time_zone or 'unknown'}"
        )

    @classmethod
    def parted(cls, pairs):
        """(field -> value of these settings, the other pairs), from words as on a command line; classes stay apart.

        Raises:
            ValueError: no number where one is expected, or neither a setting of a survey nor a field of a preset.
        """
        kinds = {
            "window_s": float,
            "step_s": float,
            "low_hz": float,
            "high_hz": float,
            "sample_rate": _whole,
            "time_zone": str,
        }
        ours, others = {}, []
        for key, text in pairs:
            if key not in kinds:
                _check_field(key, kinds)
                others.append((key, text))
                continue
            try:
                ours[key] = None if text == "none" and key in ("high_hz", "time_zone") else kinds[key](text)
            except ValueError:
                raise ValueError(f"{key}={text}: expected a {'whole ' * (key == 'sample_rate')}number") from None
        return ours, others

    def of_windows(self):
        """The settings that windows and their embeddings depend on."""
        return {key: getattr(self, key) for key in ("window_s", "step_s", "low_hz", "top_hz", "sample_rate")}


def _whole(text):
    number = float(text)
    if not number.is_integer():
        raise ValueError
    return int(number)


def _check_field(key, ours):
    """Raises:
    ValueError: a word that is neither a setting of a survey nor a field of a preset.
    """
    fields = [field.name for field in dataclasses.fields(Preset)]
    if key == "classes":
        raise ValueError('classes are named by acssm survey label SURVEY --classes "frog a,frog b"')
    if key not in fields:
        close = difflib.get_close_matches(key, [*ours, *fields], n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(
            f"unknown setting {key!r}{hint}; a survey has {', '.join(ours)}, all else are fields of the preset"
        )


class Survey:
    """A survey's folder.

    Attributes:
        folder: Path. settings: ``SurveySettings``. recordings: folder of the recordings, which is only ever read.
    """

    def __init__(self, folder, settings, recordings):
        self.folder, self.settings, self.recordings = Path(folder), settings, Path(recordings)

    @classmethod
    def open(cls, folder):
        """The survey in a folder with ``survey.toml``, or with ``recordings/`` alone: then all settings are usual.

        Raises:
            DataError: there is none, or its settings cannot be.
        """
        folder = Path(folder)
        path = folder / _TOML
        if not path.is_file():
            if (folder / "recordings").is_dir():
                return cls.create(folder)
            card = folder.is_dir() and any(folder.iterdir())
            raise DataError(
                f"{folder}: no survey; expected {_TOML}, or a folder recordings/ in it. To make one for "
                + (
                    "these recordings: acssm survey index NEW --recordings " + quoted(folder)
                    if card
                    else f"recordings that lie elsewhere: acssm survey index {quoted(folder)} --recordings CARD"
                )
            )
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
            raise DataError(f"{path}: cannot be read ({error}); expected lines such as window_s = 3.0") from None
        recordings = values.pop("recordings", "recordings")
        if not isinstance(recordings, str):
            raise DataError(f"{path}: recordings={recordings!r}; expected the path of a folder")
        survey = cls(folder, _settings(values, path), folder / recordings)
        if not survey.recordings.is_dir():
            raise DataError(
                f"{path}: its recordings, {survey.recordings}, are no folder; is the disk mounted? Else "
                "correct the line that begins with recordings"
            )
        return survey

    @classmethod
    def create(cls, folder, recordings=None, **settings):
        """A new survey: writes ``survey.toml``.

        Args:
            recordings: folder of the recordings; None for ``recordings`` in the survey's own.
            settings: of ``SurveySettings``.
        Raises:
            DataError: there is a survey already, or no folder of recordings.
            ValueError: settings that cannot be.
        """
        folder = Path(folder)
        if folder.exists() and not folder.is_dir():
            raise DataError(f"{folder}: a file; expected a new folder for the survey")
        if (folder / _TOML).exists():
            raise DataError(f"{folder / _TOML}: there is a survey already; edit that file, or choose another folder")
        place = folder / "recordings" if recordings is None else Path(recordings).resolve()
        if not place.is_dir():
            raise DataError(
                f"{place}: {'not a folder' if place.exists() else 'does not exist'}; expected the folder "
                "of the recordings"
            )
        survey = cls(folder, SurveySettings(**settings), place)
        survey.save("recordings" if recordings is None else place.as_posix())
        return survey

    def change(self, **settings):
        """Other settings, into ``survey.toml`` too; without any, or the same ones, nothing is written.

        Raises:
            ValueError: one that cannot be, or a window, band or rate other than the index was made for.
        """
        changed = dataclasses.replace(self.settings, **settings)
        if changed == self.settings:
            return
        if changed.of_windows() != self.settings.of_windows() and (self.index_folder / "encoder.pt").exists():
            raise ValueError(
                f"{self.index_folder}: the index was made for {self.settings.in_words()}; leave "
                f"{', '.join(settings)} out, or remove the folder and index again (labels stay)"
            )
        self.settings = changed
        self.save()

    def save(self, recordings=None):
        """Writes ``survey.toml``; ``recordings`` as it is to stand there; None for a path that holds from anywhere."""
        if recordings is None:
            place, folder = self.recordings.resolve(), self.folder.resolve()
            recordings = (place.relative_to(folder) if place.is_relative_to(folder) else place).as_posix()
        lines = [f"recordings = {_toml(recordings)}"]
        for field in dataclasses.fields(SurveySettings):
            value = getattr(self.settings, field.name)
            lines.append(f"# {field.name} is not set" if value is None else f"{field.name} = {_toml(value)}")
        write_text(self.folder / _TOML, "# Settings of a survey; seconds and Hz\n" + "\n".join(lines) + "\n")

    labels_csv = property(lambda self: self.folder / "labels.csv")
    index_folder = property(lambda self: self.folder / "index")
    tuned_folder = property(lambda self: self.index_folder / "finetuned")  # its twin by a fine-tuned encoder
    recogniser = property(lambda self: self.folder / "recogniser.acssm")
    detections_csv = property(lambda self: self.folder / "detections.csv")
    tables_folder = property(lambda self: self.folder / "tables")
    species_csv = property(lambda self: self.folder / "species.csv")


def _settings(values, path):
    fields = {field.name: field.type for field in dataclasses.fields(SurveySettings)}
    for key, value in values.items():
        if key not in fields:
            close = difflib.get_close_matches(key, [*fields, "recordings"], n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            raise DataError(f"{path}: unknown setting {key}{hint}; there are recordings, {', '.join(fields)}")
        kind = list if key == "classes" else str if key == "time_zone" else (int, float)
        if not isinstance(value, kind) or isinstance(value, bool) or key == "sample_rate" and value != int(value):
            raise DataError(
                f"{path}: {key} = {value!r}; expected "
                + {
                    "classes": 'names, as in ["frog a", "frog b"]',
                    "time_zone": 'a zone, as in "+10:00"',
                    "sample_rate": "a whole number of Hz",
                }.get(key, "a number")
            )
    if "classes" in values:
        if not all(isinstance(name, str) for name in values["classes"]):
            raise DataError(f"{path}: classes = {values['classes']}; expected names in quotes")
        values = {**values, "classes": tuple(values["classes"])}
    if "sample_rate" in values:
        values = {**values, "sample_rate": int(values["sample_rate"])}
    try:
        return SurveySettings(**values)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None


def _toml(value):
    """A value as TOML writes it; strings of JSON are strings of TOML."""
    return json.dumps(list(value) if isinstance(value, tuple) else value, ensure_ascii=False)
