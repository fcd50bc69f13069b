"""The four panels in headless Chromium, on one page of made sounds: sizes, themes, keyboard, and what each can do.

By `make test-browser`, offline; about half a minute. ``test_browser`` runs the pages they belong to.
"""
# ruff: noqa: F401, F811

import contextlib
import csv
import importlib.util
import itertools
import shutil

import nbformat
import pytest

pytest.importorskip("playwright.sync_api")
from browsing import (
    MINUTE,
    NOTEBOOKS,
    browser,
    changed,
    click_a_point,
    end_kernels,
    jupyterlab,
    keep,
    lasso,
    page,
    run_all,
    server,
    sync_api,
    watched,
)

pytestmark = pytest.mark.browser
SIZES = ((1366, 768), (1280, 800), (900, 768))
MADE = (
    """import numpy as np
from acssm_lib.course.embedding_state import EmbeddingState
from acssm_lib.course.explore_embedding import EmbeddingPanel
place = np.random.default_rng(0).normal(size=(40, 8)) + 6 * np.eye(8)[np.arange(40) % 4]
state = EmbeddingState({"after": place, "before": place[::-1] ** 2}, np.arange(40) % 4, list("abcd"), ["s"] * 40,
                       [f"clip {i}" for i in range(40)], lambda i: 0.3 * np.sin(np.arange(8000) * (i + 9) / 60), 8000)
EmbeddingPanel(state)""",
    """import torch
from acssm_lib.course.explore_spectrogram import SpectrogramPanel, SpectrogramState
SpectrogramPanel(SpectrogramState(torch.randn(2, 20_000).clamp(-1, 1), ["one", "two"]))""",
    """from acssm_lib.course.explore_kernel import KernelPanel
KernelPanel()""",
    """from types import SimpleNamespace
from acssm_lib.course.listen import wav
from acssm_lib.recordings.listening import spectrogram
from acssm_lib.recordings.listening_page import ListeningPage
tone = 0.3 * np.sin(np.arange(24_000) / 3)
ListeningPage(SimpleNamespace(
    classes=["frog", "owl", "toad"], review_of=None, message="", window=0, asked=1, order="spread",
    picture=lambda: spectrogram(tone, 8000), sound=lambda: wav(tone, 8000), title=lambda: "creek/20240514.WAV, 3 s",
    progress=lambda: "0 answers: frog 0 yes, owl 0 yes, toad 0 yes", forecast=lambda: "no forecast yet"))""",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Notebook ``made`` with a cell per panel, and notebook 07 as it is committed."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "notebooks").mkdir()
    page = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source) for source in MADE],
        metadata={"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
    )
    nbformat.write(page, folder / "notebooks/made.ipynb")
    shutil.copy(NOTEBOOKS / "07_explore_embeddings.ipynb", folder / "notebooks/untrusted.ipynb")
    return folder


@pytest.fixture(scope="module")
def lab(folder):
    with jupyterlab(folder) as base:
        yield base


@pytest.fixture(scope="module")
def opened(browser, lab):
    """The page in JupyterLab after Run All, the list of files closed."""
    with watched(browser) as page:
        run_all(page, lab, "made")
        if page.locator("#jp-left-stack").is_visible():
            page.evaluate("jupyterapp.commands.execute('application:toggle-left-area')")
        yield page
        end_kernels(lab)


@pytest.fixture
def panels(opened):
    """The page at the size of a small laptop; the tests share it, and each leaves nothing marked and one map, whole."""
    opened.set_viewport_size({"width": 1366, "height": 768})
    opened.wait_for_timeout(500)
    return opened


def shown(page, selector):
    """Bring an element to the top of the window; its place."""
    page.locator(selector).evaluate("element => element.scrollIntoView({block: 'start'})")
    page.wait_for_timeout(100)
    return page.locator(selector).bounding_box()


def assert_inside(page, box, what):
    size = page.viewport_size
    assert box["x"] >= 0 and box["x"] + box["width"] <= size["width"], (what, size, box)
    assert box["y"] > -1 and box["y"] + box["height"] <= size["height"], (what, size, box)


