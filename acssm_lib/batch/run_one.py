"""Execute the notebook of one run: ``python -m acssm_lib.batch.run_one``, the job as JSON on stdin.

One notebook has one process, so a kernel that dies takes no other run with it. `acssm_lib.batch.process` starts
these processes and reads their exit status: 0 done, 3 the run failed and would fail again, 4 there is no room
to write, anything else (a killed process, a kernel that never answered) is worth another try.
"""

import contextlib
import ctypes
import errno
import json
import os
import re
import signal
import sys
from pathlib import Path

from acssm_lib.batch import family
from acssm_lib.batch.runs import Run, RunConflict, is_finished, record_fault
from acssm_lib.files import settle, sweep, write_json

FAILED, NO_ROOM, DIED = 3, 4, 1  # exit status: would end the same way; so would any other run; may go better
PART = ".notebook.part.ipynb"  # a fixed name: the next try overwrites it
REASON = "acssm-run: "  # start of the stderr line that says why
LOCK_WAIT_S = 30  # s; a run whose machine or worker has died needs about one second to end
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_UNWRITABLE = _FULL + (errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EEXIST)
# As an error of a cell reads: an OSError, or torch.save with no room for its archive.
_FULL_WORDS = re.compile(rf"\[Errno ({'|'.join(map(str, _FULL))})\]|inline_container.*(unexpected pos|write failed)")


def main():
    """Run the notebook of the job on stdin: ``{"run": fields of Run, "out": RUNS, "notebook": path, "parent": pid}``.

    The run folder receives ``config.json``, ``notebook.ipynb`` or ``failed.ipynb`` with the traceback in it, and
    whatever the notebook itself writes there. Its ``.lock`` is held meanwhile: two processes never work on one run.

    Returns:
        0 when the run is finished, ``FAILED`` when the notebook raised or could not be run, ``NO_ROOM`` when the
        disk is full or read-only, ``DIED`` when the kernel died. Why is said in one line on stderr, after
        ``REASON``.
    """
    family.adopt_orphans()
    signal.signal(signal.SIGTERM, _end)
    if sys.platform == "linux":  # a killed parent must not leave a training behind: 1 is PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    job = json.load(sys.stdin)
    if sys.platform == "linux" and os.getppid() != job["parent"]:  # killed before the line above
        return DIED
    try:
        status, reason = _locked(Run(**job["run"]), Path(job["out"]), Path(job["notebook"]))
    finally:
        family.end_descendants()
    if reason:
        print(f"{REASON}{reason}", file=sys.stderr, flush=True)
    return status


def _end(number, frame):
    """Asked to end: nothing that the page has started goes on, then the default takes its way."""
    family.end_descendants()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _locked(run, out, notebook):
    """Execute the run unless another process does, or did meanwhile; the exit status, and why (None after success)."""
    from filelock import FileLock, Timeout

    folder = run.folder(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=LOCK_WAIT_S):
            if is_finished(run, out):
                return 0, None
            sweep(folder)  # what a killed try left half-written
            write_json(folder / "config.json", run.config())
            status, reason = _execute(notebook, run.parameters(out))
            if status == 0:  # nobody waits for a finished run
                with contextlib.suppress(OSError):  # Windows removes it by itself, later
                    (folder / ".lock").unlink()
            return status, reason
    except Timeout:
        return FAILED, f"another process is at work in {folder}; let it finish, or stop it"
    except RunConflict as error:
        return FAILED, str(error)
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            raise
        (folder / PART).unlink(missing_ok=True)  # half a notebook
        status = NO_ROOM if error.errno in _FULL else FAILED
        return status, f"cannot write {error.filename or folder}: {error.strerror}"


def _execute(notebook, parameters):
    """Execute into a temporary name, then rename; the exit status, and why in one line (None after success)."""
    # An optional format check of jsonschema builds a grammar for 1.7 s; notebooks have nothing for it to check.
    sys.modules.setdefault("rfc3987_syntax", None)
    import papermill  # here, so that main has already asked to end with its parent
    from nbclient.exceptions import DeadKernelError
    from traitlets.config import Config

    from acssm_lib.batch.kernel import OwnPython

    unknown = _unknown_parameters(notebook, parameters)
    if unknown:
        return FAILED, unknown
    if notebook.is_relative_to(Path.cwd()):  # papermill stores the path in the executed notebook
        notebook = notebook.relative_to(Path.cwd())
    out = Path(parameters["out"])
    part = out / PART
    for name in ("metrics.json", "failed.ipynb"):  # of an earlier try that did not get to the end
        (out / name).unlink(missing_ok=True)
    reason = None
    try:
        papermill.execute_notebook(
            _literal(notebook),
            _literal(part),
            parameters,
            kernel_name="python3",
            kernel_manager_class=OwnPython,
            progress_bar=False,
            coalesce_streams=True,
            config=Config({"KernelManager": {"transport_encryption": "auto"}}),
        )  # "auto" silences a warning about TCP
    except DeadKernelError:
        return DIED, "the kernel of the notebook died (out of memory?)"
    except papermill.PapermillExecutionError as error:
        reason = f"{error.ename}: {error.evalue}".strip().splitlines()[0]
    if reason is None and (fault := record_fault(out / "metrics.json")):
        reason = f"the notebook ended without writing metrics.json ({fault})"
    settle(part, out / ("failed.ipynb" if reason else "notebook.ipynb"))
    if reason and _FULL_WORDS.search(reason):
        return NO_ROOM, f"there is no room left to write ({reason})"
    return (FAILED, reason) if reason else (0, None)


def _literal(path):
    """A path as papermill has to be told: it would fill in what stands in braces."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _unknown_parameters(notebook, parameters):
    """A sentence naming the parameters that the notebook does not have, or None.

    papermill only logs an unknown name and would run the notebook with its defaults.
    """
    from papermill import inspect_notebook

    if not notebook.is_file():
        return f"there is no notebook {notebook}"
    known = inspect_notebook(_literal(notebook))
    unknown = [name for name in parameters if name not in known]
    if unknown:
        return (
            f"{notebook.name} has no parameter {', '.join(unknown)}; "
            f"its cell tagged 'parameters' has {', '.join(known) or 'none'}"
        )
    return None


if __name__ == "__main__":
    sys.exit(main())
