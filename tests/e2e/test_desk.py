"""A lesson: a student gives a name and trains; the host sees it, stops it, changes limits, and resets the class."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import App, Watch, end_workers
from tests.e2e.steps import SLOW, make_small, open_page, start, wait_for_state

NAME = "Ada <img src=x onerror=alert(1)>"
RULES = {"PLAYGROUND_CLASSROOM": "1", "PLAYGROUND_HOST_PASSWORD": "chalk"}


@pytest.fixture
def school(tmp_path: Path) -> Iterator[App]:
    app = App(tmp_path / "data", public=True, settings=RULES).start()
    yield app
    app.stop()
    end_workers(app.data)


def open_desk(page: Page, app: App) -> None:
    page.goto(f"{app.url}desk")
    password = page.get_by_label("Host's password")
    password.fill("board")
    page.get_by_role("button", name="Open the desk").click()
    expect(page.get_by_role("alert")).to_have_text("This is not the host's password.", timeout=SLOW)
    password.fill("chalk")
    page.get_by_role("button", name="Open the desk").click()
    expect(page.get_by_text("No runs yet.")).to_be_visible(timeout=SLOW)


def change(desk: Page, label: str, value: str) -> None:
    desk.get_by_label(label, exact=True).fill(value)
    desk.get_by_role("button", name="Change the limits").click()
    expect(desk.get_by_role("status")).to_contain_text("Changed.", timeout=SLOW)


def test_a_lesson(watch: Watch, school: App) -> None:
    desk, ada = watch.context().new_page(), watch.context().new_page()
    open_desk(desk, school)
    change(desk, "Class code", "7b")
    open_page(ada, f"{school.url}?class=7b")
    ada.locator("#door-name input, #door-name textarea").fill(NAME)
    ada.locator("#door-join").click()
    expect(ada.get_by_role("button", name="Change my name")).to_be_visible(timeout=SLOW)
    make_small(ada, steps=5000)
    start(ada)

    row = desk.locator(".job")
    expect(row.locator("strong")).to_have_text(NAME, timeout=SLOW)
    expect(row).to_contain_text("Training", timeout=SLOW)
    expect(row.locator("polyline")).to_have_count(1, timeout=SLOW)
    expect(desk.locator(".people .here")).to_contain_text("class 7b · here · 1 run · 1 active", timeout=SLOW)
    row.get_by_role("button", name="Stop").click()
    expect(row).to_contain_text("Stopped", timeout=SLOW)
    wait_for_state(ada, "Stopped")

    change(desk, "Max steps", "100")
    ada.locator("#start").click()
    expect(ada.get_by_text("Steps: this run has 5,000; the limit here is 100.").first).to_be_visible(timeout=SLOW)
    ada.reload()
    expect(ada.locator("#allowance")).to_contain_text("100 steps", timeout=SLOW)
    expect(ada.locator("#door-name input, #door-name textarea")).to_have_value(NAME, timeout=SLOW)

    with desk.expect_download(timeout=SLOW) as download:
        desk.get_by_role("button", name="Download all").click()
    with zipfile.ZipFile(download.value.path()) as files:
        rows = list(csv.DictReader(io.StringIO(files.read("runs.csv").decode())))
    assert [(row["student"], row["class"], row["state"]) for row in rows] == [(NAME, "7b", "stopped")]
    with ada.expect_download(timeout=SLOW) as download:
        ada.locator("#your-data-download").click()
    with zipfile.ZipFile(download.value.path()) as files:
        assert any(name.endswith("/tokenizer.json") for name in files.namelist())

    desk.get_by_role("button", name="Reset between classes…").click()
    desk.get_by_role("button", name="Cancel").click()
    expect(row).to_have_count(1)
    desk.get_by_role("button", name="Reset between classes…").click()
    desk.get_by_role("button", name="Delete all runs").click()
    expect(desk.get_by_role("status")).to_contain_text("1 run or race deleted.", timeout=SLOW)
    expect(row).to_have_count(0)
    expect(desk.locator(".people")).not_to_contain_text("Ada", timeout=SLOW)


def test_an_assignment(watch: Watch, school: App) -> None:
    desk, ada = watch.context().new_page(), watch.context().new_page()
    open_desk(desk, school)
    setup = {
        "preset": "classic",
        "model": {"n_layer": 1, "n_embd": 32, "block_size": 32},
        "train": {"steps": 20, "batch_size": 4, "warmup_steps": 2},
    }
    desk.get_by_text("New assignment").click()
    desk.get_by_label("Title").fill("One layer")
    desk.get_by_label("Question").fill("What can <b>one</b> layer do?")
    desk.get_by_label("Configuration").fill(f"{school.url}?{urlencode({'setup': json.dumps(setup)})}")
    desk.get_by_label("Frozen settings", exact=True).fill("n_layer, steps")
    desk.get_by_role("button", name="Make the assignment").click()
    expect(desk.get_by_role("status")).to_contain_text("One layer is an assignment now.", timeout=SLOW)

    open_page(ada, desk.get_by_label("Link for the class").input_value())
    expect(ada.locator("#assignment-question textarea")).to_have_value(
        "One layer\n\nWhat can <b>one</b> layer do?", timeout=SLOW
    )
    expect(ada.get_by_label("number input for Layers", exact=True).filter(visible=True).first).to_be_disabled()
    ada.locator("#assignment-answer textarea").fill("Count letters.")
    ada.locator("#assignment-hand-in").click()
    expect(ada.get_by_text("No run is chosen.").first).to_be_visible(timeout=SLOW)
    start(ada)
    wait_for_state(ada, "Finished")
    ada.locator("#assignment-hand-in").click()
    expect(ada.locator("#assignment-said")).to_contain_text("Handed in.", timeout=SLOW)
    ada.reload()
    expect(ada.locator("#assignment-answer textarea")).to_have_value("Count letters.", timeout=SLOW)

    desk.get_by_text("1 answer handed in").click(timeout=SLOW)
    expect(desk.locator(".answers")).to_contain_text("Count letters.")
    expect(desk.locator(".job")).to_contain_text("step 20 of 20")


def test_a_visitor_deletes_everything(watch: Watch, school: App) -> None:
    page = watch.context().new_page()
    open_page(page, school.url)
    expect(page.locator("#your-data")).to_contain_text(
        "until you delete them or, unless they are shared, have not used them"
    )
    page.locator("#your-data-delete").click()
    expect(page.get_by_text("You have no runs here.").first).to_be_visible(timeout=SLOW)
    make_small(page, steps=20)
    start(page)
    page.locator("#your-data-delete").click()
    expect(page.get_by_text("Delete 1 run or race for good?")).to_be_visible(timeout=SLOW)
    page.locator("#your-data-confirm").click()
    expect(page.locator("#your-data-said")).to_contain_text("1 run or race deleted.", timeout=SLOW)
    expect(page.locator("#train-run input")).to_have_value("")
