"""Response times of the Attention and Inside tabs: analyze, another head, the time slider, ablation, snapshots."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from playwright.sync_api import Browser, Page, sync_playwright

from playground.config import ModelConfig, TrainConfig, preset
from playground.data.corpora import load_text
from playground.interp.ablation import effect, parts_of, probe
from playground.models.transformer import Transformer, initialise
from playground.runs.loading import ModelCache
from playground.runs.store.checkpoints import save_snapshot
from playground.runs.store.paths import cache_root, gallery_root
from playground.runs.store.run_store import Run, RunStore
from playground.runs.texts import dataset
from playground.tokenizers import build_tokenizer
from playground.train.dataset import prepare
from playground.train.trainer import TrainState, train
from playground.ui import endpoints
from playground.ui.inside import attention_endpoints
from playground.ui.services import Services
from tests.benchmarks._report import figure, machine, row
from tests.e2e.conftest import FLAGS, App, browser_path
from tests.e2e.steps import open_page

TEXT = "Mila gave the key to Oren. Then Oren opened the box with the key. " * 8
SIZES = (128, 512)  # tokens
# Milliseconds from an action to the next frame that shows its outcome.
FRAME = "await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));"
CLICK_HEAD = f"""async (number) => {{
  const began = performance.now();
  document.querySelectorAll("#attention-grid .pg-head")[number].click();
  {FRAME}
  return performance.now() - began;
}}"""
MOVE_SLIDER = f"""async (index) => {{
  const slider = document.querySelector("#attention-grid input[type=range]");
  const began = performance.now();
  slider.value = index;
  slider.dispatchEvent(new Event("input", {{ bubbles: true }}));
  {FRAME}
  return performance.now() - began;
}}"""
POINT = f"""async (part) => {{
  const sheet = document.querySelector("#attention-grid .pg-map-sheet");
  const box = sheet.getBoundingClientRect();
  const began = performance.now();
  const [clientX, clientY] = [box.left + box.width * (0.1 + 0.3 * part), box.top + box.height * (0.4 + 0.4 * part)];
  sheet.dispatchEvent(new PointerEvent("pointermove", {{ clientX, clientY, bubbles: true }}));
  {FRAME}
  return performance.now() - began;
}}"""
POINT_LINES = f"""async (part) => {{
  const scroller = document.querySelector("#attention-grid .pg-lines");
  const sheet = scroller.firstElementChild;
  scroller.scrollTop = part * (sheet.offsetHeight - scroller.clientHeight);
  {FRAME}
  const box = scroller.getBoundingClientRect();
  const began = performance.now();
  const [clientX, clientY] = [box.left + 20, box.top + box.height * (0.2 + 0.6 * part)];
  sheet.dispatchEvent(new PointerEvent("pointermove", {{ clientX, clientY, bubbles: true }}));
  {FRAME}
  return performance.now() - began;
}}"""
LOOK = f"""async () => {{
  const root = document.querySelector("#attention-grid .pg-attention");
  const drawn = new Promise((done) => {{
    new MutationObserver((_, all) => {{ all.disconnect(); done(); }}).observe(root, {{ attributeFilter: ["data-ms"] }});
  }});
  const began = performance.now();
  document.querySelector("#look").click();
  await drawn;
  {FRAME}
  return performance.now() - began;
}}"""
TINY = ["--rounds", "1"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="inside", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(arguments)
    machine()
    _browser(options.rounds)
    _parts(options.rounds)
    _snapshots(options.rounds)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _six_by_six(store: RunStore, block_size: int) -> Run:
    """A run of 6 x 6 heads that has one saved step."""
    model = preset("modern", n_layer=6, n_head=6, n_kv_head=6, n_embd=192, block_size=block_size)
    name = f"Six by six, {block_size}"
    run = store.create(model, TrainConfig(), build_tokenizer("byte", ""), name=name, preset="modern")
    save_snapshot(
        run.path, initialise(Transformer(model), 0).state_dict(), {"step": 0, "tokens": 0, "seconds": 0.0}, "bfloat16"
    )
    return run


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


def _snapshots(rounds: int) -> None:
    """What keeping the weights at twelve steps costs a run of the default settings."""
    config, model = TrainConfig(), preset("modern")
    tokenizer = build_tokenizer("byte", "")
    model = model.replace(vocab_size=tokenizer.vocab_size)
    state = TrainState.new(model, config)
    short = config.replace(steps=40, warmup_steps=10, eval_interval=40, sample_interval=0)
    data = prepare(load_text("tales", n_bytes=400_000), tokenizer, model, short)
    for _ in train(state, data, short, tokenizer):
        pass
    step = state.seconds / state.step
    with tempfile.TemporaryDirectory() as folder:
        weights = state.model.state_dict()
        saving = row(
            "a snapshot of the default model",
            [
                _seconds(lambda n=n: save_snapshot(Path(folder), weights, {**state.counters(), "step": n}, "bfloat16"))
                for n in range(rounds)
            ],
            "s",
        )
    row("one step of its training", [step], "s")
    figure("snapshots_percent", 100 * config.snapshots * saving / (config.steps * step), "< 1")


def _browser(rounds: int) -> None:
    """What a visitor waits for on the Attention tab, in Chromium."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        app = App(Path(folder) / "data")
        runs = {size: _six_by_six(RunStore(app.data / "runs"), size) for size in SIZES}
        app.start()
        browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        try:
            for size, run in runs.items():
                _large(browser, app, run, size, rounds)
            _slider(browser, app)
        finally:
            browser.close()
            app.stop()
    _answer(runs[128].model)


