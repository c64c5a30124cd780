"""Strangers on one public app, hostile texts, and wrong input."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import App, Watch
from tests.e2e.steps import SLOW, make_small, open_page, open_tab, set_slider, start, tile, wait_for, wait_for_state

HOSTILE = "${window.pwned=1} {{window.pwned=1}} <img src=x onerror=window.pwned=1> `\\ <b>bold</b> \u202e"


def test_visitors_do_not_see_each_others_runs(watch: Watch, public_app: App) -> None:
    mine, theirs = watch.context().new_page(), watch.context().new_page()
    open_page(mine, public_app.url)
    make_small(mine, steps=3000)
    mine.get_by_role("button", name="All training settings").click()
    mine.get_by_label("Name", exact=True).fill("Secret run")
    start(mine)
    wait_for(lambda: tile(mine, "train loss"))
    open_page(theirs, public_app.url)
    theirs.locator("#train-run input").click()
    assert "Secret run" not in theirs.locator("body").inner_text()
    mine.reload()
    wait_for_state(mine, "Training")
    expect(mine.locator("#train-run input")).to_have_value("Secret run")
    mine.locator("#stop-run").click()
    wait_for_state(mine, "Stopped")
    mine.get_by_role("button", name="Continue, rename, share, delete").click()
    mine.locator("#share-run").click()
    link = mine.locator("#link input")
    expect(mine.locator("#link")).to_contain_text("Anyone with this link can view", timeout=SLOW)
    open_page(theirs, link.input_value())
    expect(theirs.locator("#live-run")).to_contain_text("Stopped", timeout=SLOW)
    theirs.get_by_role("button", name="Continue, rename, share, delete").click()
    theirs.locator("#delete-run").click()
    expect(theirs.get_by_text("only its owner can change it").first).to_be_visible(timeout=SLOW)


def test_text_is_shown_as_text(page: Page, app: App) -> None:
    """Names, prompts and model output that look like code or markup stay words."""
    open_page(page, app.url)
    make_small(page, steps=50)
    page.get_by_role("button", name="All training settings").click()
    page.get_by_label("Name", exact=True).fill("<img src=x onerror=window.pwned=1>")
    page.get_by_label("Prompt").filter(visible=True).first.fill(HOSTILE)
    start(page)
    wait_for_state(page, "Finished")
    expect(page.locator("#live-run")).to_contain_text("<img src=x")
    open_tab(page, "Attention")
    page.locator("#attention-text textarea").fill(HOSTILE[:30])
    page.locator("#look").click()
    expect(page.locator("#attention-grid .pg-heads canvas").first).to_be_visible(timeout=SLOW)
    open_tab(page, "Sample")
    page.locator("#sample-prompt textarea").fill(HOSTILE)
    set_slider(page, "Max new tokens", 20)
    page.locator("#generate").click()
    expect(page.locator("#token-text")).to_contain_text("<b>bold</b>", timeout=SLOW)
    open_tab(page, "Compare")
    open_tab(page, "Any runs")
    expect(page.locator("#compare-chart")).to_be_visible(timeout=SLOW)
    page.locator("#compare-runs input").click()
    page.get_by_role("option", name="onerror").first.click()
    page.wait_for_timeout(1500)
    assert page.evaluate("window.pwned") is None
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.txt", b"  \n ", "is empty"),
        ("picture.txt", b"\x89PNG\r\n\x1a\n" + bytes(100), "looks like PNG"),
        ("old.txt", "Grüße".encode("latin-1") * 50, "not UTF-8 text"),
    ],
)
def test_a_wrong_file_gets_one_sentence(page: Page, app: App, name: str, content: bytes, message: str) -> None:
    open_page(page, app.url)
    page.get_by_role("radio", name="Your text").check(force=True)
    page.locator("input[type=file]").set_input_files({"name": name, "mimeType": "text/plain", "buffer": content})
    expect(page.get_by_text(message).first).to_be_visible(timeout=SLOW)
    assert "Traceback" not in page.locator("body").inner_text()


def test_settings_that_do_not_fit_are_explained_and_kept(page: Page, app: App) -> None:
    open_page(page, app.url)
    set_slider(page, "Heads", 3)
    expect(page.locator("#estimate")).to_contain_text("Embedding size 128 is not divisible by 3 heads. Try 126 or 132.")
    page.locator("#start").click()
    expect(page.get_by_text("is not divisible by 3 heads").nth(1)).to_be_visible(timeout=SLOW)
    assert page.get_by_label("number input for Heads", exact=True).input_value() == "3"
    set_slider(page, "Heads", 4)
    expect(page.locator("#estimate")).to_contain_text("parameters")


def test_the_learning_rate_follows_the_width_until_another_is_typed(page: Page, app: App) -> None:
    open_page(page, app.url)
    rate = page.get_by_role("spinbutton", name="Learning rate")
    set_slider(page, "Embedding size (d_model)", 256)
    expect(rate).to_have_value("0.0015", timeout=SLOW)
    expect(page.get_by_text("default for AdamW at embedding size 256")).to_be_visible()
    rate.fill("0.004")
    rate.press("Tab")
    set_slider(page, "Embedding size (d_model)", 512)
    expect(page.locator("#estimate")).to_contain_text("parameters")
    page.wait_for_timeout(1500)
    expect(rate).to_have_value("0.004")


def test_a_text_shorter_than_the_context_is_explained(page: Page, app: App) -> None:
    open_page(page, app.url)
    page.get_by_role("radio", name="Your text").check(force=True)
    page.get_by_label("Paste your text").fill("too short " * 30)
    page.locator("#start").click()
    expect(page.get_by_text("Lower the context length or add text").first).to_be_visible(timeout=SLOW)


def test_an_unknown_run_in_the_address_is_no_accident(page: Page, app: App) -> None:
    open_page(page, app.url + "?run=../../etc/passwd&tab=nonsense")
    expect(page.get_by_role("tab", name="Train", exact=True)).to_have_attribute("aria-selected", "true")
