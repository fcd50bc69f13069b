"""Recordings without classes, and what a table beside recordings says about them."""

import numpy as np
import pytest
from made_folders import make_folder, tone

from acssm_lib.data.datasets import AudioFolder, UnlabelledFolder, load
from acssm_lib.data.tables import read_columns
from acssm_lib.fewshot.groups import load_group
from acssm_lib.fewshot.protocols import pretraining_pool
from acssm_lib.files import DataError
from acssm_lib.presets import preset

QUICK = preset("quick")


def test_recordings_without_classes_are_all_unlabelled(tmp_path):
    for name in ("b.wav", "a.wav", "creek/night/c.flac"):
        tone(tmp_path / name, 500, duration_s=0.2)
    (tmp_path / "notes.txt").write_text("rain")
    (tmp_path / "sources.csv").write_text("file,source\na.wav,creek\n")
    dataset = load("folder", tmp_path, preset=QUICK, unlabelled=True)
    assert isinstance(dataset, UnlabelledFolder) and dataset.classes == [] and dataset.groups == {"all": []}
    assert dataset.names == ["a.wav", "b.wav", "creek/night/c.flac"]
    assert dataset.labels.tolist() == [-1, -1, -1] and dataset.sources == ["creek", None, None]
    data = load_group(dataset, "all", QUICK, 0, progress=False)
    assert data.labels.tolist() == [-1, -1, -1] and data.clips.lengths.tolist() == [4_000] * 3
    assert pretraining_pool(data, QUICK, 0).tolist() == [0, 1, 2]


def test_a_folder_with_classes_is_opened_with_them_either_way(tmp_path):
    make_folder(tmp_path / "frogs")
    assert isinstance(load("folder", tmp_path / "frogs", preset=QUICK, unlabelled=True), AudioFolder)
    tone(tmp_path / "flat" / "a.wav", 500)
    with pytest.raises(DataError, match="class folders in it: 0; expected two or more"):
        load("folder", tmp_path / "flat", preset=QUICK)
    with pytest.raises(DataError, match="does not exist"):
        load("folder", tmp_path / "nowhere", preset=QUICK, unlabelled=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: holds no audio file"):
        load("folder", tmp_path / "empty", preset=QUICK, unlabelled=True)


NAMES = ["x/a.wav", "x/b.wav", "y/c.wav"]


def test_columns_of_a_table_in_the_order_of_the_clips(tmp_path):
    path = tmp_path / "clips.csv"
    path.write_text("File;Site;Level dB;Empty\ny\\c.wav;pond;-3,5;\nx/a.wav;creek;-12;\nz/other.wav;lake;-1;\n")
    columns = read_columns(path, NAMES)
    assert columns == {"site": ["creek", None, "pond"], "level db": [-12.0, None, -3.5]}
    path.write_text("filename,night,rain\nx/a.wav,1,no\nx/b.wav,two,\n")
    assert read_columns(str(path), NAMES) == {"night": ["1", "two", None], "rain": ["no", None, None]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip,site\nx/a.wav,creek\n", "no column file, filename or name .* it has clip, site"),
        ("file,site\nq.wav,creek\n", "none of its rows is about one of the 3 clips; expected names such as x/a.wav"),
        ("file,site\nx/a.wav,creek\nx/a.wav,pond\n", "row 3: x/a.wav has other values in a row above"),
        ("file,site\n", "no rows"),
    ],
)
def test_a_table_that_says_nothing_about_the_clips_is_refused(tmp_path, text, message):
    path = tmp_path / "clips.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_columns(path, NAMES)
    with pytest.raises(DataError, match="nowhere.csv: cannot be read"):
        read_columns(tmp_path / "nowhere.csv", NAMES)


def test_what_the_explorer_exports_can_be_read_as_columns(tmp_path):
    from acssm_lib.course.clip_marks import write_new

    path = write_new(tmp_path, "labels", {"name": NAMES, "my label": ["frog", None, "owl"], "x": [0.5, 1.0, 2.0]})
    assert read_columns(path, NAMES[::-1]) == {"my label": ["owl", None, "frog"], "x": [2.0, 1.0, 0.5]}
    assert np.isfinite(read_columns(path, NAMES)["x"]).all()
