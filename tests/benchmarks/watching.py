"""Overhead of an open page: training throughput with and without it, and bytes per second for four runs.

The speed with and without a viewer is measured in turns within one run, so that a slow minute of the machine hits both.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from playground.config import TrainConfig, preset
from playground.runs.create import Prepared, create_run
from playground.runs.curves import Curves
from playground.runs.store.history import History
from playground.runs.store.log import LogWriter
from playground.runs.store.run_store import Run, RunStore
from playground.tokenizers import build_tokenizer
from playground.train.events import Evaluated, Event, Sampled, Started, StepDone
from tests.benchmarks._report import figure, machine, row
from tests.e2e.conftest import FLAGS, App, browser_path, end_workers
from tests.e2e.steps import set_slider, wait_for

POLL_SECONDS = 1.0  # of the Compare chart
SETTLE_SECONDS = 2.0  # the page has drawn itself; what a browser still does then is counted as watching
TINY = ["--turns", "1", "--seconds", "3"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="watching", description=__doc__)
    parser.add_argument("--turns", type=int, default=8, help="turns with and without the page")
    parser.add_argument("--seconds", type=float, default=12, help="length of a turn")
    options = parser.parse_args(arguments)
    machine()
    ratios = _speed_ratios(options.turns, options.seconds)
    ratio = row("training speed with the page / without", ratios, "x")
    figure("speed_while_watched_percent", 100 * ratio, ">= 97")
    rate = row("answers to one viewer of four live runs", [_traffic() for _ in range(3)], "bytes/s")
    figure("live_bytes_per_second", rate, "<= 2000")


def _speed_ratios(turns: int, seconds: float) -> list[float]:
    """Steps per second with the page open over those without, for neighbouring turns."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        app = App(Path(folder) / "data").start()
        browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        try:
            return _turns(app, browser, turns, seconds)
        finally:
            browser.close()
            app.stop()
            end_workers(app.data)


def _turns(app: App, browser: Browser, turns: int, seconds: float) -> list[float]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(app.url)
    page.get_by_text("parameters ·").wait_for()
    page.get_by_role("button", name="All training settings").click()
    for name in ("Evaluate every", "Sample every", "Checkpoint every"):
        page.get_by_label(name).fill("5000")
    for name, value in (("Steps", 5000), ("Batch size", 32)):  # so that the run lasts longer than the measurement
        set_slider(page, name, value)
    page.locator("#start").click()
    store = RunStore(app.data / "runs")
    wait_for(store.list)
    history = History(store.list()[0].log)
    wait_for(lambda: history.refresh() or history.step > 5)
    speeds: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(2 * turns):
        watched = turn % 2 == 0
        page.goto(app.url if watched else "about:blank")
        time.sleep(SETTLE_SECONDS)
        speeds[watched].append(_speed(history, seconds))
    return [with_page / without for with_page, without in zip(speeds[True], speeds[False], strict=True)]


def _speed(history: History, seconds: float) -> float:
    """Steps per second of training over the next while."""
    history.refresh()
    step, trained = history.train["step"][-1], history.train["seconds"][-1]
    time.sleep(seconds)
    history.refresh()
    done, elapsed = history.train["step"][-1] - step, history.train["seconds"][-1] - trained
    if not done:
        raise SystemExit(
            f"The run made no step within {seconds:g} s; it stands at step {step}. It may have ended: use fewer turns."
        )
    return float(done / elapsed)


def _traffic(watched_seconds: float = 40.0, steps_per_second: float = 5.0) -> float:
    """Bytes per second of the answers to a viewer of four runs that share a laptop making twenty steps a second.

    The events are written by the clock instead of by training: the size of an answer depends on nothing else.
    """
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(Path(folder))
        tokenizer = build_tokenizer("byte", "")
        prepared = Prepared("modern", preset("modern"), TrainConfig(), tokenizer)
        runs = [create_run(store, prepared) for _ in range(4)]
        curves, cursors, total = Curves(store), dict.fromkeys([run.id for run in runs]), 0
        for run in runs:
            _write(run, Started(0, 800, 758_912, 3_600_000, 400_000, 1.4427))
        for run in runs:
            cursors[run.id] = curves.since(run, None)["cursor"]
        ticks, step = int(watched_seconds / POLL_SECONDS), 0
        for _ in range(ticks):
            for _ in range(int(steps_per_second * POLL_SECONDS)):
                step += 1
                for run in runs:
                    _write(run, *_events(step))
            answer = {"runs": [curves.since(run, cursors[run.id]) for run in runs]}
            total += len(json.dumps(answer))
            cursors = {reply["id"]: reply["cursor"] for reply in answer["runs"]}
        return total / watched_seconds


def _events(step: int) -> list[StepDone | Evaluated | Sampled]:
    seconds, loss = step * 0.05123456, 5.6 / (1 + step / 91.3)
    events: list[StepDone | Evaluated | Sampled] = [
        StepDone(step, step * 2048, seconds, loss, 0.6123 + loss / 7, 0.002 * step / 801)
    ]
    if step % 50 == 0:
        events.append(Evaluated(step, step * 2048, seconds, loss * 1.01, 0.7123))
    if step % 100 == 0:
        events.append(Sampled(step, "Once there was a", " fox named Mila who had a red kite" * 5))
    return events


def _write(run: Run, *events: Event) -> None:
    with LogWriter(run.log) as log:
        for event in events:
            log.append(event)
