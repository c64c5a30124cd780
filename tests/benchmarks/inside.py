"""What looking inside costs: maps, the time slider, every part switched off, snapshots while training."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from playwright.sync_api import sync_playwright

from playground.config import TrainConfig, preset
from playground.lab.ablation import effect, parts_of, probe
from playground.models.transformer import Transformer, initialise
from playground.runs.checkpoints import save_snapshot
from playground.runs.loading import ModelCache
from playground.runs.paths import cache_root, gallery_root
from playground.runs.store import RunStore
from playground.runs.texts import dataset
from playground.tokenizers import build_tokenizer
from playground.ui import endpoints
from playground.ui.services import Services
from tests.benchmarks._report import figure, machine, row
from tests.e2e.conftest import FLAGS, App, browser_path
from tests.e2e.steps import open_page

TEXT = ("Mila gave the key to Oren. Then Oren opened the box with the key. " * 2)[:128]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="inside", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    machine()
    _maps(options.rounds)
    _parts(options.rounds)
    _slider()


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _maps(rounds: int) -> None:
    """The answer to *Look* of a 6 x 6 model, and what a snapshot of the default model costs its run."""
    with tempfile.TemporaryDirectory() as folder:
        services = Services.create(public=False)
        store = RunStore(Path(folder))
        model = preset("modern", n_layer=6, n_head=6, n_kv_head=6, n_embd=192)
        run = store.create(model, TrainConfig(), build_tokenizer("byte", ""), name="maps", preset="modern")
        weights = initialise(Transformer(model), 0).state_dict()
        save_snapshot(run.path, weights, {"step": 0, "tokens": 0, "seconds": 0.0}, "bfloat16")
        look = {"run": run.id, "text": TEXT}
        here = Services(store, services.launcher, services.curves, services.models, services.cache_dir, public=False)
        size = len(json.dumps(endpoints.attention(here, look))) / 1e6
        answer = row(
            "maps of 6 x 6 heads, 128 tokens",
            [_seconds(lambda: endpoints.attention(here, look)) for _ in range(rounds)],
            "s",
        )
        small = preset("modern")
        weights = initialise(Transformer(small), 0).state_dict()
        counters: dict[str, int | float] = {"step": 1, "tokens": 0, "seconds": 0.0}
        snapshot = row(
            "a snapshot of the default model",
            [_seconds(lambda: save_snapshot(run.path, weights, counters, "bfloat16")) for _ in range(rounds)],
            "s",
        )
        services.launcher.close()
    figure("maps_answer_seconds", answer, "<= 0.4 with drawing")
    figure("maps_megabytes", size, "<= 0.5")
    figure("twelve_snapshots_seconds", 12 * snapshot, "< 1 % of a run of 100 s")


def _parts(rounds: int) -> None:
    """Every head and MLP of the shipped 4 x 4 model, one after the other."""
    store = RunStore(Path(tempfile.mkdtemp()), gallery_root())
    (run,) = [run for run in store.list() if run.name == "Modern on Tales, seed 0"]
    torch.set_num_threads(2)
    model, data = ModelCache().get(run), dataset(run, cache_root())
    on = probe(model, data, 4_000)
    seconds = [
        _seconds(lambda: [effect(model, on, [part]) for part in parts_of(run.model)]) for _ in range(min(rounds, 3))
    ]
    figure("all_parts_seconds", row(f"20 parts on {on.n_tokens} tokens", seconds, "s"), "< 10")


def _slider() -> None:
    """Moving the slider of the shipped run in Chromium, from one saved step to the next."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        app = App(Path(folder) / "data").start()
        browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            open_page(page, app.url, "Attention")
            page.locator("#attention-run input").click()
            page.get_by_role("option", name="Modern on Tales, seed 0").first.click()
            page.locator("#attention-grid .pg-time[data-ready='12']").wait_for()
            milliseconds = []
            for index in [*range(12), *range(12)]:
                page.get_by_label("Saved step of the training").fill(str(index))
                milliseconds.append(float(page.locator("#attention-grid .pg-time").get_attribute("data-ms") or "nan"))
        finally:
            browser.close()
            app.stop()
    figure("slider_step_milliseconds", row("slider, one step, 16 heads, 60 tokens", milliseconds, "ms"), "< 60")
