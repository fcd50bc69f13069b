"""Pooling by products: blind to what stands still, awake to order where there is a memory."""

import pytest
import torch

from acssm_lib.baselines.controls import KernelZeroed
from acssm_lib.model.base import embedding_width, summary
from acssm_lib.model.encoder import AcousticSSM, AdaptedCNN
from acssm_lib.model.ensemble import Ensemble
from acssm_lib.model.products import N_PRODUCTS, TimeProducts
from acssm_lib.model.streaming import crop_embeddings
from acssm_lib.presets import preset

TINY = preset("quick", pooling="products", widths="4,8", blocks="1,1", n_layers=1, n_mels=16)


@pytest.fixture
def products():
    torch.manual_seed(0)
    return TimeProducts(6, d_state=8, dt_min=0.01, dt_max=0.3)


def test_the_products_are_those_of_the_recurrence(products):
    """r_ij = mean_t b_ti n_tj by the state, frame by frame, without a convolution."""
    features = torch.randn(2, 6, 20)
    mapped = products.maps(products.norm(features.mT)).mT
    mapped = mapped - mapped.mean(2, keepdim=True)
    now, source = mapped.chunk(2, dim=1)
    dt_A, B_bar = products.kernel.discretise()
    state, before = torch.zeros(2, N_PRODUCTS, 4, dtype=torch.cfloat), []
    for t in range(20):
        state = dt_A.exp() * state + B_bar * source[..., t, None]
        before.append(2 * (torch.view_as_complex(products.kernel.C) * state).sum(-1).real)
    before = torch.stack(before, dim=2)
    before = before - before.mean(2, keepdim=True)
    scale = [(x.square().mean(2) + 1e-3).sqrt() for x in (before, now)]
    expected = torch.einsum("bit,bjt->bij", before, now) / 20 / scale[0][:, :, None] / scale[1][:, None]
    torch.testing.assert_close(products(features), expected.flatten(1), rtol=1e-3, atol=1e-4)


def test_what_stands_still_drops_out(products):
    assert products(torch.randn(3, 6, 1).expand(3, 6, 30)).abs().max() < 1e-3


@pytest.mark.parametrize("encoder, knows", [(AcousticSSM, True), (AdaptedCNN, False), (KernelZeroed, False)])
def test_only_memory_knows_the_order(encoder, knows):
    torch.manual_seed(0)
    encoder = encoder(TINY).eval()
    spectrograms = torch.randn(1, 1, 16, 40)
    order = torch.randperm(40)
    with torch.no_grad():
        moved = (summary(encoder, spectrograms) - summary(encoder, spectrograms[..., order])).abs().max()
    assert (moved > 0.05) == knows and (knows or moved < 1e-4)


def test_an_encoder_and_an_ensemble_are_as_wide_as_they_say():
    members = [AcousticSSM(TINY).eval() for _ in range(2)]
    waveform = torch.randn(3, 9000)
    one, both = members[0].embed(waveform), Ensemble(members).embed(waveform)
    assert one.shape == (3, embedding_width(members[0])) == (3, N_PRODUCTS**2)
    assert both.shape == (3, embedding_width(Ensemble(members))) == (3, 2 * N_PRODUCTS**2) == (3, 2 * 256)
    torch.testing.assert_close(both[:, : N_PRODUCTS**2], one)
    assert len(members[0].special_parameters()) == 3 + 3 and AdaptedCNN(TINY).special_parameters() == []


def test_a_stream_gives_the_products_of_its_crops():
    encoder = AcousticSSM(TINY).eval()
    found = list(crop_embeddings(encoder, [torch.randn(20_000)], window=20, step=10))
    assert found and all(vector.shape == (N_PRODUCTS**2,) for vector in found)


def test_it_learns(products):
    products(torch.randn(2, 6, 20)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in products.parameters())
