"""All steps on a small demo card, with the planted truth as the listener; and the commands on what it leaves."""

import os

import pytest

from acssm_lib.cli.main import main
from acssm_lib.recordings import walk
from acssm_lib.recordings.demo_card import write_demo_card

pytestmark = pytest.mark.skipif(os.environ.get("ACSSM_SLOW") != "1", reason="a quarter of a minute; ACSSM_SLOW=1")


def test_the_walk_ends_beside_the_truth_and_the_commands_go_on_from_there(tmp_path, capsys):
    write_demo_card(tmp_path / "survey", seed=0, duration_s=20.0)
    lines = []
    cells, truth = walk.walk(tmp_path / "survey", tell=lines.append, method="mel-stats")
    assert {cell.name for cell in cells} == {"rubella", "rothii", "ornatum"} and truth.any(0).all()
    text = "\n".join(lines)
    for words in ("1 skipped", "across sites and nights", "windows with the call", "detections in", "truth"):
        assert words in text
    answers = (tmp_path / "survey/labels.csv").read_bytes()
    for command in ("train", "table", "review"):
        more = ["--class", "rubella", "--n", "60"] if command == "review" else []
        assert main(["survey", command, str(tmp_path / "survey"), *more]) == 0
    said = capsys.readouterr().out
    assert "windows reviewed" in said and "report.html" in said
    assert (tmp_path / "survey/labels.csv").read_bytes() == answers  # nothing was left to ask
    kept = walk.read_recogniser(tmp_path / "survey/recogniser.acssm").heads
    assert any("reviewed windows" in kept.evidence[name].get("threshold", "") for name in kept.classes)
