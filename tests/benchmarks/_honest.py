"""What attacks do to honest visitors: 30 of them use an app, one has a run that trains, and `_attacks` go on meanwhile.

Before, between and after the attacks there are phases without any, with which the speed of the training is compared.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from playground.runs.queue.launcher import Launcher
from playground.runs.store.history import History
from playground.runs.store.run_store import RunStore
from tests.benchmarks._attacks import ATTACKS, BREACH, MARK, RIGHT, endless_inputs, visitor
from tests.benchmarks._report import figure
from tests.benchmarks._server import API, Answer, Server
from tests.e2e.conftest import App, end_workers

CLIENTS = 30
PATIENCE = 60.0  # seconds
SETTLED = 8.0  # seconds after which a training that has just begun has its usual speed
NETWORK = 1  # honest visitors have the addresses 127.0.1.N
SETTINGS = {"steps": 100_000, "sample_interval": 0, "eval_interval": 1_000, "checkpoint_interval": 1_000}


@dataclass
class Phase:
    """What was measured during an attack, or without any. Waits are seconds, memory and the log megabytes."""

    name: str
    seconds: float = 0.0
    waits: list[float] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    speed: float = 0.0  # tokens per second of the training
    ratio: float = 1.0  # of this speed to that without an attack
    peak: float = 0.0
    log: float = 0.0  # a minute
    cores: tuple[float, float] = (0.0, 0.0)  # that the app and the attacker have used
    found: Counter[str] = field(default_factory=Counter)

    @property
    def p95(self) -> float:
        """The wait that one in twenty requests exceeds."""
        return sorted(self.waits)[int(0.95 * (len(self.waits) - 1))]

    @property
    def breaches(self) -> list[str]:
        """What must not happen and did."""
        return [outcome for outcome in self.found if outcome.startswith(BREACH)]


def measure(folder: Path, seconds: float, wanted: list[str]) -> None:
    """All `wanted` attacks, `seconds` each, on two apps: a class, and one with a password. Prints a table and figures."""
    phases: list[Phase] = []
    free = {"PLAYGROUND_CLASSROOM": "1", "PLAYGROUND_RUN_MINUTES": "none", "PLAYGROUND_DAILY_MINUTES": "none"}
    for name, settings, has in (("class", {}, False), ("password", {"PLAYGROUND_PASSWORD": RIGHT}, True)):
        chosen = [each for each in wanted if (each == "passwords") == has]
        if not chosen:
            continue
        temporary = {"GRADIO_TEMP_DIR": str(folder / f"{name}-files")}
        app = App(folder / name, public=True, settings={**free, **settings, **temporary}).start()
        try:
            phases += asyncio.run(_App(app, seconds, has).attacked(chosen))
        finally:
            app.stop()
            end_workers(app.data)
    report(phases)


def report(phases: list[Phase]) -> None:
    """The table, a row for each attack, and the figures, which are the worst of all attacks."""
    attacks = [phase for phase in phases if phase.name in ATTACKS]
    print(f"{'attack':12} {'s':>5} {'asked':>6} {'refused':>7} {'median':>7} {'p95':>7} {'worst':>7} {'tokens/s':>8} "
          f"{'speed':>6} {'app MB':>6} {'log MB/min':>10} {'cores: app':>10} {'attacker':>8}")  # fmt: skip
    for phase in phases:
        waits = sorted(phase.waits)
        print(f"{phase.name:12} {phase.seconds:5.0f} {len(waits):6,} {len(phase.refused):7,} {waits[len(waits) // 2]:6.2f}s "
              f"{phase.p95:6.2f}s {waits[-1]:6.2f}s {phase.speed:8,.0f} {phase.ratio:6.2f} {phase.peak:6.0f} "
              f"{phase.log:10.3f} {phase.cores[0]:10.2f} {phase.cores[1]:8.2f}")  # fmt: skip
    for phase in attacks:
        for outcome, count in sorted(phase.found.items()):
            print(f"{phase.name}: {outcome} {count:,}")
        for reason, count in Counter(phase.refused).most_common(3):
            print(f"{phase.name}: {count} times an honest visitor got {reason[:100]}")
    figure("abuse_defences_that_failed", sum(len(phase.breaches) for phase in attacks), "0")
    figure("abuse_honest_refused", sum(len(phase.refused) for phase in attacks), "0")
    figure("abuse_honest_p95_seconds", max(phase.p95 for phase in attacks), "< 2")
    figure("abuse_training_speed_under_attack", min(phase.ratio for phase in attacks), ">= 0.70")
    figure("abuse_app_megabytes_under_attack", max(phase.peak for phase in attacks), "< 2000")
    figure("abuse_log_megabytes_a_minute", max(phase.log for phase in attacks), "< 1")


class _App:
    """An app, its honest visitors, and the run of one of them."""

    def __init__(self, app: App, seconds: float, has_password: bool) -> None:
        assert app.process is not None
        self.app, self.seconds, self.has_password = app, seconds, has_password
        self.process = psutil.Process(app.process.pid)
        self.store = RunStore(app.data / "runs")
        self.servers: list[Server] = []
        self.run = self.token = ""

    async def attacked(self, wanted: list[str]) -> list[Phase]:
        """One attack after the other, with a phase without any before and after each."""
        await self._enter()
        try:
            await self._train()
            phases = [await self._phase("no attack")]
            for name in wanted:
                phases += [await self._phase(name), await self._phase("no attack")]
                before, attack, after = phases[-3:]
                attack.ratio = attack.speed / max(1e-9, (before.speed + after.speed) / 2)
        finally:
            for server in self.servers:
                await server.client.aclose()
        return phases

    async def _enter(self) -> None:
        clients = [visitor(number, NETWORK) for number in range(CLIENTS)]
        self.servers = [Server(self.app.url, client) for client in clients]
        if self.has_password:
            for server in self.servers:
                assert (await self._log_in(server)).said == "200"
        await self.servers[0].look()
        for server in self.servers:
            server.config = self.servers[0].config

    async def _log_in(self, server: Server) -> Answer:
        began = time.perf_counter()
        reply = await server.client.post(f"{self.app.url}login", data={"username": "ann", "password": RIGHT})
        return Answer(time.perf_counter() - began, said=str(reply.status_code))

    async def _start_run(self) -> Answer:
        server = self.servers[0]
        return await server.call(server.api("train"), ["modern", "tales", SETTINGS, "", "", self.token], "train")

    async def _train(self) -> None:
        started = await self._start_run()
        assert started.data, started
        self.run, self.token = started.data[0]["run"], started.data[0]["token"]
        history = self._history()
        while history.step < 5:
            await asyncio.sleep(0.2)
            history.refresh()
        await asyncio.sleep(SETTLED)

    def _history(self) -> History:
        return History(self.store.get(self.run, self.token).log)

    async def _phase(self, name: str) -> Phase:
        """Measure for as long as the attack goes on."""
        phase, ended, log = Phase(name), threading.Event(), self.app.log.stat().st_size
        spent, began = _processor_seconds(self.process), time.monotonic()
        watch = threading.Thread(target=self._watch, args=(phase, ended))
        watch.start()
        try:
            visits = [asyncio.create_task(self._visit(number, phase, ended)) for number in range(CLIENTS)]
            if name in ATTACKS:
                await self._attack(name, phase)
            else:
                await asyncio.sleep(self.seconds)
            phase.seconds = time.monotonic() - began
        finally:
            ended.set()
            watch.join()
        await asyncio.gather(*visits)
        phase.cores = (_processor_seconds(self.process) - spent) / phase.seconds, phase.cores[1]
        grown = self.app.log.read_bytes()[log:]
        phase.log = len(grown) / 1e6 / (phase.seconds / 60)
        if leaked := self._lines_with_mark():
            phase.found[f"{BREACH}: the log has what an attacker wrote"] += leaked
        print(f"{name}: {phase.seconds:.0f} s, p95 {phase.p95:.2f} s, {phase.speed:,.0f} tokens/s", flush=True)
        if name == "training":
            Launcher(self.store, spare=False, supervise=False).clear_queue()
        await asyncio.sleep(1)
        return phase

    def _lines_with_mark(self) -> int:
        logs = [self.app.log, self.store.root / "worker.log"]
        return sum(
            MARK in line for log in logs if log.exists() for line in log.read_text("utf-8", "replace").split("\n")
        )

    async def _attack(self, name: str, phase: Phase) -> None:
        command = [sys.executable, "-m", "tests.benchmarks._attacks", name, self.app.url, str(self.seconds)]
        attacker = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        probe = asyncio.create_task(self._probe(name))
        try:
            output, _ = await attacker.communicate()
        finally:
            if attacker.returncode is None:
                attacker.kill()
        result = json.loads(output.splitlines()[-1])
        phase.found.update(result["found"])
        phase.cores = 0.0, result["cores"]
        phase.found.update(await probe)

    async def _probe(self, name: str) -> list[str]:
        """What an attack must not keep an honest visitor from, and how it came out, if there is something of the kind."""
        await asyncio.sleep(0.6 * self.seconds)
        probes: dict[str, Callable[[], Awaitable[str]]] = {
            "training": self._queue_another,
            "passwords": self._another_logs_in,
            "endless": self._another_text,
        }
        return [await probes[name]()] if name in probes else []

    async def _queue_another(self) -> str:
        answer = await self._start_run()
        if not answer.data or answer.data[0]["state"] != "queued":
            return f"{BREACH}: a visitor who has trained could not queue a run: {answer.said or answer.problem}"
        return "a visitor who has trained queued a run"

    async def _another_logs_in(self) -> str:
        async with visitor(CLIENTS, NETWORK) as client:
            answer = await self._log_in(Server(self.app.url, client))
        if answer.said != "200":
            return f"{BREACH}: a visitor with the right password was answered {answer.said}"
        return f"a visitor with the right password was in after {answer.seconds:.1f} s"

    async def _another_text(self) -> str:
        """Somebody else wants a text without end: when does it begin?"""
        server, began = self.servers[1], time.monotonic()
        body: dict[str, Any] = {"fn_index": server.event("write-endlessly", "click"), "session_hash": "probe"}
        data = await endless_inputs(server)
        reply = await server.client.post(
            f"{self.app.url}{API}/queue/join", json={**body, "data": [*data[:-1], "d" * 32]}
        )
        if reply.status_code != 200:
            return f"{BREACH}: another visitor could not join the queue ({reply.status_code})"
        address = f"{self.app.url}{API}/queue/data?session_hash=probe"
        async with server.client.stream("GET", address) as stream:
            async for line in stream.aiter_lines():
                if '"process_generating"' in line:
                    return f"another visitor's text began after {time.monotonic() - began:.0f} s"
        return f"{BREACH}: another visitor's text did not begin"

    async def _visit(self, number: int, phase: Phase, ended: threading.Event) -> None:
        """A visitor who looks at what trains, at the runs, and sometimes opens the page."""
        server, count = self.servers[number], number
        await asyncio.sleep(number / CLIENTS)
        while not ended.is_set():
            try:
                answer = await self._ask(server, number, count)
            except httpx.HTTPError as error:
                answer = Answer(PATIENCE, problem=type(error).__name__)
            phase.waits.append(answer.seconds)
            if answer.problem or answer.said not in ("", "200"):
                phase.refused.append(answer.problem or answer.said)
            count += 1
            await asyncio.sleep(1)

    async def _ask(self, server: Server, number: int, count: int) -> Answer:
        if count % 10 == 0:
            began = time.perf_counter()
            page = await server.client.get(self.app.url)
            return Answer(time.perf_counter() - began, said=str(page.status_code))
        if count % 2:
            answer = await server.ask(server.component("pill"), "live", {"visitor": self.token}, f"pill{number}")
            if answer.data and answer.data.get("state") != "running":
                return Answer(answer.seconds, problem=f"a wrong answer: {answer.data}")
            return answer
        return await server.call(server.api("status"), [self.run, self.token], f"status{number}")

    def _watch(self, phase: Phase, ended: threading.Event) -> None:
        """Memory and the speed of the training: steps between the first and the last that were seen to be done."""
        run = self.store.get(self.run, self.token)
        history, seen = History(run.log), []
        while not ended.wait(0.1):
            phase.peak = max(phase.peak, self.process.memory_info().rss / 1e6)
            history.refresh()
            if not seen or history.step > seen[-1][1]:
                seen.append((time.monotonic(), history.step))
        tokens = run.train.batch_size * run.train.grad_accum * run.model.block_size
        if len(seen) > 2:
            (began, first), (end, last) = seen[1], seen[-1]
            phase.speed = tokens * (last - first) / (end - began)


def _processor_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)
