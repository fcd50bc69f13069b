"""``acssm survey look | index | predict | share | demo`` and ``acssm predict``: from a card to detections and back."""

from pathlib import Path

from acssm_lib.cli.arguments import (
    BadArguments,
    Parser,
    add_command,
    check_device,
    device_name,
    name_list,
    one_of,
    positive,
    seed_number,
)
from acssm_lib.cli.survey_people import add_listening, add_table
from acssm_lib.names import METHOD_NAMES
from acssm_lib.text import quoted

_FORMATS = ("raven", "audacity", "kaleidoscope", "csv")


def add_survey(commands):
    survey = commands.add_parser("survey", help="from a recorder's card to a table of species", allow_abbrev=False)
    steps = survey.add_subparsers(title="steps, in their order", required=True, metavar="STEP", parser_class=Parser)
    demo = add_command(steps, "demo", _demo, "write a small SYNTHETIC card with planted calls and their truth")
    demo.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="the survey to make")
    demo.add_argument("--seed", type=seed_number, default=0, metavar="N", help="of everything (default: 0)")

    look = add_command(
        steps,
        "look",
        _look,
        "what is on a card, and every fault of it, worst first",
        "Every recording is decoded, none is changed. Exit status 1 only if none can be used.",
    )
    look.add_argument("card", type=Path, metavar="CARD", help="folder of recordings, or of a survey")
    look.add_argument(
        "--picture", type=Path, metavar="PNG", help="hours by site and night (default: look.png in the survey, or here)"
    )

    index = add_command(
        steps,
        "index",
        _index,
        "pre-train on windows of the card itself, then embed every window",
        "Files that cannot be read are listed and passed over; the same command goes on after a stop.",
    )
    index.add_argument("survey", type=Path, metavar="SURVEY")
    index.add_argument("--recordings", type=Path, metavar="CARD", help="of a new survey, where they lie elsewhere")
    index.add_argument(
        "--encoder",
        type=one_of("encoder", METHOD_NAMES),
        metavar="NAME",
        help="any method of acssm reproduce, as mel-stats or mn04 (default: acoustic-ssm1)",
    )
    index.add_argument("--preset", metavar="NAME", help="of the encoder and its pre-training (default: quick)")
    index.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="FIELD=VALUE",
        help="settings of a new survey, as in window_s=5 sample_rate=48000 time_zone=+10:00, or fields of the preset",
    )
    index.add_argument(
        "--windows", type=positive, default=None, metavar="N", help="of the pre-training, at most (default: 2000)"
    )
    index.add_argument("--seed", type=seed_number, metavar="N", help="of the pre-training (default: 0)")
    _add_device(index)

    add_listening(steps)

    predict = add_command(steps, "predict", _survey_predict, "detections with times and boxes, and tables of them")
    predict.add_argument("survey", type=Path, metavar="SURVEY")
    predict.add_argument(
        "--recordings",
        type=Path,
        metavar="NEW",
        help="others than those of the survey; the results are in SURVEY/predictions",
    )
    _add_format(predict)
    _add_device(predict)

    add_table(steps)

    share = add_command(steps, "share", _share, "copy the recogniser to one file that needs nothing else")
    share.add_argument("survey", type=Path, metavar="SURVEY")
    share.add_argument("--to", type=Path, required=True, metavar="FILE", help="as in frogs.acssm")


def add_predict(commands):
    predict = add_command(
        commands,
        "predict",
        _predict,
        "what a shared recogniser hears in folders of recordings",
        "The same command goes on after a stop.",
    )
    predict.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    predict.add_argument("--model", type=Path, required=True, metavar="FILE", help="as in frogs.acssm")
    predict.add_argument("--out", type=Path, metavar="DIR", help="of the results (default: detections-FOLDER here)")
    predict.add_argument("--time-zone", metavar="ZONE", help='of the recorders\' clocks, as in "+10:00"')
    _add_format(predict)
    _add_device(predict)


def _add_device(command):
    command.add_argument(
        "--device", type=device_name, default="auto", metavar="NAME", help="cpu, cuda, mps (default: auto)"
    )


def _add_format(command):
    command.add_argument(
        "--format",
        type=_formats,
        default=("raven",),
        metavar="A,B",
        help=f"tables: {', '.join(_FORMATS)} (default: raven)",
    )


def _formats(text):
    return [one_of("format", _FORMATS)(word) for word in name_list(text)]


def _pair(text):
    key, equals, value = text.partition("=")
    if not equals:
        raise BadArguments(f"--set {text!r}: expected FIELD=VALUE")
    return key, value


