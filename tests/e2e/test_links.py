"""Addresses that open what somebody else has seen, in the browser; the page behind a prefix, and in a frame."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from playwright.sync_api import Page, expect

from tests.e2e.conftest import App, Watch
from tests.e2e.steps import SLOW, open_page, open_tab


def copied(page: Page, button: str) -> str:
    page.locator(button).first.click()
    expect(page.locator("#link .pg-link-panel")).to_be_visible(timeout=SLOW)
    expect(page.locator("#link strong")).to_contain_text(re.compile("link", re.IGNORECASE), timeout=SLOW)
    return page.locator("#link input").input_value()


def test_a_view_is_opened_again_by_its_link(page: Page, watch: Watch, app: App) -> None:
    open_page(page, app.url, "Inside")
    expect(page.locator("#inside-run input")).not_to_have_value("", timeout=SLOW)
    page.locator("#inside-text textarea").fill("The fox & <b>the crow</b>")
    link = copied(page, "#link button")
    assert parse_qs(urlsplit(link).query)["text"] == ["The fox & <b>the crow</b>"]
    other = watch.context().new_page()
    other.goto(link)
    expect(other.get_by_role("tab", name="Inside", exact=True)).to_have_attribute("aria-selected", "true", timeout=SLOW)
    expect(other.locator("#inside-text textarea")).to_have_value("The fox & <b>the crow</b>", timeout=SLOW)
    run = page.locator("#inside-run input").input_value()
    expect(other.locator("#inside-run input")).to_have_value(run, timeout=SLOW)
    expect(other.locator("#inside-lens")).to_contain_text("c", timeout=SLOW)


def test_a_set_up_travels_in_its_link(page: Page, app: App) -> None:
    setup = {
        "preset": "classic",
        "corpus": "sort",
        "model": {"n_layer": 3},
        "train": {"steps": 150, "optimizer": "muon"},
    }
    open_page(page, f"{app.url}?{urlencode({'setup': json.dumps(setup)})}")
    expect(page.get_by_role("radio", name="Classic")).to_be_checked(timeout=SLOW)
    expect(page.get_by_label("number input for Layers").first).to_have_value("3", timeout=SLOW)
    link = copied(page, "#setup-link")
    assert json.loads(parse_qs(urlsplit(link).query)["setup"][0]) == setup
    page.goto(f"{app.url}?{urlencode({'setup': json.dumps({'preset': '<b>x</b>'})})}")
    expect(page.get_by_text("Preset must be one of").first).to_contain_text("<b>x</b>", timeout=SLOW)
    open_tab(page, "Attention")  # nothing else is broken


@contextmanager
def framed(url: str) -> Iterator[str]:
    """The address of a page of another site (localhost is not 127.0.0.1) that shows `url` in a frame."""

    class Framing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f'<iframe src="{url}" width=1200 height=800></iframe>'.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Framing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


def test_the_page_works_in_a_frame_of_another_site(page: Page, app: App) -> None:
    """As a Space shows it: in a frame, where storage and clipboard may be refused."""
    with framed(app.url) as address:
        page.goto(address)
        frame = page.frame_locator("iframe")
        expect(frame.locator("#estimate")).to_contain_text("parameters", timeout=SLOW)
        frame.get_by_role("tab", name="Attention", exact=True).click()
        expect(frame.locator("#attention-grid .pg-readout").first).to_contain_text("→", timeout=SLOW)
