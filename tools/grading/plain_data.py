"""Answers as JSON: numbers, texts, lists, arrays and tensors, and nothing that runs code when it is read."""

import base64
import math

import numpy as np
import torch


def encode(value):
    """A value as what JSON can hold.

    Args:
        value: None, truth value, number (complex ones too), text, array, tensor, or a list, tuple or range of such.
    Raises:
        TypeError: anything else; also an array of objects.
    """
    if type(value) in (type(None), bool, str):
        return value
    if isinstance(value, torch.Tensor):
        return {"tensor": encode(value.detach().cpu().numpy())}
    if hasattr(value, "__array__"):
        value = np.asarray(value)
        if value.dtype.kind not in "biufcU":
            raise TypeError(f"an array of {value.dtype} is no answer")
        return {"array": base64.b64encode(value.tobytes()).decode(), "dtype": value.dtype.str, "shape": value.shape}
    if type(value) in (list, tuple, range):
        return [encode(item) for item in value]
    if type(value) is int or type(value) is float and math.isfinite(value):
        return value
    if type(value) in (float, complex):
        return encode(np.array(value))
    raise TypeError(f"a {type(value).__name__} is no answer")


def decode(plain):
    """What ``encode`` was given; a single number of an array has shape ()."""
    if isinstance(plain, list):
        return [decode(item) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if "tensor" in plain:
        return torch.as_tensor(decode(plain["tensor"]))
    array = np.frombuffer(base64.b64decode(plain["array"]), np.dtype(plain["dtype"])).reshape(plain["shape"])
    return array.copy()[()]
