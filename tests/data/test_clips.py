import copy
import math
import mmap
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from acssm_lib.data import clips
from acssm_lib.data.clips import Clips, even_crops, random_crops, random_stretch


def slow_crop(waveform, stretch, start, n_samples):
    """Clip preparation word for word: stretch, pad half a crop on both sides, take ``n_samples``."""
    new_length = math.floor(len(waveform) * stretch)
    stretched = np.interp(np.arange(new_length) / stretch, np.arange(len(waveform)), waveform)
    pad = n_samples // 2
    padded = np.concatenate([np.zeros(pad), stretched, np.zeros(pad)])
    return padded[start + pad : start + pad + n_samples]


@pytest.mark.parametrize("stretch", [0.8, 0.97, 1.0, 1.25])
def test_one_gather_equals_stretch_then_pad_then_crop(bank, stretch):
    waveform = bank.samples[bank.offsets[3] : bank.offsets[3] + bank.lengths[3]].double().numpy() / 32768
    for start in (-2048, 0, 1000, math.floor(len(waveform) * stretch) - 2048):
        ours = bank.cut(torch.tensor([3]), torch.tensor([start]), torch.tensor([stretch], dtype=torch.float64), 4096)[0]
        np.testing.assert_allclose(ours, slow_crop(waveform, stretch, start, 4096), atol=1e-6)


@pytest.mark.parametrize("n_samples", [1_000, 300_000])  # many crops at a time, and one
def test_crops_of_a_batch_agree_with_crops_one_by_one_wherever_they_lie(bank, n_samples):
    generator = torch.Generator().manual_seed(0)
    indices = torch.randint(len(bank), (9,), generator=generator)
    stretch = random_stretch(9, 1.25, generator)
    lengths = bank.stretched_lengths(indices, stretch)
    starts = torch.linspace(-1.5, 1.5, 9).mul(lengths).long()  # far before the clip to far behind it
    together = bank.cut(indices, starts, stretch, n_samples)
    for crop, index, start, factor, length in zip(together, indices, starts.tolist(), stretch.tolist(), lengths):
        waveform = bank.waveform(index).double().numpy()
        places = np.arange(start, start + n_samples)
        expected = np.interp(places / factor, np.arange(len(waveform)), waveform)
        expected[(places < 0) | (places >= int(length))] = 0
        np.testing.assert_allclose(crop, expected, atol=1e-6)


def test_no_crops_are_an_empty_batch(bank):
    none = torch.zeros(0, dtype=torch.long)
    assert bank.cut(none, none, none.double(), 1_000).shape == (0, 1_000)


def test_a_float32_stretch_is_read_in_double_precision():
    bank = Clips([torch.rand(100_000, generator=torch.Generator().manual_seed(0))])
    stretch = torch.tensor([1.2345678])
    one, other = (bank.cut(torch.tensor([0]), torch.tensor([90_000]), s, 4096) for s in (stretch, stretch.double()))
    assert torch.equal(one, other) and one.abs().max() > 0


def test_a_stretch_of_two_halves_the_frequency():
    seconds = torch.arange(20_000) / 20_000
    bank = Clips([0.5 * torch.sin(2 * torch.pi * 1000 * seconds)])
    crop = bank.cut(torch.tensor([0]), torch.tensor([5000]), torch.tensor([2.0]).double(), 20_000)[0]
    assert torch.fft.rfft(crop).abs().argmax() == 500


def test_ten_crops_of_a_five_second_clip_are_where_the_paper_s_reference_puts_them():
    bank = Clips([torch.full((100_000,), 0.5)])
    crops = even_crops(bank, torch.tensor([0]), 30_225, 10)[0]  # (10, 30225)
    assert crops.shape == (10, 30_225)
    assert (crops[0] != 0).nonzero()[0] == 15_112  # 15,112 zeros, then audio
    # Stride 11,111: the second crop starts 4,001 zeros before the clip.
    assert (crops[1] != 0).nonzero()[0] == 15_112 - 11_111
    assert (crops[-1] != 0).sum() == 100_000 - (9 * 11_111 - 15_112)  # the last one ends in zeros


def test_the_single_test_crop_is_the_centre():
    waveform = torch.zeros(100_001)
    waveform[50_000] = 0.5
    crop = even_crops(Clips([waveform]), torch.tensor([0]), 30_225, 1)[0, 0]
    assert abs(int(crop.argmax()) - 30_225 // 2) <= 1


def test_stretched_lengths_and_factors_stay_in_range(bank):
    factors = random_stretch(1000, 1.25, torch.Generator().manual_seed(0))
    assert 0.8 <= factors.min() < 0.81 and 1.24 < factors.max() <= 1.25
    indices = torch.arange(12)
    expected = [math.floor(int(n) * float(s)) for n, s in zip(bank.lengths, factors[:12])]
    assert bank.stretched_lengths(indices, factors[:12]).tolist() == expected


def test_random_crops_repeat_with_the_seed_and_differ_without(bank):
    draw = lambda seed: random_crops(bank, torch.arange(12), 4096, 1.25, torch.Generator().manual_seed(seed))
    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_random_starts_reach_both_paddings():
    bank = Clips([torch.full((6000,), 0.5)])
    crops = random_crops(bank, torch.zeros(400, dtype=torch.long), 4096, 1.0, torch.Generator().manual_seed(0))
    assert (crops[:, 0] == 0).any() and (crops[:, -1] == 0).any()
    assert ((crops != 0).sum(1) >= 2048).all()  # never more than half a crop of padding


@pytest.fixture
def mapped(bank, tmp_path):
    """Clips 7, 2 and 11 of ``bank``, mapped from a file that holds all twelve."""
    bank.samples.numpy().tofile(tmp_path / "samples")
    chosen = [7, 2, 11]
    return Clips.mapped(
        tmp_path / "samples", bank.offsets[chosen].numpy(), bank.lengths[chosen].numpy(), bank.digests()[chosen]
    )


def test_mapped_clips_cut_as_those_in_memory(bank, mapped):
    here = Clips([bank.waveform(index) for index in (7, 2, 11)])
    assert (here.digests() == mapped.digests()).all() and len(mapped) == 3
    for index in range(3):
        assert torch.equal(mapped.waveform(index), here.waveform(index))
    draw = lambda clips: random_crops(
        clips, torch.tensor([0, 1, 2, 2, 1, 0]), 4096, 1.25, torch.Generator().manual_seed(0)
    )
    assert torch.equal(draw(mapped), draw(here))


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda clips: pickle.loads(pickle.dumps(clips)), lambda clips: clips.to("meta")]
)
def test_a_copy_of_mapped_clips_holds_those_clips_only(mapped, copied):
    lengths, waveforms = mapped.lengths.tolist(), [mapped.waveform(index) for index in range(3)]
    twin = copied(mapped)
    assert twin.samples.shape == (sum(lengths),)
    if twin.device.type == "cpu":
        assert all(torch.equal(twin.waveform(index), waveforms[index]) for index in range(3))
        twin.samples[0] += 1  # its own memory, which can be written to


