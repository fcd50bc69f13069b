import contextlib
import copy
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from acssm_lib import training
from acssm_lib.baselines.controls import KernelZeroed
from acssm_lib.baselines.mt_slvr import SplitResNet
from acssm_lib.model.encoder import AcousticSSM, AdaptedCNN
from acssm_lib.pretraining.contrastive import SegmentPairs, pretrain
from acssm_lib.training import _unlike, computing_precision, pick_device, reduced_precision, seeded, train


def build(kind, config):
    with seeded(0):
        return kind(config)


@pytest.mark.parametrize(
    "able, resolved",
    [
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
        ({"avx512_f": True, "avx512_bf16": False}, "float32"),
        ({}, "float32"),
    ],
)
def test_auto_is_bfloat16_only_where_the_processor_multiplies_it(monkeypatch, able, resolved):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert computing_precision("auto", "cpu") == resolved
    assert computing_precision("float32", "cpu") == "float32"
    assert computing_precision("bfloat16", torch.device("cpu")) == "bfloat16"
    assert computing_precision("auto", "mps") == "float32"


@pytest.mark.parametrize("emulated", [True, False])
def test_auto_on_an_older_gpu_is_float32(monkeypatch, emulated):
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or not emulated
    )
    assert computing_precision("auto", "cuda") == ("float32" if emulated else "bfloat16")


def test_products_are_rounded_inside_the_context_only():
    a, b = torch.randn(2, 40, 40, generator=torch.Generator().manual_seed(0))
    exact = a @ b
    with reduced_precision("float32", "cpu"):
        assert torch.equal(a @ b, exact)
    with reduced_precision("bfloat16", "cpu"):
        rounded = a @ b
    assert rounded.dtype == torch.bfloat16
    difference = (rounded.float() - exact).norm() / exact.norm()
    assert 1e-4 < difference < 1e-2


@pytest.mark.parametrize("kind", [AcousticSSM, AdaptedCNN, KernelZeroed, SplitResNet])
def test_bfloat16_training_is_close_to_float32_and_the_rest_is_float32(tiny, kind):
    spectrograms = torch.randn(8, 3, tiny.n_mels, 12, generator=torch.Generator().manual_seed(0))
    target = torch.randn(kind(tiny).d_model, generator=torch.Generator().manual_seed(1))
    exact = build(kind, replace(tiny, dropout=0.0)).train()
    rounded = build(kind, replace(tiny, dropout=0.0, precision="bfloat16")).train()
    features, gradients = [], []
    for encoder in (exact, rounded):
        features.append(encoder(spectrograms))
        features[-1].mean(dim=2).matmul(target).square().sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in encoder.parameters() if p.requires_grad]))
    assert features[1].dtype == gradients[1].dtype == torch.float32
    assert {value.dtype for value in rounded.state_dict().values()} <= {torch.float32, torch.int64}
    for exactly, roughly in (features, gradients):
        assert 1e-4 < (roughly - exactly).norm() / exactly.norm() < 0.1

    rounded.load_state_dict(exact.state_dict())
    assert torch.equal(rounded.eval()(spectrograms), exact.eval()(spectrograms))  # a test never rounds


def test_pretraining_and_its_resumption_in_bfloat16(tiny, bank, tmp_path):
    config = replace(tiny, precision="bfloat16")
    file = tmp_path / "pretraining.ckpt"

    def losses(stop=None):
        class Stopping(SegmentPairs):
            steps = 0

            def forward(self, *arguments):
                Stopping.steps += 1
                if Stopping.steps == stop:
                    raise KeyboardInterrupt
                return super().forward(*arguments)

        Stopping.__name__ = "SegmentPairs"
        return pretrain(
            build(AcousticSSM, config),
            bank,
            range(12),
            config,
            seed=0,
            objective=Stopping,
            checkpoint=file,
            save_every_s=0,
            progress=False,
        ).losses

    unbroken = losses()
    file.unlink()
    with pytest.raises(KeyboardInterrupt):
        losses(stop=5)
    assert losses() == unbroken
    exact = pretrain(build(AcousticSSM, tiny), bank, range(12), tiny, seed=0, progress=False).losses
    assert unbroken != exact and unbroken == pytest.approx(exact, abs=0.2)


