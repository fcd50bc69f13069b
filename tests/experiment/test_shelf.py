import dataclasses
import re

import numpy as np
import pytest
import torch

from acssm_lib.data.clips import Clips
from acssm_lib.data.frogs import SyntheticFrogs
from acssm_lib.experiment import shelf
from acssm_lib.experiment.shelf import _fingerprint, pretrained_encoder
from acssm_lib.fewshot.groups import load_group
from acssm_lib.fewshot.protocols import pretraining_pool
from acssm_lib.presets import preset
from acssm_lib.pretraining.contrastive import SegmentPairs

FROGS = SyntheticFrogs(n_individuals=2, clips_per_individual=3, duration_s=1.5)


def test_pool_of_the_group_holds_everything_and_unlabelled_leaves_the_support_out():
    config = preset("quick", n_shot=2)
    data = load_group(FROGS, "order", config, 0, progress=False)
    assert len(data.clips) == 30 and data.labels.tolist() == sorted(list(range(5)) * 6)
    assert pretraining_pool(data, config, 0).tolist() == list(range(30))
    published = dataclasses.replace(config, pool="unlabelled", n_episodes=1)
    assert len(pretraining_pool(data, published, 0)) == 20
    assert pretraining_pool(data, published, 0).tolist() != pretraining_pool(data, published, 1).tolist()


def test_pool_of_all_leaves_every_group_s_support_out():
    config = preset("quick", n_shot=2, pool="all", n_episodes=1)
    data = load_group(FROGS, "order", config, 0, progress=False)
    assert len(data.clips) == 90 and (data.labels >= 0).sum() == 30
    assert len(pretraining_pool(data, config, 0)) == 90 - 3 * 10


def test_several_draws_cannot_each_be_withheld():
    config = preset("quick", pool="unlabelled", n_shot=2)
    with pytest.raises(ValueError, match="n_episodes=4"):
        pretraining_pool(load_group(FROGS, "order", config, 0, progress=False), config, 0)


def test_negatives_by_source_ask_for_sources_and_make_another_encoder():
    config = preset("quick", n_shot=2, negatives="other-sources")
    data = load_group(FROGS, "order", config, 0, progress=False)
    objective = shelf.objective_for("acoustic-ssm1", config, data)
    numbers = objective.keywords["sources"].tolist()
    assert len(set(numbers)) == len(set(data.sources)) and -1 not in numbers
    assert [numbers[i] == numbers[0] for i in range(30)] == [source == data.sources[0] for source in data.sources]
    with pytest.raises(ValueError, match="negatives=other-sources needs the source"):
        shelf.objective_for("acoustic-ssm1", config, dataclasses.replace(data, sources=[None] * 30))
    keys = {
        _fingerprint("acoustic-ssm1", dataclasses.replace(data, sources=sources), np.arange(30), config, 0, "cpu", None)
        for sources in (data.sources, ["one"] * 30, [None] * 30)
    }
    assert len(keys) == 3


def test_a_group_opened_again_is_mapped_and_equal_to_its_generated_waveforms(monkeypatch):
    config = preset("quick", n_shot=2)
    first = load_group(FROGS, "order", config, 0, progress=False)
    made = Clips([FROGS.waveform(int(index)) for index in FROGS.clips_of("order")])
    monkeypatch.setattr(SyntheticFrogs, "waveform", lambda *_: pytest.fail("generated again"))
    again = load_group(FROGS, "order", config, 0, progress=False)
    for clip in range(30):
        assert torch.equal(again.clips.waveform(clip), made.waveform(clip))
    assert (again.clips.digests() == made.digests()).all()
    assert first.names == again.names


def test_the_fingerprint_of_a_pretraining_follows_the_samples_and_not_where_they_lie():
    config = preset("quick", n_shot=2)
    data = load_group(FROGS, "order", config, 0, progress=False)

    def of(clips):
        return _fingerprint(
            "acoustic-ssm1", dataclasses.replace(data, clips=clips), np.arange(30), config, 0, "cpu", None
        )

    waveforms = [data.clips.waveform(clip) for clip in range(30)]
    assert of(Clips(waveforms)) == of(data.clips)
    waveforms[29] = waveforms[29].clone()
    waveforms[29][100] += 1 / 32768
    assert of(Clips(waveforms)) != of(data.clips)
    assert of(Clips(waveforms[::-1])) != of(Clips(waveforms))


def test_a_pretraining_that_was_killed_goes_on_for_whoever_needs_it_next(tiny, tmp_path, monkeypatch):
    data = load_group(FROGS, "order", tiny, 0, progress=False)
    whole, done = pretrained_encoder("adapted-cnn", data, tiny, 0, progress=False, folder=tmp_path / "whole")
    steps, original = [], SegmentPairs.forward

    def dying(self, *arguments):
        steps.append(1)
        if len(steps) == 5:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(SegmentPairs, "forward", dying)
    with pytest.raises(KeyboardInterrupt):
        pretrained_encoder("adapted-cnn", data, tiny, 0, progress=False, folder=tmp_path / "cut")
    assert [path.suffix for path in (tmp_path / "cut").iterdir() if path.suffix != ".lock"] == [".ckpt"]
    again, resumed = pretrained_encoder("adapted-cnn", data, tiny, 0, progress=False, folder=tmp_path / "cut")
    assert resumed.losses == done.losses and len(steps) < 5 + done.steps
    for ours, theirs in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert not list((tmp_path / "cut").glob("*.ckpt"))


