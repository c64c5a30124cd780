"""Attacks on a public app by name, each in a process of its own: ``python -m tests.benchmarks._attacks NAME URL SECONDS``.

An attack goes on until its seconds are over, and counts what it got. Outcomes that begin with `BREACH` must not happen. The
last line of the output is JSON: the counts and the processor seconds of the attacker, who shares the cores with the app.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.benchmarks._server import API, Answer, Server

BREACH = "BREACH"
MARK = "c0ffee-mark"  # in what the attacker writes, and in no log
FORGED = f'{MARK}\n{{"event": "finished", "job": "{MARK}"}}\r\x1b[2J\u2028ERROR {MARK}'
EVIL = "evil.example"
USERS, UPLOADERS = 46, 2  # of a tokenizer; Gradio has 40 threads
VISITORS, JOINS = 8, 72  # who want endless texts, and how often each joins the queue
STREAMS = 1_100
TRAININGS, TRAINERS = 121, 12  # calls of `train`, and how many of them at once
NEW_VISITOR_RUNS = 60  # of a class, which new visitors can have waiting
GUESSERS = 32
PAUSE = 0.05  # seconds between two requests of a client that does not go at full speed
RIGHT = "blackboard"  # the password of the app whose password is guessed
WORDS = {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"}


@dataclass
class Target:
    """The app under attack, and what came of it."""

    url: str
    end: float  # on the monotonic clock
    found: Counter[str] = field(default_factory=Counter)

    @property
    def over(self) -> bool:
        """Whether the attack has lasted long enough."""
        return time.monotonic() >= self.end

    async def many(self, count: int, once: Callable[[int, int], Awaitable[None]], pause: float = PAUSE) -> None:
        """`count` clients that do something until the end: `once` gets the client and how often it has done it."""

        async def client_of(number: int) -> None:
            done = 0
            while not self.over:
                try:
                    await once(number, done)
                except (httpx.HTTPError, OSError) as error:
                    self.found[type(error).__name__] += 1
                    await asyncio.sleep(0.2)
                done += 1
                await asyncio.sleep(pause)

        await asyncio.gather(*map(client_of, range(count)))

    def count(self, what: str, answer: Answer) -> None:
        """Count how an answer of the app came out. Refusals are a status, a message, or an `error` in the answer."""
        refused = answer.said not in ("", "200") or (isinstance(answer.data, dict) and "error" in answer.data)
        self.found[f"{what}: {answer.problem or ('refused' if refused else 'answered')}"] += 1


Attack = Callable[[Target], Awaitable[None]]


def visitor(number: int = 0, network: int = 2) -> httpx.AsyncClient:
    """A client with an address of its own: connections come from 127.0.NETWORK.NUMBER."""
    limits = httpx.Limits(max_connections=200, keepalive_expiry=2)
    transport = httpx.AsyncHTTPTransport(limits=limits, local_address=f"127.0.{network}.{number + 1}")
    return httpx.AsyncClient(transport=transport, timeout=60)


def tokenizer_files() -> list[bytes]:
    """Files of 1 KB: one that makes ten billion letters of a "q", one that does so only with a letter that no sample text of
    the app has, and one that takes years to split a text of such letters."""

    def file(**parts: Any) -> bytes:
        empty = dict.fromkeys(("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder"))
        return json.dumps({"version": "1.0", **empty, "added_tokens": [], "model": WORDS, **parts}).encode()

    def multiplying(letter: str) -> bytes:
        step = {"type": "Replace", "pattern": {"String": letter}, "content": letter * 100}
        return file(normalizer={"type": "Sequence", "normalizers": [step] * 5})

    slow = {"type": "Split", "pattern": {"Regex": "(?:.*ж){9}.*y|."}, "behavior": "Isolated", "invert": False}
    return [multiplying("q"), multiplying("ж"), file(pre_tokenizer=slow)]


async def tokenizer(target: Target) -> None:
    """Hostile `tokenizer_files`, imported and used again and again, by more clients than the app has threads."""
    files, keys = tokenizer_files(), list[str]()
    async with visitor() as client:
        server = await Server(target.url, client).look()
        load, view = server.event("import-tokenizer", "upload"), server.component("tokenizer-view")

        async def bring(number: int, count: int) -> None:
            file = files[(number + count) % len(files)]
            sent = await client.post(f"{target.url}{API}/upload", files=[("files", ("tokenizer.json", file))])
            if sent.status_code != 200:
                target.found[f"upload: {sent.status_code}"] += 1
                return
            given = {"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}}
            answer = await server.call(load, [given, [], ["byte"], f"{number:032x}"], f"import{number}-{count}")
            target.count("import", answer)
            keys.extend(set(re.findall(r"file:[0-9a-f]{64}", json.dumps(answer.data))) - set(keys))

        async def use(number: int, count: int) -> None:
            if not keys:
                return
            text = "qж"[number % 2] * (100 + count % 900)
            asked = {"text": text, "tokenizers": [keys[count % len(keys)]], "learned": "tales", "width": 64}
            answer = await server.ask(view, "tokenize", asked, f"use{number}")
            row = ((answer.data or {}).get("rows") or [{}])[0]
            if row.get("tokens", 0) > len(text):
                target.found[f"{BREACH}: a text was multiplied"] += 1
            target.count("use", Answer(answer.seconds, row, answer.said, answer.problem))

        await asyncio.gather(target.many(UPLOADERS, bring), target.many(USERS, use))


async def endless(target: Target) -> None:
    """Eight visitors, each of whom joins the queue 72 times for texts without end, and reads what comes."""
    clients = [visitor(number) for number in range(VISITORS)]
    first = await Server(target.url, clients[0]).look()
    write, data = first.event("write-endlessly", "click"), await endless_inputs(first)

    async def join(number: int, page: str) -> None:
        body = {"fn_index": write, "data": [*data[:-1], f"{number + 1:032x}"], "session_hash": page}
        reply = await clients[number].post(f"{target.url}{API}/queue/join", json=body)
        target.found[f"join: {'joined' if reply.status_code == 200 else reply.status_code}"] += 1

    async def once(number: int, count: int) -> None:
        page = f"endless{number}-{count}"
        await asyncio.gather(*(join(number, page) for _ in range(JOINS)))
        address = f"{target.url}{API}/queue/data?session_hash={page}"
        with suppress(TimeoutError):
            async with asyncio.timeout_at(target.end), clients[number].stream("GET", address) as stream:
                async for line in stream.aiter_lines():
                    if '"process_generating"' in line:
                        target.found["parts of texts"] += 1

    await target.many(VISITORS, once)
    for client in clients:
        await client.aclose()


async def endless_inputs(server: Server) -> list[Any]:
    """The inputs of an endless text: a reference run, and what the page shows at its start."""
    listed = await server.call(server.api("status"), ["", ""], "list")
    run = next(each["run"] for each in listed.data[0]["runs"] if each["name"].startswith("Modern on"))
    values = {part["id"]: part["props"].get("value") for part in server.config["components"]}
    event = server.event("write-endlessly", "click")
    inputs = next(each["inputs"] for each in server.config["dependencies"] if each["id"] == event)
    return [run, None, *(values.get(number) for number in inputs[2:-1]), ""]


async def streams(target: Target) -> None:
    """1,100 event streams on which nothing happens, from one address."""
    allow_files()
    host, port = target.url.removeprefix("http://").rstrip("/").split(":")
    opened = []

    async def one(number: int) -> None:
        request = f"GET /{API}/heartbeat/idle{number} HTTP/1.1\r\nHost: {host}\r\n\r\n"
        try:
            reader, writer = await asyncio.open_connection(host, int(port), local_addr=("127.0.2.1", 0))
            opened.append(writer)
            writer.write(request.encode())
            line = await asyncio.wait_for(reader.readline(), 30)
            target.found[f"stream: {line.split()[1].decode() if line else 'closed'}"] += 1
        except (OSError, TimeoutError) as error:
            target.found[f"stream: {type(error).__name__}"] += 1

    for start in range(0, STREAMS, 50):
        await asyncio.gather(*map(one, range(start, start + 50)))
    await asyncio.sleep(max(0.0, target.end - time.monotonic()))
    for writer in opened:
        writer.transport.abort()


def allow_files() -> None:
    """Let this process open as many files as the system allows."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def names(target: Target) -> None:
    """Requests under another host's name, with forwarded names that no proxy has written, and from pages of other sites."""
    own = target.url.removeprefix("http://").rstrip("/")
    page = {"origin": f"https://{EVIL}"}
    cases: list[tuple[str, dict[str, str]]] = [
        ("host", {"host": EVIL}),
        ("host", {"host": f"{EVIL}:7860", "origin": f"http://{EVIL}:7860", "sec-fetch-site": "same-origin"}),
        ("host", {"host": EVIL, "x-forwarded-host": own}),
        ("origin", page),
        ("origin", {"origin": "null"}),
        ("origin", {"origin": f"http://{own}.{EVIL}"}),
        ("origin", {**page, "sec-fetch-site": "cross-site"}),
        ("forwarded", {**page, "x-forwarded-host": EVIL}),
        ("forwarded", {**page, "x-forwarded-host": EVIL, "x-forwarded-for": "10.0.0.1", "forwarded": f"host={EVIL}"}),
    ]
    paths = [("GET", ""), ("GET", "config"), ("POST", f"{API}/queue/join"), ("POST", f"{API}/component_server")]
    async with visitor() as client:

        async def once(number: int, count: int) -> None:
            kind, headers = cases[(number + count) % len(cases)]
            method, path = paths[count % len(paths)]
            reply = await client.request(
                method, target.url + path, headers=headers, content=b"{}"[: 2 * (method == "POST")]
            )
            target.found[f"{kind}: {reply.status_code}"] += 1
            if reply.status_code not in (403, 421):
                target.found[f"{BREACH}: {method} /{path} with a foreign {kind} was answered"] += 1
            if number == 0:  # without an origin, the forwarded name is no reason to refuse: it must be ignored
                seen = await client.get(
                    target.url + "config", headers={"x-forwarded-host": EVIL, "x-forwarded-proto": "ftp"}
                )
                target.found[f"forwarded name alone: {seen.status_code}"] += 1
                target.found[f"{BREACH}: a forwarded name was used"] += EVIL in seen.text

        await target.many(8, once)