def _demo(args):
    from acssm_lib.recordings.demo_card import write_demo_card

    survey = write_demo_card(args.to, args.seed)
    print(
        f"{survey.folder}: a survey with a SYNTHETIC card; what is planted in it stands in truth.csv\n"
        f"next: acssm survey look {quoted(survey.folder)}"
    )
    return 0


def _look(args):
    from acssm_lib.recordings import look
    from acssm_lib.recordings.folder import Survey, SurveySettings

    survey = Survey.open(args.card) if (args.card / "survey.toml").is_file() else None
    place, settings = (survey.recordings, survey.settings) if survey else (args.card, SurveySettings())
    found = look.look(place, settings, _tell)
    print(look.as_text(found))
    if not found.files:
        return 1
    place = args.picture or (args.card if survey else Path()) / "look.png"
    try:
        print(look.draw(found, place))
    except OSError as error:  # a card that is locked, a folder of others: what was found has been said
        print(f"warning  no picture: {place}: {error.strerror}; --picture names another place")
    print(
        f"next: acssm survey index {quoted(args.card)}"
        if survey
        else f"next: acssm survey index NEW --recordings {quoted(args.card)}"
    )
    return 0


def _index(args):
    from acssm_lib.recordings.folder import Survey
    from acssm_lib.recordings.indexing import index_survey

    check_device(args.device)
    if args.recordings is not None and not (args.survey / "survey.toml").is_file():
        Survey.create(args.survey, args.recordings)
    survey = Survey.open(args.survey)
    ours, overrides = survey.settings.parted(map(_pair, args.set))
    survey.change(**ours)
    _tell(f"{survey.folder / 'survey.toml'}: {survey.settings.in_words()}; the index is made for these")
    if args.recordings is not None and args.recordings.resolve() != survey.recordings.resolve():
        raise BadArguments(
            f"--recordings {args.recordings}: {args.survey / 'survey.toml'} names "
            f"{survey.recordings}; edit that line, or leave the option out"
        )
    index = index_survey(
        survey,
        args.encoder,
        args.preset,
        overrides,
        n_pool=args.windows,
        seed=args.seed,
        device=args.device,
        tell=_tell,
    )
    hours = sum(file.duration_s for file in index.files) / 3600
    print(
        f"{survey.index_folder}: {len(index):,} windows of {len(index.files):,} recordings, {hours:.2f} h"
        + (
            f"; {len(index.skipped):,} files skipped, see {survey.index_folder / 'skipped.csv'}"
            if index.skipped
            else ""
        )
    )
    names = "" if survey.settings.classes else ' --classes "frog a,frog b"'
    print(f"next: acssm survey label {quoted(args.survey)}{names}")
    return 0


def _survey_predict(args):
    from acssm_lib.recordings import predict
    from acssm_lib.recordings.folder import Survey

    check_device(args.device)
    survey = Survey.open(args.survey)
    if args.recordings is None:
        predict.predict_survey(survey, args.format, args.device, _tell)
        print(survey.detections_csv)
        return 0
    out = survey.folder / "predictions" / args.recordings.resolve().name
    predict.predict_folder(
        survey.recogniser, args.recordings, out, args.format, survey.settings.time_zone, args.device, _tell
    )
    print(out / "detections.csv")
    return 0


def _share(args):
    from acssm_lib.files import write_atomically
    from acssm_lib.recordings.folder import Survey
    from acssm_lib.recordings.share import read_recogniser

    survey = Survey.open(args.survey)
    made = read_recogniser(survey.recogniser)
    if args.to.is_dir():
        raise BadArguments(f"--to {args.to}: a folder; expected a file, as in {args.to / 'frogs.acssm'}")
    write_atomically(args.to, lambda part: part.write_bytes(survey.recogniser.read_bytes()))
    print(
        f"{args.to}: {', '.join(made.heads.classes)}; {args.to.stat().st_size / 1e6:.1f} MB. "
        f"acssm predict --model {quoted(args.to)} FOLDER uses it"
    )
    return 0


def _predict(args):
    from acssm_lib.recordings.clock import time_zone_of
    from acssm_lib.recordings.predict import predict_folder

    check_device(args.device)
    time_zone_of(args.time_zone)
    if args.out is not None and len(args.folders) > 1:
        raise BadArguments(f"--out {args.out}: one folder of recordings at a time, and {len(args.folders)} are given")
    places = [args.out or Path(f"detections-{folder.resolve().name}") for folder in args.folders]
    if len(set(places)) < len(places):
        twice = next(place for place in places if places.count(place) > 1)
        raise BadArguments(
            f"folders of one name: the results of several would be in {twice}; one at a time, with --out"
        )
    for folder, out in zip(args.folders, places):
        predict_folder(args.model, folder, out, args.format, args.time_zone, args.device, _tell)
        print(out / "detections.csv")
    return 0


def _tell(line):
    print(line, flush=True)
