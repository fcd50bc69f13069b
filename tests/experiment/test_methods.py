"""A method, an embedder or a readout is named in ``names`` and made elsewhere: a place that lacks it is named here."""

from acssm_lib.baselines.weights import WEIGHTS
from acssm_lib.experiment.measure import HEARING
from acssm_lib.experiment.methods import METHODS
from acssm_lib.names import EMBEDDER_NAMES, METHOD_NAMES, OWN_PAIRS, READOUTS
from acssm_lib.pretraining.contrastive import SegmentPairs
from acssm_lib.pretraining.spectrogram_views import SegmentViews


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


def test_every_method_whose_views_no_setting_replaces_is_known():
    """``views`` stands in for ``SegmentPairs`` alone; whoever brings pairs is left out of a preset with other views."""
    replaced = SegmentPairs, SegmentViews, None
    own = {name for name, method in METHODS.items() if method.objective not in replaced}
    assert not lacking(own - set(OWN_PAIRS), "OWN_PAIRS of acssm_lib/names.py")
    assert set(OWN_PAIRS) <= own


def test_every_readout_has_its_title_and_its_class():
    assert not lacking(set(HEARING) - set(READOUTS), "READOUTS of acssm_lib/names.py")
    known = {"finetuned", "logistic", *HEARING}  # the first two need more than embeddings, and stand in ``measure``
    assert not lacking(set(READOUTS) - known, "HEARING of acssm_lib/experiment/measure.py")