def assert_explorer_fits(page, name):
    """Map, picture, player and text stand beside each other within a small screen."""
    shown(page, ".t-scatter")
    click_a_point(page, page.viewport_size["width"] % 7, scroll=False)
    keep(page, name)
    scatter, *clip = (
        page.locator(f".acssm-beside .t-{part}").bounding_box() for part in ("scatter", "image", "audio", "label")
    )
    assert scatter["x"] >= 0 and scatter["y"] > -1 and scatter["width"] > 250
    for box in clip:
        assert_inside(page, box, name)
        assert box["x"] >= scatter["x"] + scatter["width"]
    for part in (".t-do-hear", ".t-word", ".t-do-label", ".t-do-undo", ".t-do-export"):
        assert_inside(page, page.locator(part).bounding_box(), part)


def assert_all_fit(page, name):
    """Every panel, with its controls, picture, player and text, on three small screens."""
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(500)  # the page settles
        assert_explorer_fits(page, f"{name}_explorer_{width}")
        for control, kind in ((".t-n_fft", "spectrogram"), (".t-dt", "kernel")):
            panel = f".t-panel:has({control})"
            shown(page, panel)
            keep(page, f"{name}_{kind}_{width}")
            for part in (control, ".t-image", ".t-audio", ".t-label"):
                assert_inside(page, page.locator(f"{panel} {part}").bounding_box(), (kind, part))
        assert_inside(page, shown(page, ".ls-page"), "listening")
        keep(page, f"{name}_listening_{width}")


def test_panels_fit_small_screens_in_jupyterlab(panels):
    assert_all_fit(panels, "lab")


