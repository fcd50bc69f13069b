"""The order of questions: seeded, never the same twice, each order as its name says."""

import numpy as np
import pytest

from acssm_lib.recordings import heads as h
from acssm_lib.recordings.asking import ORDERS, forecast, order
from acssm_lib.recordings.labels import NO, OPEN, UNSURE, YES
from benchmarks.made_surveys import made_survey


@pytest.fixture(scope="module")
def state():
    """A survey, five yes per class answered; what ``order`` takes."""
    survey = made_survey(2, windows=1_200, nights=6, d=16)
    wanted = np.full(survey.truth.shape, OPEN, np.int8)
    for k in range(3):
        five = np.flatnonzero(survey.truth[:, k])[:5]
        wanted[five] = np.where(survey.truth[five], YES, NO)
    moments = h.moments(survey.embeddings)
    told = (wanted != OPEN).any(1)
    heads = h.fit(
        survey.embeddings[told], wanted[told], ["a", "b", "c"], *moments, survey.embeddings[h.unheard(wanted)]
    )
    return survey, wanted, heads.scores(survey.embeddings), moments


def ask(state, kind, n=20, wanted=None, **options):
    survey, known, scores, moments = state
    return order(
        kind, n, survey.embeddings, known if wanted is None else wanted, scores, survey.site_nights, *moments, **options
    )


@pytest.mark.parametrize("kind", ORDERS)
def test_an_order_is_the_same_again_and_asks_no_window_twice_nor_what_was_answered(state, kind):
    wanted = state[1].copy()
    first = ask(state, kind)
    assert np.array_equal(first, ask(state, kind)) and len(set(first.tolist())) == 20
    assert (wanted[first] == OPEN).all()
    wanted[first] = UNSURE
    again = ask(state, kind, wanted=wanted)
    assert not set(first.tolist()) & set(again.tolist())
    everything = ask(state, kind, n=5_000)
    assert len(everything) == (state[1] == OPEN).any(1).sum() == len(set(everything.tolist()))
    wanted[:] = NO
    if kind != "similar":
        assert len(ask(state, kind, wanted=wanted)) == 0


def test_similar_brings_the_class_it_is_asked_for(state):
    survey = state[0]
    for k in range(3):
        assert survey.truth[ask(state, "similar", column=k), k].mean() > 5 * survey.truth[:, k].mean()


def test_margin_brings_what_the_head_is_least_sure_of_each_class_in_turn(state):
    scores = state[2]
    distance = np.abs(scores - 0.5)
    for k in range(3):
        chosen = ask(state, "margin", column=k)
        open_ = state[1][:, k] == OPEN
        assert distance[chosen, k].max() <= np.sort(distance[open_, k])[19] + 1e-6
    mixed = ask(state, "margin", n=3)
    assert sorted(distance[mixed].argmin(1).tolist()) == [0, 1, 2]


def test_spread_visits_every_site_and_night_and_many_kinds_of_sound(state):
    survey = state[0]
    chosen = ask(state, "spread", n=24)
    assert set(survey.site_nights[chosen]) == set(range(1, 6))  # night 0 has had all questions so far
    assert not np.array_equal(chosen, ask(state, "spread", n=24, seed=1))


def test_similar_without_an_example_says_what_to_do(state):
    with pytest.raises(ValueError, match="begin with 'spread'"):
        ask(state, "similar", wanted=np.full_like(state[1], OPEN))
    with pytest.raises(ValueError, match="unknown order 'best'; there are similar"):
        ask(state, "best")


def test_the_forecast_holds_for_answers_that_keep_their_rate_and_says_nothing_on_four():
    """Nine in ten intervals hold the next ten, whatever the rate; whole numbers make them a little wider."""
    assert forecast([True] * 4, None)[1] is None
    generator, held = np.random.default_rng(0), []
    for _ in range(300):
        rate = generator.random()
        low, high = forecast(generator.random(20) < rate, None)[1]
        held.append(low <= (generator.random(10) < rate).sum() <= high)
    assert 0.87 <= np.mean(held) <= 0.99
    text, (low, high) = forecast([False] * 20, 0.0001)
    assert low == 0 and high <= 2 and "will change little" in text
