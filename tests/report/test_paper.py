"""The printed tables against themselves, and our arithmetic on them against numbers worked out before."""

import numpy as np
import pytest

from acssm_lib.names import METHOD_NAMES
from acssm_lib.report import paper as tables

SPEECH_MODELS = ("HuBERT", "TERA", "Mockingjay", "wav2vec 2.0", "BYOL")


@pytest.mark.parametrize("name", tables.ROWS)
def test_ten_cells_average_to_the_printed_average(name):
    row = tables.ROWS[name]
    assert len(row.accuracies) == 10
    assert np.mean(row.accuracies) == pytest.approx(row.average, abs=0.0011)  # cells and average are both rounded


def test_table_holds_every_printed_number():
    table = tables.table()
    assert table.shape == (9, 12)
    assert table.loc["AcousticSSM1", "G10"] == 0.907 and table.loc["HuBERT", "frogs"] == 0.701
    assert table["frogs"].isna().sum() == 2


def test_fits_counts_whole_numbers_of_clips():
    assert tables.fits([0.333, 0.667, 0.5, 0.1], 3) == 2
    assert tables.fits([0.0, 1.0], 7) == 2
    assert tables.fits(np.round(np.arange(176) / 175, 3), 175) == 176


def test_acoustic_ssm1_fits_150_clips_alone():
    accuracies = tables.ROWS["AcousticSSM1"].accuracies
    assert [tables.fits(accuracies, n) for n in (140, 150, 175)] == [2, 10, 0]
    assert [round(150 * accuracy) for accuracy in accuracies] == [130, 119, 101, 112, 107, 115, 110, 131, 109, 136]


@pytest.mark.parametrize("name", SPEECH_MODELS)
def test_speech_models_fit_175_clips(name):
    accuracies = tables.ROWS[name].accuracies
    assert tables.fits(accuracies, 175) == 10
    assert tables.fits(accuracies, 140) <= 5 and tables.fits(accuracies, 150) <= 2


@pytest.mark.parametrize(
    "name, found",
    [
        ("AcousticSSM2", [2, 1, 3]),
        ("MT-SLVR", [2, 0, 2]),
        ("Adapted CNN", [1, 1, 1]),
    ],
)
def test_other_rows_fit_no_size(name, found):
    assert [tables.fits(tables.ROWS[name].accuracies, n) for n in (140, 150, 175)] == found


def test_test_sizes_are_those_that_fit():
    for row in tables.ROWS.values():
        full = [n for n in (140, 150, 175) if tables.fits(row.accuracies, n) == 10]
        assert full == ([row.n_test] if row.n_test else [])


def test_fits_by_chance_matches_random_decimals():
    random = np.random.default_rng(0).integers(0, 1001, 20_000) / 1000
    assert tables.fits(random, 150) / 2000 == pytest.approx(tables.fits_by_chance(150), abs=0.1)
    assert tables.fits_by_chance(150) == pytest.approx(1.51, abs=0.005)
    assert tables.fits_by_chance(175) == pytest.approx(1.76, abs=0.005)


def test_frogs_fit_140_clips():
    frogs = [row.frogs for row in tables.ROWS.values() if row.frogs]
    assert tables.fits(frogs, tables.FROG_TEST) == 5
    assert int(1000 * 123 / tables.FROG_TEST) == 878  # AcousticSSM1's .878 is 123 of 140, cut rather than rounded


@pytest.mark.parametrize(
    "accuracy, n, half", [(0.78, 150, 0.066), (0.90, 150, 0.048), (0.73, 175, 0.066), (0.50, 175, 0.074)]
)
def test_binomial_half_width(accuracy, n, half):
    low, high = tables.binomial_interval(accuracy, n)
    assert low < accuracy < high and (high - low) / 2 == pytest.approx(half, abs=0.0015)


@pytest.mark.parametrize(
    "a, b, mean, half, p, p_wilcoxon, won, apart",
    [  # points, points
        ("AcousticSSM1", "MT-SLVR", 5.3, 6.3, 0.09, 0.11, 7, 2),
        ("AcousticSSM2", "MT-SLVR", 1.7, 3.2, 0.25, 0.28, 6, 0),
        ("AcousticSSM1", "AcousticSSM2", 3.6, 3.7, 0.06, 0.07, 7, 1),
        ("AcousticSSM1", "Adapted CNN", 8.7, 3.4, 0.0005, 0.004, 9, 7),
        ("AcousticSSM2", "Adapted CNN", 5.1, 3.2, 0.005, 0.010, 8, 2),
        ("AcousticSSM1", "HuBERT", 10.9, 7.4, 0.008, 0.010, 9, 5),
        ("AcousticSSM2", "HuBERT", 7.3, 6.8, 0.04, 0.01, 9, 3),
        ("HuBERT", "TERA", 2.5, 3.8, 0.17, 0.12, 8, 0),
    ],
)
@pytest.mark.filterwarnings("ignore:Exact p-value calculation:UserWarning")
def test_differences_between_rows(a, b, mean, half, p, p_wilcoxon, won, apart):
    found = tables.paired_t(a, b)
    assert (100 * found.mean, 100 * found.half) == pytest.approx((mean, half), abs=0.06)
    assert found.p == pytest.approx(p, abs=0.006) and found.p_wilcoxon == pytest.approx(p_wilcoxon, abs=0.008)
    assert found.won == won and tables.cells_apart(a, b) == apart


def test_a_difference_changes_sign_with_its_order():
    forth, back = tables.paired_t("HuBERT", "TERA"), tables.paired_t("TERA", "HuBERT")
    assert (forth.mean, forth.p) == pytest.approx((-back.mean, back.p))


def test_byol_is_at_chance():
    right, tested, p = tables.against_chance(tables.ROWS["BYOL"].accuracies, 175)
    assert (right, tested) == (378, 1750) and p == pytest.approx(0.09, abs=0.005)
    assert tables.against_chance([tables.ROWS["BYOL"].frogs], 140)[0] == 21
    assert tables.against_chance([tables.ROWS["BYOL"].frogs], 140)[2] == pytest.approx(0.17, abs=0.005)


def test_every_row_has_its_method_and_its_note():
    assert [name for rows in tables.TABLES.values() for name in rows] == list(tables.ROWS)
    assert set(tables.NOTES) == set(tables.ROWS)
    assert {method for rows in tables.TABLES.values() for method in rows.values()} <= set(METHOD_NAMES)


@pytest.mark.parametrize("name, half", [("AcousticSSM1", 0.021), ("HuBERT", 0.022), ("BYOL", 0.019)])
def test_interval_of_an_average_of_ten_runs(name, half):
    low, high = tables.average_interval(name)
    assert ((low + high) / 2, (high - low) / 2) == pytest.approx((tables.ROWS[name].average, half), abs=0.001)
