"""Pre-training views per second, and where the time goes: ``python benchmarks/pretraining_speed.py``.

One step is what ``acssm_lib.contrastive.pretrain`` does: draw two views of each clip of a batch, front end, CNN,
S4D layers, head and loss, backward pass, optimiser. Each part is timed by itself over several steps, after one
step of warming up; the table gives the median over the steps.
"""

import argparse
import platform
import statistics
import time

import torch

from acssm_lib.clips import Clips, random_crops
from acssm_lib.contrastive import BilinearSimilarity, contrastive_loss, projection_head
from acssm_lib.encoder import AcousticSSM, parameter_groups, pick_device
from acssm_lib.presets import PRESETS

PARTS = ("views", "front end", "CNN", "S4D layers", "head and loss", "backward", "optimiser")


class Stopwatch:
    """Seconds between two calls, after the device has finished its work."""

    def __init__(self, device):
        self.device, self.last = device, time.perf_counter()

    def lap(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        now = time.perf_counter()
        seconds, self.last = now - self.last, now
        return seconds


def measure(config, batch, steps, device):
    """Median seconds of each part of a step, in the order of ``PARTS``."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    clips = Clips([0.1 * torch.randn(100_000, generator=generator) for _ in range(batch)]).to(device)
    encoder = AcousticSSM(config).to(device).train()
    head = projection_head(encoder.d_model, config.d_projection, config.projection).to(device)
    similarity = BilinearSimilarity(config.d_projection, config.bilinear_std).to(device)
    model = torch.nn.ModuleList([encoder, head, similarity])
    optimiser = torch.optim.AdamW(parameter_groups(model, config.pretrain_lr, config.pretrain_weight_decay,
                                                   config.pretrain_lr, encoder.special_parameters()))
    indices = torch.arange(batch).repeat(2)
    laps = []
    for _ in range(steps + 1):
        watch = Stopwatch(device)
        optimiser.zero_grad(set_to_none=True)
        waveform = random_crops(clips, indices, config.n_samples, config.max_stretch, generator)
        row = [watch.lap()]
        spectrograms = encoder.front_end(waveform)
        row.append(watch.lap())
        features = encoder.cnn(spectrograms)
        row.append(watch.lap())
        embedding = encoder.sequence(features).mean(dim=2)
        row.append(watch.lap())
        loss = contrastive_loss(*head(embedding).chunk(2), similarity, config.temperature, config.symmetric)
        row.append(watch.lap())
        loss.backward()
        row.append(watch.lap())
        optimiser.step()
        row.append(watch.lap())
        laps.append(row)
    return [statistics.median(column) for column in zip(*laps[1:])]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", nargs="+", default=["quick", "paper"], choices=list(PRESETS))
    parser.add_argument("--steps", type=int, default=5, help="timed steps (default: 5)")
    parser.add_argument("--batch", type=int, help="clips per step (default: the preset's)")
    parser.add_argument("--device", help="cpu, cuda or mps (default: the best there is)")
    args = parser.parse_args()
    device = pick_device(args.device)
    print(f"torch {torch.__version__}, {device}, {torch.get_num_threads()} threads, {platform.machine()}")
    print(f"{'preset':<8}{'views':>6}{'views/s':>9}" + "".join(f"{part:>15}" for part in PARTS))
    for name in args.presets:
        config = PRESETS[name]
        batch = args.batch or config.pretrain_batch
        seconds = measure(config, batch, args.steps, device)
        shares = "".join(f"{1000 * part:>8.0f} ms {part / sum(seconds):>3.0%}" for part in seconds)
        print(f"{name:<8}{2 * batch:>6}{2 * batch / sum(seconds):>9.1f}{shares}", flush=True)


if __name__ == "__main__":
    main()
