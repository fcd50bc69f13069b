"""One folder per class, as cards, sticks, spreadsheets and other systems leave it: used, or named."""

import os
import shutil
import sys
import unicodedata

import pytest
from made_folders import make_folder, tone

from acssm_lib.data import folders
from acssm_lib.data.datasets import AudioFolder
from acssm_lib.data.folders import is_unlabelled, scan_folder
from acssm_lib.files import DataError


def said(root, severity="warning"):
    """Every problem of that severity, in one text."""
    return "\n".join(str(problem) for problem in scan_folder(root).problems if problem.severity == severity)


@pytest.mark.parametrize(
    "above, severity",
    [
        (("2022", "2023"), "error"),
        (("2024-05", "2024-06"), "error"),
        (("train", "test"), "error"),
        (("creek", "pond"), "warning"),
    ],
)
def test_folders_above_the_classes_are_no_classes(tmp_path, above, severity):
    for name in above:
        for species in ("rubella", "caerulea"):
            tone(tmp_path / name / species / "1.wav")
    assert f"{', '.join(sorted(above))} hold folders of the same names (caerulea, rubella)" in said(tmp_path, severity)


def test_folders_below_the_classes_may_be_called_anything(tmp_path):
    for species in ("rubella", "caerulea"):
        tone(tmp_path / species / "night1" / "1.wav")
        tone(tmp_path / species / "2.wav")
    assert not scan_folder(tmp_path).problems


@pytest.mark.parametrize(
    "names",
    [
        ("Rana", "rana"),
        ("Rana", "Rana "),
        ("Rana_aurora", "rana aurora"),
        (unicodedata.normalize("NFC", "grün"), unicodedata.normalize("NFD", "grün")),
    ],
)
def test_one_class_in_two_spellings_is_an_error(tmp_path, names):
    for name in (*names, "Bufo"):
        tone(tmp_path / name / "1.wav")
    if len(os.listdir(tmp_path)) < 3:
        pytest.skip("this file system takes both names for one")
    with pytest.raises(DataError, match="2 class folders differ only in capitals, spaces or the way letters"):
        AudioFolder(tmp_path)


@pytest.mark.parametrize(
    "name, unlabelled",
    [
        ("unlabelled", True),
        ("Unlabeled", True),
        ("unlabelled_2024", True),
        ("UNLABELLED 2", True),
        ("unlabelled-creek", True),
        ("not labelled", True),
        ("labelled", False),
        ("unlabelledfrog", False),
    ],
)
def test_what_counts_as_unlabelled(name, unlabelled):
    assert is_unlabelled(name) == unlabelled


def test_a_misspelt_pool_is_not_taken_for_a_class_in_silence(tmp_path):
    make_folder(tmp_path)
    tone(tmp_path / "unlabled" / "1.wav")
    assert "unlabled/: is taken for a class" in said(tmp_path)


def test_what_other_systems_leave_behind_is_passed_over_and_counted(tmp_path):
    make_folder(tmp_path)
    before = scan_folder(tmp_path).passed_over
    for name in (
        "rubella/._1.wav",
        "rubella/.DS_Store",
        "rubella/Thumbs.db",
        "__MACOSX/rubella/._1.wav",
        "$RECYCLE.BIN/1.wav",
        "System Volume Information/x",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"\0\5\x16\7")
    scan = scan_folder(tmp_path)
    assert not scan.problems and scan.passed_over == before + 6 and len(scan.clips) == 5


def test_linked_folders_are_used_dead_links_and_loops_named(tmp_path):
    root = make_folder(tmp_path / "frogs")
    for i in range(3):
        tone(tmp_path / "archive" / f"{i}.wav", 500 + 50 * i)
        (root / "caerulea" / f"gone{i}.wav").symlink_to(f"/media/nowhere/{i}.wav")
    (root / "rubella" / "night1").symlink_to(tmp_path / "archive")
    (root / "rubella" / "loop").symlink_to(root)
    scan = scan_folder(root)
    assert {f"rubella/night1/{i}.wav" for i in range(3)} < {clip.name for clip in scan.clips} and len(scan.clips) == 8
    assert "rubella/loop/: is a link that leads back" in said(root)
    assert "caerulea/: 3 links (gone0.wav, gone1.wav, gone2.wav) lead to nothing" in said(root)


def test_a_folder_that_cannot_be_opened_is_an_error(tmp_path, monkeypatch):
    make_folder(tmp_path)
    real = os.scandir

    def scandir(path="."):
        if str(path).endswith("night2"):
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(folders.os, "scandir", scandir)
    assert "rubella/night2/: cannot be opened (Permission denied)" in said(tmp_path, "error")


