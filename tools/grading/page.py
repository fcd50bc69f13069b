"""One page for a whole class: the course's own copy runs once, then every student's exercises are tried in forks of it.

    python -m tools.grading.page JOB.json        started by tools.grade, where the network is cut off

Three kinds of process, so that no student can answer for the checker:

* the page (this one) has run the course's copy but for checks and answers. It alone keeps what is expected, and
  compares it with plain data; no code of a student ever runs in it;
* the classroom (``classroom.attend``), a fork of it, has called the checks with a recorder in place of ``attempt`` and
  has thrown away what they expect: it keeps functions to call and their arguments;
* an attempt, a fork of the classroom for one student and one exercise, runs the student's cells, calls the function,
  and writes what it returned as JSON. It is killed when it takes too long, and whatever it breaks ends with it.
"""

import contextlib
import json
import os
import socket
import sys
from pathlib import Path

from acssm_lib.course.checks import difference
from tools.grading.classroom import attend, parts
from tools.grading.forks import forked, messages
from tools.grading.plain_data import decode


def verdict(found, expected):
    """(verdict, reason) of one attempt: "correct", "wrong", "not attempted" or "error".

    Args:
        found: {"end", "why", "answers"}, how it ended.
        expected: list of (value, tolerance), one per call.
    """
    if found["end"] == "untouched" or found["answers"][:1] == [None]:
        return "not attempted", ""
    for number, (answer, (value, tolerance)) in enumerate(zip(found["answers"], expected), 1):
        try:
            fault = difference(decode(answer), decode(value), tolerance)
        except Exception as error:
            fault = f"the answer does not compare: {error}"
        if fault:
            return "wrong", f"case {number}: {fault}"
    if found["end"] == "answered" and len(found["answers"]) == len(expected):
        return "correct", ""
    return "error", found["why"]


def grade(cells, namespace, students, page_s, cell_s):
    """Yields (student, exercise, verdict, reason) of everybody.

    Args:
        cells: code cells of the course's own notebook; namespace: what its lessons have left.
        students: list of (name, code cells).
        page_s, cell_s: seconds for all of a student's exercises, and for one cell or one call.
    """
    names = [name for name, *_ in parts(cells)[1]]
    left = [(student, name) for student, _ in students for name in names]
    while left:
        here = {student for student, _ in left}
        waiting = [(student, theirs) for student, theirs in students if student in here]
        expected = None
        with forked(lambda tell, waiting=waiting: attend(cells, namespace, waiting, page_s, cell_s, tell)) as reader:
            try:
                for words in messages(reader, page_s + 60):
                    if expected is None:
                        expected = words["expected"]
                        continue
                    student, name = words["student"], words["exercise"]
                    if (student, name) in left:
                        left.remove((student, name))
                        yield student, name, *verdict(words, expected[name])
            except TimeoutError:
                pass
        if expected is None:
            raise RuntimeError("the checks of the page do not run")
        if left:  # the classroom was brought down by whoever was next
            student = left[0][0]
            for name in [name for who, name in left if who == student]:
                left.remove((student, name))
                yield student, name, "error", "it ended the grading"


def main(path):
    """Grade one page as a job says: a line of JSON per student and exercise goes to its ``out``."""
    job = json.loads(Path(path).read_text(encoding="utf-8"))
    if job["refuse_network"]:

        def refuse(*_):
            raise OSError("no network while exercises are graded")

        for name in ("connect", "connect_ex"):
            setattr(socket.socket, name, refuse)
    os.chdir(job["folder"])
    namespace = {"__name__": "__main__", "display": lambda *_, **__: None}
    for place, source in enumerate(parts(job["cells"])[0], 1):
        with contextlib.suppress(AssertionError):  # a number beyond its range: no fault of a student
            exec(compile(source, f"<lesson {place}>", "exec"), namespace)
    with open(job["out"], "w", encoding="utf-8") as out:
        for found in grade(job["cells"], namespace, job["students"], job["page_s"], job["cell_s"]):
            print(json.dumps(found), file=out, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
