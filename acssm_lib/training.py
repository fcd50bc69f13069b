"""One training loop for everyone: seed, learning-rate schedule, progress bar, checkpoint that resumes."""

import contextlib
import hashlib
import io
import itertools
import json
import math
import sys
import time
from pathlib import Path

import torch
from tqdm import tqdm

from acssm_lib.code_digest import code_digest
from acssm_lib.files import DamagedFile, read_sealed, write_atomically, write_sealed
from acssm_lib.presets import Preset, in_todays_words

_LOOK_EVERY = 20  # steps between two looks at a loss that lies on a GPU


def cosine_factor(step, n_steps, steps_per_epoch=1, warmup_steps=0):
    """Share of the full learning rate at a step: a linear rise, then half a cosine to 0, changed once per epoch.

    Source: authors' code (cosine stepped per epoch, no warm-up); warm-up is ours.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    epochs = max(1, math.ceil((n_steps - warmup_steps) / steps_per_epoch))
    return 0.5 * (1 + math.cos(math.pi * ((step - warmup_steps) // steps_per_epoch) / epochs))


@contextlib.contextmanager
def seeded(seed, device="cpu"):
    """Torch's global random state (dropout, initial weights) set to ``seed``, and put back afterwards."""
    device = torch.device(device)
    devices = [] if device.type == "cpu" else [device.index or 0]
    kind = "cuda" if device.type == "cpu" else device.type
    with torch.random.fork_rng(devices=devices, device_type=kind):
        torch.manual_seed(seed)
        yield


def computing_precision(precision, device):
    """What ``Preset.precision`` comes down to on a device: "float32" or "bfloat16".

    "auto" is bfloat16 where the device multiplies it natively: GPUs from Ampere on, x86 processors with AVX-512 BF16 or
    AMX. Others would emulate it, more slowly than float32.
    """
    if precision != "auto":
        return precision
    device = torch.device(device)
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        able = torch.cpu.get_capabilities() if device.type == "cpu" else {}
        native = able.get("avx512_bf16", False) or able.get("amx_bf16", False)
    return "bfloat16" if native else "float32"


def reduced_precision(precision, device):
    """Context in which matrix products and convolutions round their inputs to bfloat16, if it comes down to that.

    A bfloat16 is the upper half of a float32: the same range, 8 significant bits instead of 24. Sums inside a product
    stay float32, as do the weights: gradients and optimiser see no bfloat16, and no loss needs scaling. Around a
    forward pass; the backward pass follows by itself.

    Args:
        precision: "auto", "float32" or "bfloat16", as ``Preset.precision``.
        device: on which the pass runs.
    Source: ours; the published training is float32.
    """
    return torch.autocast(
        torch.device(device).type, torch.bfloat16, enabled=computing_precision(precision, device) == "bfloat16"
    )


def train(
    step_loss,
    modules,
    optimiser,
    factor,
    n_steps,
    generator,
    seed,
    *,
    checkpoint=None,
    identity=None,
    save_every_s=None,
    label="training",
    progress=True,
):
    """Run ``n_steps`` optimiser steps; a killed run continues from its checkpoint to the same result.

    A checkpoint that is damaged, or was begun by other code, is named and not used.

    Args:
        step_loss: step number -> scalar loss tensor; draws randomness from ``generator`` and torch's global state.
        modules: name -> ``nn.Module`` whose weights belong to the checkpoint.
        optimiser: its groups' ``lr`` at the call are the full learning rates.
        factor: step number -> share of the full learning rate.
        generator: CPU ``torch.Generator`` that ``step_loss`` uses; its state is saved too.
        seed: sets torch's global state for dropout.
        checkpoint: file to write and resume from, or None.
        identity: plain JSON values that a checkpoint must share to be resumed (settings, pool, seed).
        save_every_s: least seconds between two checkpoints; 0 writes after every step, None as often as a
            twentieth of the time allows.
    Returns:
        losses: list of float, one per step, of the whole training, also when it was resumed.
    Raises:
        ValueError: the checkpoint belongs to another training.
        FloatingPointError: the loss is not finite.
    """
    device = _device_of(modules)
    full_rates = [group["lr"] for group in optimiser.param_groups]
    losses = []  # tensors: reading one back every step would wait for the device
    with seeded(seed, device):
        if checkpoint is not None and Path(checkpoint).exists():
            losses = _restore(checkpoint, identity, modules, optimiser, generator)
        saved, least = time.monotonic(), save_every_s or 0.0
        bar = tqdm(
            total=n_steps, initial=len(losses), desc=label, disable=not progress, mininterval=1.0, file=sys.stdout
        )  # a page shows stderr on red
        for step in range(len(losses), n_steps):
            for group, rate in zip(optimiser.param_groups, full_rates):
                group["lr"] = rate * factor(step)
            optimiser.zero_grad(set_to_none=True)
            loss = step_loss(step)
            loss.backward()
            optimiser.step()
            losses.append(loss.detach())
            shown = bar.update()
            if shown or loss.device.type == "cpu" or step % _LOOK_EVERY == 0:  # a GPU would have to be waited for
                value = _finite(losses[-1], label, step)
                if shown:
                    bar.set_postfix(loss=f"{value:.3f}")
            last = step == n_steps - 1
            started = time.monotonic()
            if checkpoint is not None and (last or started - saved >= least):
                _save(checkpoint, identity, modules, optimiser, generator, losses)
                saved = time.monotonic()
                least = 20 * (saved - started) if save_every_s is None else save_every_s
        bar.close()
    losses = [_finite(loss, label, step) for step, loss in enumerate(losses)]
    for group, rate in zip(optimiser.param_groups, full_rates):
        group["lr"] = rate
    return losses


