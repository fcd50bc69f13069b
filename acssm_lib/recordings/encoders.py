"""From windows to embeddings: any method of the project, kept with the index and in a shared recogniser."""

import functools
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch

from acssm_lib.baselines.mel_statistics import MelStatistics, band_statistics
from acssm_lib.experiment.methods import METHODS, bare_encoder
from acssm_lib.experiment.shelf import pretrained_encoder
from acssm_lib.fewshot.embedding import changed_views
from acssm_lib.files import DataError
from acssm_lib.model.base import summary
from acssm_lib.names import EMBEDDER_NAMES
from acssm_lib.presets import Preset, in_todays_words, preset
from acssm_lib.recordings.windows import in_band
from acssm_lib.training import device_of, pick_device, weights_digest


@dataclass(frozen=True)
class WindowEncoder:
    """Embeds windows of one rate, length and band.

    Attributes:
        method: a name of ``METHODS``. config: a ``Preset`` at the survey's sample rate.
        band: (low_hz, top_hz), what lies outside is taken away first. window: samples.
        module: an ``Encoder`` in eval mode; None for mel-stats.
    """

    method: str
    config: Preset
    band: tuple
    window: int
    module: torch.nn.Module | None

    @torch.no_grad()
    def __call__(self, waveform):
        """Windows (batch, window), float32, to embeddings: float32 array (batch, d)."""
        if self.module is None:
            heard = in_band(waveform, *self.band, self.config.sample_rate)
            return band_statistics(_statistics(self.config)(heard)[:, 0]).numpy()
        return self.of(self.spectrograms(waveform))

    @torch.no_grad()
    def spectrograms(self, waveform):
        """Windows (batch, window), float32, as the network gets them: (batch, channels, n_mels, frames)."""
        heard = in_band(waveform, *self.band, self.config.sample_rate)
        return self.module.front_end(heard.to(device_of(self.module)))

    @torch.no_grad()
    def of(self, spectrograms):
        """The embeddings of what ``spectrograms`` gives: float32 array (batch, d)."""
        views = [summary(self.module, view) for view in changed_views(spectrograms, self.module.front_end, self.config)]
        return torch.stack(views).mean(0).cpu().numpy()

    @property
    def width(self):
        """d, numbers of an embedding."""
        return self(torch.zeros(1, self.window)).shape[1]

    @property
    def digest(self):
        """32 hexadecimal digits that change with any weight; those of mel-stats never do."""
        return "0" * 32 if self.module is None else weights_digest(self.module)

    def state(self):
        """Plain values and tensors, from which ``from_state`` makes it again.

        The published weights of an embedder are left out: their own file is looked for, and compared.
        """
        ours = self.module is not None and (self.method not in EMBEDDER_NAMES or METHODS[self.method].pretrained)
        weights = {key: value.cpu() for key, value in self.module.state_dict().items()} if ours else {}
        return {
            "method": self.method,
            "preset": self.config.name,
            "settings": self.config.as_dict(),
            "band": list(self.band),
            "window": self.window,
            "digest": self.digest,
            "weights": weights,
        }

    @classmethod
    def from_state(cls, state, place, device=None):
        """Raises:
        DataError: it was made by a version that this one does not know, or an embedder's weights are others.
        ValueError, OSError: an embedder's weights are not there.
        """
        try:
            settings = {
                key: tuple(value) if isinstance(value, list) else value
                for key, value in in_todays_words(state["settings"]).items()
                if key != "name"
            }
            config = preset("paper", **settings)
            module = None if METHODS[state["method"]].encoder is None else bare_encoder(state["method"], config, 0)
            if state["weights"]:
                module.load_state_dict(state["weights"])
        except (KeyError, RuntimeError, TypeError) as error:
            raise DataError(f"{place}: its encoder does not fit this version of acssm ({str(error)[:200]})") from None
        module = module and module.to(pick_device(device)).eval()
        made = cls(state["method"], config, tuple(state["band"]), state["window"], module)
        if made.digest != state["digest"]:
            raise DataError(
                f"{place}: the weights of {state['method']} here are not those it was made with; "
                f"acssm data weights {state['method'].removesuffix('-adapted')} fetches them"
            )
        return made


@functools.lru_cache(maxsize=1)
def _statistics(config):
    """The front end of mel-stats; kept from batch to batch."""
    return MelStatistics(None, config).front_end


def survey_preset(name, settings, overrides=()):
    """The preset at a survey's rate and window: crops of the pre-training are no longer than a window.

    Args:
        settings: a ``SurveySettings``. overrides: dict or pairs, field -> value.
    """
    window = round(settings.window_s * settings.sample_rate)
    overrides = dict(overrides)
    usual = preset(name, **overrides)
    return preset(name, **{"sample_rate": settings.sample_rate, "n_samples": min(usual.n_samples, window), **overrides})


def needs_pool(method, config):
    """Whether an encoder hears windows of the card before it is used: to be pre-trained, or for its standardisation."""
    if METHODS[method].encoder is None or METHODS[method].pretrained:
        return METHODS[method].pretrained
    return bare_encoder(method, config, 0).standardisation is not None


def make_encoder(method, config, settings, pool, folder, seed=0, device=None, progress=True):
    """A WindowEncoder, pre-trained on windows of the card where the method is.

    Args:
        method: a name of ``METHODS``. config: as from ``survey_preset``. settings: a ``SurveySettings``.
        pool: ``Clips`` of windows, their band taken; None where ``needs_pool`` says no.
        folder: in which the training keeps its checkpoint, and the trained encoder: a killed one goes on.
    Returns:
        (WindowEncoder, Pretraining or None)
    Raises:
        ValueError: too few windows to contrast, or an embedder's weights are not there.
    """
    window = round(settings.window_s * settings.sample_rate)
    band = (settings.low_hz, settings.top_hz)
    done, module = None, None
    if METHODS[method].encoder is not None and pool is None:
        module = bare_encoder(method, config, seed).to(pick_device(device)).eval()
    elif METHODS[method].encoder is not None:
        module, done = pretrained_encoder(
            method,
            SimpleNamespace(clips=pool),
            config,
            seed,
            pool=np.arange(len(pool)),
            folder=folder,
            device=device,
            progress=progress,
        )
    return WindowEncoder(method, config, band, window, module), done
