"""A page without what its checks expect, in which every student's exercises are tried."""

import ast
import gc
import re
import time

from tools.grading.forks import forked, messages
from tools.grading.plain_data import encode


def parts(cells):
    """A page taken apart.

    Args:
        cells: code cells of the course's own notebook: {"id", "source", "tags"}.
    Returns:
        lessons: sources to run first; exercises: list of (name of the function, source of its stub, of its check).
    """
    lessons, exercises = [], []
    for place, cell in enumerate(cells):
        if "exercise" in cell["tags"]:
            name = next(node.name for node in ast.parse(cell["source"]).body if isinstance(node, ast.FunctionDef))
            exercises.append((name, cell["source"], cells[place + 1]["source"]))
        elif "solution" not in cell["tags"] and (not place or "exercise" not in cells[place - 1]["tags"]):
            lessons.append(cell["source"])
    return lessons, exercises


def handed_in(cells, pristine, stubs):
    """What a student wrote: cells with a function of an exercise, and cells that the course's page lacks.

    A changed cell of the page itself, such as its parameters, changes no exercise.

    Args:
        cells: the student's code cells; pristine: those of the course; stubs: name -> source of the stub.
    Returns:
        own: sources in their order; attempted: name -> place in ``own`` of the last cell that may define it.
    """
    ids, sources = {cell["id"]: cell["source"] for cell in pristine}, {cell["source"].strip() for cell in pristine}
    own, attempted = [], {}
    for cell in cells:
        source = cell["source"]
        if source.strip() in sources or "solution" in cell["tags"]:
            continue
        names = {
            name
            for name, stub in stubs.items()
            if ids.get(cell["id"]) == stub or re.search(rf"(?m)^\s*(def {name}\b|{name}\s*=[^=])", source)
        }
        if names or cell["id"] not in ids:
            attempted |= dict.fromkeys(names, len(own))
            own.append(source)
    return own, attempted


def record(checks, exercises, namespace):
    """Run stubs and checks with a recorder in place of ``checks.attempt``.

    Returns:
        calls: name -> list of (function, arguments); expected: name -> list of (value, tolerance). What the checks
        expect is no longer within reach of ``namespace``.
    """
    calls, expected, seen = {}, {}, []

    def recorder(function, *cases, hint="", tolerance=1e-4):
        for case in cases:
            seen.append(case)
            calls[name].append((function, case[0]))
            expected[name].append((case[1], tolerance))

    plain, checks.attempt = checks.attempt, recorder
    try:
        for name, stub, check in exercises:
            calls[name], expected[name] = [], []
            exec(compile(stub, f"<stub of {name}>", "exec"), namespace)
            exec(compile(check, f"<check of {name}>", "exec"), namespace)
    finally:
        checks.attempt = plain
    cases = set(map(id, seen))
    for name, value in list(namespace.items()):
        if isinstance(value, (list, tuple)) and any(id(item) in cases for item in value):
            del namespace[name]
    return calls, expected


def attend(cells, namespace, students, page_s, cell_s, tell):
    """In a fork of the page: record its checks, forget what they expect, then try what every student handed in.

    Args:
        students: list of (name, code cells).
        page_s, cell_s: seconds for all of a student's exercises, and for one cell or one call.
        tell: sends first {"expected"}, then {"student", "exercise", "end", "why", "answers"} of each attempt.
    """
    from acssm_lib.course import checks

    exercises = parts(cells)[1]
    calls, expected = record(checks, exercises, namespace)
    tell({"expected": {name: [(encode(value), tolerance) for value, tolerance in of] for name, of in expected.items()}})
    del expected
    gc.collect()
    gc.freeze()  # a collection in a fork would copy all memory of the page
    stubs = {name: stub for name, stub, _ in exercises}
    for student, theirs in students:
        own, attempted = handed_in(theirs, cells, stubs)
        hanging, ends_at = set(), time.monotonic() + page_s
        for name in stubs:
            found = {"end": "untouched", "answers": []}
            if name in attempted:
                found = _try(name, own, attempted[name], calls[name], namespace, hanging, cell_s, ends_at)
            tell({"student": student, "exercise": name} | found)


def _try(name, own, last, calls, namespace, hanging, cell_s, ends_at):
    """How one exercise ended; a cell that hangs before that with the function joins ``hanging``, and is passed over."""
    while True:
        answers, why, place, end = [], {}, None, {"end": "raised", "why": "the process was ended"}
        with forked(lambda tell: _work(name, own, last, calls, namespace, hanging, tell)) as reader:
            try:
                for words in messages(reader, cell_s, ends_at):
                    kind = words.pop("kind")
                    if kind == "end":
                        end = words
                        break
                    place = words.get("place", place) if kind == "cell" else None if kind == "call" else place
                    if kind == "failed":
                        why[place] = words["why"]
                    if kind == "answer":
                        answers.append(words["answer"])
            except TimeoutError:
                if place not in (None, last) and time.monotonic() < ends_at:
                    hanging.add(place)
                    continue
                end = {"end": "slow", "why": f"nothing after {cell_s:g} s"}
            except (ValueError, KeyError, AttributeError, TypeError) as error:  # a forged message
                end = {"end": "raised", "why": f"{error}"}
        if end["end"] == "undefined":
            end["why"] = why.get(last, f"no function {name} after its cell")
        return end | {"answers": answers}


def _work(name, own, last, calls, namespace, hanging, tell):
    """In a process of its own: run a student's cells up to the one with the function, and call it."""
    theirs, stub = dict(namespace), namespace[name]
    for place, source in enumerate(own[: last + 1]):
        if place in hanging:
            continue
        tell({"kind": "cell", "place": place})
        try:
            lines = ["" if re.match(r"[%!]", line) else line for line in source.splitlines()]  # no magics, no shell
            exec(compile("\n".join(lines), f"<cell {place}>", "exec"), theirs)
        except BaseException as error:  # SystemExit too
            tell({"kind": "failed", "why": _words(error)})
    function = theirs.get(name)
    if function is stub or not callable(function):
        tell({"kind": "end", "end": "undefined"})
        return
    for called, arguments in calls:
        tell({"kind": "call"})
        try:
            answer = (function if called is stub else called)(*(function if one is stub else one for one in arguments))
            tell({"kind": "answer", "answer": encode(answer)})
        except BaseException as error:
            tell({"kind": "end", "end": "raised", "why": _words(error)})
            return
    tell({"kind": "end", "end": "answered", "why": ""})


def _words(error):
    return f"{type(error).__name__}: {error}"[:300]
