"""The page and JSON are compressed, and files with a hash in their name are cacheable; all else is untouched."""

import gzip

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from playground.ui.server.delivery import IMMUTABLE, MIN_BYTES, Delivery

LONG = "Größe " * MIN_BYTES
ASSETS = "/assets/Index-DTuG5Jnm.js"


@pytest.fixture(scope="module")
def client():
    def encoded(request):
        return Response(b"x" * 5000, headers={"content-encoding": "br"}, media_type="text/css")

    def events(request):
        return StreamingResponse(iter([LONG, LONG]), media_type="text/event-stream")

    def parts(request):
        return StreamingResponse(iter([LONG, LONG]), media_type="application/json")

    routes = [
        Route("/", lambda request: HTMLResponse(LONG)),
        Route("/json", lambda request: JSONResponse([LONG]), methods=["POST"]),
        Route("/short", lambda request: HTMLResponse("short")),
        Route("/missing", lambda request: HTMLResponse(LONG, 404)),
        Route("/picture", lambda request: Response(b"x" * 5000, media_type="image/png")),
        Route("/encoded", encoded),
        Route("/events", events),
        Route("/parts", parts),
        Route(ASSETS, lambda request: PlainTextResponse(LONG, media_type="text/javascript")),
        Route("/assets/Index-gone9999.js", lambda request: PlainTextResponse(LONG, 404)),
        Route("/assets/plain.js", lambda request: PlainTextResponse(LONG)),
    ]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(Delivery)]))


def raw(client, path, accepted="gzip, br"):
    with client.stream("GET", path, headers={"accept-encoding": accepted}) as answer:
        return answer, b"".join(answer.iter_raw())


@pytest.mark.parametrize("accepted", ["gzip", "br, gzip;q=0.5", "*", "GZIP"])
def test_the_page_is_compressed_for_those_who_accept_it(client, accepted):
    answer, body = raw(client, "/", accepted)
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(body).decode() == LONG
    assert int(answer.headers["content-length"]) == len(body) < len(LONG) / 10
    assert answer.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize("accepted", ["", "identity", "br", "gzip;q=0", "gzip; q=0.000"])
def test_the_page_is_plain_for_others(client, accepted):
    answer, body = raw(client, "/", accepted)
    assert "content-encoding" not in answer.headers
    assert body.decode() == LONG
    assert answer.headers["vary"] == "Accept-Encoding"  # a cache in between must not mix the two up


def test_answers_of_server_functions_are_compressed(client):
    answer = client.post("/json", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.json() == [LONG]


@pytest.mark.parametrize("path", ["/short", "/missing", "/picture", "/events", "/parts"])
def test_everything_else_passes_untouched(client, path):
    (one, body), (other, plain) = raw(client, path), raw(client, path, "identity")
    assert "content-encoding" not in one.headers
    assert body == plain
    assert dict(one.headers) == dict(other.headers)


def test_what_is_compressed_already_is_not_compressed_again(client):
    answer, body = raw(client, "/encoded")
    assert (answer.headers["content-encoding"], body) == ("br", b"x" * 5000)


def test_files_with_a_hash_in_their_name_are_kept_by_the_browser(client):
    assert client.get(ASSETS).headers["cache-control"] == IMMUTABLE
    for path in ("/", "/assets/Index-gone9999.js", "/assets/plain.js"):
        assert "cache-control" not in client.get(path).headers
