from itertools import combinations

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgb

from acssm_lib import plots
from acssm_lib.report import figures
from tools import architecture


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def labels_of(ax):
    return ax.get_xlabel(), ax.get_ylabel()


def test_waveform_takes_a_tensor_and_has_units():
    fig, ax = plots.waveform(torch.zeros(20_000, requires_grad=True), 20_000, title="Silence")
    assert labels_of(ax) == ("Time (s)", "Amplitude (full scale = 1)")
    assert ax.get_xlim() == (0.0, 1.0) and ax.get_title(loc="left") == "Silence"
    with pytest.raises(ValueError, match=r"waveform \(samples,\).*\(2, 10\)"):
        plots.waveform(np.zeros((2, 10)), 20_000)


def test_spectrogram_ticks_lie_on_the_band_that_peaks_there():
    fig, ax = plots.spectrogram(np.random.default_rng(0).normal(size=(128, 60)))
    assert labels_of(ax) == ("Time (s)", "Frequency (Hz)")
    ticks = dict(zip((label.get_text() for label in ax.get_yticklabels()), ax.get_yticks()))
    mel = 2595 * np.log10(1 + np.array([1000.0, 10_000.0]) / 700)
    centres = mel[1] * np.arange(1, 129) / 129
    assert ticks["1,000"] == pytest.approx(np.interp(mel[0], centres, np.arange(128)), abs=1e-6)
    assert ticks["10,000"] == pytest.approx(128)  # upper edge of the last band
    assert "(dB)" in fig.axes[1].get_ylabel()


def test_silence_does_not_eat_the_colour_range():
    values = np.full((8, 5), -156.5)
    values[3, 2] = 10.0
    _, ax = plots.spectrogram(values)
    assert ax.images[0].get_clim() == (-70.0, 10.0)


def test_stack_names_three_channels_with_units():
    fig, axes = plots.stack(torch.zeros(3, 16, 60))
    assert [ax.get_title(loc="left") for ax in axes] == ["Log-mel power", "Log STFT magnitude", "STFT phase"]
    assert [ax.get_ylabel() for ax in fig.axes[3:]] == [label for label, _, _ in plots.CHANNELS]
    assert axes[2].images[0].get_clim() == pytest.approx((-np.pi, np.pi))
    with pytest.raises(ValueError, match="3, mel, frames"):
        plots.stack(torch.zeros(2, 16, 60))


def test_loss_curve_draws_the_guess():
    _, ax = plots.loss_curve([4.0, 3.0, 2.0], chance=np.log(64), steps=300)
    assert labels_of(ax) == ("Step", "Contrastive loss (nats)")
    assert ax.lines[1].get_ydata()[0] == pytest.approx(4.1589, abs=1e-4)
    assert ax.lines[0].get_xdata()[-1] == 300


def test_embedding_draws_every_class_the_unlabelled_and_the_support():
    _, ax = plots.embedding(np.zeros((4, 2)), [0, 1, 1, -1], ["toad", "newt"], highlight=[0, 1])
    assert {text.get_text() for text in ax.get_legend().get_texts()} == {"toad", "newt", "unlabelled", "support"}
    with pytest.raises(ValueError, match=r"\(4, 2\).*\(3,\)"):
        plots.embedding(np.zeros((4, 2)), [0, 1, 1], ["toad", "newt"])


def test_confusion_shows_counts_and_colours_shares():
    _, ax = plots.confusion([[3, 1], [0, 0]], ["toad", "newt"])
    assert [text.get_text() for text in ax.texts] == ["3", "1", "0", "0"]
    assert ax.images[0].get_array().tolist() == [[0.75, 0.25], [0, 0]]
    assert labels_of(ax) == ("Predicted class", "True class")
    with pytest.raises(ValueError, match="2 x 2"):
        plots.confusion(np.zeros((3, 3)), ["toad", "newt"])


def test_a_method_keeps_its_colour():
    table = pd.DataFrame(
        {
            "group": ["G1"],
            "method": ["acoustic-ssm1"],
            "accuracy": [0.6],
            "accuracy_low": [0.5],
            "accuracy_high": [0.7],
            "chance": [0.2],
            "n_way": [5],
        }
    )
    _, ax = figures.accuracy_dots(table)
    assert ax.lines[0].get_color() == plots.METHOD_COLOURS["acoustic-ssm1"]
    assert labels_of(ax) == ("Group (five classes each)", "Accuracy (share of queries)")


def lab(colour):
    """CIELAB of an sRGB colour under D65: equal distances look about equally far apart."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    x, y, z = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_no_two_methods_have_colours_that_look_alike_and_all_show_on_white():
    colours = {**plots.METHOD_COLOURS, "another": plots.OTHER_COLOUR}
    near = {pair: np.linalg.norm(lab(colours[pair[0]]) - lab(colours[pair[1]])) for pair in combinations(colours, 2)}
    assert min(near.values()) > 15, sorted(near, key=near.get)[:5]
    pale = {name: colour for name, colour in colours.items() if lab(colour)[0] >= 85}
    assert not pale


def test_forest_fills_only_the_dots_whose_interval_excludes_zero():
    frame = pd.DataFrame(
        {
            "group": ["G1", "G2", "G3"],
            "method": "acoustic-ssm1",
            "baseline": "supervised",
            "difference": [0.1, 0.1, 0.1],
            "low": [0.05, -0.05, np.nan],
            "high": [0.15, 0.25, np.nan],
        }
    )
    _, ax = figures.forest(frame)
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    assert [dot.get_markerfacecolor() == "white" for dot in dots] == [False, True, True]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["acoustic-ssm1 − supervised", "G1", "G2", "G3"]


def test_save_leaves_one_file_and_closes_the_figure(tmp_path):
    fig, _ = plots.waveform(np.zeros(100), 20_000)
    path = plots.save(fig, tmp_path / "new" / "wave.png")
    assert [path] == list((tmp_path / "new").iterdir())
    assert path.read_bytes().startswith(b"\x89PNG")
    assert not plt.fignum_exists(fig.number)


def test_drawing_changes_no_global_setting():
    before = dict(plt.rcParams)
    plots.embedding(np.zeros((2, 2)), [0, 1], ["toad", "newt"])
    plots.confusion(np.eye(2), ["toad", "newt"])
    assert dict(plt.rcParams) == before


def test_architecture_writes_the_shapes_of_the_preset(tmp_path):
    sizes = architecture.sizes()
    assert sizes["input"] == (3, 128, 60)
    assert sizes["stages"] == [(64, 64, 60), (64, 32, 60), (64, 32, 60), (128, 16, 60), (256, 8, 60), (512, 4, 60)]
    assert sizes["features"] == (512, 60)
    architecture.main([str(tmp_path / "architecture.png")])
    assert plt.imread(tmp_path / "architecture.png").shape[1] == 1800
