import json

import pytest

from acssm_lib.presets import PRESETS, Preset, in_todays_words, preset


def test_paper_is_the_published_setting():
    paper = preset("paper")
    assert (paper.sample_rate, paper.n_samples, paper.n_fft, paper.hop_length, paper.n_mels) == (
        20_000, 30_225, 1024, 512, 128)
    assert (paper.widths, paper.blocks, paper.n_layers, paper.d_state) == ((64, 128, 256, 512), (2, 2, 2, 2), 6, 64)
    assert (paper.pretrain_epochs, paper.pretrain_batch, paper.pretrain_lr, paper.temperature) == (500, 64, 1e-4, 0.2)
    assert (paper.n_shot, paper.finetune_epochs, paper.finetune_lr, paper.finetune_batch) == (5, 50, 0.006, 4)
    assert (paper.precision, PRESETS["quick"].precision) == ("auto", "float32")
    assert (paper.floor_db, paper.standardise, paper.pool, paper.test_crops) == (None, "none", "unlabelled", 1)


def test_text_from_the_command_line_becomes_the_field_s_type():
    changed = preset("quick", n_layers="4", widths="8,16", blocks="1,1", pretrain_lr="1e-3", standardise="none",
                     floor_db="none", finetune_encoder_lr="0.01")
    assert (changed.n_layers, changed.widths, changed.pretrain_lr) == (4, (8, 16), 1e-3)
    assert (changed.standardise, changed.floor_db, changed.finetune_encoder_lr) == ("none", None, 0.01)
    assert preset("quick", widths=[8, 16], blocks=[1, 1]).widths == (8, 16)


@pytest.mark.parametrize("overrides, words", [
    ({"n_layer": 4}, "did you mean 'n_layers'"),
    ({"n_layers": "four"}, "n_layers='four'"),
    ({"n_layers": 2.5}, "n_layers=2.5"),
    ({"n_layers": True}, "n_layers=True"),
    ({"standardise": "yes"}, "standardise='yes': choose one of none, scale, band$"),
    ({"standardise": "true"}, "standardise='true': choose one of none, scale, band; false of earlier versions is none"),
    ({"standardise": False}, "standardise=False: choose one of none, scale, band; false of earlier versions is none"),
    ({"pool": "everything"}, "unlabelled, group, all"),
    ({"n_shot": None}, "n_shot=None"),
    ({"precision": "half"}, "auto, float32, bfloat16"),
])
def test_a_wrong_setting_is_refused_with_its_name(overrides, words):
    with pytest.raises(ValueError, match=words):
        preset("quick", **overrides)


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


def test_differences_name_what_quick_changes():
    differences = PRESETS["quick"].differences()
    assert differences["standardise"] == ("none", "scale")
    assert "sample_rate" not in differences and "name" not in differences


def test_an_earlier_record_is_read_in_today_s_words_and_what_counted_padding_is_like_nothing_of_today():
    assert in_todays_words({"standardise": False, "prenorm": False}) == {"standardise": "none", "prenorm": False}
    assert in_todays_words(PRESETS["quick"].as_dict()) == PRESETS["quick"].as_dict()
    (before,) = in_todays_words({"standardise": True}).values()
    with pytest.raises(ValueError):
        preset("quick", standardise=before)
