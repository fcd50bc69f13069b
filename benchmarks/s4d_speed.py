"""The state-space layers: kernel, six layers of `paper`, and streaming. ``python benchmarks/s4d_speed.py``

Plain is `plain.py`: the kernel as a product with every power of every state, the convolution as an FFT of length 2L.
Times of layers are medians of both sides taking turns, forward and backward together. A kernel has a process of its
own; its memory is what that process needs beyond PyTorch and the parameters. ``--profile`` prints where the time of
the six layers goes, and from which length on the FFT beats the matrix.
"""

import argparse

import plain
import torch
from common import Row, alternate, faster, finish, in_own_process, readable, within
from torch import nn
from torch.nn import functional as F

from acssm_lib.model.convolution import causal_convolution, fft_convolution, toeplitz_convolution, with_skip
from acssm_lib.model.encoder import AcousticSSM, StateSpaceStack
from acssm_lib.model.streaming import stream
from acssm_lib.presets import preset

KERNEL = """
import json, sys, time
sys.path.insert(0, "benchmarks")
import torch
import plain
from common import peak_memory_mib
from acssm_lib.model.s4d import S4DKernel
length, side = int(sys.argv[1]), sys.argv[2]
kernel = S4DKernel(512, 64, 0.001, 0.1)
kernel(64).sum().backward()
before = peak_memory_mib()
for _ in range(2 if side == "ours" else 1):  # plain takes too long for a start to matter
    started = time.perf_counter()
    taps = kernel(length) if side == "ours" else plain.kernel(kernel, length)
    taps.backward(torch.ones(()).expand_as(taps))
    seconds = time.perf_counter() - started
print(json.dumps([seconds, peak_memory_mib() - before, peak_memory_mib()]))
"""

STREAM_MEMORY = """
import json, resource, sys
sys.path.insert(0, "benchmarks")
from pathlib import Path
import torch
from common import SMALL
from acssm_lib.model.encoder import AcousticSSM
from acssm_lib.model.streaming import stream
encoder, generator = AcousticSSM(SMALL).eval(), torch.Generator().manual_seed(0)
blocks = (0.1 * torch.randn(20_000, generator=generator) for _ in range(int(sys.argv[1])))
frames, largest = 0, 0  # sampled: the peak of the process is that of importing PyTorch
for chunk in stream(encoder, blocks):
    frames += chunk.shape[1]
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    largest = max(largest, pages * resource.getpagesize() / 2**20)
print(json.dumps([frames, largest]))
"""


def kernel_rows(length=16_384, long=131_072):
    """Time and memory of one kernel of ``paper``'s layer, forward and backward; every one in a fresh process."""
    plain_s, plain_mib, _ = in_own_process(KERNEL, length, "plain")
    ours_s, ours_mib, _ = in_own_process(KERNEL, length, "ours")
    whole = in_own_process(KERNEL, long, "ours")[2]
    return [
        faster(f"S4D kernel, L = {length:,}, d_model 512", plain_s, ours_s, 10),
        Row(
            f"S4D kernel, L = {length:,}, peak memory",
            f"{plain_mib:,.0f} MiB",
            f"{ours_mib:,.0f} MiB",
            plain_mib / ours_mib,
            "20x",
            plain_mib >= 20 * ours_mib,
        ),
        within(
            f"S4D kernel, L = {long:,}, the whole process",
            None,
            whole / 1024,
            2,
            "GB",
            "plain would need the powers alone in 16 GiB",
        ),
    ]


class PlainStack(nn.Module):
    """The six layers with `plain.PlainS4D`, post-norm."""

    def __init__(self, stack):
        super().__init__()
        self.layers, self.norms = nn.ModuleList(map(plain.PlainS4D, stack.layers)), stack.norms

    def forward(self, x):
        for layer, norm in zip(self.layers, self.norms):
            x = norm((x + layer(x)).transpose(1, 2)).transpose(1, 2)
        return x


def paper_stack():
    """The six layers of ``paper``, an input (64, 512, 60) and a gradient for the output."""
    torch.manual_seed(0)
    stack = StateSpaceStack(512, 6, 64)
    return stack, torch.randn(64, 512, 60, requires_grad=True), torch.randn(64, 512, 60)


def pass_of(module, stack, x, direction, bf16=False):
    """A function that goes forward and backward once and returns all gradients."""
    wanted = [x, *stack.parameters()]

    def once():
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            y = module(x)
        return torch.autograd.grad(y, wanted, direction)

    return once


def difference(ours, theirs):
    """Largest difference of any gradient, relative to the largest value of that gradient."""
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(ours, theirs))


