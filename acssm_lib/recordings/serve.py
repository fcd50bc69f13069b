"""The listening page outside of a notebook: a page of voila on this machine, until Ctrl-C."""

import importlib.util
import os
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
        survey: ``Survey``, with an index. port: of the address. browser: open one.
        options: of ``ListeningState``.
    Raises:
        DataError: the extra ``lab`` is not installed, there is nothing to ask about, or the server ended by itself.
    """
    from acssm_lib.recordings.index import Index
    from acssm_lib.recordings.listening import ListeningState

    missing = [name for name in ("voila", "anywidget", "ipywidgets") if importlib.util.find_spec(name) is None]
    if missing:
        raise DataError(f"the page needs {', '.join(missing)}: pip install 'acoustic-ssm[lab]', in a checkout pip "
                        "install -e '.[lab]'")
    ListeningState(survey, Index.open(survey), **options)  # what is wrong with the survey is said here, not in the page
    print(f"http://127.0.0.1:{port}/ asks; answers go to {survey.labels_csv}; Ctrl-C ends it", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        page = page_of(survey, folder, **options)
        command = [sys.executable, "-m", "voila", str(page), f"--port={port}", "--Voila.ip=127.0.0.1",
                   *([] if browser else ["--no-browser"])]
        process = subprocess.Popen(command, env=os.environ | {"PYTHONUNBUFFERED": "1"}, stderr=subprocess.DEVNULL)
        try:
            status = process.wait()
        except KeyboardInterrupt:
            process.terminate()
            process.wait(10)
            print()
            return
    raise DataError(f"the page ended by itself (status {status}); is port {port} in use? --port takes another")
