"""Usable by keyboard, by screen reader, on a phone, in the dark: what a machine can check of it."""

from __future__ import annotations

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.e2e.conftest import App
from tests.e2e.steps import SLOW, open_page, open_tab

TABS = ("Train", "Batch", "Tokenizer", "Compare", "Attention", "Inside", "Sample", "Streaming")
SETTLED = "![...document.querySelectorAll('.pg-waiting')].some((e) => e.offsetParent !== null)"  # nothing is dimmed
GRADIOS_OWN = {"image-redundant-alt"}  # the logo in Gradio's footer


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_tab(page: Page, app: App, theme: str) -> None:
    open_page(page, f"{app.url}?__theme={theme}")
    for tab in TABS:
        open_tab(page, tab)
        page.wait_for_timeout(1500)
        page.wait_for_function(SETTLED, timeout=SLOW)
        found = Axe().run(page).response["violations"]
        serious = [
            (tab, violation["id"], violation["nodes"][0]["html"][:200])
            for violation in found
            if violation["impact"] in ("serious", "critical") and violation["id"] not in GRADIOS_OWN
        ]
        assert not serious, serious


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_scrolls_sideways_on_a_phone(page: Page, app: App, theme: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, f"{app.url}?__theme={theme}")
    for tab in TABS:
        open_tab(page, tab)
        page.wait_for_timeout(800)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, tab


def test_a_first_run_needs_no_mouse(page: Page, app: App) -> None:
    open_page(page, app.url)
    page.get_by_role("radio", name="Classic").focus()
    page.keyboard.press("Space")
    expect(page.get_by_text("learned positions · LayerNorm").last).to_be_visible(timeout=SLOW)
    page.get_by_label("range slider for Layers").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_label("number input for Layers")).to_have_value("3")
    page.get_by_label("number input for Steps").fill("50")
    page.locator("#start").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#live-run")).to_contain_text("of 50", timeout=SLOW)
    page.get_by_role("tab", name="Train", exact=True).focus()
    page.keyboard.press("ArrowRight")
    page.locator("#stop-run").focus()
    page.keyboard.press("Enter")
