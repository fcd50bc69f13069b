"""``acssm reproduce``: what is refused and how, and what reaches the runs."""

import os

import pytest
import torch

from acssm_lib.batch import runner
from acssm_lib.batch.runner import Failure
from acssm_lib.batch.runs import Run
from acssm_lib.cli import reproduce
from acssm_lib.cli.main import main
from acssm_lib.names import EMBEDDER_NAMES, METHOD_NAMES, PROTOCOLS
from acssm_lib.presets import PRESETS

REAL_REPRODUCE = runner.reproduce


def frogs(*words):
    return ["reproduce", "--dataset", "synthetic-frogs", "--out", "RUNS", *words]


def test_defaults_are_all_methods_without_downloads_on_the_proposed_groups(library):
    assert main(frogs()) == 0
    runs = library.calls["reproduce"]["runs"]
    methods = [name for name in METHOD_NAMES if name not in EMBEDDER_NAMES]
    assert [(run.group, run.method) for run in runs] == [(g, m) for g in ("G1", "order") for m in methods]
    assert {(run.seed, run.preset, run.data) for run in runs} == {(0, "quick", None)}


@pytest.mark.parametrize(
    "asked, groups",
    [("all", ["G1", "order"]), ("all,G2", ["G1", "order", "G2"]), ("order, all", ["order", "G1"]), ("G2", ["G2"])],
)
def test_all_stands_for_the_proposed_groups_beside_others_too(library, asked, groups):
    assert main(frogs("--groups", asked, "--methods", "supervised")) == 0
    assert [run.group for run in library.calls["reproduce"]["runs"]] == groups


def test_arguments_reach_the_runs_as_typed_values(library, tmp_path):
    status = main(
        [
            *"reproduce --dataset esc50 --data".split(),
            str(tmp_path),
            *"--groups all --methods supervised --seeds 0,2 --preset paper --set n_layers=4 blocks=2,2".split(),
            *"widths=16,32 --set floor_db=none --out RUNS --jobs 3".split(),
        ]
    )
    assert status == 0
    call = library.calls["reproduce"]
    assert call["jobs"] == 3 and str(call["out"]) == "RUNS"
    assert call["scheduler"] is None and call["cluster"] is None
    # "all" are the groups that the data set proposes, without G2: of ESC-50 those of the paper, without E1 and E2
    assert [(run.group, run.seed) for run in call["runs"]] == [(g, s) for g in ("G1", "order") for s in (0, 2)]
    assert call["runs"][0].overrides == {"n_layers": 4, "blocks": [2, 2], "widths": [16, 32], "floor_db": None}
    assert call["runs"][0].data == str(tmp_path)


def test_a_setting_of_one_group_stays_there_and_wins_over_the_common_one(library):
    assert main(frogs("--set", "order:n_layers=4", "n_layers=3", "d_state=8", "--methods", "supervised")) == 0
    assert {run.group: run.overrides for run in library.calls["reproduce"]["runs"]} == {
        "G1": {"n_layers": 3, "d_state": 8},
        "order": {"n_layers": 4, "d_state": 8},
    }


