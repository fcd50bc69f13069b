"""The tables of ``docs/``, made from the committed records: ``python -m tools.tables`` rewrites them in place.

A table stands in a page between ``<!-- table: NAME -->`` and ``<!-- end -->``; ``TABLES`` says how each is made.
Whoever measures again stores the records below ``figures/`` and runs this; ``--check`` only says what would change.
"""

import argparse
import csv
import dataclasses
import functools
import math
import re
import sys
from types import SimpleNamespace

from acssm_lib.experiment.methods import METHODS, loss_of_a_guess
from acssm_lib.files import write_text
from acssm_lib.names import EMBEDDER_NAMES, SHUFFLED, STATISTICS
from acssm_lib.presets import PRESETS, Preset
from acssm_lib.report.claims import conclusion
from acssm_lib.report.markdown import plus_minus
from acssm_lib.report.page import CLAIMS, verdicts
from acssm_lib.report.readings import method_rank, read_runs
from acssm_lib.report.tables import average_differences, average_table, comparison_table, paired_differences
from tools.bench_tables import scaling_bank, scaling_length, speed, survey
from tools.record_tables import (
    DIFFERENCE,
    READOUT,
    by_group,
    cell,
    difference_rows,
    differences,
    full,
    methods_of,
    records,
    short,
)
from tools.table_text import FIGURES, ROOT, markdown

PLACE = re.compile(r"(?s)(<!-- table: ([\w-]+) -->\n).*?(<!-- end -->)")


def demo():
    """The phrases of the demo: fine-tuned, frozen, and with shuffled frames, over the seeds."""
    runs = records("metrics/synthetic-phrases")
    tuned, frozen = (average_table(runs, name).set_index("method") for name in ("finetuned", "logistic"))
    tuned = tuned[[name.removesuffix(SHUFFLED) not in STATISTICS for name in tuned.index]]
    rows = [
        [method, *(cell(table, method + frames, "accuracy") for frames in ("", SHUFFLED) for table in (tuned, frozen))]
        for method in methods_of(runs)
    ]
    return markdown(
        ["method", "fine-tuned", "frozen, logistic", "fine-tuned, frames shuffled", "frozen, frames shuffled"], rows
    )


def demo_differences():
    """What the demo claims: paired differences over the seeds and, for these trained networks, over the draws."""
    pairs = [
        ("acoustic-ssm1", other)
        for other in ("supervised", "adapted-cnn", "matched-cnn", "mel-stats", "lag-covariance")
    ]
    runs = records("metrics/synthetic-phrases")
    draws = paired_differences(runs, pairs).set_index(["baseline", "readout"])
    rows = []
    for row in average_differences(runs, pairs).itertuples():
        own = draws.loc[row.baseline, row.readout]
        rows.append(
            [
                short(row.method, row.baseline),
                READOUT[row.readout],
                plus_minus(row.difference, row.half, "+"),
                f"± {100 * own.half:.1f}",
                conclusion(row.method, row.baseline, min(row.low, own.low), max(row.high, own.high)),
            ]
        )
    return markdown(["difference", "readout", "points, over seeds", "over draws", "what both intervals show"], rows)


def demo_sentences():
    """The demo's three sentences, with intervals over the seeds."""
    pairs = [pair for claim in CLAIMS.values() for pair in claim]
    found = verdicts(average_differences(records("metrics/synthetic-phrases"), pairs))
    return [f"{number}. {sentence}" for number, (sentence, _) in enumerate(found, 1)]


def frogs():
    """Per group of the synthetic calls: fine-tuned, frozen, and with shuffled frames."""
    runs = records("metrics/synthetic-frogs")
    tuned, frozen = (comparison_table(runs, name).set_index(["group", "method"]) for name in ("finetuned", "logistic"))
    rows = [
        [
            group,
            method,
            cell(tuned, (group, method), "accuracy"),
            cell(tuned, (group, method), "unshared"),
            cell(frozen, (group, method), "accuracy"),
            cell(tuned, (group, method + SHUFFLED), "accuracy"),
        ]
        for group in dict.fromkeys(run["group"] for run in runs)
        for method in methods_of(run for run in runs if run["group"] == group)
    ]
    return markdown(
        ["group", "method", "fine-tuned", "unshared sources", "frozen, logistic", "fine-tuned, frames shuffled"], rows
    )


