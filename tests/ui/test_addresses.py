"""The app answers to its own names only, and believes no header of a visitor's about where a request comes from."""

from __future__ import annotations

import socket
from ipaddress import ip_network
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from playground.runs.queue.client_networks import network_of
from playground.runs.queue.hosting import PRIVATE, Hosting
from playground.ui.server.addresses import SENDER, Addresses
from playground.ui.server.guard import RequestGuard

ANN, EVIL = "8.8.4.4", "1.1.1.1"
PROXY = "10.16.3.80"
NAMED = Hosting(hosts=("playground.example", "*.school.example"), proxies=(ip_network("10.0.0.0/8"),))


async def heard(request: Request) -> Response:
    return JSONResponse({"client": request.client and request.client.host, "headers": dict(request.headers)})


def app(hosting: Hosting, peer: str = "127.0.0.1", **named: Any) -> TestClient:
    routes = [Route(path, heard, methods=["GET", "POST"]) for path in ("/", "/gradio_api/mcp/")]
    guard = Middleware(RequestGuard, addresses=Addresses.of(hosting, **named))
    return TestClient(Starlette(routes=routes, middleware=[guard]), "http://localhost", client=(peer, 5))


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:7860", 200), ("LOCALHOST", 200), ("app.localhost", 200), ("127.0.0.1:7860", 200), ("[::1]:7860", 200),
        ("192.168.1.5:7860", 200), (f"{socket.gethostname()}:7860", 200), ("evil.example:7860", 421),
        ("localhost.evil.example", 421), ("127.0.0.1.evil.example", 421), ("notlocalhost", 421), ("[", 421),
        ("playground.example", 421),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_name_that_is_not_ours_is_refused(host: str, status: int, method: str) -> None:
    """DNS rebinding: for the browser, page and app are one site, so that its other headers show nothing."""
    headers = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
    answer = app(Hosting()).request(method, "/", headers=headers)
    assert answer.status_code == status
    if status == 421:
        assert answer.text == (
            f"This app does not answer to the host name {host.lower()!r}. If it is its name, add it to PLAYGROUND_HOSTS."
        )


def test_the_host_names_further_names() -> None:
    for name in ("playground.example", "a.school.example", "b.a.school.example:8080"):
        assert app(NAMED).get("/", headers={"host": name}).status_code == 200
    assert app(NAMED).get("/", headers={"host": "school.example"}).status_code == 421
    assert app(Hosting(), bound="Lab7").get("/", headers={"host": "lab7:7860"}).status_code == 200
    link: list[str] = []
    shared = app(Hosting(), share_url=lambda: link[0] if link else None)
    assert shared.get("/", headers={"host": "0a1b.gradio.live"}).status_code == 421
    link.append("https://0a1b.gradio.live")
    assert shared.get("/", headers={"host": "0a1b.gradio.live"}).status_code == 200


@pytest.mark.parametrize(
    ("peer", "forwarded", "origin", "status"),
    [
        (PROXY, "playground.example", "https://playground.example", 200),
        (PROXY, "playground.example", "https://evil.example", 403),
        (PROXY, "evil.example", "https://evil.example", 421),
        ("8.8.4.4", "playground.example", "https://playground.example", 403),  # its own word
        ("127.0.0.1", "evil.example", "https://evil.example", 403),
    ],
)
def test_the_forwarded_host_is_a_named_proxys_word(peer: str, forwarded: str, origin: str, status: int) -> None:
    headers = {"x-forwarded-host": forwarded, "origin": origin}
    assert app(NAMED, peer).post("/", headers=headers).status_code == status


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        (PROXY, "8.8.4.4", "8.8.4.4"), (PROXY, "1.1.1.1, 8.8.4.4", "8.8.4.4"),
        (PROXY, "1.1.1.1, 8.8.4.4, 10.0.0.3", "8.8.4.4"),
        (PROXY, "1.1.1.1, nonsense", "1.1.1.1"), (PROXY, "", PROXY), ("8.8.4.4", "1.1.1.1", "8.8.4.4"),
        ("127.0.0.1", "1.1.1.1", "127.0.0.1"), ("192.168.1.9", "1.1.1.1", "192.168.1.9"),
    ],
)  # fmt: skip
def test_the_client_is_the_visitor(peer: str, forwarded: str, client: str) -> None:
    written = {"x-forwarded-for": forwarded, "x-real-ip": "1.1.1.1", "x-gradio-server": "http://evil.example"}
    seen = app(NAMED, peer).get("/", headers=written).json()
    assert seen["client"] == client
    assert "x-gradio-server" not in seen["headers"]
    assert ("x-forwarded-for" in seen["headers"]) == (peer == PROXY)


