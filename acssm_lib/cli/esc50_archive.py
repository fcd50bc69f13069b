"""The official ESC-50 archive: fetched (resuming after a cut), unpacked safely, verified, recorded.

The folder the user names gets ``ESC-50/``, once all of it is verified, and ``ESC-50.json`` (address, date, bytes,
SHA-256 of the archive: the publisher gives no digest, so what arrived is hashed, shown and stored).
"""

import hashlib
import shutil
import stat
import time
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from acssm_lib.data.audio import read
from acssm_lib.data.layouts import scan_esc50
from acssm_lib.fetch import fetch, megabytes, need_space, read_json
from acssm_lib.files import DataError, settle, write_json

ESC50_URL = "https://github.com/karolpiczak/ESC-50/archive/master.zip"
LICENCE = "CC BY-NC 3.0 (the ESC-10 subset: CC BY 3.0)"
ARCHIVE = "ESC-50-master.zip"  # the name a browser gives it


@dataclass(frozen=True)
class Contents:
    """What an archive should hold, by default ESC-50's."""

    classes: int = 50
    clips_per_class: int = 40
    unpacked_bytes: int = 900_000_000  # about; an archive that unpacks to more than twice this is refused


ESC50_CONTENTS = Contents()


def download_esc50(to, url=ESC50_URL, sha256=None, progress=True, expect=ESC50_CONTENTS):
    """Download, verify and unpack ESC-50 below the folder ``to``; returns the path for ``ESC50(root)``, ``to/ESC-50``.

    A cut transfer resumes, in this call or the next, where the server allows it. ``to/ESC-50-master.zip`` (or the name
    in ``url``), brought by hand, is used instead of the network and stays; a downloaded archive is removed once
    unpacked. A ``to/ESC-50`` that is there is verified again (seconds), and nothing is fetched.

    Args:
        to: folder, made if it is not there; needs room for the archive and its contents, about 1.6 GB.
        url: http or https address of a zip archive with one top folder in ESC-50's layout.
        sha256: 64 hexadecimal digits the archive must match, or None to accept what arrives.
        expect: ``Contents`` the archive must have.
    Raises:
        DataError: no network, no space, or a damaged, unsafe or unexpected archive (a download is kept as ``*.bad``).
    Source: Piczak 2015, "ESC: Dataset for Environmental Sound Classification".
    """
    to, sha256 = Path(to), sha256 and sha256.lower()
    root, record = to / "ESC-50", to / "ESC-50.json"
    try:
        to.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{to}: cannot be made a folder ({error.strerror}); name another with --to") from error
    if root.exists():
        return _already_there(root, read_json(record).get("sha256", "unknown"), sha256, progress, expect)
    print(f"ESC-50      {url}\nlicence     {LICENCE}\ndestination {root}")
    by_hand = [path for path in (to / ARCHIVE, to / url.rsplit("/", 1)[-1]) if path.is_file()]
    room = expect.unpacked_bytes
    archive = by_hand[0] if by_hand else fetch(url, to / ARCHIVE, size=room, extra=room, progress=progress)
    with open(archive, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    print(f"archive     {archive}\nSHA-256     {digest}")
    try:
        if sha256 and digest != sha256:
            raise DataError(f"{archive}: its SHA-256 is {digest}, the one given is {sha256}")
        _unpack(archive, root, progress, expect)
    except DataError as error:
        if by_hand:
            raise DataError(f"{error}. The file is left in place; replace or remove it and run again") from error
        bad = archive.replace(archive.with_name(ARCHIVE + ".bad"))
        raise DataError(f"{error}. The download is kept aside as {bad}; running again downloads afresh") from error
    except OSError as error:  # no room or no permission: nothing is wrong with the archive
        raise DataError(f"{archive} is kept, but could not be unpacked: {error.strerror or error}") from error
    write_json(
        record,
        {
            "url": None if by_hand else url,
            "date": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "bytes": archive.stat().st_size,
            "sha256": digest,
        },
    )
    if not by_hand:
        archive.unlink()
    print(f"verified    {expect.classes * expect.clips_per_class:,} clips in {expect.classes} classes: {root}")
    return root


def _already_there(root, recorded, sha256, progress, expect):
    """Verify an unpacked folder again; it may be the user's own, so nothing in it is ever changed."""
    if sha256 and recorded != sha256:
        raise DataError(f"{root}: its archive's SHA-256 is {recorded}, not {sha256}; move it away to download again")
    try:
        _verify(root, root, progress, expect)
    except DataError as error:
        raise DataError(f"{error}. Move {root} away to download again") from error
    print(f"{root} is already complete and verified: nothing to download. Licence: {LICENCE}. SHA-256: {recorded}")
    return root


def _unpack(archive, root, progress, expect):
    """Unpack into a hidden folder beside ``root`` (zipfile checks each member's CRC), verify, then rename."""
    folder, name = root.with_name(".ESC-50.unpacking"), "the list of its files"
    shutil.rmtree(folder, ignore_errors=True)  # left by a run that was killed
    try:
        with zipfile.ZipFile(archive) as file:
            members = [member for member in file.infolist() if not member.is_dir()]
            top = _check_members(archive, file.infolist(), expect)
            need_space(root.parent, sum(member.file_size for member in members))
            for member in tqdm(members, desc="unpack", disable=not progress):
                name = member.filename
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                with file.open(member) as source, open(folder / name, "xb") as copy:
                    shutil.copyfileobj(source, copy)
        _verify(folder / top, archive, progress, expect)
        settle(folder / top, root)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, UnicodeError) as error:
        raise DataError(f"{archive} is damaged, at {name}: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _check_members(archive, members, expect):
    """Refuse, before anything is written, whatever could leave the folder or fill the disk; returns the top folder."""
    for member in members:
        name, kind = member.filename, stat.S_IFMT(member.external_attr >> 16)
        outside = name.startswith("/") or "\\" in name or ":" in name or ".." in name.split("/")
        if outside or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise DataError(f"{archive}: refused, {name!r} is a link or would leave the folder it is unpacked into")
    total, limit = sum(member.file_size for member in members), 2 * expect.unpacked_bytes
    if total > limit:
        raise DataError(f"{archive}: refused, it unpacks to {megabytes(total)}; at most {megabytes(limit)} are right")
    tops = {member.filename.split("/")[0] for member in members}
    if len(tops) != 1:
        raise DataError(f"{archive}: expected one top folder, found {len(tops)}: {', '.join(sorted(tops)[:5])}")
    return tops.pop()


def _verify(root, shown, progress, expect):
    """Every metadata row has a clip that decodes, every class its number of them; messages say ``shown`` for root."""
    try:
        scan = scan_esc50(root)
    except DataError as error:
        raise DataError(str(error).replace(str(root), str(shown))) from error
    problems = [str(problem) for problem in scan.problems if problem.severity == "error"]
    for clip in tqdm(scan.clips, desc="decode", unit="clip", disable=not progress):
        try:
            read(clip.path)
        except DataError as error:
            problems.append(str(error).replace(str(clip.path), f"audio/{clip.name}"))
    classes = Counter(clip.category for clip in scan.clips)
    problems += [
        f"class {category} has {count} clips, expected {expect.clips_per_class}"
        for category, count in classes.items()
        if count != expect.clips_per_class
    ]
    if len(classes) != expect.classes:
        problems.append(f"classes: {len(classes)}, expected {expect.classes}")
    if problems:
        raise DataError(f"{shown} does not hold what it should, problems: {len(problems)}: {'; '.join(problems[:5])}")
