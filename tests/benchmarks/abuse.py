"""A public app under attack: many visitors, large bodies, slow connections; and attacks while honest visitors use it.

``python -m tests.benchmarks abuse [--bodies 60] [--seconds 20] [--attacks NAME ...]``: first attacks on the server, a minute
in all, one after the other against an app on loopback; memory is watched meanwhile, and after each attack a visitor asks for
the page and for what is training. Then attacks on what visitors share, each for so many seconds, while 30 honest visitors
use the app and a run of one of them trains (`_honest`, `_attacks`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from tests.benchmarks._attacks import ATTACKS
from tests.benchmarks._honest import measure
from tests.benchmarks._report import figure, machine
from tests.benchmarks._server import API, Server
from tests.e2e.conftest import App, end_workers

CONNECTIONS, RECONNECTS, SLOW, BROKEN = 200, 100, 60, 10
BODY = 30_000_000  # bytes
AT_ONCE = 20  # bodies on their way
UPLOAD = 38_000_000  # bytes of a file, less than one may have
PIECE = b"a" * 1_000_000
ENDS = re.compile(r"^ERROR .*\n(?:  \S+:\d+ in .*\n)*  (\S.*)", re.MULTILINE)  # what errors in the log end in
TINY = ["--bodies", "4", "--seconds", "4"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="abuse", description=__doc__)
    parser.add_argument("--bodies", type=int, default=40, help="large bodies; 0 leaves the attacks on the server out")
    parser.add_argument("--seconds", type=float, default=20, help="of each attack while honest visitors use the app")
    parser.add_argument("--attacks", nargs="*", choices=ATTACKS, default=list(ATTACKS), help="which of these")
    options = parser.parse_args(arguments)
    machine()
    if options.bodies:
        _attack_server(options.bodies)
    if options.attacks:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), options.seconds, options.attacks)


def _attack_server(bodies: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        uploads = Path(folder) / "uploads"
        settings = {"GRADIO_TEMP_DIR": str(uploads), "PLAYGROUND_TRAIN": "nobody"}
        app = App(Path(folder) / "data", public=True, settings=settings).start()
        try:
            found = asyncio.run(Attack(app, bodies).all())
        finally:
            app.stop()
            end_workers(app.data)
        traces = Counter(ENDS.findall(app.log.read_text("utf-8", errors="replace")))
    for name, count in sorted(found.answers.items()):
        print(f"{name:40} {count:6,}")
    for name, seconds in found.after.items():
        print(f"page and status after {name:18} {seconds:6.2f} s")
    for ending, count in traces.most_common(5):
        print(f"log: {count} times {ending[:100]}")
    figure("abuse_burst_answered", found.answers["burst: 200"], f"{CONNECTIONS}")
    figure("abuse_server_errors", sum(n for name, n in found.answers.items() if name.endswith(": 500")), "0")
    figure("abuse_answer_after_seconds", max(found.after.values()), "< 5")
    figure("abuse_peak_megabytes", found.peak, "< 4000")
    figure("abuse_megabytes_at_the_end", found.end, "< 2000")
    figure("abuse_open_files_more_after", found.files, "<= 10")
    figure("abuse_uploads_megabytes", found.temporary, "<= 2000")


@dataclass
class Found:
    """What came of the attacks. Memory is in megabytes."""

    answers: Counter[str] = field(default_factory=Counter)  # attack: status or error
    after: dict[str, float] = field(default_factory=dict)  # seconds until a visitor had an answer
    peak: float = 0.0
    end: float = 0.0
    files: int = 0
    temporary: float = 0.0


class Attack:
    """All that is done to an app."""

    def __init__(self, app: App, bodies: int) -> None:
        assert app.process is not None
        self.app, self.bodies, self.found = app, bodies, Found()
        self.process = psutil.Process(app.process.pid)
        self.uploads = Path(app.settings["GRADIO_TEMP_DIR"])
        self.ended = threading.Event()

    async def all(self) -> Found:
        """One attack after the other."""
        watch = threading.Thread(target=self._watch)
        watch.start()
        try:
            async with httpx.AsyncClient(timeout=60) as self.visitor:
                self.server = await Server(self.app.url, self.visitor).look()
                await self._answered("nothing")
                files = self.process.num_fds()
                for name, attack in (
                    ("burst", self._burst), ("reconnects", self._reconnects), ("bodies", self._bodies),
                    ("more bodies", self._bodies), ("slow", self._slow), ("uploads", self._upload),
                    ("broken", self._broken),
                ):  # fmt: skip
                    began = time.monotonic()
                    async with asyncio.timeout(120):
                        await attack(name)
                    print(f"{name}: {time.monotonic() - began:.1f} s, {self._resident():.0f} MB", flush=True)
                    await self._answered(name)
                await asyncio.sleep(1)
                self.found.end = self._resident()
                self.found.files = self.process.num_fds() - files
                self.found.temporary = sum(p.stat().st_size for p in self.uploads.rglob("*") if p.is_file()) / 1e6
        finally:
            self.ended.set()
            watch.join()
        return self.found

    def _resident(self) -> float:
        return float(self.process.memory_info().rss) / 1e6

    def _watch(self) -> None:
        while not self.ended.wait(0.1):
            self.found.peak = max(self.found.peak, self._resident())

    async def _answered(self, name: str) -> None:
        """Somebody opens the page and asks what is training."""
        began = time.perf_counter()
        page = await self.visitor.get(self.app.url)
        pill = await self.server.ask(self.server.component("pill"), "live", {"visitor": ""})
        assert page.status_code == 200
        assert pill.data == {"state": "idle", "text": "Nothing is training"}, pill
        self.found.after[name] = time.perf_counter() - began

    async def _count(self, name: str, request: Awaitable[httpx.Response]) -> None:
        try:
            self.found.answers[f"{name}: {(await request).status_code}"] += 1
        except httpx.HTTPError as error:
            self.found.answers[f"{name}: {type(error).__name__}"] += 1

    async def _burst(self, name: str) -> None:
        """Everybody opens the page in the same moment."""
        limits = httpx.Limits(max_connections=CONNECTIONS)
        async with httpx.AsyncClient(timeout=60, limits=limits) as many:
            await asyncio.gather(*(self._count(name, many.get(self.app.url)) for _ in range(CONNECTIONS)))

    async def _reconnects(self, name: str) -> None:
        """A tab that loses its stream, again and again."""
        listed = next(d["id"] for d in self.server.config["dependencies"] if d.get("api_name") == "status")
        for number in range(RECONNECTS):
            async with httpx.AsyncClient(timeout=20) as tab:
                session = {"session_hash": f"abuse{number}"}
                async with tab.stream("GET", f"{self.app.url}{API}/heartbeat/{session['session_hash']}") as stream:
                    self.found.answers[f"{name}: {stream.status_code}"] += 1
                join = {"fn_index": listed, "data": ["", ""], **session}
                await self._count(f"{name}, queue", tab.post(f"{self.app.url}{API}/queue/join", json=join))

    async def _bodies(self, name: str) -> None:
        """Much to read, for functions of the page, scripts' questions and the API, and for nobody."""
        filling = json.dumps("a" * (BODY - 300) + "🙂", ensure_ascii=False)  # four bytes of memory a letter
        write = next(d["id"] for d in self.server.config["dependencies"] if d.get("api_name") == "generate")
        pill = self.server.component("pill")
        texts = {
            "queue/join": f'{{"fn_index": {write}, "session_hash": "big", "data": ["x", {filling}, 1, 0, 1, 9, 0, -1, ""]}}',
            "component_server": f'{{"component_id": {pill}, "fn_name": "live", "session_hash": "big", "data": {filling}}}',
            "call/train": f'{{"data": ["modern", "own", {{}}, {filling}, "", ""]}}',
            "no/where": filling,
        }
        sent = {where: text.encode() for where, text in texts.items()}
        head = {"content-type": "application/json"}
        gate = asyncio.Semaphore(AT_ONCE)

        async def send(number: int) -> None:
            where, body = list(sent.items())[number % len(sent)]
            url = f"{self.app.url}{API}/{where}"
            async with gate:
                body = body.replace(b'"big"', b'"big%d"' % number)  # a session each
                await self._count(f"{name}, {where}", self.visitor.post(url, content=body, headers=head))

        await asyncio.gather(*(send(number) for number in range(self.bodies)))

    async def _slow(self, name: str) -> None:
        """Requests that never end, and answers that nobody reads."""
        host, port = "127.0.0.1", self.app.port
        begun = f"POST /{API}/queue/join HTTP/1.1\r\nhost: x\r\ncontent-length: {BODY}\r\n\r\n"
        asked = "GET / HTTP/1.1\r\nhost: x\r\n\r\n" * 20  # pipelined
        opened = []
        for number in range(SLOW):
            reader, writer = await asyncio.open_connection(host, port, limit=1)
            writer.write([b"GET / HT", begun.encode() + PIECE, asked.encode()][number % 3])
            opened.append((reader, writer))
        await asyncio.sleep(1)
        await self._answered("slow, meanwhile")
        for _, writer in opened:
            writer.transport.abort()
        self.found.answers[f"{name}: opened"] += len(opened)

    async def _upload(self, name: str) -> None:
        """A thousand files in one request; a file that is too large; as many of the largest as go in."""
        url = f"{self.app.url}{API}/upload"
        small = [("files", (f"{n}.txt", b"x")) for n in range(1000)]
        await self._count(f"{name}, 1000 files", self.visitor.post(url, files=small))
        await self._count(f"{name}, too large", self.visitor.post(url, files=[("files", ("x.txt", PIECE * 45))]))
        for count in (10, 6, 6, 6):
            many = [("files", (f"{n}.txt", PIECE * 38)) for n in range(count)]
            await self._count(f"{name}, {count} of 38 MB", self.visitor.post(url, files=many))

    async def _broken(self, name: str) -> None:
        """Uploads and bodies that break off."""

        async def breaks_off() -> AsyncIterator[bytes]:
            yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="x.txt"\r\n\r\n'
            for _ in range(20):
                yield PIECE
            raise httpx.WriteError("the line is cut")

        head = {"content-type": "multipart/form-data; boundary=b", "content-length": str(UPLOAD)}
        send: Callable[[], Awaitable[httpx.Response]] = lambda: self.visitor.post(  # noqa: E731
            f"{self.app.url}{API}/upload", content=breaks_off(), headers=head
        )
        for _ in range(BROKEN):
            await self._count(name, send())