def test_clips_where_they_should_be_are_not_moved(mapped):
    samples = mapped.samples
    assert mapped.to("cpu").samples is samples and mapped.to("mps").samples is samples


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="this system cannot be asked to take pages back")
def test_pages_that_were_read_are_handed_back_now_and_then(mapped, monkeypatch):
    asked = []
    mapped._file = SimpleNamespace(madvise=asked.append)
    for _ in range(5):
        random_crops(mapped, torch.tensor([0, 1, 2]), 4096, 1.0, torch.Generator().manual_seed(0))
    assert not asked  # so little is left where it is
    monkeypatch.setattr(clips, "_HELD", 100_000)
    for _ in range(5):
        random_crops(mapped, torch.tensor([0, 1, 2]), 4096, 1.0, torch.Generator().manual_seed(0))
    assert asked == 5 * [mmap.MADV_DONTNEED]


def test_mapping_no_clips_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one clip"):
        Clips.mapped(tmp_path / "none", [], [], [])


@pytest.mark.parametrize(
    "waveforms, words",
    [
        ([], "at least one clip"),
        ([torch.zeros(1)], "fewer than 2 samples"),
        ([torch.tensor([0.0, 3.0])], "peaks at 3.0"),
        ([torch.tensor([0.0, torch.nan])], "peaks at nan"),
    ],
)
def test_a_bank_refuses_what_it_cannot_hold(waveforms, words):
    with pytest.raises(ValueError, match=words):
        Clips(waveforms)


def test_clips_on_another_device_are_a_copy_and_the_caller_s_stay():
    waveforms = [torch.arange(10 * n) / 1000 for n in (1, 2, 3)]
    clips = Clips(waveforms)
    samples = clips.samples
    moved = clips.to("meta")
    assert (moved.device.type, clips.device.type) == ("meta", "cpu") and clips.samples is samples
    assert moved.lengths.tolist() == clips.lengths.tolist() == [10, 20, 30] and len(moved.samples) == 60
    assert clips.to("cpu") is clips and clips.to("mps") is clips  # there it would lack double precision


def test_pieces_are_the_waveform_cut_up():
    clips = Clips([torch.zeros(7), torch.arange(10) / 100, torch.ones(3)])
    pieces = list(clips.pieces(1, 4))
    assert [len(piece) for piece in pieces] == [4, 4, 2] and torch.equal(torch.cat(pieces), clips.waveform(1))


COUNTS = torch.tensor([-32768, -32767, -12_345, -1, 0, 1, 20_000, 32_766, 32_767], dtype=torch.int16)


def test_a_count_is_one_32768th_of_full_scale_on_every_way_in_and_out():
    clips, exact = Clips([COUNTS]), COUNTS.double() / 32768
    assert torch.equal(Clips([exact.float()]).samples, COUNTS)
    assert torch.equal(clips.waveform(0).double(), exact)
    assert torch.equal(torch.cat(list(clips.pieces(0, 4))).double(), exact)
    zero = torch.zeros(1, dtype=torch.long)
    assert torch.equal(clips.cut(zero, zero, torch.ones(1), len(COUNTS))[0].double(), exact)


def test_every_start_of_a_random_crop_is_as_likely_the_first_and_the_last_too():
    bank = Clips([torch.tensor([0.25, 0.5])])
    crops = random_crops(bank, torch.zeros(900, dtype=torch.long), 2, 1.0, torch.Generator().manual_seed(0))
    found, counts = crops.unique(dim=0, return_counts=True)
    assert found.tolist() == [[0, 0.25], [0.25, 0.5], [0.5, 0]]
    assert (counts - 300).abs().max() < 60  # four standard deviations


def test_random_crops_are_stretched_either_way_as_often():
    ramp = torch.arange(3200, dtype=torch.int16) * 10
    crops = random_crops(Clips([ramp]), torch.zeros(400, dtype=torch.long), 64, 1.25, torch.Generator().manual_seed(0))
    factors = 10 / 32768 / crops.diff(dim=1).median(dim=1).values.double()
    factors = factors[factors > 0]
    assert len(factors) > 380 and 0.799 < factors.min() < 0.81 and 1.23 < factors.max() < 1.251
    assert 0.4 < (factors < 1).double().mean() < 0.6
