"""Gradio's event queue: polled less often, with messages that can be encoded and a limit on the memory of waiting events."""

from __future__ import annotations

import sys
from typing import Any

import gradio as gr
from gradio.server_messages import ProcessCompletedMessage

from playground.ui.server.fair_queue import share_fairly
from playground.ui.server.guard import LARGE, MAX_HELD
from playground.ui.services import json_safe
from playground.ui.session_files import SessionFiles


def queued(demo: gr.Blocks, public: bool = False, files: SessionFiles | None = None) -> gr.Blocks:
    """Set up the event queue, which polls for new events a hundred times a second. Visitors of a public app share it.

    `files` learns which files a session has uploaded. Gradio 6.31 polls a thousand times a second, which takes 4 % of a
    core, even without an open page.
    """
    # Elsewhere than on a Space, Gradio also has routes that run a handler at once, past the queue and its limits.
    demo.queue(default_concurrency_limit=4, max_size=None if public else 64, api_open=not public)
    fair = share_fairly(demo) if public else None
    demo._queue.sleep_when_free = 0.01  # seconds
    send, push = demo._queue.send_message, demo._queue.push

    def send_plain(event: Any, message: Any) -> None:
        """Gradio's error messages quote the input, which may contain a lone surrogate, which JSON in UTF-8 cannot encode."""
        if isinstance(message, ProcessCompletedMessage) and not message.success:
            message.output = json_safe(message.output)
        send(event, message)

    async def push_what_fits(body: Any, request: Any, username: Any) -> Any:
        """Gradio limits the number of waiting events, of everybody together, but not their size: 64 texts of 60 MB could
        exhaust memory. The page shows the sentence of an "error", but for "queue_full" one of Gradio's."""
        if body.fn_index not in demo.fns:
            return False, "There is no such function. Reload the page.", "error"
        if fair is not None and (sentence := fair.refusal(demo.fns[body.fn_index], body, request)):
            return False, sentence, "error"
        size = weight(body.data)
        if size > LARGE:
            waiting = sum(weight(event.data.data) for event in demo._queue.event_ids_to_events.values() if event.data)
            if size + waiting > MAX_HELD:
                return False, "Too many large requests wait. Try again in a moment.", "queue_full"
        if files is not None:
            files.sent(body.session_hash, body.data)
        return await push(body, request, username)

    demo._queue.send_message = send_plain  # type: ignore[assignment, method-assign]
    demo._queue.push = push_what_fits  # type: ignore[method-assign]
    return demo


def weight(value: Any) -> int:
    """The approximate memory of an input in bytes."""
    waits, total = [value], 0
    while waits:
        each = waits.pop()
        total += sys.getsizeof(each)
        waits += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
    return total
