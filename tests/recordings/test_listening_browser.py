"""The listening page in a real browser, offline: labels by keyboard, a killed kernel, every label back.

By `make test-browser`; ``ACSSM_SCREENSHOTS=FOLDER`` keeps pictures of what the test saw.
"""
# ruff: noqa: F401, F811

import os
import signal
import subprocess

import numpy as np
import pytest
import soundfile

from acssm_lib.recordings.labels import Labels

pytest.importorskip("playwright.sync_api")
from browsing import browser, jupyterlab, keep, page, server

pytestmark = pytest.mark.browser

CLASSES = ("frog", "owl", "toad")


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    """Three short recordings of tones over noise, indexed without training."""
    from acssm_lib.recordings.folder import Survey
    from acssm_lib.recordings.indexing import index_survey

    folder = tmp_path_factory.mktemp("page") / "survey"
    generator = np.random.default_rng(0)
    for night in range(3):
        path = folder / f"recordings/creek/2024051{4 + night}_213000.WAV"
        path.parent.mkdir(parents=True, exist_ok=True)
        sound = 0.01 * generator.standard_normal(20 * 20_000)
        for begin, hertz in ((3, 1_500), (8, 3_000), (13, 5_000)):
            place = slice(begin * 20_000, (begin + 2) * 20_000)
            sound[place] += 0.3 * np.sin(2 * np.pi * hertz * np.arange(40_000) / 20_000)
        soundfile.write(path, sound, 20_000)
    made = Survey.create(folder, classes=CLASSES)
    index_survey(made, "mel-stats", tell=lambda line: None)
    return made


def press(page, key, after):
    """A key, and the question that follows it; returns its number."""
    page.keyboard.press(key)
    page.wait_for_function("asked => Number(document.querySelector('.ls-page').dataset.asked) > asked", arg=after)
    return int(page.locator(".ls-page").get_attribute("data-asked"))


def rows(survey):
    return [(row.window, row.label, row.answer) for row in Labels(survey.labels_csv).rows()]


def opened(page, base):
    """The page with its first question, as large as a small laptop shows it."""
    page.set_viewport_size({"width": 1366, "height": 768})
    page.goto(base)
    page.wait_for_function("document.querySelector('.ls-picture')?.naturalWidth > 0")
    page.locator(".ls-title").click()
    return int(page.locator(".ls-page").get_attribute("data-asked"))


def kill_kernels(pid):
    """kill -9 for every kernel that this test's server has started; returns how many there were."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,args="], capture_output=True, text=True).stdout
    processes = [line.split(None, 2) for line in listed.splitlines()]
    ours = {str(pid)}
    for _ in range(3):  # test, server, kernel
        ours |= {child for child, parent, *_ in processes if parent in ours}
    kernels = [int(child) for child, _, words in processes if child in ours and "ipykernel" in words]
    for kernel in kernels:
        os.kill(kernel, signal.SIGKILL)
    return len(kernels)


@pytest.mark.skipif(os.name == "nt", reason="kills with a POSIX signal")
def test_labels_by_keyboard_outlive_the_kernel(page, survey, tmp_path):
    from acssm_lib.recordings.serve import page_of

    (tmp_path / "notebooks").mkdir()
    page_of(survey, tmp_path / "notebooks", by="Ada", order="spread")
    with server(tmp_path, "voila", "listening.ipynb", "--Voila.ip=127.0.0.1") as base:
        asked = opened(page, base)
        box = page.locator(".ls-page").bounding_box()
        assert box["y"] + box["height"] <= 768 and box["x"] + box["width"] <= 1366  # no scrolling
        assert page.evaluate("document.documentElement.scrollWidth") <= 1366
        keep(page, "listening_page")
        asked = press(page, "1", asked)  # frog
        assert [answer for _, _, answer in rows(survey)] == ["yes", "no", "no"]
        asked = press(page, "0", asked)  # none of these
        asked = press(page, "u", asked)  # unsure
        page.keyboard.press("Shift+Digit2")  # two classes in one window
        page.wait_for_function("document.querySelectorAll('.ls-button[aria-pressed=true]').length == 1")
        asked = press(page, "3", asked)
        assert [answer for _, _, answer in rows(survey)[-3:]] == ["no", "yes", "yes"]
        page.wait_for_function("document.querySelector('.ls-sound').duration > 2.9")
        page.wait_for_function("document.querySelector('.ls-sound').currentTime > 0")  # plays by itself after a key
        page.keyboard.press(" ")
        page.wait_for_function("document.querySelector('.ls-sound').paused")
        asked = press(page, "2", asked)
        asked = press(page, "z", asked)  # taken back
        written = rows(survey)
        assert len(written) == 12 and "listen again" in page.locator(".ls-message").inner_text()
        keep(page, "listening_page_answered")
        assert kill_kernels(os.getpid()) == 1
        page.keyboard.press("1")  # nobody is there to hear it
        page.wait_for_selector(".ls-waiting")  # sent, and the page knows that no answer came
        assert rows(survey) == written
        opened(page, base)  # come back: a new kernel
        assert "4 answers: frog 1 yes, owl 1 yes, toad 1 yes" in page.locator(".ls-progress").inner_text()
        assert rows(survey) == written


def test_a_notebook_goes_on_below_the_page_by_keyboard(page, survey, tmp_path):
    """Nobody has clicked the page, so that keys are the notebook's; a click gives them to the page."""
    import nbformat

    from acssm_lib.recordings.serve import page_of

    (tmp_path / "notebooks").mkdir()
    path = page_of(survey, tmp_path / "notebooks", by="Bea", order="spread")
    notebook = nbformat.read(path, as_version=4)
    notebook.cells += [nbformat.v4.new_code_cell(f"print({number} * 7)") for number in (6, 9)]
    nbformat.write(notebook, path)
    with jupyterlab(tmp_path) as base:
        page.goto(f"{base}/lab/tree/listening.ipynb?token=course&reset")
        page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
        page.locator(".jp-CodeCell .cm-content").first.click()
        page.wait_for_function("document.activeElement.matches('.jp-CodeCell .cm-content')")  # else the key is lost
        page.wait_for_timeout(1_000)
        page.keyboard.press("Shift+Enter")
        page.wait_for_function("document.querySelector('.ls-picture')?.naturalWidth > 0")
        page.wait_for_timeout(1_000)  # longer than the page waits before it takes the keys
        page.keyboard.press("Shift+Enter")
        page.wait_for_function("document.querySelector('.jp-Notebook').innerText.includes('42')")
        page.locator(".ls-title").click()
        before = len(rows(survey))
        press(page, "1", int(page.locator(".ls-page").get_attribute("data-asked")))
        assert len(rows(survey)) == before + len(CLASSES)
