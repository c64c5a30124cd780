"""A learner's way through all four tabs, in a browser."""

from __future__ import annotations

import signal
import time

from playwright.sync_api import Page, expect

from tests.e2e.conftest import App, end_workers
from tests.e2e.steps import (
    SLOW,
    current_step,
    live_text,
    make_small,
    open_page,
    open_tab,
    set_slider,
    start,
    tile,
    unfold,
    wait_for,
    wait_for_state,
)  # fmt: skip


def test_a_first_model_through_all_tabs(page: Page, app: App) -> None:
    open_page(page, app.url)
    make_small(page, steps=150)
    unfold(page, "All training settings")
    page.get_by_label("Evaluate every").fill("25")
    page.get_by_label("Sample every").fill("50")
    page.get_by_label("Name", exact=True).fill("First of all")
    start(page)
    wait_for(lambda: (tile(page, "validation loss") or 9) < 4.5)
    wait_for_state(page, "Finished")
    assert "Once there was a" in live_text(page), "samples are shown as they come"
    assert tile(page, "perplexity") is not None
    points = page.evaluate("document.querySelector('#live-run .js-plotly-plot').data.map(t => t.x.length)")
    assert max(points) >= 100, "the training curve has its points"

    open_tab(page, "Attention")
    expect(page.locator("#attention-grid .pg-heads canvas").first).to_be_visible(timeout=SLOW)
    expect(page.locator("#attention-run input")).to_have_value("First of all")
    thumbnails = page.locator("#attention-grid [role=button], #attention-grid button canvas")
    wait_for(lambda: thumbnails.count() >= 4)
    thumbnails.nth(3).click()
    expect(page.locator("#attention-grid")).to_contain_text("Layer 2 · head 2")

    open_tab(page, "Sample")
    expect(page.locator("#next-token")).to_contain_text("%", timeout=SLOW)
    set_slider(page, "Max new tokens", 40)
    page.locator("#generate").click()
    expect(page.locator("#token-text")).to_contain_text("tokens/s with the KV cache", timeout=SLOW)

    open_tab(page, "Compare")
    open_tab(page, "Any runs")
    expect(page.locator("#compare-runs")).to_be_visible()
    page.locator("#compare-runs input").click()
    page.get_by_role("option", name="First of all").first.click()
    page.keyboard.press("Escape")
    expect(page.locator("#results")).to_contain_text("First of all", timeout=SLOW)
    set_slider(page, "Max new tokens", 30)
    page.locator("#compare-write").click()
    expect(page.locator("#side-by-side")).to_contain_text("First of all", timeout=SLOW)


def test_one_own_text_until_it_is_learned(page: Page, app: App, real_text) -> None:
    """Upload a real text and train on it until the loss is below 2.5."""
    open_page(page, app.url)
    page.get_by_role("radio", name="Your text").check(force=True)
    page.locator("input[type=file]").set_input_files(str(real_text))
    expect(page.get_by_text("distinct")).to_be_visible(timeout=SLOW)
    for label, value in (
        ("Layers", 3),
        ("Embedding size (d_model)", 96),
        ("Heads", 4),
        ("Context length", 64),
        ("Steps", 1000),
        ("Batch size", 12),
    ):
        set_slider(page, label, value)
    unfold(page, "All training settings")
    page.get_by_label("Evaluate every").fill("25")
    start(page)
    wait_for(lambda: (tile(page, "validation loss") or 9) < 2.5, seconds=240)
    page.locator("#stop-run").click()
    wait_for_state(page, "Stopped")


