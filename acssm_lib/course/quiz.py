"""A listening quiz: be the classifier yourself, on the labels and the questions that the machine gets."""

from collections import Counter

import ipywidgets as widgets

from acssm_lib.course.listen import mp3


class Quiz:
    """Sounds, the right class of each, and what the player said.

    An answer may be changed until the last one is given; then all are fixed, since a test that is taken again after
    the score is known measures something else.

    Args:
        waveforms: one per question, tensors or arrays, (samples,) each, in [-1, 1].
        sample_rate: Hz.
        answers: name of the right class, one per question.
        classes: names to choose from.
    Attributes:
        guesses: list of names, None where the question is open.
    Raises:
        ValueError: no question, answers of another number than waveforms, or an answer that is no class.
    """

    def __init__(self, waveforms, sample_rate, answers, classes):
        self.waveforms, self.sample_rate = list(waveforms), sample_rate
        self.answers, self.classes = list(answers), list(classes)
        if not self.answers or len(self.waveforms) != len(self.answers):
            raise ValueError(
                f"{len(self.waveforms)} waveforms but {len(self.answers)} answers; a quiz needs one of "
                "each per question, and at least one question"
            )
        for answer in self.answers:
            self._require_class(answer)
        self.guesses = [None] * len(self.answers)

    def __len__(self):
        return len(self.answers)

    def guess(self, question, name):
        """Answer a question.

        Args:
            question: its place, counted from 0.
            name: of a class, or None to take the answer back.
        Raises:
            ValueError: no such question or class, or the quiz is finished.
        """
        if not 0 <= question < len(self):
            raise ValueError(f"no question {question}; they are counted from 0 to {len(self) - 1}")
        if name is not None:
            self._require_class(name)
        if self.finished:
            raise ValueError("every question is answered, so the answers are fixed; make a new Quiz to play again")
        self.guesses[question] = name

    @property
    def answered(self):
        """Number of questions with an answer."""
        return sum(guess is not None for guess in self.guesses)

    @property
    def finished(self):
        return self.answered == len(self)

    @property
    def score(self):
        """Number of right answers, None before the last answer is given."""
        return sum(map(self.is_right, range(len(self)))) if self.finished else None

    def is_right(self, question):
        return self.guesses[question] == self.answers[question]

    def message(self):
        """How it stands, in one line: ``7 of 10 right; you mixed up toad with newt (2 times)``."""
        if not self.answered:
            return "not played yet"
        if not self.finished:
            return f"{self.answered} of {len(self)} answered"
        pairs = Counter(frozenset(pair) for pair in zip(self.guesses, self.answers) if pair[0] != pair[1])
        text = f"{self.score} of {len(self)} right"
        if pairs:
            pair, times = max(pairs.items(), key=lambda item: (item[1], sorted(item[0])))
            one, other = sorted(pair, key=self.classes.index)
            text += f"; you mixed up {one} with {other} ({times} time{'s' if times > 1 else ''})"
        return text

    def verdict(self, question):
        """``right``, or what it was; empty before the last answer is given."""
        if not self.finished:
            return ""
        return "right" if self.is_right(question) else f"it was {self.answers[question]}"

    def sound(self, question):
        """The question as bytes of an MP3 file."""
        return mp3(self.waveforms[question], self.sample_rate)

    def _require_class(self, name):
        if name not in self.classes:
            raise ValueError(f"no class {name!r}; there are {', '.join(self.classes)}")


class QuizPanel(widgets.VBox):
    """The quiz to play: a player and a list of names per question, and the score below.

    Args:
        quiz: a ``Quiz``; it holds the answers afterwards.
    Attributes:
        quiz, guesses, verdicts, score: the state, and the widgets for those who drive them from code. The lists
            carry the classes ``t-guess-0``, ``t-guess-1`` ..., the score ``t-score`` and all of it ``t-quiz``, so
            that a browser test finds them.
    """

    def __init__(self, quiz):
        self.quiz = quiz
        self.guesses, self.verdicts, rows = [], [], []
        for question in range(len(quiz)):
            player = widgets.Audio(
                value=quiz.sound(question),
                format="mp3",
                autoplay=False,
                loop=False,
                layout=widgets.Layout(width="260px", height="42px"),
            )
            given = quiz.guesses[question]
            guess = widgets.Dropdown(
                options=[("choose", None), *((name, name) for name in quiz.classes)],
                index=0 if given is None else quiz.classes.index(given) + 1,  # value=None: blank
                description=f"question {question + 1}",
                layout=widgets.Layout(width="340px"),
            )
            verdict = widgets.Label()
            guess.add_class(f"t-guess-{question}")
            guess.observe(lambda change, question=question: self.answer(question, change["new"]), "value")
            self.guesses.append(guess)
            self.verdicts.append(verdict)
            rows.append(widgets.HBox([guess, player, verdict], layout=widgets.Layout(align_items="center")))
        self.score = widgets.HTML()
        self.score.add_class("t-score")
        super().__init__([*rows, self.score], layout=widgets.Layout(width="fit-content"))
        self.add_class("t-quiz")
        self.show()

    def answer(self, question, name):
        """A name was chosen."""
        self.quiz.guess(question, name)
        self.show()

    def show(self):
        """The score, and after the last answer what was right."""
        for question, (guess, verdict) in enumerate(zip(self.guesses, self.verdicts)):
            guess.disabled = self.quiz.finished
            verdict.value = self.quiz.verdict(question)
        self.score.value = f"<b>{self.quiz.message()}</b>"

    def __repr__(self):
        return f"QuizPanel: run this cell to play {len(self.quiz)} questions; the players above ask the same ones"
