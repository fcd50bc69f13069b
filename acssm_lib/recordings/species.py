"""The table at the end: per class, site and night what was detected, in how many hours, and how many windows truly.

Detections are those of ``detections.csv``. The estimated number of windows with the call, with its interval, comes from
a review of the class; without one the cells stay empty. For all sites and nights together it is what the draw was made
for; for single ones it is carried over (``review.Review.cell``).
"""

import base64
import html
import io
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from acssm_lib import plots
from acssm_lib.files import DataError, write_text
from acssm_lib.recordings import heads as h
from acssm_lib.recordings.labels import Labels, Places
from acssm_lib.recordings.listening import score_all
from acssm_lib.recordings.review import of_answers
from acssm_lib.recordings.tables import read_table, write_table
from acssm_lib.text import quoted

BY = ("site", "night")
COLUMNS = (
    "class",
    "site",
    "night",
    "recordings",
    "hours",
    "detections",
    "windows_with_call",
    "low",
    "high",
    "first",
    "last",
)


@dataclass(frozen=True)
class Cell:
    """One row: a class in a group of recordings.

    Attributes:
        name: of the class. site, night: of the group; "all" where the table is not parted by it, "" unknown.
        recordings, hours: listened to. detections: bouts in ``detections.csv``.
        windows: (estimate, low, high) of windows with the call, None without a review.
        first, last: begin of the first and last detection, ISO 8601; "" without one, or without a clock.
    """

    name: str
    site: str
    night: str
    recordings: int
    hours: float
    detections: int
    windows: tuple | None
    first: str
    last: str

    @property
    def row(self):
        """Words of ``COLUMNS``."""
        windows = ("", "", "") if self.windows is None else tuple(f"{value:.0f}" for value in self.windows)
        return (
            self.name,
            self.site,
            self.night,
            self.recordings,
            f"{self.hours:.4f}",
            self.detections,
            *windows,
            self.first,
            self.last,
        )


def reviews(survey, index, made):
    """class -> ``Review``, or the words why there is none.

    Args:
        made: ``Heads`` of the survey's recogniser.
    """
    rows, known, found = Labels(survey.labels_csv).rows(), h.answers(survey, index), {}
    scores, places = score_all(made, index), Places.of_index(index)
    for k, name in enumerate(made.classes):
        column = list(survey.settings.classes).index(name) if name in survey.settings.classes else None
        try:
            if column is None:
                raise DataError(f"{name}: no class of survey.toml any more")
            found[name] = of_answers(rows, name, scores[:, k], known[:, column], places)
        except DataError as error:
            found[name] = str(error).replace(" SURVEY ", f" {quoted(survey.folder)} ")
    return found


def detections_of(survey):
    """Rows of ``detections.csv`` as dicts.

    Raises:
        DataError: there is none yet.
    """
    if not survey.detections_csv.is_file():
        raise DataError(
            f"{survey.detections_csv}: not there yet; acssm survey predict {quoted(survey.folder)} writes it"
        )
    return read_table(survey.detections_csv)


def table(index, found, judged, classes, by=BY):
    """The cells, by class, site and night.

    Args:
        index: ``Index``. found: of ``detections_of``. judged: of ``reviews``.
        classes: names. by: some of "site", "night".
    Returns:
        list of ``Cell``; of a class that was not detected in a group too.
    Raises:
        ValueError: another word in ``by``.
    """
    if [word for word in by if word not in BY]:
        raise ValueError(f"by={','.join(by)}: expected some of {', '.join(BY)}")
    group_of = lambda site, night: (site if "site" in by else "all", night if "night" in by else "all")
    groups = [group_of(file.site, file.night) for file in index.files]
    hours, recordings, times = defaultdict(float), defaultdict(int), defaultdict(list)
    for group, file in zip(groups, index.files):
        hours[group] += file.duration_s / 3600
        recordings[group] += 1
    for row in found:
        times[row["class"], group_of(row["site"], row["night"])].append(row["absolute_start"])
    order = {group: place for place, group in enumerate(sorted(hours))}
    window_group = np.array([order[group] for group in groups])[index.file_of]
    cells = []
    for name in classes:
        review = judged.get(name)
        for group, place in order.items():
            inside, seen = window_group == place, times[name, group]
            windows = None
            if review is not None and not isinstance(review, str):
                windows = review.windows_with_call() if inside.all() else review.cell(inside)
            known = sorted(filter(None, seen))
            cells.append(
                Cell(
                    name,
                    *group,
                    recordings[group],
                    hours[group],
                    len(seen),
                    windows,
                    known[0] if known else "",
                    known[-1] if known else "",
                )
            )
    return cells


def activity(index, found, classes):
    """Detections per hour listened, by hour of the clock.

    Returns:
        (classes, 24), NaN for hours in which nothing was recorded; hours listened (24,); recordings without a clock.
    """
    listened, counts, blind = np.zeros(24), np.zeros((len(classes), 24)), 0
    for file in index.files:
        if not file.recorded_at:
            blind += 1
            continue
        at, left = datetime.fromisoformat(file.recorded_at), file.duration_s
        while left > 0:
            step = min(left, 3600 - (at.minute * 60 + at.second + at.microsecond / 1e6))
            listened[at.hour] += step / 3600
            at, left = at + timedelta(seconds=step), left - step
    for row in found:
        if row["absolute_start"] and row["class"] in classes:
            counts[classes.index(row["class"]), datetime.fromisoformat(row["absolute_start"]).hour] += 1
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(listened > 0, counts / listened, np.nan), listened, blind


