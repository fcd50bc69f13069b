"""The frog task of the paper as a folder of recordings, written with SYNTHETIC calls.

The paper's recordings (five species, Townsville, 2020) are not public. Whoever has some of their own puts them into
this layout and runs ``acssm reproduce --dataset folder --data FOLDER``:

    FOLDER/
      <species>/      clips with a known species; five are drawn as labelled ones, the others are asked
      unlabelled/     clips of the same place for the pre-training, of whatever species (the paper: 50 of each)
      sources.csv     optional: file,source (which individual, night or recorder a clip comes from)
"""

import csv
import shutil
from pathlib import Path

import soundfile

from acssm_lib.data.frogs import SyntheticFrogs
from acssm_lib.files import DataError, settle

_CLIPS_OF_A_FROG = 5


def write_frog_folder(to, labelled=40, unlabelled=50, seed=0):
    """Five synthetic species as FLAC files in the layout above, complete or not at all; about 60 MB.

    No frog is in both parts. The authors' code fine-tunes with 40 clips per species: 5 labelled, 35 to ask.

    Args:
        to: folder to make; must not exist.
        labelled, unlabelled: clips per species in the species' folder and in ``unlabelled``, multiples of 5, since
            every frog calls in five clips.
        seed: of the calls.
    Returns:
        the folder, a ``Path``.
    Raises:
        ValueError: counts that are no multiples of 5; DataError: ``to`` exists.
    Source: paper section III (species and counts); the calls are ours.
    """
    to = Path(to)
    if labelled % _CLIPS_OF_A_FROG or unlabelled % _CLIPS_OF_A_FROG:
        raise ValueError(f"labelled={labelled}, unlabelled={unlabelled}: expected multiples of {_CLIPS_OF_A_FROG}")
    if to.exists():
        raise DataError(f"{to} exists; name a new folder")
    part = to.with_name(f".{to.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "unlabelled").mkdir(parents=True)
    frogs = SyntheticFrogs(seed, (labelled + unlabelled) // _CLIPS_OF_A_FROG, _CLIPS_OF_A_FROG, modes=("natural",))
    rows = []
    for label, species in enumerate(frogs.classes):
        clips = (frogs.labels == label).nonzero()[0]
        (part / species).mkdir()
        for number, index in enumerate(clips):
            folder = species if number < labelled else "unlabelled"
            name = f"{folder}/{frogs.names[index].replace('/', ' ')}.flac"  # names of frogs say "synthetic"
            soundfile.write(part / name, frogs.waveform(int(index)).numpy(), frogs.sample_rate)
            rows.append((name, frogs.sources[index]))
    with open(part / "sources.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("file", "source"), *rows])
    settle(part, to)
    return to
