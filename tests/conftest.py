"""Fixtures shared by the tests."""

import dataclasses
import functools
import hashlib
import http.server
import threading
from pathlib import Path
from types import SimpleNamespace

import nbval.kernel
import numpy as np
import pytest
import torch
from published import small

from acssm_lib import fetch
from acssm_lib.data.clips import Clips
from tools.notebooks import with_a_kernel

# Files that take longest: started first, so that no process is alone with one in the end.
LONGEST = (
    "06_ablation_comparison.ipynb",
    "04_contrastive_pretraining.ipynb",
    "05_few_shot_finetuning.ipynb",
    "08_reproduce_group.ipynb",
    "03_s4d.ipynb",
    "test_end_to_end.py",
    "test_dask_workers.py",
    "00_start_here.ipynb",
    "02_frequency_cnn.ipynb",
    "07_explore_embeddings.ipynb",
    "test_runner.py",
    "test_packaging.py",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """The longest files first; the others, and the tests of a file, in their order."""
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.name, len(place)))


# The pages are replayed several at once, and a kernel may lose its ports to another.
nbval.kernel.start_new_kernel = functools.partial(with_a_kernel, nbval.kernel.start_new_kernel)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    """Decoded clips go into a temporary folder, never into the user's cache."""
    monkeypatch.setenv("ACSSM_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(scope="session")
def shared_data():
    """The folder of real recordings and reference vectors beside the repository; skips where it is not there."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the shared data folder (real recordings and reference vectors) beside the repository")
    return folder


@pytest.fixture(scope="session")
def vectors():
    """A function that reads a file of reference numbers as tensors: a name in ``tests/vectors``, or another path."""

    def read(name):
        with np.load(Path(__file__).parent / "vectors" / f"{name}.npz") as file:
            return {key: torch.tensor(file[key]) for key in file if file[key].dtype.kind == "f"}

    return read


@pytest.fixture
def tiny():
    """The smallest settings that exercise every part: two CNN stages, two S4D layers, crops of 0.2 s."""
    return dataclasses.replace(
        small(),
        n_samples=4096,
        n_mels=16,
        widths=(4, 8),
        blocks=(1, 1),
        d_state=4,
        d_projection=8,
        pretrain_epochs=3,
        pretrain_batch=4,
        n_episodes=2,
        finetune_epochs=2,
        finetune_crops=2,
        finetune_batch=4,
        n_shot=2,
        test_crops=2,
    )


@pytest.fixture
def bank():
    """Twelve clips of different lengths: three classes of tones in noise."""
    generator = torch.Generator().manual_seed(0)
    waveforms = []
    for index in range(12):
        seconds = torch.arange(6000 + 400 * index) / 20_000
        tone = torch.sin(2 * torch.pi * (500, 1500, 4500)[index // 4] * seconds)
        waveforms.append(0.3 * tone + 0.05 * torch.randn(len(seconds), generator=generator))
    return Clips(waveforms)


@pytest.fixture(scope="module")
def embedding():
    """Ten clips of three classes, six coordinates."""
    generator = np.random.default_rng(0)
    centres = generator.normal(size=(3, 6)) * 4
    return centres[np.arange(10) % 3] + generator.normal(size=(10, 6)) + 50  # far from zero, as before training


@pytest.fixture
def synthetic_records():
    """A function that makes run records without running anything: accuracies drawn around a known mean.

    ``synthetic_records(groups, methods, seeds, means={"mel-stats": 0.7}, **changed keys)``: every method of a group
    and seed gets the same support draws, and a draw is as lucky for one method as for the other.
    """
    return make_records


def make_records(
    groups=("G1", "G2"),
    methods=("supervised", "acoustic-ssm1"),
    seeds=(0,),
    means=None,
    n_episodes=3,
    n_frozen=40,
    shots=(1, 5),
    dataset="esc50",
    preset="paper",
    protocol="transductive",
    **changes,
):
    records = []
    for place, group in enumerate(groups):
        for seed in seeds:
            luck = np.random.default_rng([place, seed]).normal(0, 0.04, max(n_frozen, n_episodes))
            for rank, method in enumerate(methods):
                random = np.random.default_rng([place, seed, rank])
                level = (means or {}).get(method, 0.5 + 0.03 * rank) + random.normal(0, 0.01) + 0.02 * (place % 3)
                records.append(
                    make_record(
                        group,
                        method,
                        seed,
                        level,
                        luck,
                        random,
                        n_episodes,
                        n_frozen,
                        shots,
                        dataset=dataset,
                        preset=preset,
                        protocol=protocol,
                        **changes,
                    )
                )
    return records


def make_record(group, method, seed, level, luck, random, n_episodes, frozen, shots, **changes):
    def drawn(n, shift=0.0):
        return np.clip(np.round((level + shift + luck[:n] + random.normal(0, 0.02, n)) * 175) / 175, 0, 1).tolist()

    def reading(name, n_shot, shuffled, n, shift):
        accuracy = drawn(n, shift)
        return {
            "name": name,
            "n_shot": n_shot,
            "shuffled": shuffled,
            "seeds": [1000 * seed + e for e in range(n)],
            "accuracy": accuracy,
            "n_query": [200 - 5 * n_shot] * n,
            "accuracy_unshared_sources": [max(value - 0.03, 0.0) for value in accuracy],
            "n_query_unshared_sources": [160] * n,
            "supports": f"{hash_of(group, seed, n_shot, n)}",
        }

    readouts = [
        reading(name, n, False, frozen, shift + 0.1 * np.log10(n / 5))
        for n in shots
        for name, shift in (("logistic", -0.05), ("nearest-mean", -0.08))
        if n == 5 or name == "logistic"
    ]
    if method != "mel-stats":
        readouts += [reading("logistic", 5, True, frozen, -0.1), reading("finetuned", 5, True, n_episodes, -0.1)]
    episodes = [
        {
            "seed": 1000 * seed + e,
            "accuracy": accuracy,
            "n_query": 175,
            "seconds": 2.0,
            "accuracy_unshared_sources": max(accuracy - 0.03, 0.0),
            "n_query_unshared_sources": 160,
            "support": [f"{group}-{seed}-{e}-{k}" for k in range(25)],
        }
        for e, accuracy in enumerate(drawn(n_episodes))
    ]
    pretrained = method not in ("mel-stats", "supervised")
    return {
        "schema": 1,
        "dataset": "esc50",
        "synthetic": False,
        "group": group,
        "classes": [f"{group} class {k}" for k in range(5)],
        "method": method,
        "preset": "paper",
        "seed": seed,
        "n_way": 5,
        "n_shot": 5,
        "protocol": "transductive",
        "readout": "logistic" if method == "mel-stats" else "finetuned",
        "episodes": episodes,
        "readouts": readouts,
        "confusion": (20 * np.eye(5, dtype=int) + 3).tolist(),
        "accuracy_mean": float(np.mean([episode["accuracy"] for episode in episodes])),
        "accuracy_ci95": None,
        "accuracy_unshared_sources_mean": None,
        "labelled_clips": {"training": 25, "selection": 0},
        "pretraining": {
            "clips": 175 * pretrained,
            "steps": 1500 * pretrained,
            "seconds": 900.0 * pretrained,
            "final_loss": 0.5 if pretrained else None,
            "saw_query_clips": pretrained and changes.get("protocol") == "transductive",
        },
        "finetuning": {"seconds": 0.0 if method == "mel-stats" else 40.0 * n_episodes},
        "parameters": 0 if method == "mel-stats" else 7_402_176,
        "settings": {"pretrain_epochs": 500},
        "versions": {"acssm_lib": "0.1.0", "torch": "2.11.0"},
        **changes,
    }


def hash_of(*parts):
    """16 hexadecimal digits."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


@pytest.fixture
def server(monkeypatch):
    """Serves ``content`` on loopback at ``url``; ``cuts`` answers break off halfway.

    ``ranges`` holds the Range header of each request, None where there was none.
    """
    state = SimpleNamespace(
        content=b"",
        tag='"one"',
        ranges=[],
        if_ranges=[],
        cuts=0,
        resumable=True,
        send_length=True,
        chunked=False,
        status=None,
    )

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            asked, condition = self.headers["Range"], self.headers["If-Range"]
            state.ranges.append(asked)
            state.if_ranges.append(condition)
            self.close_connection = True
            if state.status:
                self.send_error(state.status)
                return
            start, total = 0, len(state.content)
            if asked and state.resumable and condition in (None, state.tag):
                start = int(asked.removeprefix("bytes=").removesuffix("-"))
            self.send_response(416 if start >= total else 206 if start else 200)
            if start:
                span = f"{start}-{total - 1}" if start < total else "*"
                self.send_header("Content-Range", f"bytes {span}/{total}")
            body = state.content[start:]
            if state.send_length:
                self.send_header("Content-Length", str(len(body)))
            if state.chunked:
                self.send_header("Transfer-Encoding", "chunked")
                body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            if state.tag:
                self.send_header("ETag", state.tag)
            self.end_headers()
            if state.cuts:
                state.cuts -= 1
                body = body[: len(body) // 2]
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    monkeypatch.setattr(fetch, "_WAIT_S", 0.0)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{httpd.server_port}/archive/master.zip"
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield state
    httpd.shutdown()
    thread.join()
    httpd.server_close()
