import dataclasses

import numpy as np
import pytest
import torch

from acssm_lib.baselines.mel_statistics import MelStatistics
from acssm_lib.data.clips import Clips, even_crops
from acssm_lib.experiment.methods import build_encoder
from acssm_lib.fewshot import embedding
from acssm_lib.fewshot.embedding import CropFeatures, embed, shuffle_frames
from acssm_lib.fewshot.finetuning import Classifier, FineTuning, predict
from acssm_lib.model.encoder import AcousticSSM
from acssm_lib.training import seeded

LABELS = np.repeat([0, 1, 2], 4)


def build(config):
    with seeded(0):
        return AcousticSSM(config)


def test_mel_statistics_ignore_the_order_of_frames(tiny):
    generator = torch.Generator().manual_seed(0)
    first, second = (0.3 * torch.randn(8192, generator=generator) * level for level in (1.0, 0.05))
    bank = Clips([torch.cat([first, second]).clamp(-1, 1), torch.cat([second, first]).clamp(-1, 1)])
    one, other = MelStatistics(bank, tiny).features([0, 1])
    assert one.shape == (192,)
    assert np.abs(one - other).mean() < 1.0  # dB; the two halves differ by 26 dB


def test_shuffled_frames_are_the_same_frames_in_an_order_per_crop():
    features = torch.arange(2 * 3 * 4 * 9.0).view(2, 3, 4, 9)
    mixed = shuffle_frames(features, torch.Generator().manual_seed(0))
    torch.testing.assert_close(mixed.sort(3).values, features, rtol=0, atol=0)
    order = (mixed - features[..., :1]).long()  # of every band
    assert (order == order[:, :1, :1]).all() and not torch.equal(order[0], order[1])


@pytest.mark.parametrize(
    "method, deaf_to_order", [("adapted-cnn", True), ("kernel-zeroed", True), ("supervised", False)]
)
def test_shuffling_frames_changes_what_remembers_them_and_nothing_else(bank, tiny, method, deaf_to_order):
    encoder = build_encoder(method, bank, range(12), tiny, 0)
    in_time, mixed = (embed(encoder, bank, np.arange(12), tiny, shuffle_seed=seed) for seed in (None, 0))
    assert torch.allclose(in_time, mixed, atol=1e-5) == deaf_to_order


@pytest.mark.parametrize("most_mib, kept", [(512, 12), (0.02, 0), (0, 0)])  # all of them take 0.04 MiB
def test_kept_features_are_those_of_a_fresh_front_end(bank, tiny, most_mib, kept):
    encoder, other = build(tiny).eval(), build(tiny).eval()
    features, cut = CropFeatures(encoder, bank, tiny, most_mib), []
    encoder.front_end.register_forward_hook(lambda module, inputs, output: cut.append(len(inputs[0])))
    for asked in ([3, 1, 8], [8, 8, 0], range(12)):
        for seed in (None, 7):
            torch.testing.assert_close(
                embed(encoder, bank, asked, tiny, seed, features),
                embed(other, bank, asked, tiny, seed),
                rtol=1e-5,
                atol=1e-5,
            )
    assert len(features.kept) == kept and features.size <= most_mib * 2**20
    assert sum(cut) == 2 * 12 if kept else sum(cut) > 2 * 12  # two crops per clip


def test_features_are_kept_from_draw_to_draw(bank, tiny):
    encoder, cut = build(tiny), []
    learner = FineTuning(encoder, bank, tiny, progress=False)
    encoder.front_end.register_forward_hook(lambda module, inputs, output: cut.append(len(inputs[0])))
    for draw in (0, 1):
        learner.fit(np.arange(0, 12, 2), LABELS[::2], draw)
        trained = sum(cut)
        answers = learner.predict(np.arange(12), shuffle_seed=5)
        assert sum(cut) - trained == (2 * 12 if draw == 0 else 0)
        fresh = predict(learner.classifier, bank, np.arange(12), tiny, shuffle_seed=5)
        assert np.allclose(answers, fresh, atol=1e-5)


def test_whole_clips_of_any_length_are_read_at_once(tiny):
    config = dataclasses.replace(tiny, test_crops=0)
    generator = torch.Generator().manual_seed(0)
    waveforms = [0.1 * torch.randn(length, generator=generator) for length in (9000, 300, 5000)]
    bank, encoder = Clips(waveforms), build(tiny).eval()
    embedding = embed(encoder, bank, torch.tensor([2, 0, 1]), config)
    with torch.no_grad():
        padded = torch.nn.functional.pad(bank.waveform(1), (0, config.n_fft - 300))  # too short for one frame
        wanted = torch.cat([encoder.embed(waveform[None]) for waveform in (bank.waveform(2), bank.waveform(0), padded)])
    torch.testing.assert_close(embedding, wanted)


