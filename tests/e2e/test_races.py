"""Races in a real browser: from one click to the verdict, killed and resumed, kept and opened again."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from playground.runs.races import Race, create_race, list_races, prepare_race
from playground.runs.store import status
from playground.runs.store.run_store import RunStore
from playground.runs.worker.racing import execute_race
from playground.train.race_spec import RaceSpec
from tests.e2e.conftest import App, Watch
from tests.e2e.steps import SLOW, open_tab, set_slider, unfold, wait_for


def open_races(page: Page, app: App, query: str = "") -> None:
    page.goto(f"{app.url}?tab=compare{query}")
    expect(page.locator("#race-view .js-plotly-plot").first).to_be_visible(timeout=SLOW)


def race_small(page: Page, steps: int, seeds: int = 2, recipe: str = "classic_modern") -> None:
    """One click, after making everything small."""
    unfold(page, "Dataset, size, budget, seeds")
    for label, value in (
        ("Layers", 1),
        ("Embedding size (d_model)", 32),
        ("Heads", 2),
        ("Context length", 32),
        ("Batch size", 2),
        ("Seeds", seeds),
    ):
        set_slider(page, label, value)
    page.get_by_label("Budget of each run").fill(str(steps))
    page.get_by_label("Budget of each run").press("Tab")
    page.locator(f"#recipe-{recipe}").click()


def fill_choice(page: Page, where: str, value: str) -> None:
    """Type a value of one's own into a list of choices."""
    field = page.locator(f"{where} input")
    field.fill(value)
    field.press("Enter")


def own_races(app: App) -> list[Race]:
    return [race for race in list_races(RunStore(app.data / "runs")) if not race.reference]


def headline(page: Page) -> str:
    return page.locator("#race-view .pg-race-headline").inner_text()


def test_one_click_to_a_verdict_and_everything_that_can_be_kept_of_it(
    page: Page, app: App, watch: Watch, tmp_path: Path
) -> None:
    open_races(page, app)
    assert "Modern is better by" in headline(page), "a shipped race is there from the start"
    race_small(page, steps=60, seeds=3)
    expect(page.locator("#race input").first).to_have_value(re.compile("^Classic against modern$"), timeout=SLOW)
    expect(page.locator("#race-view .pg-race-facts")).to_contain_text(
        "60 steps each", timeout=SLOW
    )  # not the one before
    expect(page.locator("#race-view .pg-race-filled")).to_have_attribute("data-state", "finished", timeout=2 * SLOW)
    assert re.match(r"Modern (is|and)", headline(page))
    table = page.locator("#race-view .pg-table")
    expect(table.locator("tbody tr")).to_have_count(2)
    expect(page.locator("#race-view .pg-chips")).to_contain_text("Positional encoding: learned → RoPE")
    traces = "document.querySelector('#race-view .js-plotly-plot').data.length"
    wait_for(lambda: page.evaluate(traces) == 4)  # two lines and their bands

    for metric in ("Difference", "Perplexity", "Bits per byte", "Accuracy", "Gradient", "Tokens/s", "Loss"):
        page.locator("#race-view").get_by_text(metric, exact=True).click()
        wait_for(
            lambda: page.evaluate("document.querySelector('#race-view .js-plotly-plot').data.some(t => t.y.length > 0)")
        )
    for axis in ("Tokens", "Training FLOPs", "Seconds", "Parameters", "Step"):
        page.locator("#race-view .pg-chart-axis").get_by_text(axis, exact=True).click()
        page.wait_for_timeout(100)

    with page.expect_download() as picture:
        page.locator("#race-view [data-format=svg]").click()
    assert picture.value.suggested_filename.endswith(".svg")
    with page.expect_download() as numbers:
        page.locator("#race-view [data-file=csv]").click()
    numbers.value.save_as(tmp_path / "race.csv")
    assert (tmp_path / "race.csv").read_text().startswith("arm,seed,step,tokens,flops,seconds,loss")
    with page.expect_download() as config:
        page.locator("#race-view [data-file=json]").click()
    config.value.save_as(tmp_path / "race.json")
    assert json.loads((tmp_path / "race.json").read_text())["arms"][1]["preset"] == "modern"

    shown = headline(page)
    with page.expect_download() as report:
        page.locator("#race-view [data-file=report]").click()
    report.value.save_as(tmp_path / "race.html")
    _opens_offline(watch, tmp_path / "race.html", shown)

    race = own_races(app)[0]
    page.goto(f"{app.url}?tab=compare&race={race.id}")
    wait_for(lambda: headline(page) == shown)
    page.locator("#race-write").click()
    expect(page.locator("#race-side-by-side .pg-token").first).to_be_visible(timeout=SLOW)
    page.locator("#race-losses-button").click()
    expect(page.locator("#race-losses .pg-losses-most li").first).to_be_visible(timeout=SLOW)
    open_tab(page, "Attention")
    expect(page.locator("#attention-grid .pg-heads canvas").first).to_be_visible(timeout=SLOW)


