"""Which changes of the code make results that are not mixed with earlier ones."""

from pathlib import Path

from acssm_lib import code_digest as module
from acssm_lib.code_digest import _statements, code_digest

CODE = 'def f(x):\n    """Doubles."""\n    return 2 * x\n'


def test_statements_count_and_comments_docstrings_and_layout_do_not():
    same = '"""A module."""\ndef f(x):  # a remark\n\n    """Twice as much."""\n    return (2 * x)\n'
    assert _statements(CODE) == _statements(same)
    assert _statements(CODE) != _statements(CODE.replace("2 *", "3 *"))


def test_the_digest_is_the_same_in_every_call_and_short():
    assert code_digest() == code_digest.__wrapped__() and len(code_digest()) == 16


def test_rooms_within_rooms_count(monkeypatch):
    before, read = code_digest(), Path.read_text

    def changed(path, **options):
        return read(path, **options) + ("\nx = 1\n" if path.match("data/reading/levels.py") else "")

    monkeypatch.setattr(module.Path, "read_text", changed)
    assert code_digest.__wrapped__() != before
