import math

import pytest
import torch

from acssm_lib.model.convolution import causal_convolution, fft_convolution, powers, toeplitz_convolution, with_skip
from acssm_lib.model.encoder import StateSpaceStack
from acssm_lib.model.s4d import S4D, S4DKernel
from acssm_lib.training import count_parameters


def relative(ours, theirs):
    theirs = torch.as_tensor(theirs)
    return float((ours.detach() - theirs).abs().max() / theirs.abs().max())


def loaded(vectors):
    """The layer that the vectors speak of."""
    d_model, pairs = vectors["param.kernel.log_A_real"].shape
    layer = S4D(d_model, 2 * pairs)
    layer.load_state_dict({key.removeprefix("param."): value for key, value in vectors.items() if "param." in key})
    return layer


def assert_same_layer(vectors):
    """Output, kernel and gradients; a file may hold more of the kernel than of the output."""
    layer, u = loaded(vectors), vectors["u"].requires_grad_()
    y = layer(u)
    y.backward(vectors["grad_out"])
    assert relative(y, vectors["y"]) < 1e-5
    assert relative(layer.kernel(vectors["kernel"].shape[1]), vectors["kernel"]) < 1e-5
    assert relative(u.grad, vectors["grad_u"]) < 1e-4
    for key, parameter in layer.named_parameters():
        assert relative(parameter.grad, vectors[f"grad.{key}"]) < 1e-4, key


@pytest.mark.parametrize("name", ["s4d_formulas", "s4d_reference_short"])
def test_outputs_and_gradients_match_the_formulas_and_the_reference_layer(vectors, name):
    assert_same_layer(vectors(name))


def test_a_thousand_frames_match_the_reference_layer(vectors):
    reference = vectors("s4d_reference_long")
    layer = loaded(reference)
    assert relative(layer(reference["u"])[:, :, ::25], reference["y"]) < 1e-5
    assert relative(layer.kernel(1000)[:, ::25], reference["kernel"]) < 1e-5


@pytest.mark.parametrize("name", ["s4d_h8_n16_l60", "s4d_h4_n64_l1000"])
def test_whole_vectors_match_where_they_are_there(shared_data, vectors, name):
    assert_same_layer(vectors(shared_data / "vectors" / name))


def test_state_dict_has_the_reference_s_keys_and_shapes():
    shapes = {key: tuple(value.shape) for key, value in S4D(8, 16).state_dict().items()}
    assert shapes == {
        "D": (8,),
        "kernel.log_dt": (8,),
        "kernel.C": (8, 8, 2),
        "kernel.log_A_real": (8, 8),
        "kernel.A_imag": (8, 8),
        "output_linear.0.weight": (16, 8, 1),
        "output_linear.0.bias": (16,),
    }


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


@pytest.mark.parametrize("length", [1, 2, 16, 17, 60, 1000])
def test_factored_kernel_equals_the_vandermonde_product_with_gradients(length):
    torch.manual_seed(0)
    kernel = S4DKernel(3, 8, 0.001, 0.1).double()
    direction, results = torch.randn(3, length, dtype=torch.double), []
    for form in (kernel, kernel.vandermonde):
        kernel.zero_grad()
        taps = form(length)
        taps.backward(direction)
        results.append([taps.detach(), *(parameter.grad for parameter in kernel.parameters())])
    for ours, theirs in zip(*results):
        torch.testing.assert_close(ours, theirs, atol=1e-11, rtol=1e-10)


@pytest.mark.parametrize("length", [60, 16_384])
def test_factored_kernel_is_as_accurate_as_the_vandermonde_product_in_single_precision(length):
    torch.manual_seed(0)
    kernel = S4DKernel(32, 64, 0.001, 0.1)
    with torch.no_grad():
        factored, written_out = kernel(length), kernel.vandermonde(length)
        exact = kernel.double().vandermonde(length)
    errors = [
        float((taps - exact).square().mean().sqrt() / exact.square().mean().sqrt()) for taps in (factored, written_out)
    ]
    assert errors[0] < 1.1 * errors[1] and errors[0] < 1e-5