def weights_digest(module):
    """32 hexadecimal digits that change with any weight or buffer of a module."""
    key = hashlib.sha256()
    for name, value in module.state_dict().items():
        key.update(name.encode() + value.detach().cpu().numpy().tobytes())
    return key.hexdigest()[:32]


def save_weights(path, module):
    """State dictionary of ``module``, loadable with ``torch.load(path, weights_only=True)``, atomically."""
    weights = {key: value.detach().cpu() for key, value in module.state_dict().items()}
    write_atomically(path, lambda part: torch.save(weights, part))


def _finite(loss, label, step):
    value = float(loss)
    if not math.isfinite(value):
        raise FloatingPointError(f"{label}: the loss is {value} at step {step}; a smaller learning rate may help")
    return value


def _device_of(modules):
    return device_of(next(iter(modules.values())))


def _save(path, identity, modules, optimiser, generator, losses):
    device = _device_of(modules)
    states = {"cpu": lambda: None, "cuda": lambda: torch.cuda.get_rng_state(device), "mps": torch.mps.get_rng_state}
    state = {
        "code": code_digest(),
        "identity": json.dumps(identity, sort_keys=True),
        "losses": torch.stack(losses).cpu(),
        "modules": {name: module.state_dict() for name, module in modules.items()},
        "optimiser": optimiser.state_dict(),
        "generator": generator.get_state(),
        "torch_state": torch.get_rng_state(),
        "device_state": states[device.type](),
    }
    save_state(path, state)


def save_state(path, state):
    """Tensors and plain values with their digest, atomically; ``load_state`` reads them."""
    content = io.BytesIO()
    torch.save(state, content)
    write_sealed(path, content.getvalue())


def load_state(path):
    """What ``save_state`` wrote, on the CPU.

    Raises:
        FileNotFoundError, DamagedFile: see ``read_sealed``.
    """
    return torch.load(io.BytesIO(read_sealed(path)), map_location="cpu", weights_only=True)


def _restore(path, identity, modules, optimiser, generator):
    """The losses so far; none where the checkpoint is damaged, or was begun by other code: it is started over.

    Raises:
        ValueError: the checkpoint belongs to another training.
    """
    try:
        state = load_state(path)
    except DamagedFile as error:
        print(f"{error}; this training starts over")
        return []
    other = _unlike(json.loads(state["identity"]), json.loads(json.dumps(identity)))
    if other:
        raise ValueError(
            f"{path} belongs to a training with another {', '.join(other[:5])}; delete it or choose another folder"
        )
    if state.get("code") != code_digest():
        print(f"{path}: begun by another version of the code; this training starts over")
        return []
    for name, module in modules.items():
        module.load_state_dict(state["modules"][name])
    optimiser.load_state_dict(state["optimiser"])
    generator.set_state(state["generator"])
    torch.set_rng_state(state["torch_state"])
    device = _device_of(modules)
    if state.get("device_state") is not None:
        if device.type == "cuda":
            torch.cuda.set_rng_state(state["device_state"], device)
        elif device.type == "mps":
            torch.mps.set_rng_state(state["device_state"])
    return list(state["losses"].to(device))


def _unlike(kept, wanted):
    """Names of what two identities differ in, of settings only those that are asked for now; one that came after the
    checkpoint stood at its default."""
    kept, wanted = ({} if identity is None else dict(identity) for identity in (kept, wanted))
    if "settings" in kept and "settings" in wanted:
        settings = wanted.pop("settings")
        stood = Preset().as_dict() | in_todays_words(kept.pop("settings"))
        wanted, kept = wanted | settings, kept | {key: value for key, value in stood.items() if key in settings}
    return [key for key in {**wanted, **kept} if kept.get(key) != wanted.get(key)]


def count_parameters(module):
    """Number of trainable values."""
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


def device_of(module):
    """Where its weights lie, or its buffers if it has none."""
    return next(itertools.chain(module.parameters(), module.buffers())).device


def parameter_groups(module, lr, weight_decay, special_lr, special=()):
    """Optimiser groups: ``special`` (state-space) parameters get ``special_lr`` and no weight decay.

    Source: authors' code; the state-spaces/s4 recipe.
    """
    ids = {id(parameter) for parameter in special}
    general = [parameter for parameter in module.parameters() if id(parameter) not in ids]
    groups = [{"params": general, "lr": lr, "weight_decay": weight_decay}]
    if special:
        groups.append({"params": list(special), "lr": special_lr, "weight_decay": 0.0})
    return groups


def pick_device(name=None):
    """CUDA, else Apple GPU, else CPU; ``name`` overrides: "cpu", "cuda", "cuda:1", "mps", or "auto" for the first.

    Raises:
        ValueError: a device that is not there.
    """
    available = ["cpu"]
    if torch.backends.mps.is_available():
        available.insert(0, "mps")
    if torch.cuda.is_available():
        available[:0] = ["cuda", *(f"cuda:{index}" for index in range(1, torch.cuda.device_count()))]
    if name is None or name == "auto":
        return torch.device(available[0])
    if str(name).removesuffix(":0") not in available:
        raise ValueError(f"device {str(name)!r} is not available here; choose one of auto, {', '.join(available)}")
    return torch.device(name)
