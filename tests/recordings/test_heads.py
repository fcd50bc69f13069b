"""Heads: what was answered is learned, background is, and nothing is said on too few answers."""

import numpy as np
import pytest

from acssm_lib.recordings import heads as h
from acssm_lib.recordings.labels import NO, OPEN, UNSURE, YES
from benchmarks.made_surveys import made_survey


@pytest.fixture(scope="module")
def survey():
    return made_survey(0, windows=1_500, nights=6, d=16)


def asked(survey, n=400):
    """n windows, half with a call, answered truthfully; and the moments."""
    generator = np.random.default_rng(0)
    yes, no = (
        generator.permutation(np.flatnonzero(some))[: n // 2] for some in (survey.truth.any(1), ~survey.truth.any(1))
    )
    windows = np.sort(np.concatenate([yes, no]))
    return windows, np.where(survey.truth[windows], YES, NO), h.moments(survey.embeddings)


def test_heads_tell_the_classes_and_the_background_apart(survey):
    windows, wanted, moments = asked(survey)
    heads = h.fit(survey.embeddings[windows], wanted, ["a", "b", "c"], *moments)
    scores = heads.scores(survey.embeddings)
    assert scores.shape == (1_500, 3) and scores.dtype == np.float32
    for k in range(3):
        call, other = (np.median(scores[some, k]) for some in (survey.truth[:, k], ~survey.truth[:, k]))
        assert call > 0.7 and other < 0.1


def test_none_of_these_keeps_a_sound_of_the_background_out(survey):
    """A sound near a call scores high until it was answered "none of these"."""
    windows, wanted, moments = asked(survey)
    insect = (survey.embeddings[survey.truth[:, 0]].mean(0) + np.linspace(-2, 2, 16)).astype(np.float32)
    with_it = np.concatenate([survey.embeddings[windows], np.tile(insect, (20, 1))])
    before = h.fit(survey.embeddings[windows], wanted, ["a", "b", "c"], *moments).scores(insect[None])[0, 0]
    told = np.concatenate([wanted, np.full((20, 3), NO)])
    after = h.fit(with_it, told, ["a", "b", "c"], *moments).scores(insect[None])[0, 0]
    assert after < 0.4 < 0.8 < before


def test_unsure_and_open_windows_take_no_part(survey):
    windows, wanted, moments = asked(survey)
    extra = np.concatenate([wanted, np.full((50, 3), UNSURE), np.full((50, 3), OPEN)])
    some = np.concatenate([survey.embeddings[windows], survey.embeddings[:100]])
    one, two = (
        h.fit(*pair, ["a", "b", "c"], *moments) for pair in ((survey.embeddings[windows], wanted), (some, extra))
    )
    assert np.array_equal(one.weight, two.weight) and np.array_equal(one.bias, two.bias)


def test_a_class_nobody_heard_yet_scores_one_half_and_windows_nobody_heard_are_its_background(survey):
    windows, wanted, moments = asked(survey)
    wanted = wanted.copy()
    wanted[:, 1] = NO
    wanted[:, 2] = OPEN
    wanted[:5, 2] = YES
    heads = h.fit(survey.embeddings[windows], wanted, ["a", "b", "c"], *moments)
    assert np.all(heads.scores(survey.embeddings)[:, 1:] == 0.5)
    rest = survey.embeddings[h.unheard(np.full((1_500, 3), OPEN))]
    assert len(rest) == h.N_UNHEARD
    assert h.fit(survey.embeddings[windows], wanted, ["a", "b", "c"], *moments, rest).weight[2].any()


def test_too_few_answers_say_what_is_missing(survey):
    windows, wanted, moments = asked(survey)
    few = h.judge(survey.embeddings[windows[:8]], wanted[:8, 0], survey.site_nights[windows[:8]], *moments)
    assert "found" not in few and "more yes" in few["too_few"] and "sites or nights" in few["too_few"]
    heads = h.fit(survey.embeddings[windows], wanted, ["a"], *moments)
    heads.evidence["a"] = few
    assert h.in_words(heads)[0].startswith(f"a: {few['yes']} yes, {few['no']} no; too few to judge it: needs ")


def test_accuracy_is_that_of_nights_not_trained_on():
    """Where every night has sounds of its own and nothing else, shuffled windows would look learned; nights do not."""
    generator = np.random.default_rng(1)
    nights = np.repeat(np.arange(10), 40)
    wanted = np.where(np.isin(nights, generator.permutation(10)[:5]), YES, NO)  # the night decides, the sound does not
    embeddings = (3 * generator.standard_normal((10, 16)))[nights] + generator.standard_normal((400, 16))
    moments = h.moments(embeddings)
    shuffled = h.across_nights(embeddings, wanted, generator.integers(0, 10, 400), *moments)
    honest = h.across_nights(embeddings, wanted, nights, *moments)
    right = [np.mean((scores >= 0.5) == (wanted == YES)) for scores in (shuffled, honest)]
    assert right[0] > 0.9 and right[1] < 0.75


def test_the_interval_of_a_share_knows_that_windows_of_a_night_are_alike():
    nights = np.repeat(np.arange(6), 50)
    alike = h.proportion(nights < 4, nights)  # whole nights right or wrong
    mixed = h.proportion(np.arange(300) % 3 > 0, nights)  # the same share in every night
    assert alike[0] == pytest.approx(mixed[0]) and alike[2] - alike[1] > 3 * (mixed[2] - mixed[1])
    share, low, high = h.proportion(np.ones(20, bool), np.arange(20) % 4)
    assert (share, high) == (1, 1) and low < 0.84
