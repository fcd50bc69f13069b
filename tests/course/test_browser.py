"""The widget panels in a real browser: JupyterLab and voila, offline, by `make test-browser`.

``ACSSM_SCREENSHOTS=FOLDER`` keeps pictures of what the tests saw.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import pytest

sync_api = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"]
NO_BROWSER = ("no Chromium found. Install it with `apt install chromium` (Debian, Ubuntu), `brew install --cask "
              "chromium` (macOS) or `.venv/bin/playwright install chromium`, or set ACSSM_CHROMIUM to a Chrome of "
              "yours")
MINUTE = 60_000  # ms


def find_chromium(playwright):
    named = os.environ.get("ACSSM_CHROMIUM")
    if named:
        return named
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome", "chrome")]
    return next(filter(None, [*found, *filter(os.path.exists, [playwright.chromium.executable_path])]), None)


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        path = find_chromium(playwright)
        if path is None:
            pytest.skip(NO_BROWSER)
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def page(browser):
    """A page that fails its test when it asked for anything outside of this machine, or logged an error."""
    page = browser.new_page(viewport={"width": 1500, "height": 1100})
    outside, errors, refused = [], [], []
    page.on("request", lambda request: None if request.url.startswith(
        ("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:")) else outside.append(request.url))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("response", lambda response: refused.append(response.url) if response.status == 403 else None)
    yield page
    page.close()
    assert not [url for url in refused if "/api/shutdown/" not in url]  # voila's goodbye to a kernel that is gone
    # voila's own template asks for the icons of buttons, of which there are none here; nothing else may.
    assert not [url for url in outside if "fontawesome" not in url]
    # A favicon or a translation that a server does not have is no fault of the page.
    assert not [text for text in errors if not any(code in text for code in ("403", "404", "ERR_"))]


@contextlib.contextmanager
def server(folder, *command):
    """A Jupyter server over a copy of the notebooks, with settings of its own; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = folder / "settings/@jupyterlab/notebook-extension"
    settings.mkdir(parents=True, exist_ok=True)
    # All cells are on the page, not only those in view: a test can find a panel without scrolling.
    (settings / "tracker.jupyterlab-settings").write_text(json.dumps({"windowingMode": "none"}))
    quiet = folder / "settings/@jupyterlab/apputils-extension"
    quiet.mkdir(parents=True, exist_ok=True)
    (quiet / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false"}))  # asks in a pop-up
    own = {name: str(folder / name.lower()) for name in (
        "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_WORKSPACES_DIR")}
    with open(folder / "server.log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, "--no-browser", f"--port={port}"], cwd=folder / "notebooks", stdout=log,
            stderr=log, env=os.environ | own | {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")})
    base = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{base}/api/status?token=course", timeout=60)  # "/" of voila runs the page
                break
            except urllib.error.HTTPError:
                break  # it answers
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, (folder / "server.log").read_text()
                time.sleep(0.3)
        yield base
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(NOTEBOOKS, folder / "notebooks")
    page = folder / "notebooks/03_s4d.ipynb"  # the panel needs no memory task: a tenth of its steps will do
    text = page.read_text(encoding="utf-8").replace("memory_steps = 200", "memory_steps = 20")
    page.write_text(text, encoding="utf-8")
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with server(folder, "jupyterlab", "--ip=127.0.0.1", "--ServerApp.token=course",
                "--LabApp.expose_app_in_browser=True", *root) as base:
        yield base


MADE = """import numpy as np
from acssm_lib.course.explore_embedding import EmbeddingPanel, EmbeddingState
place = np.random.default_rng(0).normal(size=(40, 8)) + 6 * np.eye(8)[np.arange(40) % 4]
state = EmbeddingState({"after": place, "before": place[::-1] ** 2}, np.arange(40) % 4, list("abcd"), ["s"] * 40,
                       [f"clip {i}" for i in range(40)], lambda i: 0.3 * np.sin(np.arange(8000) * (i + 9) / 60), 8000)
EmbeddingPanel(state)"""


@pytest.fixture(scope="module")
def made(lab, tmp_path_factory):
    """A page with nothing but an explorer of made clips, beside the others."""
    folder = max(tmp_path_factory.getbasetemp().glob("lab*"), key=os.path.getmtime)
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(MADE)], metadata={
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}})
    nbformat.write(page, folder / "notebooks/made.ipynb")
    return "made"


def run_all(page, base, name):
    """Open a notebook in JupyterLab, run every cell, wait for the end, and leave no kernel behind."""
    page.goto(f"{base}/lab/tree/{name}.ipynb?token=course&reset")
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=MINUTE)
    for _ in range(4):  # a kernel that has just started may swallow the first command
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.locator(".lm-Menu-item[data-command='runmenu:run-all']").click()
        with contextlib.suppress(sync_api.TimeoutError):
            page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="busy"]', timeout=MINUTE / 6)
            break
    else:
        raise AssertionError(f"{name}: Run All started nothing")
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=4 * MINUTE)
    assert not page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']").count()


@pytest.fixture(autouse=True)
def no_kernel_left(request):
    yield
    if "lab" in request.fixturenames:
        base = request.getfixturevalue("lab")
        with urllib.request.urlopen(f"{base}/api/sessions?token=course") as answer:
            for session in json.load(answer):
                urllib.request.urlopen(urllib.request.Request(
                    f"{base}/api/sessions/{session['id']}?token=course", method="DELETE"))


