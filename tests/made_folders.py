"""Folders of recordings that tests make: ESC-50's layout, and one folder per class."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import soundfile

COLUMNS = ["filename", "fold", "target", "category", "esc10", "src_file", "take"]


def tone(path, frequency_hz=440, sample_rate=20_000, duration_s=0.15):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(
        path, 0.5 * np.cos(2 * np.pi * frequency_hz * np.arange(duration_s * sample_rate) / sample_rate), sample_rate
    )
    return path


def make_esc50(root, targets=(0, 1), n_clips=2, suffix=".wav"):
    """ESC-50's layout with tones for clips; returns the rows, which ``write_rows`` writes again when edited."""
    rows = [
        {
            "filename": f"{fold}-{100 + target}{fold}-A-{target}{suffix}",
            "fold": fold,
            "target": target,
            "category": f"class{target}",
            "esc10": "True",
            "src_file": 1000 + 10 * target + fold,
            "take": "A",
        }
        for target in targets
        for fold in range(1, n_clips + 1)
    ]
    for number, row in enumerate(rows):
        tone(root / "audio" / row["filename"], 300 + 40 * number)
    write_rows(root, rows)
    return rows


def write_rows(root, rows, columns=COLUMNS):
    (root / "meta").mkdir(exist_ok=True)
    with open(root / "meta" / "esc50.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def make_folder(root):
    tone(root / "rubella" / "1.wav", 500, 44_100)
    tone(root / "rubella" / "night2" / "1.flac", 600, 48_000)
    tone(root / "caerulea" / "1.ogg", 700, 22_050, 0.3)
    tone(root / "caerulea" / "2.mp3", 800, 16_000, 0.3)
    tone(root / "unlabelled" / "a.wav", 900)
    (root / "rubella" / "notes.txt").write_text("rain")
    tone(root / "rubella" / ".hidden.wav")
    tone(root / ".trash" / "1.wav")
    return root


def _field_faults():
    """The module that writes folders as field work leaves them, or None where the shared data is not there."""
    place = Path(__file__).resolve().parents[2] / "shared" / "data" / "field_faults" / "field_faults.py"
    if not place.is_file():
        return None
    spec = importlib.util.spec_from_file_location("field_faults", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_FAULTS = _field_faults()
FIELD_FAULTS = sorted(_FAULTS.INPUTS) if _FAULTS else ["absent"]


def field_fault(name, folder):
    """Write one faulty folder below ``folder``: {"expect", "probe", "root"}; skips where it cannot be made."""
    if _FAULTS is None:
        pytest.skip("needs the shared folder of field faults beside the repository")
    root = folder / name
    root.mkdir()
    try:
        return {"root": root, **_FAULTS.INPUTS[name](root)}
    except FileNotFoundError as error:
        if error.filename != "ffmpeg":
            raise
        pytest.skip(f"{name} needs ffmpeg")