@pytest.mark.parametrize(
    "words, expected",
    [
        (frogs("--groups", "G1,ordre"), "unknown group 'ordre' (did you mean 'order'?)"),
        (frogs("--methods", "mel-stat"), "unknown method 'mel-stat' (did you mean 'mel-stats'?)"),
        (frogs("--preset", "qick"), "did you mean 'quick'?"),
        (frogs("--preset", "quick-best"), "it is called 'quick' now"),
        (frogs("--set", "n_layer=4"), "did you mean 'n_layers'?"),
        (frogs("--set", "n_layers=many"), "n_layers='many'"),
        (frogs("--set", "n_layers"), "--set n_layers: expected FIELD=VALUE"),
        (frogs("--set", "name=mine"), "--preset"),
        (frogs("--set", "ordre:n_layers=4"), "unknown group in --set 'ordre' (did you mean 'order'?)"),
        (frogs("--set", "G2:n_layers=4", "--groups", "G1"), "unknown group in --set 'G2'"),
        (frogs("--set", "order:n_layer=4"), "did you mean 'n_layers'?"),
        (frogs("--protocol", "transductive", "--set", "G1:protocol=inductive-clip"), "contradict each other"),
        (frogs("--data", "."), "synthetic-frogs is made on the spot"),
        (frogs("--seeds", "0,-1"), "got '0,-1'"),
        (frogs("--jobs", "0"), "got '0'"),
        (frogs("--device", "gpu"), "expected auto, cpu, cuda, cuda:1 (the second one) or mps, got 'gpu'"),
        (frogs("--groups", ","), "got ','"),
        (frogs("--notebook", "no/where.ipynb"), "no/where.ipynb"),
        (frogs("--protocol", "inductive"), "did you mean 'inductive-clip'?"),
        (frogs("--protocol", "transductive", "--set", "protocol=inductive-clip"), "contradict each other"),
        (frogs("--methods", "hubert"), "acssm data weights hubert"),
        (frogs("--weights", "file.pth"), "no method asked for takes a file"),
        (frogs("--methods", "hubert,tera", "--weights", "file.pth"), "say which method it is for"),
        (frogs("--methods", "hubert", "--weights", "tera=file.pth"), "tera is not among --methods"),
        (frogs("--methods", "hubert", "--weights", "huber=file.pth"), "did you mean 'hubert'?"),
        (frogs("--methods", "hubert", "--weights", "a.pth", "--weights", "hubert=b.pth"), "two files for hubert"),
        (frogs("--scheduler", "tcp://x", "--cluster", "slurm"), "not allowed with argument"),
        (frogs("--scheduler", "tcp://x", "--jobs", "2"), "--jobs counts"),
        (frogs("--cluster", "pbs"), "unknown cluster 'pbs'"),
        (frogs("--cluster-option", "cores=8"), "--cluster slurm, which was not given"),
        (frogs("--cluster", "slurm", "--cluster-option", "cores"), "expected NAME=VALUE"),
        (["data", "weights", "huber"], "did you mean 'hubert'?"),
        (["data", "weights", "--to", "x"], "say which to fetch"),
        (["reproduce", "--dataset", "esc5", "--out", "RUNS"], "did you mean 'esc50'?"),
        (["reproduce", "--dataset", "esc50", "--out", "RUNS"], "needs --data PATH"),
        (["reproduce", "--dataset", "folder", "--data", "no/where", "--out", "RUNS"], "no/where"),
        (["reproduce", "--dataset", "synthetic-frogs"], "--out"),
        (["report", "no/where"], "no/where"),
        (["data", "esc50", "--to", "x", "--sha256", "12"], "64 hexadecimal digits"),
        (["reprodce"], "reprodce"),
        ([], "COMMAND"),
    ],
)
def test_bad_arguments_are_one_paragraph_and_status_2(library, capsys, words, expected):
    assert main(words) == 2
    printed = capsys.readouterr()
    assert expected in printed.err and printed.err.startswith("acssm: ") and printed.err.count("\n") == 1
    assert library.calls == {}


@pytest.mark.parametrize("words", [["--preset", "best"], ["--set", "views=segments"]])
def test_every_method_without_a_download_runs_with_every_recipe(library, words):
    assert main(frogs(*words)) == 0
    methods = {run.method for run in library.calls["reproduce"]["runs"]}
    assert methods == set(METHOD_NAMES) - set(EMBEDDER_NAMES)


