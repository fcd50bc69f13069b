"""``acssm demo``: two groups of SYNTHETIC calls, four methods, and a table of what they got right.

Everything that makes the demo what it is stands in ``REPRODUCE`` and ``EXPLANATION``.
"""

from pathlib import Path

from acssm_lib.cli.arguments import Parser, add_command
from acssm_lib.cli.reproduce import add_reproduce

# Mode "natural" shows what pre-training is worth, mode "order" what the state-space layers are worth. Order is learned
# after a plateau, so its fine-tuning is longer and less timid, for every method alike. A quick run comes first, so that
# there is news soon, then the longest first, so that no core waits for the last one; one batch for the same reason.
REPRODUCE = (
    "--dataset", "synthetic-frogs", "--preset", "quick-best", "--jobs", "2", "--groups", "natural,order",
    "--methods", "mel-stats,acoustic-ssm1,adapted-cnn,supervised",
    "--set", "order:pretrain_epochs=10", "order:n_episodes=3", "order:finetune_epochs=9",
    "order:finetune_encoder_lr=0.003", "order:finetune_ssm_lr=0.003")
EXPLANATION = """\
Percent of clips named right, with five labelled clips per class; SYNTHETIC calls. ± is half of a 95 % interval over
draws of the labels: 3 or 4 where the network is fine-tuned, 200 where it is frozen and only a small readout learns.
natural: every species has a pitch of its own. order: only the order of four notes tells the class, so a method that
averages its frames, or gets them shuffled, has to stay at chance.
acoustic-ssm1: the network of the paper, which has heard the clips without labels. supervised: the same, random to
begin with. adapted-cnn: as acoustic-ssm1, without state-space layers. mel-stats: averages of mel bands."""
READOUTS = {"finetuned": "Fine-tuned", "logistic": "Frozen, with logistic regression"}


def add_demo(commands):
    demo = add_command(commands, "demo", _demo, "run four methods on synthetic frog calls, print a table",
                       "Runs reproduce with fixed settings, then report; the same call again goes on, or shows the "
                       "table once more.")
    demo.add_argument("--out", type=Path, default=Path("runs", "demo"), metavar="RUNS",
                      help="folder of the results (default: runs/demo)")


def _demo(args):
    parser = Parser(prog="acssm")
    add_reproduce(parser.add_subparsers())
    batch = parser.parse_args(["reproduce", *REPRODUCE, "--out", str(args.out)])
    status = batch.command(batch)
    if status:
        return status

    from acssm_lib.report import build

    build.write_report(args.out, args.out / "report")
    runs, _ = build.read_runs(args.out)
    print(f"\n{EXPLANATION}")
    for readout, title in READOUTS.items():
        print(f"\n{title}\n{table(build.comparison_table(runs, readout))}")
    print(f"\nAll tables and figures: {args.out / 'report' / 'report.md'}; one executed notebook per run below "
          f"{args.out / 'synthetic-frogs'}")
    return 0


def table(frame):
    """Percent right by method and group, as text.

    Args:
        frame: from ``report.build.comparison_table``, of one readout.
    """
    cells = {(row.method, row.group): f"{100 * row.accuracy:.1f} ± {100 * row.accuracy_half:.1f}"
             for row in frame.itertuples()}
    groups = list(dict.fromkeys(frame["group"]))
    width = max(map(len, frame["method"]))
    rows = [["", *groups], *([method, *(cells.get((method, group), "–") for group in groups)]
                             for method in dict.fromkeys(frame["method"]))]
    return "\n".join(f"{name:<{width}}{''.join(f'{cell:>14}' for cell in row)}" for name, *row in rows)
