"""The whole way once, as a user goes it: a folder of recordings, `acssm reproduce`, `acssm report`."""

import json

import numpy as np
import pytest
import soundfile
import torch
from test_byol_a import published as random_byol_a

from acssm_lib.cli.main import main
from acssm_lib.experiment.measure import HEARING
from acssm_lib.model.encoder import AcousticSSM
from acssm_lib.presets import preset

TINY = {
    "n_samples": 4096,
    "n_mels": 16,
    "widths": "4,8",
    "blocks": "1,1",
    "d_state": 4,
    "d_projection": 8,
    "pretrain_epochs": 3,
    "pretrain_batch": 4,
    "n_episodes": 2,
    "finetune_epochs": 2,
    "finetune_crops": 2,
    "n_shot": 2,
    "test_crops": 1,
    "n_frozen_episodes": 5,
    "frozen_shots": "1,2",
}
SETTINGS = [f"{key}={value}" for key, value in TINY.items()]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    """Two classes of six clips at different rates and formats, and two unlabelled ones."""
    root, generator = tmp_path_factory.mktemp("recordings"), np.random.default_rng(0)
    for folder, frequency in (("low", 400), ("high", 3000), ("unlabelled", 1000)):
        (root / folder).mkdir()
        for clip in range(2 if folder == "unlabelled" else 6):
            rate, suffix = ((44_100, "wav"), (16_000, "flac"))[clip % 2]
            seconds = np.arange(rate // 2) / rate
            sound = 0.3 * np.sin(2 * np.pi * frequency * seconds) + 0.02 * generator.standard_normal(len(seconds))
            soundfile.write(root / folder / f"clip{clip}.{suffix}", sound, rate)
    return root


def test_from_a_folder_to_a_report(recordings, tmp_path, capfd):
    out = tmp_path / "runs"
    command = [
        *"reproduce --dataset folder --data".split(),
        str(recordings),
        "--methods",
        "mel-stats,acoustic-ssm1",
        "--out",
        str(out),
        "--jobs",
        "2",
        "--set",
        *SETTINGS,
    ]
    assert main(command) == 0

    metrics = {}
    for method in ("mel-stats", "acoustic-ssm1"):
        folder = out / "folder" / "all" / method / "seed0"
        files = {"notebook.ipynb", "metrics.json", "classifier.pt", "config.json"}
        files |= {"encoder.pt"} if method != "mel-stats" else set()
        assert {path.name for path in folder.iterdir()} == files
        metrics[method] = json.loads((folder / "metrics.json").read_text())
        assert metrics[method]["settings"]["n_samples"] == 4096 and metrics[method]["n_way"] == 2
    assert metrics["mel-stats"]["accuracy_mean"] == 1.0  # two tones
    assert metrics["acoustic-ssm1"]["pretraining"]["clips"] == 14  # the unlabelled two joined
    supports = [[draw["support"] for draw in record["episodes"]] for record in metrics.values()]
    assert supports[0] == supports[1]

    config = preset("quick", **TINY)
    weights = torch.load(out / "folder" / "all" / "acoustic-ssm1" / "seed0" / "encoder.pt", weights_only=True)
    AcousticSSM(config).load_state_dict(weights)

    capfd.readouterr()
    assert main(command) == 0
    assert capfd.readouterr().out.count("already done") == 2
    assert main(["report", str(out)]) == 0
    assert "mel-stats" in (out / "report" / "report.md").read_text()

    assert main([*command[: -len(SETTINGS)], *SETTINGS, "n_layers=1"]) == 2  # another setting does not mix
    assert "n_layers=2" in capfd.readouterr().err


def test_an_embedder_from_a_file_never_hears_a_query_of_its_own(recordings, tmp_path):
    torch.save(random_byol_a(), tmp_path / "weights.pth")
    command = [
        *"reproduce --dataset folder --data".split(),
        str(recordings),
        *"--methods byol-a --protocol inductive-clip --out".split(),
        str(tmp_path / "runs"),
        "--set",
        *SETTINGS,
    ]
    assert main([*command, "--weights", str(tmp_path / "missing.pth")]) == 2
    assert main([*command, "--weights", f"byol-a={tmp_path / 'weights.pth'}"]) == 0
    folder = tmp_path / "runs" / "folder" / "all" / "byol-a" / "seed0"
    left = {path.name for path in folder.iterdir()}
    assert left == {"notebook.ipynb", "metrics.json", "classifier.pt", "config.json"}
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["protocol"] == "inductive-clip" and metrics["pretraining"]["saw_query_clips"] is False
    assert {draw["n_query"] for draw in metrics["episodes"]} == {12}  # five splits ask every clip once
    assert {(entry["name"], entry["shuffled"]) for entry in metrics["readouts"]} == {
        ("finetuned", True),
        ("logistic", False),
        ("logistic", True),
        *((name, False) for name in HEARING),
    }


def test_the_best_recipe_on_its_own_encoder_and_on_an_embedder(recordings, tmp_path):
    torch.save(random_byol_a(), tmp_path / "weights.pth")
    settings = {key: value for key, value in TINY.items() if key != "test_crops"}
    settings |= {"n_members": 2, "test_views": 3, "pretrain_epochs": 1, "n_layers": 1}
    assert (
        main(
            [
                *"reproduce --dataset folder --data".split(),
                str(recordings),
                *"--preset best --methods acoustic-ssm1,byol-a-adapted --out".split(),
                str(tmp_path / "runs"),
                "--jobs",
                "2",
                "--weights",
                f"byol-a-adapted={tmp_path / 'weights.pth'}",
                "--set",
                *[f"{key}={settings[key]}" for key in settings],
            ]
        )
        == 0
    )
    folder = tmp_path / "runs" / "folder" / "all" / "acoustic-ssm1" / "seed0"
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["pretraining"]["steps"] == 2 * 4  # two members, four batches of 14 clips
    weights = torch.load(folder / "encoder.pt", weights_only=True)
    assert {name.split(".")[1] for name in weights if name.startswith("members")} == {"0", "1"}


def test_check_lists_every_bad_file(recordings, tmp_path, capfd):
    folder = tmp_path / "bad"
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
    (folder / "a" / "broken.wav").write_bytes(b"not audio")
    soundfile.write(folder / "b" / "silent.wav", np.zeros(8000), 16_000)
    assert main(["data", "check", str(folder)]) == 1
    listed = capfd.readouterr().out
    assert "broken.wav" in listed and "silent.wav" in listed