@pytest.mark.parametrize(
    ("peer", "forwarded", "network"),
    [
        (ANN, [], ANN),
        (ANN, [EVIL], ANN),  # no proxy, a forged header
        (ANN, ["127.0.0.1"], ANN),
        ("10.16.3.80", [ANN], ANN),  # behind a proxy
        ("10.16.3.80", [f"{EVIL}, {ANN}"], ANN),  # the visitor sent the first, the proxy added the second
        ("10.16.3.80", [EVIL, ANN], ANN),  # as two headers
        ("10.16.3.80", [f"{EVIL}, {ANN}, 10.0.0.5, 10.0.0.6"], ANN),  # proxies behind each other
        ("127.0.0.1", [f"{'x,' * 5_000}{ANN}"], ANN),
        ("127.0.0.1", [], None),
        ("192.168.0.7", ["192.168.0.9"], None),  # a class in one room
        ("testclient", ["unknown"], None),
    ],
)
def test_nobody_chooses_their_network_by_a_header(peer: str, forwarded: list[str], network: str | None) -> None:
    scope = {"path": "/", "client": (peer, 5), "headers": [(b"x-forwarded-for", each.encode()) for each in forwarded]}
    seen = Addresses.of(Hosting(proxies=PRIVATE)).received(scope)
    assert network_of(seen["client"][0]) == network


def test_an_agents_tools_are_called_in_its_name() -> None:
    """Gradio calls a tool from this machine, with all headers of the agent's request."""
    addresses = Addresses.of(NAMED)
    routes = [Route("/gradio_api/{rest:path}", heard, methods=["POST"])]
    served = Starlette(routes=routes, middleware=[Middleware(RequestGuard, addresses=addresses)])
    outer = TestClient(served, "http://localhost", client=("8.8.4.4", 5)).post("/gradio_api/mcp/").json()
    inner = TestClient(served, "http://localhost", client=("127.0.0.1", 5))
    mark = {SENDER.decode(): outer["headers"][SENDER.decode()]}
    assert inner.post("/gradio_api/call/train", headers=mark).json()["client"] == "8.8.4.4"
    forged = {SENDER.decode(): "0" * 32 + " 1.1.1.1"}
    seen = inner.post("/gradio_api/call/train", headers=forged).json()
    assert (seen["client"], SENDER.decode() in seen["headers"]) == ("127.0.0.1", False)


def test_frames_are_for_sites_that_the_host_names() -> None:
    policy = app(Hosting()).get("/").headers["content-security-policy"]
    assert policy == "frame-ancestors 'self'"
    space = Hosting.read({"SPACE_ID": "a/b", "SPACE_HOST": "A-b.hf.space", "PLAYGROUND_FRAMES": "https://lms.example"})
    answer = app(space, PROXY).get("/", headers={"host": "a-b.hf.space"})
    assert (
        answer.headers["content-security-policy"] == "frame-ancestors 'self' https://lms.example https://huggingface.co"
    )
    assert app(space, PROXY).get("/", headers={"x-forwarded-for": "8.8.4.4"}).json()["client"] == "8.8.4.4"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOSTS", "https://a.example"), ("HOSTS", "a.example:80"), ("HOSTS", "*"), ("PROXIES", "nginx"),
        ("PROXIES", "10.0.0.1/8"), ("FRAMES", "lms.example"), ("FRAMES", "https://a.example; script-src *"),
    ],
)  # fmt: skip
def test_wrong_addresses_stop_the_app_at_start(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"PLAYGROUND_{name} must have"):
        Hosting.read({f"PLAYGROUND_{name}": value})
