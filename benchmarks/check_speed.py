"""What ``acssm data check`` costs: ``python benchmarks/check_speed.py``.

Generated recordings (44.1 kHz, 16-bit WAV), half of them in each of two classes. Plain: decode, resample and trim every
file, which a first run does anyway. Ours: the check, which also looks for faults and copies, and keeps the clips for
the run. Memory is the largest that the process ever held; libraries are in it.
"""

import argparse
import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from common import finish, in_own_process, within

FEW, MANY, SECONDS, RATE = 100, 400, 5.0, 44_100

_CHECK = """
import json, sys, time
from pathlib import Path
sys.path.insert(0, "benchmarks")
from common import peak_memory_mib
from acssm_lib.cli.data_check import check
from acssm_lib.data.audio import prepare

root, plain = Path(sys.argv[1]), sys.argv[2] == "plain"
begun, found = time.perf_counter(), []
if plain:
    clips = [prepare(path, 20_000) for path in sorted(root.glob("*/*.wav"))]
else:
    found = check(root, cache_dir=root / ".cache")
print(json.dumps({"s": time.perf_counter() - begun, "peak_mib": peak_memory_mib(),
                  "problems": [str(problem) for problem in found]}))
"""


def write_clips(root, count, seconds):
    """``count`` recordings of ``seconds``: noise, and a call whose pitch and moments are the clip's own."""
    for number in range(count):
        generator = np.random.default_rng(number)
        path = root / "ab"[number % 2] / f"{number}.wav"
        path.parent.mkdir(exist_ok=True)
        with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
            for start in np.arange(0, seconds, SECONDS):
                at = start + np.arange(round(SECONDS * RATE)) / RATE
                call = np.sin(2 * np.pi * generator.uniform(500, 8_000) * at) * (at % generator.uniform(0.3, 1) < 0.1)
                file.write(0.3 * call + 0.01 * generator.standard_normal(len(at)))


def cost(count, seconds=SECONDS, how="check"):
    """Seconds and MiB of one check of generated recordings, or of preparing them, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        write_clips(Path(folder), count, seconds)
        return in_own_process(_CHECK, folder, how)


def rows():
    plain, few, many, hour = (cost(MANY, how="plain"), cost(FEW), cost(MANY), cost(1, 3_600.0))
    if many["problems"]:
        raise RuntimeError(f"the generated clips are not right: {many['problems'][:3]}")
    of_all = f"acssm data check, {MANY} clips of {SECONDS:g} s"
    return [
        dataclasses.replace(
            within(of_all, plain["s"], many["s"], 3 * plain["s"], "s", "plain prepares them only"),
            reach="3x of preparing",
        ),
        dataclasses.replace(
            within(
                f"{of_all}, memory",
                few["peak_mib"],
                many["peak_mib"],
                few["peak_mib"] + 64,
                "MiB",
                f"plain is the check of {FEW} clips",
            ),
            reach=f"as {FEW} clips, + 64 MiB",
        ),
        within(
            "acssm data check, one recording of an hour, memory",
            None,
            hour["peak_mib"],
            2_048,
            "MiB",
            f"{hour['s']:.0f} s",
        ),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="where to write the rows")
    finish(rows(), parser.parse_args().json)


if __name__ == "__main__":
    main()
