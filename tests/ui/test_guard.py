"""Pages of other sites can change nothing, and no body is read for ever."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import gradio as gr
import pytest
from gradio.routes import App
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from playground.ui.server.event_queue import weight
from playground.ui.server.guard import RequestGuard
from playground.ui.server.uploads import Uploads

HOST = "http://localhost"


@pytest.fixture
def client() -> TestClient:
    async def echo(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    paths = ("/call/train", "/gradio_api/upload", "/gradio_api/file={path:path}")
    routes = [Route(path, echo, methods=["GET", "POST", "DELETE"]) for path in paths]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(RequestGuard, max_body=1_000_000)]), HOST)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # a program
        ({"origin": HOST}, 200),
        ({"origin": HOST, "sec-fetch-site": "same-origin"}, 200),
        ({"origin": "https://evil.example", "x-forwarded-host": "evil.example"}, 403),  # a page can write that too
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost.evil.example"}, 403),
        ({"origin": f"{HOST}:8080"}, 403),
        ({"origin": HOST, "sec-fetch-site": "cross-site"}, 403),  # what the browser says counts
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.example", "content-type": "text/plain"}, 403),
    ],
)
def test_a_page_of_another_site_changes_nothing(client: TestClient, headers: dict[str, str], status: int) -> None:
    for method in ("POST", "DELETE"):
        assert client.request(method, "/call/train", headers=headers).status_code == status
    links = {name: value for name, value in headers.items() if name != "origin"}
    assert client.get("/call/train", headers=links).status_code == 200  # they lead here from anywhere
    assert client.get("/call/train", headers=headers).status_code == (200 if "origin" not in headers else status)


def test_nothing_is_fetched_for_anybody(client: TestClient) -> None:
    for path in (
        "/gradio_api/file=http://127.0.0.1/",
        "/file=HTTPS://example.org/x",
        "/proxy=https://x.hf.space/",
        "/a/proxy=",
    ):
        assert (client.get(path).status_code, client.get(path).text) == (404, "Not Found")
    assert client.get("/call/train?next=/file=http://x/").status_code == 200
    assert client.get("/gradio_api/file=C:/Users/ann/text.txt").text != "Not Found"


def test_answers_are_what_they_say(client: TestClient) -> None:
    assert client.get("/call/train").headers["x-content-type-options"] == "nosniff"


def test_a_body_has_an_end(client: TestClient) -> None:
    assert client.post("/call/train", content=b"x" * 1_000_000).text == "1000000"
    assert client.post("/call/train", content=b"x" * 1_000_001).status_code == 413

    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b"x" * 100_000

    answer = client.post("/call/train", content=endless())  # without a content-length
    assert (answer.status_code, answer.text) == (413, "The request is larger than 1 MB.")
    assert client.post("/gradio_api/upload", content=b"x" * 2_000_000).text == "2000000"  # Gradio limits those
    assert client.post("/call/train", headers={"content-length": "x"}, content=b"").status_code in (400, 413)


def test_what_the_page_has_no_use_for_is_not_there(client: TestClient) -> None:
    for path in (
        "deep_link?session_hash=x",
        "monitoring",
        "monitoring/summary",
        "process_recording",
        "vibe-code/",
        "run-history/x",
    ):
        for prefix in ("/gradio_api/", "/", "/behind/a/prefix/"):
            assert client.get(prefix + path).status_code == 404
            assert client.get(prefix + path).text == "Not Found"


def test_large_bodies_are_few_at_a_time() -> None:
    """Whoever sends another one while too much is being read is sent away; small ones always come through."""

    async def ask(guard: RequestGuard, pieces: list[int], pause: anyio.Event | None = None) -> int:
        sent: list[Any] = []
        waiting = [{"type": "http.request", "body": b"x" * n, "more_body": True} for n in pieces]

        async def receive() -> Any:
            if waiting:
                return waiting.pop(0)
            if pause is not None:
                await pause.wait()
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/call/train", "headers": [], "query_string": b""}
        await guard(scope, receive, send)
        return int(sent[0]["status"])

    async def read(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["more_body"]:
            pass
        await PlainTextResponse("read")(scope, receive, send)

    async def all_of_it() -> None:
        guard, later = RequestGuard(read, max_body=5_000_000, max_held=8_000_000), anyio.Event()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, guard, [2_000_000, 2_000_000], later)
            tasks.start_soon(ask, guard, [3_000_000], later)
            await anyio.wait_all_tasks_blocked()
            assert await ask(guard, [2_000_000]) == 503
            assert await ask(guard, [100_000]) == 200
            assert await ask(guard, [4_000_000, 4_000_000]) == 503
            later.set()
        assert await ask(guard, [2_000_000, 2_000_000]) == 200
        assert await ask(guard, [4_000_000, 4_000_000]) == 413
        assert guard._held == 0

    anyio.run(all_of_it)


def test_uploads_have_room_or_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = Uploads(tmp_path / "new", at_once=1_000, most=2_500)
    assert uploads.begin(None)[0] == 411
    assert uploads.begin(1_001) == (413, "An upload may have 0 MB; this one has 0 MB. Send fewer files.")
    assert [uploads.begin(1_000)[0] for _ in range(3)] == [200, 200, 503], "what is on its way counts"
    uploads.end(1_000)
    uploads.end(1_000)
    kept = tmp_path / "new" / "sha" / "text.txt"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"x" * 1_000)
    broken = tmp_path / "new" / "tmpxyz"
    broken.write_bytes(b"x" * 1_000)
    assert uploads.begin(1_000)[0] == 503
    os.utime(broken, (0, 0))
    os.utime(kept, (0, 0))
    assert uploads.begin(1_000)[0] == 200, "what broke off long ago is gone"
    assert (kept.exists(), broken.exists()) == (True, False)
    monkeypatch.setattr("playground.ui.server.uploads.MIN_FREE", 10**18)
    assert uploads.begin(10)[0] == 507


def test_an_upload_that_is_too_much_is_answered_before_it_is_read(tmp_path: Path) -> None:
    async def echo(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    uploads = Uploads(tmp_path, at_once=1_000_000)
    routes = [Route("/gradio_api/upload", echo, methods=["POST"])]
    app = Starlette(routes=routes, middleware=[Middleware(RequestGuard, max_body=10, uploads=uploads)])
    client = TestClient(app, HOST)
    assert client.post("/gradio_api/upload", content=b"x" * 1_000).text == "1000"
    assert client.post("/gradio_api/upload", content=b"x" * 1_000_001).status_code == 413
    assert client.post("/gradio_api/upload", content=iter([b"x"])).status_code == 411
    assert uploads._coming == 0


def test_what_waits_is_weighed() -> None:
    assert weight(["x" * 1_000_000, {"a": ["é€" * 1_000_000]}]) > 5_000_000
    assert weight(None) < 100
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert weight(deep) > 100_000


@pytest.mark.parametrize(
    "text",
    [
        "", "x", "bytes=", "bytes=-", "bytes=abc", "bytes=0-0,2-3", "bytes=--1", "bytes=1-2-3", "bytes=1--2", "items=0-1",
        "bytes=+1-2", "bytes=" + "9" * 30 + "-", "bytes=0-1;", "bytes=²-³",
    ],
)  # fmt: skip
def test_an_odd_range_is_refused(client: TestClient, text: str) -> None:
    """Gradio fails on several of them."""
    answer = client.get("/gradio_api/file=x", headers={"range": text.encode("utf-8")})
    assert (answer.status_code, answer.text) == (416, "Range must be one range of bytes, such as bytes=0-99.")
    for usual in ("bytes=0-", "bytes=5-99", "bytes=-5"):
        assert client.get("/gradio_api/file=x", headers={"range": usual}).status_code == 200


@pytest.mark.parametrize("limited", [True, False])
@pytest.mark.parametrize(
    ("named", "content_type"),
    [
        (b'name="files"', "multipart/form-data; boundary=X"),
        (b"name=\"files\"; filename*=UTF-8''%00", "multipart/form-data; boundary=X"),
        (b'name="files"; filename="a"', "multipart/form-data; boundary=" + "X" * 5_000),
    ],
)
def test_an_upload_without_a_file_name_or_with_a_broken_form_is_refused(
    tmp_path: Path, named: bytes, content_type: str, limited: bool
) -> None:
    with gr.Blocks(analytics_enabled=False) as demo:
        gr.File()
    demo.max_file_size = None
    uploads = Uploads(tmp_path) if limited else None
    middleware = [Middleware(RequestGuard, uploads=uploads)]
    client = TestClient(App.create_app(demo, app_kwargs={"middleware": middleware}), HOST)
    body = b"--X\r\nContent-Disposition: form-data; " + named + b"\r\n\r\nhello\r\n--X--\r\n"
    answer = client.post("/gradio_api/upload", content=body, headers={"content-type": content_type})
    assert (answer.status_code, answer.text) == (400, "An upload must be a form of files that have names.")


def test_a_component_that_is_not_there_is_not_found_and_an_error_of_ours_stays_one() -> None:
    def fails(_: object) -> None:
        raise KeyError("ours")

    with gr.Blocks(analytics_enabled=False) as demo:
        view = gr.HTML(html_template="<p></p>", js_on_load="1", server_functions=[fails])
    client = TestClient(App.create_app(demo, app_kwargs={"middleware": [Middleware(RequestGuard)]}), HOST)
    request = {"session_hash": "s", "component_id": view._id + 999, "fn_name": "fails", "data": {}}
    answer = client.post("/gradio_api/component_server", json=request)
    assert (answer.status_code, answer.text) == (404, "There is no such component.")
    with pytest.raises(KeyError, match="ours"):
        client.post("/gradio_api/component_server", json={**request, "component_id": view._id})