def test_embeddings_and_answers_are_means_over_all_test_crops(bank, tiny):
    config, chosen = dataclasses.replace(tiny, test_crops=3), torch.tensor([0, 5, 11])
    classifier = Classifier(build(config), 3).eval()
    crops = even_crops(bank, chosen, config.n_samples, 3).unbind(1)  # three of (clips, n_samples)
    with torch.no_grad():
        embeddings = torch.stack([classifier.encoder.embed(crop) for crop in crops])
        answers = torch.stack([classifier(classifier.encoder.front_end(crop)).softmax(1) for crop in crops])
    assert all((each - each.mean(0)).abs().max() > 1e-4 for each in (embeddings, answers))  # no crop is like the others
    torch.testing.assert_close(embed(classifier.encoder, bank, chosen, config), embeddings.mean(0))
    torch.testing.assert_close(predict(classifier, bank, chosen, config), answers.mean(0))


@pytest.mark.parametrize("long", [2**22, 5000])  # all at once, or clip after clip
@pytest.mark.parametrize("shuffle_seed", [None, 3])
def test_whole_clips_of_many_lengths_are_embedded_as_if_each_were_alone(tiny, monkeypatch, shuffle_seed, long):
    monkeypatch.setattr(embedding, "_LONG", long)
    config = dataclasses.replace(tiny, features="log-mel", test_crops=0, test_views=7)
    generator = torch.Generator().manual_seed(0)
    clips = Clips([torch.rand(n, generator=generator) - 0.5 for n in (4000, 9000, 4000, 1500, 9000, 7)])
    encoder = build(config)
    together = embed(encoder, clips, np.arange(6), config, shuffle_seed)
    if shuffle_seed is None:
        alone = torch.cat([embed(encoder, clips, [clip], config) for clip in range(6)])
        backwards = embed(encoder, clips, np.arange(6)[::-1].copy(), config).flip(0)
        torch.testing.assert_close(together, backwards, atol=1e-5, rtol=1e-4)
    else:  # one stream of random orders through all clips
        monkeypatch.setattr(embedding, "_by_shape", lambda function, batches: [function(one) for one in batches])
        alone = embed(encoder, clips, np.arange(6), config, shuffle_seed)
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("test_crops", [1, 3, 70])
def test_no_more_crops_are_in_memory_at_once_than_sixty_four_or_one_clip_has(tiny, test_crops):
    clips = Clips([0.1 * torch.randn(5_000, generator=torch.Generator().manual_seed(n)) for n in range(40)])
    config, encoder, seen = dataclasses.replace(tiny, test_crops=test_crops), build(tiny), []
    for module in (encoder, encoder.front_end):
        module.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    embed(encoder, clips, np.arange(40), config)
    most = max(64 // test_crops, 1) * test_crops
    assert max(seen) == min(most, 40 * test_crops) and sum(seen) == 2 * 40 * test_crops


def test_whole_clips_in_memory_at_once_begin_within_one_length_of_their_limit(monkeypatch):
    monkeypatch.setattr(embedding, "_LONG", 10_000)
    lengths = torch.tensor([3_000, 3_000, 3_000, 3_000, 25_000, 3_000, 3_000])
    portions = embedding._portions(torch.arange(7), lengths, 0)
    assert [portion.tolist() for portion in portions] == [[0, 1, 2], [3], [4, 5, 6]]  # a long one counts as the limit


@pytest.mark.parametrize("frames, sizes", [(3, [64, 64, 64, 8]), (3_000, [4] * 50), (20_000, [2] * 100)])
def test_what_has_one_shape_goes_side_by_side_and_few_of_what_is_long(frames, sizes):
    """A hundred batches of two: 64 clips, or 16,384 frames, at once, and one batch where that is too much."""
    seen = []

    def first(batch):
        seen.append(len(batch))
        return batch[:, 0, 0, :1]

    answers = embedding._by_shape(first, [torch.full((2, 3, 1, 1), n).expand(2, 3, 1, frames) for n in range(100)])
    assert seen == sizes and torch.cat(answers).flatten().tolist() == np.repeat(range(100), 2).tolist()


def test_whole_clips_of_one_length_are_embedded_side_by_side(tiny):
    encoder, seen = build(tiny), []
    encoder.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    embed(encoder, Clips(list(torch.rand(12, 5_000) - 0.5)), np.arange(12), dataclasses.replace(tiny, test_crops=0))
    assert seen == [12]
