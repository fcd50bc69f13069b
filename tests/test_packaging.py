"""What a newcomer installs: requirements, pins, nothing heavy."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

import acssm_lib

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_conda_environment_says_the_same_as_pyproject():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(item["pip"] for item in conda if isinstance(item, dict))
    extras = PROJECT["optional-dependencies"]
    wanted = PROJECT["dependencies"] + extras["lab"] + extras["test"] + extras["cluster"] + extras["lint"]
    assert sorted(line for line in pip if not line.startswith("--")) == sorted(wanted)
    assert f"python{PROJECT['requires-python']}" in conda
    assert "--constraint constraints.txt" in pip and "--editable ." in pip


def test_every_requirement_is_pinned_and_no_index_is_named():
    pins = (ROOT / "constraints.txt").read_text()
    assert not re.search(r"://|index-url|find-links", pins)
    names = {re.split(r"[=;\s]", line)[0] for line in pins.splitlines()}
    extras = PROJECT["optional-dependencies"]
    for requirement in PROJECT["dependencies"] + extras["lab"] + extras["test"] + extras["lint"]:
        assert re.match(r"[\w-]+", requirement)[0] in names, requirement
    assert "torch==2.11.0" in pins and "torchaudio==2.11.0" in pins


def test_names_that_others_rely_on_are_there():
    for name in acssm_lib.__all__:
        assert callable(getattr(acssm_lib, name)), name
    with pytest.raises(AttributeError, match="no attribute 'S5'"):
        acssm_lib.S5


def test_no_recording_or_checkpoint_is_committed():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert not [name for name in files if name.endswith((".pt", ".pth", ".ckpt", ".wav", ".ogg", ".flac", ".npy"))]
