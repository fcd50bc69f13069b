"""``acssm survey label | train | review | table``: the steps in which somebody listens, and what follows from it."""

import unicodedata
from pathlib import Path

from acssm_lib.cli.arguments import (
    BadArguments,
    add_command,
    check_device,
    device_name,
    name_list,
    positive,
    require,
    seed_number,
)
from acssm_lib.text import many, quoted

_BY = ("site", "night")


def add_listening(steps):
    """Label, train and review, below ``acssm survey``."""
    label = add_command(
        steps,
        "label",
        _label,
        "listen to windows and say what is in them, in a page of the browser",
        "Every answer is in labels.csv before the next question; Ctrl-C ends it, the same command "
        "goes on. Needs the extra lab.",
    )
    label.add_argument("survey", type=Path, metavar="SURVEY")
    label.add_argument("--classes", metavar="A,B", help="what is listened for; goes into survey.toml")
    label.add_argument(
        "--example",
        action="append",
        default=[],
        metavar="CLASS=FILE@START-END",
        help="a call that you know, in s of a recording of the survey, or a clip from elsewhere, of "
        "which @START-END may be left out; may be repeated",
    )
    label.add_argument(
        "--marks",
        action="append",
        default=[],
        type=Path,
        metavar="TXT",
        help="a Raven or Audacity table that is called as its recording; may be repeated",
    )
    label.add_argument("--order", choices=("similar", "margin", "spread", "random"), help="of the questions")
    _add_page(label)

    train = add_command(steps, "train", _train, "one head per class from all answers, judged across sites and nights")
    train.add_argument("survey", type=Path, metavar="SURVEY")
    train.add_argument(
        "--finetune",
        action="store_true",
        help="train the encoder on the answers too, and embed every window anew; it may take as long as the index",
    )
    train.add_argument(
        "--device", type=device_name, default="auto", metavar="NAME", help="cpu, cuda, mps (default: auto)"
    )

    review = add_command(
        steps,
        "review",
        _review,
        "listen to a blind draw, and learn what a score is worth",
        "Prints precision by threshold and the number of windows with the call, each with a 95 %% "
        "interval, and sets the threshold.",
    )
    review.add_argument("survey", type=Path, metavar="SURVEY")
    review.add_argument("--class", dest="label", type=_one_spelling, required=True, metavar="NAME")
    review.add_argument("--n", type=positive, default=60, metavar="N", help="windows to listen to (default: 60)")
    review.add_argument(
        "--precise",
        type=float,
        default=0.9,
        metavar="SHARE",
        help="precision that the threshold is to have (default: 0.9)",
    )
    _add_page(review)


def add_table(steps):
    """The table, below ``acssm survey``."""
    table = add_command(steps, "table", _table, "species.csv and report.html: detections, hours, windows with the call")
    table.add_argument("survey", type=Path, metavar="SURVEY")
    table.add_argument("--by", type=_by, default=list(_BY), metavar="A,B", help="site, night or both (default: both)")


def _add_page(command):
    command.add_argument("--by", metavar="NAME", help="who listens (default: the user)")
    command.add_argument(
        "--port", type=int, default=8866, metavar="N", help="of the page, or the next free one (default: 8866)"
    )
    command.add_argument("--no-browser", action="store_true", help="print the address, open nothing")
    command.add_argument("--seed", type=seed_number, default=0, metavar="N", help="of draws (default: 0)")


def _one_spelling(text):
    return unicodedata.normalize("NFC", text)


def _by(text):
    words = name_list(text)
    for word in words:
        require("part", word, _BY)
    return words


def _label(args):
    from acssm_lib.recordings import marks, serve
    from acssm_lib.recordings.folder import Survey
    from acssm_lib.recordings.labels import Labels

    survey = Survey.open(args.survey)
    if args.classes:
        _name_classes(survey, tuple(word.strip() for word in args.classes.split(",") if word.strip()))
    for text in args.example:
        print(f"example  {marks.add_example(survey, text, args.by)}")
    for path in args.marks:
        taken, others = marks.add_table(survey, path, args.by)
        print(
            f"{path}: {many(taken, 'mark')} taken as examples"
            + "".join(
                f"; {many(count, 'mark')} called {name or 'nothing'} left out, which is no class"
                for name, count in others.items()
            )
        )
    _warn_of_no_class(survey)
    serve.open_page(survey, args.port, not args.no_browser, by=args.by, order=args.order, seed=args.seed)
    print(
        f"{many(len(Labels(survey.labels_csv)), 'answer')} in {survey.labels_csv}\nnext: acssm survey train "
        f"{quoted(args.survey)}"
    )
    return 0


def _warn_of_no_class(survey):
    from acssm_lib.recordings.labels import Labels, of_no_class

    for name, count in of_no_class(Labels(survey.labels_csv).rows(), survey.settings.classes).items():
        print(
            f"warning  {survey.labels_csv}: {many(count, 'answer')} about {name!r}, which is no class of "
            f"{survey.folder / 'survey.toml'}, left out. If the class has another name now, write that into the "
            "column class too"
        )


def _name_classes(survey, names):
    """Other classes may come at any time; one that somebody has answered stays."""
    from acssm_lib.recordings.labels import Labels

    answered = {row.label for row in Labels(survey.labels_csv).rows()}
    lost = [name for name in survey.settings.classes if name in answered and name not in names]
    if lost:
        raise BadArguments(
            f"--classes {','.join(names)}: {survey.labels_csv} has answers for {', '.join(lost)}; name "
            "all classes, or edit the line classes in survey.toml"
        )
    survey.change(classes=names)


def _train(args):
    from acssm_lib.recordings import heads, tuning
    from acssm_lib.recordings.folder import Survey
    from acssm_lib.recordings.thresholds import keep, kept

    check_device(args.device)
    survey = Survey.open(args.survey)
    if args.finetune:
        made = tuning.finetune(survey, args.device, lambda line: print(line, flush=True))
    else:
        made = heads.train(survey, tuning.frozen_index(survey))
    kept(made, survey)
    _warn_of_no_class(survey)
    print("\n".join(heads.in_words(made)))
    print(
        f"{keep(made, survey)}\nnext: acssm survey predict {quoted(args.survey)}, or acssm survey review "
        f"{quoted(args.survey)} --class NAME"
    )
    return 0


def _review(args):
    from acssm_lib.recordings import serve, thresholds
    from acssm_lib.recordings.folder import Survey
    from acssm_lib.recordings.index import Index
    from acssm_lib.recordings.listening import ListeningState

    if not 0 < args.precise < 1:
        raise BadArguments(f"--precise {args.precise}: expected a share between 0 and 1, as in 0.9")
    survey = Survey.open(args.survey)
    index = Index.open(survey)
    left = len(ListeningState(survey, index, args.by, review_of=args.label, n=args.n, seed=args.seed).queue)
    if left:
        print(f"{left} windows to listen to; close the page with Ctrl-C for the result")
        serve.open_page(
            survey, args.port, not args.no_browser, by=args.by, review_of=args.label, n=args.n, seed=args.seed
        )
    print("\n".join(thresholds.settle(survey, index, args.label, args.precise)))
    return 0


def _table(args):
    from acssm_lib.recordings import share, species
    from acssm_lib.recordings.folder import Survey
    from acssm_lib.recordings.index import Index

    survey = Survey.open(args.survey)
    cells, notes = species.write_table_and_report(
        survey, Index.open(survey), share.read_recogniser(survey.recogniser).heads, args.by
    )
    print(species.as_text(cells))
    print("\n".join(notes))
    print(f"{survey.species_csv}\n{survey.folder / 'report.html'}")
    return 0