def test_panels_fit_small_screens_in_a_dark_theme(panels):
    panels.evaluate("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    panels.wait_for_selector("body[data-jp-theme-light='false']", state="attached")
    assert_all_fit(panels, "dark")
    for part in panels.locator(".t-scatter, .t-image, .ls-page").all():  # sheets with a frame
        style = part.evaluate(
            "element => [getComputedStyle(element).backgroundColor, getComputedStyle(element).borderTopWidth]"
        )
        assert style[0] == "rgb(255, 255, 255)" and style[1] in ("1px", "2px")
    panels.evaluate("jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Light'})")


def said(page, text):
    page.wait_for_function("text => document.querySelector('.t-told').innerText.includes(text)", arg=text)


def test_a_loop_marks_clips_that_are_heard_labelled_and_exported(panels, folder):
    shown(panels, ".t-scatter")
    lasso(panels, ".t-scatter", right=0.5)
    panels.wait_for_selector(".t-scatter .marked")
    half = panels.locator(".t-scatter .marked").count()
    said(panels, f"{half} marked")
    assert 5 < half < 35
    lasso(panels, ".t-scatter", left=0.5, shift=True)
    said(panels, "40 marked")
    panels.locator(".t-do-undo").click()
    said(panels, f"{half} marked")
    assert panels.locator(".t-scatter .marked").count() == half
    panels.locator(".t-do-hear").click()
    panels.wait_for_function("document.querySelector('.t-audio').duration > 5")
    panels.wait_for_selector(".t-scatter .heard")
    first = panels.locator(".t-scatter .heard").get_attribute("data-i")
    panels.wait_for_function("i => document.querySelector('.t-scatter .heard')?.dataset.i > i", arg=first)
    panels.locator(".t-word input").fill("toad")
    panels.locator(".t-do-label").click()
    said(panels, f"labelled: toad {half}")
    panels.locator(".t-do-export").click()
    said(panels, "labels.csv")
    with open(folder / "runs/explorer/labels.csv", encoding="utf-8", newline="") as file:
        assert [row["my label"] for row in csv.DictReader(file)].count("toad") == half
    for _ in range(2):
        panels.locator(".t-do-undo").click()
    said(panels, "0 marked")


def test_what_is_marked_in_one_map_is_marked_in_the_other(panels):
    panels.locator(".t-beside select").select_option("before")
    panels.wait_for_selector(".t-second circle")
    for width, height in SIZES:
        panels.set_viewport_size({"width": width, "height": height})
        panels.wait_for_timeout(500)
        shown(panels, ".t-scatter")
        keep(panels, f"two_maps_{width}")
        maps = [panels.locator(part).bounding_box() for part in (".t-scatter svg", ".t-second svg")]
        for box in [*maps, panels.locator(".acssm-beside .t-image").bounding_box()]:
            assert_inside(panels, box, "two maps")
        assert maps[0]["width"] == pytest.approx(maps[1]["width"], abs=1) and maps[0]["width"] > 230
    panels.set_viewport_size({"width": 1366, "height": 768})
    shown(panels, ".t-scatter")
    lasso(panels, ".t-second", bottom=0.5)
    panels.wait_for_selector(".t-scatter .marked")
    marked = [
        panels.locator(f"{part} .marked").evaluate_all("dots => dots.map((dot) => dot.dataset.i)")
        for part in (".t-scatter", ".t-second")
    ]
    assert marked[0] == marked[1] and 0 < len(marked[0]) < 40
    panels.locator(".t-second circle[data-i='7']").click(force=True)
    panels.wait_for_selector(".t-scatter [data-i='7'][aria-pressed='true']")
    panels.locator(".t-do-undo").click()
    said(panels, "0 marked")
    panels.locator(".t-beside select").select_option("(none)")
    panels.wait_for_selector(".t-second", state="detached")


def test_ranks_of_neighbours_that_crowd_lie_beside_one_another(panels):
    shown(panels, ".t-scatter")
    for clip in range(0, 40, 8):
        panels.locator(f".t-scatter [data-i='{clip}']").focus()
        panels.keyboard.press("Enter")
        panels.wait_for_selector(f".t-scatter [data-i='{clip}'][aria-pressed='true']")
        panels.wait_for_timeout(1_000)  # the rings glide
        boxes = panels.locator(".t-scatter text").evaluate_all("""ranks => ranks.map((rank) => {
            const { x, y, width, height } = rank.getBoundingClientRect();
            return [x, y, width, height];
        })""")
        assert len(boxes) == 4
        for (x, y, width, height), (other_x, other_y, _, _) in itertools.combinations(boxes, 2):
            assert abs(x - other_x) >= width or abs(y - other_y) >= 0.7 * height


def places(page):
    return page.locator(".t-scatter [data-i]").evaluate_all("dots => dots.map((dot) => dot.style.transform)")


def test_zoom_and_move_and_the_way_back(panels):
    whole, box = places(panels), shown(panels, ".t-scatter svg")
    panels.mouse.move(box["x"] + 100, box["y"] + 100)
    top = panels.evaluate("document.querySelector('.t-scatter').getBoundingClientRect().top")
    panels.keyboard.down("Control")
    panels.mouse.wheel(0, -300)
    panels.keyboard.up("Control")
    panels.wait_for_function(
        "before => document.querySelector('.t-scatter [data-i]').style.transform != before", arg=whole[0]
    )
    near = places(panels)
    assert panels.evaluate("document.querySelector('.t-scatter').getBoundingClientRect().top") == top  # no scrolling
    buttons = panels.locator(".t-scatter .acssm-bar button")
    buttons.filter(has_text="move").click()
    lasso(panels, ".t-scatter", 0.2, 0.2, 0.6, 0.6)  # drags the map
    assert places(panels) not in (near, whole) and not panels.locator(".marked").count()
    buttons.filter(has_text="move").click()
    buttons.filter(has_text="whole").click()
    assert places(panels) == whole
    buttons.filter(has_text="+").click()
    assert places(panels) != whole
    buttons.filter(has_text="−").click()
    assert places(panels) == whole


def test_the_explorer_works_by_keyboard_alone(panels):
    def key(*names):
        for name in names:
            panels.keyboard.press(name)

    def focused():
        return panels.evaluate("document.activeElement.dataset.i")

    panels.locator(".t-colour select").focus()
    key("Tab")
    first = focused()
    assert first is not None
    key("ArrowDown")
    chosen = focused()
    if chosen == first:  # nothing lies below it
        key("ArrowUp")
        chosen = focused()
    assert chosen != first
    key("Enter")
    panels.wait_for_function(
        "i => document.querySelector('.acssm-clip .t-label').innerText.startsWith(`clip ${i}:`)", arg=chosen
    )
    whole = places(panels)
    key("m", "Shift+ArrowRight", "Shift+ArrowLeft", "Shift+ArrowUp", "Shift+ArrowDown")
    panels.wait_for_function("document.querySelectorAll('.t-scatter .marked').length > 2")
    keep(panels, "keyboard")
    marked = panels.locator(".t-scatter .marked").count()
    said(panels, f"{marked} marked")
    key("+", "+")
    assert places(panels) != whole
    key("0")
    assert places(panels) == whole
    key("Tab", "Space")  # hear
    panels.wait_for_selector(".t-scatter .heard")
    key("Tab", "n", "e", "w", "t", "Tab")  # the word, and label
    key("Space")
    said(panels, f"labelled: newt {marked}")
    key("Tab", "Space")  # undo
    panels.wait_for_function("!document.querySelector('.t-told').innerText.includes('newt')")
    key("Tab", "Tab", "Tab", "Space")  # over export and the button of the clip to that of its first neighbour
    panels.wait_for_function("document.querySelector('.acssm-clip .t-label').innerText.includes('hear neighbour 1')")
    panels.locator(f".t-scatter [data-i='{chosen}']").focus()
    key("Escape")
    said(panels, "0 marked")
    assert panels.locator(".jp-Cell").count() == len(MADE)  # no key went to the page


def test_the_other_panels_work_by_keyboard(panels):
    image = panels.locator(".t-panel:has(.t-n_fft) .t-image")
    shown(panels, ".t-panel:has(.t-n_fft)")
    before = image.screenshot()
    panels.locator(".t-n_fft select").focus()
    panels.keyboard.type("2")  # 256
    changed(panels, image, before)
    image = panels.locator(".t-panel:has(.t-dt) .t-image")
    shown(panels, ".t-panel:has(.t-dt)")
    before = image.screenshot()
    panels.locator(".t-dt .noUi-handle").focus()
    panels.keyboard.press("ArrowRight")
    changed(panels, image, before)
    shown(panels, ".ls-page")
    panels.locator(".ls-page").focus()
    panels.keyboard.press("Shift+Digit2")
    panels.wait_for_function("document.querySelectorAll('.ls-button[aria-pressed=true]').length == 1")
    assert panels.locator(".jp-Cell").count() == len(MADE)


def test_a_page_that_is_not_trusted_says_how_to_get_its_panel(page, lab):
    page.goto(f"{lab}/lab/tree/untrusted.ipynb?token=course&reset")
    text = page.get_by_text("EmbeddingPanel: run this cell to use it")
    text.wait_for()
    text.scroll_into_view_if_needed()
    keep(page, "not_trusted")
    assert not page.locator(".t-panel").count()
    end_kernels(lab)


def test_panels_fit_small_screens_as_a_page_of_voila(page, folder):
    with server(folder, "voila", "made.ipynb", "--Voila.ip=127.0.0.1") as base:
        page.goto(base)
        page.wait_for_selector(".ls-picture[src]", state="attached")
        assert_all_fit(page, "voila")


@pytest.mark.skipif(importlib.util.find_spec("notebook") is None, reason="needs Notebook 7, which no extra installs")
def test_panels_fit_small_screens_in_notebook_7(page, folder):
    with jupyterlab(folder, "notebook", "JupyterNotebookApp") as base:
        page.goto(f"{base}/notebooks/made.ipynb?token=course")
        page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]')
        for _ in range(4):  # a kernel that has just started may swallow the first command
            page.evaluate("jupyterapp.commands.execute('notebook:run-all-cells')")
            with contextlib.suppress(sync_api.TimeoutError):
                page.wait_for_selector(".ls-picture[src]", state="attached", timeout=MINUTE / 3)
                break
        assert_all_fit(page, "notebook7")
        end_kernels(base)
