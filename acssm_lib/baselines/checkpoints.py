"""Other people's checkpoints, read without running code from them, their names matched one by one."""

import collections
import pickle
from types import SimpleNamespace

import torch

from acssm_lib.files import DataError


def load_strictly(module, tensors, what):
    """Copy ``tensors`` into ``module``; every name and every shape must match.

    Raises:
        DataError: names the first differences; ``what`` says what was expected.
    Taught in: 06_ablation_comparison.
    """
    try:
        module.load_state_dict(tensors)
    except RuntimeError as error:
        differences = " ".join(str(error).split("\n\t", 1)[-1].split())
        raise DataError(f"these are not the weights of {what}: {differences[:300]}") from None


class _Inert:
    """Stands in for anything a pickle names: takes every call and every state, keeps nothing, does nothing."""

    def __new__(cls, *args, **kwargs):
        return object.__new__(cls)

    def _swallow(self, *args, **kwargs):
        return None

    __init__ = __setstate__ = __setitem__ = append = extend = add = _swallow

    def __call__(self, *args, **kwargs):
        return _Inert()


class _Settings(dict):
    """``argparse.Namespace`` as a dictionary."""

    def __setstate__(self, state):
        self.update(state)


_ALLOWED = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("argparse", "Namespace"): _Settings,
    ("torch._utils", "_rebuild_tensor"): torch._utils._rebuild_tensor,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
    ("torch", "Size"): torch.Size,
    **{
        (module, kind.__name__): kind
        for module in ("builtins", "__builtin__")
        for kind in (dict, list, tuple, set, frozenset, int, float, complex, bool, str)
    },
}


class _InertUnpickler(pickle.Unpickler):
    """Knows tensors and plain values; any other name becomes ``_Inert``, so nothing is imported or called."""

    def find_class(self, module, name):
        return _ALLOWED.get((module, name), _Inert)


INERT_PICKLE = SimpleNamespace(
    __name__="inert", Unpickler=_InertUnpickler, load=lambda file, **options: _InertUnpickler(file, **options).load()
)


def plain(value):
    """Tensors, numbers, text, and dictionaries and lists of them; None for anything else."""
    if torch.is_tensor(value):
        return value.detach()
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items() if isinstance(key, (str, int))}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value if isinstance(value, (str, int, float, bool)) else None
