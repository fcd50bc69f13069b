"""Pages in headless Chromium, offline: what the browser tests share.

``ACSSM_SCREENSHOTS=FOLDER`` keeps pictures of what they saw.
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

import pytest

sync_api = pytest.importorskip("playwright.sync_api")
NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
NO_BROWSER = (
    "no Chromium found. Install it with `apt install chromium` (Debian, Ubuntu), `brew install --cask "
    "chromium` (macOS) or `.venv/bin/playwright install chromium`, or set ACSSM_CHROMIUM to a Chrome of "
    "yours"
)
MINUTE = 60_000  # ms
PATIENCE = 3 * MINUTE  # until what has to come is given up: a machine may be busy, and no test is of its speed


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


@contextlib.contextmanager
def watched(browser):
    """A page that fails its test when it asked for anything outside of this machine, or logged an error."""
    page = browser.new_page(viewport={"width": 1500, "height": 1100})
    page.set_default_timeout(PATIENCE)
    outside, errors, refused = [], [], []
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:"))
            else outside.append(request.url)
        ),
    )
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("response", lambda response: refused.append(response.url) if response.status == 403 else None)
    yield page
    page.close()
    assert not [url for url in refused if "/api/shutdown/" not in url]  # voila's goodbye to a kernel that is gone
    # voila's own template asks for the icons of buttons, of which there are none here; nothing else may.
    assert not [url for url in outside if "fontawesome" not in url]
    # A favicon or a translation that a server does not have is no fault of the page, nor a connection that is given up
    # while a kernel that was killed, or a page that is left, goes down.
    harmless = ("403", "404", "ERR_", "WebSocket connection to")
    assert not [text for text in errors if not any(words in text for words in harmless)]


@pytest.fixture
def page(browser):
    with watched(browser) as page:
        yield page


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
    own = {
        name: str(folder / name.lower())
        for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTERLAB_WORKSPACES_DIR")
    }
    with open(folder / "server.log", "w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, "--no-browser", f"--port={port}"],
            cwd=folder / "notebooks",
            stdout=log,
            stderr=log,
            env=os.environ | own | {"JUPYTERLAB_SETTINGS_DIR": str(folder / "settings")},
        )
    base = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + PATIENCE / 1000
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
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()
        process.wait()


def jupyterlab(folder, app="jupyterlab", name="LabApp"):
    """JupyterLab over ``folder / "notebooks"``, or Notebook 7."""
    root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return server(
        folder, app, "--ip=127.0.0.1", "--ServerApp.token=course", f"--{name}.expose_app_in_browser=True", *root
    )


def run_all(page, base, name):
    """Open a notebook in JupyterLab, run every cell, wait for the end, and leave no kernel behind."""
    page.goto(f"{base}/lab/tree/{name}.ipynb?token=course&reset")
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
    for _ in range(4):  # a kernel that has just started may swallow the first command
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.locator(".lm-Menu-item[data-command='runmenu:run-all']").click()
        with contextlib.suppress(sync_api.TimeoutError):
            page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="busy"]', timeout=MINUTE)
            break
    else:
        raise AssertionError(f"{name}: Run All started nothing")
    page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
    assert not page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.error']").count()


def end_kernels(base):
    with urllib.request.urlopen(f"{base}/api/sessions?token=course") as answer:
        for session in json.load(answer):
            urllib.request.urlopen(
                urllib.request.Request(f"{base}/api/sessions/{session['id']}?token=course", method="DELETE")
            )


def changed(page, locator, before, timeout_s=PATIENCE / 1000):
    """Wait until the element looks different from ``before``, a screenshot of it."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if locator.screenshot() != before:
            return
        page.wait_for_timeout(200)
    raise AssertionError("the picture did not change")


def keep(seen, name):
    """A picture of a page, or of a part of one, where somebody asked for pictures."""
    folder = os.environ.get("ACSSM_SCREENSHOTS")
    if folder:
        getattr(seen, "page", seen).wait_for_timeout(500)
        seen.screenshot(path=Path(folder) / f"{name}.png")


def lasso(page, selector, left=0.0, top=0.0, right=1.0, bottom=1.0, shift=False):
    """Draw a loop around a part of a map, in shares of its width and height."""
    box = page.locator(f"{selector} svg").bounding_box()
    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
    places = [(box["x"] + 1 + x * (box["width"] - 2), box["y"] + 1 + y * (box["height"] - 2)) for x, y in corners]
    if shift:
        page.keyboard.down("Shift")
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=3)
    page.mouse.up()
    if shift:
        page.keyboard.up("Shift")


def click_a_point(page, number, scroll=True):
    """Click a clip of the explorer: its picture, its name and its sound must come."""
    image, label = page.locator(".acssm-clip .t-image"), page.locator(".acssm-clip .t-label")
    if scroll:
        image.scroll_into_view_if_needed()
    before, caption = image.screenshot(), label.inner_text()
    circle = page.locator(f".t-scatter circle[data-i='{number}']")
    name = circle.locator("title").text_content()
    circle.click(force=True)  # another dot may lie on top; the panel takes the nearest centre
    changed(page, image, before)
    page.wait_for_function("before => document.querySelector('.acssm-clip .t-label').innerText != before", arg=caption)
    page.wait_for_function("document.querySelector('.acssm-clip .t-audio').duration > 0.5")
    # it plays by itself after a click
    page.wait_for_function("document.querySelector('.acssm-clip .t-audio').currentTime > 0")
    return name, label.inner_text()
