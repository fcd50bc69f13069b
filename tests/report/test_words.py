"""The words of a report follow from its numbers."""

import math

import pytest

from acssm_lib.names import METHOD_NAMES
from acssm_lib.report import beside_paper, blocks, claims, markdown, words

FAR_APART = {"mel-stats": 0.60, "supervised": 0.45, "acoustic-ssm1": 0.75}


def written(runs):
    return words.page(blocks.blocks(runs, []), [])


def test_every_claim_is_about_known_methods():
    for method, baseline in claims.CLAIMS:
        assert {method, baseline.partition(", ")[0]} <= set(METHOD_NAMES)


def test_words_follow_the_interval():
    pair = "acoustic-ssm1", "supervised"
    assert claims.conclusion(*pair, 0.01, 0.2) == "pre-training helps (acoustic-ssm1)"
    assert claims.conclusion(*pair, -0.2, -0.01) == "pre-training hurts (acoustic-ssm1)"
    assert claims.conclusion(*pair, -0.1, 0.1) == "not shown that pre-training helps (acoustic-ssm1)"
    assert claims.conclusion("a", "b", math.nan, math.nan) == "no conclusion"
    assert claims.conclusion("a", "b", 0.1, 0.2) == "a beats b"


def test_numbers_as_percent():
    assert claims.interval(0.712, 0.65, 0.774) == "71.2 [65.0, 77.4]"
    assert claims.interval(-0.05, math.nan, math.nan, "+") == "−5.0" and claims.interval(*[math.nan] * 3) == "–"
    assert markdown.plus_minus(-0.0001, 0.02, "+") == "+0.0 ± 2.0"
    assert markdown.plus_minus(0.78, math.nan) == "78.0"


def test_the_opening_turns_with_the_numbers(synthetic_records):
    methods = tuple(FAR_APART)
    text = written(synthetic_records(("G1", "G2", "G3"), methods, (0, 1), FAR_APART))
    holds = next(line for line in text.splitlines() if line.startswith("- **Holds on these groups, fine-tuned and"))
    assert "pre-training helps (acoustic-ssm1): +" in holds and "mel statistics beat supervised: −" in holds
    turned = written(synthetic_records(("G1", "G2", "G3"), methods, (0, 1), FAR_APART | {"acoustic-ssm1": 0.3}))
    assert "pre-training hurts (acoustic-ssm1): −" in turned and "acoustic-ssm1 has the highest" not in turned
    level = written(synthetic_records(("G1", "G2", "G3"), methods, (0, 1), dict.fromkeys(methods, 0.5)))
    assert "Not shown either way, fine-tuned and frozen.** pre-training helps (acoustic-ssm1)" in level


def test_a_clear_leader_and_a_method_at_chance_are_named(synthetic_records):
    text = written(synthetic_records(("G1", "G2", "G3"), tuple(FAR_APART), (0, 1), FAR_APART | {"supervised": 0.18}))
    assert "Fine-tuned: acoustic-ssm1 has the highest accuracy" in text and "it is ahead of all others" in text
    assert "Fine-tuned: not shown to be above chance: supervised (" in text


def test_weak_findings_are_marked(synthetic_records):
    block = blocks.blocks(synthetic_records(("E1", "E2"), tuple(FAR_APART), (0, 1, 2), FAR_APART))[0]
    row = block.overall.iloc[0].copy()
    row[["difference", "low", "high", "half", "holm_p", "groups_half", "unshared", "unshared_half"]] = (
        0.02,
        0.001,
        0.039,
        0.019,
        0.3,
        0.2,
        0.01,
        0.02,
    )
    text = words._verdict(row, block.differences)
    assert "but does not survive Holm's correction" in text and "not shown for other groups (± 20.0" in text
    assert "not shown for queries of unshared recordings" in text


def test_one_group_and_one_seed_is_judged_over_its_draws(synthetic_records):
    text = written(synthetic_records(("G1",), tuple(FAR_APART), (0,), FAR_APART))
    assert "Fewer than three cells of group and pre-training seed: no interval over them" in text
    assert "over the support draws of single trained encoders, G1: pre-training helps (acoustic-ssm1) (+" in text
    assert "1 group: too few to speak of other classes" in text


