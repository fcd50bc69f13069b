"""``download_esc50`` against a server on this machine and small archives in ESC-50's layout."""

import hashlib
import io
import json
import shutil
import zipfile

import numpy as np
import pytest
import soundfile

from acssm_lib import fetch
from acssm_lib.cli.esc50_archive import Contents, download_esc50
from acssm_lib.data.layouts import scan_esc50
from acssm_lib.files import DataError

SMALL = Contents(classes=2, clips_per_class=3, unpacked_bytes=30_000)  # 6 clips of 0.2 s, 8 kHz, 16 bits, and a table
FIRST = "ESC-50-master/audio/1-0-A-0.wav"


def clip(seed):
    samples = np.random.default_rng(seed).uniform(-0.5, 0.5, 1600)
    file = io.BytesIO()
    soundfile.write(file, samples, 8000, format="WAV", subtype="PCM_16")
    return file.getvalue()


def small_files():
    """Member name -> bytes: two classes of three clips."""
    rows, files = ["filename,fold,target,category,esc10,src_file,take"], {}
    for target, category in enumerate(("dog", "rain")):
        for source in range(3):
            name = f"1-{source}-A-{target}.wav"
            rows.append(f"{name},1,{target},{category},False,{source},A")
            files[f"ESC-50-master/audio/{name}"] = clip(10 * target + source)
    return {"ESC-50-master/meta/esc50.csv": ("\n".join(rows) + "\n").encode(), **files}


