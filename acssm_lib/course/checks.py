"""Checks that a notebook shows: sentences with stable text, or an error that says what was expected.

A failed check of the course itself (``between``, ``close``) stops the notebook. An exercise never does: an attempt
that is missing, wrong or broken is answered in words, since a page must run from top to bottom with its stubs.
"""

import importlib.metadata
import inspect
import os
import platform

import numpy as np
import torch


def between(name, value, low, high):
    """Print ``ok  <name> within <low> to <high>``.

    Raises:
        AssertionError: the value lies outside; the message gives it.
    """
    if not low <= value <= high:
        raise AssertionError(f"{name} is {value:.4g}, expected {low} to {high}")
    print(f"ok  {name} within {low} to {high}")


def close(name, one, other, tolerance):
    """Print ``ok  <name> agree to <tolerance>`` if no two elements differ by more.

    Args:
        one, other: numbers, arrays or tensors of one shape, real or complex.
    Raises:
        AssertionError: shapes differ, or an element does; the message gives the largest difference.
    """
    # Through numpy: torch would turn a list of Python floats into single precision.
    one, other = (
        value.detach() if torch.is_tensor(value) else torch.as_tensor(np.asarray(value)) for value in (one, other)
    )
    if one.shape != other.shape:
        raise AssertionError(f"{name}: shapes {tuple(one.shape)} and {tuple(other.shape)} differ")
    difference = float((one - other).abs().max())
    if not difference <= tolerance:
        raise AssertionError(f"{name} differ by {difference:.2g}, expected {tolerance:g} at most")
    print(f"ok  {name} agree to {tolerance:g}")


class Stop(Exception):
    """Ends a run of a page; a notebook shows the sentence and no trace."""

    def _render_traceback_(self):
        return [str(self)]


def go_on_if(condition, sentence):
    """Nothing, or the end of this run of the page with a sentence that says why.

    Raises:
        Stop: the condition is false.
    """
    if not condition:
        raise Stop(sentence)


def attempt(function, *cases, hint="", tolerance=1e-4):
    """Try an exercise: prints ``not attempted yet``, ``correct``, or what differs and the hint. Never raises.

    Args:
        function: the reader's; one that returns None counts as not attempted.
        cases: (arguments, expected) each; ``arguments`` is a tuple, ``expected`` a number, tensor, array, text or
            a list of them.
        hint: a sentence that helps.
        tolerance: largest difference of two numbers that still counts as equal, absolute and relative.
    """
    for arguments, expected in cases:
        call = f"{function.__name__}({', '.join(_short(argument) for argument in arguments)})"
        try:
            answer = function(*arguments)
            if answer is None:
                print("not attempted yet")
                return
            fault = difference(answer, expected, tolerance)
        except Exception as error:
            fault = f"it raised {type(error).__name__}: {error}"
        if fault:
            print(f"not yet: {call}: {fault}" + (f"\nhint: {hint}" if hint else ""))
            return
    print("correct")


def show_source(thing):
    """Display the source of a function or class of the library, coloured; its 120 columns fit a laptop's screen."""
    from IPython.display import Code, display  # here: only notebooks have it open already

    class Source(Code):
        def _repr_html_(self):
            # JupyterLab breaks the lines of a <pre> anywhere; what goes on at the margin reads as another statement.
            style = "white-space: pre; overflow-x: auto; font-size: 12px"
            return super()._repr_html_().replace("<pre>", f'<pre style="{style}">', 1)

    display(Source(inspect.getsource(thing), language="python"))


def environment():
    """Print what the course needs and what is here, then a verdict in one line.

    Returns:
        bool: everything that the course needs is there.
    """
    missing = []
    for package in ("torch", "torchaudio", "numpy", "scikit-learn", "matplotlib", "ipywidgets", "anywidget"):
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            version = "missing"
            missing.append(package)
        print(f"{package:<14} {version}")
    gpu = "CUDA" if torch.cuda.is_available() else "Apple" if torch.backends.mps.is_available() else "none, not needed"
    print(f"{'python':<14} {platform.python_version()}")
    print(f"{'CPU cores':<14} {os.cpu_count()}")
    print(f"{'GPU':<14} {gpu}")
    if missing:
        print(f"verdict: not ready; run `make lab` again, which installs {', '.join(missing)}")
    else:
        print("verdict: ready")
    return not missing


def _short(argument):
    if hasattr(argument, "shape"):
        return f"<{' x '.join(map(str, argument.shape))}>"
    if isinstance(argument, torch.nn.Module):
        return type(argument).__name__
    text = repr(argument)
    return text if len(text) <= 40 else text[:37] + "..."


def difference(answer, expected, tolerance):
    """What is wrong with an answer, in words, or None.

    Args:
        answer, expected: numbers, texts, truth values, arrays, tensors, or lists of them.
        tolerance: largest difference of two numbers that still counts as equal, absolute and relative.
    Raises:
        TypeError, ValueError: the answer is no number where one is expected.
    """
    if isinstance(expected, (str, bool)) or expected is None:
        return None if answer == expected else f"I expected {expected!r}, got {answer!r}"
    answer, expected = torch.as_tensor(answer), torch.as_tensor(expected)
    if answer.shape != expected.shape:
        return f"I expected shape {tuple(expected.shape)}, got {tuple(answer.shape)}"
    kind = torch.promote_types(answer.dtype, expected.dtype)
    answer, expected = answer.to(kind), expected.to(kind)
    allowed = tolerance * (1 + expected.abs())
    if bool(((answer - expected).abs() <= allowed).all()):
        return None
    if expected.ndim == 0:
        return f"I expected {expected.item():.6g}, got {answer.item():.6g}"
    worst = float((answer - expected).abs().max())
    return f"the largest difference from what I expected is {worst:.3g}"
