import numpy as np
import pytest
import torch

from acssm_lib.baselines.mel_statistics import MelStatistics
from acssm_lib.data.clips import Clips
from acssm_lib.data.frogs import GAP_S, MATCHED_TIMING, MODES, ORDERS, SyntheticFrogs
from acssm_lib.fewshot.evaluation import evaluate
from acssm_lib.presets import preset

FRAME_S = 512 / 20_000


@pytest.fixture(scope="module")
def frogs():
    return SyntheticFrogs(seed=0)


def test_groups_labels_and_sources(frogs):
    assert list(frogs.groups) == list(MODES) and frogs.synthetic
    for mode in MODES:
        members = frogs.clips_of(mode)
        assert len(members) == 200 and np.bincount(frogs.labels[members])[-5:].tolist() == [40] * 5
    assert len(set(frogs.names)) == len(frogs) == 600
    for source in list(set(frogs.sources))[:10]:
        clips = [i for i, other in enumerate(frogs.sources) if other == source]
        assert len(clips) == 5 and len(set(frogs.labels[clips])) == 1


@pytest.mark.parametrize("mode", MODES)
def test_same_seed_same_samples_and_every_clip_its_own(frogs, mode):
    i, j = frogs.clips_of(mode)[:2]
    waveform = frogs.waveform(i)
    assert waveform.dtype == torch.float32 and waveform.shape == (100_000,)
    assert 0.01 < waveform.abs().max() <= 1 and torch.isfinite(waveform).all()
    assert torch.equal(waveform, SyntheticFrogs(seed=0).waveform(i))
    assert not torch.equal(waveform, frogs.waveform(j))
    assert not torch.equal(waveform, SyntheticFrogs(seed=1).waveform(i))
    alone = SyntheticFrogs(seed=0, modes=(mode,))
    assert torch.equal(waveform, alone.waveform(0)) and alone.names[0] == frogs.names[i]


def test_natural_carriers_are_where_the_species_call(frogs):
    """The strongest frequency of the first species, "rubella": 2.9 kHz, swept and varied by a few percent."""
    spectra = [torch.fft.rfft(frogs.waveform(i)).abs()[10_000:20_000] for i in range(0, 40, 5)]  # 2 to 4 kHz
    peak = 2000 + float(sum(spectra).view(-1, 100).mean(1).argmax()) * 20
    assert 2500 < peak < 3400


def test_timing_is_visible_in_frames():
    assert all(rate < 0.5 / FRAME_S for rate, _, _ in MATCHED_TIMING.values())
    assert GAP_S > 3 * FRAME_S


def test_orders_are_different_cycles_of_the_same_notes():
    cycles = {min(order[i:] + order[:i] for i in range(4)) for order in ORDERS}
    assert len(cycles) == 5 and {"".join(sorted(order)) for order in ORDERS} == {"ABCD"}


def test_whatever_averages_frames_is_at_chance_in_order_and_good_in_natural(frogs):
    config = preset("quick", n_episodes=20)
    accuracy = {}
    for mode in ("natural", "order"):
        members = frogs.clips_of(mode)
        bank = Clips([frogs.waveform(i) for i in members])
        draws = evaluate(
            MelStatistics(bank, config),
            frogs.labels[members] - frogs.labels[members[0]],
            [frogs.sources[i] for i in members],
            [frogs.names[i] for i in members],
            config,
            0,
            progress=False,
        )
        accuracy[mode] = np.mean([draw["accuracy_unshared_sources"] for draw in draws])
    assert accuracy["natural"] > 0.8
    assert accuracy["order"] < 0.27  # chance 0.20, deviation of the mean about 0.01


@pytest.mark.parametrize(
    "arguments, words", [({"modes": ("nature",)}, "unknown mode 'nature'"), ({"duration_s": 1.0}, "duration_s=1.0")]
)
def test_wrong_arguments_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        SyntheticFrogs(**arguments)
