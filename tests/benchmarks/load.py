"""Thirty visitors on one Space: response times while one run trains, and the effect on training throughput.

``python -m tests.benchmarks load [--seconds 60] [--soak MINUTES]``: 30 clients poll a live chart and the header, 6 let a
shipped model write, 4 look at attention, on loopback, on the cores that train. The soak goes on for as long and looks at the
app's memory.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx
import psutil
from gradio_client import Client

from playground.runs.store.history import History
from playground.runs.store.run_store import RunStore
from tests.benchmarks._report import figure, machine
from tests.benchmarks._server import Answer, Server
from tests.e2e.conftest import App, end_workers

POLLERS, WRITERS, LOOKERS = 30, 6, 4
PAUSES = {"polls": 1.0, "texts": 2.0, "attention": 2.0}  # seconds between two of one client's questions
SETTLED = 15.0  # seconds after which the next worker has loaded torch, and the training has its usual speed
TEXT = "Mila gave the key to Oren. Then Oren opened the box with the"
Waits = dict[str, list[float]]
TINY = ["--seconds", "5"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="load", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--soak", type=float, default=0, help="minutes of load after the measurement")
    parser.add_argument("--slower", type=float, default=1, help="how many times longer clients pause between questions")
    options = parser.parse_args(arguments)
    for kind in PAUSES:
        PAUSES[kind] *= options.slower
    machine()
    with tempfile.TemporaryDirectory() as folder:
        kept = {"GRADIO_TEMP_DIR": str(Path(folder) / "gradio")}
        app = App(Path(folder) / "data", public=True, settings=kept).start()
        try:
            _measure(app, options.seconds, options.soak)
        finally:
            app.stop()
            end_workers(app.data)


def _measure(app: App, seconds: float, soak: float) -> None:
    run, token = _train(app)
    history = History(RunStore(app.data / "runs").get(run, token).log)
    while history.step < 5:
        history.refresh()
        time.sleep(0.2)
    time.sleep(SETTLED)
    alone = _speed(history, seconds / 2)
    spent = _processor_seconds(app)
    waits, problems, under_load = asyncio.run(_load(app, run, token, seconds, history))
    used = {
        who: after - before
        for (who, before), after in zip(spent.items(), _processor_seconds(app).values(), strict=True)
    }
    alone = (alone + _speed(history, seconds / 2)) / 2
    print(f"{'what':12} {'asked':>7} {'median':>9} {'p95':>9} {'worst':>9}")
    for name, values in waits.items():
        print(f"{name:12} {len(values):7,} {statistics.median(values):8.3f}s {_p95(values):8.3f}s {max(values):8.3f}s")
    print("cores used: " + ", ".join(f"{who} {value / seconds:.2f}" for who, value in used.items()))
    for problem in problems[:5]:
        print(f"problem: {problem}")
    figure("load_errors", len(problems), "0")
    figure("poll_p95_seconds", _p95(waits["polls"]), "< 0.3")
    figure("attention_p95_seconds", _p95(waits["attention"]), "< 2")
    figure("training_speed_under_load_percent", 100 * under_load / alone, ">= 80")
    figure("app_resident_megabytes", _resident(app), "< 1500")
    if soak:
        _soak(app, run, token, soak, history)


def _soak(app: App, run: str, token: str, minutes: float, history: History) -> None:
    """The same load, minute by minute: what grows?"""
    assert app.process is not None
    process, problems = psutil.Process(app.process.pid), []
    census: list[tuple[float, int, int, int]] = []
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        problems += asyncio.run(_load(app, run, token, 60, history))[1]
        temporary = sum(1 for _ in Path(app.settings["GRADIO_TEMP_DIR"]).rglob("*"))
        census.append((_resident(app), process.num_fds(), process.num_threads(), temporary))
        print(
            "minute {}: {:.1f} MB, {} files open, {} threads, {} temporary files".format(len(census), *census[-1]),
            flush=True,
        )
    first, last = census[0], census[-1]  # the first minute brings up threads and caches
    for problem, count in Counter(problems).most_common(5):
        print(f"problem: {count} times {problem}")
    figure("soak_errors", len(problems), "0")
    figure("soak_drift_megabytes", last[0] - first[0], "< 20")
    figure("soak_open_files_and_threads_more", max(last[1] - first[1], last[2] - first[2]), "<= 2")
    third = max(1, len(census) // 3)  # a pool's threads come and go with the minute: what stays is the least there was
    for name, column in (("open_files", 1), ("threads", 2)):
        early, late = (min(row[column] for row in rows) for rows in (census[:third], census[-third:]))
        figure(f"soak_{name}_more_that_stay", late - early, "<= 2")
    figure("soak_temporary_files_more", last[3] - first[3], "<= 0")


def _train(app: App) -> tuple[str, str]:
    client = Client(app.url, verbose=False, analytics_enabled=False, httpx_kwargs={"timeout": 120})
    run = client.predict(settings={"steps": 5000, "sample_interval": 0, "checkpoint_interval": 1000}, api_name="/train")
    return run["run"], run["token"]


def _speed(history: History, seconds: float) -> float:
    """Steps per second over some seconds."""
    history.refresh()
    first, began = history.step, time.perf_counter()
    time.sleep(seconds)
    history.refresh()
    return (history.step - first) / (time.perf_counter() - began)


async def _load(app: App, run: str, token: str, seconds: float, history: History) -> tuple[Waits, list[str], float]:
    """Waits by kind, what went wrong, and the steps per second of the training meanwhile."""
    waits: Waits = defaultdict(list)
    problems: list[str] = []
    # The server closes what was quiet for five seconds: a client that waits as long may ask at that very moment.
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100, keepalive_expiry=2)
    async with httpx.AsyncClient(limits=limits) as client:
        server = await Server(app.url, client).look()
        reference = next(
            run.id for run in RunStore(app.data / "runs", _gallery()).list("nobody") if run.steps_available()
        )
        write = next(d["id"] for d in server.config["dependencies"] if d.get("api_name") == "generate")
        chart, pill, grid = (server.component(name) for name in ("live-run", "pill", "attention-grid"))
        end = time.monotonic() + seconds

        cursors: dict[int, str] = {}  # of each client, as its page would keep it

        async def poll(number: int, count: int) -> Answer:
            if count % 2:
                return await server.ask(pill, "live", {"visitor": token})
            asked = {"visitor": token, "cursors": {run: cursors.get(number)}}
            answer = await server.ask(chart, "curves", asked)
            if not answer.problem:
                cursors[number] = answer.data["runs"][0]["cursor"]
            return answer

        async def text(number: int, count: int) -> Answer:
            data = [reference, "Once there was a", 0.8, 0, 1.0, 100, 1000 * number + count, -1, token]
            return await server.call(write, data, f"write{number}")

        async def look(number: int, count: int) -> Answer:
            return await server.ask(grid, "attention", {"visitor": token, "run": reference, "text": TEXT, "layer": 0})

        async def client_of(kind: str, number: int, ask: Callable[[int, int], Awaitable[Answer]]) -> None:
            await asyncio.sleep(number / 30)
            count = 0
            while time.monotonic() < end:
                answer = await ask(number, count)
                waits[kind].append(answer.seconds)
                error = answer.data.get("error") if isinstance(answer.data, dict) else None
                wrong = answer.problem or error or (answer.said if answer.said not in ("", "200") else "")
                if wrong:
                    problems.append(f"{kind}: {wrong}")
                count += 1
                await asyncio.sleep(PAUSES[kind])

        groups = (("polls", POLLERS, poll), ("texts", WRITERS, text), ("attention", LOOKERS, look))
        clients = [client_of(kind, n, ask) for kind, many, ask in groups for n in range(many)]
        speed = asyncio.to_thread(_speed, history, seconds)
        measured, *_ = await asyncio.gather(speed, *clients)
    return waits, problems, measured


def _gallery() -> Path:
    from playground.runs.store.paths import gallery_root

    return gallery_root()


def _p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


def _processor_seconds(app: App) -> dict[str, float]:
    """Processor time so far of the app, of its workers, and of these clients, who share the cores with both."""
    assert app.process is not None
    process = psutil.Process(app.process.pid)

    def spent(one: psutil.Process) -> float:
        times = one.cpu_times()
        return float(times.user + times.system)

    workers = sum(spent(child) for child in process.children(recursive=True))
    return {"app": spent(process), "workers": workers, "clients": spent(psutil.Process())}


def _resident(app: App) -> float:
    assert app.process is not None
    return psutil.Process(app.process.pid).memory_info().rss / 1e6