def test_a_race_is_named_changed_in_one_thing_and_raced_again(page: Page, own_app: App) -> None:
    open_races(page, own_app)
    race_small(page, steps=20, seeds=1)
    wait_for(lambda: own_races(own_app) and own_races(own_app)[0].status().state == "finished")
    expect(page.locator("#pause-race")).to_have_count(0, timeout=SLOW)
    unfold(page, "Run again, change, rename, share, delete")
    name = page.locator("#race-name textarea, #race-name input")
    expect(name).to_have_value("Classic against modern", timeout=SLOW)
    name.fill("My first race")
    page.locator("#rename-race").click()
    expect(page.locator("#race input").first).to_have_value("My first race", timeout=SLOW)
    page.reload()
    expect(page.locator("#race input").first).to_have_value("My first race", timeout=SLOW)

    unfold(page, "Run again, change, rename, share, delete")
    page.locator("#change-race").click()
    expect(page.locator("#race-preview")).to_contain_text("2 arms × 1 seed:", timeout=SLOW)
    page.locator("#race-start-from input").click()
    page.get_by_role("option", name="modern", exact=True).click()
    page.locator("#race-change input").click()
    page.get_by_role("option", name="Biases", exact=True).click()
    page.wait_for_timeout(500)
    page.locator("#race-add").click()
    expect(page.locator("#race-preview")).to_contain_text("Modern, Biases yes", timeout=SLOW)
    page.locator("#race-start").click()
    wait_for(lambda: len(own_races(own_app)) == 2)
    changed = own_races(own_app)[0].spec
    assert [arm.name for arm in changed.arms] == ["Classic", "Modern", "Modern, Biases yes"]
    assert (changed.amount, changed.shared["n_embd"], len(changed.seeds)) == (20, 32, 1), "all else is as it was"


def test_an_arm_that_diverges_is_shown_as_diverged_while_the_others_go_on(page: Page, own_app: App) -> None:
    open_races(page, own_app)
    unfold(page, "Dataset, size, budget, seeds")
    for label, value in (
        ("Layers", 1),
        ("Embedding size (d_model)", 32),
        ("Heads", 2),
        ("Context length", 32),
        ("Batch size", 2),
        ("Seeds", 2),
    ):
        set_slider(page, label, value)
    page.get_by_label("Budget of each run").fill("60")
    page.get_by_label("Budget of each run").press("Tab")
    unfold(page, "Custom arms")
    wild = "Wild: modern + optimizer=sgd + learning_rate=1.0 + grad_clip=0 + weight_decay=10"
    fill_choice(page, "#race-arms", wild)
    expect(page.locator("#race-preview")).to_contain_text("Wild", timeout=SLOW)
    page.locator("#race-start").click()
    expect(page.locator("#race-view .pg-race-facts")).to_contain_text("3 arms × 2 seeds", timeout=SLOW)
    expect(page.locator("#race-view .pg-race-filled")).to_have_attribute("data-state", "finished", timeout=2 * SLOW)
    legend = page.locator("#race-view .pg-legend-item")
    expect(legend.nth(2)).to_contain_text("diverged (2 of 2)")
    expect(legend.nth(1)).not_to_contain_text("diverged")
    expect(page.locator("#race-view .pg-race-more")).to_contain_text("Wild diverged in 2 of 2 seeds")
    expect(page.locator("#race-view .pg-alert")).to_contain_text("2 of 6 runs diverged")
    assert re.match(r"Modern (is|and)", headline(page)), "the others are judged"
    rows = page.locator("#race-view section[aria-label=Results] tbody tr")
    assert "–" in rows.nth(2).inner_text()
    assert "–" not in rows.nth(1).inner_text()


