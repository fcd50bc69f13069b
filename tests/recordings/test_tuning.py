"""Fine-tuning the encoder of a survey on its answers: what it learns, what it must not, and what a stop leaves."""

import shutil

import numpy as np
import pytest
import soundfile
import torch

from acssm_lib.cli.main import main
from acssm_lib.recordings import tuning
from acssm_lib.recordings.folder import Survey
from acssm_lib.recordings.index import Index
from acssm_lib.recordings.indexing import index_survey
from acssm_lib.recordings.labels import NO, YES, Labels
from acssm_lib.recordings.share import read_recogniser

RATE, CALLS_S = 8_000, (1.0, 3.0, 4.5)
TINY = {"n_mels": 8, "n_fft": 256, "hop_length": 128, "widths": (4, 8), "blocks": (1, 1), "n_layers": 1, "d_state": 4}


def night(path, seed):
    """Six seconds of noise with three rising tones of 0.4 s."""
    path.parent.mkdir(parents=True, exist_ok=True)
    seconds = np.arange(6 * RATE) / RATE
    sound = 0.02 * np.random.default_rng(seed).standard_normal(len(seconds))
    for start in CALLS_S:
        since = seconds - start
        sound += 0.1 * np.sin(2 * np.pi * (1_000 + 1_500 * since) * since) * ((since >= 0) & (since < 0.4))
    soundfile.write(path, sound, RATE)


def is_call(start_s):
    return any(call - 0.05 <= start_s + 0.05 and start_s + 0.45 >= call + 0.35 for call in CALLS_S)


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """The folder of an indexed survey, four nights, half of whose windows have an answer."""
    folder = tmp_path_factory.mktemp("tuning")
    for k in range(4):
        night(folder / f"recordings/pond/2024051{k}_235000.wav", k)
    survey = Survey.create(folder, window_s=0.5, step_s=0.25, sample_rate=RATE, classes=("rise",))
    index = index_survey(survey, "supervised", overrides=TINY, tell=lambda line: None)
    labels = Labels(survey.labels_csv)
    for i in range(0, len(index), 2):
        start = index.start_s[i]
        window = index.files[index.file_of[i]].name, start, start + 0.5
        labels.add(window, {"rise": "yes" if is_call(start) else "no"}, "test", "random")
    return folder


@pytest.fixture
def survey(answered, tmp_path):
    shutil.copytree(answered, tmp_path / "survey")
    return Survey.open(tmp_path / "survey")


@pytest.fixture(scope="module")
def lesson(answered):
    """(encoder, lesson) of the survey."""
    survey = Survey.open(answered)
    index = Index.open(survey)
    encoder = index.encoder("cpu")
    return encoder, tuning.lesson_of(survey, index, encoder)


def test_a_lesson_holds_what_was_heard_and_some_that_nobody_heard_as_background(answered, lesson):
    encoder, found = lesson
    index = Index.open(Survey.open(answered))
    assert found.heard.sum() == (len(index) + 1) // 2 and not found.heard.all()
    assert set(found.wanted[~found.heard].ravel()) == {NO} and (found.weight[~found.heard] < 1).all()
    assert [is_call(index.start_s[place]) for place in found.places[found.heard]] == [
        answer == YES for answer in found.wanted[found.heard, 0]
    ]
    np.testing.assert_array_equal(encoder.of(found.spectrograms), index.embeddings[found.places])


def test_all_weights_move_batch_norm_keeps_its_statistics_and_the_given_encoder_stays(lesson):
    encoder, found = lesson
    before = {name: value.clone() for name, value in encoder.module.state_dict().items()}
    made = tuning.tuned(encoder, found)
    after = made.module.state_dict()
    assert all(torch.equal(before[name], value) for name, value in encoder.module.state_dict().items())
    buffers = {name for name, _ in made.module.named_buffers()} & set(after)
    assert any("running_mean" in name for name in buffers)
    assert all(torch.equal(before[name], after[name]) for name in buffers)
    assert not any(
        torch.equal(before[name], after[name]) for name, one in made.module.named_parameters() if one.ndim > 1
    )
    assert made.digest == tuning.tuned(encoder, found).digest != encoder.digest and not made.module.training


