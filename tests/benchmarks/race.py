"""Races: overhead of interleaving, redrawing, network traffic, and the rate of false claims between identical arms.

python -m tests.benchmarks race [--only interleaving redraw stream claims]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from playground.config import TrainConfig, preset
from playground.data.tales import tales
from playground.races.payload import race_news
from playground.races.statistics import LEVEL, paired_difference
from playground.runs.curves import Curves
from playground.runs.races import create_race, prepare_race
from playground.runs.store.log import LogWriter
from playground.runs.store.run_store import RunStore
from playground.tokenizers import build_tokenizer
from playground.train.dataset import Dataset, prepare
from playground.train.events import Evaluated, Started, StepDone
from playground.train.race import Lane, interleave
from playground.train.race_spec import RaceSpec
from playground.train.trainer import TrainState, train
from tests.benchmarks._report import figure, machine, row

PARTS = ("interleaving", "redraw", "stream", "claims")
TINY = ["--races", "4"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="race", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    parser.add_argument("--races", type=int, default=200, help="of identical arms")
    options = parser.parse_args(arguments)
    machine()
    parts = {"interleaving": interleaving, "redraw": redraw, "stream": stream, "claims": lambda: claims(options.races)}
    for name in options.only:
        parts[name]()


# Taking turns against one after the other


def interleaving(steps: int = 40, repetitions: int = 5) -> None:
    """Wall time of two arms' steps, in turns and one after the other, alternating which comes first."""
    torch.set_num_threads(1)  # two threads that wait for each other measure whatever else runs
    tokenizer, text = build_tokenizer("byte", ""), tales(1_000_000)
    models = [preset(name, n_layer=2, n_embd=64, block_size=128) for name in ("classic", "modern")]
    config = TrainConfig(
        steps=steps, batch_size=8, warmup_steps=0, eval_interval=steps, eval_tokens=64, sample_interval=0
    )
    data = prepare(text, tokenizer, models[0], config)

    def lanes() -> list[Lane]:
        return [Lane(train(TrainState.new(model, config), data, config, tokenizer), steps) for model in models]

    def in_turns() -> None:
        for _ in interleave(lanes()):
            continue

    def one_after_the_other() -> None:
        for lane in lanes():
            for _ in lane.events:
                continue

    in_turns()
    one_after_the_other()
    times: dict[str, list[float]] = {"turns": [], "alone": []}
    for repetition in range(repetitions):
        order = [("turns", in_turns), ("alone", one_after_the_other)]
        for name, work in order if repetition % 2 else reversed(order):
            began = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - began)
    turns = row(f"two arms, {steps} steps each, in turns", times["turns"], "s")
    alone = row(f"two arms, {steps} steps each, one after the other", times["alone"], "s")
    figure("race_interleaving_overhead_percent", 100 * (turns / alone - 1), "< 5")


# What the browser does


def redraw(arms: int = 8, seeds: int = 5, points: int = 2000) -> None:
    """Milliseconds of a redraw of the real component, fed 8 arms x 5 seeds x 2000 points, in a headless browser."""
    from playwright.sync_api import sync_playwright

    from playground.ui.compare import report
    from tests.e2e.conftest import FLAGS, browser_path

    with tempfile.TemporaryDirectory() as folder:
        store, race = _written(Path(folder), arms, seeds, points)
        curves = Curves(store)
        news = race_news(race, curves)
        for item in news["rows"]:  # every step, not the thinned curve that is sent
            item["train"] = _training(points, item["i"])
        page_file = Path(folder) / "race.html"
        page_file.write_text(report.race_report(race, curves).replace('id="data">', 'id="old">', 1), "utf-8")
        text = page_file.read_text("utf-8").replace(
            '<script type="application/json" id="old">',
            f'<script type="application/json" id="data">{json.dumps(news).replace("<", "")}</script>\n'
            '<script type="application/json" id="old">',
        )
        page_file.write_text(text, "utf-8")
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(page_file.as_uri())
            page.locator(".js-plotly-plot").first.wait_for()
            times = {"validation": [], "every training step": []}  # type: dict[str, list[float]]
            for name in times:
                if name == "every training step":
                    page.get_by_text("show training").click()
                    page.wait_for_timeout(1500)
                for _ in range(9):
                    page.get_by_text("Tokens", exact=True).first.click()
                    page.wait_for_timeout(900)
                    times[name].append(float(page.locator(".js-plotly-plot").first.get_attribute("data-ms") or "nan"))
                    page.get_by_text("Step", exact=True).first.click()
                    page.wait_for_timeout(900)
                    times[name].append(float(page.locator(".js-plotly-plot").first.get_attribute("data-ms") or "nan"))
            browser.close()
    for name, values in times.items():
        middle = row(f"redraw, {arms} arms x {seeds} seeds x {points} points, {name}", values, "ms")
    figure("race_redraw_ms", middle, "< 100")


def _training(points: int, number: int) -> dict[str, list[float]]:
    steps = list(range(1, points + 1))
    noise = np.random.default_rng(number).normal(0, 0.05, points)
    losses = [round(float(1.5 + 4 * np.exp(-step / 300) + extra), 4) for step, extra in zip(steps, noise, strict=True)]
    return {"step": steps, "seconds": [0.02 * step for step in steps], "loss": losses, "grad_norm": [0.5] * points}


