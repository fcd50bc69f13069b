"""From sound to spectrograms, against doing it clip by clip: ``python benchmarks/front_end_speed.py``.

Timed at the paper's settings, both sides in one run:

- the front end on 128 crops of 30,225 samples, in hours of audio per second of wall-clock;
- 128 random stretches and crops, two of each of 64 clips of 100,000 samples, with the same draws on both sides;
- the four augmentations of AcousticSSM2 on 64 crops, each clip by itself and all at once.

``--profile`` prints where the time of our side goes.
"""

import argparse

import torch
from common import Row, alternate, faster, finish, machine, readable
from plain import spectrogram_stack, views
from torch.profiler import profile

from acssm_lib.data.clips import Clips, random_stretch
from acssm_lib.model.features import SpectrogramStack
from acssm_lib.presets import PRESETS
from acssm_lib.pretraining.augment import apply_plans, augmentations, draw_plans
from acssm_lib.pretraining.contrastive import AugmentedPairs

CONFIG = PRESETS["paper"]
N_VIEWS, CLIP = 128, 100_000


def noise(n, samples, seed=0):
    """Quiet noise, (n, samples)."""
    return 0.1 * torch.randn(n, samples, generator=torch.Generator().manual_seed(seed))


def compare(sides, title, profiled, repeats=7):
    """Median seconds of (plain, ours), and the two results."""
    results = [side() for side in sides]
    seconds = alternate(*sides, repeats=repeats)
    if profiled:
        with profile() as spent:
            sides[1]()
        print(title, spent.key_averages().table(sort_by="self_cpu_time_total", row_limit=8), sep="\n", flush=True)
    return seconds, results


@torch.no_grad()
def front_end(profiled=False):
    """The three channels of 128 crops."""
    stack, waveform = SpectrogramStack(), noise(N_VIEWS, CONFIG.n_samples)
    sides = (lambda: spectrogram_stack(waveform, stack)), (lambda: stack(waveform))
    (plain, ours), (slow, fast) = compare(sides, "front end", profiled)
    apart = (fast - slow).abs()[:, :2].max()  # decibels; angles turn by 2 pi at the branch cut
    hours = N_VIEWS * CONFIG.n_samples / CONFIG.sample_rate / 3600
    return Row(
        "front end, hours of audio per second",
        f"{hours / plain:.2f} h/s",
        f"{hours / ours:.2f} h/s",
        plain / ours,
        "2.5x",
        plain / ours >= 2.5,
        f"largest difference {apart:.1g} dB",
    )


def view_drawing(profiled=False):
    """Random stretch and crop, the draws made beforehand: what is timed is reading and interpolating."""
    generator = torch.Generator().manual_seed(0)
    clips, indices = Clips(list(noise(N_VIEWS // 2, CLIP))), torch.arange(N_VIEWS // 2).repeat(2)
    stretch = random_stretch(N_VIEWS, CONFIG.max_stretch, generator)
    room = clips.stretched_lengths(indices, stretch) - CONFIG.n_samples % 2  # last start on the padded clip
    starts = (torch.rand(N_VIEWS, generator=generator) * (room + 1)).long().clamp_max(room) - CONFIG.n_samples // 2
    waveforms = [clips.samples[first : first + CLIP].numpy() for first in clips.offsets[indices].tolist()]
    sides = (
        (lambda: views(waveforms, stretch.tolist(), starts.tolist(), CONFIG.n_samples)),
        (lambda: clips.cut(indices, starts, stretch, CONFIG.n_samples)),
    )
    (plain, ours), (slow, fast) = compare(sides, "view drawing", profiled)
    return faster("view drawing, 128 views", plain, ours, 20, f"largest difference {(fast - slow).abs().max():.1g}")


def augmentation(profiled=False):
    """A chain of four in an order of its own for every clip; nothing was asked for."""
    names, waveform = AugmentedPairs.augmentations, noise(N_VIEWS // 2, CONFIG.n_samples)
    generator = torch.Generator().manual_seed(0)
    plans, changes = draw_plans(len(waveform), names, generator), augmentations(names, CONFIG)

    def one_by_one():
        for clip, plan in zip(waveform.split(1), plans.split(1)):
            apply_plans(clip, plan, changes, generator)

    sides = one_by_one, (lambda: apply_plans(waveform, plans, changes, generator))
    (plain, ours), _ = compare(sides, "augmentation", profiled, repeats=5)
    return Row("augmentation chain, 64 crops", readable(plain), readable(ours), plain / ours, "–", True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="write the rows to this file")
    parser.add_argument("--profile", action="store_true", help="print where the time of our side goes")
    args = parser.parse_args()
    print(machine())
    finish([part(args.profile) for part in (front_end, view_drawing, augmentation)], args.json)


if __name__ == "__main__":
    main()