def test_an_encoder_is_trained_once_and_found_again_only_for_the_same_task(tiny, tmp_path):
    config = dataclasses.replace(tiny, n_samples=4096)
    data = load_group(FROGS, "order", config, 0, progress=False)

    def get(method="acoustic-ssm1", seed=0, **changes):
        encoder, pretraining = pretrained_encoder(
            method, data, dataclasses.replace(config, **changes), seed, progress=False, folder=tmp_path
        )
        return encoder, pretraining, len(list(tmp_path.glob("*.pt")))

    first, trained, n_files = get()
    again, loaded, _ = get(finetune_lr=0.1, n_episodes=7, test_crops=1)  # what follows pre-training does not matter
    assert n_files == 1 and loaded == trained and trained.steps == len(trained.losses) > 0
    for ours, theirs in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
    assert not again.training
    assert get(seed=1)[2] == 2 and get(temperature=24.0)[2] == 3 and get(method="adapted-cnn")[2] == 4
    assert get(method="supervised")[1:] == (None, 4)  # nothing is trained, nothing kept
    assert get(method="mel-stats") == (None, None, 4)


def test_an_encoder_s_address_knows_data_settings_seed_version_and_precision_and_no_machine(monkeypatch):
    config = preset("quick", n_shot=2)
    data = load_group(FROGS, "order", config, 0, progress=False)

    def address(seed=0, device="cpu", method="acoustic-ssm1", pool=range(30), **changes):
        return shelf._fingerprint(
            method, data, np.array(pool), dataclasses.replace(config, **changes), seed, device, None
        )

    first = address()
    assert re.fullmatch("[0-9a-f]{32}", first)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 64)
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    monkeypatch.setattr(shelf, "pick_device", torch.device)
    assert {address(device=device) for device in ("cpu", "cuda", "cuda:1", "mps")} == {first}
    assert address(n_episodes=9, finetune_lr=0.1, test_crops=1, head_width=9) == first  # of what follows
    others = [
        address(seed=1),
        address(method="adapted-cnn"),
        address(pool=range(29)),
        address(pretrain_lr=0.1),
        address(precision="bfloat16"),
    ]
    monkeypatch.setattr(shelf, "_VERSION", shelf._VERSION + 1)
    assert len({first, *others, address()}) == 7


def test_auto_is_the_precision_that_it_comes_down_to(monkeypatch):
    data = load_group(FROGS, "order", preset("quick"), 0, progress=False)
    resolved = {"cpu": "float32", "cuda": "bfloat16"}
    monkeypatch.setattr(shelf, "pick_device", torch.device)
    monkeypatch.setattr(
        shelf, "computing_precision", lambda asked, device: resolved.get(device.type) if asked == "auto" else asked
    )

    def address(precision, device):
        return shelf._fingerprint(
            "supervised", data, np.arange(30), preset("quick", precision=precision), 0, device, None
        )

    assert address("auto", "cpu") == address("float32", "cpu") != address("auto", "cuda")
    assert address("auto", "cuda") == address("bfloat16", "cpu")


def test_what_a_killed_training_left_half_written_is_swept_and_nothing_of_others(tiny, tmp_path):
    data = load_group(FROGS, "order", tiny, 0, progress=False)
    pretrained_encoder("adapted-cnn", data, tiny, 0, progress=False, folder=tmp_path)
    (kept,) = tmp_path.glob("*.pt")
    kept.unlink()
    ours, others = (tmp_path / f".{name}.host.1.0123abcd.part.ckpt" for name in (kept.stem, "0" * 32))
    ours.write_text("half")
    others.write_text("being written")
    pretrained_encoder("adapted-cnn", data, tiny, 0, progress=False, folder=tmp_path)
    assert kept.exists() and not ours.exists() and others.exists()


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped"])
def test_a_damaged_encoder_is_named_and_trained_again(tiny, tmp_path, capsys, damage):
    data = load_group(FROGS, "order", tiny, 0, progress=False)
    get = lambda: pretrained_encoder("adapted-cnn", data, tiny, 0, progress=False, folder=tmp_path)
    first, trained = get()
    (file,) = tmp_path.glob("*.pt")
    content = file.read_bytes()
    middle = len(content) // 2
    file.write_bytes(
        {
            "empty": b"",
            "cut": content[:-100],
            "flipped": content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :],
        }[damage]
    )
    capsys.readouterr()
    again, trained_again = get()
    said = capsys.readouterr().out
    assert said.startswith(f"{file}: damaged") and said.endswith("this encoder is trained again\n")
    assert trained_again.losses == trained.losses
    for ours, theirs in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(ours, theirs)
    get()
    assert capsys.readouterr().out == ""
