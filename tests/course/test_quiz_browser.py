"""What pages 00 and 09 have to play with, in a real browser: the quiz and the listening page.

By `make test-browser`, offline; ``ACSSM_SCREENSHOTS=FOLDER`` keeps the pictures that the site shows in their place.
"""
# ruff: noqa: F401, F811

import pytest

pytest.importorskip("playwright.sync_api")
from browsing import browser, keep, page, run_all
from course.test_browser import lab, no_kernel_left

pytestmark = pytest.mark.browser


def test_the_quiz_of_00_counts_answers_and_tells_no_score_before_the_last(page, lab):
    run_all(page, lab, "00_start_here")
    for question in range(10):
        if question == 4:
            page.wait_for_function("document.querySelector('.t-score').innerText == '4 of 10 answered'")
            keep(page.locator(".t-quiz"), "panel_quiz")  # on the site: no answer is given away
        page.locator(f".t-guess-{question} select").select_option(index=1 + question % 5)
    page.wait_for_function("/^[0-9]+ of 10 right/.test(document.querySelector('.t-score').innerText)")
    assert page.locator(".t-guess-0 select").is_disabled()


def test_a_key_answers_a_question_of_the_listening_page_of_09(page, lab):
    run_all(page, lab, "09_from_card_to_table")
    sheet = page.locator(".ls-page")
    sheet.scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('.ls-picture').naturalWidth > 0")
    keep(sheet, "panel_listening")
    page.locator(".ls-title").click()
    asked = int(sheet.get_attribute("data-asked"))
    page.keyboard.press("0")
    page.wait_for_function("asked => Number(document.querySelector('.ls-page').dataset.asked) > asked", arg=asked)
