"""The encoder: front end, standardisation, frequency-only residual CNN, a stack of S4D layers, pooling over time."""

from torch import nn

from acssm_lib.model.base import Encoder
from acssm_lib.model.features import front_end
from acssm_lib.model.mamba import Mamba
from acssm_lib.model.products import TimeProducts
from acssm_lib.model.resnet import FrequencyResNet
from acssm_lib.model.s4d import S4D
from acssm_lib.model.standardisation import Standardisation
from acssm_lib.presets import Preset
from acssm_lib.training import reduced_precision


class StateSpaceStack(nn.Module):
    """S4D layers, or Mamba's in their place, with residual connection and LayerNorm over the channels.

    Post-norm (the published order) is x = LayerNorm(x + dropout(S4D(x))); pre-norm normalises the input of S4D.

    Shapes:
        (batch, d_model, frames) -> same shape; in memory (batch, frames, d_model), so that LayerNorm reads along.
    Taught in: 03_s4d.
    Source: paper section II; order and dropout from the authors' code.
    """

    def __init__(self, d_model, n_layers, d_state, dropout=0.0, prenorm=False, dt_min=0.001, dt_max=0.1, kind="s4d"):
        super().__init__()
        self.prenorm, layer = prenorm, {"s4d": S4D, "mamba": Mamba}[kind]
        self.layers = nn.ModuleList(layer(d_model, d_state, dropout, dt_min, dt_max) for _ in range(n_layers))
        self.norms = nn.ModuleList(nn.LayerNorm(d_model) for _ in range(n_layers))
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, x, layers=None):
        """``layers``: what stands in for the S4D layers, such as their recurrences (see ``streaming``)."""
        for layer, norm in zip(layers or self.layers, self.norms):
            x = x.to(norm.weight.dtype)  # the residual stream stays in single precision under autocast
            if self.prenorm:
                x = x + self.dropout(layer(_over_channels(norm, x)))
            else:
                x = _over_channels(norm, x + self.dropout(layer(x)))
        return x


def _over_channels(norm, x):
    return norm(x.transpose(1, 2)).transpose(1, 2)


class AcousticSSM(Encoder):
    """The paper's encoder: what is in a frame (CNN), then what follows what (S4D).

    In training mode it computes with ``config.precision``, in eval mode in float32; the answer is always float32.

    Args:
        config: a ``Preset``; ``paper`` gives 7,402,176 parameters.
    Shapes:
        spectrograms (batch, 3, n_mels, frames) -> features (batch, d_model, frames).
        ``embed``: waveform (batch, samples) -> (batch, d_model), twice as wide with ``config.pooling`` "mean-std";
        with "products" it is (batch, 256), see ``TimeProducts``.
    Taught in: 03_s4d.
    Source: paper section II and figure 1; time mean from the authors' code.
    """

    remembers = True  # whether anything links the frames

    def __init__(self, config: Preset):
        super().__init__()
        self.front_end = front_end(config)
        self.standardisation = Standardisation(self.front_end.n_channels, config.n_mels, config.standardise)
        self.cnn = FrequencyResNet(self.front_end.n_channels, config.widths, config.blocks)
        self.d_model, self.pooling, self.precision = config.widths[-1], config.pooling, config.precision
        self.sequence = self.sequence_layers(config)
        if self.pooling == "products":
            self.products = TimeProducts(self.d_model, config.d_state, config.dt_min, config.dt_max, self.remembers)

    def sequence_layers(self, config):
        """The layers that link the frames."""
        return StateSpaceStack(
            self.d_model,
            config.n_layers,
            config.d_state,
            config.dropout,
            config.prenorm,
            config.dt_min,
            config.dt_max,
            config.sequence,
        )

    def forward(self, spectrograms):
        with reduced_precision(self.precision if self.training else "float32", spectrograms.device):
            features = self.sequence(self.by_frame(spectrograms))
        return features.float()

    def by_frame(self, spectrograms):
        """What is in each frame, before the layers that link them: (batch, d_model, frames)."""
        return self.cnn(self.standardisation(spectrograms))

    def pooled(self, features):
        return self.products(features) if self.pooling == "products" else super().pooled(features)

    def special_parameters(self):
        """Step sizes and poles of every state space, those of the products too; see ``parameter_groups``."""
        return [
            parameter
            for module in self.modules()
            if isinstance(module, (S4D, Mamba, TimeProducts))
            for parameter in module.special_parameters()
        ]


class AdaptedCNN(AcousticSSM):
    """The ablation of the paper: the same encoder without the state-space layers.

    Frames are averaged as they are, so the order of the frames cannot matter.

    Taught in: 02_frequency_cnn.
    Source: paper section III ("Adapted CNN"); 3,844,800 parameters at ``paper``.
    """

    remembers = False

    def sequence_layers(self, config):
        return nn.Identity()
