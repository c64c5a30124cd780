"""A browser that presses Generate, without the browser: the requests that Gradio's page makes, over HTTP."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from playground.config import GenerationConfig
from playground.ui.sample.sample_tab import LENGTH, SHAPE


@dataclass
class Visitor:
    """One visitor of the app at `url`, who closes the page at the end of the with block."""

    url: str
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=60, trust_env=False))
    session: str = field(default_factory=lambda: secrets.token_hex(8))

    def __post_init__(self) -> None:
        config = self.client.get(f"{self.url}config").json()
        self._ids = {part["props"].get("elem_id"): part["id"] for part in config["components"]}
        self._events = {(id, kind): each["id"] for each in config["dependencies"] for id, kind in each["targets"]}

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()

    def press(self, elem_id: str, data: list[Any]) -> None:
        """Queue what a click on this button does."""
        event = {"fn_index": self._events[self._ids[elem_id], "click"], "data": data, "session_hash": self.session}
        sent = json.dumps(event)  # NaN and infinity too, as somebody could send them
        head = {"content-type": "application/json"}
        self.client.post(f"{self.url}gradio_api/queue/join", content=sent, headers=head).raise_for_status()

    def answers(self) -> Iterator[tuple[str, Any]]:
        """What comes back: kinds of messages with their outputs, the second and later ones as differences."""
        address = f"{self.url}gradio_api/queue/data?session_hash={self.session}"
        with self.client.stream("GET", address) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    message = json.loads(line[5:])
                    yield message["msg"], message.get("output")

    def generate(self, run_id: Any, step: Any, prompt: Any, **settings: Any) -> None:
        """Press Generate on the Sample tab."""
        values = {**GenerationConfig().to_dict(), **settings}
        self.press("generate", [run_id, step, prompt, *(values[name] for name in (*SHAPE, *LENGTH)), ""])
