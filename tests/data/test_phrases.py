"""SYNTHETIC phrases: what is the same in all of them, and what differs."""

import numpy as np
import pytest
import torch

from acssm_lib.baselines.mel_statistics import MelStatistics
from acssm_lib.data.phrases import PHRASES, SYLLABLES, Singer, SyntheticPhrases, _song
from acssm_lib.fewshot.evaluation import evaluate
from acssm_lib.presets import preset


@pytest.fixture(scope="module")
def phrases():
    return SyntheticPhrases(seed=7, n_labelled=12, n_unlabelled=2)


def test_five_different_cycles_of_the_same_syllables():
    cycles = {min(phrase[i:] + phrase[:i] for i in range(4)) for phrase in PHRASES}
    assert len(cycles) == 5 and {"".join(sorted(phrase)) for phrase in PHRASES} == {"".join(sorted(SYLLABLES))}


def test_every_clip_is_of_an_individual_of_its_own(phrases):
    assert len(phrases) == 5 * 14 and np.bincount(phrases.labels + 1).tolist() == [10, 12, 12, 12, 12, 12]
    assert len(set(phrases.sources)) == len(set(phrases.names)) == len(phrases)
    assert phrases.groups == {"phrases": phrases.classes} and all("synthetic" in name for name in phrases.names)
    assert sorted(phrases.kinds[i] for i in phrases.unlabelled()) == sorted(2 * PHRASES)
    assert not any(phrase in name for phrase in PHRASES for name in np.array(phrases.names)[phrases.unlabelled()])


def test_same_seed_same_samples_whatever_else_is_there(phrases):
    i = int(np.flatnonzero(phrases.labels == 3)[4])
    waveform = phrases.waveform(i)
    assert waveform.dtype == torch.float32 and waveform.shape == (60_000,)
    assert 0.005 < waveform.abs().max() <= 1 and torch.isfinite(waveform).all()
    other = SyntheticPhrases(seed=7, n_labelled=12, n_unlabelled=0)
    assert torch.equal(waveform, other.waveform(other.names.index(phrases.names[i])))
    torch.testing.assert_close(phrases.clips([0, i]).waveform(1), waveform, rtol=0, atol=2 / 32768)
    assert not torch.equal(waveform, SyntheticPhrases(seed=8, n_labelled=12, n_unlabelled=2).waveform(i))


def test_a_clip_shorter_than_a_phrase_is_refused():
    with pytest.raises(ValueError, match="duration_s=1.0 is shorter than a slow phrase"):
        SyntheticPhrases(duration_s=1.0)


def test_individuals_differ_in_pitch_and_tempo():
    singers = [Singer.drawn(np.random.default_rng(number)) for number in range(200)]
    octaves = np.log2([singer.pitch / 1500 for singer in singers])
    assert -0.75 <= octaves.min() < -0.6 and 0.6 < octaves.max() <= 0.75
    tempos = [singer.tempo for singer in singers]
    assert 1 / 1.5 <= min(tempos) < 0.75 and 1.3 < max(tempos) <= 1.5


def test_a_song_lasts_the_clip_with_silence_between_syllables():
    draw = np.random.default_rng(0)
    song = _song("WRBH", Singer.drawn(draw), draw, 60_000, 20_000)
    loud = np.abs(song).reshape(-1, 200).max(1) > 0  # 10 ms
    starts = np.flatnonzero(loud[1:] & ~loud[:-1])
    assert 8 < len(starts) < 40 and loud[-100:].any()  # two phrases or more of four


def test_whatever_averages_frames_is_at_chance(phrases):
    members = phrases.clips_of("phrases")
    names = [phrases.names[i] for i in members]
    config = preset("quick", n_episodes=20)
    draws = evaluate(
        MelStatistics(phrases.clips(members), config), phrases.labels[members], names, names, config, 0, progress=False
    )
    assert 0.1 < np.mean([draw["accuracy"] for draw in draws]) < 0.32
    assert all(draw["n_query_unshared_sources"] == draw["n_query"] == 35 for draw in draws)
