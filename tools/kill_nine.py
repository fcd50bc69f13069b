"""Kill -9 at random moments, start again, compare with the unbroken result: ``python -m tools.kill_nine``.

A tiny pre-training, a tiny batch of two runs (encoder shelf, fine-tuning, records), and the index and the detections
of a tiny survey, each killed 20 times with all of its processes, at moments drawn from a seed. What the last start
leaves has to equal the unbroken result bit for bit: weights and losses, of the records everything but seconds, of the
survey embeddings, journal, detections and tables.

Not in CI: takes minutes.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

SETTINGS = (
    "n_samples=4096",
    "n_mels=16",
    "widths=4,8",
    "blocks=1,1",
    "d_state=4",
    "d_projection=8",
    "pretrain_epochs=6",
    "n_episodes=3",
    "finetune_epochs=3",
    "finetune_crops=2",
    "n_frozen_episodes=10",
    "frozen_shots=5",
    "test_crops=1",
)
PRETRAINING = """
import sys, torch
from acssm_lib.data.frogs import SyntheticFrogs
from acssm_lib.model.encoder import AcousticSSM
from acssm_lib.presets import preset
from acssm_lib.pretraining.contrastive import pretrain
from acssm_lib.training import save_state, seeded
config = preset("quick", **dict(word.split("=") for word in sys.argv[2:]))
frogs = SyntheticFrogs(n_individuals=2, clips_per_individual=3, duration_s=1.5)
with seeded(0):
    encoder = AcousticSSM(config)
done = pretrain(encoder, frogs.clips(range(30)), range(30), config, 0, checkpoint=sys.argv[1] + ".ckpt", device="cpu",
                progress=False, save_every_s=0)
save_state(sys.argv[1], {"weights": encoder.state_dict(), "losses": done.losses})
"""


def pretraining(folder):
    """The command, and a function that reads what it leaves."""
    from acssm_lib.training import load_state

    command = [sys.executable, "-c", PRETRAINING, str(folder / "done"), *SETTINGS, "pretrain_batch=6"]
    return command, lambda: load_state(folder / "done")


def batch(folder):
    """The same for ``acssm reproduce``."""
    command = [
        sys.executable,
        *"-m acssm_lib reproduce --dataset synthetic-frogs --groups order --preset quick".split(),
        *"--methods acoustic-ssm1,supervised --jobs 2 --out".split(),
        str(folder / "runs"),
        "--set",
        *SETTINGS,
    ]

    def result():
        records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("**/metrics.json"))]
        return [_without_seconds(record) for record in records] + [
            torch.load(path, weights_only=True) for path in sorted(folder.glob("**/encoder.pt"))
        ]

    return command, result


def index(folder):
    """The same for ``acssm survey index``, its pre-training included."""
    from acssm_lib.recordings.journal import read

    _card(folder / "survey")
    command = [
        sys.executable,
        *"-m acssm_lib survey index".split(),
        str(folder / "survey"),
        *"--windows 100 --device cpu --set".split(),
        *SETTINGS[:6],
        "pretrain_epochs=3",
        "pretrain_batch=16",
        "n_members=1",
    ]

    def result():
        head, lines, _ = read(folder / "survey/index")
        lines = [{key: value for key, value in line.items() if key != "mtime_ns"} for line in lines]
        return [
            head,
            lines,
            *((folder / "survey/index" / name).read_bytes() for name in ("embeddings.f32", "files.csv", "skipped.csv")),
        ]

    return command, result


def predict(folder):
    """The same for ``acssm predict`` on recordings it has never heard: heads of random numbers, every table."""
    import numpy as np

    from acssm_lib.recordings.heads import Heads
    from acssm_lib.recordings.indexing import index_survey
    from acssm_lib.recordings.share import write_recogniser

    survey = _card(folder / "survey")
    found = index_survey(survey, "mel-stats", tell=lambda line: None)
    values, generator = np.array(found.embeddings), np.random.default_rng(0)
    weight = generator.standard_normal((3, values.shape[1])).astype(np.float32)
    write_recogniser(
        folder / "a.acssm",
        Heads(list(survey.settings.classes), weight, np.zeros(3, np.float32), values.mean(0), values.std(0) + 1e-6),
        survey,
    )
    command = [
        sys.executable,
        *"-m acssm_lib predict --model".split(),
        str(folder / "a.acssm"),
        str(survey.folder),
        "--out",
        str(folder / "out"),
        "--format",
        "raven,audacity,kaleidoscope,csv",
    ]

    def result():
        return {
            str(path.relative_to(folder)): path.read_bytes().replace(bytes(folder), b"")
            for path in sorted(folder.glob("out/**/*.[ct][sx][vt]"))
        }

    return command, result


def _card(folder):
    from acssm_lib.recordings.demo_card import write_demo_card

    return write_demo_card(folder, duration_s=12.0)


def _without_seconds(value):
    if isinstance(value, dict):
        return {key: _without_seconds(one) for key, one in value.items() if "seconds" not in key}
    return [_without_seconds(one) for one in value] if isinstance(value, list) else value


def equal(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other


def _start(command, folder, seconds=None):
    """Run to the end, or kill after that time; returns whether it ended by itself."""
    environment = os.environ | {"ACSSM_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        return process.wait(seconds) == 0
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return False


def survives(task, kills, seed):
    """Kill a task ``kills`` times, let it end, compare; prints one line. True if equal, and killed at least once."""
    with tempfile.TemporaryDirectory() as name:
        whole, broken = Path(name, "whole"), Path(name, "broken")
        whole.mkdir()
        broken.mkdir()
        command, expected = task(whole)
        started = time.monotonic()
        if not _start(command, whole):
            raise RuntimeError(f"the unbroken {task.__name__} failed")
        took, generator = time.monotonic() - started, random.Random(seed)
        command, found = task(broken)
        ended = sum(_start(command, broken, generator.uniform(0.1, 1.0) * took) for _ in range(kills))
        if not _start(command, broken):
            raise RuntimeError(f"the {task.__name__} that was killed failed in the end")
        same = equal(expected(), found())
        print(
            f"{task.__name__}: unbroken {took:.0f} s, {kills - ended} of {kills} starts killed, "
            f"{'equal bit for bit' if same else 'DIFFERENT'}",
            flush=True,
        )
        return same and ended < kills  # where none was killed (a machine that is busy at first), nothing was shown


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    tasks = {"pretraining": pretraining, "batch": batch, "index": index, "predict": predict}
    parser.add_argument("--task", choices=list(tasks), action="append")
    args = parser.parse_args()
    same = [survives(tasks[name], args.kills, args.seed) for name in args.task or tasks]
    return 0 if all(same) else 1


if __name__ == "__main__":
    sys.exit(main())
