"""The listening page behind its looks: answers on the disk, undo, several classes, review, an interruption."""

import numpy as np
import pytest
from made_index import CLASSES, made_folder, made_index

from acssm_lib.files import DataError
from acssm_lib.recordings import heads, species
from acssm_lib.recordings.labels import Labels
from acssm_lib.recordings.listening import ListeningState, spectrogram

INDEX, TRUTH = made_index()


@pytest.fixture
def survey(tmp_path):
    return made_folder(tmp_path / "survey")


def listen(state, n):
    """Answer n questions truthfully; returns the windows."""
    windows = []
    for _ in range(n):
        windows.append(state.window)
        state.answer([name for name, heard in zip(CLASSES, TRUTH[state.window]) if heard and name in state.classes])
    return windows


def test_every_answer_is_on_the_disk_before_the_next_question_and_comes_back(survey):
    state = ListeningState(survey, INDEX, by="Ada")
    for k in range(1, 4):
        window, asked = state.window, state.asked
        state.answer(["frog", "owl"])
        rows = Labels(survey.labels_csv).rows()
        assert len(rows) == 3 * k and state.window != window and state.asked == asked + 1
        assert [row.answer for row in rows[-3:]] == ["yes", "yes", "no"]
    state.answer(unsure=True)
    again = ListeningState(survey, INDEX, by="Ada")
    assert again.progress() == "4 answers: frog 3 yes, owl 3 yes, toad 0 yes"
    assert np.array_equal(again.wanted, state.wanted) and again.window is not None


def test_an_answer_to_an_older_question_is_not_taken(survey):
    state = ListeningState(survey, INDEX, by="Ada")
    asked = state.asked
    state.answer(["frog"], asked=asked)
    state.answer(["frog"], asked=asked)  # the same key once more
    assert len(Labels(survey.labels_csv)) == 1


def test_undo_leaves_a_mark_that_lies_in_the_window(survey):
    """Somebody marked a call of half a second, then answered a window that holds it, and took that back."""
    labels = Labels(survey.labels_csv)
    labels.add((INDEX.files[0].name, 3.5, 4.0), {"frog": "yes"}, "Ada", "example")
    state = ListeningState(survey, INDEX, by="Ada", order="margin")
    before = state.wanted.copy()
    state.window = state.place = int(np.flatnonzero(before[:, 0] == 1)[0])
    state.answer()
    assert state.wanted[:, 0].tolist() != before[:, 0].tolist()
    state.undo()
    assert np.array_equal(state.wanted, before)
    assert np.array_equal(ListeningState(survey, INDEX, by="Ada").wanted, before)


def test_undo_brings_the_window_back(survey):
    state = ListeningState(survey, INDEX, by="Ada")
    first, second = listen(state, 2)
    state.undo()
    assert state.window == second and len(Labels(survey.labels_csv)) == 1 and "listen again" in state.message
    state.answer()
    state.undo()
    state.undo()
    state.undo()
    assert state.window is not None and "no answer of yours" in state.message


def test_margin_answers_teach_the_heads(survey):
    labels = Labels(survey.labels_csv)
    for k in range(3):
        for window in np.flatnonzero(TRUTH[:, k])[:5]:
            file = INDEX.files[INDEX.file_of[window]].name
            start = INDEX.start_s[window]
            labels.add(
                (file, start, start + 3), dict(zip(CLASSES, np.where(TRUTH[window], "yes", "no"))), "Ada", "example"
            )
    state = ListeningState(survey, INDEX, by="Ada", order="margin")
    before = np.mean([state.scores[TRUTH[:, k], k].mean() - state.scores[~TRUTH[:, k], k].mean() for k in range(3)])
    windows = listen(state, 25)
    after = np.mean([state.scores[TRUTH[:, k], k].mean() - state.scores[~TRUTH[:, k], k].mean() for k in range(3)])
    assert len(set(windows)) == 25 and after > before
    assert "of the next 10" in state.forecast() and "across the line" in state.forecast()
    rows = [row for row in Labels(survey.labels_csv).rows() if row.asked_because == "margin"]
    assert len(rows) == 75 and all(row.score is not None for row in rows)


