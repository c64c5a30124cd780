"""The app has a place for a newcomer however many connections others hold, and says if the system gives it few."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_network
from typing import Any

import anyio
import gradio as gr
import pytest
import uvicorn
from gradio.routes import App
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from playground.ui.server import connections
from playground.ui.server.connections import (
    FEW,
    MOST,
    WANTED,
    FairThreads,
    OpenRequests,
    Places,
    allowed,
    limited,
    open_files,
)
from playground.ui.server.logins import MembersOnly

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_whoever_takes_all_gets_half_and_a_newcomer_gets_in() -> None:
    places = Places(100)
    assert sum(places.take("one") for _ in range(1_000)) == 50
    assert sum(places.take("two") for _ in range(1_000)) == 25
    assert places.take("newcomer")
    for _ in range(50):
        places.give_back("one")
    assert sum(places.take("two") for _ in range(1_000)) == 25
    assert sum(places.take(None) for _ in range(1_000)) == 49, "from a proxy, as many as there are"
    assert not places.take("newcomer")


@pytest.mark.parametrize(("files", "most"), [(100, 16), (1_024, 768), (WANTED, MOST)])
def test_open_files_and_connections(files: int, most: int) -> None:
    found, warning = allowed(files)
    assert found == most
    assert bool(warning) == (found < FEW)


def test_few_open_files_are_reported() -> None:
    assert allowed(512)[1] == (
        "The system lets this app open 512 files (ulimit -n), so it accepts 256 connections, about 85 open pages. "
        "Raise the limit to 4,256 for more."
    )


@pytest.mark.parametrize(
    ("soft", "hard", "files"),
    [(256, 1_024, 1_024), (1_024, 10**6, WANTED), (10**6, 10**6, WANTED), (1_024, -1, WANTED), (-1, -1, WANTED)],
)
def test_the_limit_is_raised_as_far_as_it_may(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, files: int
) -> None:
    resource, now = pytest.importorskip("resource"), [(soft, hard)]
    monkeypatch.setattr(resource, "getrlimit", lambda _: now[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, values: now.append(values))
    assert open_files() == files
    assert now[-1][0] in (soft, files)
    assert now[-1][1] == hard


async def endless(scope: Any, receive: Any, send: Any) -> None:
    """Answers /health at once, and everything else never."""
    if scope["path"] == "/health":
        await PlainTextResponse("ok")(scope, receive, send)
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
    await send({"type": "http.response.body", "body": b"x", "more_body": True})
    while (await receive())["type"] != "http.disconnect":
        pass


async def attack(most: int, proxies: tuple[Any, ...], streams: int, request: bytes = REQUEST) -> tuple[int, bytes]:
    """How many of so many streams were answered, and what a newcomer gets: another address while they are open, or a proxy
    after them. All in one event loop."""
    config = uvicorn.Config(endless, http=limited(AutoHTTPProtocol, Places(most), proxies), log_level="warning")
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    address = listening.getsockname()
    opened = [await asyncio.open_connection(*address) for _ in range(streams)]
    for _, writer in opened:
        writer.write(request)
    answers = []
    for reader, _ in opened:
        try:
            answers.append(await asyncio.wait_for(reader.read(1), 1))
        except ConnectionResetError:
            answers.append(b"")
    for _, writer in opened if proxies else []:
        writer.close()
    await asyncio.sleep(0.05)
    reader, writer = await asyncio.open_connection(*address, local_addr=("127.0.0.2", 0))
    writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    told = await asyncio.wait_for(reader.read(15), 2)
    for _, each in [*opened, (reader, writer)]:
        each.close()
    server.should_exit = True
    await serving
    return sum(map(bool, answers)), told


@pytest.mark.parametrize(("proxies", "answered"), [((), 10), ((ip_network("127.0.0.0/8"),), 20)])
def test_a_server_keeps_places(proxies: tuple[Any, ...], answered: int) -> None:
    assert asyncio.run(attack(20, proxies, 30)) == (answered, b"HTTP/1.1 200 OK")


def test_a_connection_without_a_request_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "FIRST_REQUEST_SECONDS", 0.05)
    assert asyncio.run(attack(20, (), 5, b"GET / HTTP/1.1\r\nHost:")) == (0, b"HTTP/1.1 200 OK")
    assert asyncio.run(attack(20, (), 5)) == (5, b"HTTP/1.1 200 OK")


def test_open_requests_are_limited_by_visitor() -> None:
    """As behind a proxy, from which all connections come."""

    async def ask(app: OpenRequests, address: str, release: anyio.Event | None = None) -> int:
        sent: list[Any] = []

        async def receive() -> Any:
            await (release or anyio.Event()).wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await app(
            {"type": "http", "path": "/health" if release is None else "/", "client": (address, 5)}, receive, send
        )
        return int(sent[0]["status"])

    async def all_of_it() -> None:
        app, release = OpenRequests(endless, most=10), anyio.Event()
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(ask, app, "8.8.4.4", release)
            await anyio.wait_all_tasks_blocked()
            assert await ask(app, "8.8.4.4") == 503
            assert await ask(app, "1.1.1.1") == 200
            release.set()
        assert await ask(app, "8.8.4.4") == 200

    anyio.run(all_of_it)


def test_one_network_cannot_use_all_threads() -> None:
    """Its other requests wait, and those of others and of other kinds do not."""

    async def all_of_it() -> None:
        began: list[str] = []
        release = anyio.Event()

        async def answer(scope: Any, receive: Any, send: Any) -> None:
            began.append(scope["client"][0])
            await release.wait()

        app = FairThreads(answer, most=3)

        def ask(address: str, path: str = "/gradio_api/component_server") -> None:
            tasks.start_soon(app, {"type": "http", "path": path, "client": (address, 5)}, None, None)

        async with anyio.create_task_group() as tasks:
            for path in ("component_server", "run/train", "api/train/", "component_server/", "run/status"):
                ask("8.8.4.4", f"/gradio_api/{path}")
            ask("1.1.1.1")
            ask("8.8.4.4", "/health")
            await anyio.wait_all_tasks_blocked()
            assert sorted(began) == ["1.1.1.1", *["8.8.4.4"] * 4]
            release.set()
        assert len(began) == 7
        assert not app._gates

    anyio.run(all_of_it)


@pytest.fixture
def locked() -> TestClient:
    with gr.Blocks(analytics_enabled=False) as demo:
        gr.Markdown()
    demo.auth = lambda name, given: given == "board"
    return TestClient(App.create_app(demo, app_kwargs={"middleware": [Middleware(MembersOnly)]}))


@pytest.mark.parametrize("path", ["heartbeat/x", "stream/x/y/1/playlist.m3u8", "cancel", "reset/"])
def test_streams_are_for_those_who_know_the_password(locked: TestClient, path: str) -> None:
    for headers in ({}, {"cookie": f"access-token-{locked.app.cookie_id}=guess"}):  # type: ignore[attr-defined]
        answer = locked.request(
            "POST" if path in ("cancel", "reset/") else "GET", f"/gradio_api/{path}", headers=headers
        )
        assert (answer.status_code, answer.json()) == (401, {"detail": "Log in first."})
    assert locked.post("/login", data={"username": "x", "password": "board"}).status_code == 200
    assert locked.post("/gradio_api/reset", json={"event_id": "x"}).json() == {"success": True}


def test_the_app_can_start_with_a_password(locked: TestClient) -> None:
    """Gradio asks for this itself, and ends the app if it is refused."""
    assert locked.get("/gradio_api/startup-events").status_code == 200
