"""What a Dask worker is made of, compared with this process before it gets a run.

The text of this module is sent to the worker, which may have another version of this package or none: it imports
nothing but Python's own, until it looks for the package.
"""

import hashlib
import importlib.metadata
import importlib.util
import platform
import socket
from pathlib import Path

_PACKAGES = ("torch", "numpy")  # whose versions change what a run measures


def about_here():
    """What has to be the same on both sides: a dict of words to words, and under "host" the name of this machine."""
    words = {"host": socket.gethostname(), "Python": platform.python_version()}
    for name in _PACKAGES:
        try:
            words[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            words[name] = "not installed"
    try:
        spec = importlib.util.find_spec("acssm_lib")
        if spec is None:
            return words | {"acssm_lib": "not installed"}
        folder, digest = Path(spec.origin).parent, hashlib.sha256()
        for path in sorted(folder.rglob("*.py")):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
        from acssm_lib.batch.runs import Run  # as it was loaded, if the files have changed since

        return words | {"acssm_lib": f"code {digest.hexdigest()[:12]}", "fields of Run": " ".join(Run.__annotations__)}
    except Exception as error:  # whatever half an installation raises
        return words | {"acssm_lib": f"cannot be loaded ({type(error).__name__}: {error})"}


def question():
    """An expression without names from this package whose value, on a worker, is ``about_here()`` there."""
    text = Path(__file__).read_text(encoding="utf-8")
    return f"(lambda names: (exec({text!r}, names), names['about_here']())[1])({{'__name__': 'acssm_handshake'}})"


def differences(there, here):
    """What is unlike, as in "Python 3.12.1 (here 3.11.9)"; empty where nothing is.

    Args:
        there: the answer of a worker, or the exception that came instead.
        here: ``about_here()`` of this process.
    """
    if not isinstance(there, dict):
        return f"it does not answer ({type(there).__name__}: {there})"
    return ", ".join(
        f"{key} {there.get(key, 'unknown')} (here {here[key]})"
        for key in here
        if key != "host" and there.get(key) != here[key]
    )
