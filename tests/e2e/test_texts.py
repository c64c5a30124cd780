"""A learner brings texts, asks what is in them, and looks at what training makes of them."""

from __future__ import annotations

import json
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from playground.runs.store.run_store import RunStore
from tests.e2e.conftest import App, Watch
from tests.e2e.steps import (
    SLOW,
    live_text,
    make_small,
    open_page,
    open_tab,
    start,
    tile,
    unfold,
    wait_for,
    wait_for_state,
)

SEVERE = ("serious", "critical")


def own(page: Page) -> None:
    page.get_by_role("radio", name="Your text").check(force=True)
    expect(page.locator("#upload")).to_be_visible(timeout=SLOW)


def upload(page: Page, *paths: Path) -> None:
    page.locator("#upload input[type=file]").set_input_files([str(path) for path in paths])


def look(page: Page) -> None:
    page.locator("#look-at-text").click()
    expect(page.locator("#data-card h2")).to_be_visible(timeout=SLOW)


def check_accessible(page: Page, inside: str) -> None:
    found = Axe().run(page, context=inside).response["violations"]
    severe = [(one["id"], [node["html"][:120] for node in one["nodes"]]) for one in found if one["impact"] in SEVERE]
    assert not severe, severe


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def test_several_files_at_once_are_trained_on(page: Page, app: App, tmp_path: Path) -> None:
    (tmp_path / "one.md").write_text("# The first\r\n" + "all of it is about cats.\n" * 300)
    (tmp_path / "two.py").write_text("def second():\n    return 'dogs'\n" * 200)
    open_page(page, app.url)
    own(page)
    upload(page, tmp_path / "one.md", tmp_path / "two.py")
    expect(page.locator("#uploaded")).to_contain_text("distinct", timeout=SLOW)
    make_small(page, steps=60)
    start(page)
    wait_for_state(page, "Finished")
    run = RunStore(app.data / "runs").list()[0]
    text = run.own_text() or ""
    assert text.startswith("# The first\nall of it") and "cats.\n\ndef second" in text
    assert run.train.corpus_bytes == 4_000_000  # more than there is: all of it
    wait_for(lambda: (tile(page, "validation loss") or 9) < 5)


def test_json_lines_with_a_field(page: Page, app: App, tmp_path: Path) -> None:
    path = tmp_path / "talk.jsonl"
    path.write_text(
        "".join(json.dumps({"id": n, "said": {"en": f"Line {n} of a long talk."}}) + "\n" for n in range(400))
    )
    open_page(page, app.url)
    own(page)
    upload(page, path)
    expect(page.locator("#json-field")).to_be_visible(timeout=SLOW)
    page.locator("#json-field textarea, #json-field input").fill("said.fr")
    page.locator("#json-field textarea, #json-field input").press("Enter")
    wrong = page.get_by_text("its fields with text are: said.en").first
    expect(wrong).to_be_visible(timeout=SLOW)
    page.locator("#json-field textarea, #json-field input").fill("said.en")
    page.locator("#json-field textarea, #json-field input").press("Enter")
    expect(page.locator("#uploaded")).to_contain_text("distinct", timeout=SLOW)
    make_small(page, steps=50)
    start(page)
    wait_for_state(page, "Finished")
    assert (RunStore(app.data / "runs").list()[0].own_text() or "").startswith("Line 0 of a long talk.\n\nLine 1")


def test_wrong_files_are_one_sentence_and_start_nothing(page: Page, app: App, tmp_path: Path) -> None:
    (tmp_path / "evil.txt").write_bytes(b"PK\x03\x04 and so on")
    (tmp_path / "good.txt").write_text("good\n" * 500)
    open_page(page, app.url)
    own(page)
    before = len(RunStore(app.data / "runs").list())
    upload(page, tmp_path / "good.txt", tmp_path / "evil.txt")
    expect(page.get_by_text("evil.txt is not UTF-8 text (looks like ZIP)").first).to_be_visible(timeout=SLOW)
    page.locator("#start").click()
    page.wait_for_timeout(1500)
    assert len(RunStore(app.data / "runs").list()) == before


def test_what_is_in_a_text(page: Page, app: App) -> None:
    open_page(page, app.url)
    look(page)
    card = page.locator("#data-card")
    for words in (
        "3,999,462",
        "59 distinct",
        "training 3.6 MB",
        "unigram",
        "5-gram",
        "better than counts of what followed",
        "beginning",
    ):
        expect(card).to_contain_text(words)
    # The number in the table is the one that the gallery's runs were given.
    row = card.locator("tr", has_text="trigram").inner_text()
    assert "2.29" in row and "1.59" in row
    check_accessible(page, "#data-card")
    own(page)
    page.get_by_label("Paste your text").fill("a rose is a rose is a rose\n" * 100)
    page.locator("#look-at-text").click()
    expect(card.locator("h2")).to_have_text("Your own text", timeout=SLOW)
    expect(card).to_contain_text("100 % of")
    expect(card).to_contain_text("Much of the validation text also occurs in the training text")


