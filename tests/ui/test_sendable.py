"""Whatever a handler returns can travel to the page, and whatever it complains of is told."""

from __future__ import annotations

from collections.abc import Iterator
from queue import Queue
from types import SimpleNamespace
from typing import Any

import gradio as gr
import orjson
import pytest
from gradio.server_messages import ProcessCompletedMessage

from playground.ui.compare.race_form import add_arm
from playground.ui.server.event_queue import queued
from playground.ui.server.outputs import json_safe_outputs
from playground.ui.services import json_safe, show_errors
from playground.ui.text_card import show_text

ODD = ["a\ud800b", 2**70, -(2**70), 10**400, {"\udfff": ("x", [True, 1, 2.5, None])}, "é 🦊", {1, 2}]


def test_odd_values_travel_and_usual_ones_stay_themselves() -> None:
    orjson.dumps(json_safe(ODD[:-1]), option=orjson.OPT_NON_STR_KEYS)
    assert json_safe(ODD)[0] == "a?b"
    assert json_safe(ODD)[1:4] == [2.0**70, -(2.0**70), None]
    usual = {"a": [1, 2.5, "é 🦊", None, True, (1, 2)], "n": 2**63 - 1, "low": -(2**63)}
    assert json_safe(usual) == usual
    update = gr.update(value="x")
    assert json_safe(update) == update


def test_every_handler_of_a_page_is_covered() -> None:
    def once(value: str) -> str:
        """Say it again."""
        return value

    def often(value: str, request: gr.Request) -> Iterator[Any]:
        yield value

    with gr.Blocks() as demo:
        box = gr.Textbox()
        box.change(once, box, box)
        box.submit(often, box, box)
    first, second = (function.fn for function in json_safe_outputs(demo).fns.values())
    assert first("\ud800") == "?"
    assert (first.__name__, first.__doc__) == ("once", "Say it again.")
    assert list(second("\ud800", None)) == ["?"]


def test_a_complaint_that_nobody_caught_is_told() -> None:
    def refuse(value: str) -> str:
        raise ValueError("Not <b>this</b> \ud800.")

    with gr.Blocks() as demo:
        box = gr.Textbox()
        box.change(refuse, box, box)
    (function,) = json_safe_outputs(demo).fns.values()
    with pytest.raises(gr.Error) as caught:
        function.fn("x")
    assert caught.value.message == "Not &lt;b&gt;this&lt;/b&gt; ?."


def test_a_complaint_is_made_once() -> None:
    def refuse(value: str) -> str:
        raise ValueError("Not 'this' & that.")

    with gr.Blocks() as demo:
        box = gr.Textbox()
        box.change(show_errors(refuse), box, box)
    (function,) = json_safe_outputs(demo).fns.values()
    with pytest.raises(gr.Error) as caught:
        function.fn("x")
    assert caught.value.message == "Not 'this' &amp; that."


@pytest.mark.slow
def test_gradios_own_complaints_can_travel_too() -> None:
    """They quote what was sent."""
    with gr.Blocks(analytics_enabled=False) as demo:
        box = gr.Dropdown(["a"])
        box.change(lambda value: value, box, box)
    queue = queued(demo)._queue
    event = SimpleNamespace(_id="e", session_hash="s", alive=True, n_calls=0, run_time=0.0)
    queue.pending_messages_per_session["s"] = Queue()
    complaint = {"error": "Value: \ud800 is not in the list of choices: ['a']"}
    queue.send_message(event, ProcessCompletedMessage(output=complaint, success=False))
    sent = queue.pending_messages_per_session["s"].get_nowait()
    assert orjson.loads(orjson.dumps(sent.output))["error"].startswith("Value: ? is not in the list")


def test_a_form_that_was_not_filled_in_on_the_page_is_told_so() -> None:
    for call in (lambda: show_text(None, 5), lambda: show_text(["tales"], 5)):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="Dataset must be one of"):
            call()
    for call in (lambda: add_arm(7, "modern", "n_layer", "2"), lambda: add_arm(None, "modern", "n_layer", 2)):  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="Arms must be a list"):
            call()
