"""A real browser on a real app: every test fails on a page error and on any request that leaves this machine."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, WebError, sync_playwright

from tests import texts

VIEWPORT: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}}
PROJECT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The two pages with which Chromium fills its address bar cost a third of a new page's CPU time, though nobody sees them
# here. Only the last of such options counts, so what Playwright switches off is named again.
SWITCHED_OFF = [
    "WebUIOmniboxPopup", "WebUIOmniboxAimPopup",
    "AimEnabled", "AvoidCorsURLLoaderRestartOnRedirect", "AvoidUnnecessaryBeforeUnloadCheckSync",
    "DestroyProfileOnBrowserClose", "HttpsFirstBalancedModeAutoEnable", "HttpsUpgrades", "LensOverlay", "MediaRouter",
    "NetworkTimeServiceQuerying", "OptimizationHints", "PaintHolding", "PreconnectToSearch", "TcpPortRandomizationWin",
    "ThirdPartyStoragePartitioning",
]  # fmt: skip
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", f"--disable-features={','.join(SWITCHED_OFF)}",
]  # fmt: skip
FAILED = pytest.StashKey[bool]()  # of a test


def browser_path() -> str | None:
    return os.environ.get("CHROMIUM") or next((path for path in map(shutil.which, BROWSERS) if path), None)


@dataclass
class App:
    """The app as its own process, on a store of its own, which can be killed and started again."""

    data: Path
    public: bool = False
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    settings: dict[str, str] = field(default_factory=dict)  # environment variables of the host's
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        self.log = self.data.parent / f"{self.data.name}.log"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> App:
        variables = {
            "PLAYGROUND_DATA": str(self.data / "runs"), "PLAYGROUND_CACHE": str(self.data / "corpora"),
            "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "no_proxy": "localhost,127.0.0.1",
            **self.settings,
        }  # fmt: skip
        options = ["--no-browser", "--port", str(self.port), *(["--public"] if self.public else [])]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(PROJECT / "app.py"), *options], env={**os.environ, **variables}, cwd=PROJECT,
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        for _ in range(1_200):
            if self.process.poll() is not None:
                break
            try:
                urllib.request.urlopen(self.url, timeout=2).close()
                return self
            except OSError:
                time.sleep(0.1)
        self.stop(signal.SIGKILL)
        raise RuntimeError("the app did not start:\n" + self.log.read_text(errors="replace"))

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def end_workers(data: Path) -> None:
    """Workers outlive the app by design; a test's must not outlive the test."""
    from playground.runs.queue.launcher import Launcher
    from playground.runs.races import jobs
    from playground.runs.store.run_store import RunStore

    store = RunStore(data / "runs")
    launcher = Launcher(store, spare=False)
    for job in jobs(store):
        if job.status().active:
            launcher.stop(job.id)
    deadline = time.monotonic() + 30
    while any(job.status().active for job in jobs(store)) and time.monotonic() < deadline:
        time.sleep(0.1)
    launcher.close()


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """One app for all tests that do not restart it."""
    app = App(tmp_path_factory.mktemp("app") / "data", settings={"PLAYGROUND_FRAMES": "http://localhost:*"}).start()
    yield app
    app.stop()
    end_workers(app.data)


@dataclass
class Reused:
    """An app that one test after the other has for itself: emptied in between, started again if a test has ended it."""

    app: App

    def begin(self) -> App:
        return self.app if self.app.alive else self.app.start()

    def empty(self) -> None:
        end_workers(self.app.data)
        for folder in (self.app.data / "runs").glob("*"):
            if re.fullmatch(r"[0-9a-f]{32}", folder.name):
                shutil.rmtree(folder, ignore_errors=True)

    def end(self) -> None:
        self.app.stop()
        end_workers(self.app.data)


@pytest.fixture(scope="session")
def reused_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reused]:
    reused = Reused(App(tmp_path_factory.mktemp("own") / "data"))
    yield reused
    reused.end()


@pytest.fixture(scope="session")
def reused_public_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reused]:
    reused = Reused(App(tmp_path_factory.mktemp("public") / "data", public=True))
    yield reused
    reused.end()


@pytest.fixture
def own_app(reused_app: Reused) -> Iterator[App]:
    """An app without runs, for one test, which may kill it."""
    yield reused_app.begin()
    reused_app.empty()


@pytest.fixture
def public_app(reused_public_app: Reused) -> Iterator[App]:
    """An app as on a Space, where visitors are strangers to each other; without runs."""
    yield reused_public_app.begin()
    reused_public_app.empty()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        yield browser
        browser.close()


