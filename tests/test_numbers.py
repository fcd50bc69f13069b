"""What a page says of a number, its stored outputs say too: whoever runs a page again learns which sentence to mend.

Sentences that a reader compares with an output right above them; each once let a number pass by.
"""

import json
import re
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
WORDS = (
    "no one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
).split()
CLASS = r"neighbours of its class (\S+)\n"


def word(number):
    return WORDS[round(number)]


def points(one, other):
    """The distance of two shares, in words."""
    return word(100 * abs(one - other))


# page, where its outputs have the numbers, what its text says of them
CLAIMS = (
    ("00", r"pre-trained encoder  mean (\S+),", "the encoder that has listened without labels about {:.2f}.".format),
    ("00", r"mean (\S+) divided, (\S+) as it is\s*$", lambda divided, plain: f"some {points(divided, plain)} points"),
    ("00", r"pre-trained encoder  mean (\S+),", lambda mean: f"names {word(4 * mean)} of four, with one example"),
    ("02", r"k x k: (\d+) of 60 frames", "{:.0f} with k×k kernels".format),
    (
        "03",
        r"as it learned +(\S+) [^$]*S4D layer forgets +(\S+) ",
        lambda whole, cut: f"can be zeroed, and {points(whole, cut)} point is lost",
    ),
    ("04", r"as good as guessing among (\d+)", "a loss as high as guessing among {:.0f}.".format),
    (
        "04",
        r"LogisticReadout, untrained +(\S+) [^$]*LogisticReadout, pre-trained +(\S+) ",
        lambda before, after: f"the frozen readout on frogs rose from about .{100 * before:.0f} to .{100 * after:.0f}",
    ),
    ("04", r"clean (\S+), marked (\S+)\n", lambda clean, marked: f"came down to {marked} instead of {clean}"),
    (
        "04",
        r"clean (\S+), marked (\S+)\n",
        lambda clean, marked: f"lower: {marked}, as good as guessing among {word(2.718**marked)}, against {clean}",
    ),
    ("04", r"no equaliser +loss, last ten steps: (\S+)", "answered by level and colour: {:.1f} nats".format),
    ("04", r"gain and equaliser - without +(\S+)", lambda gain: f"some {points(gain, 0)} points better"),
    (
        "05",
        r"queries: (\S+) with one crop per clip, (\S+) with 4",
        lambda one, four: f"the queries gain {points(one, four)} points",
    ),
    ("05", r"queries: \S+ with one crop per clip, (\S+) with 4", "Was {:.2f} a good result?".format),
    (
        "05",
        r"mel-stats +1: \S+  2: (\S+) [^$]*pre-trained, frozen, logistic +1: \S+  2: (\S+) ",
        lambda mel, frozen: f"with two it is {points(mel, frozen)} ahead",
    ),
    (
        "05",
        r"mel-stats +1: .*  5: (\S+) [^$]*\npre-trained, frozen, logistic +1: .*  5: (\S+) ",
        lambda mel, frozen: f"with five it is {points(mel, frozen)} behind",
    ),
    (
        "05",
        r"untrained, frozen +(\S+) [^$]*untrained, fine-tuned +(\S+) [^$]*pre-trained, frozen +(\S+) [^$]*"
        r"pre-trained, fine-tuned +(\S+) +one draw",
        lambda before, tuned, after, both: (
            f"from {before:.2f} to {after:.2f} and the fine-tuned one, in a single draw, from {tuned:.2f} to {both:.2f}"
        ),
    ),
    (
        "05",
        r"clusters, all clips +(\S+) over",
        "| pre-trained encoder, frozen, clusters of all clips | {:.2f} |".format,
    ),
    ("05", r"never heard them +\S+ [^$]*difference, paired (\S+) ", lambda gap: f"is {points(gap, 0)} points ahead"),
    (
        "06",
        r"CNN only +mean (\S+) [^$]*full network +mean (\S+) ",
        lambda cnn, full: "two or three points ahead of CNN only" if 0.015 < full - cnn < 0.035 else "mend",
    ),
    (
        "06",
        r"acoustic-ssm1 +labels +\S+ +\S+ +(\S+) .*\nacoustic-ssm1, frames shuffled.* +labels +\S+ +\S+ +(\S+)",
        lambda plain, mixed: f"costs them about {word(plain - mixed)} points",
    ),
    (
        "06",
        r"mel-stats +labels +\S+ +\S+ +(\S+) ±.*\nsupervised +labels +\S+ +\S+ +(\S+) [^$]*"
        r"acoustic-ssm1 +labels +\S+ +\S+ +(\S+) ",
        lambda mel, random, own: (
            f"{word(own - mel)} points above mel statistics and {word(own - random)} above the same network"
        ),
    ),
    (
        "06",
        r"mel-stats +labels +\S+ +\S+ +(\S+) [^$]*acoustic-ssm1 +labels +\S+ +\S+ +(\S+) [^$]*"
        r"acoustic-ssm1 +all clips +\S+ +\S+ +(\S+) ",
        "take you from {:.0f} to {:.0f}, and the clips themselves to {:.0f}".format,
    ),
    (
        "07",
        r"before +(\S+) +\S+\nafter +(\S+) +\S+\nmel-stats +(\S+) ",
        "from about {:.2f} (random weights) to about {:.2f} (pre-trained), with mel statistics at {:.2f}".format,
    ),
    (
        "07",
        r"before +\S+ +(\S+)\nafter +\S+ +(\S+)\n[^$]*chance +\S+ +(\S+)",
        lambda before, after, chance: (
            f"from {word(before / chance)} times chance to {word(after / chance)} times chance"
        ),
    ),
    (
        "07",
        r"precision at 5: (\S+) with the own source, (\S+) without",
        lambda own, others: f"about {points(own, others)} point:",
    ),
    ("07", rf"after +\+0 dB: .*{CLASS}[^$]*after +-6 dB: .*{CLASS}", "fallen from {:.2f} to {:.2f}".format),
    (
        "08",
        r"last ten (\S+)\n",
        lambda loss: f"falls to about {loss}, as good as guessing among {word(2.718**loss)}:",
    ),
    ("08", r"clusters +5 +200  (\S+) ", "{:.2f} where the clusters hear the other asked clips too".format),
    (
        "08",
        r"finetuned +5 +2  (\S+) [^$]*logistic +5 +200  (\S+) ",
        "accuracy lies around {:.2f}, and two draws are too few for an interval worth the name. Frozen, the same "
        "encoder reaches about {:.2f}".format,
    ),
)


@pytest.mark.parametrize(("page", "printed", "said"), CLAIMS, ids=[f"{one[0]}-{i}" for i, one in enumerate(CLAIMS)])
def test_a_sentence_says_the_number_of_the_output_above_it(page, printed, said):
    cells = json.loads(next(NOTEBOOKS.glob(f"{page}_*.ipynb")).read_text(encoding="utf-8"))["cells"]
    texts = ["".join("".join(output.get("text", "")) for output in cell.get("outputs", ())) for cell in cells]
    numbers = next(found for found in (re.search(printed, text) for text in texts) if found).groups()
    sentence = said(*(float(number) for number in numbers))
    prose = " ".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    assert sentence in " ".join(prose.split()), (sentence, numbers)
