"""Opening a data set a second time, and the memory that its clips take: ``python benchmarks/bank_speed.py``.

2,000 generated recordings in the layout of ESC-50 (5 s, 44.1 kHz, 16-bit WAV). Plain: decode, resample and trim every
file again. Ours: read names and tables, check that every file is the one that was prepared (``os.stat``), and map the
bank. Two memory rows compare processes that open 200 and 2,000 clips and cut 200 batches of 64 random views.
"""

import argparse
import cProfile
import dataclasses
import pstats
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch
from common import alternate, finish, in_own_process, within

from acssm_lib.data.audio import prepare
from acssm_lib.data.bank import DiskBank
from acssm_lib.data.clips import Clips
from acssm_lib.data.datasets import ESC50

N_CLIPS = 2_000
N_DECODED = 100  # the plain side does as many in a round; its time is multiplied
SAMPLE_RATE = 20_000

_OPEN = """
import json, re, sys, time
import torch
from pathlib import Path

def memory():
    status = Path("/proc/self/status").read_text()
    return {key: int(re.search(rf"{key}:\\s+(\\d+)", status)[1]) / 1024 for key in ("VmRSS", "RssAnon")}

def never(place):
    raise RuntimeError("the bank is not whole")

folder, n_clips, n_samples, mapped = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "mapped"
generator = torch.Generator().manual_seed(0)
for _ in range(5):  # buffers of the cutting itself
    random_crops(Clips([torch.zeros(n_samples)]), torch.zeros(64, dtype=torch.int64), n_samples, 1.25, generator)
before, started = memory(), time.perf_counter()
clips = DiskBank("generated", folder).clips([f"clip {i}" for i in range(n_clips)], never)
if not mapped:
    clips = Clips([clips.waveform(i) for i in range(n_clips)])
opened_s, opened, started = time.perf_counter() - started, memory(), time.perf_counter()
largest = opened["VmRSS"]
for _ in range(200):
    indices = torch.randint(n_clips, (64,), generator=generator)
    random_crops(clips, indices, n_samples, 1.25, generator)
    largest = max(largest, memory()["VmRSS"])
views_s, after = time.perf_counter() - started, memory()
print(json.dumps({"open_s": opened_s, "views_per_s": 200 * 64 / views_s,
                  "rss_mib": after["VmRSS"] - before["VmRSS"], "anon_mib": after["RssAnon"] - before["RssAnon"],
                  "opened_mib": opened["VmRSS"] - before["VmRSS"], "largest_mib": largest - before["VmRSS"]}))
"""


def generated_bank(folder, n_clips, seconds):
    """A bank of noise, clip i with the key "clip i"."""
    random, n_samples = np.random.default_rng(0), round(seconds * SAMPLE_RATE)
    noise = random.integers(-9_000, 9_000, 2 * n_samples).astype(np.int16)
    starts = random.integers(n_samples, size=n_clips)
    DiskBank("generated", folder).clips(
        [f"clip {i}" for i in range(n_clips)], lambda place: noise[starts[place] : starts[place] + n_samples]
    )


def open_cost(n_clips, seconds, mapped=True):
    """What it costs to open a bank of generated clips and to cut 200 batches of 64 views, in a process of its own.

    Needs Linux. The bank (40 kB per second of a clip) lies in a temporary folder and is deleted afterwards.

    Args:
        n_clips: clips in the bank, all of them opened.
        seconds: length of each; the views have half of it, 1.5 s at most.
        mapped: False reads the clips into memory instead, as without a bank.
    Returns:
        dict: open_s; views_per_s; and MiB that the process has grown by since before opening: rss_mib (resident after
        the last batch, pages of the file included), anon_mib (of these, what is no page of a file), opened_mib
        (resident before the first batch), largest_mib (resident after whichever batch it was largest).
    """
    with tempfile.TemporaryDirectory() as folder:
        generated_bank(folder, n_clips, seconds)
        n_samples = round(min(seconds / 2, 1.5) * SAMPLE_RATE)
        return in_own_process(_OPEN, folder, n_clips, n_samples, "mapped" if mapped else "read")


def generated_esc50(root):
    """2,000 recordings of 5 s at 44.1 kHz with their table; noise, since a decoder does not care what it decodes."""
    (root / "audio").mkdir()
    (root / "meta").mkdir()
    noise = np.random.default_rng(0).integers(-9_000, 9_000, 2 * 220_500).astype(np.int16)
    names = [f"{i % 5 + 1}-{i}-A-{i // 40}.wav" for i in range(N_CLIPS)]
    for i, name in enumerate(names):
        soundfile.write(root / "audio" / name, noise[100 * i : 100 * i + 220_500], 44_100)
    rows = [f"{name},{name[0]},{i // 40},class{i // 40},{i}\n" for i, name in enumerate(names)]
    (root / "meta" / "esc50.csv").write_text("filename,fold,target,category,src_file\n" + "".join(rows))
    return [root / "audio" / name for name in names]


def open_again(root):
    """A data set opened from scratch, with all its clips at hand."""
    dataset = ESC50(root, SAMPLE_RATE, cache_dir=root / "cache")
    return dataset.clips(range(len(dataset)))


def opening(profile=False):
    """The second opening; both sides end with clips that can be cut, and those are the same."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        paths = generated_esc50(root)
        started = time.perf_counter()
        opened = open_again(root)
        first_s = time.perf_counter() - started

        def plain():
            return Clips([prepare(path, SAMPLE_RATE) for path in paths[:N_DECODED]])

        decoded = plain()
        if not all(torch.equal(decoded.waveform(i), opened.waveform(i)) for i in range(N_DECODED)):
            raise RuntimeError("a mapped clip differs from the decoded one")
        plain_s, ours_s = alternate(plain, lambda: open_again(root), repeats=3)
        if profile:
            with cProfile.Profile() as seen:
                open_again(root)
            pstats.Stats(seen).sort_stats("cumulative").print_stats(15)
    plain_s *= N_CLIPS / N_DECODED
    return [
        within(
            "data set, second opening, 2,000 clips",
            plain_s,
            ours_s,
            1.0,
            "s",
            f"plain is {1000 * plain_s / N_CLIPS:.1f} ms per clip x 2,000, measured on {N_DECODED} clips; "
            f"the first opening, which prepares all of them, took {first_s:.0f} s; {plain_s / ours_s:.0f}x",
        )
    ]


def memory():
    """Ten times the clips: what a process that cuts views from them holds."""
    few, many = open_cost(200, 5.0), open_cost(N_CLIPS, 5.0)
    plain = open_cost(N_CLIPS, 5.0, mapped=False)
    limit = few["largest_mib"] + 64  # pages are handed back after 64 MiB; few clips never fill that much
    row = within(
        f"resident memory, {N_CLIPS:,} clips of 5 s",
        plain["largest_mib"],
        many["largest_mib"],
        limit,
        "MiB",
        f"the largest after any of 200 batches; with 200 clips {few['largest_mib']:.0f} MiB. Right after "
        f"opening {many['opened_mib']:.1f} MiB; of the process alone, file pages left out, "
        f"{plain['anon_mib']:.0f} MiB plain and {max(many['anon_mib'], 0):.1f} MiB ours",
    )
    return [dataclasses.replace(row, reach="as 200 clips, ± 64 MiB")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="where to write the rows")
    parser.add_argument("--profile", action="store_true", help="where the time of opening goes")
    args = parser.parse_args()
    finish(opening(args.profile) + memory(), args.json)


if __name__ == "__main__":
    main()
