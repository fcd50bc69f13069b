"""What the commands say to somebody who takes the steps for the first time, and to one who took a wrong one."""

import importlib.util
import os
import re
import signal
import socket

import numpy as np
import pytest
import soundfile

from acssm_lib.cli.main import main
from acssm_lib.files import DataError
from acssm_lib.recordings import listening, serve, walk
from acssm_lib.recordings.folder import Survey
from acssm_lib.recordings.indexing import index_survey
from acssm_lib.recordings.labels import Labels

RATE = 8_000
INDEX = ["survey", "index", "new", "--recordings", "my card", "--encoder", "mel-stats", "--set"]


@pytest.fixture
def card(tmp_path, monkeypatch):
    """A card beside which one works, with a space in its name."""
    path = tmp_path / "my card/creek/20240514_213000.WAV"
    path.parent.mkdir(parents=True)
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(20 * RATE), RATE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys, status, *words):
    assert main(list(words)) == status
    out, err = capsys.readouterr()
    return out + err


def test_what_index_takes_for_a_setting_is_said(card, capsys):
    assert "unknown setting 'windows_s' (did you mean 'window_s'?); a survey has window_s, step_s" in said(
        capsys, 1, *INDEX, "windows_s=5"
    )
    assert "unknown setting 'n_mel' (did you mean 'n_mels'?)" in said(capsys, 1, *INDEX, "n_mel=5")
    assert "acssm survey label SURVEY --classes" in said(capsys, 1, *INDEX, "classes=frog")
    assert "sample_rate=inf: expected a whole number" in said(capsys, 1, *INDEX, "sample_rate=inf")
    assert "at 8 kHz, time zone +10:00" in said(capsys, 0, *INDEX, "sample_rate=8000.0", "time_zone=+10:00")
    assert "time zone unknown" in said(capsys, 0, "survey", "index", "new", "--set", "time_zone=none", "high_hz=none")


def test_numbers_that_cannot_be_are_refused_in_words(card, capsys):
    assert "--seed: expected a whole number of at least 0, got '-1'" in said(
        capsys, 2, "survey", "demo", "--to", "new", "--seed=-1"
    )
    assert "1 window for the pre-training: views of one are contrasted with those of others" in said(
        capsys, 1, "survey", "index", "new", "--recordings", "my card", "--windows", "1"
    )


def test_what_an_index_was_not_begun_with_is_refused_and_what_it_was_may_be_said_again(card, capsys):
    index = ["survey", "index", "new", "--encoder", "mel-stats", "--seed", "3", "--windows", "40"]
    said(capsys, 0, *index, "--recordings", "my card", "--set", "sample_rate=8000")
    said(capsys, 0, *index), said(capsys, 0, *index[:3])
    for option, before in (("--seed", "seed 3"), ("--windows", "windows 40")):
        assert f"this index was begun with {before}, and now 7 is asked for" in said(capsys, 1, *index[:3], option, "7")


def test_no_name_at_all_is_refused(card, capsys):
    for words in (["predict", "new", "--format", ""], ["table", "new", "--by", ","]):
        assert "expected names with commas between them" in said(capsys, 2, "survey", *words)


def test_a_device_that_is_not_there_is_refused_by_every_step_that_computes(card, capsys):
    for words in (
        ["survey", "index", "new", "--recordings", "my card", "--encoder", "mel-stats"],
        ["survey", "predict", "new"],
        ["predict", "--model", "frogs.acssm", "my card"],
    ):
        assert "device 'cuda:99' is not available here" in said(capsys, 2, *words, "--device", "cuda:99")
    assert not (card / "new").exists()


def test_answers_about_a_class_with_another_name_now_are_not_lost_in_silence(card, capsys, monkeypatch):
    monkeypatch.setattr(serve, "open_page", lambda survey, *args, **options: None)
    said(capsys, 0, *INDEX, "sample_rate=8000")
    label = ["survey", "label", "new"]
    said(
        capsys,
        0,
        *label,
        "--classes",
        "frog,owl",
        *[
            word
            for start in range(3)
            for word in (
                "--example",
                f"{'owl' if start else 'frog'}=creek/20240514_213000.WAV@{5 * start}-{5 * start + 2}",
            )
        ],
    )
    place = card / "new/survey.toml"
    place.write_text(place.read_text().replace('"owl"', '"barn owl"'))
    warning = "warning  new/labels.csv: 2 answers about 'owl', which is no class of new/survey.toml, left out"
    assert warning in said(capsys, 0, *label) and warning in said(capsys, 0, "survey", "train", "new")
    answers = card / "new/labels.csv"
    answers.write_text(answers.read_text().replace(",owl,", ",barn owl,"))
    text = said(capsys, 0, "survey", "train", "new")
    assert "warning" not in text and re.search(r"barn owl: [1-9]\d* yes", text)


