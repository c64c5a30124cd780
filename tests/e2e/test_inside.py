"""Looking inside the shipped runs, in a browser."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import App
from tests.e2e.steps import SLOW, make_small, open_page, open_tab, start, wait_for


def choose_run(page: Page, tab: str, name: str) -> None:
    page.locator(f"#{tab}-run input").click()
    page.get_by_role("option", name=name).first.click()


def test_all_heads_move_through_training(page: Page, app: App) -> None:
    open_page(page, app.url, "Attention")
    choose_run(page, "attention", "Modern on Tales, seed 0")
    time = page.locator("#attention-grid .pg-time")
    expect(time).to_have_attribute("data-ready", "12", timeout=SLOW)
    expect(time).to_contain_text("step 1,600")
    slider = page.get_by_label("Saved step of the training")
    picture = "document.querySelector('#attention-grid .pg-head canvas').toDataURL()"
    pictures, steps = [], []
    for index in range(12):
        slider.fill(str(index))
        pictures.append(page.evaluate(picture))
        steps.append(page.locator("#attention-grid .pg-attention").get_attribute("data-step"))
    assert steps == ["0", "1", "3", "6", "14", "28", "55", "108", "213", "418", "818", "1600"]
    assert len(set(pictures)) >= 11, "fetched beforehand, each step shows its own patterns at once"
    slider.press("ArrowLeft")
    expect(time).to_contain_text("step 818")
    page.get_by_role("button", name="Play the training").click()
    expect(time).to_contain_text("step 1,600")
    expect(page.get_by_role("button", name="Play the training")).to_be_visible()
    page.locator("#attention-grid .pg-time-curve").click(position={"x": 50, "y": 40})
    expect(time).to_contain_text("step 0")


def test_the_grid_follows_a_run_that_trains(page: Page, app: App) -> None:
    open_page(page, app.url)
    make_small(page, steps=1500)
    start(page)
    open_tab(page, "Attention")
    time = page.locator("#attention-grid .pg-time")
    expect(time).to_contain_text("step", timeout=SLOW)
    wait_for(lambda: page.locator("#attention-grid .pg-attention").get_attribute("data-step") == "1500")
    expect(time).to_contain_text("step 1,500")


@pytest.mark.parametrize("text", ["<img src=x onerror=alert(1)> ${1+1} {{x}}", "\u202e\x07é😀"], ids=ascii)
def test_a_hostile_text_is_only_text(page: Page, app: App, text: str) -> None:
    open_page(page, app.url, "Attention")
    choose_run(page, "attention", "Modern on Tales, seed 0")
    page.locator("#attention-text textarea").fill(text)
    page.locator("#look").click()
    expect(page.locator("#attention-grid .pg-map")).to_be_visible(timeout=SLOW)
    assert page.locator("#attention-grid img").count() == 0


def test_surprise_and_the_answer_after_every_layer(page: Page, app: App) -> None:
    open_page(page, app.url, "Inside")
    choose_run(page, "inside", "Modern on Tales, seed 0")
    page.locator("#inside-text textarea").fill("Once upon a time ${1+1} <b>")
    page.locator("#inside-look").click()
    lens = page.locator("#inside-lens")
    expect(lens.locator("tbody tr")).to_have_count(6, timeout=SLOW)  # the embedding, four layers, and what follows
    expect(lens.locator("tbody tr").first.locator("td")).to_have_count(27)
    lens.locator(".pg-token").nth(2).hover()
    expect(lens.locator(".pg-token-panel")).to_contain_text("bits of surprise")
    lens.locator("td[data-depth='2'][data-position='3']").hover()
    expect(lens.locator(".pg-readout")).to_contain_text("layer 2, after e")
    lens.locator(".pg-lens-scroll").press("ArrowDown")
    expect(lens.locator(".pg-readout")).to_contain_text("layer 3, after e")
    before = lens.locator("td[data-depth='1'][data-position='3']").get_attribute("style")
    lens.get_by_text("Entropy", exact=True).click()
    assert lens.locator("td[data-depth='1'][data-position='3']").get_attribute("style") != before
    assert lens.locator("b", has_text="1+1").count() == 0


def test_an_induction_head_is_found_and_switched_off(page: Page, app: App) -> None:
    open_page(page, app.url, "Inside")
    choose_run(page, "inside", "Induction: two layers on Repeat")
    page.locator("#inside-text textarea").fill("qwertzuiop|qwe")
    page.locator("#inside-look").click()
    open_tab(page, "Heads")
    heads = page.locator("#inside-heads")
    expect(heads.locator(".pg-headtable")).to_have_attribute("data-steps", "10", timeout=SLOW)
    heads.get_by_text("By score", exact=True).click()
    first = heads.locator("tbody tr").first
    expect(first.locator("th")).to_contain_text("L2", timeout=SLOW)
    scores = [float(text) for text in first.locator("td.pg-score-step").all_inner_texts()]
    assert scores[0] < 0.1
    assert scores[-1] > 0.8
    heads.get_by_role("button", name="Previous token").click()
    expect(heads.locator("tbody tr").first.locator("th")).to_contain_text("L1")

    open_tab(page, "Causes")
    causes = page.locator("#inside-causes")
    expect(causes.locator(".pg-verdict")).to_contain_text("with everything on", timeout=SLOW)
    expect(causes.locator(".pg-next-table tbody tr").first).to_contain_text("r")
    causes.get_by_role("button", name="Layer 2", exact=True).click()
    expect(causes.locator(".pg-verdict")).to_contain_text("→", timeout=SLOW)
    expect(causes.locator(".pg-two-texts > div")).to_have_count(2)
    causes.get_by_role("button", name="Rank all parts").click()
    expect(causes.locator(".pg-ranking li")).to_have_count(8, timeout=SLOW)
    expect(causes.locator("progress")).to_be_hidden(timeout=SLOW)
    causes.get_by_role("button", name="All on again").click()
    expect(causes.locator(".pg-verdict")).to_contain_text("with everything on", timeout=SLOW)


def test_one_head_is_worked_out_by_hand(page: Page, app: App) -> None:
    open_page(page, app.url, "Inside")
    choose_run(page, "inside", "Modern on Tales, seed 0")
    open_tab(page, "One head by hand")
    hand = page.locator("#inside-hand")
    expect(hand.locator(".pg-hand-token")).to_have_count(60, timeout=SLOW)
    hand.locator(".pg-hand-token").nth(10).click()
    expect(hand.locator("tr[data-key]")).to_have_count(11)
    hand.get_by_label("Layer").select_option("2")
    hand.locator("tr[data-key='4']").click()
    expect(hand.locator("tr[data-key='4']")).to_have_class("pg-hand-chosen")
    expect(hand.locator(".pg-hand-sum").first).to_contain_text("position 4")
    expect(hand.locator(".pg-hand-sum").nth(1)).to_contain_text("add up to 1.000")
    hand.get_by_text("The code that ran").click()
    expect(hand.locator("pre")).to_contain_text("def attend(")
