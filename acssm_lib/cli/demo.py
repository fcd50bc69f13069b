"""``acssm demo``: SYNTHETIC phrases by individuals, five methods, a table, three sentences and a page.

What makes the demo what it is stands in ``METHODS``, ``REPRODUCE``, ``INTRO`` and ``course.recipes.PHRASES``.
"""

import textwrap
from pathlib import Path

from acssm_lib.cli.arguments import Parser, add_command, name_list, seed_list
from acssm_lib.cli.reproduce import add_reproduce
from acssm_lib.course.recipes import PHRASES

# As `--set` takes them.
SETTINGS = tuple(
    f"{field}={','.join(map(str, value)) if isinstance(value, tuple) else value}" for field, value in PHRASES.items()
)
# Quick runs come first, so that there is news soon, then the longest, so that no core waits for the last one.
METHODS = "mel-stats,lag-covariance,acoustic-ssm1,adapted-cnn,supervised"
REPRODUCE = ("--dataset", "synthetic-phrases", "--preset", "quick", "--jobs", "2", "--set", *SETTINGS)
TITLE = "Phrases by individuals, SYNTHETIC"
INTRO = (
    "Five phrases are the same four syllables (W whistle, R rise, B buzz, H hiss) in another order. Every clip is of "
    "another individual, with a pitch, tempo, timbre, distance, recorder and background of its own. Five clips of each "
    "phrase have a label; 35 of each, all of other individuals, are asked; 400 more have no label. The clips are made "
    "by a program.",
    "acoustic-ssm1: the network of the paper, pre-trained on all clips without labels. supervised: the same network "
    "without pre-training. adapted-cnn: pre-trained, without state-space layers. mel-stats and lag-covariance: "
    "averages of the bands and of products of bands 0.2 s apart, no network. Chance is 20 percent.",
    "Frozen: only a small readout learns from the labels; 200 draws of them. Fine-tuned: the whole network does; 4 "
    "draws of each seed. ± and brackets: 95 % intervals over the draws, differences on the same draws.",
)
FIGURES = {
    "_accuracy.png": "Every method, in time and with shuffled frames",
    "_confusion.png": "What was taken for what",
    "_shots.png": "More labels, or fewer",
}


def add_demo(commands):
    demo = add_command(
        commands,
        "demo",
        _demo,
        "run five methods on synthetic phrases, print a table, write a page",
        "Runs reproduce with fixed settings, then report; the same call again goes on, or shows the table once more.",
    )
    demo.add_argument(
        "--out",
        type=Path,
        default=Path("runs", "demo"),
        metavar="RUNS",
        help="folder of the results (default: runs/demo)",
    )
    demo.add_argument("--seeds", type=seed_list, default="0", metavar="0,1,2", help="of the training (default: 0)")
    demo.add_argument("--methods", type=name_list, default=METHODS, metavar="A,B", help=f"(default: {METHODS})")


def _demo(args):
    parser = Parser(prog="acssm")
    add_reproduce(parser.add_subparsers())
    batch = parser.parse_args(
        [
            "reproduce",
            *REPRODUCE,
            "--methods",
            ",".join(args.methods),
            "--seeds",
            ",".join(map(str, args.seeds)),
            "--out",
            str(args.out),
        ]
    )
    status = batch.command(batch)
    if status:
        return status

    from acssm_lib.report import build, page

    files = build.write_report(args.out, args.out / "report")
    runs, _ = build.read_runs(args.out)
    runs = [run for run in runs if run["dataset"] == "synthetic-phrases"]  # --out may hold others
    rows = page.accuracies({readout: build.comparison_table(runs, readout) for readout in page.READOUTS})
    sentences = page.verdicts(build.paired_differences(runs, refused=[]))
    pictures = [
        (caption, path.read_bytes())
        for ending, caption in FIGURES.items()
        for path in files
        if path.name.startswith("synthetic-phrases") and path.name.endswith(ending)
    ]
    written = page.write_page(args.out / "demo.html", TITLE, INTRO, sentences, rows, _clips(), pictures)
    lines = ["", TITLE, *(textwrap.fill(paragraph, 100) for paragraph in INTRO), "", table(rows), ""]
    lines += [
        textwrap.fill(f"{number}. {sentence}", 100, subsequent_indent="   ")
        for number, (sentence, _) in enumerate(sentences, 1)
    ]
    lines += [
        "",
        f"All tables and figures: {args.out / 'report' / 'report.md'}; one executed notebook per run below "
        f"{args.out / 'synthetic-phrases'}",
        f"Listen, and see what was taken for what: {written.resolve()}",
    ]
    print("\n".join(lines))
    return 0


def table(rows):
    """Percent right by method, fine-tuned and frozen, as text.

    Args:
        rows: from ``report.page.accuracies``.
    """
    from acssm_lib.report.page import READOUTS

    width = max(len(row[0]) for row in rows)
    return "\n".join(
        f"{name:<{width}}{''.join(f'{cell:>14}' for cell in cells)}"
        for name, *cells in [("", *READOUTS.values()), *rows]
    )


def _clips():
    """One clip of each phrase to listen to, with its spectrogram."""
    from acssm_lib import plots, presets
    from acssm_lib.data.phrases import SyntheticPhrases
    from acssm_lib.model.features import LogMel
    from acssm_lib.report.page import png

    config, recordings = presets.preset("quick"), SyntheticPhrases()
    front_end = LogMel(config.sample_rate, config.n_fft, config.hop_length, config.n_mels, floor_db=-80.0)
    found = []
    for label, name in enumerate(recordings.classes):
        waveform = recordings.waveform(int((recordings.labels == label).argmax()))
        figure, ax = plots.canvas(3.2, 2.1)
        plots.spectrogram(front_end(waveform)[0, 0], config.sample_rate, config.hop_length, ax)
        found.append((name, waveform, config.sample_rate, png(figure)))
    return found
