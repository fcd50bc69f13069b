"""``acssm demo``: what it runs, and the table at its end."""

import shutil
from pathlib import Path

import pandas as pd

from acssm_lib.batch import runner
from acssm_lib.batch.runner import Failure
from acssm_lib.cli.demo import table
from acssm_lib.cli.main import main

RECORDS = Path(__file__).resolve().parents[2] / "figures" / "metrics" / "synthetic-frogs"


def test_the_demo_is_one_batch_and_a_table_from_whatever_folder(tmp_path, monkeypatch, capsys):
    asked = []

    def reproduce(runs, out, **where):
        asked.append((runs, where))
        shutil.copytree(RECORDS, out / "synthetic-frogs")
        return []

    monkeypatch.setattr(runner, "reproduce", reproduce)
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    ((runs, where),) = asked
    assert {run.group for run in runs} == {"natural", "order"} and where["jobs"] == 2
    assert {run.method for run in runs} == {"mel-stats", "acoustic-ssm1", "adapted-cnn", "supervised"}
    printed = capsys.readouterr().out
    fine_tuned, frozen = printed.partition("Fine-tuned\n")[2].split("Frozen, with logistic regression\n")
    for text in (fine_tuned, frozen):
        head, *rows = text.split("\n\n")[0].splitlines()
        assert head.split() == ["natural", "order"]
        assert {"mel-stats", "supervised", "acoustic-ssm1"} <= {row.split()[0] for row in rows}
    assert "SYNTHETIC" in printed and str(Path("runs", "demo", "report", "report.md")) in printed
    assert (tmp_path / "runs" / "demo" / "report" / "report.md").is_file()


def test_a_failed_run_is_no_table_and_status_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runner, "reproduce", lambda runs, out, **where: [Failure(runs[0], "no room")])
    assert main(["demo", "--out", str(tmp_path / "mine")]) == 1
    assert "Fine-tuned" not in capsys.readouterr().out


def test_what_is_missing_in_the_table_is_a_dash():
    rows = [("supervised", "natural", 0.9, 0.0125), ("supervised, frames shuffled at test", "natural", 0.2, 0.05),
            ("supervised", "order", 0.8, 0.1)]
    text = table(pd.DataFrame(rows, columns=["method", "group", "accuracy", "accuracy_half"]))
    assert [line.split() for line in text.splitlines()] == [
        ["natural", "order"], ["supervised", "90.0", "±", "1.2", "80.0", "±", "10.0"],
        ["supervised,", "frames", "shuffled", "at", "test", "20.0", "±", "5.0", "–"]]
    assert len({len(line) for line in text.splitlines()}) == 1
