import math
import os
import subprocess
import sys
import textwrap
from dataclasses import replace

import pytest
import torch
from torch import nn

from acssm_lib import training
from acssm_lib.data.clips import Clips
from acssm_lib.model.encoder import AcousticSSM
from acssm_lib.pretraining.contrastive import (
    BilinearSimilarity,
    SegmentPairs,
    contrastive_loss,
    pretrain,
    projection_head,
)
from acssm_lib.training import cosine_factor, count_parameters, seeded


def build(config):
    with seeded(0):
        return AcousticSSM(config)


def test_loss_equals_equation_4_written_as_a_loop():
    torch.manual_seed(0)
    anchors, positives, similarity = torch.randn(5, 4), torch.randn(5, 4), BilinearSimilarity(4)
    total = 0.0
    for i in range(5):
        scores = [(anchors[i] @ similarity.weight @ positives[j]).item() / 0.2 for j in range(5)]
        top = max(scores)
        total -= scores[i] - top - math.log(sum(math.exp(score - top) for score in scores))
    loss = contrastive_loss(anchors, positives, similarity, temperature=0.2)
    assert loss.item() == pytest.approx(total / 5, rel=1e-4)
    torch.testing.assert_close(contrastive_loss(5 * anchors, positives, similarity), loss)  # without a temperature: 1


def test_equal_embeddings_give_ln_b():
    same = torch.ones(64, 8)
    assert contrastive_loss(same, same, BilinearSimilarity(8)).item() == pytest.approx(math.log(64), abs=1e-4)


def test_swapping_the_views_matters_unless_symmetric():
    torch.manual_seed(0)
    a, p, similarity = torch.randn(6, 4), torch.randn(6, 4), BilinearSimilarity(4)
    assert not torch.isclose(contrastive_loss(a, p, similarity), contrastive_loss(p, a, similarity), atol=1e-3)
    swapped = lambda x, y: similarity(y, x).T  # the same numbers, seen from the other side
    torch.testing.assert_close(
        contrastive_loss(a, p, similarity, symmetric=True), contrastive_loss(p, a, swapped, symmetric=True)
    )


def test_first_loss_with_unit_variance_w_is_far_above_ln_b_and_with_cola_s_close_to_it():
    torch.manual_seed(0)
    y = torch.randn(1, 512) + 0.1 * torch.randn(64, 512)  # an untrained encoder finds all clips much alike
    paper = contrastive_loss(*(projection_head(512, 256)(y),) * 2, BilinearSimilarity(256), temperature=0.2)
    head = nn.Sequential(nn.Linear(512, 256), nn.LayerNorm(256), nn.Tanh())
    cola = contrastive_loss(*(head(y),) * 2, BilinearSimilarity(256, std=0.05))
    assert paper.item() > 2 * math.log(64)
    assert cola.item() == pytest.approx(math.log(64), rel=0.25)


def test_head_and_similarity_sizes():
    assert count_parameters(projection_head(512, 256)) == 394_496
    assert count_parameters(BilinearSimilarity(256)) == 65_536


def test_pretraining_lowers_the_loss(tiny):
    """Twelve tones a third apart: every recording can be told from every other by its frequency."""
    seconds = torch.arange(8000) / 20_000
    bank = Clips([0.3 * torch.sin(2 * torch.pi * 300 * 1.32**i * seconds) for i in range(12)])
    config = replace(tiny, pretrain_epochs=30, pretrain_batch=8, pretrain_lr=5e-3, temperature=2.0)
    losses = pretrain(build(config), bank, range(12), config, seed=0, progress=False).losses
    assert len(losses) == 60
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10])


def test_only_the_clips_of_the_pool_are_heard(bank, tiny):
    heard = []

    class Listener(SegmentPairs):
        def forward(self, encoder, clips, indices, generator):
            heard.extend(indices.tolist())
            return super().forward(encoder, clips, indices, generator)

    pool = [1, 4, 6, 7, 10]
    pretrain(build(tiny), bank, pool, tiny, seed=0, objective=Listener, progress=False)
    assert set(heard) == set(pool)