def layer_rows():
    """The state-space part alone, the whole layers, and the whole layers under bf16 autocast."""
    stack, x, direction = paper_stack()

    def plain_part():
        for layer in stack.layers:
            spectrum = torch.fft.rfft(x, 120) * torch.fft.rfft(plain.kernel(layer.kernel, 60), 120)
            y = torch.fft.irfft(spectrum, 120)[..., :60] + layer.D[:, None] * x
            torch.autograd.grad(y, [x, layer.D, *layer.kernel.parameters()], direction)

    def our_part():
        for layer in stack.layers:
            y = causal_convolution(x, with_skip(layer.kernel(60), layer.D))
            torch.autograd.grad(y, [x, layer.D, *layer.kernel.parameters()], direction)

    slow, fast, bf16 = (
        pass_of(module, stack, x, direction, low)
        for module, low in ((PlainStack(stack), False), (stack, False), (stack, True))
    )
    exact = slow()
    part_plain, part_ours = alternate(plain_part, our_part, repeats=3)
    slow_s, fast_s, bf16_s, product_s = alternate(slow, fast, bf16, products(), repeats=3)
    gap, gap_bf16 = difference(fast(), exact), difference(bf16(), exact)
    assert gap < 1e-4, f"gradients differ by {gap:.1e}"
    where = "six S4D layers, (64, 512, 60)"
    return [
        faster(f"{where}: kernel, convolution, skip", part_plain, part_ours, 4),
        faster(
            f"{where}: whole",
            slow_s,
            fast_s,
            4,
            f"gradients within {gap:.0e}; the matrix products of "
            f"the output, the same on both sides, alone take {readable(product_s)}",
        ),
        faster(
            f"{where}: whole, bf16 autocast",
            slow_s,
            bf16_s,
            4,
            f"kernel and convolution in fp32; gradients within {gap_bf16:.0e}, which is the rounding of bf16",
        ),
    ]


def products():
    """A function that does the matrix products of six outputs, forward and backward in fp32: no stack is faster."""
    weight, x = torch.randn(1024, 512, requires_grad=True), torch.randn(3840, 512, requires_grad=True)
    direction = torch.randn(3840, 1024)
    return lambda: [torch.autograd.grad(F.linear(x, weight), (x, weight), direction) for _ in range(6)]


def streaming_rows(seconds=10):
    """Frames per second at ``paper``'s widths, and how far the stream is from the whole recording at once."""
    torch.manual_seed(0)
    encoder = AcousticSSM(preset("paper", standardise="scale")).eval()
    recording = 0.1 * torch.randn(20_000 * seconds)
    encoder.standardisation.fit(encoder.front_end, [recording])
    with torch.no_grad():
        whole = encoder(encoder.front_end(recording))[0]
    rows, real_time = [], 20_000 / 512  # frames per second of sound
    for frames in (1, 32):
        gap = float((torch.cat(list(stream(encoder, recording.split(4000), frames)), dim=1) - whole).abs().max())
        assert gap < 1e-3, f"stream and convolution differ by {gap:.1e}"
        (took,) = alternate(lambda: list(stream(encoder, recording.split(4000), frames)), repeats=1)
        speed = whole.shape[1] / took
        rows.append(
            Row(
                f"streaming, paper, {frames} frame{'s' * (frames > 1)} per step",
                f"{real_time:.0f} frames/s (real time)",
                f"{speed:,.0f} frames/s",
                speed / real_time,
                "real time",
                speed >= real_time,
                f"largest difference from the convolution over {seconds} s: {gap:.0e}",
            )
        )
    return rows


def streaming_memory(seconds=(30, 300, 3000)):
    """Largest resident memory while a small network hears noise, (seconds, frames, MiB) per length; Linux only."""
    return [(length, *in_own_process(STREAM_MEMORY, length)) for length in seconds]


def streaming_memory_row():
    (short, _, first), (long, _, last) = streaming_memory((30, 900))
    return Row(
        f"streaming, small: memory of {long} s against {short} s",
        f"{first:.0f} MiB",
        f"{last:.0f} MiB",
        first / last,
        "within 5 %",
        last <= 1.05 * first,
        "plain is the short recording",
    )


def profile():
    """Where the time of the six layers goes, and the crossing of matrix and FFT."""
    stack, x, direction = paper_stack()
    for name, module in (("plain", PlainStack(stack)), ("ours", stack)):
        once = pass_of(module, stack, x, direction)
        once()
        with torch.profiler.profile() as seen:
            once()
        print(f"\nsix layers, {name}, by own time")
        table = sorted(seen.key_averages(), key=lambda event: -event.self_cpu_time_total)
        total = sum(event.self_cpu_time_total for event in table)
        for event in table[:9]:
            print(
                f"  {event.key:<32} {event.self_cpu_time_total / 1000:7.0f} ms "
                f"{100 * event.self_cpu_time_total / total:4.0f} %"
            )
    print("\nconvolution, forward and backward, 512 channels: matrix, FFT")
    for batch, lengths in ((4, (15, 60)), (16, (60, 120)), (64, (60, 120, 180, 240))):
        for length in lengths:
            u = torch.randn(batch, 512, length, requires_grad=True)
            kernel = torch.randn(512, length, requires_grad=True)
            times = alternate(
                *(lambda way=way: way(u, kernel).sum().backward() for way in (toeplitz_convolution, fft_convolution)),
                repeats=3,
            )
            print(f"  batch {batch:>2}, {length:>3} frames: {', '.join(map(readable, times))}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", help="where to write the rows")
    parser.add_argument("--profile", action="store_true", help="print profiles instead of the table")
    args = parser.parse_args()
    if args.profile:
        profile()
        return
    alone = [*kernel_rows(), streaming_memory_row()]  # first: a process inherits the peak of the one that starts it
    finish([*alone, *layer_rows(), *streaming_rows()], args.json)


if __name__ == "__main__":
    main()
