"""Random calls to every endpoint, public and private: no server error, no hang, no file outside the store.

``python -m tests.benchmarks fuzz [--calls 10000] [--seed 0]``: half of the calls run functions of the page through its queue
and half the server functions of its components. Each value is what the page itself would send, or something hostile.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import re
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.benchmarks._report import figure, machine
from tests.benchmarks._server import Server
from tests.e2e.conftest import PROJECT, App, end_workers

CLIENTS = 6
DEEP: Any = []
for _ in range(60):
    DEEP = [DEEP]
HOSTILE: list[Any] = [
    *(None, True, False, 0, -1, 3.7, 1e308, -(2**70), float("nan"), float("inf")),
    *("", " ", "x", "NaN", "-1", "1e400", "\x00", "\ud800", "\u202e", "a" * 100_000, "0" * 32, "f" * 32),
    *("../" * 20 + "etc/passwd", "/etc/passwd", "%2e%2e%2f", "file:///etc/passwd", "http://127.0.0.1:1/"),
    *("<img src=x onerror=alert(1)>", "${7*7}", "{{7*7}}", "'; drop table runs; --"),
    *([], {}, [None], [[]], {"a": 1}, {"__class__": "x"}, DEEP, ["x"] * 1000, [1, "2", None, {}]),
    {"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}},
    {"visitor": "x", "run": "../", "step": -1, "text": None},
]
TEXTS = [
    *("tales", "modern", "classic", "Once there was a", "byte", "adamw", "transformers", "0", "loss"),
    *(1, 2, 10, 100, 1600, 0.5),
]
KEYS = [
    "visitor", "run", "race", "step", "text", "layer", "head", "position", "key", "cursors", "cursor", "kind", "ids",
    "target", "parts", "tokenizers", "learned", "width", "other", "page", "query",
]  # fmt: skip
PLACE = re.compile(r"^  \S*/(playground/\S*):(\d+) in (\w+)", re.MULTILINE)  # in our code, in an error of the log
TINY = ["--calls", "200"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    machine()
    with tempfile.TemporaryDirectory() as folder:
        found = fuzzed(Path(folder), options.calls, options.seed)
    for outcome, count in found.outcomes.most_common():
        print(f"{outcome:48} {count:8,}")
    for ending, count in Counter(found.traces).most_common(20):
        print(f"{count:4}  {ending}")
    for name in sorted(found.strays)[:10]:
        print(f"outside of the store: {name}")
    figure("fuzzed_calls", sum(found.outcomes.values()), f">= {options.calls}")
    figure("server_errors_and_hangs", found.problems, "0")
    figure("uncaught_errors_of_ours", len(found.traces), "0")
    figure("files_outside_the_store", len(found.strays), "0")
    figure("app_alive", str(found.alive), "True")


@dataclass(frozen=True)
class Found:
    """What came of the calls."""

    outcomes: Counter[str]
    traces: list[str]  # where our own code raised what nobody caught
    strays: set[str]  # files that came to be outside the store
    alive: bool

    @property
    def problems(self) -> int:
        """Server errors and hangs."""
        return sum(count for outcome, count in self.outcomes.items() if outcome.startswith("PROBLEM"))


def fuzzed(folder: Path, calls: int, seed: int) -> Found:
    """Call a public app that keeps its runs in a new folder there."""
    before = _files(folder) | _files(PROJECT)
    app = App(folder / "data", public=True).start()
    try:
        outcomes = asyncio.run(_fuzz(app, calls, seed))
        alive = app.process is not None and app.process.poll() is None
    finally:
        app.stop()
        end_workers(app.data)
    ours = (str(app.log), str(app.data))
    new = (_files(folder) | _files(PROJECT)) - before
    strays = {name for name in new if name not in ours and not name.startswith(f"{app.data}/")}
    traces = _own_errors(app.log.read_text("utf-8", errors="replace"))
    return Found(outcomes, [_ending(trace) for trace in traces], strays, alive)


async def _fuzz(app: App, calls: int, seed: int) -> Counter[str]:
    async with httpx.AsyncClient(limits=httpx.Limits(max_connections=4 * CLIENTS)) as client:
        server = await Server(app.url, client).look()
        shares = [calls // CLIENTS + (n < calls % CLIENTS) for n in range(CLIENTS)]
        counts = await asyncio.gather(
            *(_client(server, share, random.Random(seed * 100 + n)) for n, share in enumerate(shares))
        )
    return sum(counts, Counter())


async def _client(server: Server, calls: int, rng: random.Random) -> Counter[str]:
    defaults = {c["id"]: c["props"].get("value") for c in server.config["components"]}
    functions = [d for d in server.config["dependencies"] if d.get("backend_fn")]
    scripted, outcomes = server.server_functions(), Counter[str]()
    for number in range(calls):
        if number % 2:
            component, name = rng.choice(scripted)
            answer = await server.ask(component, name, _question(rng), f"fuzz{rng.random()}")
        else:
            function = rng.choice(functions)
            data = [_value(rng, defaults.get(i)) for i in function["inputs"]]
            if rng.random() < 0.05:
                data = data[: rng.randrange(len(data) + 1)]
            answer = await server.call(function["id"], data, f"fuzz{rng.random()}")
        outcomes[_outcome(answer.problem, answer.said)] += 1
    return outcomes


def _outcome(problem: str, said: str) -> str:
    if problem:
        return f"PROBLEM {problem}"
    if said in ("", "200"):
        return "answered"
    return (
        "refused without words" if said == "None" else f"refused ({said})" if said.isdecimal() else "refused in words"
    )


def _value(rng: random.Random, default: Any) -> Any:
    draw = rng.random()
    return default if draw < 0.55 else rng.choice(TEXTS) if draw < 0.75 else rng.choice(HOSTILE)


def _question(rng: random.Random) -> Any:
    if rng.random() < 0.15:
        return rng.choice(HOSTILE)
    keys = rng.sample(KEYS, rng.randrange(1, 8))
    return {key: rng.choice(TEXTS if rng.random() < 0.5 else HOSTILE) for key in keys}


def _files(folder: Path) -> set[str]:
    skipped = {".git", ".venv", "__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", ".import_linter_cache"}
    return {str(path) for path in folder.rglob("*") if not skipped & set(path.parts)}


def _own_errors(log: str) -> list[str]:
    """Errors that passed through our own code (as `ui.server.logs` writes them): what a handler should have said in a
    sentence."""
    traces = re.findall(r"^ERROR .*\n(?:  .*\n)+", log, re.MULTILINE)
    return [trace for trace in traces if PLACE.search(trace)]


def _ending(trace: str) -> str:
    """Where in our code a traceback passed last, and what it says."""
    places = PLACE.findall(trace)
    return f"{':'.join(places[-1])}  {trace.strip().splitlines()[-1][:150]}"