def test_each_step_names_the_next_one_as_it_can_be_typed(card, capsys, monkeypatch):
    assert said(capsys, 0, "survey", "look", "my card").endswith(
        'next: acssm survey index NEW --recordings "my card"\n'
    )
    (card / "a file").write_text("")
    assert "warning  no picture: a file/look.png: " in said(
        capsys, 0, "survey", "look", "my card", "--picture", "a file/look.png"
    )
    assert 'these recordings: acssm survey index NEW --recordings "my card"' in said(
        capsys, 1, "survey", "index", "my card"
    )
    text = said(
        capsys,
        0,
        "survey",
        "index",
        "a survey",
        "--recordings",
        "my card",
        *"--encoder mel-stats --set sample_rate=8000 window_s=2 step_s=1 time_zone=+10:00".split(),
    )
    assert "windows of 2 s every 1 s, 0 to 4 kHz, at 8 kHz, time zone +10:00" in text
    assert text.endswith('next: acssm survey label "a survey" --classes "frog a,frog b"\n')
    assert '--classes "frog a,frog b" names them' in said(capsys, 1, "survey", "label", "a survey")
    monkeypatch.setattr(serve, "open_page", lambda survey, *args, **options: None)
    text = said(
        capsys, 0, "survey", "label", "a survey", "--classes", "frog", "--example", "frog=creek/20240514_213000.WAV@1-2"
    )
    assert "example  frog: creek/20240514_213000.WAV, 1 to 2 s" in text
    assert text.endswith('1 answer in a survey/labels.csv\nnext: acssm survey train "a survey"\n')
    assert 'acssm survey predict "a survey"' in said(capsys, 0, "survey", "train", "a survey")
    said(capsys, 0, "survey", "predict", "a survey")
    assert 'acssm survey review "a survey" --class frog --n 60' in said(capsys, 0, "survey", "table", "a survey")
    assert "a folder; expected a file, as in my card/frogs.acssm" in said(
        capsys, 2, "survey", "share", "a survey", "--to", "my card"
    )


def test_settings_of_an_index_stay_and_others_can_be_changed(card, capsys):
    said(capsys, 0, *INDEX, "sample_rate=8000")
    assert "the index was made for windows of 3 s" in said(capsys, 1, "survey", "index", "new", "--set", "window_s=2")
    assert "window_s=two: expected a number" in said(capsys, 1, "survey", "index", "new", "--set", "window_s=two")
    said(capsys, 0, "survey", "index", "new", "--set", "sample_rate=8000", "time_zone=UTC")
    assert Survey.open("new").settings.time_zone == "UTC"
    assert "note.txt: a file; expected a new folder" in (
        (card / "note.txt").write_text("") or said(capsys, 1, "survey", "index", "note.txt", "--recordings", "my card")
    )


def test_classes_may_come_and_go_until_they_are_answered(card, capsys, monkeypatch):
    monkeypatch.setattr(serve, "open_page", lambda survey, *args, **options: None)
    Survey.create(card / "new", card / "my card", sample_rate=RATE)
    for names in ("dgo,frog", "dog,frog", "frog,dog,owl"):
        said(capsys, 0, "survey", "label", "new", "--classes", names)
        assert Survey.open("new").settings.classes == tuple(names.split(","))
    Labels(card / "new/labels.csv").add(("a.wav", 0, 3), {"dog": "yes", "owl": "no"}, "Ada", "random")
    assert "has answers for dog, owl" in said(capsys, 2, "survey", "label", "new", "--classes", "frog,cow")
    said(capsys, 0, "survey", "label", "new", "--classes", "owl,dog")
    assert Survey.open("new").settings.classes == ("owl", "dog")


def test_a_survey_around_its_recordings_can_be_saved_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "new/recordings").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    Survey.open("new").change(classes=("frog",))
    monkeypatch.chdir("/")
    again = Survey.open(tmp_path / "new")
    assert again.settings.classes == ("frog",) and again.recordings.resolve() == (tmp_path / "new/recordings").resolve()


def test_a_walk_over_a_card_without_truth_says_what_to_do_instead(card):
    with pytest.raises(DataError, match="truth.csv: not there.* acssm survey label new"):
        walk.truth_of(Survey.create("new", card / "my card"), None)


def test_a_page_whose_card_was_taken_out_asks_for_it_and_for_no_answer(card):
    page_of = pytest.importorskip("acssm_lib.recordings.listening_page").ListeningPage
    survey = Survey.create(card / "new", card / "my card", classes=("frog",), sample_rate=RATE)
    index = index_survey(survey, "mel-stats", tell=lambda line: None)
    page = page_of(listening.ListeningState(survey, index, by="Ada"))
    assert page.picture and page.question["message"] == ""
    (card / "my card").rename(card / "elsewhere")
    page.show()
    assert not page.picture and "put it back" in page.question["message"] and "answer u" not in page.question["message"]
    (card / "my card").mkdir()  # the disk is there, one recording is not
    page.show()
    assert "20240514_213000.WAV" in page.question["message"] and "answer u to go on" in page.question["message"]


def test_a_page_takes_the_next_port_where_another_one_is_open():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert port < serve.free_port(port) < port + 20
        with pytest.raises(DataError, match=f"ports {port} to {port} are taken"):
            serve.free_port(port, 1)
    assert serve.free_port(port) == port


@pytest.mark.skipif(os.name == "nt", reason="sends a POSIX signal")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_the_server_ends_with_its_command_however_that_is_ended(card, monkeypatch, name):
    ending, done = getattr(signal, name), []

    class Server:
        def __init__(self, command, **options):
            done.append(command[-2])

        def wait(self, timeout=None):
            if timeout is None:
                os.kill(os.getpid(), ending)

        def terminate(self):
            done.append("terminated")

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(serve, "page_of", lambda survey, folder, **options: folder)
    monkeypatch.setattr(listening, "ListeningState", lambda *args, **options: None)
    monkeypatch.setattr("acssm_lib.recordings.index.Index.open", lambda survey: None)
    monkeypatch.setattr(serve.subprocess, "Popen", Server)
    before = signal.getsignal(ending)
    serve.open_page(Survey.create(card / "new", card / "my card"), browser=False)
    assert done[1:] == ["terminated"] and signal.getsignal(ending) == before
