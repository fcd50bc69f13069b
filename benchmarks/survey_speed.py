"""Hours of sound per hour of machine, and the largest memory, of `acssm survey index`: see docs/speed.md.

One SYNTHETIC hour at 48 kHz (six WAV files of ten minutes: noise with tones) is indexed with an encoder that is
pre-trained on it, in a process of its own. The time of ten hours is extrapolated: pre-training once, on 2,000 windows
and for all epochs, embedding ten times. `--hours 10` measures them. Processor seconds stand beside those on the wall,
since other work on the machine lengthens only the latter. With `--files` it is `acssm survey look` instead, on so many
recordings of one second.
"""

import argparse
import json
import os
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import soundfile

from acssm_lib.presets import preset
from benchmarks.common import in_own_process, machine

RATE, FILE_S = 48_000, 600
_INDEX = """
import json, sys, time, torch
from pathlib import Path
from acssm_lib.recordings import indexing
from acssm_lib.recordings.folder import Survey
from benchmarks.common import peak_memory_mib

torch.set_num_threads(int(sys.argv[2]))
survey, spans, begun = Survey.open(sys.argv[1]), {}, (time.monotonic(), time.process_time())
embed = indexing.embed_files
def timed(*args):
    spans["encoder"] = [time.monotonic() - begun[0], time.process_time() - begun[1]]
    embed(*args)
indexing.embed_files = timed
overrides = {"pretrain_epochs": int(sys.argv[4])} if sys.argv[4] != "None" else {}
index = indexing.index_survey(survey, sys.argv[3], overrides=overrides, device="cpu", tell=lambda line: None)
spans["all"] = [time.monotonic() - begun[0], time.process_time() - begun[1]]
print(json.dumps({**spans, "windows": len(index), "peak_mib": peak_memory_mib()}))
"""

_LOOK = """
import json, sys, time
from pathlib import Path
from acssm_lib.recordings import look
from acssm_lib.recordings.folder import SurveySettings
from benchmarks.common import peak_memory_mib

before, begun = peak_memory_mib(), (time.monotonic(), time.process_time())
found = look.look(Path(sys.argv[1]), SurveySettings(), lambda line: None)
text = look.as_text(found)
print(json.dumps({"look": [time.monotonic() - begun[0], time.process_time() - begun[1]], "files": len(found.files),
                  "lines": text.count("\\n") + 1, "before_mib": before, "peak_mib": peak_memory_mib()}))
"""


def write_files(folder, count):
    """So many names of one recording of a second at 20 sites, five minutes apart: hard links, which take no room."""
    folder.mkdir()
    first = folder / "first.wav"
    soundfile.write(first, 0.1 * np.random.default_rng(0).standard_normal(20_000), 20_000, "PCM_16")
    for number in range(count):
        at = datetime(2024, 5, 1) + timedelta(minutes=5 * (number // 20))
        place = folder / f"site{number % 20:02d}" / f"{at:%Y%m%d_%H%M%S}.wav"
        place.parent.mkdir(exist_ok=True)
        os.link(first, place)
    first.unlink()


def write_hours(folder, hours, seed=0):
    """WAV files of ten minutes, 16 bit, block by block."""
    generator = np.random.default_rng(seed)
    for number in range(round(hours * 3600 / FILE_S)):
        place = folder / f"site{number % 2}" / f"2024051{number // 144}_{number // 6 % 24:02d}{number % 6}000.wav"
        place.parent.mkdir(parents=True, exist_ok=True)
        with soundfile.SoundFile(place, "w", RATE, 1, "PCM_16") as file:
            for second in range(0, FILE_S, 10):
                seconds = second + np.arange(10 * RATE) / RATE
                tone = np.sin(2 * np.pi * (1_000 + 40 * (number + second) % 5_000) * seconds) * (seconds % 3 < 0.5)
                file.write((0.02 * generator.standard_normal(len(seconds)) + 0.1 * tone).astype(np.float32))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--encoder", default="acoustic-ssm1")
    parser.add_argument("--epochs", type=int, help="of the pre-training; fewer than all are extrapolated")
    parser.add_argument("--json", type=Path, help="file for the numbers")
    parser.add_argument("--files", type=int, help="look at so many recordings instead")
    args = parser.parse_args()
    if args.files:
        with tempfile.TemporaryDirectory() as name:
            write_files(Path(name, "card"), args.files)
            took = in_own_process(_LOOK, Path(name, "card"))
        print(
            f"look at {took['files']:,} recordings: {took['look'][1]:.0f} s of processor, {took['look'][0]:.0f} s on "
            f"the wall, largest memory {took['peak_mib']:,.0f} MiB ({took['before_mib']:,.0f} before), "
            f"{took['lines']} lines"
        )
        return
    with tempfile.TemporaryDirectory() as name:
        write_hours(Path(name, "recordings"), args.hours)
        started = time.monotonic()
        took = in_own_process(_INDEX, name, args.threads, args.encoder, args.epochs)
    found = {"hours": args.hours, "encoder": args.encoder, **took, "machine": machine()}
    rest = [whole - first for whole, first in zip(took["all"], took["encoder"])]
    for what, k in (("wall", 0), ("processor", 1)):
        pool = max(1.0, 2_000 / (3600 * args.hours / 3))  # a ten-hour card fills the pool of windows
        pool *= preset("quick").pretrain_epochs / args.epochs if args.epochs else 1
        ten = took["encoder"][k] * pool + rest[k] * 10 / args.hours
        found[f"ten_hours_min_{what}"] = ten / 60
        print(
            f"{what:<10} {took['encoder'][k]:7.0f} s for the encoder, {rest[k]:7.0f} s for {took['windows']:,} "
            f"windows: {3600 * args.hours / max(rest[k], 1e-9):,.0f} h of sound per hour; "
            f"ten hours in {ten / 60:.0f} min{'' if args.hours == 10 else ' (extrapolated)'}"
        )
    print(f"largest memory {took['peak_mib']:,.0f} MiB; {time.monotonic() - started:.0f} s in all; {found['machine']}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