async def training(target: Target) -> None:
    """121 calls of `train` without a token, each of which would be a new visitor."""
    async with visitor() as client:
        server, gate = await Server(target.url, client).look(), asyncio.Semaphore(TRAINERS)
        train = server.api("train")

        async def one(number: int) -> None:
            async with gate:
                data = ["modern", "tales", {"steps": 5_000}, "", "", ""]
                target.count("train", await server.call(train, data, f"newcomer{number}"))

        await asyncio.gather(*map(one, range(TRAININGS)))
    accepted = target.found["train: answered"]
    if accepted > NEW_VISITOR_RUNS:
        target.found[f"{BREACH}: new visitors had more than {NEW_VISITOR_RUNS} places in the queue"] += 1
    await asyncio.sleep(max(0.0, target.end - time.monotonic()))


async def tokens(target: Target) -> None:
    """Words and numbers in place of a visitor's token."""
    wrong: list[Any] = ["alice", "0" * 31, "g" * 32, "A" * 32, "../" * 8, 5, True, ["a" * 32], {"a": 1}, "a" * 100_000]
    async with visitor() as client:
        server = await Server(target.url, client).look()
        pill, chart = server.component("pill"), server.component("live-run")
        train, listed = server.api("train"), server.api("status")

        async def once(number: int, count: int) -> None:
            token = wrong[count % len(wrong)]
            session = f"token{number}-{count}"
            if number % 4 == 0:
                answer = await server.call(train, ["modern", "tales", {"steps": 10}, "", "", token], session)
            elif number % 4 == 1:
                answer = await server.call(listed, ["", token], session)
            elif number % 4 == 2:
                answer = await server.ask(pill, "live", {"visitor": token}, session)
            else:
                answer = await server.ask(chart, "curves", {"visitor": token, "cursors": {"a" * 32: None}}, session)
            target.count("token", answer)

        await target.many(8, once)
    if accepted := target.found["token: answered"]:
        target.found[f"{BREACH}: a malformed token was accepted"] += accepted


