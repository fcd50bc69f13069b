"""``acssm demo``: what it runs, the table and sentences at its end, and its page."""

import shutil
from pathlib import Path

from acssm_lib.batch import runner
from acssm_lib.batch.runner import Failure
from acssm_lib.cli.demo import table
from acssm_lib.cli.main import main

RECORDS = Path(__file__).resolve().parents[2] / "figures" / "metrics" / "synthetic-phrases"
METHODS = ["mel-stats", "lag-covariance", "acoustic-ssm1", "adapted-cnn", "supervised"]


def test_the_demo_is_one_batch_a_table_three_sentences_and_a_page(tmp_path, monkeypatch, capsys):
    asked = []

    def reproduce(runs, out, **where):
        asked.append((runs, where))
        shutil.copytree(RECORDS, out / "synthetic-phrases")
        return []

    monkeypatch.setattr(runner, "reproduce", reproduce)
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    ((runs, where),) = asked
    assert {run.dataset for run in runs} == {"synthetic-phrases"} and where["jobs"] == 2
    assert [run.method for run in runs] == METHODS and {run.seed for run in runs} == {0}
    printed = capsys.readouterr().out
    rows = next(part for part in printed.split("\n\n") if part.split()[:2] == ["fine-tuned", "frozen"]).splitlines()
    assert set(METHODS) <= {row.split()[0] for row in rows}
    assert all(f"\n{number}. " in printed for number in (1, 2, 3)) and "SYNTHETIC" in printed
    page = tmp_path / "runs" / "demo" / "demo.html"
    assert printed.rstrip().endswith(str(page.resolve()))
    assert str(Path("runs", "demo", "report", "report.md")) in printed
    text = page.read_text(encoding="utf-8")
    assert text.count("<audio") == 5 and text.count("data:image/png") == 5 + 3
    assert all(f"<td>{method}</td>" in text for method in METHODS)


def test_the_committed_records_show_all_three_claims():
    from acssm_lib.report import page, tables
    from acssm_lib.report.readings import read_runs

    runs, problems = read_runs(RECORDS)
    assert not problems and {run["seed"] for run in runs} == {0, 1, 2}
    draws, seeds = tables.paired_differences(runs), tables.average_differences(runs)
    assert [shown for _, shown in page.verdicts(draws)] == [True, True, True]
    claimed = seeds[(seeds["method"] == "acoustic-ssm1") & seeds["baseline"].isin(METHODS)]
    assert len(claimed) == 8 and (claimed["difference"] > 0.1).all()
    assert (claimed["n_cells"] == 3).all() and (claimed["low"] > 0).all()


def test_a_failed_run_is_no_table_and_status_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(runner, "reproduce", lambda runs, out, **where: [Failure(runs[0], "no room")])
    assert main(["demo", "--out", str(tmp_path / "mine")]) == 1
    assert "fine-tuned" not in capsys.readouterr().out


def test_what_is_missing_in_the_table_is_a_dash():
    text = table([("mel-stats", "–", "20.0 ± 0.4"), ("acoustic-ssm1", "90.0 ± 1.2", "80.0 ± 10.0")])
    assert [line.split() for line in text.splitlines()] == [
        ["fine-tuned", "frozen"],
        ["mel-stats", "–", "20.0", "±", "0.4"],
        ["acoustic-ssm1", "90.0", "±", "1.2", "80.0", "±", "10.0"],
    ]
    assert len({len(line) for line in text.splitlines()}) == 1
