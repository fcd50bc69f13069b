import math

import numpy as np
import pytest
import torch

from acssm_lib.encoder import count_parameters
from acssm_lib.s4d import S4D, causal_convolution


def relative(ours, theirs):
    theirs = torch.as_tensor(theirs)
    return float((ours.detach() - theirs).abs().max() / theirs.abs().max())


@pytest.mark.parametrize("name, d_model, d_state", [("s4d_h8_n16_l60", 8, 16), ("s4d_h4_n64_l1000", 4, 64)])
def test_outputs_and_gradients_match_the_reference_layer(shared_data, name, d_model, d_state):
    with np.load(shared_data / "vectors" / f"{name}.npz") as file:
        vectors = {key: torch.tensor(file[key]) for key in file}
    layer = S4D(d_model, d_state)
    layer.load_state_dict({key.removeprefix("param."): value for key, value in vectors.items() if "param." in key})
    u = vectors["u"].requires_grad_()
    y = layer(u)
    y.backward(vectors["grad_out"])
    assert relative(y, vectors["y"]) < 1e-5
    assert relative(layer.kernel(u.shape[2]), vectors["kernel"]) < 1e-5
    assert relative(u.grad, vectors["grad_u"]) < 1e-4
    for key, parameter in layer.named_parameters():
        assert relative(parameter.grad, vectors[f"grad.{key}"]) < 1e-4, key


def test_state_dict_has_the_reference_s_keys_and_shapes():
    shapes = {key: tuple(value.shape) for key, value in S4D(8, 16).state_dict().items()}
    assert shapes == {"D": (8,), "kernel.log_dt": (8,), "kernel.C": (8, 8, 2), "kernel.log_A_real": (8, 8),
                      "kernel.A_imag": (8, 8), "output_linear.0.weight": (16, 8, 1), "output_linear.0.bias": (16,)}


def test_parameter_counts_at_paper_size():
    layer = S4D(512, 64)
    assert count_parameters(layer) == 591_872
    assert sum(parameter.numel() for parameter in layer.special_parameters()) == 33_280


def test_initial_values():
    torch.manual_seed(0)
    kernel = S4D(512, 64).kernel
    step = kernel.log_dt.exp()
    assert 0.001 <= step.min() and step.max() <= 0.1
    assert kernel.log_A_real.exp().unique().tolist() == pytest.approx([0.5])
    assert torch.allclose(kernel.A_imag[0], math.pi * torch.arange(32))
    assert kernel.C.var().item() == pytest.approx(0.5, rel=0.05)  # per part; complex variance 1


def test_convolution_equals_recurrence():
    torch.manual_seed(0)
    layer = S4D(6, 8).double()
    u = torch.randn(3, 6, 60, dtype=torch.double)
    state = layer.initial_state(3)
    steps = []
    for frame in range(60):
        y_t, state = layer.step(u[:, :, frame], state)
        steps.append(y_t)
    torch.testing.assert_close(torch.stack(steps, dim=2), layer(u), atol=1e-10, rtol=0)


def test_kernel_is_the_impulse_response_of_the_state():
    torch.manual_seed(0)
    kernel = S4D(3, 4).double().kernel
    dt_A, B_bar = kernel.discretise()
    state, taps = B_bar, []
    for _ in range(12):
        taps.append(2 * (torch.view_as_complex(kernel.C) * state).sum(1).real)
        state = dt_A.exp() * state
    torch.testing.assert_close(torch.stack(taps, dim=1), kernel(12), atol=1e-12, rtol=0)


def test_fft_convolution_equals_the_sum():
    torch.manual_seed(0)
    u, kernel = torch.randn(2, 3, 17, dtype=torch.double), torch.randn(3, 17, dtype=torch.double)
    direct = torch.stack([sum(kernel[:, j] * u[:, :, t - j] for j in range(t + 1)) for t in range(17)], dim=2)
    torch.testing.assert_close(causal_convolution(u, kernel), direct, atol=1e-12, rtol=0)


def test_the_future_does_not_change_the_past():
    torch.manual_seed(0)
    layer = S4D(4, 8).double()
    u = torch.randn(1, 4, 30, dtype=torch.double)
    changed = u.clone()
    changed[:, :, 20] += 1
    difference = (layer(changed) - layer(u)).abs().amax(dim=(0, 1))
    assert difference[:20].max() < 1e-12 and difference[20] > 1e-3 and difference[21:].max() > 1e-6


def test_dropout_zeroes_whole_channels():
    torch.manual_seed(0)
    layer = S4D(64, 4, dropout=0.5)
    layer.output_linear = torch.nn.Identity()
    silent = (layer(torch.randn(1, 64, 20))[0] == 0).float().mean(dim=1)
    assert set(silent.tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("make, words", [(lambda: S4D(4, 5), "d_state=5 is odd"),
                                         (lambda: S4D(4, 4)(torch.zeros(1, 5, 9)), "d_model=4")])
def test_wrong_input_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()