def test_same_seed_same_weights(bank, tiny):
    def weights(seed):
        encoder = build(tiny)
        pretrain(encoder, bank, range(12), tiny, seed=seed, progress=False)
        return torch.cat([value.flatten().float() for value in encoder.state_dict().values()])

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


KILLED = """
    # One import of torch for all runs: each is a fork of this process, and the killed ones are killed for good.
    import dataclasses, os, signal, sys, torch
    from acssm_lib.pretraining import contrastive
    from acssm_lib.data.clips import Clips
    from acssm_lib.model.encoder import AcousticSSM
    from acssm_lib.presets import preset
    from acssm_lib.training import seeded

    torch.set_num_threads(1)
    config = dataclasses.replace(preset("quick"), n_samples=4096, n_mels=16, widths=(4, 8), blocks=(1, 1), d_state=4,
                                 d_projection=8, pretrain_epochs=3, pretrain_batch=4, dropout=0.1)
    generator = torch.Generator().manual_seed(0)
    waveforms = [0.1 * torch.randn(8000, generator=generator) for _ in range(12)]
    real = contrastive.contrastive_loss

    def run(name, kill_at):
        steps = []
        def counted(*args):
            steps.append(1)
            if len(steps) == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args)
        contrastive.contrastive_loss = counted
        with seeded(0):
            encoder = AcousticSSM(config)
        done = contrastive.pretrain(encoder, Clips(waveforms), range(12), config, seed=0, checkpoint=f"{name}.ckpt",
                                    progress=False, save_every_s=0)
        torch.save({"weights": encoder.state_dict(), "losses": done.losses}, f"{name}.done")

    for name, kill_at in (("unbroken", 0), ("broken", 2), ("broken", 4), ("broken", 0)):
        child = os.fork()
        if child == 0:
            run(name, kill_at)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        assert status == (signal.SIGKILL if kill_at else 0), status
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes; this system cannot fork")
def test_a_run_killed_at_any_step_continues_to_the_same_result(tmp_path):
    # 9 steps: killed in the 2nd, then in the 4th of what was left, then finished.
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED)],
        cwd=tmp_path,
        check=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    unbroken, broken = (torch.load(tmp_path / f"{name}.done", weights_only=True) for name in ("unbroken", "broken"))
    assert broken["losses"] == unbroken["losses"] and len(broken["losses"]) == 9
    for key, value in unbroken["weights"].items():
        assert torch.equal(broken["weights"][key], value), key


def test_a_checkpoint_of_other_settings_is_refused(bank, tiny, tmp_path):
    file = tmp_path / "pretraining.ckpt"
    pretrain(build(tiny), bank, range(12), tiny, seed=0, checkpoint=file, progress=False)
    with pytest.raises(ValueError, match="belongs to a training with another seed; delete it"):
        pretrain(build(tiny), bank, range(12), tiny, seed=1, checkpoint=file, progress=False)
    with pytest.raises(ValueError, match="another pretrain_lr, temperature; delete it"):
        pretrain(
            build(tiny),
            bank,
            range(12),
            replace(tiny, pretrain_lr=1e-5, temperature=1.0),
            seed=0,
            checkpoint=file,
            progress=False,
        )
    recorded_again = Clips([bank.waveform(clip) * 0.5 for clip in range(12)])
    with pytest.raises(ValueError, match="another clips; delete it"):
        pretrain(build(tiny), recorded_again, range(12), tiny, seed=0, checkpoint=file, progress=False)


def test_a_checkpoint_serves_runs_that_differ_in_what_comes_after_pre_training(bank, tiny, tmp_path):
    file = tmp_path / "pretraining.ckpt"
    first = pretrain(build(tiny), bank, range(12), tiny, seed=0, checkpoint=file, progress=False)
    later = replace(tiny, n_episodes=7, n_frozen_episodes=9, finetune_lr=0.5, test_views=3)
    assert pretrain(build(tiny), bank, range(12), later, seed=0, checkpoint=file, progress=False).losses == first.losses


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "other code"])
def test_a_damaged_checkpoint_and_one_of_other_code_are_named_and_not_used(
    bank, tiny, tmp_path, capsys, monkeypatch, damage
):
    file = tmp_path / "pretraining.ckpt"
    whole = pretrain(build(tiny), bank, range(12), tiny, seed=0, checkpoint=file, progress=False)
    content = file.read_bytes()
    middle = len(content) // 2
    if damage == "other code":
        monkeypatch.setattr(training, "code_digest", lambda: "another")
    else:
        file.write_bytes(
            {
                "empty": b"",
                "cut": content[:-100],
                "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
            }[damage]
        )
    again = pretrain(build(tiny), bank, range(12), tiny, seed=0, checkpoint=file, progress=False)
    assert again.losses == whole.losses
    said = capsys.readouterr().out
    assert said.startswith(f"{file}: ") and said.endswith("this training starts over\n") and len(said.splitlines()) == 1
    pretrain(build(tiny), bank, range(12), tiny, seed=0, checkpoint=file, progress=False)
    assert capsys.readouterr().out == ""  # the new one is whole


def test_one_clip_cannot_be_contrasted(bank, tiny):
    with pytest.raises(ValueError, match="at least 2"):
        pretrain(build(tiny), bank, [3], tiny, seed=0, progress=False)


def test_a_loss_that_explodes_stops_with_its_step(tiny):
    bank = Clips([0.1 * torch.randn(8000, generator=torch.Generator().manual_seed(i)) for i in range(4)])
    with pytest.raises(FloatingPointError, match="pre-training: the loss is"):
        pretrain(build(tiny), bank, range(4), replace(tiny, pretrain_lr=1e30, pretrain_warmup=0.0), 0, progress=False)


def test_cosine_goes_from_one_to_nearly_zero_once_per_epoch():
    factors = [cosine_factor(step, 30, steps_per_epoch=3) for step in range(30)]
    assert factors[0] == factors[2] == 1 and factors[3] < 1
    assert 0 < factors[-1] < 0.03
    warm = [cosine_factor(step, 30, 3, warmup_steps=4) for step in range(30)]
    assert warm[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]


def first_step(bank, config):
    """How far the first step of a pre-training moves the encoder: its step sizes and poles, its other weights.

    The first step of Adam moves a weight by the learning rate of that step, whatever its gradient.
    """
    encoder, seen = build(config), []

    class Watching(SegmentPairs):
        def forward(self, encoder, *arguments):
            seen.append([parameter.detach().clone() for parameter in encoder.parameters()])
            return super().forward(encoder, *arguments)

    config = replace(config, pretrain_epochs=5, pretrain_batch=12, pretrain_weight_decay=0.0)  # five steps
    pretrain(encoder, bank, range(12), config, seed=0, objective=Watching, progress=False)
    moved = [(after - before).abs().max().item() for before, after in zip(*seen[:2])]
    special = {id(parameter) for parameter in encoder.special_parameters()}
    is_special = [id(parameter) in special for parameter in encoder.parameters()]
    return (max(m for m, own in zip(moved, is_special) if own == wanted) for wanted in (True, False))


@pytest.mark.parametrize("warmup, share", [(0.0, 1.0), (0.4, 1 / 2), (0.8, 1 / 4)])
def test_the_learning_rate_rises_during_the_warm_up(bank, tiny, warmup, share):
    _, moved = first_step(bank, replace(tiny, pretrain_lr=8e-4, pretrain_warmup=warmup))
    assert moved == pytest.approx(share * 8e-4, rel=1e-2)


@pytest.mark.parametrize("lr, limited", [(1e-2, 1e-3), (2e-4, 2e-4)])
def test_step_sizes_and_poles_learn_no_faster_than_their_limit(bank, tiny, lr, limited):
    special, others = first_step(bank, replace(tiny, pretrain_lr=lr, pretrain_warmup=0.0))
    assert special == pytest.approx(limited, rel=1e-2) and others == pytest.approx(lr, rel=1e-2)
