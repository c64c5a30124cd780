"""The early script stands first in the page's head, and nothing else that the server says is touched."""

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from playground.ui.server.early import SCRIPT, EarlyScript

PAGE = "<!doctype html><html><head><title>x</title></head><body>Größe &lt;head&gt;</body></html>"


@pytest.fixture(scope="module")
def client():
    def stream(request):
        return StreamingResponse(iter([b"data: <head>\n\n", b"data: more\n\n"]), media_type="text/event-stream")

    routes = [
        Route("/", lambda request: HTMLResponse(PAGE), methods=["GET", "POST"]),
        Route("/json", lambda request: JSONResponse({"text": "<head>"})),
        Route("/stream", stream),
    ]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(EarlyScript)]))


def test_the_page_begins_with_the_script_and_is_otherwise_the_same(client):
    answer = client.get("/")
    tag = f"<script>\n{SCRIPT.read_text('utf-8')}</script>"
    assert answer.text.index(tag) < answer.text.index("<title>")
    assert answer.text.replace("\n" + tag, "", 1) == PAGE
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_everything_else_passes_untouched(client):
    assert client.get("/json").json() == {"text": "<head>"}
    assert client.get("/stream").content == b"data: <head>\n\ndata: more\n\n"
    assert client.post("/").text == PAGE
