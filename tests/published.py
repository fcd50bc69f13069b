"""The published recipe in a network that a test can train."""

from acssm_lib.course.recipes import PUBLISHED_SMALL
from acssm_lib.presets import preset


def small(**overrides):
    """Preset ``paper``, small, with some fields replaced."""
    return preset("paper", **PUBLISHED_SMALL | overrides)