def test_baselines_on_the_chart_and_in_the_notice(page: Page, app: App) -> None:
    open_page(page, app.url)
    page.locator("#train-run input").click()
    page.get_by_role("option", name="Modern on Tales, seed 0").click()
    expect(page.locator("#live-run")).to_contain_text("Better than a 5-gram since step", timeout=SLOW)
    chart = "document.querySelector('#live-run .js-plotly-plot')"
    traces = f"({chart}?.data ?? []).filter((t) => t.line.dash === 'dash' && t.y[0] === t.y[1])"
    wait_for(lambda: page.evaluate(f"{traces}.length") == 3)
    loss = page.evaluate(f"{traces}.map((t) => [t.name, t.y[0]])")
    assert {name: round(y, 2) for name, y in loss} == {"bigram": 2.29, "trigram": 1.59, "5-gram": 0.82}
    labels = f"{chart}.layout.annotations.map((a) => a.text)"
    assert {"bigram", "trigram", "5-gram"} <= set(page.evaluate(labels))
    page.locator("#live-run").get_by_text("Bits per byte", exact=True).first.click()
    wait_for(lambda: round(page.evaluate(f"{traces}.find((t) => t.name === 'trigram').y[0]"), 2) == 2.29)
    page.locator("#live-run").get_by_text("Accuracy", exact=True).first.click()
    wait_for(lambda: page.evaluate(f"{traces}.length") == 0)


def test_a_new_run_gets_its_baselines(page: Page, app: App) -> None:
    open_page(page, app.url)
    make_small(page, steps=500)
    start(page)
    wait_for_state(page, "Finished")

    def placed() -> str:
        """Which n-gram baseline the sentence names, once two looks find the same: baselines arrive one by one."""
        first = live_text(page).partition("Better than a")[2].partition(".")[0]
        page.wait_for_timeout(4000)  # a run that has ended is asked about every three seconds
        return first if first == live_text(page).partition("Better than a")[2].partition(".")[0] else ""

    wait_for(placed)
    before = placed()
    page.reload()
    expect(page.locator("#live-run")).to_contain_text(f"Better than a{before}", timeout=SLOW)


def test_a_batch_of_a_text_and_of_a_run(page: Page, app: App) -> None:
    open_page(page, app.url)
    page.locator("#see-batch").click()
    view = page.locator("#batch-view")
    expect(view).to_contain_text("The batch of step 1 of Tales", timeout=SLOW)
    expect(view).to_contain_text("Not trained yet")
    inputs = view.locator(".pg-shift-in small").all_inner_texts()
    targets = view.locator(".pg-shift-out small").all_inner_texts()
    assert len(inputs) == 128 and inputs[1:] == targets[:-1]
    page.wait_for_timeout(1000)
    expect(view).to_contain_text("Not trained yet")  # opening the tab does not replace it
    page.locator("#show-batch").click()
    expect(view).to_contain_text("with the losses of its weights of step", timeout=SLOW)
    expect(view.locator(".pg-formula")).to_contain_text("nats", timeout=SLOW)
    check_accessible(page, "#batch-view")
    # With the keyboard alone: another row, then positions of it.
    chosen = view.locator('[role="radio"][aria-checked="true"]')
    chosen.focus()
    page.keyboard.press("ArrowDown")
    expect(view.get_by_role("radio", name="Row 2")).to_be_focused()
    expect(view).to_contain_text("Row 2 inputs and targets")
    pick = view.locator('.pg-shift-pick[aria-pressed="true"]')
    pick.focus()
    page.keyboard.press("Home")
    expect(view).to_contain_text("from the logits of position 0", timeout=SLOW)
    page.keyboard.press("ArrowRight")
    expect(view).to_contain_text("from the logits of position 1", timeout=SLOW)
    cell = float(view.locator('.pg-shift-pick[aria-pressed="true"]').inner_text())
    formula = float(view.locator(".pg-formula b").inner_text().split()[0])
    assert abs(cell - formula) < 0.06
    unfold_code(page)
    expect(view.locator("pre").first).to_contain_text("def windows")


def unfold_code(page: Page) -> None:
    page.get_by_text("The code that made these numbers").click()


def test_cards_fit_a_phone(watch: Watch, app: App) -> None:
    page = watch.context().new_page()
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, app.url)
    look(page)
    assert fits(page)
    expect(page.locator("#data-card").get_by_text("nats per token").first).to_be_visible()
    page.locator("#see-batch").click()
    expect(page.locator("#batch-view")).to_contain_text("The batch of step 1", timeout=SLOW)
    assert fits(page)
    page.locator("#show-batch").click()
    expect(page.locator("#batch-view .pg-formula")).to_be_visible(timeout=SLOW)
    assert fits(page)


def test_strangers_cannot_read_paths_or_data_sets(watch: Watch, public_app: App, tmp_path: Path) -> None:
    page = watch.context().new_page()
    open_page(page, public_app.url)
    own(page)
    expect(page.get_by_role("button", name="From a path or from Hugging Face")).to_have_count(0)
    expect(page.locator("#text-path")).to_have_count(0)


def test_a_file_by_its_path(page: Page, app: App, tmp_path: Path) -> None:
    path = tmp_path / "here.txt"
    path.write_text("a line of some length, again and again\n" * 200)
    open_page(page, app.url)
    own(page)
    unfold(page, "From a path or from Hugging Face")
    page.locator("#text-path textarea, #text-path input").fill(str(path))
    page.locator("#fetch-text").click()
    expect(page.locator("#uploaded")).to_contain_text("7,800 characters", timeout=SLOW)
    open_tab(page, "Train")
    look(page)
    expect(page.locator("#data-card")).to_contain_text("7,800")
