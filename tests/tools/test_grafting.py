"""A changed module in a running process."""

import functools
import importlib
import sys

import pytest

from tools.grafting import graft

TEXT = """
import functools
from dataclasses import dataclass

LIMIT = 3

def least(values, start=10):
    return min([*values, start, LIMIT])

@functools.cache
def twice(x):
    return 2 * x

def counted(function):
    @functools.wraps(function)
    def counting(*arguments):
        return [function(*arguments), 1]
    return counting

@counted
def wrapped(values):
    return least(values) + 2

class Box:
    side = 2

    def __init__(self, side=None):
        super().__init__()
        self.side = side or self.side

    @property
    def area(self):
        return self.side ** 2

    @staticmethod
    def names():
        return ["box"]

    @classmethod
    def unit(cls):
        return cls(1)

class Cube(Box):
    def area_of_all(self):
        return 6 * super().area

@dataclass
class Point:
    x: int
    y: int = 7

    def total(self):
        return self.x + self.y
"""


@pytest.fixture
def boxes(tmp_path, monkeypatch):
    (tmp_path / "boxes.py").write_text(TEXT)
    (tmp_path / "user.py").write_text("from boxes import LIMIT, Box, least\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("boxes"), importlib.import_module("user")
    for name in ("boxes", "user"):
        del sys.modules[name]


def test_what_was_imported_made_or_derived_before_does_what_the_new_text_says(boxes):
    module, user = boxes
    box, cube, point, least = module.Box(3), module.Cube(2), module.Point(1), module.least
    assert (user.least([5]), module.twice(4), box.area, cube.area_of_all(), point.total()) == (3, 8, 9, 24, 8)

    def changed(*pairs):
        graft("boxes", functools.reduce(lambda text, pair: text.replace(*pair), pairs, TEXT))

    changed(
        ("min(", "max("),
        ("2 * x", "3 * x"),
        ("** 2", "** 3"),
        ("6 *", "5 *"),
        ("self.x +", "self.x -"),
        ('["box"]', '["case"]'),
        ("cls(1)", "cls(4)"),
        ("arguments), 1", "arguments), 2"),
        (") + 2", ") + 3"),
    )
    assert (user.least([5]), module.twice(4), box.area, cube.area_of_all(), point.total()) == (10, 12, 27, 40, -6)
    assert module.wrapped([99]) == [102, 2] and module.Box.names() == ["case"] and user.Box.unit().side == 4
    assert isinstance(module.Box(1), type(box)) and least is module.least is user.least
    changed(("LIMIT = 3", "LIMIT = 1"), ("start=10", "start=-1"), ("side = 2", "side = 5"), ("int = 7", "int = 0"))
    assert (user.LIMIT, least([5]), module.Box().side, module.Point(1).total()) == (1, -1, 5, 1)
    changed()
    assert (user.least([5]), module.twice(4), box.area, cube.area_of_all(), point.total()) == (3, 8, 9, 24, 8)
