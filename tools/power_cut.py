"""Cut the power while files are written, look at what is left: ``sudo python -m tools.power_cut`` (Linux, root).

A small ext4 file system on a loop device is written to by another process: JSON, a sealed file, and a folder that gets
its name at the end, in turn. At moments drawn from a seed that process is stopped, and the bytes that have reached the
device are copied: what the system still holds back is lost, as in a power cut. The copy is mounted (ext4 replays its
journal), and every file whose writing had returned must be there, whole, and not older than that. The same is done
with a plain write and rename, to see that the cut bites.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from acssm_lib.files import DamagedFile, read_sealed

NAMES = 5  # of files that are written over and over
WRITER = """
import itertools, os, sys
from pathlib import Path
from acssm_lib.files import settle, write_json, write_sealed
folder, plain, names = Path(sys.argv[1]), sys.argv[2] == "plain", int(sys.argv[3])
for n in itertools.count():
    name, body = str(n % names), str(n).encode() + bytes(3_000 * (n % 7))
    if plain:
        for ending, content in ((".json", b'{"n": %d}' % n), (".bin", body)):
            (folder / (name + ".part")).write_bytes(content)
            os.replace(folder / (name + ".part"), folder / (name + ending))
    else:
        write_json(folder / (name + ".json"), {"n": n})
        write_sealed(folder / (name + ".bin"), body)
        (folder / f".{n}").mkdir()
        (folder / f".{n}" / "number").write_text(str(n))
        settle(folder / f".{n}", folder / f"folder{n}")
    print(n, flush=True)
"""


def cut(place, seconds, way):
    """What is wrong after a cut ``seconds`` after the first write: list of sentences, and how many were written."""
    image, copy, folder = place / "disk", place / "after", place / "mounted"
    folder.mkdir(exist_ok=True)
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    _system("mkfs.ext4", "-q", "-F", image)
    _system("mount", "-o", "loop", image, folder)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, folder, way, str(NAMES)], stdout=subprocess.PIPE)
    try:
        first = writer.stdout.readline()
        time.sleep(seconds)
        writer.send_signal(signal.SIGSTOP)
        _copy_of_one_moment(image, copy)
    finally:
        writer.kill()
        lines = first + writer.communicate()[0]
        _system("umount", folder)
    _system("mount", "-o", "loop", copy, folder)
    try:
        last = int(lines.splitlines()[-1])
        return _wrong(folder, last, way), last + 1
    finally:
        _system("umount", folder)


def _copy_of_one_moment(image, copy):
    """Copy again until nothing was written on the way."""
    while True:
        shutil.copyfile(image, copy)
        if subprocess.run(["cmp", "-s", image, copy]).returncode == 0:
            return


def _wrong(folder, last, way):
    """Sentences about files that are not there, not whole, or older than what had been written up to ``last``."""
    wrong = []
    for n in range(max(0, last - NAMES + 1), last + 1):
        try:
            if json.loads((folder / f"{n % NAMES}.json").read_bytes())["n"] < n:
                wrong.append(f"{n % NAMES}.json is older than {n}")
            path = folder / f"{n % NAMES}.bin"
            body = path.read_bytes() if way == "plain" else read_sealed(path)
            if int(body.rstrip(b"\0") or -1) < n:
                wrong.append(f"{path.name} is older than {n}, or empty")
            if way != "plain" and int((folder / f"folder{n}" / "number").read_text()) != n:
                wrong.append(f"folder{n} holds something else")
        except (OSError, ValueError, DamagedFile) as error:
            wrong.append(f"{n}: {error}")
    return wrong


def _system(*command):
    subprocess.run([str(word) for word in command], check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cuts", type=int, default=20)
    parser.add_argument("--longest", type=float, default=7.0, help="s of writing; ext4 writes by itself every 5 s")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if sys.platform != "linux" or os.geteuid() != 0:
        parser.error("needs Linux and root, to mount a loop device")
    lost = {}
    for way, cuts in (("plain", min(3, args.cuts)), ("ours", args.cuts)):
        generator, lost[way], written = random.Random(args.seed), 0, 0
        for _ in range(cuts):
            with tempfile.TemporaryDirectory() as place:
                wrong, n = cut(Path(place), generator.uniform(0.1, args.longest), way)
            written += n
            lost[way] += bool(wrong)
            if way == "ours":
                print("\n".join(wrong), end="\n" if wrong else "")
        print(
            f"{'write and rename' if way == 'plain' else 'acssm_lib.files'}: {lost[way]} of {cuts} cuts lost "
            f"something that had been written ({written:,} rounds of writing)",
            flush=True,
        )
    return 1 if lost["ours"] else 0


if __name__ == "__main__":
    sys.exit(main())
