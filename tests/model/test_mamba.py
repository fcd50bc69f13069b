import dataclasses

import pytest
import torch

from acssm_lib.model.encoder import AcousticSSM
from acssm_lib.model.mamba import Mamba, chunked_scan, sequential_scan
from acssm_lib.model.streaming import stream
from acssm_lib.training import seeded


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def layer(d_model=6, d_state=4, **settings):
    with seeded(0):
        return Mamba(d_model, d_state, **settings).double().eval()


@pytest.mark.parametrize("frames", [1, 2, 3, 16, 17, 60, 101])
def test_the_fast_scan_equals_the_sequential_one_and_so_do_their_gradients(frames):
    found = []
    for scan in (sequential_scan, chunked_scan):
        forget = drawn(2, frames, 3, 4).sigmoid().requires_grad_()
        write = drawn(2, frames, 3, 4, seed=1).requires_grad_()
        states = scan(forget, write)
        (states * drawn(2, frames, 3, 4, seed=2)).sum().backward()
        found.append((states.detach(), forget.grad, write.grad))
    for one, other in zip(*found):
        assert torch.allclose(one, other, atol=1e-10, rtol=0)


def test_gradients_of_scan_and_layer_are_those_of_finite_differences():
    forget, write = drawn(1, 5, 2, 2).sigmoid().requires_grad_(), drawn(1, 5, 2, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(chunked_scan, (forget, write))
    made = layer(4, 2)
    assert torch.autograd.gradcheck(lambda u: made(u), drawn(1, 4, 5).requires_grad_())


def test_the_layer_equals_its_equations_and_its_recurrence():
    made, u = layer(), drawn(2, 6, 23)
    y = made(u)
    assert torch.allclose(y, made(u, sequential_scan), atol=1e-10)
    state, steps = made.initial_state(2), []
    for t in range(23):
        step, state = made.step(u[..., t], state)
        steps.append(step)
    assert torch.allclose(torch.stack(steps, dim=2), y, atol=1e-10)
    x, gate = made.split(u[0].T).chunk(2, dim=1)  # the last frame of the first sequence, written out
    x = torch.stack(
        [
            sum(made.short.weight[:, 0, 3 - lag] * (x[t - lag] if t >= lag else 0) for lag in range(4))
            + made.short.bias
            for t in range(23)
        ]
    )
    x = x * x.sigmoid()
    h = torch.zeros(6, 4, dtype=torch.float64)
    for x_t in x:
        low, B, C = made.select(x_t).split([1, 4, 4])
        dt = (1 + (made.step_size.weight @ low + made.step_size.bias).exp()).log()
        h = (-dt[:, None] * made.log_A.exp()).exp() * h + dt[:, None] * B * x_t[:, None]
    y_22 = made.merge((h @ C + made.D * x[22]) * gate[22] * gate[22].sigmoid())
    assert torch.allclose(y_22, y[0, :, 22], atol=1e-9)


def test_it_is_causal_and_its_first_step_sizes_lie_in_the_range():
    made, u = layer(dt_min=0.01, dt_max=0.3), drawn(1, 6, 20)
    changed = u.clone()
    changed[..., 12:] += 1
    assert torch.equal(made(u)[..., :12], made(changed)[..., :12]) and not torch.equal(made(u), made(changed))
    steps = torch.nn.functional.softplus(made.step_size.bias)
    assert 0.01 <= steps.min() and steps.max() <= 0.3
    with pytest.raises(ValueError, match="d_model=6"):
        made(u[:, :5])


def test_out_of_silence_comes_silence_and_nothing_is_written_of_it_or_read():
    """B, C, input and output are products alone; what has a bias are the short convolution and the step size."""
    made = layer()
    assert not made(drawn(1, 6, 20) * 0).any()
    forget, write, read = made.selected(drawn(1, 1, 6) * 0)
    assert not write.any() and not read.any() and (forget < 1).all()
    assert {name for name, _ in made.named_parameters() if "bias" in name} == {"short.bias", "step_size.bias"}


def test_by_default_it_has_sixteen_states_and_its_steps_begin_between_a_thousandth_and_a_tenth():
    made = Mamba(1_000)
    steps = torch.nn.functional.softplus(made.step_size.bias)
    assert made.log_A.shape == (1_000, 16)
    assert 0.00099 < steps.min() < 0.0012 and 0.08 < steps.max() < 0.1001


def test_as_a_setting_it_trains_streams_and_hears_order(tiny):
    config = dataclasses.replace(tiny, sequence="mamba", n_samples=8192)
    with seeded(0):
        encoder = AcousticSSM(config)
    assert all(isinstance(one, Mamba) for one in encoder.sequence.layers)
    assert len(encoder.special_parameters()) == 2 * config.n_layers
    waveform = 0.1 * torch.randn(2, 8192, generator=torch.Generator().manual_seed(0))
    encoder.embed(waveform).square().sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())
    encoder.eval()
    with torch.no_grad():
        whole = encoder(encoder.front_end(waveform[:1]))[0]
        pieces = torch.cat(list(stream(encoder, waveform[0].split(1000), frames=5)), dim=1)
    assert torch.allclose(whole, pieces, atol=1e-4)
