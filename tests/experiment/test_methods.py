"""A method, an embedder or a readout is named in ``names`` and made elsewhere: a place that lacks it is named here."""

import dataclasses

import pytest

from acssm_lib.baselines.mt_slvr import MTSLVRObjective
from acssm_lib.baselines.weights import WEIGHTS
from acssm_lib.experiment.measure import HEARING
from acssm_lib.experiment.methods import METHODS, objective_of
from acssm_lib.names import EMBEDDER_NAMES, METHOD_NAMES, READOUTS
from acssm_lib.presets import PRESETS
from acssm_lib.pretraining.augmented_views import AugmentedViews, NoisyViews
from acssm_lib.pretraining.contrastive import SegmentPairs
from acssm_lib.pretraining.spectrogram_views import SegmentViews, SpectrogramViews


def lacking(names, place):
    """The sentence that a test fails with: what stands in no row of ``place``."""
    return [f"{place} lacks {name}" for name in names]


def test_every_method_has_its_colour_and_its_parts():
    assert not lacking(set(METHODS) - set(METHOD_NAMES), "METHOD_COLOURS of acssm_lib/names.py")
    assert not lacking(set(METHOD_NAMES) - set(METHODS), "METHODS of acssm_lib/experiment/methods.py")
    assert tuple(METHODS) == METHOD_NAMES, "the same order in both"


def test_every_embedder_has_weights_to_download():
    files = {weights.method for weights in WEIGHTS.values()}
    plain = {name.removesuffix("-adapted") for name in EMBEDDER_NAMES}
    assert not lacking(plain - files, "WEIGHTS of acssm_lib/baselines/weights.py")
    assert not lacking(files - plain, "_EMBEDDERS of acssm_lib/names.py")


@pytest.mark.parametrize("views", ["segments", "spectrogram"])
def test_with_other_views_every_method_keeps_its_idea_and_none_is_left_with_a_bilinear_pair(views):
    config = dataclasses.replace(PRESETS["best"], views=views)
    found = {name: objective_of(name, config) for name, method in METHODS.items() if method.pretrained}
    same = SegmentViews if views == "segments" else SpectrogramViews
    assert {found[name] for name in ("acoustic-ssm1", "adapted-cnn", "matched-cnn", "kernel-zeroed")} == {same}
    assert (found["acoustic-ssm2"], found["acoustic-ssm2-noise"]) == (AugmentedViews, NoisyViews)
    assert found["mt-slvr"] is MTSLVRObjective and found["mn04-adapted"] is SegmentViews
    assert not [name for name, objective in found.items() if issubclass(objective, SegmentPairs)]
    for name, method in METHODS.items():
        assert not method.pretrained or objective_of(name, PRESETS["paper"]) is method.objective


def test_every_readout_has_its_title_and_its_class():
    assert not lacking(set(HEARING) - set(READOUTS), "READOUTS of acssm_lib/names.py")
    known = {"finetuned", "logistic", *HEARING}  # the first two need more than embeddings, and stand in ``measure``
    assert not lacking(set(READOUTS) - known, "HEARING of acssm_lib/experiment/measure.py")
