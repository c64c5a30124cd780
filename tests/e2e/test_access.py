"""Usable by keyboard, by screen reader, on a phone, in the dark: what a machine can check of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ElementHandle, Locator, Page, expect

from tests.e2e.conftest import App
from tests.e2e.steps import SLOW, open_page, open_tab

TABS = ("Train", "Batch", "Tokenizer", "Compare", "Attention", "Inside", "Sample", "Streaming")
SETTLED = "![...document.querySelectorAll('.pg-waiting')].some((e) => e.offsetParent !== null)"  # nothing is dimmed
STILL = (
    "document.getAnimations().every((a) => a.playState !== 'running' || a.effect.getTiming().iterations === Infinity)"
)
GRADIOS_OWN = {"image-redundant-alt"}  # the logo in Gradio's footer
OF_COLOURS = ["color-contrast", "link-in-text-block"]  # axe's rules that another theme can break


def themes(page: Page) -> Iterator[str]:
    """Light, then dark: the page takes its colours from a class of its body, as Gradio sets it for `?__theme=dark`."""
    for theme in ("light", "dark"):
        page.evaluate("(dark) => document.body.classList.toggle('dark', dark)", theme == "dark")
        page.wait_for_timeout(200)  # components that draw on a canvas repaint after a change of the class
        page.wait_for_function(STILL, timeout=SLOW)
        yield theme


def serious(page: Page, changed: Locator | None = None) -> list[tuple[str, str, str]]:
    """What axe calls serious or critical, each with the theme and one place: all rules in the light, those of colours in the
    dark, where nothing else is different. `changed` is the part of a page that had been analyzed before: colours, which
    are most of the work, are looked at only there.
    """
    if not page.evaluate("!!window.axe"):
        page.evaluate(Axe().axe_script)
    part = changed.element_handle() if changed else None
    found = []
    for theme in themes(page):
        violations = run_axe(page, {"runOnly": OF_COLOURS}, part)
        if theme == "light":
            violations += run_axe(page, {"rules": {rule: {"enabled": False} for rule in OF_COLOURS}})
        for violation in violations:
            if violation["impact"] in ("serious", "critical") and violation["id"] not in GRADIOS_OWN:
                found.append((theme, violation["id"], violation["nodes"][0]["html"][:200]))
    return found


def run_axe(page: Page, options: dict[str, object], part: ElementHandle | None = None) -> list[dict[str, Any]]:
    """The violations that axe finds on a page, or in a part of it."""
    script = "async ([part, options]) => (await axe.run(part ?? document, options)).violations"
    return page.evaluate(script, [part, {"resultTypes": ["violations"], **options}])


def test_axe_finds_nothing_serious_on_any_tab(page: Page, app: App) -> None:
    open_page(page, f"{app.url}?__theme=light")
    for tab in TABS:
        open_tab(page, tab)
        page.wait_for_timeout(1500)
        page.wait_for_function(SETTLED, timeout=SLOW)
        assert not serious(page), tab


def test_axe_finds_nothing_serious_in_any_view_inside(page: Page, app: App) -> None:
    open_page(page, f"{app.url}?__theme=light", "Inside")
    expect(page.locator("#inside-run input")).not_to_have_value("", timeout=SLOW)
    page.locator("#inside-text textarea").fill("Mia had a red ball.")  # axe looks at every token
    page.locator("#inside-look").click()
    expect(page.locator("#inside-lens .pg-token:visible")).to_have_count(19, timeout=SLOW)
    found = {}
    for view in (
        "Heads",
        "Ablation & patching",
        "One head, step by step",
        "Experts",
        "Embeddings",
        "Positions",
        "Probes",
        "Search",
    ):
        open_tab(page, view)
        expect(page.locator(".pg-alert-busy:visible")).to_have_count(0, timeout=SLOW)
        page.wait_for_function(SETTLED, timeout=SLOW)
        panel = page.locator("#inside-tabs [role=tabpanel]:visible")
        expect(panel).to_have_count(1)
        found[view] = serious(page, panel if found else None)
    open_tab(page, "Attention")
    page.locator("#reading-induction").click()
    expect(page.locator(".pg-guide")).to_be_visible(timeout=SLOW)
    expect(page.locator('.pg-head-cards [data-step="0"]')).to_be_visible(timeout=SLOW)  # where the reading begins
    page.wait_for_function(SETTLED, timeout=SLOW)
    page.locator("#attention-grid").get_by_text("Zero", exact=True).click()
    expect(page.locator(".pg-head-cards .pg-verdict")).to_contain_text("nats per token", timeout=SLOW)
    page.wait_for_function(SETTLED, timeout=SLOW)
    found["Attention"] = serious(page)
    assert not {view: what for view, what in found.items() if what}


def test_nothing_scrolls_sideways_on_a_phone(page: Page, app: App) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, f"{app.url}?__theme=light")
    for tab in TABS:
        open_tab(page, tab)
        page.wait_for_timeout(800)
        for theme in themes(page):
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, (tab, theme)


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
