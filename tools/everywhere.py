"""Every page on recordings that it was not written with: ESC-10, spoken digits, a folder of short clips.

    python -m tools.everywhere --data PATH/esc10 --digits PATH/spoken_digits [--pages 04 05] [--out build/everywhere]

Small settings: the question is whether a page runs from its first cell to its last, not what it finds. The folder of
short clips is made here, with clips a reader's own recordings would have: shorter than a crop, of several lengths.
Pages run one after the other; each leaves its executed copy in ``--out``.
"""

import argparse
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import soundfile

from tools.notebooks import run

ROOT = Path(__file__).resolve().parents[1]
SMALL = {  # of a page's parameters: those that it has are set
    "overrides": {
        "pretrain_epochs": 2,
        "n_episodes": 2,
        "finetune_epochs": 1,
        "finetune_crops": 4,
        "n_frozen_episodes": 10,
    },
    "clip": 7,
    "query": 7,
    "n_steps": 10,
    "memory_steps": 10,
    "memory_seeds": 1,
    "short_steps": 10,
    "n_draws": 10,
    "n_short_draws": 10,
    "n_finetuned": 2,
    "frozen_draws": 10,
    "tuned_draws": {"acoustic-ssm1": 1, "supervised": 1, "kernel-zeroed": 1, "adapted-cnn": 1},
    "tuned_overrides": {"finetune_epochs": 1},
}


def short_clips(folder, n_classes=5, n_clips=12, seed=0):
    """Write a folder of short clips: one folder per class, 0.2 to 1.2 s, two clips per source, a few without a class.

    Args:
        folder: is made; files that are there already stay.
    Returns:
        the folder.
    """
    folder, generator, rows = Path(folder), np.random.default_rng(seed), ["file,source"]
    for kind in (*(f"call {letter}" for letter in "abcdefghij"[:n_classes]), "unlabelled"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in range(n_clips):
            length = int(22_050 * generator.uniform(0.2, 1.2))
            pitch_hz = 400 * 1.5 ** "abcdefghij".find(kind[-1]) if kind != "unlabelled" else 700
            phase = 2 * np.pi * np.cumsum(pitch_hz * generator.uniform(0.95, 1.05) * np.ones(length)) / 22_050
            clip = 0.2 * np.sin(phase) * np.hanning(length) + 0.01 * generator.normal(size=length)
            soundfile.write(folder / kind / f"{number}.wav", clip, 22_050)
            if kind != "unlabelled":
                rows.append(f"{kind}/{number}.wav,{kind} {number // 2}")
    (folder / "sources.csv").write_text("\n".join([*rows, ""]), encoding="utf-8")
    return folder


def parameters_of(page):
    """Names that the cell tagged "parameters" of a page sets."""
    cells, names = nbformat.read(page, as_version=4).cells, {}
    exec(next(cell.source for cell in cells if "parameters" in cell.metadata.get("tags", ())), {}, names)
    return names


def ended(page, out, parameters):
    """Run a page; (None, seconds), or (where and why it stopped, seconds)."""
    import papermill

    started = time.monotonic()
    try:
        run(page, out, parameters)
        why = None
    except papermill.PapermillExecutionError as error:
        why = f"cell [{error.exec_count}]: {error.ename}: {error.evalue}".splitlines()[0]
    except RuntimeError as error:  # the kernel died
        why = str(error)
    return why, time.monotonic() - started


def main(argv=None):
    """The command line above; 0 when every page ran to its end."""
    parser = argparse.ArgumentParser(prog="python -m tools.everywhere", description="Run the pages on other data.")
    parser.add_argument("--data", type=Path, help="ESC-50 or a part of it with the groups E1 and E2")
    parser.add_argument("--digits", type=Path, help="the spoken digits, as --dataset spoken-digits takes them")
    parser.add_argument("--pages", nargs="+", default=[""], help="how their names begin (default: all)")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "everywhere")
    args, stopped = parser.parse_args(argv), 0
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    places = [("esc50", group, args.data) for group in ("E1", "E2") if args.data]
    places += [("spoken-digits", "D1", args.digits)] if args.digits else []
    places += [("folder", "all", short_clips(out / "short clips"))]
    for page in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        if not page.name.startswith(tuple(args.pages)):
            continue
        known = parameters_of(page)
        if "dataset" not in known:
            print(f"{page.stem}: takes no data set, and runs on what it makes itself", flush=True)
            continue
        for dataset, group, data in places:
            small = {
                name: {**known[name], **value} if name == "overrides" else value
                for name, value in SMALL.items()
                if name in known
            }
            why, seconds = ended(
                page,
                out / f"{page.stem} {dataset} {group}.ipynb",
                small | {"dataset": dataset, "group": group, "data": str(data.resolve())},
            )
            print(f"{page.stem}, {dataset} {group}: {why or 'ran'} ({seconds:.0f} s)", flush=True)
            stopped += why is not None
    return 1 if stopped else 0


if __name__ == "__main__":
    sys.exit(main())
