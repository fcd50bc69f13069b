import pytest
import torch

from acssm_lib.experiment.methods import METHODS
from acssm_lib.model.base import Encoder, embedding_width, over_time
from acssm_lib.model.ensemble import Ensemble
from acssm_lib.names import EMBEDDER_NAMES
from acssm_lib.presets import preset

CONTRACT = ("front_end", "standardisation", "d_model", "pooling", "has_frames")
OURS = [name for name, method in METHODS.items() if method.encoder and name not in EMBEDDER_NAMES]


@pytest.fixture
def config():
    return preset("quick", n_mels=16, widths="4,8", blocks="1,1", n_layers=1, d_state=4)


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.encoder])
def test_every_method_s_encoder_is_one_and_repeats_nothing_of_it(name):
    kind = METHODS[name].encoder
    assert issubclass(kind, Encoder) and kind.forward is not Encoder.forward
    assert kind.embed is Encoder.embed


@pytest.mark.parametrize("pooling", ["mean", "mean-std", "products"])
@pytest.mark.parametrize("name", [*OURS, "together"])
def test_it_has_what_the_contract_says(name, pooling, config):
    config = preset(
        "quick", **{key: value for key, value in config.as_dict().items() if key != "name"} | {"pooling": pooling}
    )
    make = METHODS["supervised" if name == "together" else name].encoder
    encoder = (Ensemble([make(config), make(config)]) if name == "together" else make(config)).eval()
    for attribute in CONTRACT:
        getattr(encoder, attribute)
    waveform = 0.1 * torch.randn(2, 8_000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = encoder(encoder.front_end(waveform))
        embedding = encoder.embed(waveform)
    assert features.ndim == 3 and features.shape[:2] == (2, encoder.d_model)
    assert embedding.shape == (2, embedding_width(encoder))
    assert torch.equal(embedding, encoder.pooled(features))
    if type(encoder).pooled is Encoder.pooled or pooling != "products" and name != "lag-covariance":
        assert torch.equal(embedding, over_time(features, encoder.pooling))
    own = {id(parameter) for parameter in encoder.parameters()}
    assert {id(parameter) for parameter in encoder.special_parameters()} <= own
