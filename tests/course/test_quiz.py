import pytest
import torch

from acssm_lib.course.quiz import Quiz, QuizPanel

CLASSES = ["toad", "newt", "frog"]
ANSWERS = ["newt", "toad", "frog", "newt"]


@pytest.fixture
def quiz():
    generator = torch.Generator().manual_seed(0)
    return Quiz(0.1 * torch.randn(4, 4000, generator=generator), 20_000, ANSWERS, CLASSES)


def play(quiz, guesses):
    for question, name in enumerate(guesses):
        quiz.guess(question, name)
    return quiz.message()


def test_no_score_before_the_last_answer(quiz):
    assert (quiz.answered, quiz.score, quiz.message(), quiz.verdict(0)) == (0, None, "not played yet", "")
    assert play(quiz, ["newt", "toad", "toad"]) == "3 of 4 answered"
    assert (quiz.answered, quiz.finished, quiz.score, quiz.verdict(2)) == (3, False, None, "")


def test_an_answer_changes_until_the_last_is_given_and_never_after(quiz):
    play(quiz, ["toad", "toad", "frog"])
    quiz.guess(0, None)
    assert quiz.answered == 2
    quiz.guess(0, "newt")
    quiz.guess(3, "frog")
    assert quiz.score == 3
    with pytest.raises(ValueError, match="fixed"):
        quiz.guess(3, "newt")
    assert quiz.score == 3


def test_message_names_the_pair_confused_most_in_either_direction(quiz):
    assert play(quiz, ["toad", "newt", "toad", "newt"]) == "1 of 4 right; you mixed up toad with newt (2 times)"
    assert [quiz.verdict(question) for question in range(4)] == ["it was newt", "it was toad", "it was frog", "right"]


def test_message_of_one_mistake_and_of_none(quiz):
    assert play(quiz, ["newt", "toad", "frog", "frog"]) == "3 of 4 right; you mixed up newt with frog (1 time)"
    perfect = Quiz(quiz.waveforms, 20_000, ANSWERS, CLASSES)
    assert play(perfect, ANSWERS) == "4 of 4 right"


@pytest.mark.parametrize(
    "question, name, message",
    [
        (4, "toad", "no question 4; they are counted from 0 to 3"),
        (-1, "toad", "no question -1"),
        (0, "fish", "no class 'fish'; there are toad, newt, frog"),
    ],
)
def test_wrong_guesses_are_refused(quiz, question, name, message):
    with pytest.raises(ValueError, match=message):
        quiz.guess(question, name)
    assert quiz.answered == 0


@pytest.mark.parametrize(
    "n_waveforms, answers, message",
    [(3, ANSWERS, "3 waveforms but 4 answers"), (0, [], "at least one"), (1, ["fish"], "no class 'fish'")],
)
def test_a_quiz_that_cannot_be_asked_is_refused(n_waveforms, answers, message):
    with pytest.raises(ValueError, match=message):
        Quiz(torch.zeros(n_waveforms, 4000), 20_000, answers, CLASSES)


def test_panel_plays_the_quiz_and_locks_at_the_end(quiz):
    panel = QuizPanel(quiz)
    assert "not played yet" in panel.score.value and "t-score" in panel.score._dom_classes
    assert {guess.label for guess in panel.guesses} == {"choose"}
    for question, name in enumerate(["newt", "toad", "frog", "toad"]):
        assert f"t-guess-{question}" in panel.guesses[question]._dom_classes
        assert not panel.guesses[question].disabled
        panel.guesses[question].value = name
    assert quiz.guesses == ["newt", "toad", "frog", "toad"]
    assert "3 of 4 right" in panel.score.value
    assert all(guess.disabled for guess in panel.guesses)
    assert [verdict.value for verdict in panel.verdicts] == ["right", "right", "right", "it was newt"]


def test_panel_shows_answers_that_were_given_before(quiz):
    quiz.guess(1, "frog")
    panel = QuizPanel(quiz)
    assert [guess.value for guess in panel.guesses] == [None, "frog", None, None]
    assert "1 of 4 answered" in panel.score.value


def test_panel_offers_every_class_and_each_question_its_own_sound(quiz):
    panel = QuizPanel(quiz)
    assert [label for label, _ in panel.guesses[0].options] == ["choose", *CLASSES]
    sounds = {row.children[1].value for row in panel.children[:-1]}
    assert len(sounds) == 4 and len(repr(panel)) <= 110
