"""What a newcomer installs: requirements, pins, nothing heavy."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import acssm_lib

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]


def test_conda_environment_says_the_same_as_pyproject():
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    pip = next(item["pip"] for item in conda if isinstance(item, dict))
    extras = PROJECT["optional-dependencies"]
    wanted = PROJECT["dependencies"] + sum((extras[name] for name in ("lab", "test", "phones", "cluster", "lint")), [])
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


def test_whatever_is_no_module_is_declared_as_package_data():
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]
    packed = {
        path
        for package, names in patterns.items()
        for name in names
        for path in ROOT.joinpath(*package.split(".")).glob(name)
    }
    others = {
        path for path in (ROOT / "acssm_lib").rglob("*.*") if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert others == packed and others


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


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel as an installation unpacks it, built from a copy of what the build reads."""
    folder = tmp_path_factory.mktemp("installation")
    source = folder / "source"
    shutil.copytree(ROOT / "acssm_lib", source / "acssm_lib", ignore=shutil.ignore_patterns("__pycache__"))
    for name in (
        "pyproject.toml",
        "setup.py",
        "MANIFEST.in",
        "README.md",
        "LICENSE",
        "notebooks/08_reproduce_group.ipynb",
    ):
        (source / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, source / name)
    build = f"from setuptools import build_meta; build_meta.build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_carries_the_page_without_its_outputs(installed):
    page = json.loads((installed / "acssm_lib" / "batch" / "page.ipynb").read_text(encoding="utf-8"))
    repository = json.loads((ROOT / "notebooks" / "08_reproduce_group.ipynb").read_text(encoding="utf-8"))
    assert [cell["source"] for cell in page["cells"]] == [cell["source"] for cell in repository["cells"]]
    assert not [cell for cell in page["cells"] if cell.get("outputs") or cell.get("execution_count")]


def test_an_installation_without_the_repository_runs_from_any_folder(installed, tmp_path):
    words = "reproduce --dataset synthetic-frogs --groups order --methods mel-stats --preset quick --out runs".split()
    words += "--set n_frozen_episodes=5 frozen_shots=5".split()
    done = subprocess.run(
        [sys.executable, "-m", "acssm_lib", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(installed)},
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "synthetic-frogs" / "order" / "mel-stats" / "seed0"
    executed = json.loads((folder / "notebook.ipynb").read_text(encoding="utf-8"))
    assert executed["metadata"]["papermill"]["input_path"].endswith("page.ipynb")
    assert json.loads((folder / "metrics.json").read_text())["method"] == "mel-stats"


def test_the_version_stands_in_one_place_and_the_citation_follows():
    assert PROJECT["dynamic"] == ["version"] and re.fullmatch(r"\d+\.\d+\.\d+", acssm_lib.__version__)
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["version"] == acssm_lib.__version__
    assert f"## {acssm_lib.__version__} " in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_hooks_and_workflows_run_what_make_lint_and_make_test_run():
    lint = re.search(r"(?m)^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"))[1]
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    entries = [hook["entry"] for repo in hooks for hook in repo["hooks"]]
    assert [repo["repo"] for repo in hooks] == ["local"]
    assert entries == [re.sub(r" (\.|\$\(PAGES\))$", "", line.strip()) for line in lint.splitlines()]
    text = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(text)["jobs"]
    steps = [step for job in jobs.values() for step in job["steps"]]
    assert [step["run"] for step in steps if "run" in step] == ["make lint", "make test"]
    pythons = [f"Programming Language :: Python :: {name}" for name in jobs["tests"]["strategy"]["matrix"]["python"]]
    assert pythons == [name for name in PROJECT["classifiers"] if "Python ::" in name]
    assert "secrets" not in text and "index" not in text


def test_the_nightly_pages_find_what_the_steps_before_them_fetch():
    text = (ROOT / ".github" / "workflows" / "nightly.yml").read_text(encoding="utf-8")
    steps = yaml.safe_load(text)["jobs"]["everywhere"]["steps"]
    run = "\n".join(step["run"] for step in steps if "run" in step)
    kept = {step["with"]["path"] for step in steps if "cache" in step.get("uses", "")}
    fetched = Path(re.search(r"acssm data esc50 --to (\S+)", run)[1]) / "ESC-50"
    asked = dict(re.findall(r"(DATA|DIGITS)=(\S+)", run))
    assert asked["DATA"] == fetched.as_posix() and f'Path("{asked["DIGITS"]}")' in run
    assert {Path(path).parts[0] for path in asked.values()} == kept  # and what was fetched is kept


def test_public_functions_and_constructors_have_types():
    for name in acssm_lib.__all__:
        thing = getattr(acssm_lib, name)
        hints = getattr(thing.__init__ if isinstance(thing, type) else thing, "__annotations__", {})
        assert hints, name
    assert (ROOT / "acssm_lib" / "py.typed").exists()
