"""Page load and first results: the server, the page, the first loss, a readable sample, a stop.

Each round starts the app anew, opens the page in Chromium over a slow link, then at full speed, and starts the default
preset.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from playground.data.tales import tales
from playground.runs.store.run_store import RunStore
from tests.benchmarks._report import figure, machine, row
from tests.e2e.conftest import FLAGS, App, browser_path, end_workers
from tests.e2e.steps import tile, wait_for

READABLE = 0.9  # share of whole words in a sample that the text also has
SLOW_LINK = {
    "offline": False,
    "latency": 100,
    "downloadThroughput": 4e6 / 8,
    "uploadThroughput": 4e6 / 8,
}  # ms, bytes/s
SLOW_CPU = 4  # times
QUIET = 3_000  # milliseconds after which a page that is usable has fetched the rest
UNITS = {
    "first visit over the wire": "MB", "of it the page itself": "MB", "requests of a first visit": "",
    "second visit over the wire": "MB", "steps after Stop was received": "steps",
}  # fmt: skip
TINY = ["--rounds", "1"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="visit", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    machine()
    rounds = [_round() for _ in range(options.rounds)]
    columns = {name: [values[name] for values in rounds] for name in rounds[0]}
    middle = {name: row(name, values, UNITS.get(name, "s")) for name, values in columns.items()}
    figure("first_visit_megabytes", middle["first visit over the wire"], "<= 1.2")
    figure("slow_page_usable_seconds", middle["page usable, slow link and CPU"], "<= 3")
    figure("server_answers_seconds", middle["server answers"], "<= 8")
    figure("page_usable_seconds", middle["page usable after opening"], "<= 2")
    figure("first_loss_seconds", middle["first loss point after Start"], "<= 3")
    figure("readable_sample_seconds", middle["readable sample after Start"], "<= 60")
    figure("steps_after_stop", middle["steps after Stop was received"], "<= 1")


def _round() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        app = App(Path(folder) / "data")
        began = time.monotonic()
        app.start()
        answered = time.monotonic() - began
        browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        try:
            time.sleep(6)  # the spare worker warms up, as it has when a person reads the page first
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto("about:blank")
            return {"server answers": answered, **_slow_visits(browser, app), **_visit(page, app)}
        finally:
            browser.close()
            app.stop()
            end_workers(app.data)


def _slow_visits(browser: Browser, app: App) -> dict[str, float]:
    """Two visits of one browser over 4 Mbit/s with 100 ms of latency, its CPU slowed: bytes, and when Start is usable."""
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    found = {}
    for visit in ("first", "second"):
        page = context.new_page()
        page.goto("about:blank")
        devtools = context.new_cdp_session(page)
        devtools.send("Network.enable")
        devtools.send("Network.emulateNetworkConditions", SLOW_LINK)
        devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOW_CPU})
        sizes: dict[str, int] = {}
        devtools.on(
            "Network.loadingFinished", lambda event, s=sizes: s.update({event["requestId"]: event["encodedDataLength"]})
        )
        page_id: list[str] = []
        devtools.on("Network.requestWillBeSent", lambda event, ids=page_id: ids.append(event["requestId"]))
        usable = _open(page, app)
        page.wait_for_timeout(QUIET)
        found[f"{visit} visit over the wire"] = sum(sizes.values()) / 1e6
        if visit == "first":
            found["of it the page itself"] = sizes[page_id[0]] / 1e6
            found["requests of a first visit"] = sum(size > 0 for size in sizes.values())
            found["page usable, slow link and CPU"] = usable
        else:
            found["the same on a second visit"] = usable
        page.close()
    context.close()
    return found


def _open(page: Page, app: App) -> float:
    """Seconds until Start can be pressed: visible, enabled, and nothing lies over it."""
    began = time.monotonic()
    page.goto(app.url, wait_until="commit")
    page.locator("#start").click(trial=True)
    return time.monotonic() - began


def _visit(page: Page, app: App) -> dict[str, float]:
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})  # computing time, whatever else the machine does
    usable = _open(page, app)
    computed = {each["name"]: each["value"] for each in devtools.send("Performance.getMetrics")["metrics"]}
    devtools.detach()
    button = page.locator("#start")
    page.get_by_text("parameters ·").wait_for()
    began = time.monotonic()
    button.click()
    wait_for(lambda: tile(page, "train loss"), pause=0.05)
    first = time.monotonic() - began
    readable = _wait_for_words(app, began)
    overrun = _steps_after_stop(page, app)
    return {
        "page usable after opening": usable,
        "of it computing in the page": computed["TaskDuration"],
        "first loss point after Start": first,
        "readable sample after Start": readable,
        "steps after Stop was received": overrun,
    }


def _wait_for_words(app: App, began: float, patience: float = 300) -> float:
    """Seconds until a sample was written whose words are nearly all words of the text."""
    known = set(_words(tales(4_000_000)))
    (run,) = RunStore(app.data / "runs").list()
    while time.monotonic() - began < patience:
        for text in _samples(run.log):
            words = _words(text)[:-1]  # the last one is cut off
            if len(words) > 10 and sum(word in known for word in words) / len(words) >= READABLE:
                print(f"  reads as: {text!r}")
                return time.monotonic() - began
        time.sleep(0.5)
    return float("inf")


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z]+", text.lower())


def _samples(log: Path) -> list[str]:
    events = (json.loads(line.split("\t")[0]) for line in log.read_text("utf-8").splitlines() if "\t" in line)
    return [event["text"] for event in events if event.get("event") == "Sampled"]


def _steps_after_stop(page: Page, app: App) -> float:
    """Steps that end after the request lies in the run's folder, where the worker looks between two steps."""
    (run,) = RunStore(app.data / "runs").list()
    page.locator("#stop-run").click()
    while not (run.path / "control").exists() and run.state() == "running":
        time.sleep(0.001)
    last = _last_step(run.log)
    wait_for(lambda: run.state() == "stopped")
    return max(0, max(run.steps_available()) - last)


def _last_step(log: Path) -> int:
    steps = re.findall(r'"event": ?"StepDone", ?"step": ?(\d+)', log.read_text("utf-8"))
    return int(steps[-1]) if steps else 0
