import dataclasses
import json
import math
import re
import typing

import numpy as np
import pytest

from acssm_lib.presets import PRESETS, Preset, in_todays_words, preset
from acssm_lib.ranges import CHOICES, RANGES


def test_paper_is_the_published_setting():
    paper = preset("paper")
    assert (paper.sample_rate, paper.n_samples, paper.n_fft, paper.hop_length, paper.n_mels) == (
        20_000,
        30_225,
        1024,
        512,
        128,
    )
    assert (paper.widths, paper.blocks, paper.n_layers, paper.d_state) == ((64, 128, 256, 512), (2, 2, 2, 2), 6, 64)
    assert (paper.pretrain_epochs, paper.pretrain_batch, paper.pretrain_lr, paper.temperature) == (500, 64, 1e-4, 0.2)
    assert (paper.n_shot, paper.finetune_epochs, paper.finetune_lr, paper.finetune_batch) == (5, 50, 0.006, 4)
    assert (paper.precision, PRESETS["quick"].precision) == ("auto", "float32")
    assert (paper.floor_db, paper.standardise, paper.pool, paper.test_crops) == (None, "none", "unlabelled", 1)


def test_text_from_the_command_line_becomes_the_field_s_type():
    changed = preset(
        "quick",
        n_layers="4",
        widths="8,16",
        blocks="1,1",
        pretrain_lr="1e-3",
        standardise="none",
        floor_db="none",
        finetune_encoder_lr="0.01",
    )
    assert (changed.n_layers, changed.widths, changed.pretrain_lr) == (4, (8, 16), 1e-3)
    assert (changed.standardise, changed.floor_db, changed.finetune_encoder_lr) == ("none", None, 0.01)
    assert preset("quick", widths=[8, 16], blocks=[1, 1]).widths == (8, 16)
    assert type(preset("quick", n_layers=np.int64(4)).n_layers) is int


@pytest.mark.parametrize(
    "overrides, words",
    [
        ({"n_layer": 4}, "did you mean 'n_layers'"),
        ({"n_layers": "four"}, "n_layers='four'"),
        ({"n_layers": 2.5}, "n_layers=2.5"),
        ({"n_layers": True}, "n_layers=True"),
        ({"standardise": "yes"}, "standardise='yes': choose one of none, scale, band$"),
        (
            {"standardise": "true"},
            "standardise='true': choose one of none, scale, band; false of earlier versions is none",
        ),
        (
            {"standardise": False},
            "standardise=False: choose one of none, scale, band; false of earlier versions is none",
        ),
        ({"pool": "whole"}, "unlabelled, group, all, everything"),
        ({"n_shot": None}, "n_shot=None"),
        ({"n_shot": np.True_}, "n_shot=np.True_: expected int"),
        ({"n_shot": b"2"}, "n_shot=b'2': expected int"),
        ({"frozen_shots": b"2"}, "frozen_shots=b'2': expected tuple"),
        ({"frozen_shots": {}}, "frozen_shots={}: expected tuple"),
        ({"precision": "half"}, "auto, float32, bfloat16"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_name(overrides, words):
    with pytest.raises(ValueError, match=words):
        preset("quick", **overrides)


def number_of(field):
    """int or float for a field that holds numbers or a tuple of them, else None."""
    hint = typing.get_type_hints(Preset)[field]
    kinds = {int: int, float: float}
    return kinds.get(hint) or next((kinds[one] for one in typing.get_args(hint) if one in kinds), None)


NUMBERS = [field.name for field in dataclasses.fields(Preset) if number_of(field.name)]


def test_every_field_has_a_range_or_choices_and_every_preset_keeps_to_them():
    words = {field for field, hint in typing.get_type_hints(Preset).items() if hint is str} - {"name"}
    assert set(NUMBERS) ^ set(RANGES) == set(), "fields of numbers and RANGES"
    assert words ^ set(CHOICES) == set(), "fields of words and CHOICES"
    for name in PRESETS:
        assert preset(name, **{field: getattr(PRESETS[name], field) for field in NUMBERS}) == PRESETS[name]


@pytest.mark.parametrize("field", NUMBERS)
def test_a_number_out_of_range_is_refused_with_its_name_its_value_and_the_range(field):
    least, most = RANGES[field]
    kind = number_of(field)
    many = isinstance(getattr(PRESETS["paper"], field), tuple)
    values = ["nan", math.nan, "inf", math.inf, -math.inf, "1e400", -1e30, least - 1, str(least - 1)]
    values += [0] if least > 0 else []
    values += [most + 1, 1e30]
    values += [least + 0.5] if kind is int else []
    for value in values:
        given = [value] if many and not isinstance(value, str) else value
        with pytest.raises(ValueError, match=re.escape(f"{field}={value!r}: expected a ")) as error:
            preset("paper", **{field: given})
        assert f"{least:,}" in str(error.value) and f"{most:,}" in str(error.value)


@pytest.mark.parametrize(
    "overrides, words",
    [
        ({"dt_min": 0.2}, "dt_min=0.2 is above dt_max=0.1"),
        ({"widths": "8,16"}, r"widths=\(8, 16\) and blocks=\(2, 2, 2, 2\)"),
        ({"widths": [], "blocks": []}, r"widths=\(\)"),
        ({"noise_snr_db": "30,3"}, r"noise_snr_db=\(30.0, 3.0\): expected two numbers, the lower one first"),
        ({"noise_snr_db": "3"}, "expected two numbers"),
        ({"d_state": 5}, "d_state=5 is odd"),
        ({"n_samples": 512}, "n_samples=512 with n_fft=1024"),
        ({"views": "spectrogram"}, "views=spectrogram with features=stack"),
        ({"hop_length": 32_768}, "hop_length=32768 with n_samples=30225: a crop would have one frame"),
        ({"test_views": 2}, "test_views=2 with features=stack: a phase has no neighbour in pitch"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(overrides, words):
    with pytest.raises(ValueError, match=words):
        preset("paper", **overrides)


def test_an_unknown_preset_gets_its_nearest_name():
    with pytest.raises(ValueError, match="did you mean 'quick'"):
        preset("quik")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json(name):
    values = json.loads(json.dumps(PRESETS[name].as_dict()))
    name = values.pop("name")
    tuples = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    assert preset("paper", **values) == Preset(**tuples | {"name": "paper"})
    assert "n_samples" in str(PRESETS[name])


def test_a_preset_of_an_earlier_version_is_named_as_it_is_called_now():
    with pytest.raises(ValueError, match="unknown preset 'quick-best', it is called 'quick' now; there are paper"):
        preset("quick-best")


def test_differences_name_what_quick_changes():
    differences = PRESETS["quick"].differences()
    assert differences["standardise"] == ("none", "scale")
    assert "sample_rate" not in differences and "name" not in differences


def test_an_earlier_record_is_read_in_today_s_words_and_what_counted_padding_is_like_nothing_of_today():
    assert in_todays_words({"standardise": False, "prenorm": False}) == {"standardise": "none", "prenorm": False}
    assert in_todays_words(PRESETS["quick"].as_dict()) == PRESETS["quick"].as_dict()
    assert in_todays_words({"name": "quick-best", "n_mels": 32}) == {"name": "quick", "n_mels": 32}
    assert in_todays_words({"preset": "quick-best"})["preset"] == "quick"
    (before,) = in_todays_words({"standardise": True}).values()
    with pytest.raises(ValueError):
        preset("quick", standardise=before)