class Watch:
    """Contexts in which any script error, and any request to somewhere else, is remembered."""

    home = ("http://127.0.0.1", "ws://127.0.0.1", "http://localhost", "data:", "blob:", "about:")

    def __init__(self, browser: Browser) -> None:
        self.browser, self.contexts = browser, []
        self.errors: list[str] = []
        self.strangers: list[str] = []

    def context(self, **options: object) -> BrowserContext:
        """A visitor: a browser window with storage of its own."""
        context = self.browser.new_context(**VIEWPORT, **options)
        self.contexts.append(context)
        return self.follow(context)

    def follow(self, context: BrowserContext) -> BrowserContext:
        """Remember what happens in a context from now on."""
        context.set_default_timeout(60_000)
        context.on("weberror", self._fail)
        context.on("request", self._ask)
        return context

    def leave(self, context: BrowserContext) -> None:
        context.remove_listener("weberror", self._fail)
        context.remove_listener("request", self._ask)

    def _fail(self, error: WebError) -> None:
        self.errors.append(str(error.error))

    def _ask(self, request: Request) -> None:
        if not request.url.startswith(self.home):
            self.strangers.append(request.url)


@pytest.fixture
def watch(browser: Browser) -> Iterator[Watch]:
    """Makes visitors; afterwards nothing may have broken, and nothing may have left this machine."""
    watch = Watch(browser)
    yield watch
    for context in watch.contexts:
        context.close()
    assert not watch.errors, watch.errors
    assert not watch.strangers, watch.strangers


def origin(address: str) -> str:
    return "/".join(address.split("/")[:3])


class Window:
    """A browser window with one page, for all tests of a worker that need no more: the cache has the app's scripts, and the
    page's process has compiled them, which is a quarter of what it costs to open the app.

    Each test gets the page empty and without anything stored. A page that has been given handlers or scripts, that has been
    to several sites, or whose test has failed is not used again.
    """

    # What a page remembers when it goes to another address.
    lasting = (
        "add_init_script", "add_locator_handler", "emulate_media", "expose_binding", "expose_function", "on", "once",
        "route", "route_from_har", "route_web_socket", "set_default_navigation_timeout", "set_default_timeout",
        "set_extra_http_headers",
    )  # fmt: skip

    def __init__(self, browser: Browser, script: str = "") -> None:
        """`script` runs before those of every page."""
        self.context = browser.new_context(**VIEWPORT)
        if script:
            self.context.add_init_script(script)
        self._page: Page | None = None
        self._changed = False
        self._origins: set[str] = set()

    def visit(self, watch: Watch, test: pytest.Item) -> Iterator[Page]:
        """A new visitor's page."""
        watch.follow(self.context)
        page = self._page = self._page or self._new()
        yield page
        for other in self.context.pages:
            if other is not page:
                other.close()
        watch.leave(self.context)  # a script that is interrupted below may fail
        known = self._origins <= {origin(page.url)}
        if self._changed or test.stash.get(FAILED, True) or page.is_closed() or not known:
            page.close()
            self._page = page = self._new()
        else:
            page.evaluate("(stored) => { window.name = ''; if (stored) sessionStorage.clear(); }", bool(self._origins))
            page.goto("about:blank")
            page.mouse.move(0, 0)
            page.set_viewport_size(VIEWPORT["viewport"])
        self._forget(page)
        self.context.clear_permissions()

    def _new(self) -> Page:
        page = self.context.new_page()
        self._changed = False
        page.on(
            "framenavigated",
            lambda frame: self._origins.add(origin(frame.url)) if frame.url.startswith("http") else None,
        )
        for name in self.lasting:
            setattr(page, name, partial(self._change, getattr(page, name)))
        return page

    def _change(self, method: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        self._changed = True
        return method(*arguments, **options)

    def _forget(self, page: Page) -> None:
        """Clear what the sites that were visited have stored."""
        cleaner = self.context.new_cdp_session(page)
        for site in self._origins:
            kinds = "cookies,local_storage,indexeddb,websql,service_workers,cache_storage"
            cleaner.send("Storage.clearDataForOrigin", {"origin": site, "storageTypes": kinds})
        cleaner.detach()
        self._origins.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = report.failed or item.stash.get(FAILED, False)
    return report


@pytest.fixture(scope="session")
def window(browser: Browser) -> Iterator[Window]:
    window = Window(browser)
    yield window
    window.context.close()


@pytest.fixture
def page(watch: Watch, window: Window, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A new visitor's page: nothing is stored from before, only the cache is warm."""
    yield from window.visit(watch, request.node)


@pytest.fixture(scope="session")
def real_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a text that people know."""
    return shutil.copyfile(texts.real_text(), tmp_path_factory.mktemp("text") / "text.txt")
