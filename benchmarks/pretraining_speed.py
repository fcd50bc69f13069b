"""Pre-training: views per second, ours against plain, and the loss curve: ``python benchmarks/pretraining_speed.py``.

One step is what ``contrastive.pretrain`` does: draw two views of each clip of a batch, front end, CNN, S4D
layers, head and loss, backward pass, optimiser. Plain is `plain.py` in float32. Both take turns, at the paper's widths.

    --parts         also where the time of a step goes, of a small network and of `paper`
    --profile       also the dearest operations of our step
    --wall-clock    only views/s of ours at the full batch, and how long the `paper` preset takes for one group
    --device cuda   --wall-clock on a GPU; its timed steps fail if one of them waits for the GPU
"""

import argparse
import itertools
import math
import time

import plain
import torch
from common import SMALL, Row, alternate, finish
from torch import nn
from torch.nn import functional as F

from acssm_lib.data.clips import Clips
from acssm_lib.fewshot.finetuning import Classifier
from acssm_lib.model.encoder import AcousticSSM
from acssm_lib.presets import preset
from acssm_lib.pretraining.contrastive import SegmentPairs, contrastive_loss
from acssm_lib.training import computing_precision, parameter_groups, pick_device, reduced_precision, seeded

PARTS = ("views", "front end", "CNN", "S4D layers", "head and loss", "backward", "optimiser")
GROUP, LABELLED = 175, 25  # clips without and with a label in one group of the paper


