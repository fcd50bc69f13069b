"""Execute the notebook of one run: ``python -m acssm_lib.run_one``, the job as JSON on stdin.

One notebook has one process, so a kernel that dies takes no other run with it. `acssm_lib.runner` starts
these processes and reads their exit status: 0 done, 3 the run failed and would fail again, anything else
(a killed process, a kernel that never answered) is worth another try.
"""

import ctypes
import errno
import json
import os
import signal
import sys
from pathlib import Path

FAILED, DIED = 3, 1  # exit status: trying again would end the same way; or may go better
PART = ".notebook.part.ipynb"  # a fixed name: the next try overwrites it
REASON = "acssm-run: "  # start of the stderr line that says why
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


def main():
    """Run the notebook of the job on stdin: ``{"notebook": path, "parameters": {...}}``.

    ``parameters["out"]`` is the run folder. It receives ``notebook.ipynb``, or ``failed.ipynb`` with the
    traceback in it, and whatever the notebook itself writes there.

    Returns:
        0 when the notebook ran to its end and left ``metrics.json``, ``FAILED`` when it raised or could not be
        run, ``DIED`` when its kernel died. Why is said in one line on stderr, after ``REASON``.
    Taught in: 08_reproduce_group.
    """
    if sys.platform == "linux":  # a killed parent must not leave a training behind: 1 is PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    job = json.load(sys.stdin)
    try:
        status, reason = _execute(Path(job["notebook"]), job["parameters"])
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        status, reason = FAILED, f"cannot write {error.filename or job['parameters']['out']}: {error.strerror}"
    if reason:
        print(f"{REASON}{reason}", file=sys.stderr, flush=True)
    return status


def _execute(notebook, parameters):
    """Execute into a temporary name, then rename; the exit status, and why in one line (None after success)."""
    # An optional format check of jsonschema builds a grammar for 1.7 s; notebooks have nothing for it to check.
    sys.modules.setdefault("rfc3987_syntax", None)
    import papermill  # here, so that main has already asked to end with its parent
    from nbclient.exceptions import DeadKernelError
    from traitlets.config import Config

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
            str(notebook), str(part), parameters, kernel_name="python3", progress_bar=False, coalesce_streams=True,
            config=Config({"KernelManager": {"transport_encryption": "auto"}}))  # "auto" silences a warning about TCP
    except DeadKernelError:
        return DIED, "the kernel of the notebook died (out of memory?)"
    except papermill.PapermillExecutionError as error:
        reason = f"{error.ename}: {error.evalue}".strip().splitlines()[0]
    if reason is None and not (out / "metrics.json").exists():
        reason = "the notebook ended without writing metrics.json"
    os.replace(part, out / ("failed.ipynb" if reason else "notebook.ipynb"))
    return (FAILED, reason) if reason else (0, None)


def _unknown_parameters(notebook, parameters):
    """A sentence naming the parameters that the notebook does not have, or None.

    papermill only logs an unknown name and would run the notebook with its defaults.
    """
    from papermill import inspect_notebook

    if not notebook.is_file():
        return f"there is no notebook {notebook}"
    known = inspect_notebook(notebook)
    unknown = [name for name in parameters if name not in known]
    if unknown:
        return (f"{notebook.name} has no parameter {', '.join(unknown)}; "
                f"its cell tagged 'parameters' has {', '.join(known) or 'none'}")
    return None


if __name__ == "__main__":
    sys.exit(main())
