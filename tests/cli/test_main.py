"""The command line but for ``reproduce``: what is handed to the library, what is printed, and the exit status."""

import os
import subprocess
import sys
import types

import pytest

from acssm_lib.cli.main import main

DIGEST = "ab" * 32


def test_data_weights_lists_or_fetches(library, capsys, tmp_path):
    assert main(["data", "weights"]) == 0
    assert capsys.readouterr().out == "name  MB\n"
    assert main(["data", "weights", "tera", "hubert", "--to", str(tmp_path)]) == 0
    assert library.calls["weights"] == [("tera", tmp_path), ("hubert", tmp_path)]


def test_report_prints_the_table_and_the_paths(library, capsys, tmp_path):
    assert main(["report", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "| method | accuracy |",
        str(tmp_path / "report" / "report.md"),
        str(tmp_path / "report" / "table.csv"),
    ]


@pytest.mark.parametrize("severities, status", [([], 0), (["warning"], 0), (["warning", "error"], 1)])
def test_data_check_fails_on_errors_only(library, capsys, severities, status):
    library.problems = [types.SimpleNamespace(severity=severity) for severity in severities]
    assert main(["data", "check", "."]) == status
    assert capsys.readouterr().out == f"{len(severities)} problems\n"


def test_data_esc50_passes_the_digest_on(library, tmp_path):
    assert main(["data", "esc50", "--to", str(tmp_path), "--sha256", DIGEST.upper()]) == 0
    assert library.calls["download"] == (tmp_path, DIGEST)


def test_help_needs_no_torch():
    program = (
        "import sys\nfrom acssm_lib.cli.main import main\n"
        "try: main(['reproduce', '--help'])\n"
        "finally: print('torch' in sys.modules, 'papermill' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0 and "--preset" in done.stdout
    assert done.stdout.splitlines()[-1] == "False False"


def test_a_reader_that_has_gone_ends_a_command_without_a_traceback():
    """As ``acssm data weights | head -1`` does."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "acssm_lib", "data", "weights"], stdout=writer, stderr=subprocess.PIPE, text=True
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