def activity_figure(rates, classes):
    """The activity of every class from noon to noon, a figure; hours without a recording are hatched."""
    fig, axes = plots.canvas(8.0, 1.5 * len(classes) + 0.8, len(classes), 1)
    hours = (np.arange(24) + 12) % 24
    for ax, name, values in zip(np.atleast_1d(np.asarray(axes)).ravel(), classes, rates[:, hours]):
        heard = ~np.isnan(values)
        ax.bar(np.flatnonzero(heard), values[heard], width=0.9, color="#0072B2")
        top = max(float(np.nanmax(values, initial=0.0)), 1.0)
        for hour in np.flatnonzero(~heard):
            ax.axvspan(hour - 0.5, hour + 0.5, facecolor="#F2F2F2", hatch="///", edgecolor="#D0D0D0", linewidth=0)
        ax.set_xlim(-0.5, 23.5)
        ax.set_ylim(0, 1.1 * top)
        ax.set_xticks(range(0, 24, 3), [f"{hours[k]:02d}" for k in range(0, 24, 3)])
        plots.dress(ax, name, "Hour of the clock (hatched: nothing recorded)", "Detections per hour")
    return fig


def write_table_and_report(survey, index, made, by=BY):
    """``species.csv`` and ``report.html`` of a survey.

    Args:
        made: ``Heads`` of the survey's recogniser.
    Returns:
        cells, and lines of text: each class over all sites and nights, and what is left out.
    """
    found, judged = detections_of(survey), reviews(survey, index, made)
    cells = table(index, found, judged, list(made.classes), by)
    rates, listened, blind = activity(index, found, list(made.classes))
    notes = [
        f"files that could not be used and are left out: {len(index.skipped)}"
        + (
            f" ({', '.join(name for name, _ in index.skipped[:5])}{' ...' if len(index.skipped) > 5 else ''}); "
            f"{index.folder / 'skipped.csv'} says why"
            if index.skipped
            else ""
        ),
        f"{blind} of {len(index.files)} recordings have no known time: they count in the table, not in the activity",
    ]
    notes += [words for words in judged.values() if isinstance(words, str)]
    totals = [
        f"{name}: {{:,.0f}} ({{:,.0f}} to {{:,.0f}}) of all {len(index.file_of):,} windows hold the call".format(
            *one.windows_with_call()
        )
        for name, one in judged.items()
        if not isinstance(one, str)
    ]
    write_table(survey.species_csv, COLUMNS, [cell.row for cell in cells])
    write_text(survey.folder / "report.html", _page(survey, index, made, cells, totals, notes, rates, listened))
    return cells, totals + notes


def _page(survey, index, made, cells, totals, notes, rates, listened):
    """One file that opens without a network."""
    buffer = io.BytesIO()
    activity_figure(rates, list(made.classes)).savefig(buffer, format="png", dpi=plots.DPI, facecolor="white")
    picture = base64.b64encode(buffer.getvalue()).decode()
    hours = sum(file.duration_s for file in index.files) / 3600
    lines = [
        *totals,
        *h.in_words(made),
        *(
            f"{name}: a score of {made.thresholds.get(name, 0.5):.3f} or more counts; "
            f"{made.evidence[name].get('threshold', 'no review has said what it is worth')}"
            for name in made.classes
        ),
    ]
    items = lambda some: "".join(f"<li>{html.escape(line)}</li>" for line in some)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(str(value))}</td>" for value in cell.row) + "</tr>" for cell in cells
    )
    return f"""<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>Species of {html.escape(survey.folder.resolve().name)}</title>
<style>body{{font:15px/1.5 sans-serif;max-width:1200px;margin:2em auto;padding:0 1em}}table{{border-collapse:collapse}}
td,th{{border:1px solid #ccc;padding:3px 8px;text-align:right;white-space:nowrap}}
td:nth-child(-n+3){{text-align:left}}
img{{max-width:100%}}</style>
<h1>Species of {html.escape(survey.folder.resolve().name)}</h1>
<p>{len(index.files)} recordings, {hours:.2f} hours; times of day cover {listened.sum():.2f} of them. Windows of
{index.window_s:g} s; columns low and high are the ends of a 95 % interval of the windows with the call. Estimates for
single sites and nights take for granted that a score means about the same everywhere.</p>
<table><tr>{"".join(f"<th>{name}</th>" for name in COLUMNS)}</tr>{body}</table>
<h2>Activity</h2><img alt="detections per hour listened, by hour of the clock" src="data:image/png;base64,{picture}">
<h2>How far to trust it</h2><ul>{items(lines)}</ul><h2>Left out</h2><ul>{items(notes)}</ul></html>
"""


def as_text(cells):
    """The cells as a table for a terminal."""
    lines = [f"{'class':<14} {'site':<10} {'night':<11} {'hours':>7} {'detections':>10}  windows with the call"]
    for cell in cells:
        windows = "not reviewed" if cell.windows is None else "{:.0f} ({:.0f} to {:.0f})".format(*cell.windows)
        lines.append(
            f"{cell.name:<14} {cell.site:<10} {cell.night or 'unknown':<11} {cell.hours:7.2f} "
            f"{cell.detections:10d}  {windows}"
        )
    return "\n".join(lines)
