"""Time to recompute and redraw the distribution when a sampling slider moves, by vocabulary size.

``python -m tests.benchmarks sliders``: the arithmetic alone, on a blank page, for logits as the page gets them, and the
whole redraw in the app, for a reference run.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, sync_playwright

from playground.ui import scripts
from tests.benchmarks._report import figure, machine, row
from tests.e2e.conftest import FLAGS, App, browser_path, end_workers
from tests.e2e.steps import SLOW, open_page

VOCABULARIES = (256, 2_000, 32_000)
SETTINGS = [
    {
        "temperature": 0.5 + 0.05 * n, "top_k": 10 * n, "top_p": 1 - 0.01 * n, "min_p": 0.002 * n,
        "repetition_penalty": 1 + 0.02 * n,
    }
    for n in range(30)
]  # fmt: skip
ARITHMETIC = """async ([logits, byId, seen, settings]) => {
  const { drawToken, entropyBits, filterDistribution } = await import("playground/static/sampling.js");
  return settings.map((each) => {
    const began = performance.now();
    const { before, after } = filterDistribution(logits, each, seen);
    drawToken(after, 0.37, byId);
    entropyBits(before) + entropyBits(after);
    return performance.now() - began;
  });
}"""
REDRAW = """(settings) => settings.map((detail) => {
  document.dispatchEvent(new CustomEvent("playground:sampling", { detail }));
  return Number(document.querySelector("#next-token .pg-next").dataset.ms);
})"""
TINY = []


def main(arguments: Sequence[str]) -> None:
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    machine()
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=browser_path(), args=FLAGS)
        try:
            for size in VOCABULARIES:
                _arithmetic(browser, size)
            _in_the_app(browser)
        finally:
            browser.close()


def _arithmetic(browser: Browser, size: int) -> None:
    """Logits come likeliest first; 200 different tokens were seen."""
    rng = np.random.default_rng(0)
    logits, by_id = np.sort(rng.normal(0, 3, size))[::-1].tolist(), rng.permutation(size).tolist()
    seen = rng.choice(size, min(200, size), replace=False).tolist()
    page = browser.new_page()
    page.set_content(f"<!doctype html><head>{scripts.import_map('static/sampling.js')}</head>")
    times = page.evaluate(ARITHMETIC, [logits, by_id, seen, SETTINGS])
    row(f"{size:,} tokens, all filters", times, "ms")
    figure(f"recomputed in the browser, {size:,} tokens, ms", statistics.median(times), "< 5")
    page.close()


def _in_the_app(browser: Browser) -> None:
    with tempfile.TemporaryDirectory() as folder:
        app = App(Path(folder) / "data")
        app.start()
        try:
            page = browser.new_page()
            open_page(page, app.url, "Sample")
            page.locator("#next-token .pg-next-summary").filter(visible=True).wait_for(timeout=SLOW)
            times = page.evaluate(REDRAW, SETTINGS)
            row("computed and drawn, in the app", times, "ms")
            figure("computed and drawn in the app, ms", statistics.median(times), "< 5")
        finally:
            app.stop()
            end_workers(app.data)