def frogs_differences():
    """Per group of the synthetic calls, the differences that the page speaks of."""
    pairs = [
        ("acoustic-ssm1", other) for other in ("supervised", "adapted-cnn", f"acoustic-ssm1{SHUFFLED}", "mel-stats")
    ]
    found = paired_differences(records("metrics/synthetic-frogs"), pairs)
    rows = [
        [
            row.group,
            short(row.method, row.baseline),
            READOUT[row.readout],
            plus_minus(row.difference, row.half, "+"),
            conclusion(row.method, row.baseline, row.low, row.high),
        ]
        for row in found.sort_values("group", kind="stable").itertuples()
    ]
    return markdown(["group", "difference", "readout", "points", "what the interval shows"], rows)


def frogs_loss():
    """What the pre-training on the synthetic calls got down to, beside the loss of a guess."""
    rows = []
    for run in records("metrics/synthetic-frogs", lambda run: run["pretraining"]["steps"]):
        losses, settings = run["pretraining"]["losses"], SimpleNamespace(**run["settings"])
        guess = loss_of_a_guess(run["method"], settings, run["pretraining"]["clips"])
        last = losses[-10:]
        rows.append(
            [
                run["group"],
                run["method"],
                run["pretraining"]["steps"],
                f"{losses[0]:.2f}",
                f"{sum(last) / len(last):.2f}",
                f"{guess:.2f}",
            ]
        )
    return markdown(["group", "method", "steps", "loss, first step", "mean of the last ten", "loss of a guess"], rows)


def digits(name, table=full):
    """A table of the spoken digits, with the labels from "one" speaker or "spread" over five."""
    folder = f"metrics/spoken-digits/{name}"
    return table(records(folder)) if (FIGURES / folder).exists() else ["Not measured yet."]


def thesis():
    """The paper's thesis where it can win and lose: ESC-10, then the digits with labels of five speakers and of one."""
    places = ("metrics/esc50", "metrics/spoken-digits/spread", "metrics/spoken-digits/one")
    rows = _thesis_rows(places, lambda method: method)
    for variant in sorted(path.name for path in (FIGURES / "metrics" / "thesis").glob("*")):
        where = ("", *(f"metrics/thesis/{variant}/{rule}" for rule in ("spread", "one")))
        rows += _thesis_rows(where, lambda method, variant=variant: f"{method}, {variant}")
    if not rows:
        return ["Not measured yet."]
    return markdown(
        [
            "frozen",
            *(
                f"{place}, {readout}"
                for place in ("ESC-10", "five label, sixth asked", "one labels, five asked")
                for readout in ("logistic", "em-lda")
            ),
        ],
        rows,
    )


def thesis_differences():
    """What the same-source negatives say of the state-space layers and of the order of frames, on either rule."""
    rules = {"spread": "five label, sixth asked", "one": "one labels, five asked"}
    rows = [
        [words, *row]
        for rule, words in rules.items()
        for row in difference_rows(records(f"metrics/thesis/same-source/{rule}"), ("logistic", "em-lda"), unshared=True)
    ]
    return markdown(["labels", *DIFFERENCE], rows)


def _thesis_rows(places, named):
    """One row per method of any of the folders of records; a dash where one has not been measured."""
    tables = []
    for place in places:
        runs = [run for run in read_runs(FIGURES / place)[0] if run["preset"] == "best"] if place else []
        for readout in ("logistic", "em-lda"):
            known = [run for run in runs if any(one["name"] == readout for one in run["readouts"])]
            tables.append(average_table(known, readout).set_index("method") if known else None)
    found = {name for table in tables if table is not None for name in table.index}
    return [
        [named(method), *("–" if table is None else cell(table, method, "unshared") for table in tables)]
        for method in sorted(found, key=lambda name: (method_rank(name.partition(",")[0]), name))
    ]


STEPS = {
    "one-view": "one encoder, one view",
    "seven-views": "one encoder, seven views",
    "three-encoders": "three encoders, seven views",
}  # folder of records below metrics-best -> what it is


def best_steps():
    """What members and views add, one folder of records each; intervals over support draws."""
    rows, groups = [], ("E1", "E2")
    for folder, name in STEPS.items():
        runs = records(f"metrics-best/{folder}")
        tables = [comparison_table(runs, readout).set_index(["group", "method"]) for readout in ("logistic", "em-lda")]
        rows.append([name, *(cell(one, (group, "acoustic-ssm1"), "unshared") for one in tables for group in groups)])
    return markdown(
        ["acoustic-ssm1, frozen", *(f"{group}, {words}" for words in ("labels alone", "EM-LDA") for group in groups)],
        rows,
    )


