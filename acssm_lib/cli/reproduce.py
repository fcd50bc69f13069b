"""``acssm reproduce``: one executed notebook per group, method and seed."""

import contextlib
import signal
import threading
from pathlib import Path

from acssm_lib.cli.arguments import (
    BadArguments,
    add_command,
    check_device,
    device_name,
    name_list,
    one_of,
    positive,
    require,
    seed_list,
    sentence,
)
from acssm_lib.names import DATASETS, DEFAULT_METHODS, EMBEDDER_NAMES, MADE, METHOD_NAMES, PROTOCOLS


def add_reproduce(commands):
    reproduce = add_command(
        commands,
        "reproduce",
        _reproduce,
        "one executed notebook per group, method and seed",
        "A run that has finished is not run again; one that was stopped goes on.",
    )
    reproduce.add_argument(
        "--dataset", required=True, type=one_of("data set", DATASETS), metavar="NAME", help=", ".join(DATASETS)
    )
    reproduce.add_argument("--data", metavar="PATH", help="folder of the data set (all but those that are made)")
    reproduce.add_argument(
        "--groups",
        type=name_list,
        metavar="G1,G2",
        help="groups of classes (default, or all: those that the data set proposes, of ESC-50 the paper's ten)",
    )
    reproduce.add_argument("--methods", type=name_list, metavar="A,B", help=f"(default: {DEFAULT_METHODS})")
    reproduce.add_argument("--seeds", type=seed_list, default="0", metavar="0,1,2", help="(default: 0)")
    reproduce.add_argument(
        "--preset",
        default="quick",
        metavar="NAME",
        help="quick: our recipe for small pools in a minute (default); best: the same in full; "
        "paper: everything as published",
    )
    reproduce.add_argument(
        "--protocol",
        type=one_of("protocol", PROTOCOLS),
        metavar="NAME",
        help=f"what pre-training may hear of the queries: {', '.join(PROTOCOLS)}; the same as --set protocol=NAME",
    )
    reproduce.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="[GROUP:]FIELD=VALUE",
        help="change fields of the preset, as in n_layers=4 widths=16,32; in one group alone, as in G1:n_layers=4",
    )
    reproduce.add_argument("--out", required=True, type=Path, metavar="RUNS", help="folder of the results")
    reproduce.add_argument(
        "--weights",
        action="append",
        default=[],
        metavar="[METHOD=]PATH",
        help="downloaded file of an embedder, where `acssm data weights` did not put it",
    )
    reproduce.add_argument(
        "--jobs", type=positive, metavar="N", help="runs at a time (default: 1); with --cluster: workers to ask for"
    )
    where = reproduce.add_mutually_exclusive_group()
    where.add_argument("--scheduler", metavar="ADDRESS", help="run on the workers of this Dask scheduler")
    where.add_argument(
        "--cluster", type=one_of("cluster", ("slurm",)), metavar="slurm", help="run on Dask workers in Slurm jobs"
    )
    reproduce.add_argument(
        "--cluster-option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the Slurm jobs: cores=8, memory=16GB, queue=gpu, walltime=08:00:00, account=bio",
    )
    reproduce.add_argument(
        "--device",
        type=device_name,
        default="auto",
        metavar="NAME",
        help="that computes: cpu, cuda, cuda:1, mps (default: auto, a GPU where there is one)",
    )
    reproduce.add_argument(
        "--tls",
        type=Path,
        metavar="DIR",
        help="encrypted, for owners of a certificate only: "
        "folder with ca.pem, cert.pem and key.pem, for --scheduler tls://... or --cluster",
    )
    reproduce.add_argument("--notebook", type=Path, metavar="PATH", help="another notebook with the same parameters")


def _reproduce(args):
    assignments = _by_group(_with_protocol(args.set, args.protocol))
    settings = {
        group: _settings(args.preset, assignments[None] + (of_group if group else []))
        for group, of_group in assignments.items()
    }
    _check_paths(args)
    where = _where(args)
    if args.device != "auto" and args.scheduler is None and args.cluster is None:  # else the workers have it
        check_device(args.device)
    methods = args.methods or DEFAULT_METHODS.split(",")
    for method in methods:
        require("method", method, METHOD_NAMES)

    from acssm_lib.batch import runner
    from acssm_lib.batch.runs import RunConflict, plan
    from acssm_lib.data import datasets

    weights = _weights(methods, args.weights)
    dataset = datasets.load(args.dataset, args.data, preset=settings[None][0])
    groups = list(
        dict.fromkeys(
            name for asked in args.groups or ["all"] for name in (dataset.default_groups if asked == "all" else [asked])
        )
    )
    for group in groups:
        require("group", group, dataset.groups)
    for group in set(settings) - {None}:
        require("group in --set", group, groups)
    runs = []
    for group in groups:
        chosen, overrides = settings.get(group, settings[None])
        datasets.require_shots(dataset, group, chosen.n_shot)
        _check_sources(dataset, group, chosen, methods)
        runs += plan(
            args.dataset, [group], methods, args.seeds, args.preset, overrides, args.data, weights, args.device
        )
    everything = any(chosen.pool in ("all", "everything") for chosen, _ in settings.values())
    for left_out in datasets.require_readable(dataset, groups, everything):
        print(f"acssm: {left_out}", flush=True)
    try:
        with terminated_is_ctrl_c():
            failures = runner.reproduce(runs, args.out, notebook=args.notebook, **where)
    except RunConflict as error:
        raise BadArguments(str(error)) from None
    return 1 if failures else 0


