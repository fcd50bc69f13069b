"""Pages 01, 03 and 07, run whole in JupyterLab and voila; ``test_panels_browser`` has their panels alone, in seconds.

By `make test-browser`, offline.
"""
# ruff: noqa: F401, F811

import shutil

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
)

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    shutil.copytree(NOTEBOOKS, folder / "notebooks")
    page = folder / "notebooks/03_s4d.ipynb"  # the panel needs no memory task: a tenth of its steps will do
    text = page.read_text(encoding="utf-8").replace("memory_steps = 200", "memory_steps = 20")
    page.write_text(text, encoding="utf-8")
    with jupyterlab(folder) as base:
        yield base


@pytest.fixture(autouse=True)
def no_kernel_left(request):
    yield
    if "lab" in request.fixturenames:
        end_kernels(request.getfixturevalue("lab"))


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


def test_clicking_a_point_of_the_map_plays_and_shows_that_clip(page, lab):
    run_all(page, lab, "07_explore_embeddings")
    name, caption = click_a_point(page, 5)
    assert name.split(",")[0] in caption
    before = page.locator(".t-scatter").screenshot()
    page.locator(".t-colour select").select_option("loudness")
    changed(page, page.locator(".t-scatter"), before)
    page.locator(".t-colour select").select_option("class")
    page.locator(".t-beside select").select_option("before")
    page.wait_for_selector(".t-second circle")
    page.wait_for_timeout(1_000)  # the dots glide
    lasso(page, ".t-scatter", right=0.5, bottom=0.5)
    page.wait_for_selector(".t-second circle.marked")
    keep(page.locator(".t-panel"), "panel_embedding")


def test_the_explorer_works_as_a_page_of_voila(page, tmp_path):
    shutil.copytree(NOTEBOOKS, tmp_path / "notebooks")
    with server(tmp_path, "voila", "07_explore_embeddings.ipynb", "--Voila.ip=127.0.0.1") as base:
        page.goto(base)
        page.wait_for_selector(".t-scatter circle")
        name, caption = click_a_point(page, 5)
        assert name.split(",")[0] in caption
