"""Kill -9 at ten moments of index and of predict: what is left in the end is the same. Minutes, so ACSSM_SLOW=1."""

import os

import pytest

from tools import kill_nine


@pytest.mark.skipif(os.environ.get("ACSSM_SLOW") != "1", reason="takes minutes; ACSSM_SLOW=1 runs it")
@pytest.mark.parametrize("task", [kill_nine.index, kill_nine.predict])
def test_a_killed_survey_ends_like_an_unbroken_one(task):
    assert kill_nine.survives(task, kills=10, seed=0)