def ablation():
    """One ingredient taken away at a time: percent of each group, and points below the first row."""
    variants = {}
    with (FIGURES / "ablation.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            variants.setdefault(row["variant"], {})[row["group"]] = 100 * float(row["logistic"])
    whole, *_ = variants.values()
    groups = sorted(whole)
    rows = [
        [
            variant,
            *(f"{own[group]:.1f}" for group in groups),
            plus_minus(sum(own[group] - whole[group] for group in groups) / len(groups) / 100, math.nan, "+")
            if own is not whole
            else "",
        ]
        for variant, own in variants.items()
    ]
    return markdown(["variant", *groups, "difference, mean (points)"], rows)


def finetuning():
    """Ways to fine-tune one encoder, beside its frozen readout."""
    with (FIGURES / "research_log_finetuning.csv").open(encoding="utf-8") as file:
        rows = [
            [
                " ".join(f"`{word}`" for word in row["changed"].split()) if "=" in row["changed"] else row["changed"],
                f"{100 * float(row['accuracy']):.1f}",
                f"{100 * float(row['deviation']):.1f}",
            ]
            for row in csv.DictReader(file)
        ]
    return markdown(["acoustic-ssm1, ESC-10, E2", "unshared queries", "deviation over draws"], rows)


def settings():
    """Every setting: its value in each preset, and the comment of ``presets.py`` on unit and source."""
    source = (ROOT / "acssm_lib" / "presets.py").read_text(encoding="utf-8")
    comments = dict(re.findall(r"(?m)^    (\w+): [^#\n]+ = [^#\n]+?  # (.+)$", source))
    rows = []
    for field in dataclasses.fields(Preset):
        values = {name: getattr(made, field.name) for name, made in PRESETS.items()}
        if field.name != "name":
            rows.append(
                [
                    f"`{field.name}`",
                    _plain(values["paper"]),
                    *(
                        "" if values[name] == values["paper"] else _plain(values[name])
                        for name in PRESETS
                        if name != "paper"
                    ),
                    comments.get(field.name, "").replace("|", "\\|"),
                ]
            )
    return markdown(["setting", *PRESETS, "unit, meaning, source"], rows)


def _plain(value):
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def methods():
    """Every method: what it is, and how its pre-training draws pairs."""
    rows = [
        [
            f"`{name}`",
            made.description,
            "no" if made.objective is None else f"`{made.objective.__name__}`",
            "yes" if name in EMBEDDER_NAMES else "",
        ]
        for name, made in METHODS.items()
    ]
    return markdown(["`--methods`", "what it is", "pre-trained on the pool", "needs a download"], rows)


TABLES = {
    "methods": methods,
    "settings": settings,
    "demo": demo,
    "demo-differences": demo_differences,
    "demo-sentences": demo_sentences,
    "frogs": frogs,
    "frogs-differences": frogs_differences,
    "frogs-loss": frogs_loss,
    "esc10": lambda: full(records("metrics/esc50")),
    "esc10-differences": lambda: differences(records("metrics/esc50")),
    "esc10-inductive": lambda: by_group(records("metrics/inductive"), ("logistic",), "accuracy"),
    **{f"digits-{name}": functools.partial(digits, name) for name in ("spread", "one")},
    **{f"digits-{name}-differences": functools.partial(digits, name, differences) for name in ("spread", "one")},
    "thesis": thesis,
    "thesis-differences": thesis_differences,
    "best-steps": best_steps,
    "best-ablation": ablation,
    "finetuning": finetuning,
    "best-outside": lambda: by_group(records("metrics-best/outside"), ("logistic", "clusters")),
    "survey": survey,
    "speed": speed,
    "scaling-length": scaling_length,
    "scaling-bank": scaling_bank,
}


def renewed(text):
    """A page with every table in it made again.

    Raises:
        ValueError: the page names a table that nobody makes, or a mark has no end.
    """
    unknown = {name for _, name, _ in PLACE.findall(text)} - set(TABLES)
    if unknown or text.count("<!-- table: ") != len(PLACE.findall(text)):
        raise ValueError(f"{', '.join(sorted(unknown)) or 'a mark without an end'}: there are {', '.join(TABLES)}")
    return PLACE.sub(lambda match: match[1] + "\n" + "\n".join(TABLES[match[2]]()) + "\n\n" + match[3], text)


def main(argv=None):
    """The command line above; the exit status of ``--check`` is 1 where a page would change."""
    parser = argparse.ArgumentParser(prog="python -m tools.tables", description="Make the tables of docs/ again.")
    parser.add_argument("--check", action="store_true", help="write nothing, name the pages that would change")
    args, changed = parser.parse_args(argv), 0
    for page in (*sorted((ROOT / "docs").glob("*.md")), *ROOT.glob("README.md")):
        text = page.read_text(encoding="utf-8")
        new = renewed(text)
        if new != text:
            changed += 1
            print(f"{page.relative_to(ROOT)}: {'would change' if args.check else 'tables made again'}")
            if not args.check:
                write_text(page, new)
    return 1 if args.check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
