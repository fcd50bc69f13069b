"""What the spectrogram views of ``best`` hold in memory, with one long recording among many short ones.

    python benchmarks/views_memory.py                           # 1,000 clips of 5 s and an hour; a minute, Linux
    python benchmarks/views_memory.py --clips 100 --long-s 600

Plain: spectrograms padded to the longest, as one tensor; its size is computed, since few machines have that much.
Ours: frames end to end; what the process grows by while it hears all clips and draws a batch of views is measured, in
a process of its own.
"""

import argparse

from common import finish, in_own_process, within

_HEAR = """
import json, re, sys
from pathlib import Path
import torch
from acssm_lib.data.clips import Clips
from acssm_lib.experiment.methods import build_encoder
from acssm_lib.presets import preset
from acssm_lib.pretraining.spectrogram_views import SpectrogramViews

def memory(key):
    return int(re.search(rf"{key}:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

config = preset("best", n_members=1)
lengths = [5 * config.sample_rate] * int(sys.argv[1]) + [int(sys.argv[2]) * config.sample_rate]
clips = Clips([torch.randint(-9000, 9000, (length,), dtype=torch.int16) for length in lengths])
encoder = build_encoder("acoustic-ssm1", clips, range(8), config, 0)
objective = SpectrogramViews(encoder, config)
Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
before = memory("VmRSS")
objective.views(encoder, clips, torch.arange(64), torch.Generator().manual_seed(0))
padded = len(lengths) * (max(lengths) // config.hop_length + 1) * config.n_mels * 4 / 2**20
print(json.dumps({"grown_mib": memory("VmHWM") - before, "kept_mib": objective.heard.nbytes / 2**20,
                  "padded_mib": padded}))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=1000, help="of 5 s each (default: 1000)")
    parser.add_argument("--long-s", type=int, default=3600, help="seconds of the long recording (default: 3600)")
    parser.add_argument("--json", help="where to write the rows")
    args = parser.parse_args()
    found = in_own_process(_HEAR, args.clips, args.long_s)
    limit = found["kept_mib"] + 300  # a batch of views, and one piece of a recording with its spectrum
    finish(
        [
            within(
                f"views, {args.clips:,} clips of 5 s and one of {args.long_s:,} s",
                found["padded_mib"],
                found["grown_mib"],
                limit,
                "MiB",
                f"of these {found['kept_mib']:.0f} MiB are kept",
            )
        ],
        args.json,
    )


if __name__ == "__main__":
    main()
