"""Tables of what was measured on one machine: docs/speed.md, and the encoders of a survey."""

import json

from tools.table_text import FIGURES, markdown


def speed():
    """The table of ``make bench``, and when and where each topic was measured."""
    topics = json.loads((FIGURES / "bench.json").read_text(encoding="utf-8"))
    rows = [
        [
            row["what"],
            row["plain"],
            row["ours"],
            f"{row['better']:.1f}x",
            row["reach"],
            "yes" if row["reached"] else "**no**",
        ]
        for one in topics.values()
        for row in one["rows"]
    ]
    where = {}  # sentence -> topics
    for topic, one in topics.items():
        where.setdefault(measured(one)[0], []).append(topic)
    said = [
        f"`{'`, `'.join(some)}`: {sentence[0].lower()}{sentence[1:]}" if len(where) > 1 else sentence
        for sentence, some in where.items()
    ]
    return [*said, "", *markdown(["what", "plain", "ours", "better", "reach", "reached"], rows)]


def measured(stored):
    machine = stored["machine"]
    minutes = f", {stored['minutes']:.0f} minutes in all" if "minutes" in stored else ""
    return [
        f"Measured {stored['date']} on {machine['cores']} CPU cores ({machine['processor']}), Python "
        f"{machine['python']}, torch {machine['torch']}{minutes}."
    ]


def scaling_length():
    """Cost of embedding one recording at once, against its length."""
    stored = json.loads((FIGURES / "scaling.json").read_text(encoding="utf-8"))
    rows = [
        [
            f"{seconds:g} s",
            *(
                text
                for name in ("small", "paper")
                for text in (
                    f"{1000 * stored['clip_length'][name][place]['seconds']:,.0f} ms",
                    f"{stored['clip_length'][name][place]['mib']:,.0f} MiB",
                )
            ),
        ]
        for place, seconds in enumerate(stored["seconds"])
    ]
    return [*measured(stored), "", *markdown(["recording", "small, time", "memory", "paper, time", "memory"], rows)]


def scaling_bank():
    """Cost of a bank of half-second clips, against their number."""
    stored = json.loads((FIGURES / "scaling.json").read_text(encoding="utf-8"))
    rows = [
        [
            f"{clips:,}",
            f"{1000 * one['open_s']:.0f} ms",
            f"{one['opened_mib']:.0f} MiB",
            f"{one['largest_mib']:.0f} MiB",
            f"{one['views_per_s']:,.0f}",
        ]
        for clips, one in zip(stored["clips"], stored["bank"], strict=True)
    ]
    return markdown(["clips", "opening again", "resident, opened", "resident, at most", "views per second"], rows)


def survey():
    """Encoders of a survey on the recordings stitched from ESC-10: average precision, labels needed, hours per hour."""
    path = FIGURES / "survey_esc10.json"
    if not path.exists():
        return ["Not measured yet."]
    stored = json.loads(path.read_text(encoding="utf-8"))
    answers, most = stored["answers"], stored["answers"][-1]
    mean = lambda one, kind, n: sum(row := one["average_precision"][kind][answers.index(n)]) / len(row)
    target = mean(stored["encoders"]["mel-stats"], "random", most)
    rows = []
    for name, one in stored["encoders"].items():
        enough = [
            next((str(n) for n in answers if mean(one, kind, n) >= target), f"over {most}")
            for kind in ("margin", "random")
        ]
        rows.append(
            [
                f"`{name}`",
                *(
                    f"{mean(one, kind, n):.2f}"
                    for kind, n in (("margin", 0), ("margin", 40), ("random", 40), ("margin", most), ("random", most))
                ),
                *enough,
                f"{one['encoder_s'][1]:.0f}",
                f"{one['embedding_s'][1]:.0f}",
                f"{one['hours_per_hour']:,.0f}",
            ]
        )
        if "finetuned" in one:
            rows.append(_finetuned(name, one["finetuned"], most))
    header = [
        "encoder",
        "first labels",
        "40 by margin",
        "40 at random",
        f"{most} by margin",
        f"{most} at random",
        f"answers to {target:.2f}, by margin",
        "at random",
        "pre-training, s",
        "embedding, s",
        "hours of sound per hour",
    ]
    return [*measured(stored), "", *markdown(header, rows)]


def _finetuned(name, one, most):
    """The row of an encoder that learned from the answers, too."""
    mean = {
        (kind, n): f"{sum(classes) / len(classes):.2f}"
        for kind, values in one["average_precision"].items()
        for n, classes in zip(one["answers"], values)
    }
    judged = (mean[kind, n] for n in (40, most) for kind in ("margin", "random"))
    return [f"`{name}`, fine-tuned", "–", *judged, *"–" * 2, f"{one['seconds']:.0f}", *"–" * 2]