def changed(page, locator, before, timeout_s=30):
    """Wait until the element looks different from ``before``, a screenshot of it."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if locator.screenshot() != before:
            return
        page.wait_for_timeout(200)
    raise AssertionError("the picture did not change")


def keep(locator, name):
    folder = os.environ.get("ACSSM_SCREENSHOTS")
    if folder:
        locator.page.wait_for_timeout(500)
        locator.screenshot(path=Path(folder) / f"{name}.png")


def test_turning_a_control_of_the_spectrogram_panel_redraws_it(page, lab):
    run_all(page, lab, "01_audio_preprocessing")
    image = page.locator(".t-image")
    image.scroll_into_view_if_needed()
    before = image.screenshot()
    page.locator(".t-n_fft select").select_option("256")
    changed(page, image, before)
    assert "Error" not in page.locator(".t-label").inner_text()
    page.wait_for_function("document.querySelector('.t-audio').duration > 0.5")
    keep(page.locator(".t-panel"), "panel_spectrogram")


def test_turning_the_step_size_changes_kernel_and_sound(page, lab):
    run_all(page, lab, "03_s4d")
    image, audio = page.locator(".t-image"), page.locator(".t-audio")
    image.scroll_into_view_if_needed()
    before, heard = image.screenshot(), audio.get_attribute("src")
    caption = page.locator(".t-label").inner_text()
    handle = page.locator(".t-dt .noUi-handle")
    handle.focus()
    for _ in range(5):
        handle.press("ArrowRight")
    changed(page, image, before)
    page.wait_for_function("before => document.querySelector('.t-label').innerText != before", arg=caption)
    assert audio.get_attribute("src") != heard
    keep(page.locator(".t-panel"), "panel_kernel")


def click_a_point(page, number, scroll=True):
    """Click a clip of the explorer: its picture, its name and its sound must come."""
    image = page.locator(".t-image")
    if scroll:
        image.scroll_into_view_if_needed()
    before, caption = image.screenshot(), page.locator(".t-label").inner_text()
    circle = page.locator(f".t-scatter circle[data-i='{number}']")
    name = circle.locator("title").text_content()
    circle.click(force=True)  # another dot may lie on top; the panel takes the nearest centre
    changed(page, image, before)
    page.wait_for_function("before => document.querySelector('.t-label').innerText != before", arg=caption)
    page.wait_for_function("document.querySelector('.t-audio').duration > 0.5")
    page.wait_for_function("document.querySelector('.t-audio').currentTime > 0")  # it plays by itself after a click
    return name, page.locator(".t-label").inner_text()


def test_clicking_a_point_of_the_map_plays_and_shows_that_clip(page, lab):
    run_all(page, lab, "07_explore_embeddings")
    name, caption = click_a_point(page, 5)
    assert name.split(",")[0] in caption
    before = page.locator(".t-scatter").screenshot()
    page.locator(".t-colour select").select_option("loudness")
    changed(page, page.locator(".t-scatter"), before)
    page.locator(".t-colour select").select_option("class")
    keep(page.locator(".t-panel"), "panel_embedding")


def assert_in_view(page, name):
    """Map, picture, player and text of the explorer stand beside each other within a small screen, at three sizes."""
    for width, height in (1366, 768), (1280, 800), (900, 768):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(700)  # the page settles
        page.locator(".t-scatter").evaluate("element => element.scrollIntoView({block: 'start'})")
        click_a_point(page, width % 7, scroll=False)
        if os.environ.get("ACSSM_SCREENSHOTS"):
            page.screenshot(path=Path(os.environ["ACSSM_SCREENSHOTS"]) / f"{name}_{width}.png")
        scatter, *clip = (page.locator(f".t-{part}").bounding_box() for part in ("scatter", "image", "audio", "label"))
        assert scatter["x"] >= 0 and scatter["y"] > -1 and scatter["width"] > 250
        for box in clip:
            assert box["x"] >= scatter["x"] + scatter["width"] and box["y"] > -1, (width, box)
            assert box["x"] + box["width"] <= width and box["y"] + box["height"] <= height, (width, box)


def test_what_a_click_changes_is_in_view_where_one_clicks(page, lab, made):
    run_all(page, lab, made)
    page.keyboard.press("Control+b")  # the list of files makes room
    assert_in_view(page, "explorer")
    page.evaluate("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    page.wait_for_selector("body[data-jp-theme-light='false']", state="attached")
    assert_in_view(page, "explorer_dark")
    for part in (".t-scatter", ".t-image"):  # a sheet with a frame
        style = page.locator(part).evaluate(
            "element => [getComputedStyle(element).backgroundColor, getComputedStyle(element).borderTopWidth]")
        assert style == ["rgb(255, 255, 255)", "1px"]


def test_the_explorer_works_by_keyboard_alone(page, lab, made):
    run_all(page, lab, made)
    page.locator(".t-colour select").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.i") == "0"
    page.keyboard.press("ArrowDown")
    chosen = page.evaluate("document.activeElement.dataset.i")
    assert chosen != "0"
    page.keyboard.press("Enter")
    page.wait_for_function("i => document.querySelector('.t-label').innerText.startsWith(`clip ${i}:`)", arg=chosen)
    for _ in range(2):  # over the button of the clip itself to that of its first neighbour
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelector('.t-label').innerText.includes('You hear neighbour 1')")
    assert page.locator(".jp-Cell").count() == 1  # no key went to the page


def test_the_explorer_works_as_a_page_of_voila(page, tmp_path):
    shutil.copytree(NOTEBOOKS, tmp_path / "notebooks")
    with server(tmp_path, "voila", "07_explore_embeddings.ipynb", "--Voila.ip=127.0.0.1") as base:
        page.goto(base, timeout=4 * MINUTE)
        page.wait_for_selector(".t-scatter circle", timeout=4 * MINUTE)
        name, caption = click_a_point(page, 5)
        assert name.split(",")[0] in caption
        assert_in_view(page, "explorer_voila")
