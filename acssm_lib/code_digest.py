"""Which version of the code computed something: a digest of the sources of the science."""

import ast
import functools
import hashlib
from pathlib import Path

_SCIENCE = ("baselines", "data", "fewshot", "model", "pretraining", "training.py")


@functools.cache
def code_digest():
    """16 hexadecimal digits that change with every statement of the rooms that compute results.

    Comments, docstrings and layout do not count. What was begun by one version is not continued by another.
    """
    package, key = Path(__file__).parent, hashlib.sha256()
    for name in _SCIENCE:
        place = package / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            name = path.relative_to(package).as_posix()
            key.update(f"{name}\n{_statements(path.read_text(encoding='utf-8'))}\n".encode())
    return key.hexdigest()[:16]


def _statements(text):
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node, clean=False):
            node.body = node.body[1:]
    return ast.unparse(tree)  # a dump names fields, and Python 3.13 leaves out the empty ones