class PlainPairs(SegmentPairs):
    """``SegmentPairs`` whose views are drawn clip by clip."""

    def views(self, clips, chosen, generator):
        n_samples, waveforms = (
            self.config.n_samples,
            [clips.samples[clips.offsets[i] : clips.offsets[i] + clips.lengths[i]].numpy() for i in chosen] * 2,
        )
        stretch = (self.config.max_stretch ** (2 * torch.rand(len(waveforms), generator=generator) - 1)).tolist()
        place = torch.rand(len(waveforms), generator=generator).tolist()
        starts = [
            int(share * (len(samples) * factor + 2 * (n_samples // 2) - n_samples)) - n_samples // 2
            for samples, factor, share in zip(waveforms, stretch, place)
        ]
        return plain.views(waveforms, stretch, starts, n_samples)


def tones(n):
    """A bank of ``n`` five-second clips of the length of ESC-50, each a tone of its own in noise."""
    generator = torch.Generator().manual_seed(0)
    seconds = torch.arange(100_000) / 20_000
    return Clips(
        [
            0.3 * torch.sin(2 * torch.pi * 200 * 1.05**i * seconds)
            + 0.05 * torch.randn(len(seconds), generator=generator)
            for i in range(n)
        ]
    )


def optimiser_of(model, encoder, config, fused=True):
    rates = config.pretrain_lr, config.pretrain_weight_decay, min(0.001, config.pretrain_lr)
    return torch.optim.AdamW(parameter_groups(model, *rates, encoder.special_parameters()), fused=fused)


def stepper(config, clips, batch, device="cpu", compiled=False, plainly=False):
    """A function that does one step of pre-training and returns its loss, a tensor."""
    with seeded(0):
        encoder = AcousticSSM(config)
        objective = (PlainPairs if plainly else SegmentPairs)(encoder, config).to(device)
    fast = encoder.to(device).train()
    if compiled:
        fast.cnn.compile()
    if plainly:
        encoder = plain.PlainEncoder(fast).train()
        fast = encoder.encoder
    model = nn.ModuleList([encoder, objective])
    optimiser = optimiser_of(model, fast, config, fused=not plainly)
    generator = torch.Generator().manual_seed(0)

    def step():
        chosen = torch.randperm(len(clips), generator=generator)[:batch]
        optimiser.zero_grad(set_to_none=True)
        loss = objective(encoder, clips, chosen, generator)
        loss.backward()
        optimiser.step()
        return loss.detach()

    return step


def speed_row(config, batch, repeats):
    clips = tones(64)
    plain_s, ours_s = alternate(
        stepper(config, clips, batch, plainly=True), stepper(config, clips, batch), repeats=repeats
    )
    rates = [2 * batch / seconds for seconds in (plain_s, ours_s)]
    precision = computing_precision(config.precision, "cpu")
    return Row(
        "pre-training step, paper widths",
        *(f"{rate:.3g} views/s" for rate in rates),
        rates[1] / rates[0],
        "3x",
        rates[1] >= 3 * rates[0],
        f"{batch} clips, two views each; ours computes in {precision}",
    )


def curve(config, n_steps, batch, plainly, dropout_seed):
    """Losses of ``n_steps`` steps from the same weights on the same views, (n_steps,)."""
    with seeded(0):
        encoder = AcousticSSM(config).train()
        objective = SegmentPairs(encoder, config)
    network = plain.PlainEncoder(encoder).train() if plainly else encoder
    model = nn.ModuleList([network, objective])
    optimiser = optimiser_of(model, network.encoder if plainly else encoder, config, fused=not plainly)
    clips, generator, losses = tones(4 * batch), torch.Generator().manual_seed(1), []
    with seeded(dropout_seed):
        for _ in range(n_steps):
            chosen = torch.randperm(len(clips), generator=generator)[:batch]
            optimiser.zero_grad(set_to_none=True)
            losses.append(objective(network, clips, chosen, generator))
            losses[-1].backward()
            optimiser.step()
    return torch.stack(losses).detach()


def curve_row(config, n_steps=50, batch=4, smooth=10):
    """How far our losses are from plain ones, beside how far plain ones are from each other: three dropout seeds."""
    ours, *plain = (
        curve(config, n_steps, batch, *arguments) for arguments in ((False, 0), (True, 0), (True, 1), (True, 2))
    )
    names = ("ours", *(f"plain, dropout seed {seed}" for seed in range(3)))
    for name, losses in zip(names, (ours, *plain)):
        print(f"loss, every fifth step, {name}:", *(f"{loss:.1f}" for loss in losses[::5]), flush=True)

    def apart(one, other):
        return float((one - other).unfold(0, smooth, 1).mean(1).abs().mean())

    off = sum(apart(ours, losses) for losses in plain) / len(plain)
    noise = [apart(one, other) for one, other in itertools.combinations(plain, 2)]
    return Row(
        f"loss curve, {n_steps} steps",
        f"±{min(noise):.2f} to {max(noise):.2f}",
        f"±{off:.2f}",
        max(noise) / off,
        "within noise",
        off <= max(noise),
        f"mean distance of means over {smooth} steps ({batch} clips, paper widths): ours from three plain "
        f"trainings, which differ in the seed of dropout, and these from each other; the loss goes from "
        f"{plain[0][:smooth].mean():.1f} to {plain[0][-smooth:].mean():.1f}",
    )


def parts(config, batch, steps, device):
    """Median seconds of each part of a step, in the order of ``PARTS``."""
    clips = tones(batch).to(device)
    with seeded(0):
        encoder = AcousticSSM(config).to(device).train()
        objective = SegmentPairs(encoder, config).to(device)
    optimiser = optimiser_of(nn.ModuleList([encoder, objective]), encoder, config)
    generator, laps = torch.Generator().manual_seed(0), []

    def lap():
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    for _ in range(steps + 1):
        optimiser.zero_grad(set_to_none=True)
        times = [lap()]
        waveform = objective.views(clips, torch.arange(batch), generator)
        times.append(lap())
        spectrograms = encoder.front_end(waveform)
        times.append(lap())
        with reduced_precision(config.precision, device):
            features = encoder.by_frame(spectrograms)
            times.append(lap())
            embedding = encoder.sequence(features).float().mean(dim=2)
        times.append(lap())
        loss = contrastive_loss(*objective.head(embedding).chunk(2), objective.similarity, config.temperature)
        times.append(lap())
        loss.backward()
        times.append(lap())
        optimiser.step()
        times.append(lap())
        laps.append(times)
    return torch.tensor(laps[1:], dtype=torch.float64).diff(dim=1).median(dim=0).values.tolist()


def show_parts(batch, steps, device, configs):
    print(f"{'preset':<8}{'views':>6}{'views/s':>9}" + "".join(f"{part:>15}" for part in PARTS))
    for config in configs:
        seconds = parts(config, batch, steps, device)
        shares = "".join(f"{1000 * part:>8.0f} ms {part / sum(seconds):>3.0%}" for part in seconds)
        print(f"{config.name:<8}{2 * batch:>6}{2 * batch / sum(seconds):>9.1f}{shares}", flush=True)


def show_profile(config, batch):
    step = stepper(config, tones(batch), batch)
    step()
    with torch.profiler.profile(acc_events=True) as profile:
        step()
    print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=12, max_name_column_width=40))


def seconds_per_step(step, device, steps):
    """Of several steps in a row; on a GPU nothing in them may wait for it."""
    for _ in range(1 if device.type == "cpu" else 5):
        step()
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
    started = time.perf_counter()
    for _ in range(steps):
        step()
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("default")
        torch.cuda.synchronize()
    return (time.perf_counter() - started) / steps


def show_wall_clock(config, device, compiled, steps):
    """Views per second at the full batch, and the time that one group takes: pre-training and one fine-tuning."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    batch = config.pretrain_batch
    step_s = seconds_per_step(stepper(config, tones(GROUP).to(device), batch, device, compiled), device, steps)
    classifier = Classifier(AcousticSSM(config), 5, config.head_width, config.head_dropout).to(device).train()
    optimiser = torch.optim.SGD(classifier.parameters(), lr=0.0)
    crops = torch.randn(config.finetune_batch, 3, config.n_mels, 60, device=device)
    targets = torch.arange(config.finetune_batch, device=device)

    def finetuning_step():
        optimiser.zero_grad(set_to_none=True)
        F.cross_entropy(classifier(crops), targets).backward()
        optimiser.step()

    finetuning_s = seconds_per_step(finetuning_step, device, steps)
    n_steps = config.pretrain_epochs * math.ceil(GROUP / batch)
    n_finetuning = config.finetune_epochs * math.ceil(LABELLED * config.finetune_crops / config.finetune_batch)
    minutes = [n_steps * step_s / 60, n_finetuning * finetuning_s / 60]
    print(
        f"{name}, {computing_precision(config.precision, device)}{', compiled' if compiled else ''}: "
        f"{2 * batch / step_s:.4g} views/s; `paper`, one group: {n_steps} steps of {batch} clips in "
        f"{minutes[0]:.3g} minutes, {n_finetuning} of fine-tuning in {minutes[1]:.3g} (from {steps} steps each)"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="where to write the rows")
    parser.add_argument("--batch", type=int, default=16, help="clips per step, two views each (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="timed steps of each side (default: %(default)s)")
    parser.add_argument(
        "--precision",
        default="auto",
        choices=("auto", "float32", "bfloat16"),
        help="of our side at the paper's widths (default: %(default)s)",
    )
    parser.add_argument("--device", default="cpu", help="cuda or mps: --wall-clock there (default: cpu)")
    parser.add_argument("--compile", action="store_true", help="the CNN of our side through torch.compile")
    parser.add_argument("--wall-clock", action="store_true", help="only the speed of ours, and of the whole preset")
    parser.add_argument("--parts", action="store_true", help="also where the time of a step goes")
    parser.add_argument("--profile", action="store_true", help="also the dearest operations of our step")
    args = parser.parse_args()
    device, config = pick_device(args.device), preset("paper", precision=args.precision)
    if args.parts:
        show_parts(args.batch, args.repeats, device, (SMALL, config))
    if args.profile:
        show_profile(config, args.batch)
    if device.type != "cpu" or args.wall_clock:
        return show_wall_clock(config, device, args.compile, steps=5 if device.type == "cpu" else 50)
    if not torch.cuda.is_available():
        print("No GPU here: views/s and the wall-clock of `paper` on one have not been measured (--device cuda)")
    finish([speed_row(config, args.batch, args.repeats), curve_row(config)], args.json)


if __name__ == "__main__":
    main()
