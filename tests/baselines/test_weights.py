"""The registry, the download and the safe reading of other people's checkpoints; a server on this machine."""

import argparse
import io
import json
import os
import pickle
import sys
import tarfile
import types

import pytest
import torch

from acssm_lib.baselines import weights
from acssm_lib.baselines.tera import MelTransformer
from acssm_lib.files import DataError
from acssm_lib.presets import preset


def saved(content):
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


BYOL_A = {"features.0.weight": torch.arange(6.0).view(2, 3)}


@pytest.fixture
def server(server, monkeypatch):
    """Every address of the registry leads to it."""
    server.content = saved(BYOL_A)
    for name, entry in weights.WEIGHTS.items():
        monkeypatch.setitem(weights.WEIGHTS, name, weights.Weights(**vars(entry) | {"url": server.url}))
    return server


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ACSSM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(weights.importlib.util, "find_spec", lambda name: None)  # whatever is installed here


def test_a_download_is_announced_shown_recorded_and_found(server, tmp_path, capsys):
    with pytest.raises(
        DataError,
        match=r"byol-a needs .*`acssm data weights byol-a` downloads 21.3 MB \(licence: NTT "
        r"evaluation.*--weights byol-a=PATH",
    ):
        weights.find("byol-a")
    server.cuts = 1
    path = weights.download("byol-a", progress=False)
    printed = capsys.readouterr().out
    assert path == tmp_path / "cache" / "weights" / "AudioNTT2020-BYOLA-64x96d2048.pth"
    assert path.read_bytes() == server.content and weights.find("byol-a") == path
    assert server.ranges == [None, f"bytes={len(server.content) // 2}-"]
    record = json.loads((path.parent / (path.name + ".json")).read_text())
    assert record["url"] == server.url and record["bytes"] == len(server.content)
    for said in (server.url, "no redistribution", "about 21.3 MB", str(path), record["sha256"]):
        assert said in printed
    assert printed.index("no redistribution") < printed.index("SHA-256")
    assert "--weights" not in printed  # it is where it is looked for
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, path.name + ".json"]

    assert weights.download("byol-a", progress=False) == path and len(server.ranges) == 2
    assert "nothing to download. Licence: NTT evaluation" in capsys.readouterr().out


def test_a_file_that_changed_since_is_refused(server):
    path = weights.download("byol-a", progress=False)
    path.write_bytes(server.content[:-1] + b"x")
    for look in (
        lambda: weights.find("byol-a"),
        lambda: weights.find("byol-a", path),
        lambda: weights.download("byol-a", progress=False),
    ):
        with pytest.raises(DataError, match="changed since it was downloaded.*remove it and download again"):
            look()


def test_what_arrives_must_be_the_weights(server, tmp_path):
    server.content = b"<html>please log in</html>"
    with pytest.raises(DataError, match=r"not a checkpoint.*kept aside as .*\.bad"):
        weights.download("hubert", to=tmp_path / "new", progress=False)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["hubert_fairseq_base_ls960.pth.bad"]
    server.content = saved(BYOL_A)
    with pytest.raises(DataError, match="not weights of hubert"):
        weights.download("hubert", to=tmp_path / "new", progress=False)


def test_a_variant_or_another_folder_says_how_to_use_it(server, tmp_path, capsys):
    path = weights.download("byol-a-512", to=tmp_path / "here", progress=False)
    assert f"--weights byol-a={path}" in capsys.readouterr().out and weights.find("byol-a", path) == path


def test_a_file_brought_by_hand_is_used_and_kept(server, tmp_path):
    path = tmp_path / "AudioNTT2020-BYOLA-64x96d2048.pth"
    path.write_bytes(server.content)
    assert weights.download("byol-a", to=tmp_path, progress=False) == path and server.ranges == []
    assert json.loads((tmp_path / (path.name + ".json")).read_text())["url"] is None
    other = tmp_path / "hubert_fairseq_base_ls960.pth"
    other.write_bytes(b"nothing")
    with pytest.raises(DataError, match="left in place"):
        weights.download("hubert", to=tmp_path, progress=False)
    assert other.read_bytes() == b"nothing"


def test_names_paths_and_folders_that_are_not_there(tmp_path):
    for call in (weights.find, weights.download, lambda name: weights.load(name, tmp_path)):
        with pytest.raises(DataError, match="no published weights for 'supervised'; there are wav2vec2, hubert"):
            call("supervised")
    with pytest.raises(DataError, match=r"gone\.pth: no such file.*acssm data weights tera"):
        weights.find("tera", tmp_path / "gone.pth")
    with pytest.raises(DataError, match="cannot be read"):
        weights.load("tera", tmp_path / "gone.pth")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be made a folder"):
        weights.download("tera", to=tmp_path / "file")


def test_describe_names_every_file_with_size_and_licence(server):
    before = weights.describe()
    for name, entry in weights.WEIGHTS.items():
        assert name in before and entry.licence in before and f"{entry.megabytes:,.1f}" in before
    weights.download("byol-a", progress=False)
    assert before.count(" yes ") == 0 and weights.describe().count(" yes ") == 1


# Reading