def test_orders_can_be_changed_and_similar_waits_for_an_example(survey):
    state = ListeningState(survey, INDEX, by="Ada", order="similar")
    assert "no example yet" in state.message
    state.order = "random"
    window = state.window
    state.order = "random"
    assert state.window == window  # seeded: asking again is no new draw
    with pytest.raises(ValueError, match="there are similar"):
        state.order = "best"


def test_a_review_is_blind_goes_on_after_a_stop_and_trains_nothing(survey):
    state = ListeningState(survey, INDEX, by="Ada")
    while not all((state.wanted[:, k] == 1).any() for k in range(3)):
        listen(state, 1)
    reviewing = ListeningState(survey, INDEX, by="Ada", review_of="frog", n=20)
    assert reviewing.classes == ["frog"] and len(reviewing.queue) == 20 and "score" in reviewing.forecast()
    every = [window for window, _, _ in reviewing.queue]
    first = listen(reviewing, 8)
    again = ListeningState(survey, INDEX, by="Ada", review_of="frog", n=20)
    assert first + [window for window, _, _ in again.queue] == every
    again.undo()
    assert again.window == first[-1]
    listen(again, 13)
    assert again.window is None and again.title().startswith("Nothing left to ask")
    rows = [row for row in Labels(survey.labels_csv).rows() if row.asked_because.startswith("review")]
    assert len(rows) == 20 and {row.label for row in rows} == {"frog"}
    labelling = ListeningState(survey, INDEX, by="Ada")
    assert np.array_equal(labelling.wanted, state.wanted)


def test_a_full_disk_is_said_and_the_question_stays(survey, monkeypatch):
    state = ListeningState(survey, INDEX, by="Ada")
    window = state.window
    monkeypatch.setattr("os.fsync", lambda place: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    state.answer(["frog"])
    assert "NOT saved" in state.message and state.window == window


def test_a_review_drawn_from_another_seed_is_of_the_same_heads(survey):
    """The seed of a draw changes which windows are heard, not what a score is worth."""
    listen(ListeningState(survey, INDEX, by="Ada", order="random"), 60)
    listen(ListeningState(survey, INDEX, by="Ada", review_of="frog", n=30, seed=3), 30)
    made = heads.train(survey, INDEX)
    judged = species.reviews(survey, INDEX, made)["frog"]
    assert not isinstance(judged, str) and len(judged.windows) == 30


def test_a_survey_without_classes_or_a_review_of_none_is_refused_in_words(survey, tmp_path):
    with pytest.raises(DataError, match="no class 'bat'"):
        ListeningState(survey, INDEX, review_of="bat")
    (tmp_path / "other/recordings").mkdir(parents=True)
    with pytest.raises(DataError, match="0 classes"):
        ListeningState(type(survey).create(tmp_path / "other"), INDEX)


def test_the_spectrogram_has_axes_in_seconds_and_kilohertz_and_shows_a_tone_where_it_is(survey):
    seconds = np.arange(6_000) / 2_000
    fig = spectrogram(np.sin(2 * np.pi * 600 * seconds), 2_000, start_s=12.0)
    ax = fig.axes[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Time in the recording (s)", "Frequency (kHz)")
    image = ax.images[0]
    left, right, bottom, top = image.get_extent()
    loudest = np.asarray(image.get_array()).mean(1).argmax()
    hertz = bottom + (top - bottom) * loudest / len(image.get_array())
    assert (left, right) == (12, 15) and hertz == pytest.approx(0.6, abs=0.05)
    state = ListeningState(survey, INDEX, by="Ada")
    assert state.sound()[:4] == b"RIFF" and state.picture() is not None


def test_the_page_says_what_went_wrong_and_takes_each_question_once(survey):
    pytest.importorskip("anywidget")
    from acssm_lib.recordings.listening_page import ListeningPage

    page = ListeningPage(ListeningState(survey, INDEX, by="Ada"))
    asked = page.question["asked"]
    assert page.picture[:4] == b"\x89PNG" and page.classes == list(CLASSES)
    page.receive({"action": "answer", "names": ["owl", "no such class"], "asked": asked})
    page.receive({"action": "answer", "names": ["owl"], "asked": asked})
    assert len(Labels(survey.labels_csv)) == 1 and page.question["asked"] == asked + 1
    page.receive({"action": "order", "order": "best", "asked": asked + 1})
    assert "unknown order" in page.question["message"]
    page.receive({"action": "undo", "asked": page.question["asked"]})
    assert len(Labels(survey.labels_csv)) == 0
