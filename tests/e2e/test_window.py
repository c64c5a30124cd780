"""Tests take turns on one page of one browser window, and none can tell what another has done there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.conftest import FAILED, Watch, Window

STORE = """() => { localStorage.a = sessionStorage.a = document.cookie = "a=1"; window.name = "a"; window.a = 1; }"""
STORED = "() => [localStorage.length, sessionStorage.length, document.cookie, window.name, window.a ?? null]"


class Empty(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def sites() -> Iterator[list[str]]:
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), Empty) for _ in range(2)]
    for server in servers:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield [f"http://127.0.0.1:{server.server_port}/" for server in servers]
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("leave", "kept"),
    [
        (lambda page, sites, test: page.set_viewport_size({"width": 390, "height": 844}), True),
        (lambda page, sites, test: page.evaluate("() => void window.open('about:blank')"), True),
        (lambda page, sites, test: page.on("console", lambda message: None), False),
        (lambda page, sites, test: page.add_init_script("window.a = 2"), False),
        (lambda page, sites, test: page.goto(sites[1]), False),
        (lambda page, sites, test: page.goto("about:blank"), False),
        (lambda page, sites, test: page.close(), False),
        (lambda page, sites, test: test.stash.__setitem__(FAILED, True), False),
    ],
    ids=["size", "another", "handler", "script", "sites", "left", "closed", "failed"],
)
def test_a_page_is_used_again_as_if_it_were_new(
    browser: Browser,
    watch: Watch,
    sites: list[str],
    request: pytest.FixtureRequest,
    leave: Callable[..., object],
    kept: bool,
) -> None:
    window, test = Window(browser), request.node
    watch.contexts.append(window.context)

    @contextmanager
    def visit() -> Iterator[Page]:
        yield from window.visit(watch, test)

    with visit() as first:
        first.goto(sites[0])
        assert first.evaluate(STORED) == [0, 0, "", "", None]
        first.evaluate(STORE)
        assert first.evaluate(STORED) == [1, 1, "a=1", "a", 1]
        leave(first, sites, test)
    test.stash[FAILED] = False
    with visit() as second:
        assert (second is first) == kept
        assert window.context.pages == [second]
        assert second.viewport_size == {"width": 1280, "height": 900}
        second.goto(sites[0])
        assert second.evaluate(STORED) == [0, 0, "", "", None]
