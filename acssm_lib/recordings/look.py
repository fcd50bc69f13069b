"""What is on a card before anything is done with it: hours, rates, gaps, clocks, and every fault, worst first.

Every recording is decoded from beginning to end, since headers are not believed; nothing is changed.
"""

import filecmp
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np

from acssm_lib.data.faults import Listener, too_high
from acssm_lib.data.layouts import Problem, of_note, problem_lines
from acssm_lib.files import DataError
from acssm_lib.recordings.card import files_of
from acssm_lib.recordings.embedding import ends
from acssm_lib.recordings.windows import Source
from acssm_lib.text import in_figure, many, visible

_GAP = 2.5  # times the usual distance between two recordings of a site
_TELL_S = 10.0


@dataclass
class Look:
    """What was found.

    Attributes:
        files: list of (CardFile, sample_rate Hz, channels, duration_s) that can be used.
        problems: list of ``Problem``. passed_over: hidden files and leftovers.
    """

    files: list = field(default_factory=list)
    problems: list = field(default_factory=list)
    passed_over: int = 0

    @property
    def hours(self):
        """(site, night) -> hours that can be used; night "" where the clock is unknown."""
        found = defaultdict(float)
        for file, _, _, duration_s in self.files:
            found[file.site, file.moment.night] += duration_s / 3600
        return dict(sorted(found.items()))


def look(recordings, settings, tell=print):
    """Decode all recordings below a folder and say what is there.

    Args:
        settings: a ``SurveySettings``: working rate, time zone.
    Returns:
        Look.
    Raises:
        DataError: no such folder.
    """
    files, problems, passed_over = files_of(recordings, settings.time_zone)
    found = Look(problems=list(problems), passed_over=passed_over)
    started = said = time.monotonic()
    done, whole = 0, sum(file.size for file in files)
    for count, file in enumerate(files, start=1):
        _one(file, settings, found)
        done += file.size
        now = time.monotonic()
        if now - said > _TELL_S:
            said = now
            tell(
                f"  {count:,} of {len(files):,} recordings; "
                f"about {(now - started) * (whole - done) / max(done, 1):.0f} s left"
            )
    found.problems += _gaps(found) + _copies(found)
    return found


def _one(file, settings, found):
    """Decode one recording; what is wrong with it goes to the problems."""
    listener = Listener()
    try:
        recording, source = Source.of(file.path, settings, listener)
    except Exception as error:  # whatever it is, the others are still to be looked at
        why = str(error).removeprefix(f"{file.path}: ")
        found.problems.append(
            Problem(file.name, why if isinstance(error, DataError) else f"{type(error).__name__}: {why}")
        )
        return
    found.files.append((file, recording.sample_rate, recording.n_channels, source.duration_s))
    if file.moment.note:
        found.problems.append(Problem(file.name, file.moment.note, "warning"))
    found.problems += [of_note(file.name, note) for note in source.heard.notes]
    high = too_high(file.name, listener.above(settings.sample_rate / 2), settings.sample_rate)
    found.problems += [high] if high else []


def _gaps(found):
    """Warnings where a site was silent for longer than between two of its recordings as a rule."""
    by_site, problems = defaultdict(list), []
    for file, _, _, duration_s in found.files:
        if file.moment.at is not None:
            at = file.moment.at.replace(tzinfo=None)
            by_site[file.site].append((at, at + timedelta(seconds=duration_s)))
    for site, spans in by_site.items():
        spans.sort()
        apart = np.array([(later - sooner).total_seconds() for (sooner, _), (later, _) in zip(spans, spans[1:])])
        if len(apart) < 4:
            continue
        usual = float(np.quantile(apart, 0.9))  # the pause of every day belongs to the schedule
        for (_, end), (begin, _), distance in zip(spans, spans[1:], apart):
            if distance > _GAP * max(usual, 60):
                hours = (begin - end).total_seconds() / 3600
                problems.append(
                    Problem(
                        f"{site or 'recordings'}/",
                        f"nothing between {end:%Y-%m-%d %H:%M} and {begin:%Y-%m-%d %H:%M}, {hours:.1f} h",
                        "warning",
                    )
                )
    return problems


def _copies(found):
    """Warnings of recordings that are there twice; the index takes one of them."""
    alike, problems = defaultdict(list), []
    for file, *_ in found.files:
        alike[file.size, ends(file.path)].append(file)
    for group in alike.values():
        for n, file in enumerate(group):
            first = next((other for other in group[:n] if filecmp.cmp(other.path, file.path, shallow=False)), None)
            if first is not None:
                problems.append(
                    Problem(
                        file.name,
                        f"holds the same bytes as {first.name}; index takes one of them, the hours above count both",
                        "warning",
                    )
                )
    return problems


def as_text(found):
    """The look as lines: problems worst first, then hours by site and night, rates and channels, and a verdict."""
    lines = problem_lines(found.problems)
    hours = found.hours
    nights = sorted({night for _, night in hours})
    sites = sorted({site for site, _ in hours})
    width = max([len(visible(site)) for site in sites] + [9])
    if hours:
        lines += ["", "Hours by site and night (noon to noon):", ""]
        heads = [f"{night or 'unknown':>10}" for night in nights]
        lines.append("  ".join([f"{'site':<{width}}", *heads, f"{'all':>8}"]))
        for site in sites:
            cells = [hours.get((site, night), 0) for night in nights]
            lines.append(
                f"{visible(site) or '(no site)':<{width}}  "
                + "  ".join(f"{cell:>10.2f}" if cell else f"{'-':>10}" for cell in cells)
                + f"  {sum(cells):>8.2f}"
            )
        kinds = Counter((rate, channels) for _, rate, channels, _ in found.files)
        lines += [
            "",
            "Recordings: "
            + ", ".join(
                f"{count:,} at {rate / 1000:g} kHz {'mono' if channels == 1 else f'with {channels} channels'}"
                for (rate, channels), count in kinds.most_common()
            ),
        ]
        lines.append(
            "Times: "
            + ", ".join(
                f"{count:,} {words}"
                for origin, words in (("name", "from names"), ("header", "from headers"), ("none", "unknown"))
                if (count := sum(file.moment.origin == origin for file, *_ in found.files))
            )
        )
    bad = sum(problem.severity == "error" for problem in found.problems)
    total = sum(hours.values())
    lines += [
        "",
        f"Can be used: {len(found.files):,} recordings, {total:.2f} hours. Cannot: {many(bad, 'file')}."
        + (f" Passed over: {found.passed_over:,} hidden files and leftovers." if found.passed_over else ""),
    ]
    return "\n".join(lines)


def draw(found, path):
    """Hours by site and night as a picture, written to ``path`` (PNG)."""
    from matplotlib.figure import Figure  # here: seconds that other steps save

    from acssm_lib.plots import DPI, save

    hours = found.hours
    nights = sorted({night for _, night in hours})
    sites = sorted({site for site, _ in hours})
    size = min(3 + 0.45 * len(nights), 14), min(1.6 + 0.35 * len(sites), 10)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    axes = figure.add_subplot()
    values = np.array([[hours.get((site, night), np.nan) for night in nights] for site in sites])
    picture = axes.imshow(values, aspect="auto", cmap="viridis", vmin=0)
    axes.set_xticks(range(len(nights)), [night[5:] or "unknown" for night in nights], rotation=90)
    axes.set_yticks(range(len(sites)), [in_figure(site) or "(no site)" for site in sites])
    axes.set_xlabel("night that began on")
    figure.colorbar(picture, label="hours")
    return save(figure, path)