def test_the_device_reaches_every_run_and_is_looked_for_first(library, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(frogs("--device", "cpu", "--groups", "G1")) == 0
    assert {run.device for run in library.calls.pop("reproduce")["runs"]} == {"cpu"}
    assert main(frogs("--device", "cuda:1")) == 2 and library.calls == {}
    assert "--device 'cuda:1' is not available here; choose one of auto, " in capsys.readouterr().err
    assert main(frogs("--device", "cuda:1", "--scheduler", "tcp://x")) == 0  # the workers may have one
    assert {run.device for run in library.calls["reproduce"]["runs"]} == {"cuda:1"}


@pytest.mark.parametrize(
    "words",
    [
        ["--protocol", "inductive-clip"],
        ["--set", "protocol=inductive-clip"],
        ["--protocol", "inductive-clip", "--set", "protocol=inductive-clip"],
    ],
)
def test_protocol_is_a_setting(library, words):
    assert main(frogs(*words)) == 0
    assert library.calls["reproduce"]["runs"][0].overrides == {"protocol": "inductive-clip"}


def test_protocols_are_those_of_the_preset():
    for protocol in PROTOCOLS:
        assert reproduce._settings("quick", [f"protocol={protocol}"])[0].protocol == protocol
    assert PRESETS["paper"].protocol in PROTOCOLS


@pytest.mark.parametrize(
    "words, expected",
    [
        (["--methods", "mel-stats,byol-a"], {"mel-stats": None, "byol-a": "CACHE/byol-a.pth"}),
        (["--methods", "mel-stats,tera", "--weights", "x.ckpt"], {"mel-stats": None, "tera": "x.ckpt"}),
        (["--methods", "tera,hubert", "--weights", "tera=x", "--weights", "hubert=y"], {"tera": "x", "hubert": "y"}),
    ],
)
def test_weights_reach_the_runs_of_their_method(library, words, expected):
    assert main(frogs("--groups", "G1", *words)) == 0
    assert {run.method: run.weights for run in library.calls["reproduce"]["runs"]} == {
        method: path and os.path.abspath(path) for method, path in expected.items()
    }


def test_a_weights_path_may_hold_an_equals_sign(library, tmp_path):
    path = tmp_path / "lr=1.pth"
    path.write_text("")
    assert main(frogs("--methods", "tera", "--weights", str(path))) == 0
    assert library.calls["reproduce"]["runs"][0].weights == str(path)


def test_workers_elsewhere_are_passed_on(library):
    assert main(frogs("--scheduler", "tcp://127.0.0.1:8786")) == 0
    assert library.calls["reproduce"]["scheduler"] == "tcp://127.0.0.1:8786"
    options = ("cores=8", "memory=16GB", "job_extra_directives=--gres=gpu:1", "job_extra_directives=--exclusive")
    words = [word for option in options for word in ("--cluster-option", option)]
    assert main(frogs("--cluster", "slurm", "--jobs", "4", *words)) == 0
    call = library.calls["reproduce"]
    assert (call["cluster"], call["jobs"], call["scheduler"]) == ("slurm", 4, None)
    assert call["cluster_options"] == {
        "cores": 8,
        "memory": "16GB",
        "job_extra_directives": ["--gres=gpu:1", "--exclusive"],
    }


def test_runs_of_other_settings_are_bad_arguments(library, capsys):
    library.failures = "conflict"
    assert main(frogs()) == 2
    assert "holds a run with n_layers=2" in capsys.readouterr().err


def test_failed_runs_give_status_1(library):
    library.failures = [Failure(Run("synthetic-frogs", "G1", "mel-stats", 0), "ValueError: no clips")]
    assert main(frogs()) == 1


def test_unlabelled_clips_that_are_left_out_are_said(library, capsys):
    library.left_out = ["1 unlabelled clips that cannot be used are left out: a.wav: truncated"]
    assert main(frogs()) == 0 and library.calls["reproduce"]
    assert "acssm: 1 unlabelled clips that cannot be used are left out: a.wav: truncated" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words, expected",
    [
        (["reproduce", "--dataset", "folder", "--data", "broken", "--out", "RUNS"], "dog.wav: holds NaN"),
        (frogs("--set", "n_shot=10"), "class a has 9 clips"),
        (frogs("--set", "negatives=same-source"), "mt-slvr brings its own negatives"),
    ],
)
def test_bad_data_starts_no_run(library, capsys, monkeypatch, tmp_path, words, expected):
    (tmp_path / "broken").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(words) == 1
    assert expected in capsys.readouterr().err
    assert library.calls == {}


def test_negatives_by_source_go_with_methods_that_have_none_of_their_own(library):
    assert main(frogs("--set", "negatives=same-source", "--methods", "acoustic-ssm1,supervised,mel-stats")) == 0


def test_unwritable_out_is_named(library, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(runner, "reproduce", REAL_REPRODUCE)  # it stops before any run
    (tmp_path / "file").write_text("")
    (tmp_path / "tiny.ipynb").write_text("{}")
    words = ["reproduce", "--dataset", "synthetic-frogs", "--notebook", str(tmp_path / "tiny.ipynb")]
    assert main([*words, "--out", str(tmp_path / "file" / "runs")]) == 1
    assert f"acssm: cannot write into {tmp_path / 'file' / 'runs'}" in capsys.readouterr().err


def test_debug_shows_the_error_itself(library):
    with pytest.raises(ValueError, match="9 clips"):
        main(frogs("--set", "n_shot=10", "--debug"))


def test_ctrl_c_is_status_130_without_traceback(library, capsys, monkeypatch):
    def stopped(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "reproduce", stopped)
    assert main(frogs()) == 130
    assert "the same command goes on" in capsys.readouterr().err
