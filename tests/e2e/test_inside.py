"""Looking inside the shipped runs, in a browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import App
from tests.e2e.steps import SLOW, current_step, make_small, open_page, open_tab, start, wait_for


def choose_run(page: Page, tab: str, name: str) -> None:
    chosen = page.locator(f"#{tab}-run input")
    expect(chosen).not_to_have_value("", timeout=SLOW)  # opening the tab chooses a run: not over this choice
    option = page.get_by_role("option", name=name).first

    def offered() -> bool:
        """Open the list, which does not change while it is open, though the tab may still be bringing it up to date."""
        chosen.click()
        if option.is_visible():
            return True
        page.keyboard.press("Escape")
        chosen.blur()
        return False

    wait_for(offered, pause=1)
    option.click()


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
    make_small(page, steps=500)
    start(page)
    wait_for(lambda: current_step(page) > 1)  # from the first saved step on the list has it
    open_tab(page, "Attention")
    time = page.locator("#attention-grid .pg-time")
    expect(time).to_contain_text("step", timeout=SLOW)
    wait_for(lambda: page.locator("#attention-grid .pg-attention").get_attribute("data-step") == "500")
    expect(time).to_contain_text("step 500")


def test_a_token_is_pointed_at_and_heads_are_drawn_as_lines(page: Page, app: App) -> None:
    open_page(page, app.url, "Attention")
    choose_run(page, "attention", "Modern on Tales, seed 0")
    grid = page.locator("#attention-grid")
    expect(grid.locator(".pg-time")).to_have_attribute("data-ready", "12", timeout=SLOW)
    most = grid.locator(".pg-head-most")
    grid.locator(".pg-heads-text .pg-token").nth(9).hover()
    first = most.all_inner_texts()
    assert len(first) == 16
    assert all(re.fullmatch(r"\S+ \d+ %", text) for text in first)
    expect(grid.locator(".pg-readout").first).to_contain_text("position 9 attends to")
    grid.locator(".pg-map").press("ArrowDown")
    expect(grid.locator(".pg-readout").first).to_contain_text("position 10 attends to")
    assert most.all_inner_texts() != first

    grid.get_by_text("Lines", exact=True).click()
    lines = grid.locator(".pg-lines")
    expect(lines).to_be_visible()
    expect(grid.locator(".pg-head[aria-pressed='true']")).to_have_count(4)
    expect(grid.locator(".pg-line-most")).to_have_count(4)
    drawn = "document.querySelector('#attention-grid .pg-lines-base').toDataURL()"
    four = page.evaluate(drawn)
    grid.get_by_role("button", name="Layer 3 · head 2").click()
    expect(grid.locator(".pg-line-most")).to_have_count(5)
    assert page.evaluate(drawn) != four
    lines.press("ArrowDown")
    expect(grid.locator(".pg-readout").last).to_contain_text("at position 11 attends most to")
    for name in ("Layer 1 · head 1", "Layer 1 · head 2", "Layer 1 · head 3", "Layer 1 · head 4", "Layer 3 · head 2"):
        grid.get_by_role("button", name=name).click()
    expect(grid.locator(".pg-line-most")).to_have_count(1)
    grid.get_by_text("Map", exact=True).click()
    expect(grid.locator(".pg-map")).to_be_visible()


def test_a_guided_reading_leads_from_the_first_step_to_the_cause(page: Page, app: App) -> None:
    open_page(page, app.url, "Attention")
    grid = page.locator("#attention-grid")
    expect(grid.locator(".pg-time")).to_contain_text("step", timeout=SLOW)
    guide, card = grid.locator(".pg-guide"), grid.locator(".pg-head-cards")
    expect(guide).to_be_hidden()
    page.locator("#reading-induction").click()
    expect(guide).to_contain_text("1 of 5", timeout=SLOW)
    expect(page.locator("#attention-run input")).to_have_value("Induction: two layers on Repeat · reference")
    for step, head in (("78", "Layer 2 · head 1"), ("161", "Layer 1 · head 3"), ("161", "Layer 2 · head 1")):
        guide.get_by_role("button", name="Next").click()
        expect(grid.locator(".pg-time-words")).to_contain_text(f"step {step} ", timeout=SLOW)
        expect(grid.locator(".pg-map-card h2")).to_contain_text(head)
    expect(grid.locator(".pg-readout").first).to_contain_text("what followed an earlier “i”")
    expect(card).to_contain_text("it is an induction head", timeout=SLOW)
    expect(card.locator("tr", has_text="Induction").locator("td").last).to_have_text("1")
    guide.get_by_role("button", name="Next").click()
    expect(grid.locator(".pg-line-most")).to_have_count(3, timeout=SLOW)
    expect(card.locator(".pg-verdict")).to_contain_text("nats per token", timeout=SLOW)
    assert float(card.locator(".pg-verdict").inner_text().split()[0]) > 2
    expect(card).to_contain_text("Your text continues with “ckbrownfox")
    guide.get_by_role("button", name="Back").click()
    expect(grid.locator(".pg-map")).to_be_visible()
    expect(card.get_by_label("On", exact=True)).to_be_checked()
    guide.get_by_role("button", name="Explore on your own").click()
    expect(guide).to_be_hidden()


def test_a_head_is_switched_off_beside_its_picture(page: Page, app: App) -> None:
    open_page(page, app.url, "Attention")
    choose_run(page, "attention", "Modern on Tales, seed 0")
    grid = page.locator("#attention-grid")
    card = grid.locator(".pg-head-cards")
    grid.get_by_role("button", name="Layer 1 · head 4").click(timeout=SLOW)
    expect(card).to_contain_text("42 % of its attention to the previous token", timeout=SLOW)
    card.get_by_text("Mean", exact=True).click()
    expect(card.locator(".pg-verdict")).to_contain_text("+2.0", timeout=SLOW)
    grid.get_by_role("button", name="Layer 3 · head 1").click()
    expect(card).to_contain_text("Layer 3 · head 1")
    expect(card.locator(".pg-verdict")).to_contain_text("+0.0", timeout=SLOW)
    expect(card.locator(".pg-next-table tbody tr")).to_have_count(4)
    grid.get_by_label("Saved step of the training").fill("0")
    expect(card).to_contain_text("No single pattern", timeout=SLOW)
    card.get_by_text("On", exact=True).click()
    expect(card.locator(".pg-verdict")).to_be_empty()


def test_two_checkpoints_read_the_same_text(page: Page, app: App) -> None:
    open_page(page, app.url, "Inside")
    choose_run(page, "inside", "Modern on Tales, seed 0")
    lens = page.locator("#inside-lens")
    expect(lens.locator(".pg-lens-table:visible")).to_have_count(1, timeout=SLOW)
    choose_run(page, "inside-second", "Modern on Tales, seed 0")
    expect(page.locator("#inside-second-step input")).to_have_value("0")
    expect(lens.locator(".pg-lens-table:visible")).to_have_count(2, timeout=SLOW)
    expect(lens.locator(".pg-lens-contest")).to_contain_text("step 1,600 predicts this text better")
    lens.locator(".pg-token").nth(7).hover()
    assert lens.locator(".pg-token-chosen").all_inner_texts() == ["v", "v"]
    lens.locator("td[data-depth='2'][data-position='3']").first.hover()
    expect(lens.locator(".pg-readout").nth(0)).to_contain_text("layer 2, after a")
    expect(lens.locator(".pg-readout").nth(1)).to_contain_text("layer 2, after a")
    choose_run(page, "inside-second", "Induction: two layers on Repeat")
    expect(page.locator("#inside-lens .pg-alert-bad")).to_be_visible(timeout=SLOW)  # it has no capital letters
    choose_run(page, "inside-second", "none")
    expect(lens.locator(".pg-lens-table:visible")).to_have_count(1, timeout=SLOW)
    expect(page.locator("#inside-lens .pg-alert-bad")).to_be_hidden()


@pytest.mark.parametrize("text", ["<img src=x onerror=alert(1)> ${1+1} {{x}}", "\u202e\x07é😀"], ids=ascii)
def test_a_hostile_text_is_only_text(page: Page, app: App, text: str) -> None:
    open_page(page, app.url, "Attention")
    choose_run(page, "attention", "Modern on Tales, seed 0")
    page.locator("#attention-text textarea").fill(text)
    page.locator("#look").click()
    expect(page.locator("#attention-grid .pg-map")).to_be_visible(timeout=SLOW)
    assert page.locator("#attention-grid img").count() == 0
    alert = page.locator("#attention-grid .pg-alert-bad")
    page.locator("#attention-text textarea").fill("")
    page.locator("#look").click()
    expect(alert).to_have_text("The text is empty. Write a sentence to analyze.", timeout=SLOW)
    page.locator("#attention-text textarea").fill("x" * 300)
    page.locator("#look").click()
    expect(page.get_by_text("The text has 300 tokens; the model reads the last 256.")).to_be_visible(timeout=SLOW)
    expect(alert).to_be_hidden(timeout=SLOW)


def test_surprise_and_the_answer_after_every_layer(page: Page, app: App) -> None:
    open_page(page, app.url, "Inside")
    choose_run(page, "inside", "Modern on Tales, seed 0")
    page.locator("#inside-text textarea").fill("Once upon a time ${1+1} <b>")
    page.locator("#inside-look").click()
    lens = page.locator("#inside-lens")
    expect(lens.locator("tbody tr")).to_have_count(6, timeout=SLOW)  # the embedding, four layers, and what follows
    expect(lens.locator("tbody tr").first.locator("td")).to_have_count(27)
    lens.locator(".pg-token").nth(2).hover()
    expect(lens.locator(".pg-token-panel:visible")).to_contain_text("bits of surprise")
    lens.locator("td[data-depth='2'][data-position='3']").hover()
    expect(lens.locator(".pg-readout:visible")).to_contain_text("layer 2, after e")
    lens.locator(".pg-lens-scroll:visible").press("ArrowDown")
    expect(lens.locator(".pg-readout:visible")).to_contain_text("layer 3, after e")
    before = lens.locator("td[data-depth='1'][data-position='3']").get_attribute("style")
    lens.get_by_text("Entropy", exact=True).click()
    assert lens.locator("td[data-depth='1'][data-position='3']").get_attribute("style") != before
    assert lens.locator("b", has_text="1+1").count() == 0


def test_an_induction_head_is_found_and_switched_off(page: Page, app: App) -> None:
    open_page(page, app.url, "Inside")
    choose_run(page, "inside", "Induction: two layers on Repeat")
    expect(page.locator("#inside-step input")).to_have_value("1,000", timeout=SLOW)
    page.locator("#inside-text textarea").fill("qwertzuiop|qwe")
    page.locator("#inside-look").click()
    open_tab(page, "Heads")
    heads = page.locator("#inside-heads")
    expect(heads.locator(".pg-headtable")).to_have_attribute("data-steps", "8", timeout=SLOW)
    heads.get_by_text("By score", exact=True).click()
    first = heads.locator("tbody tr").first
    expect(first.locator("th")).to_contain_text("L2", timeout=SLOW)
    scores = [float(text) for text in first.locator("td.pg-score-step").all_inner_texts()]
    assert scores[0] < 0.1
    assert scores[-1] > 0.8
    heads.get_by_role("button", name="Previous token").click()
    expect(heads.locator("tbody tr").first.locator("th")).to_contain_text("L1")

    open_tab(page, "Ablation & patching")
    causes = page.locator("#inside-causes")
    expect(causes.locator(".pg-verdict")).to_contain_text("with everything on", timeout=SLOW)
    expect(causes.locator(".pg-next-table tbody tr").first).to_contain_text("r")
    causes.get_by_role("button", name="Layer 2", exact=True).click()
    expect(causes.locator(".pg-verdict")).to_contain_text("→", timeout=SLOW)
    expect(causes.locator(".pg-two-texts > div")).to_have_count(2)
    causes.get_by_role("button", name="Rank all parts").click()
    expect(causes.locator(".pg-ranking li")).to_have_count(8, timeout=SLOW)
    expect(causes.locator("progress")).to_be_hidden(timeout=SLOW)
    causes.get_by_role("button", name="Reset").click()
    expect(causes.locator(".pg-verdict")).to_contain_text("with everything on", timeout=SLOW)


def test_patching_finds_where_a_letter_is_kept(page: Page, app: App) -> None:
    open_page(page, app.url, "Inside")
    choose_run(page, "inside", "Induction: two layers on Repeat")
    expect(page.locator("#inside-step input")).to_have_value("1,000", timeout=SLOW)
    open_tab(page, "Ablation & patching")
    page.locator("#patching-clean textarea").fill("qwertzuiop|qwe")
    page.locator("#patching-corrupted textarea").fill("qwextzuiop|qwe")
    page.locator("#patching-patch").click()
    patches = page.locator("#inside-patching")
    expect(patches.locator(".pg-verdict")).to_contain_text("Logit of “r” minus that of “x”", timeout=SLOW)
    expect(patches.locator(".pg-patch-differs")).to_have_text("r/x")
    expect(patches.locator("td[data-depth='0'][data-position='3']")).to_have_text("1.0")
    expect(patches.locator("td[data-depth='2'][data-position='13']")).to_have_text("1.0")
    patches.locator("td[data-depth='0'][data-position='3']").hover()
    expect(patches.locator(".pg-readout")).to_contain_text("embedding, r/x: restores 100 %")
    expect(patches.locator(".pg-patch-parts tbody tr")).to_have_count(2)
    page.locator("#patching-corrupted textarea").fill("qwexxtzuiop|qwe")
    page.locator("#patching-patch").click()
    expect(patches.locator(".pg-alert-bad")).to_contain_text("Make them equally long")


def test_a_run_chosen_while_the_tab_opens_stays(page: Page, app: App) -> None:
    open_page(page, app.url, "Inside")
    expect(page.locator("#inside-run input")).not_to_have_value("", timeout=SLOW)
    open_tab(page, "Train")
    network = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 800, "downloadThroughput": -1, "uploadThroughput": -1}
    network.send("Network.emulateNetworkConditions", slow)  # the tab's answer comes after the choice
    open_tab(page, "Inside")
    choose_run(page, "inside", "Induction: two layers on Repeat")
    network.send("Network.emulateNetworkConditions", {**slow, "latency": 0})
    expect(page.locator("#inside-step input")).to_have_value("1,000", timeout=SLOW)
    expect(page.locator("#inside-run input")).to_have_value("Induction: two layers on Repeat · reference")


def test_one_head_is_worked_out_by_hand(page: Page, app: App) -> None:
    open_page(page, app.url, "Inside")
    choose_run(page, "inside", "Modern on Tales, seed 0")
    open_tab(page, "One head, step by step")
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
