"""kill -9 at random moments, of worker and app: checks that nothing acknowledged is lost.

``python -m tests.benchmarks kills [--kills 200] [--seed 0]``: six in ten kills hit a worker while it trains, three in ten an
app that obeys clicks, one in ten the whole app (its own process over HTTP, its worker, or both). What counts as told: a
training step that the worker has reported, a checkpoint after which it has gone on, a click that has returned, a curve that
a client was sent. Nothing is patched. Workers and clicking apps are forked from this process, which saves loading torch 180
times; the kill is the same.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from gradio_client import Client

from playground.runs.queue.launcher import Launcher
from playground.runs.store import checkpoints, status
from playground.runs.store.history import History
from playground.runs.store.processes import cores
from playground.runs.store.run_store import Run, RunStore
from playground.runs.worker.execution import execute
from playground.tokenizers import build_tokenizer
from playground.train.events import Event, StepDone
from tests.benchmarks._report import figure, machine
from tests.e2e.conftest import App, end_workers
from tests.runs.conftest import MODEL, TEXT, TRAIN

CHECKPOINT_EVERY = 15
STEPS = 400
VISITORS = [f"{number:032x}" for number in range(5)]
WHOLE = {
    "n_layer": 1, "n_embd": 32, "n_head": 2, "n_kv_head": 2, "block_size": 32, "steps": 400, "batch_size": 2,
    "warmup_steps": 2, "corpus_bytes": 20_000, "sample_interval": 0, "eval_interval": 50, "eval_tokens": 64, "snapshots": 2,
    "checkpoint_interval": 20,
}  # fmt: skip
TINY = ["--kills", "4"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--part", nargs="+", choices=("workers", "apps", "whole"), default=["workers", "apps", "whole"])
    options = parser.parse_args(arguments)
    machine()
    torch.set_num_threads(1)
    rng = random.Random(options.seed)
    whole, clicks = options.kills // 10, 3 * options.kills // 10
    lost = Losses()
    shares = {"workers": options.kills - whole - clicks, "apps": clicks, "whole": whole}
    parts = {"workers": workers, "apps": apps, "whole": whole_apps}
    with tempfile.TemporaryDirectory() as folder:
        total = sum(parts[part](Path(folder) / part, shares[part], rng, lost) for part in options.part)
    for what, count in lost.counts.items():
        print(f"told of and looked for after a kill: {count:8,} {what}")
    for problem in lost.problems[:10]:
        print(f"LOST: {problem}")
    figure("kills", total, f">= {sum(shares[part] for part in options.part)}")
    figure("acknowledged_and_lost", len(lost.problems), "0")


@dataclass
class Losses:
    """What was told and is not there, in words; and how much was looked for."""

    problems: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def expect(self, true: bool, problem: str) -> None:
        if not true:
            self.problems.append(problem)


def forked(work: Callable[[int], None]) -> tuple[int, int]:
    """A copy of this process that does `work` with the writing end of a pipe: its process id, and the reading end."""
    mine, theirs = os.pipe()
    child = os.fork()
    if child:
        os.close(theirs)
        return child, mine
    try:
        os.close(mine)
        work(theirs)
        os._exit(0)
    except BaseException:  # noqa: BLE001 - a copy must never go on as if it were the original
        traceback.print_exc()
        os._exit(1)


def killed(child: int, pipe: int, after: float, said_first: int = 0) -> bytes:
    """What it said until it was killed: `after` seconds from when it had said so many bytes, or had 20 seconds for it."""
    said, deadline = b"", time.monotonic() + 20
    while len(said) < said_first and time.monotonic() < deadline:
        if select.select([pipe], [], [], 0.2)[0]:
            said += os.read(pipe, 1 << 16)
    time.sleep(after)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with open(pipe, "rb") as rest:
        return said + rest.read()


# Workers


def workers(root: Path, kills: int, rng: random.Random, lost: Losses) -> int:
    """Runs whose worker is killed again and again; at its end each must be the run that it would have been."""
    store = RunStore(root)
    reference = _new_run(store)
    execute(reference)
    course, run, ended = _course(reference), _new_run(store), 0
    for kill in range(kills):
        child, pipe = forked(lambda pipe, run=run: _train(run, pipe))  # type: ignore[misc]
        steps = 0 if rng.random() < 0.2 else rng.randrange(1, 60)  # one in five while it still loads
        said = killed(child, pipe, rng.random() * (0.02 if steps else 0.3), 8 * steps)
        told = max(struct.unpack(f"<{len(said) // 8}q", said[: len(said) // 8 * 8]), default=0)
        _check_run(run, told, f"worker kill {kill}", lost)
        last = kill == kills - 1
        if last:
            execute(run)
        if last or run.state() == "finished":
            ended += 1
            lost.expect(_course(run) == course, f"run {ended} did not become the uninterrupted one")
            run = _new_run(store)
    print(f"workers: {kills} killed; {ended} runs came to the same losses, measurements and weights as uninterrupted")
    return kills


def _train(run: Run, pipe: int) -> None:
    """Train, and tell each step as soon as it is in the log."""

    def report(event: Event) -> None:
        if isinstance(event, StepDone):
            os.write(pipe, struct.pack("<q", event.step))

    execute(run, watch=report)


def _new_run(store: RunStore) -> Run:
    config = TRAIN.replace(steps=STEPS, checkpoint_interval=CHECKPOINT_EVERY, eval_interval=40, snapshots=6)
    return store.create(
        MODEL, config, build_tokenizer("byte", TEXT), name="killed", preset="modern", own_text=TEXT, owner=VISITORS[0]
    )


def _check_run(run: Run, told: int, where: str, lost: Losses) -> None:
    """Every step that was told is in the log, undamaged, and the checkpoint before it can be loaded."""
    history = History(run.log)
    history.refresh()
    lost.counts["training steps"] += told
    lost.expect(history.damaged == 0, f"{where}: {history.damaged} rows are damaged")
    lost.expect(
        list(history.train["step"]) == list(range(1, history.step + 1)) and history.step >= told,
        f"{where}: step {told} was told, the log ends at {history.step}",
    )
    every = run.train.checkpoint_interval
    due = (told - 1) // every * every
    if due > 0:
        saved = checkpoints.load_checkpoint(run.path)
        lost.counts["checkpoints"] += 1
        found = -1 if saved is None or saved.notes else saved.step
        lost.expect(found >= due, f"{where}: the checkpoint of step {due} was saved, {found} is the newest good one")


def _course(run: Run) -> tuple[Any, ...]:
    """All of a run that has to be the same, bit for bit."""
    history = History(run.log)
    history.refresh()
    saved = checkpoints.load_checkpoint(run.path)
    assert saved is not None
    tensors = {f"{kind}.{name}": tensor for kind, part in saved.tensors.items() for name, tensor in part.items()}
    bits = {name: tensor.numpy().tobytes() for name, tensor in tensors.items() if "rng" not in name}
    evaluations = [(event.step, event.loss) for event in history.validation]
    return run.state(), list(history.train["loss"]), evaluations, bits


# Apps that obey clicks


def apps(root: Path, kills: int, rng: random.Random, lost: Losses) -> int:
    """An app with five visitors who click at everything, killed and started again."""
    store, known = RunStore(root), {}
    for kill in range(kills):
        seed = rng.random()
        child, pipe = forked(lambda pipe, seed=seed: _click(store, pipe, random.Random(seed)))  # type: ignore[misc]
        said = killed(child, pipe, rng.random() * 0.05, rng.randrange(3_000)).decode()
        lines = [json.loads(line) for line in said.splitlines() if line.endswith("}")]
        for line in lines:
            if "done" in line:
                known[line["run"]] = line
                lost.counts["clicks"] += 1
        pending = lines[-1] if lines and "done" not in lines[-1] else {"run": ""}
        _check_store(store, known, str(pending.get("run")), f"app kill {kill}", lost)
    print(f"apps: {kills} killed, {len(known)} runs created by clicks")
    return kills


def _click(store: RunStore, pipe: int, rng: random.Random) -> None:
    """Visitors create, start, stop, rename, share and delete, each click told before and after."""
    tokenizer = build_tokenizer("byte", TEXT)
    store = RunStore(store.root)  # nothing in memory from before

    def tell(**facts: Any) -> None:
        os.write(pipe, json.dumps(facts).encode() + b"\n")

    with Launcher(store, max_workers=0, spare=False, threads=1) as launcher:
        while True:
            visitor = rng.choice(VISITORS)
            own = store.list(visitor)
            run = rng.choice(own) if own and rng.random() < 0.7 else None
            click = rng.choice(("start", "start", "stop", "rename", "share", "delete")) if run else "create"
            tell(click=click, run=run.id if run else "")
            if run is None:
                run = store.create(MODEL, TRAIN, tokenizer, name="new", preset="modern", own_text=TEXT, owner=visitor)
            elif click == "start":
                launcher.start(run, visitor)
            elif click == "stop":
                launcher.stop(run.id, visitor)
            elif click == "rename":
                store.rename(run.id, f"name {rng.randrange(10**6)}", visitor)
            elif click == "share":
                store.share(run.id, not run.shared, visitor)
            else:
                store.delete(run.id, visitor)
                tell(done=click, run=run.id, gone=True)
                continue
            now = store.get(run.id, visitor)
            place = launcher.position(run.id) or 0
            tell(
                done=click,
                run=run.id,
                name=now.name,
                shared=now.shared,
                state=now.state(),
                queued=_queued(now),
                at=place,
            )


def _queued(run: Run) -> float:
    return status.declared(run.path).queued


def _check_store(store: RunStore, known: dict[str, Any], pending: str, where: str, lost: Losses) -> None:
    """Every click that had returned shows; the one under way has happened or has not."""
    fresh = RunStore(store.root)
    lost.expect(fresh.unreadable() == (), f"{where}: {fresh.unreadable()}")
    there = {run.id: run for run in fresh.list()}
    for run_id, fact in known.items():
        run = there.get(run_id)
        if run_id == pending:
            continue
        if fact.get("gone"):
            lost.expect(run is None, f"{where}: a deleted run is back")
            continue
        found = run and {"name": run.name, "shared": run.shared, "state": run.state(), "queued": _queued(run)}
        wanted = {name: fact[name] for name in ("name", "shared", "state", "queued")}
        lost.expect(found == wanted, f"{where}: {found} instead of {wanted}")
        lost.expect(run is None or run.own_text() == TEXT, f"{where}: its text is not what was brought")
    if pending in known:  # it counts from now on as it is
        run = there.get(pending)
        known[pending] = (
            {"gone": True}
            if run is None
            else {"name": run.name, "shared": run.shared, "state": run.state(), "queued": _queued(run)}
        )


# Whole apps


def whole_apps(folder: Path, kills: int, rng: random.Random, lost: Losses) -> int:
    """The app as it is deployed: a client starts a run and reads its curve; app, worker or both are killed."""
    torch.set_num_threads(cores())  # as its workers have: with another number, sums are added up in another order
    app = App(folder, public=True)
    store, courses = RunStore(app.data / "runs"), []
    try:
        for kill in range(kills):
            victims = rng.choice(("app", "worker", "both"))
            run, told = _train_and_kill(app, store, victims, 0.2 + rng.random() * 1.5)
            _settle(run)
            _check_run(run, told, f"whole {victims} kill {kill}", lost)
            execute(run)
            courses.append(_course(run))
    finally:
        app.stop()
        end_workers(app.data)
    lost.expect(all(course == courses[0] for course in courses), "a run of a killed app did not become the usual one")
    print(f"whole apps: {kills} killed, every run resumed to the same end")
    return kills


def _train_and_kill(app: App, store: RunStore, victims: str, after: float) -> tuple[Run, int]:
    """Start the app unless it lives, train by its API, kill. The run, and the last step that a client was told of."""
    for _ in range(3):
        if app.process is not None and app.process.poll() is None:
            break
        try:
            app.start()
        except RuntimeError as error:  # a machine so busy that it takes longer than App waits for
            print(str(error).splitlines()[0], file=sys.stderr)
            app.stop(signal.SIGKILL)
    assert app.process is not None
    client = Client(app.url, verbose=False, analytics_enabled=False, httpx_kwargs={"timeout": 120})
    answer = client.predict(settings=WHOLE, api_name="/train")
    run, told, deadline = store.get(answer["run"], answer["token"]), 0, None
    while deadline is None or time.monotonic() < deadline:
        curve = client.predict(run.id, answer["token"], api_name="/metrics")
        told = max([told, *curve["train"]["step"]])
        if told and deadline is None:
            deadline = time.monotonic() + after
    worker = status.declared(run.path).pid
    if victims != "worker":
        app.process.kill()
        app.process.wait()
    if victims != "app" and worker:
        try:
            os.kill(worker, signal.SIGKILL)
        except ProcessLookupError:
            print("the run had ended before the kill", file=sys.stderr)
    return run, told


def _settle(run: Run) -> None:
    """Wait until its worker is gone: without its app it saves and pauses."""
    deadline = time.monotonic() + 20
    while run.state() in ("running", "queued") and time.monotonic() < deadline:
        time.sleep(0.05)
