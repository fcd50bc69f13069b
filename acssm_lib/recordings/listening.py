"""The listening page without its looks: which window is asked, what an answer does, what is drawn and heard.

``listening_page`` shows it in a notebook. An answer is on the disk, and the heads are fitted again, before the next
window comes up.
"""

import functools
from collections import deque

import numpy as np
from scipy import signal

from acssm_lib import plots
from acssm_lib.course.listen import wav
from acssm_lib.files import DataError
from acssm_lib.recordings import asking, heads, review
from acssm_lib.recordings.examples import examples_of
from acssm_lib.recordings.labels import NO, OPEN, REVIEW, YES, Labels, Places, targets, user_name
from acssm_lib.text import quoted

MAX_CLASSES = 9  # as many as there are keys
AT_MOST = 50_000_000  # numbers of embeddings that are kept in memory (200 MB): of larger indexes a draw is asked about
RANGE_DB = 70.0  # of the picture, below its loudest value
AXES = (0.075, 0.14, 0.97, 0.97)  # left, bottom, right, top of the spectrogram within the picture
_N = 10  # answers that a forecast looks ahead


class ListeningState:
    """Asks about windows of a survey, and keeps what is answered.

    Args:
        survey, index: ``folder.Survey`` with classes, and its ``index.Index``.
        by: who listens; the user's name by default.
        order: of ``asking.ORDERS``; None: "similar" once there is an example, else "spread".
        review_of: a class: a blind review of it, as many windows as ``n``, instead of labels.
        n: windows of the review.
        seed: of draws.
    Attributes:
        order: may be set; the next window is then another.
        window: place in the index of what is asked now, None when nothing is left.
        asked: number that grows with every question: an answer to an older one is not taken.
        message: what there is to say about the last action, as an error of the disk.
    Raises:
        DataError: no classes, more than nine, or a review of a class without a head.
    """

    def __init__(self, survey, index, by=None, order=None, review_of=None, n=60, seed=0):
        self.survey, self.index, self.seed = survey, index, seed
        self.by = by or user_name()
        self.classes = list(survey.settings.classes)
        if not 1 <= len(self.classes) <= MAX_CLASSES:
            raise DataError(
                f"{survey.folder / 'survey.toml'}: {len(self.classes)} classes; the page has keys for 1 to "
                f"{MAX_CLASSES}: acssm survey label {quoted(survey.folder)} --classes "
                '"frog a,frog b" names them'
            )
        self.labels, self.places = Labels(survey.labels_csv), Places.of_index(index)
        self.message = (
            "" if not self.labels.damaged else (f"{len(self.labels.damaged)} torn lines in labels.csv were passed over")
        )
        every = targets(self._rows(), self.classes, self.places)
        self.mean, self.scale = heads.moments(index.embeddings, seed=seed)
        self.given = examples_of(survey, index)
        self.pool = self._pool(every)
        self.embeddings = np.asarray(index.embeddings[self.pool])
        self.nights = np.asarray(index.site_nights)[self.pool]
        self.wanted = every[self.pool]
        self.rest = heads.unheard(self.wanted, seed)
        self._sides, self._asked_in = deque(maxlen=_N + 1), order
        self.asked, self.review_of, self.queue = 0, review_of, []
        self.fit()
        if review_of is not None:
            self._draw_review(n)
        self._order = order or ("similar" if self._has_example else "spread")
        self.ask()

    @property
    def _has_example(self):
        return bool((self.wanted == YES).any() or len(self.given.wanted))

    def _rows(self):
        return [row for row in self.labels.rows() if not row.asked_because.startswith(REVIEW)]

    def _pool(self, every):
        n, d = self.index.embeddings.shape
        if n * d <= AT_MOST:
            return np.arange(n)
        drawn = np.random.default_rng(self.seed).choice(n, AT_MOST // d, replace=False)
        return np.union1d(drawn, np.flatnonzero((every != OPEN).any(1)))

    def _draw_review(self, n):
        """The same draw again after an interruption, less what has been answered of it."""
        if self.review_of not in self.classes:
            raise DataError(f"no class {self.review_of!r} in this survey; there are {', '.join(self.classes)}")
        k = self.classes.index(self.review_of)
        trained = heads.train(self.survey, self.index)
        scores = score_all(trained, self.index)[:, k]
        known = heads.answers(self.survey, self.index)[:, k]
        try:
            windows, reasons = review.draw(scores, (known == YES) | (known == NO), n, self.seed)
        except ValueError as error:
            raise DataError(f"{self.review_of}: {error}") from None
        done = {(row.window, row.asked_because) for row in self.labels.rows() if row.label == self.review_of}
        self.queue = [
            (int(window), reason, float(scores[window]))
            for window, reason in zip(windows, reasons)
            if (self._key(window), reason) not in done
        ]
        self.classes = [self.review_of]

    def _key(self, window):
        """(file, start, end) as ``labels.Answer.window``."""
        start = float(self.index.start_s[window])
        return self.index.files[self.index.file_of[window]].name, round(start, 3), round(start + self.index.window_s, 3)

    @functools.cached_property
    def kinds(self):
        """Clusters of sounds, found once."""
        return asking.clusters(self.embeddings, self.mean, self.scale, self.seed)

    @property
    def order(self):
        return self._order

    @order.setter
    def order(self, order):
        if order not in asking.ORDERS:
            raise ValueError(f"unknown order {order!r}; there are {', '.join(asking.ORDERS)}")
        self._order = order
        self.ask()

    def fit(self):
        """The heads again, from all answers but those of reviews."""
        told = np.flatnonzero((self.wanted != OPEN).any(1))
        rest = self.rest[(self.wanted[self.rest] == OPEN).all(1)]
        made = heads.fit(
            *self.given.added_to(self.embeddings[told], self.wanted[told]),
            self.classes,
            self.mean,
            self.scale,
            self.embeddings[rest],
        )
        self.scores = made.scores(self.embeddings)
        self._sides.append(self.scores >= 0.5)

    def ask(self):
        """Choose the next window."""
        self.asked += 1
        if self.review_of is not None:
            self.window = self.queue[0][0] if self.queue else None
            return
        self._asked_in = self._order
        if self._order == "similar" and not self._has_example:
            self._asked_in = "spread"
            self.message = "no example yet, so windows of all kinds come up until the first yes"
        chosen = asking.order(
            self._asked_in,
            1,
            self.embeddings,
            self.wanted,
            self.scores,
            self.nights,
            self.mean,
            self.scale,
            seed=self.seed + len(self.labels),
            given=self.given,
            kinds=self.kinds if self._asked_in == "spread" else None,
        )
        self.place = int(chosen[0]) if len(chosen) else None
        self.window = int(self.pool[self.place]) if len(chosen) else None

    def answer(self, names=(), unsure=False, asked=None):
        """Write the answer about the window that is asked, fit, and ask the next.

        Args:
            names: classes that were heard; none of them: none of these.
            unsure: nobody can tell.
            asked: number of the question that was answered; None: the present one.
        """
        if self.window is None or asked not in (None, self.asked):
            return
        words = {name: "unsure" if unsure else "yes" if name in names else "no" for name in self.classes}
        reason, scores = self._asked_in, {}
        if self.review_of is not None:
            _, reason, score = self.queue[0]
            scores = {self.review_of: score}
        elif reason == "margin":
            scores = dict(zip(self.classes, self.scores[self.place].tolist()))
        settings = self.survey.settings
        self.message = ""
        try:
            self.labels.add(self._key(self.window), words, self.by, reason, scores, (settings.low_hz, settings.top_hz))
        except OSError as error:
            self.message = f"NOT saved: {error}"
            return
        if self.review_of is not None:
            self.queue.pop(0)
        else:
            self._learn([self.window])
        self.ask()

    def undo(self):
        """Take back the last answer of this listener; its window comes up again."""
        try:
            taken = self.labels.undo(self.by)
        except OSError as error:
            self.message = f"NOT saved: {error}"
            return
        self.message = "taken back: listen again" if taken else "there is no answer of yours to take back"
        if not taken:
            return
        windows = self.places.of(taken[0])
        if self.review_of is not None:
            reason, score = taken[0].asked_because, taken[0].score
            if reason.startswith(REVIEW) and taken[0].label == self.review_of and len(windows) == 1:
                self.queue.insert(0, (int(windows[0]), reason, score))
            self.ask()
            return
        self._learn(windows)
        self.ask()
        if len(windows):
            self.window = int(windows[0])
            self.place = int(np.searchsorted(self.pool, self.window))

    def _learn(self, windows):
        """Read the answers about these windows anew, those of marks that lie in them too, and fit."""
        names = {self.index.files[self.index.file_of[window]].name for window in windows}
        rows = [row for row in self._rows() if row.file in names]
        self.wanted[np.searchsorted(self.pool, windows)] = targets(rows, self.classes, self.places)[windows]
        self.fit()

    def title(self):
        """Where the window is from, in words."""
        if self.window is None:
            return "Nothing left to ask: every answer is saved. Where a command opened this page, Ctrl-C there goes on."
        file = self.index.files[self.index.file_of[self.window]]
        start = self.index.start_s[self.window]
        return f"{file.name}, {start:.1f} to {start + self.index.window_s:.1f} s" + (
            f", night of {file.night}" if file.night else ", time unknown"
        )

    def progress(self):
        """How many answers there are, per class."""
        if self.review_of is not None:
            return f"blind review of {self.review_of}: {len(self.queue)} to go"
        parts = [f"{name} {(self.wanted[:, k] == YES).sum()} yes" for k, name in enumerate(self.classes)]
        clips = [f"{count} of {name}" for name, count in zip(self.classes, self.given.counts) if count]
        return (
            f"{len(self.labels)} answers: "
            + ", ".join(parts)
            + (f"; clips from elsewhere: {', '.join(clips)}" if clips else "")
        )

    def forecast(self):
        """What the next ten answers are likely to bring; of a review nothing, it is blind."""
        if self.review_of is not None:
            return "Shown without its score, so that you judge the sound and not the machine."
        mine = [yes for reason, yes in self.labels.history() if reason == self._asked_in]
        moved = None
        if len(self._sides) > _N:
            moved = float((self._sides[0] != self._sides[-1]).any(1).mean())
        return asking.forecast(mine, moved, _N)[0]

    def sound(self):
        """The window as WAV bytes, made louder: its peak is at half of full scale."""
        heard = self.index.waveform(self.window)
        heard = heard - heard.mean()
        return wav(heard * (0.5 / max(float(heard.abs().max()), 1e-6)), self.survey.settings.sample_rate)

    def picture(self):
        """Spectrogram of the window: time in its recording (s), frequency in the survey's band (kHz), a figure."""
        settings = self.survey.settings
        start = float(self.index.start_s[self.window])
        return spectrogram(
            self.index.waveform(self.window).numpy(), settings.sample_rate, start, settings.low_hz, settings.top_hz
        )


def spectrogram(waveform, sample_rate, start_s=0.0, low_hz=0.0, high_hz=None, width=8.6, height=3.1):
    """A figure whose axes lie at ``AXES``, so that a cursor can be laid over it; linear frequency, dB."""
    fig, ax = plots.canvas(width, height)
    fig.set_layout_engine("none")
    left, bottom, right, top = AXES
    ax.set_position([left, bottom, right - left, top - bottom])
    n_fft = 1 << int(np.ceil(np.log2(0.02 * sample_rate)))
    n_fft = min(n_fft, len(waveform))
    hertz, seconds, power = signal.spectrogram(waveform, sample_rate, "hann", n_fft, n_fft * 3 // 4)
    level = 10 * np.log10(power + 1e-14)
    inside = (hertz >= low_hz) & (hertz <= (high_hz or sample_rate / 2))
    top_db = float(np.percentile(level[inside], 99.9))
    floor = max(top_db - RANGE_DB, float(np.percentile(level[inside], 15)))
    ax.imshow(
        level[inside],
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=floor,
        vmax=top_db,
        extent=(start_s, start_s + len(waveform) / sample_rate, hertz[inside][0] / 1e3, hertz[inside][-1] / 1e3),
    )
    plots.dress(ax, None, "Time in the recording (s)", "Frequency (kHz)")
    return fig


def score_all(made, index, at_once=65_536):
    """Scores of every window, float32 (windows, classes), in blocks."""
    return np.concatenate(
        [made.scores(index.embeddings[k : k + at_once]) for k in range(0, len(index.file_of), at_once)]
    )