def test_colours_mean_the_same_in_every_race(page: Page, app: App) -> None:
    """Classic is dashed vermilion and modern solid blue, also in the third race that a page shows."""
    open_races(page, app)
    for name in ("The ladder on Tales", "Classic against modern on Python source"):
        page.locator("#race input").click()
        page.get_by_role("option", name=name).first.click()
        corpus = name.partition(" on ")[2]
        expect(page.locator("#race-view .pg-race-facts")).to_contain_text(f"{corpus} · ", timeout=SLOW)
        page.wait_for_timeout(1500)
    legend = page.locator("#race-view .pg-legend-item path")
    expect(legend.nth(1)).to_have_attribute("stroke", "#0072b2", timeout=SLOW)
    assert [legend.nth(i).get_attribute("stroke") for i in (0, 1)] == ["#d55e00", "#0072b2"]
    assert [legend.nth(i).get_attribute("stroke-dasharray") for i in (0, 1)] == ["6 3", "none"]


def test_a_race_over_ones_own_text(page: Page, own_app: App) -> None:
    """Chosen as in the Train tab: pasted, then run again from the copy that the race keeps."""
    open_races(page, own_app)
    unfold(page, "Dataset, size, budget, seeds")
    page.get_by_role("radio", name="Your text").filter(visible=True).check(force=True)
    mine = "a rose is a rose is a rose\n" * 100
    page.get_by_label("Paste your text").filter(visible=True).fill(mine)
    unfold(page, "Dataset, size, budget, seeds")
    race_small(page, steps=40)
    wait_for(lambda: own_races(own_app) and own_races(own_app)[0].status().state == "finished")
    assert {run.own_text() for arm in own_races(own_app)[0].members for run in arm} == {mine}
    unfold(page, "Run again, change, rename, share, delete")
    page.locator("#again-race").click()
    wait_for(lambda: len(own_races(own_app)) == 2)
    assert {run.own_text() for race in own_races(own_app) for arm in race.members for run in arm} == {mine}


def _opens_offline(watch: Watch, path: Path, shown: str) -> None:
    context = watch.context(offline=True)
    watch.strangers.clear()
    page = context.new_page()
    page.goto(path.as_uri())
    expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=SLOW)
    assert page.locator(".pg-race-headline").inner_text() == shown
    assert page.evaluate("document.querySelector('.js-plotly-plot').data.length") == 4
    assert page.locator("[data-file]").first.is_hidden()
    outside = [url for url in watch.strangers if not url.startswith("file:")]
    watch.strangers.clear()
    assert not outside
    context.close()


def test_a_race_survives_kill_9_and_resumes(page: Page, own_app: App) -> None:
    open_races(page, own_app)
    race_small(page, steps=3000)
    wait_for(lambda: own_races(own_app) and own_races(own_app)[0].status().state == "running")
    race = own_races(own_app)[0]
    wait_for(lambda: all(run.steps_available() for arm in race.members for run in arm), seconds=120)
    os.kill(status.declared(race.path).pid, signal.SIGKILL)
    expect(page.locator("#race-view .pg-alert")).to_contain_text("Crashed", timeout=SLOW)
    page.locator("#resume-race").click()
    expect(page.locator("#race-view .pg-alert")).to_contain_text("Training", timeout=SLOW)
    page.locator("#pause-race").click()
    expect(page.locator("#race-view .pg-alert")).to_contain_text("Paused", timeout=SLOW)
    page.reload()
    expect(page.locator("#race-view .pg-alert")).to_contain_text("Paused", timeout=SLOW)
    page.locator("#stop-race").click()
    wait_for(lambda: race.status().state == "stopped")
    unfold(page, "Run again, change, rename, share, delete")
    page.locator("#delete-race").click()
    wait_for(lambda: not own_races(own_app))


