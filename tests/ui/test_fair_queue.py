"""No visitor and no network can fill a lane of the queue, nor all of its places, and long texts make room."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from gradio.context import LocalContext
from gradio.routes import App
from starlette.testclient import TestClient

from playground.ui.server import fair_queue
from playground.ui.server.event_queue import queued
from playground.ui.server.fair_queue import LANE_WAITING, RUNNING, SHARE_SECONDS, WAITING, must_end

TOKENS = [f"{n:032x}" for n in range(200)]


class Lanes:
    """A public app with one handler for each lane, whose queue starts events only if told so."""

    def __init__(self, *limits: int | None) -> None:
        with gr.Blocks(analytics_enabled=False) as self.demo:
            visitor = gr.BrowserState("")
            for limit in limits:
                gr.Button().click(lambda token: None, visitor, None, concurrency_limit=limit)
        self.queue = queued(self.demo, public=True)._queue
        self.queue.active_jobs = [None] * self.queue.max_thread_count
        self.ids = list(self.demo.fns)

    def join(self, token: str, address: str = "10.0.0.1", lane: int = 0, page: str = "page") -> str:
        """An event of a visitor joins; returns why not."""
        body = SimpleNamespace(fn_index=self.ids[lane], session_hash=page, data=[token], event_id=None, request=None)
        request = SimpleNamespace(client=SimpleNamespace(host=address))
        joined, told, state = asyncio.run(self.queue.push(body, request, None))  # type: ignore[arg-type]
        assert joined == (state == "success")
        return "" if joined else str(told)

    def start(self) -> Any:
        """The next event runs."""
        found = self.queue.get_events()
        if found is None:
            return None
        (event,), _, lane = found
        self.queue.active_jobs[self.queue.active_jobs.index(None)] = [event]
        self.queue.event_queue_per_concurrency_id[lane].current_concurrency += 1
        return event

    def start_all(self) -> list[str]:
        """All events run that can; returns their visitors' tokens."""
        return [event.data.data[0] for event in iter(self.start, None)]


def test_one_visitor_cannot_fill_a_lane() -> None:
    app = Lanes(8)
    told = [app.join(TOKENS[0]) for _ in range(72)]
    assert told.count("") == LANE_WAITING.visitor
    assert told[-1] == "You already have 4 requests waiting here. Wait until one of them ends."
    assert app.join(TOKENS[1], "10.0.0.2") == ""
    assert sorted(app.start_all()) == [TOKENS[0]] * 2 + [TOKENS[1]]


def test_one_network_cannot_fill_a_lane_with_new_visitors() -> None:
    app = Lanes(8)
    told = [app.join(token, "8.8.4.4") for token in TOKENS[:72]]
    assert told.count("") == LANE_WAITING.network
    assert told[-1] == "24 requests from your network already wait here. Try again in a moment."
    assert len(app.start_all()) == 6
    assert app.join(TOKENS[100], "1.1.1.1") == ""
    assert app.start_all() == [TOKENS[100]]


def test_a_few_visitors_leave_places_to_others() -> None:
    app = Lanes(8)
    for n in range(8 * 72):
        app.join(TOKENS[n % 8], f"10.0.0.{n % 8}")
    assert app.join(TOKENS[0], "10.0.0.0") == "You already have 4 requests waiting here. Wait until one of them ends."
    assert app.join(TOKENS[7], "10.0.0.7") == "You already have 3 requests waiting here. Wait until one of them ends."
    assert [app.join(TOKENS[n], f"10.0.0.{n}") for n in (8, 9, 10)] == [""] * 3


def test_a_full_lane_says_so_and_only_there() -> None:
    app = Lanes(1, 1)
    told = [app.join(TOKENS[n], f"10.0.0.{n}") for n in range(72)]
    assert told.count("") == LANE_WAITING.all
    assert told[-1] == "32 requests already wait here. Try again in a moment."
    assert app.join(TOKENS[0], "10.0.0.99", lane=1) == ""


def test_all_lanes_together_have_limits_too() -> None:
    app = Lanes(*[None] * 100)
    told = [app.join(TOKENS[0], lane=n) for n in range(100)]
    assert told.count("") == WAITING.visitor
    assert len(app.start_all()) == RUNNING.visitor
    told = [app.join(TOKENS[n % 199 + 1], "8.8.4.4", lane=n % 100) for n in range(200)]
    assert told.count("") == WAITING.network
    assert len(app.start_all()) == RUNNING.network
    assert app.join(TOKENS[1], "1.1.1.1") == ""
    assert app.start_all() == [TOKENS[1]]


def test_the_next_is_whoever_has_the_fewest_running() -> None:
    app = Lanes(4)
    for token, address in (
        (TOKENS[0], "8.8.4.4"),
        (TOKENS[1], "8.8.4.4"),
        (TOKENS[2], "1.1.1.1"),
        (TOKENS[3], "1.1.1.1"),
    ):
        app.join(token, address)
    assert app.start_all() == [TOKENS[0], TOKENS[2], TOKENS[1], TOKENS[3]]


def test_a_page_without_a_token_is_a_visitor() -> None:
    app = Lanes(8)
    assert [app.join("", page="one") for _ in range(5)].count("") == LANE_WAITING.visitor
    assert app.join("", page="two") == ""


def test_long_texts_make_room_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(fair_queue.time, "monotonic", lambda: now[0])
    app, events = Lanes(8), []
    for n in range(8):
        app.join(TOKENS[n], f"10.0.0.{n}")
        events.append(app.start())
        now[0] += 1

    def ending() -> list[int]:
        found = []
        for n, event in enumerate(events):
            LocalContext.blocks.set(app.demo)
            LocalContext.event_id.set(event._id)
            found += [n] if must_end() else []
        return found

    try:
        now[0] += SHARE_SECONDS
        assert ending() == [], "nobody waits"
        app.join(TOKENS[8], "10.0.0.8")
        assert ending() == [0]
        app.join(TOKENS[8], "10.0.0.8")
        assert ending() == [0], "for each visitor one"
        app.join(TOKENS[9], "10.0.0.9")
        assert ending() == [0, 1]
        now[0] = SHARE_SECONDS
        assert ending() == [0], "the others have begun less than their share ago"
    finally:
        LocalContext.event_id.set(None)
        LocalContext.blocks.set(None)


@pytest.mark.parametrize(("public", "status"), [(True, 404), (False, 200)])
def test_nothing_passes_by_the_queue_of_a_public_app(public: bool, status: int) -> None:
    with gr.Blocks(analytics_enabled=False) as demo:
        gr.Button().click(lambda: None, api_name="slow")
    client = TestClient(App.create_app(queued(demo, public)))
    for path in ("run/slow", "api/slow/"):
        assert client.post(f"/gradio_api/{path}", json={"data": []}).status_code == status
    assert client.post("/gradio_api/call/slow", json={"data": []}).status_code == 200


def test_a_local_app_has_no_such_limits() -> None:
    with gr.Blocks(analytics_enabled=False) as demo:
        gr.Button().click(lambda: None)
    assert queued(demo)._queue.get_events.__func__ is type(demo._queue).get_events
