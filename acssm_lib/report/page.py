"""The page of ``acssm demo``: what was found, one file that opens in a browser without a network.

Sentences, table, sounds and figures are all drawn from the records; nothing is decided here but the words.
"""

import base64
import io

from acssm_lib.course.listen import mp3
from acssm_lib.files import write_text
from acssm_lib.names import SHUFFLED, STATISTICS
from acssm_lib.report.claims import interval
from acssm_lib.report.readings import method_rank
from acssm_lib.text import in_html

READOUTS = {"finetuned": "fine-tuned", "logistic": "frozen"}
CLAIMS = {  # what the demo is about -> the differences that have to exclude zero
    "Pre-training on clips without labels helps": [("acoustic-ssm1", "supervised")],
    "The state-space layers help": [("acoustic-ssm1", "adapted-cnn")],
    "The network beats statistics of the same spectrogram": [
        ("acoustic-ssm1", "mel-stats"),
        ("acoustic-ssm1", "lag-covariance"),
    ],
}
_STYLE = """body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
h1{font-size:1.6rem}h2{font-size:1.2rem;margin-top:2rem}table{border-collapse:collapse}
td,th{padding:.3rem .9rem;border-bottom:1px solid #ddd;text-align:right}td:first-child,th:first-child{text-align:left}
.clips{display:flex;flex-wrap:wrap;gap:1rem}figure{margin:0}figure img,audio{display:block;max-width:100%}
audio{width:250px;height:36px}img{max-width:100%}.shown{color:#00603f}.not{color:#9a3412}"""


def verdicts(differences):
    """One sentence per claim, with the paired differences that it rests on.

    Args:
        differences: ``paired_differences`` of one group.
    Returns:
        list of (sentence, shown). ``shown`` is whether every interval of the claim lies above zero; a difference that
        was not measured shows nothing.
    """
    found = {(row.method, row.baseline, row.readout): row for row in differences.itertuples()}
    sentences = []
    for claim, pairs in CLAIMS.items():
        rows = [
            (f"over {baseline} {word}", found.get((method, baseline, readout)))
            for method, baseline in pairs
            for readout, word in READOUTS.items()
        ]
        shown = all(row is not None and row.low > 0 for _, row in rows)
        points = "; ".join(
            f"{interval(row.difference, row.low, row.high, '+')} points {what}"
            if row is not None
            else f"not measured {what}"
            for what, row in rows
        )
        sentences.append((f"{claim}: {'shown' if shown else 'not shown'} ({points}).", shown))
    return sentences


def accuracies(tables):
    """Rows of (method, cell, cell): percent right with half a 95 % interval, fine-tuned and frozen.

    Args:
        tables: readout -> ``comparison_table`` of one group.
    """
    cells = {
        (row.method, readout): f"{100 * row.accuracy:.1f} ± {100 * row.accuracy_half:.1f}"
        for readout, table in tables.items()
        for row in table.itertuples()
    }
    methods = sorted({method for method, _ in cells}, key=method_rank)
    cells |= {(method, "finetuned"): "–" for method in methods if method.removesuffix(SHUFFLED) in STATISTICS}
    return [(method, *(cells.get((method, readout), "–") for readout in READOUTS)) for method in methods]


def write_page(path, title, intro, sentences, rows, clips, figures):
    """The page, written through a temporary name.

    Args:
        path: of the HTML file.
        title, intro: plain text; ``intro`` is a list of paragraphs.
        sentences: from ``verdicts``; rows: from ``accuracies``.
        clips: (name, waveform (samples,), sample rate in Hz, bytes of a PNG) each.
        figures: (caption, bytes of a PNG) each.
    Returns:
        path.
    """
    players = "".join(
        f"<figure><figcaption>{in_html(name)}</figcaption>{_image(picture, f'Spectrogram of {name}')}"
        f'<audio controls preload="metadata" aria-label="{in_html(name)}" '
        f'src="data:audio/mpeg;base64,{_text(mp3(waveform, rate))}"></audio></figure>'
        for name, waveform, rate, picture in clips
    )
    body = [
        f"<h1>{in_html(title)}</h1>",
        *(f"<p>{in_html(paragraph)}</p>" for paragraph in intro),
        "<h2>What it shows</h2><ol>",
        *(f'<li class="{"shown" if shown else "not"}">{in_html(text)}</li>' for text, shown in sentences),
        "</ol>",
        "<h2>Percent of clips named right</h2><table><tr><th>method</th>",
        *(f"<th>{word}</th>" for word in READOUTS.values()),
        "</tr>",
        *("<tr>" + "".join(f"<td>{in_html(cell)}</td>" for cell in row) + "</tr>" for row in rows),
        f'</table><h2>Listen</h2><div class="clips">{players}</div>',
        *(f"<h2>{in_html(caption)}</h2>{_image(picture, caption)}" for caption, picture in figures),
    ]
    return write_text(
        path,
        "\n".join(
            [
                '<!doctype html><html lang="en"><head><meta charset="utf-8"><link rel="icon" href="data:,">'
                f'<meta name="viewport" content="width=device-width"><title>{in_html(title)}</title>'
                f"<style>{_STYLE}</style></head><body>",
                *body,
                "</body></html>\n",
            ]
        ),
    )


def png(figure):
    """A matplotlib figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=figure.dpi, facecolor="white")
    return buffer.getvalue()


def _image(data, text):
    return f'<img alt="{in_html(text)}" src="data:image/png;base64,{_text(data)}">'


def _text(data):
    return base64.b64encode(data).decode()