def test_zoom_stays_while_a_race_goes_on(page: Page, own_app: App) -> None:
    open_races(page, own_app)
    race_small(page, steps=2000, seeds=1)
    wait_for(lambda: "So far" in headline(page), seconds=120)
    chart = "document.querySelector('#race-view .js-plotly-plot')"
    page.evaluate(f"Plotly.relayout({chart}, {{'xaxis.range': [5, 500], 'yaxis.range': [2, 6]}})")
    points = page.evaluate(f"{chart}.data[0].x.length")
    wait_for(lambda: page.evaluate(f"{chart}.data[0].x.length") > points)
    assert page.evaluate(f"{chart}.layout.xaxis.range") == [5, 500]
    page.locator("#stop-race").click()


def test_wrong_races_are_refused_in_the_form_and_nothing_is_written(page: Page, app: App) -> None:
    open_races(page, app)
    before = len(own_races(app))
    unfold(page, "Dataset, size, budget, seeds")
    page.get_by_label("Budget of each run").fill("0.5")
    page.get_by_label("Budget of each run").press("Tab")
    page.locator("#recipe-classic_modern").click()
    expect(page.get_by_text("too small to evaluate once").filter(visible=True).first).to_be_visible(timeout=SLOW)
    page.get_by_label("Budget of each run").fill("50")
    page.get_by_label("Budget of each run").press("Tab")
    unfold(page, "Custom arms")
    fill_choice(page, "#race-to", "sideways")
    page.locator("#race-add").click()
    expect(page.locator("#race-preview")).to_contain_text("must be one of", timeout=SLOW)
    assert len(own_races(app)) == before


def test_an_arm_of_ones_own_is_previewed_matched(page: Page, app: App) -> None:
    open_races(page, app)
    unfold(page, "Custom arms")
    fill_choice(page, "#race-to", "none")
    page.locator("#race-add").click()
    expect(page.locator("#race-preview")).to_contain_text("Modern, Positional encoding none", timeout=SLOW)
    expect(page.locator("#race-preview")).to_contain_text("MLP hidden size")


def test_a_shipped_race_is_accessible_and_fits_a_phone(page: Page, app: App) -> None:
    open_races(page, app)
    unfold(page, "Dataset, size, budget, seeds")
    unfold(page, "Custom arms")
    page.wait_for_timeout(800)
    serious = [v["id"] for v in Axe().run(page).response["violations"] if v["impact"] in ("serious", "critical")]
    assert not serious, serious
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_arms_with_different_tokens_are_drawn_and_judged_in_bits_per_byte(page: Page, own_app: App) -> None:
    arms = ["Small: modern + tokenizer=bpe + bpe_vocab=270", "Large: modern + tokenizer=bpe + bpe_vocab=400"]
    small = {"n_layer": 1, "n_embd": 16, "n_head": 2, "block_size": 16, "batch_size": 2, "corpus_bytes": 50_000}
    spec = RaceSpec.from_dict({"arms": arms, "shared": small, "amount": 12, "seeds": 2, "match": "none"})
    race = create_race(RunStore(own_app.data / "runs"), prepare_race(spec))
    execute_race(race)
    open_races(page, own_app, f"&race={race.id}")
    wait_for(lambda: "bits per byte" in headline(page))
    view = page.locator("#race-view .pg-race-filled")
    expect(view.get_by_role("radio", name="Bits per byte")).to_be_checked()
    expect(view).to_contain_text("final validation losses in bits per byte are subtracted")
    expect(view.get_by_role("columnheader", name="s.e.")).to_have_text("s.e. (bits/byte)")
    expect(view).not_to_contain_text("same batches in the same order")
    view.get_by_text("Difference", exact=True).click()
    axis = "document.querySelector('#race-view .js-plotly-plot').layout.yaxis.title.text"
    wait_for(lambda: page.evaluate(axis) == "bits per byte minus the first arm's")
    view.get_by_text("Loss", exact=True).click()
    expect(view).to_contain_text("compare only the shapes of these curves")
