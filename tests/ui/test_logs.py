"""The log holds no text or secret of a visitor's, no full id, and no line that a visitor has written."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from copy import deepcopy

import gradio as gr
import pytest
import uvicorn
from gradio import queueing, route_utils, routes
from gradio.routes import App
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.testclient import TestClient

from playground.ui.server import logs
from playground.ui.server.event_queue import queued
from playground.ui.server.guard import RequestGuard
from playground.ui.server.logs import Escaped, Quiet, SafeFormatter
from playground.ui.server.outputs import json_safe_outputs

ID = "0123456789abcdef0123456789abcdef"
FORGED = f'a secret\n{{"event": "finished"}}\r\x1b[2J\u2028 {ID}'


def record(message: str, *values: object, error: BaseException | None = None) -> logging.LogRecord:
    info = None if error is None else (type(error), error, error.__traceback__)
    return logging.LogRecord("uvicorn.error", logging.ERROR, "", 0, message, values, info)


def raised(error: Exception) -> Exception:
    try:
        raise error
    except type(error) as caught:
        return caught


def test_a_message_is_one_line() -> None:
    line = SafeFormatter().format(record("sent: %s", FORGED))
    assert line == 'ERROR uvicorn.error: sent: a secret\\n{"event": "finished"}\\r\\x1b[2J\\u2028 01234567…'
    assert len(SafeFormatter().format(record("x" * 10_000))) < 600


def test_an_exception_is_its_place_and_kind() -> None:
    told = SafeFormatter().format(record("failed", error=raised(KeyError(FORGED))))
    assert told.splitlines()[-1] == "  KeyError"
    assert "test_logs.py:" in told
    assert "secret" not in told
    assert SafeFormatter().format(record("failed", error=raised(OSError(24, "of /home/ann")))).endswith("OSError 24")
    local = SafeFormatter(quotes=True).format(record("failed", error=raised(ValueError(FORGED))))
    assert local.splitlines()[-1].startswith("  ValueError: a secret\\n{")


def test_what_is_printed_is_escaped() -> None:
    out = io.StringIO()
    print(f"launcher: {ID} was removed\x1b[2J", file=Escaped(out))
    assert out.getvalue() == "launcher: 01234567… was removed\\x1b[2J\n"


def test_repetitions_are_counted_and_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet, now = Quiet(), [logs.time.monotonic()]
    monkeypatch.setattr(logs.time, "monotonic", lambda: now[0])
    error = raised(OSError(24, "too many"))
    assert sum(quiet.filter(record("accept %s", n, error=error)) for n in range(10_000)) == logs.MOST
    assert sum(quiet.filter(record(f"message {n}")) for n in range(10_000)) < logs.MOST_TOGETHER + logs.MOST
    assert not quiet.filter(record("answered", error=raised(HTTPException(404))))
    now[0] += logs.PERIOD + 1
    again = record("accept %s", 7)
    assert quiet.filter(again)
    assert "repeated messages were left out" in again.getMessage()


@pytest.fixture
def client() -> TestClient:
    def fail(first: str, second: str) -> str:
        return {}[first + second]

    with gr.Blocks(analytics_enabled=False) as demo:
        one, two = gr.Textbox(), gr.Textbox()
        one.submit(fail, [one, two], two, api_name="fail")
    app = App.create_app(queued(json_safe_outputs(demo)), app_kwargs={"middleware": [Middleware(RequestGuard)]})
    return TestClient(app, "http://localhost", raise_server_exceptions=False)


def test_a_request_that_does_not_fit_is_answered_without_quoting_it(client: TestClient) -> None:
    answer = client.post("/gradio_api/run/fail", json={"data": [FORGED]}).json()
    assert answer["error"] == "fail takes 2 inputs, but the request has 1. Send all of them."
    unknown = client.post("/gradio_api/call/unknown", json={"data": []})
    assert (unknown.status_code, unknown.text) == (404, "There is no such endpoint.")
    joined = client.post("/gradio_api/queue/join", json={"data": [], "fn_index": 99, "session_hash": "s"})
    assert (joined.status_code, joined.json()["detail"]) == (400, "There is no such function. Reload the page.")


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Everything that the process writes after `configure`, whose changes are undone."""
    out = io.StringIO()
    loggers = [logging.getLogger(), *map(logging.getLogger, uvicorn.config.LOGGING_CONFIG["loggers"])]
    before = [(each, each.handlers[:], each.level, each.propagate) for each in loggers]
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setattr(logging, "captureWarnings", lambda _: None)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    for name, values in deepcopy(uvicorn.config.LOGGING_CONFIG).items():
        monkeypatch.setitem(uvicorn.config.LOGGING_CONFIG, name, values)
    for module in (queueing, routes, route_utils):
        monkeypatch.setattr(module, "traceback", None)
    logs.configure(public=True)
    uvicorn.Config(app="none")
    yield out
    for each, handlers, level, propagate in before:
        each.handlers, each.level, each.propagate = handlers, level, propagate


def test_nothing_of_a_visitors_reaches_the_log_of_gradio_or_uvicorn(log: io.StringIO) -> None:
    try:
        raise RuntimeError(FORGED)
    except RuntimeError:
        for module in (queueing, routes, route_utils):
            module.traceback.print_exc()
        for name in ("uvicorn.error", "uvicorn", "asyncio", "elsewhere"):
            logging.getLogger(name).exception("Exception in ASGI application")
    told = log.getvalue()
    assert told.count("ERROR playground.request: ") == 3
    assert [told.count(f"ERROR {name}:") for name in ("uvicorn.error", "uvicorn", "asyncio", "elsewhere")] == [1] * 4
    for part in ("secret", "finished", "\x1b", ID):
        assert part not in told
