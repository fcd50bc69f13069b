import json

import pytest

from acssm_lib.files import write_atomically, write_json


def test_numbers_stand_on_one_line_and_nothing_else_changes(tmp_path):
    value = {"draws": [0.25, None, True, -1e-05], "names": ["[1, 2", " 3]"], "rows": [[1, 2], [3]], "none": [],
             "text": "a [1,\n 2] b", "more": [{"a": 1}]}
    path = write_json(tmp_path / "value.json", value)
    text = path.read_text()
    assert json.loads(text) == value and '"draws": [0.25, null, true, -1e-05]' in text


def test_nan_is_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError):
        write_json(tmp_path / "value.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fails(part):
        part.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fails)
    assert path.read_text() == "old" and len(list(tmp_path.iterdir())) == 1