async def log_lines(target: Target) -> None:
    """Texts that would forge lines of the log, wherever the app could write what it was sent."""
    async with visitor() as client:
        server = await Server(target.url, client).look()
        base, head = target.url + API, {"content-type": "application/json", "user-agent": MARK}
        train, status, pill = server.api("train"), server.api("status"), server.component("pill")
        coded = "%0A".join((MARK, MARK))
        odd = json.dumps(FORGED)
        bodies = {
            "queue/join": [f'{{"fn_index": {status}, "session_hash": {odd}, "data": [{odd}]}}', f"{{{odd}", odd,
                           f'{{"fn_index": {odd}, "session_hash": {odd}, "data": {odd}}}'],
            "component_server": [f'{{"component_id": {pill}, "fn_name": {odd}, "session_hash": "x", "data": {odd}}}',
                                 f'{{"component_id": {pill}, "fn_name": "live", "session_hash": "x", "data": {odd}}}',
                                 f'{{"component_id": {odd}, "fn_name": "live", "session_hash": "x", "data": 1}}'],
            f"call/{coded}": [f'{{"data": [{odd}]}}'],
            "call/status": [f'{{"data": {odd}}}', f'{{"data": [{odd}, {odd}, {odd}]}}', f'{{"data": [{odd}, {odd}]}}'],
            "run/status": [f'{{"data": [[{odd}], {{{odd}: 1}}]}}'],
            "cancel": [f'{{"session_hash": {odd}, "fn_index": {odd}, "event_id": {odd}}}'],
        }  # fmt: skip
        posts = [(where, body) for where, all_of_them in bodies.items() for body in all_of_them]

        async def once(number: int, count: int) -> None:
            kind = count % 4
            if kind == 0:
                data = [MARK, MARK, {FORGED: FORGED}, FORGED, FORGED, FORGED]
                target.count("train", await server.call(train, data, f"log{number}-{count}"))
                return
            if kind == 1:
                named = [("files", (f"{MARK}%0A{MARK}.json", FORGED.encode()))]
                reply = await client.post(f"{base}/upload", files=named)
            elif kind == 2:
                reply = await client.get(
                    f"{base}/file={coded}?{coded}={coded}", headers={"range": MARK, "cookie": MARK}
                )
            else:
                where, body = posts[(number + count // 4) % len(posts)]
                reply = await client.post(f"{base}/{where}", content=body.encode(), headers=head)
            target.found[f"{('', 'upload', 'file', 'post')[kind]}: {reply.status_code}"] += 1

        await target.many(4, once)


async def passwords(target: Target) -> None:
    """Wrong passwords at full speed, from one address."""
    async with visitor() as client:

        async def once(number: int, count: int) -> None:
            guess = {"username": MARK, "password": f"wrong{number}-{count}"}
            reply = await client.post(f"{target.url}login", data=guess)
            target.found[f"guess: {reply.status_code}"] += 1
            if reply.status_code == 200:
                target.found[f"{BREACH}: a wrong password was accepted"] += 1

        await target.many(GUESSERS, once, pause=0)


ATTACKS: dict[str, Attack] = {
    "tokenizer": tokenizer, "endless": endless, "streams": streams, "names": names, "training": training,
    "tokens": tokens, "log lines": log_lines, "passwords": passwords,
}  # fmt: skip


async def attack(name: str, url: str, seconds: float) -> Counter[str]:
    """Run one of them."""
    target = Target(url, asyncio.get_running_loop().time() + seconds)
    await ATTACKS[name](target)
    return +target.found


if __name__ == "__main__":
    counts = asyncio.run(attack(sys.argv[1], sys.argv[2], float(sys.argv[3])))
    print(json.dumps({"found": counts, "cores": time.process_time() / float(sys.argv[3])}))
