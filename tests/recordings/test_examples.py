"""Clips from elsewhere as first examples: which window is kept, what it teaches, and what is refused."""

import numpy as np
import pytest
import soundfile

from acssm_lib.files import DataError
from acssm_lib.recordings import heads, marks
from acssm_lib.recordings.examples import add_clip, examples_of, window_of
from acssm_lib.recordings.folder import Survey
from acssm_lib.recordings.indexing import index_survey
from acssm_lib.recordings.labels import OPEN, YES, Labels
from acssm_lib.recordings.listening import ListeningState

RATE = 8_000


def tone(path, duration_s, spans, hertz=2_000, rate=RATE, seed=0):
    """Noise with tones, (begin, end, Hz) or (begin, end), s."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seconds = np.arange(round(duration_s * rate)) / rate
    sound = 0.005 * np.random.default_rng(seed).standard_normal(len(seconds))
    for begin, end, *own in spans:
        sound += 0.3 * np.sin(2 * np.pi * (*own, hertz)[0] * seconds) * ((seconds >= begin) & (seconds < end))
    soundfile.write(path, sound, rate, "PCM_16")
    return path


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    """Three nights, each with one tone of 2 kHz and one of 1 kHz; (survey, index)."""
    folder = tmp_path_factory.mktemp("survey")
    for night in range(3):
        tone(folder / f"recordings/a/2024051{night}_213000.wav", 30, [(6, 9), (18, 21, 1_000)], seed=night + 1)
    survey = Survey.create(folder, classes=("high", "low"), sample_rate=RATE)
    return survey, index_survey(survey, "mel-stats", tell=lambda line: None)


@pytest.fixture
def survey(indexed, tmp_path):
    """The same survey with examples and labels of its own."""
    made = Survey(tmp_path / "own", indexed[0].settings, indexed[0].recordings)
    made.folder.mkdir()
    return made


@pytest.mark.parametrize("span, start_s", [(None, 5.25), ((5.5, 6.5), 4.5), ((0, 0.5), 0), ((9.5, 10), 7), ((0, 6), 3)])
def test_the_loudest_window_of_a_clip_or_the_one_about_the_call(tmp_path, indexed, span, start_s):
    path = tone(tmp_path / "clip.wav", 10, [(5.25, 8.25)])
    heard, whole = window_of(path, indexed[0].settings, span), soundfile.read(path)[0]
    assert len(heard) == 3 * RATE
    places = np.arange(0, 7 * RATE + 1, RATE // 8)
    apart = [np.abs(whole[place : place + 3 * RATE] - heard.numpy()).max() for place in places]
    assert abs(places[int(np.argmin(apart))] / RATE - start_s) <= 0.25 and min(apart) < 2 / 32768


def test_a_clip_shorter_than_a_window_is_followed_by_silence(tmp_path, indexed):
    heard = window_of(tone(tmp_path / "clip.wav", 1, [(0, 1)]), indexed[0].settings)
    assert heard[:RATE].abs().max() > 0.2 and not heard[RATE:].any()


def test_a_clip_finds_the_calls_and_trains_their_head(survey, indexed, tmp_path):
    index = indexed[1]
    said = marks.add_example(survey, f"high={tone(tmp_path / 'clip.wav', 8, [(2, 5)])}")
    marks.add_example(survey, f"high={tmp_path / 'clip.wav'}")  # again: it is one
    assert "high-" not in said and len(list((survey.folder / "examples/high").iterdir())) == 1
    given = examples_of(survey, index)
    assert given.wanted.tolist() == [[YES, OPEN]] and given.embeddings.shape == (1, index.embeddings.shape[1])
    state = ListeningState(survey, index, by="Ada")
    assert state.order == "similar" and state.progress().endswith("clips from elsewhere: 1 of high")
    first = [state.window]
    for _ in range(2):
        state.answer(["high"])
        first.append(state.window)
    starts = index.start_s[first]
    assert ((starts + 3 > 6) & (starts < 9)).all()  # the tone at 6 to 9 s, in every night
    made = heads.train(survey, index)
    assert made.evidence["high"]["clips"] == 1 and made.evidence["low"]["clips"] == 0
    assert "1 clip from elsewhere" in heads.in_words(made)[0]
    score = made.scores(index.embeddings)[:, 0]
    assert score[(index.start_s + 1.5 > 6.5) & (index.start_s + 1.5 < 8.5)].min() > score[index.start_s > 24].max()


def test_clips_alone_are_enough_to_begin_with(survey, indexed, tmp_path):
    add_clip(survey, "low", tone(tmp_path / "clip.wav", 4, [(0, 4)], 1_000))
    made = heads.train(survey, indexed[1])
    assert made.weight[1].any() and not made.weight[0].any() and "too_few" in made.evidence["low"]


def test_a_table_beside_its_own_recording_gives_clips(survey, tmp_path):
    tone(tmp_path / "known.wav", 100, [(62, 64)])
    (tmp_path / "known.txt").write_text("62.0\t64.0\thigh\n80\t81\tlow\n5\t6\tcar\n")
    assert marks.add_table(survey, tmp_path / "known.txt")[0] == 2
    assert not survey.labels_csv.exists()
    kept = {path.parent.name: soundfile.read(path) for path in (survey.folder / "examples").rglob("*.wav")}
    assert set(kept) == {"high", "low"} and np.abs(kept["high"][0]).max() > 0.2 > np.abs(kept["low"][0]).max()


def test_what_cannot_be_an_example_is_named(survey, indexed, tmp_path):
    short, low = tone(tmp_path / "clip.wav", 5, []), tone(tmp_path / "low.wav", 5, [], rate=4_000)
    long = tone(tmp_path / "long.wav", 61, [])
    for text, why in (
        (f"high={short}@4-6", "the clip is 5.00 s long"),
        (f"high={low}", "holds sound up to 2 kHz"),
        (f"high={long}", "say where in it the call is, as in long.wav@12.5-15"),
        ("high=nowhere.wav", "no such recording .* and no such clip elsewhere"),
        ("high=a/20240510_21300.wav", r"did you mean a/20240510_213000.wav\?"),
    ):
        with pytest.raises(DataError, match=why):
            marks.add_example(survey, text)
    assert not (survey.folder / "examples").exists() and not survey.labels_csv.exists()
    tone(survey.folder / "examples/hihg/by hand.wav", 3, [(0, 3)])
    with pytest.raises(DataError, match=r"'hihg' is no class of .*\(high, low\); rename the folder"):
        examples_of(survey, indexed[1])


def test_a_recording_of_the_survey_by_its_path_is_marked_and_not_copied(survey, indexed):
    path = indexed[0].recordings / "a/20240510_213000.wav"
    marks.add_example(survey, f"high={path}@6-9", "Ada")
    (row,) = Labels(survey.labels_csv).rows()
    assert row.window == ("a/20240510_213000.wav", 6.0, 9.0) and not (survey.folder / "examples").exists()
    with pytest.raises(DataError, match="a recording of the survey; say where"):
        marks.add_example(survey, "high=a/20240510_213000.wav")
    with pytest.raises(DataError, match=r"from 29 to 33 s; the recording ends at 30.0 s"):
        marks.add_example(survey, "high=a/20240510_213000.wav@29-33")


def test_an_accent_written_otherwise_finds_its_recording(survey, indexed, tmp_path):
    there = Survey(tmp_path / "french", indexed[0].settings, tmp_path / "card")
    tone(there.recordings / "fore\u0302t/20240510_213000.wav", 5, [])
    marks.add_example(there, "high=for\u00eat/20240510_213000.wav@1-2", "Ada")
    assert Labels(there.labels_csv).rows()[0].file == "fore\u0302t/20240510_213000.wav"