def test_files_that_are_not_used_are_named_by_kind(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "has_phones", lambda: False)
    root = make_folder(tmp_path)
    for i in range(5):
        (root / "rubella" / f"New recording {i}.m4a").write_bytes(b"\0\0\0\x18ftypM4A ")
        (root / "rubella" / f"{i}.wac").write_bytes(b"WAac")
    shutil.copy(root / "rubella" / "1.wav", root / "caerulea" / "tape.dat")
    (root / "caerulea" / "notes.pdf").touch()
    (root / "caerulea" / "sources.csv").touch()
    text = said(root)
    assert "5 files (New recording 0.m4a, New recording 1.m4a, New recording 2.m4a, ...) end in .m4a" in text
    assert 'pip install "acoustic-ssm[phones]"' in text and "end in .wac, which is no known ending" in text
    assert "caerulea/tape.dat: ends in .dat, and in it is WAV" in text and "notes.pdf" not in text
    assert "caerulea/sources.csv: lies in a class folder" in text


def test_a_pool_of_unreadable_files_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "has_phones", lambda: False)
    root = make_folder(tmp_path)
    (root / "unlabelled" / "a.wav").rename(root / "unlabelled" / "a.m4a")
    assert "AIFF) but 1 that cannot be used" in said(root, "error")


def test_selection_tables_beside_recordings_are_named(tmp_path):
    root = make_folder(tmp_path)
    (root / "rubella" / "1.Table.1.selections.txt").write_text("Selection\tBegin Time (s)\n1\t3\n")
    (root / "rubella" / "1.txt").write_text("3.0\t4.5\trubella\n")
    assert "rubella/: 2 tables of selections or labels lie beside the recordings" in said(root)


@pytest.mark.parametrize(
    "name, text, encoding",
    [
        ("sources.csv", "\ufefffile,source\r\n{}\r\n", "utf-8"),
        ("Sources.CSV", "file,source\n{}\n", "utf-8"),
        ("sources.csv", "File, Source\n{}\n", "utf-8"),
        ("sources.csv", "file;source\n{}\n", "utf-8"),
        ("sources.csv", "FILE\tsource\tby\n{}\tme\n", "utf-8"),
        ("sources.csv", "file\tsource\n{}\n", "utf-16"),
    ],
)
def test_tables_of_sources_as_spreadsheets_save_them(tmp_path, name, text, encoding):
    root = make_folder(tmp_path)
    delimiter = max(",;\t", key=text.count)
    (root / name).write_bytes(text.format(f"rubella/1.wav{delimiter}creek").encode(encoding))
    sources = {clip.name: clip.source for clip in scan_folder(root).clips}
    assert sources["rubella/1.wav"] == "creek" and not scan_folder(root).problems


def test_paths_that_look_the_same_are_the_same(tmp_path):
    root = make_folder(tmp_path)
    tone(root / "rubella" / unicodedata.normalize("NFD", "grün.wav"))
    (root / "sources.csv").write_text(
        f"file,source\nrubella/{unicodedata.normalize('NFC', 'grün.wav')},creek\n", encoding="utf-8"
    )
    assert not scan_folder(root).problems
    assert [clip.source for clip in scan_folder(root).clips].count("creek") == 1


def test_two_tables_and_sources_that_are_nearly_the_same(tmp_path):
    root = make_folder(tmp_path)
    (root / "sources.csv").write_text(
        "file,source\nrubella/1.wav,SM4-1\ncaerulea/1.ogg,sm4-1\nunlabelled/a.wav,007\ncaerulea/2.mp3,7\n"
    )
    text = said(root)
    assert "'SM4-1' and 'sm4-1' are nearly the same" in text and "'007' and '7' are nearly the same" in text
    (root / "Sources.CSV").write_text("file,source\nrubella/1.wav,creek\n")
    if len([name for name in os.listdir(root) if name.lower() == "sources.csv"]) == 2:
        assert "2 tables of sources" in said(root, "error")


def test_clips_named_as_pieces_of_one_recording_ask_for_a_table(tmp_path):
    root = make_folder(tmp_path)
    for i in range(3):
        tone(root / "rubella" / f"SITE_20240514_040000_{i:03}.wav")
    assert "3 clips are named as pieces of 1 recordings" in said(root)
    (root / "sources.csv").write_text("file,source\nrubella/SITE_20240514_040000_000.wav,a\n")
    assert "named as pieces" not in said(root)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names are text on this system")
def test_names_of_any_bytes_are_made_visible_once(tmp_path):
    root = make_folder(tmp_path)
    tone(root / "$a^$" / "1.wav")
    for name in (b"gr\xfcn.wav", b"new\nline.wav", b"esc\x1b[31m.wav"):
        shutil.copy(root / "rubella" / "1.wav", os.fsencode(root / "rubella") + b"/" + name)
    os.rename(os.fsencode(root / "caerulea"), os.fsencode(root) + b"/k\xe4fer")
    dataset = AudioFolder(root)
    assert dataset.classes == ["$a^$", "k\\xe4fer", "rubella"]
    assert {"rubella/gr\\xfcn.wav", "rubella/new\\nline.wav", "rubella/esc\\x1b[31m.wav"} < set(dataset.names)
    "".join(dataset.names + dataset.classes).encode("utf-8")
    assert len(dataset.clips(range(len(dataset)))) == len(dataset)
    (root / "new\nloose.wav").touch()
    assert "\n" not in said(root) and "new\\nloose.wav: lies outside" in said(root)
