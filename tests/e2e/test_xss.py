"""Text stays text: forty-odd ways of smuggling a script or a request into a page, through every text field of every tab.

The runs, races, tokens, samples and messages of this app are made of them too, since whoever shares a run chooses what
others read. A script that runs calls `pwn`, which is counted; a request that leaves the machine fails the test (`Watch`);
and no element may have come out of a text.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import torch
from playwright.sync_api import Browser, Locator, Page, expect

from playground.config import TrainConfig, preset
from playground.runs.curves import Curves
from playground.runs.races import Race, create_race, list_races, prepare_race
from playground.runs.store import status
from playground.runs.store.files import read_json, write_json
from playground.runs.store.log import LogWriter
from playground.runs.store.paths import gallery_root
from playground.runs.store.run_store import RunStore
from playground.runs.store.status import Status
from playground.runs.worker.execution import execute
from playground.runs.worker.racing import execute_race
from playground.tokenizers import build_tokenizer
from playground.train.events import Sampled
from playground.train.race_spec import Arm, RaceSpec
from tests.e2e.conftest import App, Window, end_workers
from tests.e2e.steps import SLOW, open_page, open_tab

X = "<img src=x onerror=pwn()>"
PAYLOADS = [
    X, "<script>pwn()</script>", f"</script>{X}", f"</textarea>{X}", f"</title>{X}", f"</style>{X}", f"</svg>{X}",
    f'">{X}', f"'>{X}", f"`>{X}", '" onmouseover=pwn() x="', "' autofocus onfocus=pwn() x='", f"<!-->{X}-->",
    f"<![CDATA[{X}]]>", "<IMG SRC=x OnErRoR=pwn()>", "<img/src=x/onerror=pwn()>", "<svg onload=pwn()>",
    "<svg><script>pwn()</script></svg>", "<svg><animate onbegin=pwn() attributeName=x dur=1s>",
    "<body onload=pwn()>", "<details open ontoggle=pwn()>x", "<input autofocus onfocus=pwn()>",
    "<video><source onerror=pwn()>", "<marquee onstart=pwn()>x", '<iframe srcdoc="<script>parent.pwn()</script>">',
    "<iframe src=javascript:parent.pwn()>", "<object data=javascript:pwn()>", "<embed src=javascript:pwn()>",
    "<a href=javascript:pwn()>go</a>", "[go](javascript:pwn())", "<math href=javascript:pwn()>x</math>",
    "<form action=javascript:pwn()><button>go</button></form>", "<b onclick=pwn()>bold</b>",
    "${pwn()}", "{{pwn()}}", "{{constructor.constructor('pwn()')()}}", "#{pwn()}", "<%= pwn() %>", "`${pwn()}`",
    "&lt;img src=x onerror=pwn()&gt;", r"\u003cimg src=x onerror=pwn()\u003e", "%3Cimg src=x onerror=pwn()%3E",
    "<img src=http://evil.example/x.png>", "![x](http://evil.example/x.png)", "<link rel=stylesheet href=//evil.example>",
    '<style>@import"//evil.example/x.css"</style>', "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<base href=//evil.example/>", "$$\\href{javascript:pwn()}{x}$$", '=HYPERLINK("http://evil.example")',
    "%{x}<extra><b onclick=pwn()>x</b></extra>", "@SUM(1)|cmd", "+1+pwn()", "-1-pwn()", "\u202e<b>pwn()</b>",
]  # fmt: skip
ALL = "\n".join(PAYLOADS)
NAMES = [name for name in dict.fromkeys(payload[:60] for payload in PAYLOADS) if name.isprintable()]
SMALL = {
    "steps": 20, "batch_size": 2, "warmup_steps": 2, "eval_interval": 10, "eval_tokens": 64, "sample_interval": 0,
    "checkpoint_interval": 10, "snapshots": 3,
}  # fmt: skip
SETUP = """window.pwned = 0; window.pwn = () => { window.pwned += 1; return "pwned"; };"""
# Elements that a text has become: with a handler of ours in them, or an address that is not the app's.
BORN = """() => [...document.querySelectorAll("*")].filter((element) => [...element.attributes].some(({ name, value }) =>
  (name.startsWith("on") && value.includes("pwn")) ||
  (["src", "href", "data", "action", "srcdoc", "content", "xlink:href"].includes(name) && !value.startsWith(location.origin)
    && /^\\s*javascript:|pwn\\(|evil\\.example/.test(value)))
  || (["SCRIPT", "STYLE"].includes(element.tagName) && /^(\\s*pwn\\(\\)|@import)/.test(element.textContent)))
  .map((element) => element.outerHTML.slice(0, 200))"""


@pytest.fixture(scope="module")
def hostile_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """An app on a store whose runs, races, texts, tokens, samples and messages are all made of payloads."""
    torch.set_num_threads(1)
    app = App(tmp_path_factory.mktemp("xss") / "data")
    store = RunStore(app.data / "runs")
    race = _race(store)
    text = (ALL + "\n") * 12
    tokenizer = build_tokenizer("bpe", text, vocab_size=700)  # its tokens are pieces of payloads
    shape = {
        "n_layer": 2,
        "n_embd": 32,
        "n_head": 2,
        "n_kv_head": 2,
        "block_size": 64,
        "vocab_size": tokenizer.vocab_size,
    }
    for number, name in enumerate(reversed(NAMES)):
        if number == 0:
            run = store.create(
                preset("modern", **shape), TrainConfig(corpus="own", prompt=X, **SMALL), tokenizer, name=name,
                preset="modern", own_text=text, origin="" if number else X,
            )  # fmt: skip
            execute(run)
            with LogWriter(run.log) as log:
                log.append(Sampled(20, ALL, ALL))
            status.declare(run.path, Status("failed", ALL))
            continue
        copy = store.root / f"{number:032x}"
        shutil.copytree(run.path, copy)
        values = read_json(copy / "run.json") or {}
        own = {"name": name, "origin": name if number % 2 else "", "created": run.created + number, "preset": name}
        write_json(copy / "run.json", {**values, **own, "preset": name if number % 3 else "modern"})
    assert len(store.list()) == len(NAMES) + 2
    assert race.status().state == "finished"
    app.start()
    yield app
    app.stop()
    end_workers(app.data)


def _race(store: RunStore) -> Race:
    shape = {"n_layer": 1, "n_embd": 16, "n_head": 2, "block_size": 16, "batch_size": 2, "eval_tokens": 64}
    arms = (Arm(X, "classic"), Arm("=1+pwn()", "modern"))
    spec = RaceSpec(X, arms, {**shape, "eval_interval": 5, "checkpoint_interval": 5}, "steps", 10, (0,), "none")
    race = create_race(store, prepare_race(spec, ALL * 20), name=PAYLOADS[1])
    execute_race(race)
    return race


@pytest.fixture(scope="module")
def window(browser: Browser) -> Iterator[Window]:
    """Whose pages count how often a payload has run."""
    window = Window(browser, SETUP)
    yield window
    window.context.close()


def assert_harmless(page: Page) -> None:
    assert page.evaluate("window.pwned") == 0
    assert page.evaluate(BORN) == []


def fill_everything(page: Page) -> int:
    """Every text field that can be seen; how many. Dropdowns and numbers are no text fields."""
    fields = page.locator("textarea:visible, input[type=text]:visible, input:not([type]):visible")
    filled = 0
    for number in range(fields.count()):
        field = fields.nth(number)
        if field.get_attribute("role") == "listbox" or not field.is_editable() or field.is_disabled():
            continue
        if field.evaluate("e => !!e.closest('[data-testid=number-input], .options, #link, .pg-step-picker')"):
            continue
        field.fill(ALL if field.evaluate("e => e.tagName === 'TEXTAREA' && e.rows > 1") else X[:60])
        filled += 1
    page.keyboard.press("Tab")
    return filled


def unfold_everything(page: Page) -> None:
    for _ in range(30):
        closed = page.locator("button.label-wrap:not(.open):visible")
        if not closed.count():
            return
        closed.first.click()


def hover(tokens: Locator) -> None:
    for number in range(min(6, tokens.count())):
        if tokens.nth(number).is_visible():
            tokens.nth(number).hover()


def open_all_names(page: Page, dropdown: str) -> None:
    """The list of all runs, each by its name."""
    page.locator(f"{dropdown} input").first.click()
    expect(page.get_by_role("option").first).to_be_visible(timeout=SLOW)
    assert page.get_by_role("option").count() >= 40
    assert_harmless(page)
    page.keyboard.press("Escape")


# What to press in each tab once all of its fields are full, and where something then appears.
TABS = {
    "Train": (["#rename-run"], "#live-run"),
    "Batch": (["#show-batch"], "#batch-view"),
    "Tokenizer": ([], "#tokenizer-view"),
    "Compare": ([], "#race-view"),
    "Attention": (["#look"], "#attention-grid"),
    "Inside": (["#inside-look"], "#inside-lens"),
    "Sample": (["#generate", "#one-token", "#generate-all"], "#token-text"),
    "Streaming": (["#prove-cache", "#read-long"], "#streaming-answer"),
}


@pytest.mark.parametrize("tab", TABS)
def test_every_field_of_a_tab(page: Page, hostile_app: App, tab: str) -> None:
    open_page(page, hostile_app.url, tab)
    buttons, shown = TABS[tab]
    expect(page.locator(shown).first).to_be_visible(timeout=SLOW)
    assert_harmless(page)
    unfold_everything(page)
    if tab == "Train":
        page.get_by_role("radio", name="Your text").check(force=True)
        open_all_names(page, "#train-run")
    if tab == "Compare":
        compare(page)
    filled = fill_everything(page)
    print(tab, filled)
    for button in buttons:
        if page.locator(button).count() and page.locator(button).is_enabled():
            page.locator(button).first.click()
            page.wait_for_timeout(700)
            assert_harmless(page)
    if tab == "Inside":
        inner_tabs(page)
    if tab == "Tokenizer":
        import_names(page, hostile_app.data)
    hover(page.locator("[role=tabpanel]:visible .pg-piece, [role=tabpanel]:visible .pg-token"))
    page.wait_for_timeout(800)
    assert_harmless(page)
    assert filled or tab == "Batch"


def compare(page: Page) -> None:
    """A race called by a payload, and runs laid over one another."""
    expect(page.locator("#race-view")).to_contain_text("<img src=x", timeout=SLOW)
    assert_harmless(page)
    open_tab(page, "Any runs")
    page.locator("#compare-runs input").first.click()
    page.get_by_role("option", name=NAMES[3], exact=True).click()
    page.get_by_role("option", name=NAMES[5], exact=True).click()
    page.keyboard.press("Escape")
    expect(page.locator("#compare-chart .js-plotly-plot")).to_be_visible(timeout=SLOW)
    page.locator("#compare-chart .js-plotly-plot").hover()
    assert_harmless(page)
    fill_everything(page)
    for button in ("#compare-write", "#compare-losses-button"):
        page.locator(button).click()
        page.wait_for_timeout(1500)
        assert_harmless(page)


def inner_tabs(page: Page) -> None:
    """Every view into a model whose tokens are pieces of payloads."""
    inner = page.locator("#inside-tabs").get_by_role("tab")
    for number in range(inner.count()):
        inner.nth(number).click()
        page.wait_for_timeout(600)
        fill_everything(page)
        page.wait_for_timeout(300)
        hover(page.locator("[role=tabpanel]:visible .pg-piece, [role=tabpanel]:visible .pg-token"))
        assert_harmless(page)


def import_names(page: Page, folder: Path) -> None:
    """A tokenizer.json whose vocabulary is payloads, in a file whose name is one."""
    vocabulary = {text: number for number, text in enumerate(dict.fromkeys([*PAYLOADS, *map(chr, range(32, 127))]))}
    model = {"type": "BPE", "vocab": vocabulary, "merges": [], "unk_token": None, "byte_fallback": False}
    special = [
        {
            "id": 0,
            "content": X,
            "special": True,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
        }
    ]
    file = {"version": "1.0", "added_tokens": special, "model": model, "normalizer": None, "pre_tokenizer": None}
    body = {**file, "post_processor": None, "decoder": None, "truncation": None, "padding": None}
    panel = page.locator("#tokenizer-example").locator("xpath=ancestor::*[@role='tabpanel']")
    chosen = {"name": f"{X}.json", "mimeType": "application/json", "buffer": json.dumps(body).encode()}
    panel.locator("input[type=file]").first.set_input_files(chosen)
    page.wait_for_timeout(2500)
    assert_harmless(page)


def test_an_address_made_of_payloads(page: Page, hostile_app: App) -> None:
    for field in ("text", "tab", "run", "race", "step", "setup"):
        tab = "" if field == "tab" else "&tab=attention"
        page.goto(f"{hostile_app.url}?{field}={quote(ALL[:1_900])}{tab}")
        page.get_by_role("tab", name="Train", exact=True).wait_for(timeout=SLOW)
        page.wait_for_timeout(1500)
        if field == "text":
            expect(page.locator("#attention-text textarea")).to_have_value(re.compile("onerror=pwn"), timeout=SLOW)
        assert_harmless(page)


def test_a_file_called_by_a_payload(page: Page, hostile_app: App) -> None:
    open_page(page, hostile_app.url)
    page.get_by_role("radio", name="Your text").check(force=True)
    for content in (ALL.encode() * 20, b"PK\x03\x04 and so on", b"\xff\xfe\xfa"):  # one that is taken, two complaints
        chosen = {"name": f"{X}.txt", "mimeType": "text/plain", "buffer": content}
        page.locator("input[type=file]").first.set_input_files(chosen)
        expect(page.get_by_text("onerror=pwn").first).to_be_visible(timeout=SLOW)
        assert_harmless(page)


def test_a_report_that_was_saved(page: Page, hostile_app: App, tmp_path: Path) -> None:
    """Opened as a file, where nothing of the app's protects it."""
    from playground.ui.compare.report import race_file

    store = RunStore(hostile_app.data / "runs", gallery_root())
    race = next(race for race in list_races(store) if not race.reference)
    found = race_file(race, Curves(store), "report")
    (tmp_path / "report.html").write_text(found["text"], "utf-8")
    page.goto(f"data:text/html,{quote('<p>a page')}")
    page.set_content(found["text"])
    expect(page.locator("h1")).to_have_text(PAYLOADS[1], timeout=SLOW)
    expect(page.locator(".js-plotly-plot").first).to_be_visible(timeout=SLOW)
    page.locator(".js-plotly-plot").first.hover()
    assert_harmless(page)
    rows = race_file(race, Curves(store), "csv")["text"].splitlines()[1:]
    assert len(rows) >= 2
    assert not any(row.lstrip('"')[:1] in "=+-@" for row in rows)
