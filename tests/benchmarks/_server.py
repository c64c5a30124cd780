"""What benchmarks ask of a running app over HTTP, as browsers and programs do, without a browser."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

API = "gradio_api"
PATIENCE = 60.0  # seconds after which an answer counts as a hang


@dataclass
class Answer:
    """How a question ended. `problem` is "" for an answer or a refusal in words, else what went wrong."""

    seconds: float
    data: Any = None
    said: str = ""
    problem: str = ""


@dataclass
class Server:
    """An app's own description of itself, and its two ways of being asked."""

    url: str
    client: httpx.AsyncClient
    config: dict[str, Any] = field(default_factory=dict)

    async def look(self) -> Server:
        """Read what there is."""
        self.config = (await self.client.get(f"{self.url}config")).json()
        return self

    def component(self, elem_id: str) -> int:
        """The number of the component with this element id."""
        return int(next(c["id"] for c in self.config["components"] if c["props"].get("elem_id") == elem_id))

    def api(self, name: str) -> int:
        """The number of the function with this name in the API."""
        return int(next(d["id"] for d in self.config["dependencies"] if d.get("api_name") == name))

    def event(self, elem_id: str, kind: str) -> int:
        """The number of the function that an event of this component runs."""
        target = [self.component(elem_id), kind]
        return int(next(d["id"] for d in self.config["dependencies"] if target in map(list, d["targets"])))

    def server_functions(self) -> list[tuple[int, str]]:
        """All functions that components may call, as (component, name)."""
        return [(c["id"], name) for c in self.config["components"] for name in c["props"].get("server_fns") or []]

    async def ask(self, component: int, function: str, data: Any, session: str = "load") -> Answer:
        """Call a server function, as a component's script does."""
        body = json.dumps({"data": data, "fn_name": function, "component_id": component, "session_hash": session})
        began = time.perf_counter()
        try:
            reply = await self.client.post(
                f"{self.url}{API}/component_server", content=body.encode("utf-8", "surrogatepass"),
                headers={"content-type": "application/json"}, timeout=PATIENCE,
            )  # fmt: skip
        except httpx.HTTPError as error:
            return Answer(time.perf_counter() - began, problem=type(error).__name__)
        seconds = time.perf_counter() - began
        if reply.status_code >= 500:
            return Answer(seconds, problem=f"HTTP {reply.status_code}")
        return Answer(seconds, reply.json() if reply.status_code == 200 else None, str(reply.status_code))

    async def call(self, number: int, data: list[Any], session: str) -> Answer:
        """Run a function of the page through the queue and wait for its end, as the page does."""
        began = time.perf_counter()
        body = json.dumps({"data": data, "fn_index": number, "session_hash": session, "event_data": None})
        try:
            joined = await self.client.post(
                f"{self.url}{API}/queue/join", content=body.encode("utf-8", "surrogatepass"),
                headers={"content-type": "application/json"}, timeout=PATIENCE,
            )  # fmt: skip
            if joined.status_code != 200:
                problem = (
                    f"HTTP {joined.status_code}" if joined.status_code >= 500 and joined.status_code != 503 else ""
                )
                return Answer(time.perf_counter() - began, said=str(joined.status_code), problem=problem)
            async with asyncio.timeout(PATIENCE):
                return await self._listen(session, joined.json()["event_id"], began)
        except TimeoutError:
            return Answer(time.perf_counter() - began, problem="hang")
        except httpx.HTTPError as error:
            return Answer(time.perf_counter() - began, problem=type(error).__name__)

    async def _listen(self, session: str, event: str, began: float) -> Answer:
        stream = self.client.stream(
            "GET", f"{self.url}{API}/queue/data", params={"session_hash": session}, timeout=PATIENCE
        )
        async with stream as reply:
            async for line in reply.aiter_lines():
                if not line.startswith("data:"):
                    continue
                message = json.loads(line[5:])
                if message.get("event_id") == event and message.get("msg") == "process_completed":
                    output = message.get("output") or {}
                    said = "" if message.get("success") else str(output.get("error"))
                    return Answer(time.perf_counter() - began, output.get("data"), said)
        return Answer(time.perf_counter() - began, problem="the stream ended early")
