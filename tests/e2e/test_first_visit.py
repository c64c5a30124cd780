"""What a browser fetches on a first and on a second visit."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import expect

from tests.e2e.conftest import App, Watch
from tests.e2e.steps import SLOW, wait_for

PLOTLY = "plotly.min.js"


def visit(page: Any, address: str) -> tuple[list[str], int]:
    """The addresses that are fetched over the network until the page is at rest, and their bytes with headers."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.enable")
    urls, sizes, cached = {}, {}, set()
    devtools.on("Network.requestWillBeSent", lambda event: urls.update({event["requestId"]: event["request"]["url"]}))
    devtools.on("Network.requestServedFromCache", lambda event: cached.add(event["requestId"]))
    devtools.on("Network.loadingFinished", lambda event: sizes.update({event["requestId"]: event["encodedDataLength"]}))
    page.goto(address)
    expect(page.locator("#start")).to_be_enabled(timeout=SLOW)
    expect(page.get_by_text("parameters ·")).to_be_visible(timeout=SLOW)
    page.wait_for_timeout(500)
    found = [url for key, url in urls.items() if key not in cached and sizes.get(key) and url.startswith("http")]
    devtools.detach()
    return found, sum(sizes.values())


def test_a_first_visit_is_small_and_a_second_fetches_no_file_again(watch: Watch, own_app: App) -> None:
    page = watch.context().new_page()  # without a cache
    first, size = visit(page, own_app.url)
    assert size < 700_000
    assert not [url for url in first if PLOTLY in url]
    named = set(page.locator("link[rel='modulepreload']").evaluate_all("(all) => all.map((each) => each.href)"))
    off = set(page.locator("link[disabled]").evaluate_all("(all) => all.map((each) => each.href)"))
    scripts = [url for url in first if re.search(r"/assets/.*\.js$|/scripts/", url)]
    assert sorted(scripts) == sorted(named)  # one that is missing is late, one too many is fetched for nothing
    assert len(off) > 20
    assert not off & set(first)
    assert page.evaluate(
        "gradio_config.dependencies.constructor !== Array"
    )  # early.js keeps Svelte's proxies away from it
    second, _ = visit(page, own_app.url)
    assert not [url for url in second if re.search(r"/assets/|/scripts/|/gradio-styles/", url)]


def test_plotly_is_fetched_with_the_first_chart(page: Any, own_app: App) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(own_app.url)
    expect(page.get_by_text("parameters ·")).to_be_visible(timeout=SLOW)
    assert not [url for url in asked if PLOTLY in url]
    page.get_by_role("tab", name="Compare").click()
    expect(page.locator("#race-view .js-plotly-plot").first).to_be_visible(timeout=SLOW)
    wait_for(lambda: sum(PLOTLY in url for url in asked) == 1)