def _tab(browser: Browser, app: App, run: str) -> Page:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    open_page(page, app.url, "Attention")
    page.locator("#attention-run input").click()
    page.get_by_role("option", name=run).first.click()
    page.locator("#attention-grid .pg-attention[data-ms]").wait_for()
    return page


def _large(browser: Browser, app: App, run: Run, size: int, rounds: int) -> None:
    page = _tab(browser, app, run.name)
    page.locator("#attention-text textarea").fill(TEXT[:size])
    page.evaluate(LOOK)
    look = row(f"Look to drawn grid, 6 x 6 heads, {size} tokens", [page.evaluate(LOOK) for _ in range(rounds)], "ms")
    heads = [page.evaluate(CLICK_HEAD, number % 6) for number in range(1, 13)]
    head = row(f"another head, {size} tokens", heads, "ms")
    moves = [page.evaluate(POINT, part / 40) for part in range(40)]
    move = row(f"pointing at another token, {size} tokens", moves, "ms")
    figure(f"look_milliseconds_{size}", look, "< 400" if size == 128 else "none")
    figure(f"head_milliseconds_{size}", head, "< 50")
    figure(f"pointing_milliseconds_{size}", move, "< 33")
    page.locator("#attention-grid").get_by_text("Lines", exact=True).click()
    page.locator("#attention-grid .pg-lines[data-ms]").wait_for()
    moves = [page.evaluate(POINT_LINES, part / 40) for part in range(40)]
    move = row(f"pointing at another token, six heads as lines, {size} tokens", moves, "ms")
    figure(f"lines_milliseconds_{size}", move, "< 33")
    page.close()


def _slider(browser: Browser, app: App) -> None:
    """The slider of the shipped run, from one saved step to the next."""
    page = _tab(browser, app, "Modern on Tales, seed 0")
    page.locator("#attention-grid .pg-time[data-ready='12']").wait_for()
    milliseconds = [page.evaluate(MOVE_SLIDER, index) for index in [*range(12), *range(12)]]
    figure("slider_step_milliseconds", row("slider, one step, 16 heads, 60 tokens", milliseconds, "ms"), "< 60")
    page.close()


def _answer(model: ModelConfig) -> None:
    """The bytes that go over the wire for Look."""
    with tempfile.TemporaryDirectory() as folder:
        services = Services.create(public=False)
        store = RunStore(Path(folder))
        here = replace(services, store=store)
        run = _six_by_six(store, model.block_size)
        sent = sum(
            len(json.dumps(endpoint(here, {"run": run.id, "text": TEXT[:128]})))
            for endpoint in (attention_endpoints.attention, endpoints.timeline)
        )
        services.launcher.close()
    figure("look_megabytes", sent / 1e6, "< 0.5")