def test_fused_adamw_is_adamw_with_channels_innermost_too(tiny):
    encoders = [build(AdaptedCNN, tiny)]
    encoders.append(copy.deepcopy(encoders[0]))
    spectrograms = torch.randn(8, 3, tiny.n_mels, 12, generator=torch.Generator().manual_seed(0))
    for encoder, fused in zip(encoders, (True, False)):
        assert encoder.cnn.stem[0].weight.is_contiguous(memory_format=torch.channels_last)
        optimiser = torch.optim.AdamW(encoder.parameters(), 1e-3, weight_decay=0.1, eps=1e-2, fused=fused)
        train(
            lambda step: encoder(spectrograms).square().mean(),
            {"encoder": encoder},
            optimiser,
            lambda step: 1.0,
            3,
            torch.Generator(),
            0,
            progress=False,
        )
    for one, other in zip(*(encoder.parameters() for encoder in encoders)):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


class NoReadBack(TorchDispatchMode):
    """Raises at every operation that would make the host wait for a device."""

    waiting = {
        "_local_scalar_dense",
        "nonzero",
        "equal",
        "masked_select",
        "is_nonzero",
        "_unique2",
        "unique_dim",
        "unique_consecutive",
        "repeat_interleave.Tensor",
    }

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        name = str(function).removeprefix("aten.")
        by_mask = name.startswith(("index.", "index_put")) and any(
            index is not None and index.dtype == torch.bool for index in arguments[1]
        )
        if by_mask or name in self.waiting or name.split(".")[0] in self.waiting:
            raise AssertionError(f"{name} would wait for the device")
        return function(*arguments, **(keywords or {}))


@pytest.mark.parametrize(
    "read_back",
    [
        lambda x: x.sum().item(),
        lambda x: x[x > 0],
        lambda x: bool(x.sum() > 0),
        lambda x: x.nonzero(),
        lambda x: torch.equal(x, x),
        lambda x: x.unique(),
    ],
)
def test_the_watch_sees_every_way_to_wait(read_back):
    with NoReadBack(), pytest.raises(AssertionError, match="would wait"):
        read_back(torch.arange(3.0))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_step_reads_nothing_back_from_the_device(tiny, bank, precision):
    """From the views on; where to cut these is decided on the host, which may look at its own numbers."""
    config = replace(tiny, precision=precision)
    encoder = build(AcousticSSM, config).train()
    objective = SegmentPairs(encoder, config)
    optimiser = torch.optim.AdamW([*encoder.parameters(), *objective.parameters()], fused=True)
    waveform = objective.views(bank, torch.arange(4), torch.Generator().manual_seed(0))
    objective.views = lambda *_: waveform
    before = encoder.cnn.stem[0].weight.clone()
    with NoReadBack():
        objective(encoder, None, None, None).backward()
        optimiser.step()
    assert not torch.equal(encoder.cnn.stem[0].weight, before)


class OnGPU(torch.Tensor):
    """A number on the CPU that says it lies on a GPU, and counts how often it is asked for."""

    asked = 0

    @property
    def device(self):
        return torch.device("cuda")

    def __float__(self):
        OnGPU.asked += 1
        return float(self.as_subclass(torch.Tensor))


