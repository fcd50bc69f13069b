import json
import os
import re
import socket
import time
from pathlib import Path

import pytest

from acssm_lib import files
from acssm_lib.files import DAY_S, DamagedFile, read_sealed, settle, sweep, write_atomically, write_json, write_sealed


def test_numbers_stand_on_one_line_and_nothing_else_changes(tmp_path):
    value = {
        "draws": [0.25, None, True, -1e-05],
        "names": ["[1, 2", " 3]"],
        "rows": [[1, 2], [3]],
        "none": [],
        "text": "a [1,\n 2] b",
        "more": [{"a": 1}],
    }
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


def test_a_place_that_cannot_be_written_is_named_as_the_caller_named_it(tmp_path):
    def fails(part):
        raise PermissionError(13, "Permission denied", str(part))

    with pytest.raises(PermissionError) as caught:
        write_atomically(tmp_path / "file.txt", fails)
    assert caught.value.filename == str(tmp_path / "file.txt") and str(caught.value).endswith("/file.txt'")


def test_writers_on_two_machines_with_one_process_number_do_not_meet(tmp_path):
    names = []

    def writes(part):
        names.append(part.name)
        part.write_text("half")
        if len(names) == 1:  # another begins meanwhile, and ends first
            write_atomically(tmp_path / "file.txt", writes)

    write_atomically(tmp_path / "file.txt", writes)
    assert len(set(names)) == 2 and all(str(os.getpid()) in name and files._HOST in name for name in names)
    assert files._HOST == "".join(c if c.isalnum() or c == "_" else "-" for c in socket.gethostname())[:32]
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_bytes_are_on_the_disk_before_the_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    done, sync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda place: (done.append("sync"), sync(place)))
    monkeypatch.setattr(os, "replace", lambda *names: (done.append("name"), replace(*names)))
    write_atomically(tmp_path / "file.txt", lambda part: part.write_text("all"))
    assert done == ["sync", "name", "sync"]


def test_a_disk_that_cannot_sync_a_folder_keeps_the_file_and_one_that_is_full_says_so(tmp_path, monkeypatch):
    def fails(path, folder):
        if path.is_dir() == folder:
            raise OSError(22, "Invalid argument")

    monkeypatch.setattr(files, "_to_disk", lambda path: fails(path, folder=True))
    assert write_atomically(tmp_path / "file.txt", lambda part: part.write_text("all")).read_text() == "all"
    monkeypatch.setattr(files, "_to_disk", lambda path: fails(path, folder=False))
    with pytest.raises(OSError):
        write_atomically(tmp_path / "file.txt", lambda part: part.write_text("more"))
    assert (tmp_path / "file.txt").read_text() == "all" and len(list(tmp_path.iterdir())) == 1


def leave(path, age_s=0):
    """A temporary file of a writer that was killed."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("half")
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_a_sweep_takes_what_killed_writers_left_and_nothing_else(tmp_path):
    left = [leave(tmp_path / ".draw0.some-host.71.0123abcd.part.ckpt"), leave(tmp_path / "deep" / ".a.71.part.json")]
    kept = [
        leave(tmp_path / name)
        for name in (".notebook.part.ipynb", "esc50.zip.part", "a.71.0123abcd.part.wav", ".hidden", "draw0.ckpt")
    ]
    assert sweep(tmp_path) == sorted(path.name for path in left)
    assert not any(path.exists() for path in left) and all(path.exists() for path in kept)
    assert sweep(tmp_path / "nowhere") == []


def test_a_sweep_can_be_of_one_file_or_of_what_is_old(tmp_path):
    ours, others = (leave(tmp_path / f".{name}.h.1.0123abcd.part.pt") for name in ("ours", "others"))
    assert sweep(tmp_path, "ours") == [ours.name] and others.exists()
    assert sweep(tmp_path, older_than_s=DAY_S) == []
    leave(others, age_s=DAY_S + 60)
    assert sweep(tmp_path, older_than_s=DAY_S) == [others.name]


@pytest.mark.skipif(os.name == "nt", reason="looks at descriptors of folders")
def test_bytes_reach_the_disk_before_the_name_and_the_name_before_the_end(tmp_path, monkeypatch):
    steps, fsync, replace = [], os.fsync, os.replace
    place_of = lambda number: Path(os.readlink(f"/proc/self/fd/{number}")).name if Path("/proc").is_dir() else "?"
    monkeypatch.setattr(os, "fsync", lambda number: steps.append(("sync", place_of(number))) or fsync(number))
    monkeypatch.setattr(os, "replace", lambda old, new: steps.append(("name", Path(new).name)) or replace(old, new))
    folder = tmp_path / "part"
    (folder / "inner").mkdir(parents=True)
    for name in ("a.txt", "inner/b.txt"):
        (folder / name).write_text(name)
    settle(folder, tmp_path / "whole")
    synced = [name for step, name in steps if step == "sync"]
    if "?" not in synced:
        assert set(synced[:4]) == {"a.txt", "b.txt", "inner", "part"} and synced[4:] == [tmp_path.name]
    assert [step for step, _ in steps] == ["sync"] * 4 + ["name", "sync"]
    steps.clear()
    write_json(tmp_path / "value.json", 1)
    assert [step for step, _ in steps] == ["sync", "name", "sync"] and steps[1] == ("name", "value.json")


def test_no_other_module_gives_a_file_its_name():
    package = Path(files.__file__).parent

    def modules_with(pattern):
        return {
            path.relative_to(package).as_posix()
            for path in package.rglob("*.py")
            if re.search(pattern, path.read_text(encoding="utf-8"))
        }

    assert modules_with(r"os\.(replace|rename)\(|\b(part|folder)\.(replace|rename)\(") == {"files.py"}
    assert modules_with(r"\.savefig\((?!buffer)") == {"plots.py"}


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "longer"])
def test_a_sealed_file_is_read_whole_or_not_at_all(tmp_path, damage):
    file = write_sealed(tmp_path / "x.bin", b"some content")
    assert read_sealed(file) == b"some content"
    content = file.read_bytes()
    file.write_bytes(
        {"empty": b"", "cut": content[:-1], "flipped": b"S" + content[1:], "longer": content + b"x"}[damage]
    )
    with pytest.raises(DamagedFile, match="x.bin: damaged"):
        read_sealed(file)
