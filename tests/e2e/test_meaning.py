"""Experts, embeddings, positions, probes and search, in a browser, on the shipped runs and on a mixture of one's own."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Locator, Page, expect

from playground.ui.links import Setup
from tests.e2e.conftest import App
from tests.e2e.steps import SLOW, current_step, make_small, open_page, open_tab, start, wait_for, wait_for_state
from tests.e2e.test_inside import choose_run

MODERN = "Modern on Tales, seed 0"
HOSTILE = "${1+1} <b>bold</b> {{x}}"


def open_view(page: Page, app: App, name: str, run: str = MODERN) -> Locator:
    open_page(page, app.url, "Inside")
    expect(page.locator("#inside-run input")).not_to_have_value("", timeout=SLOW)  # the tab has made its own choice
    choose_run(page, "inside", run)
    expect(page.locator("#inside-run input")).to_have_value(f"{run} · reference")
    open_tab(page, name)
    ids = {
        "Experts": "experts",
        "Embeddings": "embeddings",
        "Positions": "positions",
        "Probes": "probes",
        "Search": "meaning",
    }
    return page.locator(f"#inside-{ids[name]}")


def test_experts_of_a_run_of_ones_own(page: Page, app: App) -> None:
    view = open_view(page, app, "Experts")
    expect(view.locator(".pg-empty:visible")).to_contain_text("This model is dense", timeout=SLOW)
    links = [link.get_attribute("href") or "" for link in view.get_by_role("link").all()]
    setups = [Setup.from_json(parse_qs(urlsplit(link).query)["setup"][0]).settings() for link in links]
    assert [(model.n_expert, train.balance_loss > 0) for model, train in setups] == [(4, True), (4, False)]
    open_tab(page, "Train")
    page.locator(".pg-choice label", has_text="Mixture").click()
    make_small(page, steps=30)
    start(page)
    wait_for_state(page, "Finished")
    run = page.locator("#train-run input").input_value()
    open_tab(page, "Inside")
    choose_run(page, "inside", run)
    page.locator("#inside-text textarea").fill(f"Mia ran. {HOSTILE}")
    page.locator("#inside-look").click()
    expect(view.locator(".pg-verdict").first).to_contain_text("of 4 in layer 1", timeout=SLOW)
    expect(view.locator(".pg-expert-flow .pg-token")).to_have_count(32)
    view.get_by_text("Layer 2", exact=True).click()
    view.locator(".pg-expert-flow .pg-token").nth(3).hover()
    expect(view.locator(".pg-readout")).to_contain_text("layer 2: expert")
    expect(view.locator("tr", has_text="letter").last).to_contain_text("%")
    expect(view.locator(".pg-expert-bits tbody tr")).to_have_count(2)
    assert view.locator("b", has_text="bold").count() == 0


def test_heads_and_experts_are_followed_while_a_run_trains(page: Page, app: App) -> None:
    open_page(page, app.url)
    page.locator(".pg-choice label", has_text="Mixture").click()
    make_small(page, steps=4000)
    start(page)
    wait_for(lambda: current_step(page) > 1)
    run = page.locator("#train-run input").input_value()
    open_tab(page, "Inside")
    choose_run(page, "inside", run)
    for name, view in (("Heads", page.locator(".pg-headtable")), ("Experts", page.locator(".pg-experts"))):
        open_tab(page, name)
        expect(view).to_have_attribute("data-steps", re.compile(r"\d"), timeout=SLOW)
        newest = view.locator("thead th.pg-score-step").last
        before = newest.inner_text()
        wait_for(lambda newest=newest, before=before: newest.inner_text() != before, seconds=120)
    open_tab(page, "Train")
    page.locator("#stop-run").click()
    wait_for_state(page, "Stopped")


def test_points_move_through_training_and_analogies_say_when_they_fail(page: Page, app: App) -> None:
    view = open_view(page, app, "Embeddings")
    expect(view.locator(".pg-time")).to_have_attribute("data-ready", "12", timeout=SLOW)
    picture = "document.querySelector('#inside-embeddings canvas.pg-embeddings-map').toDataURL()"
    slider = view.get_by_label("Saved step of the training")
    pictures = []
    for index in range(12):
        slider.fill(str(index))
        pictures.append(page.evaluate(picture))
    assert len(set(pictures)) == 12
    assert float(view.locator(".pg-time").get_attribute("data-ms") or 999) < 60, "each step shows at once"
    view.get_by_label("Name of a vector").fill(HOSTILE)
    view.get_by_role("button", name="Show").click()
    expect(view).to_contain_text("is not among the", timeout=SLOW)
    view.get_by_label("Name of a vector").fill("a")
    view.get_by_role("button", name="Show").click()
    expect(view.get_by_label("Nearest vectors by cosine").locator("li")).to_have_count(10, timeout=SLOW)
    view.get_by_role("button", name="Solve").click()
    expect(view.locator(".pg-verdict-small")).to_contain_text("would rank first", timeout=SLOW)
    expect(view).to_contain_text("expected by chance")
    view.get_by_text("3-D", exact=True).click()
    flat = page.evaluate(picture)
    view.locator("canvas.pg-embeddings-map").press("ArrowRight")
    assert page.evaluate(picture) != flat, "the arrow keys turn it"
    view.get_by_text("Words", exact=True).click()
    expect(view).to_contain_text("at the last letter of a word", timeout=SLOW)
    view.get_by_text("Each step's own", exact=True).click()
    expect(view).to_contain_text("turned and mirrored", timeout=SLOW)
    assert view.locator("b", has_text="bold").count() == 0


def test_positions_are_mapped_and_frequencies_listed(page: Page, app: App) -> None:
    view = open_view(page, app, "Positions")
    expect(view.locator(".pg-table tbody tr")).to_have_count(16, timeout=SLOW)
    expect(view.locator(".pg-table tbody tr").first).to_contain_text("6.28")
    view.locator("canvas.pg-positions-map").press("ArrowDown")
    expect(view.locator(".pg-readout")).to_contain_text("Row of position 131")
    choose_run(page, "inside", "Classic on Tales, seed 0")
    expect(view).to_contain_text("Learned positions", timeout=SLOW)
    expect(view.locator(".pg-table")).to_be_hidden()


def test_probes_stand_beside_baseline_and_control(page: Page, app: App) -> None:
    view = open_view(page, app, "Probes")
    expect(view.locator("section[data-label]")).to_have_count(5, timeout=SLOW)
    expect(view.locator("section[data-label='quote'] .js-plotly-plot")).to_be_visible(timeout=SLOW)
    rows = view.locator("table tbody tr")
    expect(rows).to_have_count(10)

    def accuracies(row: int) -> list[float]:
        return [float(text.split(" ")[0]) for text in rows.nth(row).locator("td").all_inner_texts() if text]

    majority, first, *_, last = accuracies(4)
    assert last > first + 3, "layers add whether a quotation is open"
    assert max(accuracies(5)) < majority + 3, "shuffled labels cannot be read"


def test_a_search_stands_beside_counting_letters(page: Page, app: App) -> None:
    view = open_view(page, app, "Search")
    expect(view.locator(".pg-hits").first.locator("li")).to_have_count(8, timeout=SLOW)
    view.get_by_label("Query").fill(f"Ruby looked under the bed {HOSTILE}")
    view.get_by_role("button", name="Search", exact=True).click()
    expect(view.locator(".pg-hits").last).to_contain_text("bed", timeout=SLOW)
    expect(view.locator(".pg-verdict-small")).to_contain_text("chance is 50 %")
    view.get_by_label("Query").fill(" ")
    view.get_by_role("button", name="Search", exact=True).click()
    expect(view.locator(".pg-alert").first).to_contain_text("The query is empty.")
    view.get_by_label("Lines of text").fill(f"one\n{HOSTILE}\none")
    view.get_by_role("button", name="Compare lines").click()
    table = view.locator(".pg-similar").last
    expect(table.locator("tbody tr").first.locator("td").nth(2)).to_have_text("1.00", timeout=SLOW)
    view.get_by_label("Lines of text").fill("one")
    view.get_by_role("button", name="Compare lines").click()
    expect(view).to_contain_text("A map needs 2 to 12 lines")
    assert view.locator("b", has_text="bold").count() == 0
