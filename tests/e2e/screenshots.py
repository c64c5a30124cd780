"""Take the README's pictures: ``python -m tests.e2e.screenshots docs/screenshots [--all]``.

They show the shipped reference runs, and one short run that is trained for the occasion. With ``--all`` every tab is taken
light and dark, wide and phone-narrow.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.e2e.conftest import FLAGS, App, browser_path, end_workers
from tests.e2e.steps import open_page, open_tab, set_slider, tile, wait_for

TABS = ("train", "compare", "attention", "sample", "tokenizer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--steps", type=int, default=600, help="length of the run in the first picture")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as data, sync_playwright() as playwright:
        app = App(Path(data) / "data").start()
        browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        try:
            _train(browser, app, options.steps)
            looks = [(1280, "light", "")]
            if options.all:
                looks += [(1280, "dark", "-dark"), (390, "light", "-phone"), (390, "dark", "-phone-dark")]
            for width, theme, suffix in looks:
                page = browser.new_page(viewport={"width": width, "height": 860})
                for tab in TABS:
                    _take(page, app, tab, theme, options.folder / f"{tab}{suffix}.png", whole=options.all)
                page.close()
        finally:
            browser.close()
            app.stop()
            end_workers(app.data)


def _train(browser: Browser, app: App, steps: int) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    open_page(page, app.url)
    set_slider(page, "Steps", steps)
    page.locator("#start").click()
    wait_for(lambda: "Finished" in page.locator("#live-run").inner_text(), seconds=1200)
    page.close()


def _take(page: Page, app: App, tab: str, theme: str, path: Path, whole: bool) -> None:
    open_page(page, f"{app.url}?__theme={theme}")
    if tab == "train":
        wait_for(lambda: tile(page, "validation loss"))
    else:
        open_tab(page, tab.capitalize())
    if tab == "compare":
        page.locator("#race input").click()
        page.get_by_role("option", name="Classic against modern on Tales").first.click()
        page.locator("#race-view .js-plotly-plot").first.wait_for()
        page.wait_for_timeout(2500)
    if tab in ("attention", "sample"):
        page.locator(f"#{tab}-run input").click()
        page.get_by_role("option", name="Modern on Tales, seed 0").first.click()
        page.wait_for_timeout(2500)
    if tab == "attention":
        page.locator("#attention-grid .pg-heads canvas").nth(9).click()
    if tab == "sample":
        page.locator("#generate").click()
        page.get_by_text("tokens/s with the KV cache").wait_for()
    if tab == "tokenizer":
        page.locator("#tokenizer-view .pg-piece").nth(150).hover()
    page.wait_for_timeout(1500)
    page.screenshot(path=path, full_page=whole)
    print(path)


if __name__ == "__main__":
    main()