def _written(folder: Path, arms: int, seeds: int, points: int) -> tuple[RunStore, Any]:
    """A race whose logs are written instead of trained."""
    store = RunStore(folder / "runs")
    shared = {"n_layer": 1, "n_embd": 16, "n_head": 2, "block_size": 16, "batch_size": 2, "corpus_bytes": 50_000}
    names = [f"Arm {i}: modern + learning_rate={0.001 * (i + 1):.3f}" for i in range(arms)]
    values = {"arms": names, "shared": shared, "amount": points, "seeds": seeds, "match": "none"}
    race = create_race(store, prepare_race(RaceSpec.from_dict(values)))
    for number, run in enumerate(run for arm in race.members for run in arm):
        curve = _training(points, number)
        with LogWriter(run.log) as log:
            log.append(Started(0, points, 1, 2, 3, 1.4427))
            for step, loss, seconds in zip(curve["step"], curve["loss"], curve["seconds"], strict=True):
                if step % (points // 20) == 1:
                    log.append(Evaluated(step - 1, 32 * step, seconds, loss, 0.3))
                log.append(StepDone(step, 32 * step, seconds, loss, 0.5, 0.001))
    return store, race


# What goes over the wire


def stream(arms: int = 8, seeds: int = 5, points: int = 2000, per_second: float = 50) -> None:
    """Bytes a second of the answers while the largest race trains at `per_second` steps in all, asked once a second."""
    with tempfile.TemporaryDirectory() as folder:
        store = RunStore(Path(folder) / "runs")
        shared = {"n_layer": 1, "n_embd": 16, "n_head": 2, "block_size": 16, "batch_size": 2, "corpus_bytes": 50_000}
        names = [f"Arm {i}: modern + learning_rate={0.001 * (i + 1):.3f}" for i in range(arms)]
        values = {"arms": names, "shared": shared, "amount": points, "seeds": seeds, "match": "none"}
        race = create_race(store, prepare_race(RaceSpec.from_dict(values)))
        curves = Curves(store)
        runs = [run for arm in race.members for run in arm]
        logs = [LogWriter(run.log).__enter__() for run in runs]
        for log in logs:
            log.append(Started(0, points, 1, 2, 3, 1.4427))
        cursor, sizes, done = race_news(race, curves)["cursor"], [], 0
        for _ in range(60):  # a minute of the race
            for _ in range(int(per_second)):
                number, step = done % len(runs), done // len(runs) + 1
                curve = 1.5 + 4 * np.exp(-step / 300)
                logs[number].append(StepDone(step, 32 * step, 0.02 * step, float(curve), 0.51234, 0.001))
                if step % (points // 20) == 0:
                    logs[number].append(Evaluated(step, 32 * step, 0.02 * step, float(curve), 0.31234))
                done += 1
            answer = race_news(race, curves, cursor)
            cursor = answer["cursor"]
            sizes.append(len(json.dumps(answer, separators=(",", ":"))) + len(cursor))
        for log in logs:
            log.__exit__(None, None, None)
    row(f"answers while {arms * seeds} runs train at {per_second:.0f} steps/s", [size / 1000 for size in sizes], "KB")
    figure("race_stream_kb_per_second", statistics.fmean(sizes) / 1000, "< 5")


# How often identical arms are called different


def claims(races: int) -> None:
    """A against A: simulated at the level of final losses, and among really trained tiny models of different seeds."""
    rng = np.random.default_rng(0)
    for n_seeds in (3, 5):
        for count in (races, 100 * races):
            share = _claimed(rng, count, n_seeds)
            print(
                f"simulated, {n_seeds} seeds: {100 * share:.2f} % of {count} races between identical arms claim something"
            )
    figure(
        f"race_false_positives_percent_of_{races}",
        100 * _claimed(np.random.default_rng(1), races, 3),
        f"<= {100 * LEVEL:.0f}",
    )
    finals = _tiny_models(max(6, 3 * races // 10))
    drawn = [rng.permutation(len(finals))[:6] for _ in range(races)]
    wrong = sum(_outcome([finals[i] for i in some[:3]], [finals[i] for i in some[3:]]) for some in drawn)
    print(f"{len(finals)} trained tiny models, {races} races of 3 seeds drawn from them: {wrong} claim something")
    figure("race_false_positives_percent_real", 100 * wrong / races, f"<= {100 * LEVEL:.0f}")


def _claimed(rng: np.random.Generator, races: int, n_seeds: int) -> float:
    shared = rng.normal(1.5, 0.05, (races, n_seeds))
    a, b = (shared + rng.normal(0, 0.01, (races, n_seeds)) for _ in range(2))
    return sum(_outcome(x, y) for x, y in zip(a.tolist(), b.tolist(), strict=True)) / races


def _outcome(a: list[float], b: list[float]) -> bool:
    return paired_difference(a, b).outcome in ("better", "worse")


def _tiny_models(count: int) -> list[float]:
    torch.set_num_threads(1)
    tokenizer, text = build_tokenizer("byte", ""), tales(100_000)
    model = preset("modern", n_layer=1, n_embd=16, n_head=2, block_size=32)
    config = TrainConfig(steps=60, batch_size=4, warmup_steps=6, eval_interval=60, eval_tokens=2048, sample_interval=0)
    data: Dataset = prepare(text, tokenizer, model, config)
    finals = []
    for seed in range(count):
        one = config.replace(seed=seed)
        losses = [
            event.loss
            for event in train(TrainState.new(model, one), data, one, tokenizer)
            if isinstance(event, Evaluated)
        ]
        finals.append(losses[-1])
    return finals