def test_what_was_not_measured_is_said(synthetic_records):
    text = written(synthetic_records(("G1", "G2"), ("supervised", "acoustic-ssm1")))
    assert "Not run: mel-stats, lag-covariance, adapted-cnn, matched-cnn, kernel-zeroed, mt-slvr, acoustic-ssm2" in text
    assert (
        "Not run, as they need weights that are downloaded or come with an extra: byol-a, byol-a-adapted, mn04, "
        "mn04-adapted, tera, mockingjay, wav2vec2, hubert, birdnet, wakeword, resemblyzer."
    ) in text
    assert "Protocol not run: inductive-clip, inductive-recording." in text
    assert "Labelled clips per episode: 25 for training, 0 for choosing anything." in text
    assert "Query clips were in the pre-training pool, without labels, for acoustic-ssm1." in text
    assert "One pre-training seed" in text and "8.6 % of the queries" in text


def test_ours_stand_beside_the_paper_only_where_the_groups_are_its_own(synthetic_records):
    groups = tuple(f"G{number}" for number in range(1, 11))
    level = {"acoustic-ssm1": 0.76, "hubert": 0.3}
    lines = beside_paper.paper_comparison(
        blocks.blocks(synthetic_records(groups, ("acoustic-ssm1", "hubert"), (0, 1), level))[0]
    )
    gaps = {line.split("|")[2].strip(): line for line in lines if "ours" in line and line.startswith("|")}
    assert "consistent" in gaps["ours − paper"] or "apart" in gaps["ours − paper"]
    assert any(line.startswith("| AcousticSSM1 | paper | 86.7 [80.3, 91.2] |") for line in lines)
    assert "ours, frozen, logistic regression" in gaps  # only an embedder was published frozen
    assert any("10 labelled clips per class, not 5" in line for line in lines)
    assert any(line == "- Not run here: AcousticSSM2, MT-SLVR, Adapted CNN." for line in lines)
    for changes, reason in (
        ({"groups": ("E1", "E2")}, "other groups"),
        ({"preset": "quick"}, "preset quick"),
        ({"protocol": "inductive-clip"}, "kept from the pre-training"),
        ({"dataset": "folder"}, "other groups"),
    ):
        only = beside_paper.paper_comparison(
            blocks.blocks(
                synthetic_records(**{"groups": ("G1",), "methods": ("acoustic-ssm1",), "n_frozen": 2} | changes)
            )[0]
        )
        assert len(only) == 1 and "not comparable" in only[0] and reason in only[0]


def test_consistent_means_that_the_intervals_overlap():
    assert beside_paper._gap((0.70, 0.65, 0.75), (0.78, (0.74, 0.82))) == "−8.0, consistent"
    assert beside_paper._gap((0.70, 0.69, 0.71), (0.78, (0.74, 0.82))) == "−8.0, apart"
    assert beside_paper._gap((0.70, math.nan, math.nan), (0.78, (0.74, 0.82))) == "−8.0, no interval"


def test_protocols_side_by_side_warn_of_unequal_pools(synthetic_records):
    runs = synthetic_records(("G1",)) + synthetic_records(("G1",), protocol="inductive-clip")
    for run in runs:
        if run["protocol"] == "inductive-clip" and run["pretraining"]["steps"]:
            run["pretraining"]["clips"] = 160
    lines = markdown.protocol_tables(blocks.blocks(runs))
    assert lines[2].count("transductive") == 2 and lines[2].count("inductive-clip") == 2
    assert any("transductive 175; inductive-clip 160" in line for line in lines)
    assert markdown.protocol_tables(blocks.blocks(runs[:2])) == []


@pytest.mark.parametrize(
    "readout, name", [("finetuned", "supervised (random encoder, fine-tuned)"), ("logistic", "random encoder, frozen")]
)
def test_the_random_encoder_is_named_for_what_it_is(readout, name):
    assert markdown.row_name("supervised", readout) == name
    assert markdown.row_name("supervised, frames shuffled at test", readout) == f"{name}, frames shuffled at test"
