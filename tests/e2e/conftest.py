"""A real browser on a real app: every test fails on a page error and on any request that leaves this machine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests import texts

PROJECT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


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

    def stop(self, how: int = signal.SIGINT) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def end_workers(data: Path) -> None:
    """Workers outlive the app by design; a test's must not outlive the test."""
    from playground.runs.launcher import Launcher
    from playground.runs.races import jobs
    from playground.runs.store import RunStore

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
    app = App(tmp_path_factory.mktemp("app") / "data").start()
    yield app
    app.stop()
    end_workers(app.data)


@pytest.fixture
def own_app(tmp_path: Path) -> Iterator[App]:
    """An app for one test, which may kill it."""
    app = App(tmp_path / "data").start()
    yield app
    app.stop()
    end_workers(app.data)


@pytest.fixture
def public_app(tmp_path: Path) -> Iterator[App]:
    """An app as on a Space, where visitors are strangers to each other."""
    app = App(tmp_path / "data", public=True).start()
    yield app
    app.stop()
    end_workers(app.data)


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
        context = self.browser.new_context(viewport={"width": 1280, "height": 900}, **options)
        context.set_default_timeout(60_000)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.on("request", lambda request: self._ask(request.url))
        self.contexts.append(context)
        return context

    def _ask(self, url: str) -> None:
        if not url.startswith(self.home):
            self.strangers.append(url)


@pytest.fixture
def watch(browser: Browser) -> Iterator[Watch]:
    """Makes visitors; afterwards nothing may have broken, and nothing may have left this machine."""
    watch = Watch(browser)
    yield watch
    for context in watch.contexts:
        context.close()
    assert not watch.errors, watch.errors
    assert not watch.strangers, watch.strangers


@pytest.fixture
def page(watch: Watch) -> Page:
    return watch.context().new_page()


@pytest.fixture(scope="session")
def real_text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of a text that people know."""
    return shutil.copyfile(texts.real_text(), tmp_path_factory.mktemp("text") / "text.txt")