def zipped(files, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def server(server):
    server.content = zipped(small_files())
    return server


def get(server, to, **kwargs):
    return download_esc50(to, url=server.url, progress=False, **{"expect": SMALL, **kwargs})


def refused(server, to, content, match, **kwargs):
    """Serve ``content``, expect an error, and nothing left that could pass for a finished download."""
    server.content = content
    with pytest.raises(DataError, match=match) as caught:
        get(server, to, **kwargs)
    assert ".unpacking" not in str(caught.value)  # a folder that is gone
    assert [path.name for path in to.iterdir()] == ["ESC-50-master.zip.bad"]


def test_a_complete_download_is_announced_verified_and_recorded(server, tmp_path, capsys):
    digest = hashlib.sha256(server.content).hexdigest()
    root = get(server, tmp_path / "new" / "data", sha256=digest.upper())

    assert root == tmp_path / "new" / "data" / "ESC-50"
    assert {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.*")} == {
        name.removeprefix("ESC-50-master/"): content for name, content in small_files().items()
    }
    assert len(scan_esc50(root).clips) == 6
    record = json.loads((root.parent / "ESC-50.json").read_text())
    assert (record["url"], record["bytes"], record["sha256"]) == (server.url, len(server.content), digest)
    assert sorted(path.name for path in root.parent.iterdir()) == ["ESC-50", "ESC-50.json"]
    printed = capsys.readouterr().out
    before = printed[: printed.index("archive ")]  # said before the archive is there
    assert "CC BY-NC 3.0" in before and "CC BY 3.0" in before and str(root) in before
    assert f"size        {len(server.content) / 1e6:.1f} MB" in before
    assert digest in printed


def test_a_second_call_downloads_nothing(server, tmp_path, capsys):
    root = get(server, tmp_path)
    digest = hashlib.sha256(server.content).hexdigest()
    capsys.readouterr()
    assert get(server, tmp_path, sha256=digest) == root
    assert len(server.ranges) == 1
    assert "already complete and verified" in capsys.readouterr().out

    with pytest.raises(DataError, match=f"{digest}, not {'0' * 64}"):
        get(server, tmp_path, sha256="0" * 64)
    (root / "audio" / "1-0-A-0.wav").unlink()
    with pytest.raises(DataError, match=r"1-0-A-0\.wav.*Move .*ESC-50 away"):
        get(server, tmp_path)
    assert len(server.ranges) == 1


def test_a_cut_is_resumed_within_the_call(server, tmp_path):
    server.cuts = 1
    get(server, tmp_path)
    assert server.ranges == [None, f"bytes={len(server.content) // 2}-"]
    assert server.if_ranges == [None, '"one"']


def test_a_cut_is_resumed_by_the_next_call(server, tmp_path, monkeypatch):
    server.cuts = 1
    with monkeypatch.context() as patch:
        patch.setattr(fetch, "_ATTEMPTS", 1)
        with pytest.raises(DataError, match="could not download .* cut.* running the same command again resumes"):
            get(server, tmp_path)
    part = tmp_path / "ESC-50-master.zip.part"
    assert part.read_bytes() == server.content[: len(server.content) // 2]
    assert not (tmp_path / "ESC-50").exists()

    get(server, tmp_path)
    assert server.ranges == [None, f"bytes={len(server.content) // 2}-"]
    assert not part.exists()


def test_a_server_without_ranges_starts_over(server, tmp_path):
    server.cuts, server.resumable = 1, False
    get(server, tmp_path)
    assert len(server.ranges) == 2


@pytest.mark.parametrize("tag", ['"%s"', 'W/"%s"'])
def test_a_changed_archive_starts_afresh(server, tmp_path, monkeypatch, tag):
    server.cuts, server.tag = 1, tag % "one"
    with monkeypatch.context() as patch:
        patch.setattr(fetch, "_ATTEMPTS", 1)
        with pytest.raises(DataError):
            get(server, tmp_path)
    server.tag = tag % "two"
    server.content = zipped({"ESC-50-master/README.md": b"a second edition", **small_files()})
    get(server, tmp_path)
    assert (tmp_path / "ESC-50" / "README.md").read_bytes() == b"a second edition"
    assert server.if_ranges[1] == (None if tag.startswith("W/") else '"one"')  # RFC 9110: no weak tag in If-Range


def test_without_a_tag_nothing_is_appended(server, tmp_path):
    server.cuts, server.tag = 1, None
    get(server, tmp_path)
    assert server.ranges == [None, None]


def test_a_part_file_that_is_whole_is_not_fetched_again(server, tmp_path):
    (tmp_path / "ESC-50-master.zip.part").write_bytes(server.content)
    (tmp_path / "ESC-50-master.zip.part.json").write_text(json.dumps({server.url: server.tag}))
    assert get(server, tmp_path).is_dir()
    assert server.ranges == [f"bytes={len(server.content)}-"]


def test_a_part_file_that_is_too_long_starts_over(server, tmp_path):
    (tmp_path / "ESC-50-master.zip.part").write_bytes(server.content + b"more")
    (tmp_path / "ESC-50-master.zip.part.json").write_text(json.dumps({server.url: server.tag}))
    assert get(server, tmp_path).is_dir()
    assert server.ranges == [f"bytes={len(server.content) + 4}-", None]


def test_a_server_that_announces_no_size(server, tmp_path, capsys):
    server.send_length, server.chunked, server.cuts = False, True, 1
    get(server, tmp_path)
    assert "size        unknown" in capsys.readouterr().out
    assert len(server.ranges) == 2  # a cut is seen without a size, because the last chunk is missing


@pytest.mark.parametrize("status, requests", [(404, 1), (503, 5)])
def test_an_answer_that_is_no_archive(server, tmp_path, status, requests):
    server.status = status
    with pytest.raises(DataError, match=f"{status}.*save that address elsewhere as ESC-50-master.zip"):
        get(server, tmp_path)
    assert len(server.ranges) == requests


def test_no_network_says_how_to_bring_a_copy(tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise OSError("Name or service not known")

    monkeypatch.setattr(fetch, "_WAIT_S", 0.0)
    monkeypatch.setattr(fetch, "_open", unreachable)
    with pytest.raises(DataError) as caught:
        download_esc50(tmp_path, progress=False)
    message = str(caught.value)
    assert "Name or service not known" in message and "\n" not in message
    assert f"save that address elsewhere as ESC-50-master.zip, put it into {tmp_path}" in message


@pytest.mark.parametrize("name", ["ESC-50-master.zip", "master.zip"])
def test_an_archive_brought_by_hand_is_used_and_kept(server, tmp_path, name):
    (tmp_path / name).write_bytes(server.content)
    assert get(server, tmp_path).is_dir()
    assert server.ranges == [] and (tmp_path / name).read_bytes() == server.content
    assert json.loads((tmp_path / "ESC-50.json").read_text())["url"] is None


def test_a_wrong_archive_brought_by_hand_is_left_alone(server, tmp_path):
    (tmp_path / "ESC-50-master.zip").write_bytes(b"a page that says: log in first")
    with pytest.raises(DataError, match="is damaged.*left in place"):
        get(server, tmp_path)
    assert server.ranges == [] and [path.name for path in tmp_path.iterdir()] == ["ESC-50-master.zip"]


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_flipped_byte_is_found(server, tmp_path, compression):
    content = bytearray(zipped(small_files(), compression))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        content[archive.getinfo(FIRST).header_offset + 30 + len(FIRST) + 1000] ^= 1
    refused(server, tmp_path, bytes(content), f"is damaged, at {FIRST}")


def test_a_truncated_archive_is_found(server, tmp_path):
    refused(server, tmp_path, server.content[:-100], "is damaged, at the list of its files")


def test_after_a_bad_download_the_next_call_starts_over(server, tmp_path):
    good = server.content
    refused(server, tmp_path, good[:-100], "is damaged")
    server.content = good
    assert get(server, tmp_path).is_dir()
    assert server.ranges == [None, None]


@pytest.mark.parametrize(
    "name",
    [
        "../evil.txt",
        "ESC-50-master/../../evil.txt",
        "/{outside}/evil.txt",
        "C:/evil.txt",
        "ESC-50-master\\..\\..\\evil.txt",
        "ESC-50-master/link",
    ],
)
def test_a_name_that_leaves_the_folder_is_refused(server, tmp_path, name):
    to = tmp_path / "data"
    member = zipfile.ZipInfo(name.format(outside=tmp_path.as_posix().strip("/")))
    if name.endswith("link"):
        member.external_attr = 0o120777 << 16  # a symbolic link, as Info-ZIP stores it
    refused(server, to, zipped(small_files() | {member: str(tmp_path)}), "refused, .* leave the folder")
    assert list(tmp_path.iterdir()) == [to]


def test_an_archive_that_unpacks_to_too_much_is_refused(server, tmp_path):
    bomb = small_files() | {"ESC-50-master/zeros": bytes(60_000)}
    refused(server, tmp_path, zipped(bomb, zipfile.ZIP_DEFLATED), "refused, it unpacks to 0.1 MB; at most")


def test_an_archive_needs_one_top_folder(server, tmp_path):
    refused(server, tmp_path, zipped(small_files() | {"README.md": b"beside it"}), "one top folder, found 2")


def without(name):
    return {key: content for key, content in small_files().items() if key != name}


def with_table(old, new):
    name = "ESC-50-master/meta/esc50.csv"
    return small_files() | {name: small_files()[name].replace(old, new)}


@pytest.mark.parametrize(
    "files, match",
    [
        (without(FIRST), r"1-0-A-0\.wav"),
        (without("ESC-50-master/meta/esc50.csv"), r"meta/esc50\.csv"),
        (small_files() | {FIRST: b"no sound at all"}, r"audio/1-0-A-0\.wav: not an audio file"),
        (small_files() | {FIRST: clip(0)[:-1000]}, r"audio/1-0-A-0\.wav: truncated"),
        (with_table(b"1-0-A-0.wav", b"../meta/esc50.csv"), "outside"),
        (with_table(b"1-0-A-0.wav,1,0,dog,False,0,A\n", b""), "class dog has 2 clips, expected 3"),
        (with_table(b"1,rain", b"0,dog"), "classes: 1, expected 2"),
    ],
)
def test_contents_that_are_not_as_expected(server, tmp_path, files, match):
    refused(server, tmp_path, zipped(files), match)


def test_the_message_lists_a_few_problems(server, tmp_path):
    silent = {name: b"" if name.endswith(".wav") else content for name, content in small_files().items()}
    server.content = zipped(silent)
    with pytest.raises(DataError, match="problems: 6: ") as caught:
        get(server, tmp_path)
    assert str(caught.value).count("audio/") == 5


def test_a_wrong_digest_keeps_the_download_aside(server, tmp_path):
    digest = hashlib.sha256(server.content).hexdigest()
    refused(server, tmp_path, server.content, f"{digest}, the one given is {'0' * 64}.*kept aside", sha256="0" * 64)


def test_too_little_room_is_said_before_the_transfer(server, tmp_path, monkeypatch):
    enough = len(server.content) + SMALL.unpacked_bytes
    free = iter([shutil.disk_usage(tmp_path)._replace(free=enough - missing) for missing in (1, 0, 0)])
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: next(free))
    with pytest.raises(DataError, match="MB free, .* MB needed; make room"):
        get(server, tmp_path)
    assert len(server.ranges) == 1 and (tmp_path / "ESC-50-master.zip.part").read_bytes() == b""
    assert get(server, tmp_path).is_dir()


def test_too_little_room_to_unpack_keeps_the_download(server, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    free = iter([usage, usage._replace(free=0)])
    with monkeypatch.context() as patch:
        patch.setattr(fetch.shutil, "disk_usage", lambda _: next(free))
        with pytest.raises(DataError, match="is kept, but could not be unpacked: 0.0 MB free"):
            get(server, tmp_path)
    assert get(server, tmp_path).is_dir()
    assert len(server.ranges) == 1


def test_a_destination_that_is_a_file(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be made a folder"):
        get(server, tmp_path / "file")