@pytest.mark.parametrize("kind, noticed", [(torch.Tensor, 7), (OnGPU, 20)])
def test_a_loss_that_is_not_a_number_is_noticed_at_once_where_looking_costs_nothing(kind, noticed):
    layer, steps = torch.nn.Linear(1, 1), []

    def loss(step):
        steps.append(step)
        return (layer(torch.ones(1, 1)).sum() * (float("nan") if step >= 7 else 1)).as_subclass(kind)

    OnGPU.asked = 0
    with pytest.raises(FloatingPointError, match=f"the loss is nan at step {noticed}"):
        train(
            loss,
            {"layer": layer},
            torch.optim.SGD(layer.parameters(), 0.1),
            lambda step: 1.0,
            1000,
            torch.Generator(),
            0,
            progress=False,
        )
    assert steps[-1] == noticed and OnGPU.asked == (2 if kind is OnGPU else 0)  # at steps 0 and 20


class Random:
    """Stands for ``torch.cuda`` or ``torch.mps``: a state for each device."""

    def __init__(self):
        self.states = {}

    def get_rng_state(self, device="mps"):
        return self.states.get(str(device), torch.zeros(1))

    def set_rng_state(self, state, device="mps"):
        self.states[str(device)] = state


@pytest.mark.parametrize("kind, name", [("cuda", "cuda:1"), ("mps", "mps:0")])
def test_a_checkpoint_holds_the_random_state_of_the_very_device(tmp_path, monkeypatch, kind, name):
    module, random = torch.nn.Linear(1, 1), Random()
    optimiser = torch.optim.SGD(module.parameters(), 0.1)
    monkeypatch.setattr(getattr(torch, kind), "get_rng_state", random.get_rng_state)
    monkeypatch.setattr(getattr(torch, kind), "set_rng_state", random.set_rng_state)
    monkeypatch.setattr(training, "_device_of", lambda modules: torch.device(name))
    place = name if kind == "cuda" else "mps"
    random.states = {place: torch.ones(1), "cuda:0": torch.full((1,), 5.0)}
    training._save(tmp_path / "a.ckpt", None, {"m": module}, optimiser, torch.Generator(), [torch.ones(())])
    random.states = {}
    monkeypatch.setattr(torch.Tensor, "to", lambda tensor, *_: tensor)
    assert len(training._restore(tmp_path / "a.ckpt", None, {"m": module}, optimiser, torch.Generator())) == 1
    assert random.states == {place: torch.ones(1)}


@pytest.mark.parametrize("device, kind, index", [("cpu", "cuda", []), ("cuda:1", "cuda", [1]), ("mps", "mps", [0])])
def test_the_random_state_of_the_device_that_computes_is_put_back(monkeypatch, device, kind, index):
    seen = []
    monkeypatch.setattr(
        torch.random,
        "fork_rng",
        lambda devices, device_type: seen.append((device_type, devices)) or contextlib.nullcontext(),
    )
    with seeded(0, device):
        pass
    assert seen == [(kind, index)]


@pytest.mark.parametrize(
    "name, there",
    [(None, "cuda"), ("auto", "cuda"), ("cuda", "cuda"), ("cuda:1", "cuda:1"), ("cuda:0", "cuda:0"), ("cpu", "cpu")],
)
def test_a_device_is_chosen_by_name(monkeypatch, name, there):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert pick_device(name) == torch.device(there)


@pytest.mark.parametrize("name", ["cuda:2", "mps", "tpu", "cuda:x"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ValueError, match=f"'{name}' is not available here; choose one of auto, cuda, cuda:1, cpu"):
        pick_device(name)


def test_a_setting_that_came_after_a_checkpoint_stood_at_its_default():
    kept = {"seed": 0, "settings": {"n_layers": 4}}
    assert _unlike(kept, {"seed": 0, "settings": {"n_layers": 4, "n_members": 1}}) == []
    assert _unlike(kept, {"seed": 0, "settings": {"n_layers": 4, "n_members": 3}}) == ["n_members"]
    assert _unlike(kept, {"seed": 1, "settings": {"n_layers": 6}}) == ["seed", "n_layers"]
    assert _unlike(None, None) == [] and _unlike(None, {"seed": 1}) == ["seed"]