def _check_sources(dataset, group, chosen, methods):
    """Whether negatives by source and the first draw can be had, before any run is started."""
    from acssm_lib.fewshot.episodes import sample_episode
    from acssm_lib.files import DataError

    if chosen.negatives != "all":
        from acssm_lib.experiment.methods import METHODS
        from acssm_lib.experiment.shelf import objective_for

        for method in methods:
            if METHODS[method].pretrained:
                objective_for(method, chosen, dataset)
    if chosen.support_sources == "any":
        return
    clips = dataset.clips_of(group)
    try:
        sample_episode(
            dataset.labels[clips],
            len(dataset.groups[group]),
            chosen.n_shot,
            0,
            [dataset.sources[clip] for clip in clips],
            support_sources=chosen.support_sources,
        )
    except DataError as error:
        raise DataError(f"group {group}: {error}; nothing was started") from None


def _with_protocol(assignments, protocol):
    """``--set`` with ``--protocol`` in it."""
    if protocol is None:
        return assignments
    for assignment in assignments:
        field, _, value = assignment.partition("=")
        if field.rpartition(":")[2] == "protocol" and value != protocol:
            raise BadArguments(f"--protocol {protocol} and --set {assignment} contradict each other; leave one out")
    return [*assignments, f"protocol={protocol}"]


def _by_group(assignments):
    """group -> its assignments, None -> those that hold in every group."""
    found = {None: []}
    for assignment in assignments:
        group, colon, _ = assignment.partition("=")[0].rpartition(":")
        found.setdefault(group if colon else None, []).append(assignment.removeprefix(group + colon))
    return found


def _where(args):
    """What `runner.reproduce` has to know about the machines."""
    if args.scheduler is not None and args.jobs is not None:
        raise BadArguments(
            "--jobs counts runs on this machine or workers of --cluster; "
            "with --scheduler each worker takes one run, leave it out"
        )
    if args.tls is not None and args.scheduler is None and args.cluster is None:
        raise BadArguments(f"--tls {args.tls} is for the connections to --scheduler or --cluster, neither was given")
    options = {}
    for option in args.cluster_option:
        name, equals, value = option.partition("=")
        if args.cluster is None or not equals:
            raise BadArguments(
                f"--cluster-option {option}: "
                + (
                    "it describes the jobs of --cluster slurm, which was not given"
                    if args.cluster is None
                    else "expected NAME=VALUE, as in cores=8"
                )
            )
        value = int(value) if value.isdecimal() else value
        known = options.get(name)
        options[name] = value if known is None else [*known, value] if isinstance(known, list) else [known, value]
    return {
        "jobs": args.jobs or 1,
        "scheduler": args.scheduler,
        "cluster": args.cluster,
        "cluster_options": options,
        "tls": args.tls,
    }


def _weights(methods, given):
    """Path of the downloaded file of every embedder asked for: method -> path."""
    embedders = [method for method in methods if method in EMBEDDER_NAMES]
    paths = {}
    for text in given:
        method, equals, path = text.partition("=")
        if not equals or (method not in EMBEDDER_NAMES and Path(text).exists()):  # a path may have = in it
            if len(embedders) != 1:
                raise BadArguments(
                    f"--weights {text}: say which method it is for, as in {EMBEDDER_NAMES[0]}={text}"
                    if embedders
                    else f"--weights {text}: no method asked for takes a file; "
                    f"those that do are {', '.join(EMBEDDER_NAMES)}"
                )
            method, path = embedders[0], text
        require("embedder in --weights", method, EMBEDDER_NAMES)
        if method not in embedders:
            raise BadArguments(f"--weights {text}: {method} is not among --methods")
        if paths.setdefault(method, path) != path:
            raise BadArguments(f"--weights names two files for {method}: {paths[method]} and {path}")
    if not embedders:
        return {}

    from acssm_lib.baselines import weights

    try:
        return {method: str(weights.find(method, paths.get(method))) for method in embedders}
    except (ValueError, OSError) as error:
        raise BadArguments(sentence(error)) from None


@contextlib.contextmanager
def terminated_is_ctrl_c():
    """A plain ``kill`` and a closed terminal end the batch as Ctrl-C does: children stopped, terminal as it was.

    A hang-up that is ignored, as under nohup, stays ignored.
    """

    def stop(number, frame):
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # only there may handlers be set
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if before[number] != signal.SIG_IGN:
            signal.signal(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, before[number])


def _check_paths(args):
    if args.dataset in MADE and args.data is not None:
        raise BadArguments(
            f"{args.dataset} is made on the spot and takes no --data; leave it out, "
            "or choose --dataset esc50, spoken-digits or folder"
        )
    if args.dataset not in MADE and args.data is None:
        raise BadArguments(f"--dataset {args.dataset} needs --data PATH, the folder with the recordings")
    if args.data is not None and not Path(args.data).is_dir():
        raise BadArguments(f"--data {args.data}: there is no such folder")
    if any(0xDC80 <= ord(letter) <= 0xDCFF for letter in str(args.data or "")):
        raise BadArguments(
            f"--data {args.data}: its path holds bytes that are no UTF-8, and records could not name "
            "it; rename the folder"
        )
    if args.notebook is not None and not args.notebook.is_file():
        raise BadArguments(f"--notebook {args.notebook}: there is no such file")


def _settings(name, assignments):
    """The preset with its changes, and the changes alone as typed values."""
    from acssm_lib.presets import preset

    pairs = [assignment.partition("=") for assignment in assignments]
    for field, equals, _ in pairs:
        if not equals:
            raise BadArguments(f"--set {field}: expected FIELD=VALUE, as in n_layers=4")
        if field == "name":
            raise BadArguments("--set name=...: choose a preset with --preset")
    try:
        settings = preset(name, **{field: value for field, _, value in pairs})
    except ValueError as error:
        raise BadArguments(str(error)) from None
    return settings, {field: settings.as_dict()[field] for field, _, _ in pairs}