def test_powers_in_real_arithmetic():
    dt_A, steps = torch.tensor([0.0, -0.3 + 10j, -0.05 - 2j], dtype=torch.cdouble), torch.arange(9)[:, None]
    torch.testing.assert_close(powers(dt_A, steps), (dt_A * steps).exp(), atol=1e-14, rtol=1e-13)


@pytest.mark.parametrize("convolution", [fft_convolution, toeplitz_convolution])
@pytest.mark.parametrize("length", [1, 17])
def test_convolutions_equal_the_sum_with_gradients(convolution, length):
    torch.manual_seed(0)
    u = torch.randn(2, 3, length, dtype=torch.double, requires_grad=True)
    kernel = torch.randn(3, length, dtype=torch.double, requires_grad=True)
    direct = torch.stack([sum(kernel[:, j] * u[:, :, t - j] for j in range(t + 1)) for t in range(length)], dim=2)
    direction = torch.randn_like(direct)
    ours = convolution(u, kernel)
    torch.testing.assert_close(ours, direct, atol=1e-12, rtol=0)
    for one, other in zip(
        torch.autograd.grad(ours, (u, kernel), direction), torch.autograd.grad(direct, (u, kernel), direction)
    ):
        torch.testing.assert_close(one, other, atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    "batch, length, chosen",
    [(64, 60, "toeplitz_convolution"), (4, 60, "fft_convolution"), (500, 300, "fft_convolution")],
)
def test_the_matrix_is_for_many_short_sequences(monkeypatch, batch, length, chosen):
    monkeypatch.setattr(f"acssm_lib.model.convolution.{chosen}", lambda u, kernel: "chosen")
    assert causal_convolution(torch.zeros(batch, 1, length), torch.zeros(1, length)) == "chosen"


def test_skip_is_a_kernel_of_one_value():
    torch.manual_seed(0)
    u, kernel, D = torch.randn(2, 3, 9), torch.randn(3, 9), torch.randn(3)
    torch.testing.assert_close(
        causal_convolution(u, with_skip(kernel, D)), causal_convolution(u, kernel) + D[:, None] * u, atol=1e-5, rtol=0
    )


def test_layer_equals_its_formula_written_out():
    torch.manual_seed(0)
    layer = S4D(6, 8).double()
    u = torch.randn(16, 6, 20, dtype=torch.double)
    memory = fft_convolution(u, layer.kernel.vandermonde(20)) + layer.D[:, None] * u
    torch.testing.assert_close(layer(u), layer.output_linear(torch.nn.functional.gelu(memory)), atol=1e-12, rtol=0)


@pytest.mark.parametrize("prenorm", [False, True])
def test_kernel_and_residual_keep_single_precision_under_autocast(prenorm):
    torch.manual_seed(0)
    stack, u = StateSpaceStack(16, 2, 8, prenorm=prenorm), torch.randn(4, 16, 12)
    exact, layer = stack(u), stack.layers[0]
    layer.mix = lambda y: y
    memory = layer(u)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(u), memory)
        del layer.mix
        rounded = stack(u)
        assert rounded.dtype == torch.float32 and stack(u.bfloat16()).dtype == torch.float32
    assert 0 < relative(rounded, exact.detach()) < 0.03


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
    with torch.no_grad():  # the output is what comes out of the dropout, times sigmoid(0)
        layer.output_linear[0].weight[:, :, 0] = torch.cat([torch.eye(64), torch.zeros(64, 64)])
        layer.output_linear[0].bias.zero_()
    silent = (layer(torch.randn(1, 64, 20))[0] == 0).float().mean(dim=1)
    assert set(silent.tolist()) == {0.0, 1.0}


@pytest.mark.parametrize(
    "make, words", [(lambda: S4D(4, 5), "d_state=5 is odd"), (lambda: S4D(4, 4)(torch.zeros(1, 5, 9)), "d_model=4")]
)
def test_wrong_input_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()
