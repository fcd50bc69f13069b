"""`acssm data check`: everything that is wrong with a folder, in one go."""

import numpy as np
import pytest
import soundfile
from made_folders import make_esc50, make_folder, tone, write_rows

from acssm_lib.cli.data_check import check, format_report
from acssm_lib.data import folders
from acssm_lib.data.datasets import ESC50, AudioFolder
from acssm_lib.data.layouts import Problem
from acssm_lib.files import DataError


def found(problems, severity="error"):
    return {problem.path: problem.message for problem in problems if problem.severity == severity}


def test_good_folders_have_no_problems(tmp_path):
    make_esc50(tmp_path / "esc", n_clips=6)
    assert check(tmp_path / "esc", cache_dir=tmp_path / "cache") == []
    make_folder(tmp_path / "frogs")
    assert check(tmp_path / "frogs", n_shot=1, cache_dir=tmp_path / "cache") == []
    assert format_report([]) == "no problems found"


def test_everything_wrong_with_an_esc50_folder_is_listed(tmp_path):
    rows = make_esc50(tmp_path, targets=(0, 1, 2), n_clips=7)
    audio = tmp_path / "audio"
    names = [row["filename"] for row in rows]
    rows[0]["filename"] = "gone.wav"  # class0, row 2
    rows[1]["filename"] = "../secret.wav"  # class0, row 3
    rows[7]["target"] = "one"  # class1, row 9
    (audio / names[8]).write_bytes(b"")
    (audio / names[9]).write_text("no sound")
    soundfile.write(audio / names[10], np.zeros(9_000), 20_000)
    content = (audio / names[11]).read_bytes()
    (audio / names[11]).write_bytes(content[:3_000])
    soundfile.write(audio / names[12], np.full(9_000, np.nan), 20_000, subtype="FLOAT")
    soundfile.write(audio / names[13], np.ones(100), 20_000)
    (audio / names[20]).write_bytes((audio / names[2]).read_bytes())  # class2 and class0
    write_rows(tmp_path, rows)
    problems = check(tmp_path, cache_dir=tmp_path / "cache")
    errors, warnings = found(problems), found(problems, "warning")
    expected = {"meta/esc50.csv row 2": "not in audio/", "meta/esc50.csv row 3": "points outside",
                "meta/esc50.csv row 9": "target 'one'", f"audio/{names[8]}": "empty",
                f"audio/{names[9]}": "not an audio", f"audio/{names[10]}": "silent",
                f"audio/{names[11]}": "truncated", f"audio/{names[12]}": "NaN",
                f"audio/{names[13]}": "too short", "class class0": "has 5 clips; 5 shots need at least 6",
                "class class1": "has 0 clips"}
    assert errors.keys() == expected.keys()
    assert all(text in errors[path] for path, text in expected.items())
    assert warnings.keys() == {f"audio/{names[0]}", f"audio/{names[1]}", f"audio/{names[20]}"}
    assert "is in no row" in warnings[f"audio/{names[0]}"]
    assert f"as audio/{names[2]}, but one is 'class2' and the other 'class0'" in warnings[f"audio/{names[20]}"]


def test_everything_wrong_with_a_class_folder_is_listed(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "has_phones", lambda: False)
    root = make_folder(tmp_path / "frogs")
    (root / "empty").mkdir()
    (root / "rubella" / "bad.wav").write_text("no sound")
    (root / "unlabelled" / "bad.flac").write_text("no sound")
    (root / "rubella" / "phone.m4a").touch()
    tone(root / "loose.wav")
    soundfile.write(root / "rubella" / "copy.flac", *soundfile.read(root / "rubella" / "1.wav", dtype="int16"))
    (root / "sources.csv").write_text("file,source\nrubella/gone.wav,x\n")
    problems = check(root, n_shot=2, cache_dir=tmp_path / "cache")
    assert found(problems).keys() == {"empty/", "rubella/bad.wav", "unlabelled/bad.flac", "sources.csv row 2",
                                      "class caerulea"}
    assert found(problems, "warning").keys() == {"rubella/phone.m4a", "loose.wav", "rubella/copy.flac"}


def test_a_single_class_is_reported_and_its_files_are_still_decoded(tmp_path):
    tone(tmp_path / "rubella" / "1.wav")
    (tmp_path / "rubella" / "2.wav").write_text("no sound")
    problems = check(tmp_path, n_shot=1, cache_dir=tmp_path / "cache")
    assert found(problems).keys() == {f"{tmp_path.name}/", "rubella/2.wav", "class rubella"}


@pytest.mark.parametrize("make, message", [
    (lambda root: None, "does not exist"), (lambda root: root.write_text("a file"), "not a folder"),
    (lambda root: [(root / name).mkdir(parents=True) for name in ("meta", "audio")], "layout of ESC-50"),
    (lambda root: (make_esc50(root), write_rows(root, [])), "no rows")])
def test_a_folder_that_cannot_be_scanned_is_one_problem(tmp_path, make, message):
    root = tmp_path / "data"
    make(root)
    (problem,) = check(root)
    assert message in problem.message and problem.severity == "error"


def test_data_sets_refuse_exactly_what_the_check_calls_an_error_in_names_and_tables(tmp_path):
    rows = make_esc50(tmp_path / "esc", n_clips=6)
    (tmp_path / "esc" / "audio" / "extra.wav").touch()
    assert found(check(tmp_path / "esc", cache_dir=tmp_path / "cache"), "warning").keys() == {"audio/extra.wav"}
    ESC50(tmp_path / "esc")  # a warning does not stop it
    rows[3]["filename"] = "gone.wav"
    write_rows(tmp_path / "esc", rows)
    (first, *_) = check(tmp_path / "esc", cache_dir=tmp_path / "cache")
    with pytest.raises(DataError) as raised:
        ESC50(tmp_path / "esc")
    assert str(first) in str(raised.value)
    root = make_folder(tmp_path / "frogs")
    tone(root / "loose.wav")
    AudioFolder(root)


def test_the_report_lists_errors_first_and_counts():
    problems = [Problem("a.wav", "odd", "warning"), Problem("b.wav", "bad"), Problem("class c", "few")]
    assert format_report(problems).splitlines() == [
        "error    b.wav: bad", "error    class c: few", "warning  a.wav: odd", "2 errors, 1 warning"]
