"""The listening page outside of a notebook: a page of voila on this machine, until Ctrl-C."""

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from acssm_lib.files import DataError

_CELL = """from acssm_lib.recordings.folder import Survey
from acssm_lib.recordings.index import Index
from acssm_lib.recordings.listening import ListeningState
from acssm_lib.recordings.listening_page import ListeningPage

survey = Survey.open({folder!r})
ListeningPage(ListeningState(survey, Index.open(survey), **{options!r}))
"""


def page_of(survey, folder, **options):
    """A notebook of one cell that shows the page; returns its path.

    Args:
        folder: to write it in. options: of ``ListeningState``.
    """
    import nbformat

    path = Path(folder) / "listening.ipynb"
    cell = nbformat.v4.new_code_cell(_CELL.format(folder=str(survey.folder.resolve()), options=options))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=kernel), path)
    return path


def open_page(survey, port=8866, browser=True, **options):
    """Serve the page on this machine alone until Ctrl-C; what was answered is on the disk all the time.

    Args:
        survey: ``Survey``, with an index. port: of the address, or the next free one. browser: open one.
        options: of ``ListeningState``.
    Raises:
        DataError: the extra ``lab`` is not installed, there is nothing to ask about, no port is free, or the server
            ended by itself.
    """
    from acssm_lib.recordings.index import Index
    from acssm_lib.recordings.listening import ListeningState

    missing = [name for name in ("voila", "anywidget", "ipywidgets") if importlib.util.find_spec(name) is None]
    if missing:
        raise DataError(
            f"the page needs {', '.join(missing)}: pip install 'acoustic-ssm[lab]', in a checkout pip "
            "install -e '.[lab]'"
        )
    ListeningState(survey, Index.open(survey), **options)  # what is wrong with the survey is said here, not in the page
    port = free_port(port)
    print(f"http://127.0.0.1:{port}/ asks; answers go to {survey.labels_csv}; Ctrl-C ends it", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        page = page_of(survey, folder, **options)
        command = [
            sys.executable,
            "-m",
            "voila",
            str(page),
            f"--port={port}",
            "--Voila.ip=127.0.0.1",
            "--Voila.port_retries=0",
            *([] if browser else ["--no-browser"]),
        ]
        process = subprocess.Popen(command, env=os.environ | {"PYTHONUNBUFFERED": "1"}, stderr=subprocess.DEVNULL)
        before = {number: signal.signal(number, _as_ctrl_c) for number in _ENDS}
        try:
            status = process.wait()
        except KeyboardInterrupt:
            print()
            return
        finally:
            process.terminate()  # a page that outlives its command would answer at the address of the next one
            process.wait(10)
            for number, handler in before.items():
                signal.signal(number, handler)
    raise DataError(f"the page ended by itself (status {status}); was port {port} taken? --port names another")


_ENDS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]  # kill, a closed terminal


def _as_ctrl_c(number, frame):
    raise KeyboardInterrupt


def free_port(first, tries=20):
    """The first port from ``first`` on that nobody listens at on this machine: another survey's page may be open.

    Raises:
        DataError: they are all taken.
    """
    for port in range(first, min(first + tries, 65_536)):
        with socket.socket() as probe:
            if os.name != "nt":  # there it would let two servers share a port; here it passes over closed connections
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port
    raise DataError(f"ports {first} to {first + tries - 1} are taken or not allowed; --port names another")
