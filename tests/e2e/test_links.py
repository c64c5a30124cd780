"""Addresses that open what somebody else has seen, in the browser; the page behind a prefix, and in a frame."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest
import uvicorn
from playwright.sync_api import Page, expect
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tests.e2e.conftest import App, Watch, end_workers
from tests.e2e.steps import SLOW, make_small, open_page, open_tab, start, wait_for_state


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


REFUSED = """for (const name of ["localStorage", "sessionStorage"]) Object.defineProperty(window, name, {
  get() { throw new DOMException("The operation is insecure.", "SecurityError"); } });
Object.defineProperty(document, "cookie", { get: () => "", set: () => {} });"""


@pytest.mark.parametrize("storage", [True, False])
def test_the_page_works_in_a_frame_of_another_site(page: Page, app: App, storage: bool) -> None:
    """As a Space shows it: in a frame, where a browser that keeps third parties out refuses storage and cookies."""
    if not storage:
        page.add_init_script(REFUSED)
    with framed(app.url) as address:
        page.goto(address)
        frame = page.frame_locator("iframe")
        expect(frame.locator("#estimate")).to_contain_text("parameters", timeout=SLOW)
        frame.get_by_role("tab", name="Attention", exact=True).click()
        expect(frame.locator("#attention-grid .pg-readout").first).to_contain_text("→", timeout=SLOW)


@contextmanager
def behind(app_url: str, prefix: str) -> Iterator[str]:
    """The address of a proxy that has `app_url` under a prefix, and nothing anywhere else."""

    async def forward(request: Request) -> Response:
        path = request.url.path.removeprefix(prefix).lstrip("/")
        passed = [(name, value) for name, value in request.headers.items() if name != "host"]
        asked = client.build_request(
            request.method, f"{app_url}{path}", params=request.query_params, content=await request.body(),
            headers=[*passed, ("x-forwarded-host", request.headers["host"])],
        )  # fmt: skip
        reply = await client.send(asked, stream=True)
        skipped = ("content-length", "transfer-encoding", "connection")
        headers = {name: value for name, value in reply.headers.items() if name not in skipped}
        return StreamingResponse(reply.aiter_raw(), reply.status_code, headers, background=BackgroundTask(reply.aclose))

    client = httpx.AsyncClient(timeout=120, trust_env=False)

    @asynccontextmanager
    async def closing(app: Starlette) -> AsyncIterator[None]:
        yield
        await client.aclose()

    methods = ["GET", "POST", "HEAD"]
    routes = [Route(prefix, forward, methods=methods), Route(prefix + "/{path:path}", forward, methods=methods)]
    server = uvicorn.Server(
        uvicorn.Config(
            Starlette(routes=routes, lifespan=closing), port=0, log_level="error", timeout_graceful_shutdown=1
        )
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}{prefix}/"
    server.should_exit = True
    thread.join(10)


@pytest.fixture
def prefixed(tmp_path: Path) -> Iterator[App]:
    """An app that is told of its prefix, and of server-side rendering, as a Space does."""
    told = {"GRADIO_ROOT_PATH": "/class/room", "GRADIO_SSR_MODE": "True", "PLAYGROUND_PROXIES": "127.0.0.1"}
    app = App(tmp_path / "data", settings=told).start()
    yield app
    app.stop()
    end_workers(app.data)


def test_everything_works_behind_a_prefix(page: Page, prefixed: App) -> None:
    """Scripts, pictures, charts, events and files: whatever asked outside of the prefix would find nothing there."""
    with behind(prefixed.url, "/class/room") as address:
        missing: list[str] = []
        page.on("response", lambda reply: missing.append(reply.url) if reply.status == 404 else None)
        open_page(page, address)
        make_small(page, steps=60)
        start(page)
        wait_for_state(page, "Finished")
        expect(page.locator("#live-run .js-plotly-plot").first).to_be_visible(timeout=SLOW)
        open_tab(page, "Attention")
        expect(page.locator("#attention-grid .pg-heads canvas").first).to_be_visible(timeout=SLOW)
        link = copied(page, "#link button")
        assert link.startswith(address)
        assert missing == []
        page.goto("about:blank")  # whose streams end before the proxy does