@pytest.fixture
def s3prl(tmp_path, monkeypatch):
    """Writes a checkpoint as S3PRL's training does: tensors, optimiser and its class, settings as a Namespace."""

    def write(legacy=False, **extra):
        module = types.ModuleType("optimizers")
        module.WarmupLinearSchedule = type("WarmupLinearSchedule", (), {"__module__": "optimizers"})
        monkeypatch.setitem(sys.modules, "optimizers", module)
        schedule = module.WarmupLinearSchedule()
        schedule.warmup = 0.07
        generator = torch.Generator().manual_seed(0)

        def linear(name, inputs, outputs):
            return {
                f"{name}.weight": torch.randn(outputs, inputs, generator=generator),
                f"{name}.bias": torch.randn(outputs, generator=generator),
            }

        def norm(name):
            return {f"{name}.weight": torch.ones(64), f"{name}.bias": torch.zeros(64)}

        layer = "encoder.layer.0"
        tensors = linear("input_representations.spec_transform", 80, 64) | norm("input_representations.LayerNorm")
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            tensors |= linear(f"{layer}.attention.{part}", 64, 64)
        tensors |= linear(f"{layer}.intermediate.dense", 64, 16) | linear(f"{layer}.output.dense", 16, 64)
        tensors |= norm(f"{layer}.attention.output.LayerNorm") | norm(f"{layer}.output.LayerNorm")
        path = tmp_path / "states-1000000.ckpt"
        torch.save(
            {
                "SpecHead": {"dense.weight": torch.zeros(2, 2)},
                "Transformer": tensors,
                "Optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"schedule": schedule}]},
                "Global_step": 1_000_000,
                "Settings": {"Paras": argparse.Namespace(seed=1337, name="tera", schedule=schedule)},
                "Config": {
                    "transformer": {"num_attention_heads": 4, "hidden_act": "gelu"},
                    "task": {"sequence_length": 1500},
                },
                **extra,
            },
            path,
            _use_new_zipfile_serialization=not legacy,
        )
        monkeypatch.delitem(sys.modules, "optimizers")
        return path, tensors

    return write


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("method", ["tera", "mockingjay"])
def test_an_s3prl_checkpoint_is_read_without_its_classes(s3prl, legacy, method):
    path, tensors = s3prl(legacy)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    content = weights.load(method, path)
    assert all(torch.equal(content["Transformer"][name], value) for name, value in tensors.items())
    assert content["Config"]["task"] == {"sequence_length": 1500} and content["Global_step"] == 1_000_000
    assert content["Settings"]["Paras"] == {"seed": 1337, "name": "tera", "schedule": None}
    assert "Optimizer" not in content and "optimizers" not in sys.modules
    encoder = MelTransformer(preset("quick"), content)
    assert encoder.d_model == 64 and encoder.max_frames == 1500


class Call:
    """Pickled as a call of ``function``."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_a_hostile_checkpoint_runs_nothing(s3prl, tmp_path, legacy):
    traces = [tmp_path / name for name in ("system", "eval", "nested", "state")]
    inner = io.BytesIO()
    torch.save(Call(os.mkdir, str(traces[2])), inner)
    path, _ = s3prl(
        legacy,
        attack=[
            Call(os.system, f"echo > '{traces[0]}'"),
            Call(eval, f"__import__('os').mkdir({str(traces[1])!r})"),
            Call(torch.storage._load_from_bytes, inner.getvalue()),
            Call(getattr, Call(__import__, "os"), "mkdir"),
            argparse.Namespace(trace=Call(os.mkdir, str(traces[3]))),
        ],
    )
    content = weights.load("tera", path)
    assert content["attack"] == [None, None, None, None, {"trace": None}]
    assert not any(trace.exists() for trace in traces)
    pickle.loads(pickle.dumps(Call(os.mkdir, str(traces[0]))))
    assert traces[0].exists()  # the attack is real


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TorchScript's own
def test_a_plain_pickle_archive_of_code_or_tar_is_refused(tmp_path):
    trace = tmp_path / "trace"
    path = tmp_path / "file.pt"
    path.write_bytes(pickle.dumps(Call(os.mkdir, str(trace)), protocol=2))
    with pytest.raises(DataError, match="not a checkpoint whose tensors can be read"):
        weights.load("hubert", path)
    assert not trace.exists()

    torch.jit.trace(torch.nn.Linear(1, 1), torch.zeros(1)).save(path)
    with pytest.raises(DataError, match="TorchScript.*save the tensors alone"):
        weights.load("hubert", path)

    with tarfile.open(path, "w") as archive:
        for name in ("storages", "tensors", "pickle"):
            content = pickle.dumps(0)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    with pytest.raises(DataError, match="tar format"):
        weights.load("hubert", path)


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "not a checkpoint"),
        (b"version https://git-lfs", "not a checkpoint"),
        (saved(BYOL_A)[:-40], "not a check"),
        (saved([1, 2]), "it has a list"),
        (saved({"fc.0.bias": torch.zeros(1)}), r"no tensor features.0.weight .*fc\.0"),
    ],
)
def test_other_files_are_refused_in_a_sentence(tmp_path, content, message):
    path = tmp_path / "file.pth"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        weights.load("byol-a", path)
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_tensors_come_to_the_cpu_as_they_are(tmp_path):
    torch.save(
        {"state_dict": {"features.0.weight": torch.nn.Parameter(torch.ones(2, dtype=torch.float16))}},
        tmp_path / "file.pth",
    )
    value = weights.load("byol-a", tmp_path / "file.pth")["state_dict"]["features.0.weight"]
    assert torch.equal(value, torch.ones(2, dtype=torch.float16)) and not value.requires_grad
    assert value.device.type == "cpu"
