"""`acssm data check`: everything that is wrong with a folder, in one go."""

import os

import numpy as np
import pytest
import soundfile
from made_folders import FIELD_FAULTS, field_fault, make_esc50, make_folder, tone, write_rows

from acssm_lib.cli.data_check import Findings, check, format_report
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
    report = format_report(check(tmp_path / "frogs", n_shot=1, cache_dir=tmp_path / "cache"))
    assert report.splitlines() == [
        "no problems found",
        "",
        "Will be used: 4 clips of 2 classes (caerulea 2, rubella 2), and 1 without a label.",
        "Will not be used: 0 clips with a fault; 2 hidden files and leftovers of other systems passed over.",
        "Verdict: a run can start.",
    ]


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
    expected = {
        "meta/esc50.csv row 2": "not in audio/",
        "meta/esc50.csv row 3": "points outside",
        "meta/esc50.csv row 9": "target 'one'",
        f"audio/{names[8]}": "empty",
        f"audio/{names[9]}": "not an audio",
        f"audio/{names[10]}": "silent",
        f"audio/{names[11]}": "truncated",
        f"audio/{names[12]}": "NaN",
        f"audio/{names[13]}": "too short",
        "class class0": "has 5 clips; 5 shots need at least 6",
        "class class1": "has 0 clips",
    }
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
    assert found(problems).keys() == {"empty/", "rubella/bad.wav", "sources.csv row 2", "class caerulea"}
    assert found(problems, "warning").keys() == {
        "rubella/phone.m4a",
        "loose.wav",
        "rubella/copy.flac",
        "unlabelled/bad.flac",
    }
    assert "is left out" in found(problems, "warning")["unlabelled/bad.flac"]
    assert (problems.counts, problems.n_unlabelled, problems.left_out) == ({"caerulea": 2, "rubella": 3}, 1, 2)


def test_a_single_class_is_reported_and_its_files_are_still_decoded(tmp_path):
    tone(tmp_path / "rubella" / "1.wav")
    (tmp_path / "rubella" / "2.wav").write_text("no sound")
    problems = check(tmp_path, n_shot=1, cache_dir=tmp_path / "cache")
    assert found(problems).keys() == {f"{tmp_path.name}/", "rubella/2.wav", "class rubella"}


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda root: None, "does not exist"),
        (lambda root: root.write_text("a file"), "not a folder"),
        (lambda root: [(root / name).mkdir(parents=True) for name in ("meta", "audio")], "layout of ESC-50"),
        (lambda root: (make_esc50(root), write_rows(root, [])), "no rows"),
    ],
)
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
    problems += [Problem(f"{i}.wav", f"its offset of +0.{i} was taken away", "note") for i in range(9)]
    assert format_report(Findings(problems, {"c": 3, "new\nline": 1}, left_out=1)).splitlines() == [
        "error    b.wav: bad",
        "error    class c: few",
        "warning  a.wav: odd",
        "note     0.wav and 8 more: its offset of +0.0 was taken away",
        "2 errors, 1 warning, 9 notes",
        "",
        "Will be used: 4 clips of 2 classes (c 3, new\\nline 1).",
        "Will not be used: 1 clip with a fault.",
        "Doubtful: 1 warning above; a run goes on, and its numbers may mislead.",
        "Verdict: no run can start before 2 errors above have been mended.",
    ]


def test_copies_and_pieces_are_told_unless_a_table_says_so(tmp_path):
    noise = np.random.default_rng(0).normal(0, 0.05, 60_000)
    for name, start in (("rubella/1.wav", 0), ("rubella/2.wav", 9_000), ("caerulea/1.wav", 20_000)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        soundfile.write(tmp_path / name, noise[start : start + 30_000], 20_000)
    (problem,) = [one for one in check(tmp_path, 1) if "hold the same sound" in one.message]
    assert problem.path == "3 clips" and "classes caerulea, rubella: one label must be wrong" in problem.message
    (tmp_path / "sources.csv").write_text(
        "file,source\n" + "".join(f"{name},creek\n" for name in ("rubella/1.wav", "rubella/2.wav", "caerulea/1.wav"))
    )
    assert not [one for one in check(tmp_path, 1) if "hold the same sound" in one.message]


WORDS = {  # of the check on each of the field faults: what a user would expect to read; None: nothing
    "audiomoth_chunks": None,
    "list_chunk_of_zeros": None,
    "hidden_root": None,
    "mac_leftovers": None,
    "table_bom_crlf": None,
    "table_semicolons": None,
    "table_header_case": None,
    "table_utf16": None,
    "awkward_classes": None,
    "streamed_flac": None,
    "subtypes": "hold the same sound",
    "unknown_size_then_tags": "less 96,012 bytes of tags",
    "zero_size": "was never finished",
    "cut_large_wav": "truncated, 384000 of the 2415919104",
    "cut_containers": "9 errors",
    "junk_at_end": "10,000 bytes behind",
    "mp3_kinds": "it ends within a frame",
    "phone_files": "should end so",
    "empty_and_tiny": "5 errors",
    "bats_384khz": "lies above 10 kHz",
    "peak_above_one": "scaled down by 9.8 dB",
    "dc_offset": "its offset of +0.400",
    "nan_and_units": "3 errors",
    "opposed_stereo": "channels are opposed",
    "dead_channel": "channels differ by much",
    "odd_names": "bruna/new\\nerr.wav: not an audio file",
    "latin1_names": "bruna/kaputt\\xfc.wav: not an audio file",
    "year_folders": "hold folders of the same names",
    "memory_card": "a folder of recordings looks like this",
    "links": "5 links",
    "raven_tables": "tables of selections",
    "long_recordings": "outside of the middle in 24 of them",
    "one_hour": "2,250 times as long",
    "cut_from_one_recording": "12 clips: hold the same sound",
    "one_bad_of_many": "it has no label, and is left out",
    "table_leading_zeros": "'007' and '7' are nearly the same",
}


@pytest.mark.parametrize("name", FIELD_FAULTS)
def test_field_faults_are_right_or_named(tmp_path, name):
    if name in ("one_hour", "long_recordings", "raven_tables") and "ACSSM_SLOW" not in os.environ:
        pytest.skip("half a minute each; ACSSM_SLOW=1 runs them")
    made = field_fault(name, tmp_path)
    found = check(made["root"], cache_dir=tmp_path / "cache")
    report = format_report(found)
    assert WORDS[name] is None and not found or WORDS[name] and WORDS[name] in report, report
