"""The species table: hours and detections by group, estimates from a review, files left out counted."""

import csv

import numpy as np
import pytest
from made_index import CLASSES, made_folder, made_index

from acssm_lib.files import DataError
from acssm_lib.recordings import heads, species
from acssm_lib.recordings.labels import NO, OPEN, YES
from acssm_lib.recordings.review import Review, draw, edges_from, stratum_of
from acssm_lib.recordings.tables import write_table

INDEX, TRUTH = made_index(windows=600)


def detections():
    """Two of the frog at site a, one of them without a clock (the first recording has none)."""
    return [
        {"class": "frog", "site": "a", "night": "2024-05-10", "absolute_start": ""},
        {"class": "frog", "site": "a", "night": "2024-05-11", "absolute_start": "2024-05-11T23:10:00+10:00"},
    ]


def a_review():
    scores = np.where(TRUTH[:, 0], 0.8, 0.1) + np.random.default_rng(0).random(len(TRUTH)) / 10
    windows, reasons = draw(scores, np.zeros(len(scores), bool), 120)
    edges = edges_from(reasons)
    return Review(
        scores,
        stratum_of(scores, edges),
        edges,
        np.full(len(scores), OPEN),
        windows,
        np.where(TRUTH[windows, 0], YES, NO),
    )


def test_cells_add_up_and_a_class_that_was_not_heard_has_its_row():
    cells = species.table(INDEX, detections(), {"frog": a_review(), "owl": "no review"}, CLASSES, ["site"])
    assert [(cell.name, cell.site, cell.night) for cell in cells] == [
        (name, site, "all") for name in CLASSES for site in "ab"
    ]
    hours = sum(file.duration_s for file in INDEX.files) / 3600
    assert sum(cell.hours for cell in cells) == pytest.approx(3 * hours)
    assert [cell.detections for cell in cells] == [2, 0, 0, 0, 0, 0]
    assert cells[0].first == cells[0].last == "2024-05-11T23:10:00+10:00" and cells[2].windows is None
    for cell, site in zip(cells, "ab"):
        inside = np.isin(INDEX.file_of, [k for k, file in enumerate(INDEX.files) if file.site == site])
        estimate, low, high = cell.windows
        assert low <= TRUTH[inside, 0].sum() <= high and low <= estimate <= high
    with pytest.raises(ValueError, match="expected some of site, night"):
        species.table(INDEX, [], {}, CLASSES, ["month"])


def test_names_that_a_spreadsheet_would_compute_come_back_as_they_were(tmp_path):
    survey = made_folder(tmp_path / "survey")
    names = ("-3 dB song", "=call", "@night", "+1", "'quoted", "plain")
    write_table(survey.detections_csv, ("class", "site"), [(name, name) for name in names])
    assert "\n'=call,'=call\n" in survey.detections_csv.read_text()
    assert species.detections_of(survey) == [{"class": name, "site": name} for name in names]


def test_the_whole_is_what_the_review_says():
    cell = species.table(INDEX, [], {"frog": a_review()}, ["frog"], [])[0]
    assert cell.windows == a_review().windows_with_call() and (cell.site, cell.night) == ("all", "all")
    assert "not reviewed" not in species.as_text([cell])


def test_activity_counts_per_hour_listened_and_leaves_out_what_has_no_clock():
    rates, listened, blind = species.activity(INDEX, detections(), list(CLASSES))
    known = [file for file in INDEX.files if file.recorded_at]
    assert blind == len(INDEX.files) - len(known)
    assert listened.sum() == pytest.approx(sum(file.duration_s for file in known) / 3600)
    assert np.isnan(rates[0, 12]) and rates[1, 21] == 0  # nothing recorded at noon; no owl from nine
    assert species.activity_figure(rates, list(CLASSES)).axes[0].get_title(loc="left") == "frog"


def test_table_and_report_say_what_is_left_out_and_what_there_is_in_all(tmp_path, monkeypatch):
    survey = made_folder(tmp_path / "survey")
    survey.index_folder.mkdir()
    INDEX.folder = survey.index_folder
    made = heads.fit(INDEX.embeddings, np.where(TRUTH, YES, NO), CLASSES, *heads.moments(INDEX.embeddings))
    made.evidence = {name: {"yes": 3, "no": 9, "too_few": "2 more yes"} for name in CLASSES}
    with pytest.raises(DataError, match="acssm survey predict"):
        species.write_table_and_report(survey, INDEX, made)
    with open(survey.detections_csv, "w", newline="") as file:
        writer = csv.DictWriter(file, list(detections()[0]))
        writer.writeheader()
        writer.writerows(detections())
    cells, notes = species.write_table_and_report(survey, INDEX, made)
    with open(survey.species_csv, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(cells) == 3 * 6 and tuple(rows[0]) == species.COLUMNS
    assert "left out: 1 (x.wav)" in notes[0] and "x.wav" in notes[0] and "1 of 6 recordings" in notes[1]
    page = (survey.folder / "report.html").read_text(encoding="utf-8")
    assert "too few to judge it" in page and "x.wav" in page
    monkeypatch.setattr(species, "reviews", lambda *args: {"frog": a_review(), "owl": "owl: no review yet"})
    _, notes = species.write_table_and_report(survey, INDEX, made)
    number, low, high = a_review().windows_with_call()
    assert notes[0] == f"frog: {number:.0f} ({low:.0f} to {high:.0f}) of all 600 windows hold the call"
    page = (survey.folder / "report.html").read_text(encoding="utf-8")
    assert notes[0] in page and notes[-1] == "owl: no review yet"
