"""Texts that grow into a tree, in a browser."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.e2e.conftest import App
from tests.e2e.steps import SLOW, open_page, set_slider

DONE = "tokens/s with the KV cache"


def test_several_texts_a_branch_and_more(page: Page, app: App) -> None:
    open_page(page, app.url, "Sample")
    chart, text = page.locator("#next-token"), page.locator("#token-text")
    expect(chart).to_contain_text("this seed draws", timeout=SLOW)
    set_slider(page, "Top-k", 2)
    expect(chart).to_contain_text("removed by top-k")
    expect(chart).to_contain_text("2 of ")
    set_slider(page, "Max new tokens", 12)
    set_slider(page, "Samples", 2)
    page.locator("#generate").click()
    expect(text).to_contain_text(DONE, timeout=SLOW)
    expect(text.locator(".pg-branch")).to_have_count(2)

    text.locator(".pg-branch").nth(1).locator(".pg-token").nth(4).click()
    expect(text).to_contain_text("bits of surprise")
    other = text.locator(".pg-alternative-button:not([disabled])").first
    other.focus()
    page.keyboard.press("Enter")
    expect(text.locator(".pg-branch")).to_have_count(3, timeout=SLOW)
    expect(text.locator(".pg-branch").nth(2).locator(".pg-token")).to_have_count(13, timeout=SLOW)
    expect(text.locator(".pg-branch-chosen")).to_contain_text("instead of")
    expect(text).to_contain_text(DONE, timeout=SLOW)
    page.locator("#continue").click()
    expect(text.locator(".pg-branch").nth(2).locator(".pg-token")).to_have_count(25, timeout=SLOW)
    text.locator(".pg-branch-name").first.click()
    expect(text.locator(".pg-branch").first).to_have_class("pg-branch pg-branch-chosen")


def test_the_same_prompt_in_other_ways(page: Page, app: App) -> None:
    open_page(page, app.url, "Sample")
    expect(page.locator("#next-token")).to_contain_text("%", timeout=SLOW)
    set_slider(page, "Max new tokens", 8)
    page.locator("#generate-all").click()
    text = page.locator("#token-text")
    expect(text).to_contain_text("those of the model itself", timeout=SLOW)
    for name in ("greedy", "sampling, temperature 0.8", "beam search, 4 beams"):
        expect(text.get_by_role("button", name=name)).to_be_visible()
    page.get_by_role("radio", name="Two checkpoints").check(force=True)
    expect(page.locator("#sample-other-run")).to_be_visible()


def test_the_streaming_lab(page: Page, app: App) -> None:
    open_page(page, app.url, "Streaming")
    expect(page.locator("#streaming-first .js-plotly-plot")).to_be_visible()  # the shipped runs, without a click
    expect(page.locator("#streaming-table")).to_contain_text("4 + 60")
    slots = page.locator("#cache-slots")
    slots.get_by_role("button", name="one token").click()
    expect(slots).to_contain_text("takes")
    expect(page.locator("#streaming-run input")).not_to_have_value("", timeout=SLOW)
    page.locator("#prove-cache").click()
    expect(page.locator("#streaming-answer")).to_contain_text("identical text", timeout=SLOW)
    expect(page.locator("#streaming-first .js-plotly-plot")).to_be_visible()
    page.locator("#streaming-run input").click()
    page.get_by_role("option", name="Modern on Tales, seed 0").first.click()
    page.locator("#write-endlessly").click()
    expect(page.locator("#streaming-answer")).to_contain_text("running", timeout=SLOW)
    page.locator("#stop-streaming").click()
    expect(page.locator("#streaming-answer")).to_contain_text(", stopped", timeout=SLOW)
    expect(page.locator("#streaming-text .pg-tokens-state")).to_contain_text("stopped")
    expect(page.locator("#streaming-text .pg-caret:visible")).to_have_count(0)
    page.locator("#streaming-text .pg-token").last.hover()
    expect(page.locator("#streaming-text .pg-token-panel")).to_contain_text("%")
    expect(page.locator("#streaming-text")).not_to_contain_text("branch off")  # there is nothing to go on from
    page.wait_for_timeout(1_000)  # a click that comes together with the stop would be stopped with it
    page.locator("#write-endlessly").click()
    expect(page.locator("#streaming-answer")).to_contain_text("running", timeout=SLOW)
    page.locator("#find-sinks").click()  # which ends what was going on
    expect(page.locator("#streaming-answer")).to_contain_text("on the first token", timeout=SLOW)
    page.wait_for_timeout(1_500)
    expect(page.locator("#streaming-answer")).to_contain_text("on the first token")
    page.locator("#three-softmaxes").click()
    expect(page.locator("#streaming-table")).to_contain_text("4 + 60")
