"""The page's password cannot be guessed quickly, and guessing keeps nobody out who is in."""

from __future__ import annotations

import secrets
from collections.abc import Callable

import gradio as gr
import pytest
from gradio.routes import App
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from playground.ui.server import logins
from playground.ui.server.logins import ALL, LONGEST_WAIT, NETWORK, LoginThrottle, Throttle

Visitor = Callable[[str], TestClient]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time; a wait moves it on."""
    now = [1_000.0]

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(logins.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(logins.anyio, "sleep", sleep)
    return now


@pytest.fixture
def visitor() -> Visitor:
    with gr.Blocks(analytics_enabled=False) as demo:
        gr.Markdown()
    demo.auth = lambda name, given: secrets.compare_digest(given, "board")
    app = App.create_app(demo, app_kwargs={"middleware": [Middleware(LoginThrottle)]})
    return lambda address: TestClient(app, client=(address, 5))


def guess(client: TestClient, password: str = "wrong") -> int:
    return client.post("/login", data={"username": "x", "password": password}).status_code


def test_guesses_become_slow_and_then_refused(visitor: Visitor, clock: list[float]) -> None:
    bob, began = visitor("8.8.4.4"), clock[0]
    assert {guess(bob) for _ in range(NETWORK[0])} == {400}
    assert clock[0] == began
    assert {guess(bob) for _ in range(20)} == {400}
    assert clock[0] - began == pytest.approx(20 * NETWORK[1])


def test_guesses_at_once_are_refused(visitor: Visitor, clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(seconds: float) -> None:
        assert seconds <= LONGEST_WAIT

    monkeypatch.setattr(logins.anyio, "sleep", at_once)
    bob = visitor("8.8.4.4")
    codes = [guess(bob) for _ in range(200)]
    assert codes.count(400) == NETWORK[0] + LONGEST_WAIT // NETWORK[1]
    told = bob.post("/login/", data={"username": "x", "password": "board"})
    assert told.status_code == 429
    assert told.json()["detail"] == "Too many wrong passwords. Try again in 12 seconds."
    assert told.headers["retry-after"] == "12"
    assert guess(visitor("1.1.1.1"), "board") == 200, "others get in"
    clock[0] += 12
    assert guess(bob, "board") == 200


def test_all_networks_together_are_slow(visitor: Visitor, clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(seconds: float) -> None:
        assert seconds <= LONGEST_WAIT

    monkeypatch.setattr(logins.anyio, "sleep", at_once)
    ann = visitor("192.168.0.7")
    assert guess(ann, "board") == 200
    codes = [guess(visitor(f"8.8.{n}.4")) for n in range(200)]
    assert codes.count(400) == ALL[0] + LONGEST_WAIT // ALL[1]
    assert ann.get("/config").status_code == 200, "whoever is in stays in"


def test_right_passwords_do_not_count(visitor: Visitor, clock: list[float]) -> None:
    school, began = visitor("8.8.4.4"), clock[0]
    assert {guess(school, "board") for _ in range(200)} == {200}
    assert clock[0] == began


def test_old_networks_are_forgotten(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "MOST_KEYS", 100)
    throttle = Throttle(1, 3.0)
    for n in range(1_000):
        throttle.take(str(n))
        clock[0] += 1
    assert len(throttle._until) <= 100