def test_pause_reload_resume_continue(page: Page, app: App) -> None:
    open_page(page, app.url)
    make_small(page, steps=1000)
    start(page)
    wait_for(lambda: tile(page, "train loss"))
    page.locator("#pause-run").click()
    wait_for_state(page, "Paused")
    before = live_text(page)
    page.reload()
    wait_for_state(page, "Paused")
    assert before.split("step")[1].split()[0] == live_text(page).split("step")[1].split()[0]
    page.locator("#resume-run").click()
    wait_for_state(page, "Finished")
    unfold(page, "Continue, rename, share, delete")
    page.get_by_label("More steps").fill("50")
    page.get_by_role("button", name="Continue training").click()
    wait_for(lambda: "step 1,050 of 1,050" in live_text(page))
    page.get_by_label("New name").fill("Long run")
    page.get_by_role("button", name="Rename", exact=True).click()
    expect(page.locator("#train-run input")).to_have_value("Long run")
    page.locator("#delete-run").click()
    expect(page.locator("#live-run")).to_contain_text("Press Start training", timeout=SLOW)


def test_the_app_and_the_worker_are_killed_and_nothing_is_lost(page: Page, own_app: App) -> None:
    from playground.runs.store.run_store import RunStore

    open_page(page, own_app.url)
    make_small(page, steps=40_000)
    start(page)
    wait_for(lambda: tile(page, "train loss"))
    own_app.stop(signal.SIGKILL)
    store = RunStore(own_app.data / "runs")
    (run,) = store.list()
    at_kill = run.status()
    assert at_kill.state == "running", "training does not need the app"
    own_app.start()
    open_page(page, own_app.url)
    wait_for_state(page, "Training")
    own_app.stop()
    end_workers(own_app.data)
    own_app.start()
    open_page(page, own_app.url)
    wait_for_state(page, "Stopped")


def test_the_worker_is_killed_and_the_page_says_so(page: Page, own_app: App) -> None:
    import os

    from playground.runs.store import status
    from playground.runs.store.run_store import RunStore

    open_page(page, own_app.url)
    make_small(page, steps=40_000)
    unfold(page, "All training settings")
    page.get_by_label("Checkpoint every").fill("20")
    start(page)
    wait_for(lambda: tile(page, "train loss"))
    (run,) = RunStore(own_app.data / "runs").list()
    wait_for(run.steps_available)
    pid = status.declared(run.path).pid
    os.kill(pid, signal.SIGKILL)
    wait_for_state(page, "rashed")
    page.locator("#resume-run").click()
    wait_for_state(page, "Training")
    page.locator("#stop-run").click()
    wait_for_state(page, "Stopped")


def test_zoom_stays_while_the_curve_grows(page: Page, app: App) -> None:
    open_page(page, app.url)
    make_small(page, steps=3000)
    start(page)
    wait_for(lambda: tile(page, "train loss"))
    chart = "document.querySelector('#live-run .js-plotly-plot')"
    wait_for(lambda: page.evaluate(f"!!{chart}"))
    page.evaluate(f"Plotly.relayout({chart}, {{'xaxis.range': [5, 25], 'yaxis.range': [2, 6]}})")
    before = current_step(page)
    wait_for(lambda: current_step(page) > before + 100)
    assert page.evaluate(f"{chart}.layout.xaxis.range") == [5, 25]
    page.locator("#stop-run").click()
    wait_for_state(page, "Stopped")


def test_a_run_deleted_while_its_page_is_open(page: Page, app: App) -> None:
    from playground.runs.store.run_store import RunStore

    open_page(page, app.url)
    make_small(page, steps=50)
    start(page)
    wait_for_state(page, "Finished")
    newest = RunStore(app.data / "runs").list()[0]
    open_tab(page, "Attention")
    expect(page.locator("#attention-grid .pg-heads canvas").first).to_be_visible(timeout=SLOW)
    RunStore(app.data / "runs").delete(newest.id)
    page.locator("#look").click()
    expect(page.locator("#attention-grid")).to_contain_text("Run not found", timeout=SLOW)
    open_tab(page, "Sample")
    open_tab(page, "Train")
    unfold(page, "Continue, rename, share, delete")
    page.get_by_role("button", name="Continue training").click()
    expect(page.get_by_text("Run not found.").filter(visible=True).first).to_be_visible(timeout=SLOW)
    time.sleep(0.5)
