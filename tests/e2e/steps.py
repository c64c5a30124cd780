"""What a visitor does, in a word each."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from playwright.sync_api import Page, expect

SLOW = 90_000  # milliseconds that something may take on a busy machine with two cores


def open_page(page: Page, url: str, tab: str = "Train") -> None:
    page.goto(url)
    page.get_by_role("tab", name="Train", exact=True).wait_for(timeout=SLOW)
    expect(page.locator("#estimate")).to_contain_text("parameters", timeout=SLOW)
    if tab != "Train":
        open_tab(page, tab)


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()
    expect(page.get_by_role("tab", name=name, exact=True)).to_have_attribute("aria-selected", "true")


def set_slider(page: Page, label: str, value: float) -> None:
    """Type into the number field of a slider, as one may instead of dragging."""
    field = page.get_by_label(f"number input for {label}", exact=True).filter(visible=True)
    field.fill(str(value))
    field.press("Tab")


def unfold(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def make_small(page: Page, steps: int = 60) -> None:
    """A model so small that a test need not wait."""
    for label, value in (
        ("Layers", 2),
        ("Embedding size (d_model)", 32),
        ("Heads", 2),
        ("Context length", 32),
        ("Steps", steps),
        ("Batch size", 4),
    ):
        set_slider(page, label, value)


def start(page: Page) -> None:
    """Start, and wait until the page shows the new run rather than the one before."""
    chosen = page.locator("#train-run input")
    before = chosen.input_value()
    page.locator("#start").click()
    expect(chosen).not_to_have_value(before, timeout=SLOW)
    page.wait_for_timeout(300)
    expect(page.locator("#live-run .pg-waiting")).to_have_count(0, timeout=SLOW)
    expect(page.locator("#live-run")).to_contain_text("step", timeout=SLOW)


def live_text(page: Page) -> str:
    return page.locator("#live-run").inner_text()


def tile(page: Page, name: str) -> float | None:
    """The number in a tile of the live view, or None while there is none."""
    match = re.search(rf"{re.escape(name)}\s+(-?[\d.,]+)", live_text(page))
    return float(match[1].replace(",", "")) if match else None


def current_step(page: Page) -> int:
    """The step that the live view tells."""
    match = re.search(r"step ([\d,]+) of", live_text(page))
    return int(match[1].replace(",", "")) if match else 0


def wait_for(what: Callable[[], object], seconds: float = 90, pause: float = 0.2) -> None:
    """Until `what` is true; the message of the failure is its last value."""
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        if last := what():
            return
        time.sleep(pause)
    raise AssertionError(f"did not happen within {seconds} s; last value {last!r}")


def wait_for_state(page: Page, state: str) -> None:
    expect(page.locator("#live-run")).to_contain_text(state, timeout=SLOW)