def test_it_learns_what_the_frozen_encoder_does_not_tell_apart(lesson, monkeypatch):
    monkeypatch.setattr(tuning, "EPOCHS", 30)
    encoder, seconds, generator = lesson[0], torch.arange(4_000) / RATE, torch.Generator().manual_seed(0)
    rising = torch.arange(128) % 2 == 0
    low = 700 + 800 * torch.rand(128, 1, generator=generator)  # Hz, where a rise begins and a fall ends
    slope = torch.where(rising, 1.0, -1.0)[:, None] * 1_500
    sound = torch.sin(2 * np.pi * (torch.where(rising[:, None], low, low + 1_500) + slope * seconds) * seconds)
    spectrograms = encoder.spectrograms(sound + torch.randn(128, 4_000, generator=generator))
    wanted = np.where(rising, YES, NO).astype(np.int8)[:, None]
    made = tuning.Lesson(spectrograms, wanted, np.ones(128, np.float32), np.arange(128) // 16, np.arange(128))
    seen = np.arange(128) < 64

    def apart(one):  # of unseen rises and falls, in deviations
        values, rises = one.of(spectrograms)[~seen], wanted[~seen, 0] == YES
        return np.linalg.norm(values[rises].mean(0) - values[~rises].mean(0)) / values.std(0).mean()

    assert apart(tuning.tuned(encoder, made.part(seen))) > 1.2 * apart(encoder)


def test_what_a_night_said_changes_nothing_of_its_own_scores(lesson, monkeypatch):
    monkeypatch.setattr(tuning, "EPOCHS", 2)
    encoder, found = lesson
    scores = tuning.across_nights(encoder, found)
    assert (np.isnan(scores[:, 0]) == ~found.heard).all()
    one = (found.nights == 2) & found.heard
    turned = found.wanted.copy()
    turned[one] = np.where(turned[one] == YES, NO, YES)
    other = tuning.across_nights(encoder, tuning.dataclasses.replace(found, wanted=turned))
    np.testing.assert_array_equal(other[one], scores[one])
    assert (other[found.heard & ~one] != scores[found.heard & ~one]).any()


def test_with_answers_of_one_night_or_of_none_nothing_is_said_across_nights(lesson):
    encoder, found = lesson
    for nights in (np.zeros_like(found.nights), np.full_like(found.nights, -1)):
        alike = tuning.dataclasses.replace(found, nights=nights)
        assert np.isnan(tuning.across_nights(encoder, alike)).all()


def test_from_answers_to_detections_and_back_to_the_frozen_encoder(survey, capsys):
    folder = str(survey.folder)
    assert main(["survey", "train", folder, "--finetune", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "as pre-trained:\n  rise: " in said and "without part 4 of 4 of the nights" in said
    assert "on nights it was not trained on it finds" in said.partition("fine-tuned:")[2]
    frozen, index = Index.at(survey.index_folder, survey.recordings), Index.open(survey)
    assert index.head["encoder"] == read_recogniser(survey.recogniser).encoder.digest != frozen.head["encoder"]
    assert main(["survey", "predict", folder]) == 0
    assert " detections in 4 recordings" in capsys.readouterr().out

    assert main(["survey", "train", folder]) == 1
    assert "--finetune does it again with those of today, or remove that folder" in capsys.readouterr().err
    night(survey.recordings / "pond/20240514_235000.wav", 4)  # another night on the card
    assert main(["survey", "index", folder, "--device", "cpu"]) == 0
    assert len(Index.open(survey).files) == len(Index.at(survey.index_folder, survey.recordings).files) == 5

    shutil.rmtree(survey.tuned_folder)
    assert main(["survey", "train", folder]) == 0
    assert read_recogniser(survey.recogniser).encoder.digest == frozen.head["encoder"]


def test_a_stopped_fine_tuning_leaves_the_index_as_it_was_and_goes_on(survey, monkeypatch):
    monkeypatch.setattr(tuning, "EPOCHS", 1)
    whole, embed = survey.folder.parent / "whole", tuning.embed_files
    shutil.copytree(survey.folder, whole)
    tuning.finetune(Survey.open(whole), "cpu", lambda line: None)

    def stopped(folder, recordings, files, *rest):
        embed(folder, recordings, files[:2], *rest)
        raise KeyboardInterrupt

    monkeypatch.setattr(tuning, "embed_files", stopped)
    with pytest.raises(KeyboardInterrupt):
        tuning.finetune(survey, "cpu", lambda line: None)
    assert Index.open(survey).folder == survey.index_folder
    heard = []
    monkeypatch.setattr(tuning, "embed_files", lambda *given: (heard.append(given[0].name), embed(*given)))
    tuning.finetune(survey, "cpu", lambda line: None)
    tuning.finetune(survey, "cpu", lambda line: None)  # the same answers: nothing is embedded anew
    assert heard == ["finetuned.part", "finetuned"] and not (survey.index_folder / "finetuned.part").exists()
    same = (Index.open(one).embeddings for one in (survey, Survey.open(whole)))
    np.testing.assert_array_equal(*same)


def test_statistics_and_published_weights_are_refused(survey):
    shutil.rmtree(survey.index_folder)
    index_survey(survey, "mel-stats", tell=lambda line: None)
    with pytest.raises(ValueError, match="its encoder is mel-stats, which is used as published"):
        tuning.finetune(survey, "cpu")
