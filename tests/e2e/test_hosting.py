"""A class on one app: the password, what the host has fixed, taking turns, and a run whose time is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import App, Watch, end_workers
from tests.e2e.steps import SLOW, make_small, open_page, start, wait_for_state

RULES = {
    "PLAYGROUND_CLASSROOM": "1", "PLAYGROUND_PASSWORD": "board", "PLAYGROUND_FROZEN": "n_head,mlp",
    "PLAYGROUND_RUN_MINUTES": "0.4", "PLAYGROUND_WAITING_RUNS": "1", "PLAYGROUND_TRAIN": "owner",
    "PLAYGROUND_HOST_PASSWORD": "chalk", "PLAYGROUND_PINNED": "Induction: two layers on Repeat",
}  # fmt: skip


@pytest.fixture
def classroom(tmp_path: Path) -> Iterator[App]:
    app = App(tmp_path / "data", public=True, settings=RULES).start()
    yield app
    app.stop()
    end_workers(app.data)


def log_in(page: Page, app: App, password: str = "board") -> None:
    page.goto(app.url)
    page.get_by_label("username").fill("somebody")
    page.get_by_label("password").fill(password)
    page.get_by_role("button", name="Login").click()


def unlock(page: Page) -> None:
    page.get_by_label("Host's password").fill("chalk")
    page.locator("#host-unlock").click()
    expect(page.locator("#allowance")).to_contain_text("You are training as the host", timeout=SLOW)


def test_a_class(watch: Watch, classroom: App) -> None:
    ann, bob = watch.context().new_page(), watch.context().new_page()
    log_in(ann, classroom, "wrong")
    expect(ann.get_by_text("Incorrect").first).to_be_visible(timeout=SLOW)
    for page in (ann, bob):
        log_in(page, classroom)
        page.locator("#start").wait_for(timeout=SLOW)
        open_page(page, classroom.url)
    expect(ann.locator("#allowance")).to_contain_text(
        "Only the host can train on this server. Here, up to: 5,000,000 parameters"
    )
    ann.locator("#start").click()
    expect(ann.get_by_text("Only the host can train on this server. Enter the host's password").first).to_be_visible(
        timeout=SLOW
    )
    ann.locator("#train-run input").click()
    expect(ann.get_by_role("option").first).to_contain_text("Induction: two layers on Repeat")
    ann.keyboard.press("Escape")
    expect(ann.get_by_label("number input for Heads", exact=True).filter(visible=True).first).to_be_disabled()

    for page in (ann, bob):
        unlock(page)
        for label, value in (
            ("Layers", 2),
            ("Embedding size (d_model)", 32),
            ("Context length", 32),
            ("Steps", 5000),
            ("Batch size", 4),
        ):
            field = page.get_by_label(f"number input for {label}", exact=True).filter(visible=True)
            field.fill(str(value))
            field.press("Tab")
        start(page)
    wait_for_state(ann, "Training")
    expect(bob.locator("#live-run")).to_contain_text("number 1 in the queue, begins in about", timeout=SLOW)
    expect(bob.locator("#pill")).to_contain_text("waiting, number 1 in the queue", timeout=SLOW)
    start(ann)  # her second waits behind his first
    expect(ann.locator("#live-run")).to_contain_text("number 2 in the queue", timeout=SLOW)
    ann.locator("#start").click()
    expect(ann.get_by_text("Queue: you have 2 jobs running or waiting and would add 1").first).to_be_visible(
        timeout=SLOW
    )

    wait_for_state(bob, "Training")  # the time of her first is over
    bob.locator("#stop-run").click()
    wait_for_state(bob, "Stopped")
    ann.reload()
    expect(ann.locator("#train-run input")).to_have_value("Modern on Tales (2)", timeout=SLOW)  # her newest
    ann.locator("#train-run input").click()
    ann.get_by_role("option", name="Modern on Tales", exact=True).click()
    expect(ann.locator("#live-run")).to_contain_text(
        "Time: the limit here is 0.4 min of training per run", timeout=SLOW
    )
    expect(ann.locator("#live-run")).to_contain_text("is kept")


def test_a_form_without_a_host_says_nothing_of_limits(page: Page, app: App) -> None:
    open_page(page, app.url)
    make_small(page)
    expect(page.locator("#allowance")).to_have_count(0)
    expect(page.get_by_label("Host's password")).to_have_count(0)
