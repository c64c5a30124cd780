"""Pages of other sites can change nothing, and no body is read for ever."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from playground.ui.guard import Guard

HOST = "http://testserver"


@pytest.fixture
def client() -> TestClient:
    async def echo(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    paths = ("/call/train", "/gradio_api/upload", "/gradio_api/file={path:path}")
    routes = [Route(path, echo, methods=["GET", "POST", "DELETE"]) for path in paths]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(Guard, max_body=1_000_000)]))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),  # a program
        ({"origin": HOST}, 200),
        ({"origin": HOST, "sec-fetch-site": "same-origin"}, 200),
        ({"origin": "https://playground.example", "x-forwarded-host": "playground.example"}, 200),  # behind a proxy
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://testserver.evil.example"}, 403),
        ({"origin": f"{HOST}:8080"}, 403),
        ({"origin": HOST, "sec-fetch-site": "cross-site"}, 403),  # what the browser says counts
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.example", "content-type": "text/plain"}, 403),
    ],
)
def test_a_page_of_another_site_changes_nothing(client: TestClient, headers: dict[str, str], status: int) -> None:
    for method in ("POST", "DELETE"):
        assert client.request(method, "/call/train", headers=headers).status_code == status
    assert client.get("/call/train", headers=headers).status_code == 200  # links lead here from anywhere


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
