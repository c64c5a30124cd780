"""The arithmetic that the browser repeats, held to its Python reference in a real browser."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from playground.config import GenerationConfig, apart, counted, moved
from playground.inference.sampling import entropy_bits, filter_distribution, sample_token
from playground.races.payload import FOLLOW
from playground.train.events import StepDone, columns
from playground.ui.components import shared_script
from playground.ui.inside import attention_tab, inside_tab
from playground.ui.inside.semantic_views import look_everywhere

NAMES = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
CASES = [
    dict(zip(NAMES, (temperature, top_k, top_p, min_p, penalty), strict=True))
    for temperature in (0.0, 0.3, 0.85, 1.0, 2.0)
    for top_k in (0, 1, 7, 1000)
    for top_p in (0.0, 0.123, 0.9, 0.999, 1.0)
    for min_p, penalty in ((0.0, 1.0), (0.2, 1.0), (1.0, 1.0), (0.01, 1.4), (0.0, 0.7))
]


@pytest.fixture
def shared(page: Any) -> Any:
    """A blank page with the components' shared script."""
    page.set_content("<!doctype html><body></body>")
    page.add_script_tag(content=shared_script())
    return page


@pytest.mark.parametrize("kind", ["random", "ties", "one", "extreme"])
def test_filter_distribution_is_the_python_reference(shared: Any, kind: str) -> None:
    rng = np.random.default_rng(0)
    logits = {
        "random": rng.normal(0, 2, 300).round(4),
        "ties": rng.integers(-2, 3, 120).astype(float),
        "one": np.array([0.5]),
        "extreme": np.array([900.0, 0.0, -900.0, 899.0, 900.0]),
    }[kind]
    seen = [int(i) for i in rng.integers(0, len(logits), 5)]
    script = """([logits, cases, seen]) => cases.map((settings) => {
        const found = Playground.filterDistribution(logits, settings, seen);
        const byId = Array.from(logits.keys());
        return { before: [...found.before], after: [...found.after], removedBy: found.removedBy,
                 bits: Playground.entropyBits(found.after),
                 drawn: [0, 0.1, 0.5, 0.999999].map((u) => Playground.drawToken(found.after, u, byId)) };
    })"""
    for case, found in zip(CASES, shared.evaluate(script, [logits.tolist(), CASES, seen]), strict=True):
        expected = filter_distribution(logits, GenerationConfig(**case), seen)
        np.testing.assert_allclose(found["before"], expected.before, atol=1e-12, err_msg=str(case))
        np.testing.assert_allclose(found["after"], expected.after, atol=1e-12, err_msg=str(case))
        assert [by or "" for by in found["removedBy"]] == expected.removed_by, case
        assert found["bits"] == pytest.approx(entropy_bits(expected.after), abs=1e-9)
        for uniform, token in zip((0, 0.1, 0.5, 0.999999), found["drawn"], strict=True):
            assert token == sample_token(expected.after, Fixed(uniform)), case


class Fixed:
    """A random generator that gives one number."""

    def __init__(self, number: float) -> None:
        self.number = number

    def random(self) -> float:
        return self.number


def test_filtering_is_quick_enough_for_a_slider(shared: Any) -> None:
    milliseconds = shared.evaluate("""() => {
        const logits = Float64Array.from({ length: 4096 }, (_, i) => Math.sin(i * 12.9898) * 5);
        const settings = { temperature: 0.8, top_k: 40, top_p: 0.9, min_p: 0.05, repetition_penalty: 1.1 };
        for (let i = 0; i < 20; i++) Playground.filterDistribution(logits, settings);
        const times = Array.from({ length: 21 }, () => {
            const start = performance.now();
            Playground.filterDistribution(logits, settings, [1, 2, 3]);
            return performance.now() - start;
        });
        return times.sort((a, b) => a - b)[10];
    }""")
    assert milliseconds < 25  # measured below 2 ms; the margin is for a busy machine


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (" the", "␣the"),
        ("\n", "⏎"),
        ("\t", "⇥"),
        ("", "∅"),
        ("\u202e", "U+202E"),
        ("\x00", "U+0000"),
        ("\u0301", "◌\u0301"),
        ("é", "é"),
        ("\ufffd", "\ufffd"),
        ("<b>", "<b>"),
    ],
)
def test_tokens_are_shown_with_nothing_invisible_left(shared: Any, token: str, shown: str) -> None:
    assert shared.evaluate("(token) => Playground.visible(token)", token) == shown


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        (12, 12, "itself"),
        (12, 11, "the previous token"),
        (12, 10, "the start of its word"),
        (12, 9, "the space before its word"),
        (11, 2, "what followed an earlier “a” (induction)"),
        (12, 3, "an earlier “t”"),
        (9, 0, "the first token"),
        (12, 6, "6 tokens back"),
        (3, 12, "a later token"),
    ],
)
def test_a_place_is_called_after_what_heads_look_for(shared: Any, row: int, column: int, words: str) -> None:
    tokens = ["m", "a", "x", "t", "t", ",", " ", "y", "o", " ", "b", "a", "t", "c", "h"]
    assert (
        shared.evaluate("([tokens, row, column]) => Playground.relation(tokens, row, column)", [tokens, row, column])
        == words
    )


def test_letters_can_be_read_on_the_whole_palette(shared: Any) -> None:
    def luminance(rgb: list[int]) -> float:
        x = np.array(rgb) / 255
        return float(np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722])

    for rgb, ink in shared.evaluate("() => Playground.cividis.map((rgb) => [rgb, Playground.readable(rgb)])"):
        light, dark = sorted((luminance(rgb), {"#000": 0.0, "#fff": 1.0}[ink]), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, rgb


def test_a_head_is_called_after_where_it_looks_or_not_at_all(shared: Any) -> None:
    scores = {"previous": 0.1, "duplicate": 0.2, "induction": 0.92, "sink": 0.3, "entropy": 2.0, "distance": 7.96}
    said = "(scores) => Playground.headInWords(scores)"
    assert shared.evaluate(said, scores).startswith("Gives 92 % of its attention to what followed an earlier copy")
    assert shared.evaluate(said, {**scores, "previous": 0.95}) == "Gives 95 % of its attention to the previous token."
    assert shared.evaluate(said, {**scores, "induction": 0.39}) == (
        "No single pattern: its attention is spread over about 4 tokens, 8.0 back on average."
    )


def test_the_loss_at_a_step_lies_on_the_line_that_is_drawn(shared: Any) -> None:
    """The axis is logarithmic, log(step + 1): between two measurements so is the line."""
    curve = {"step": [0, 9, 99], "loss": [5.0, 3.0, None]}
    at = "([curve, step]) => Playground.lossAt(curve, step)"
    assert shared.evaluate(at, [curve, 0]) == {"loss": 5.0, "measured": True}
    assert shared.evaluate(at, [curve, 9]) == {"loss": 3.0, "measured": True}
    between = shared.evaluate(at, [curve, 2])
    assert between["loss"] == pytest.approx(5 - 2 * np.log10(3))
    assert not between["measured"]
    assert shared.evaluate(at, [curve, 99])["loss"] == 3.0
    assert shared.evaluate(at, [{"step": [10], "loss": [2.0]}, 3]) is None


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (0, "0.0 %"), (0.0002, "< 0.1 %"), (0.032, "3.2 %"), (0.412, "41 %"), (0.994, "99 %"), (0.9964, "99.6 %"),
        (0.99971, "> 99.9 %"), (0.9999999, "100 %"), (1, "100 %"),
    ],
)  # fmt: skip
def test_shares_are_none_and_all_only_where_that_is_true(shared: Any, share: float, shown: str) -> None:
    assert shared.evaluate("(share) => Playground.percent(share)", share) == shown


def test_smoothing_is_an_unbiased_moving_average(shared: Any) -> None:
    values = [5.0, 4.0, None, 3.0, 2.5]
    expected, total, mass = [], 0.0, 0.0
    for value in values:
        if value is None:
            expected.append(None)
            continue
        total, mass = 0.9 * total + 0.1 * value, 0.9 * mass + 0.1
        expected.append(total / mass)
    found = shared.evaluate("(values) => Playground.smooth(values, 0.9)", values)
    assert [None if x is None else pytest.approx(x) for x in expected] == found
    assert shared.evaluate("(values) => Playground.smooth(values, 0)", values) == values


def test_runs_take_in_only_new_points_and_start_over_on_reset(shared: Any) -> None:
    found = shared.evaluate("""() => {
        const runs = new Playground.Runs();
        const news = (step, extra) => ({ runs: [{ id: "a", state: "running", step, cursor: step, reset: false,
            train: { step: [step], loss: [1 / step] }, validation: { step: [] }, samples: [], ...extra }] });
        runs.absorb(news(1, { reset: true }));
        runs.absorb(news(2, {}));
        const grown = runs.byId.get("a").train.step.slice();
        const asked = runs.request("me", ["a", "b"]);
        runs.absorb(news(7, { reset: true }));
        runs.absorb(undefined);
        return { grown, asked, after: runs.byId.get("a").train.step, padded: runs.byId.get("a").train.tokens };
    }""")
    assert found["grown"] == [1, 2]
    assert found["asked"] == {"visitor": "me", "cursors": {"a": 2, "b": None}}
    assert found["after"] == [7]
    assert found["padded"] == [None]


def test_a_table_has_the_columns_that_arrive(shared: Any) -> None:
    """Whatever the server measures is kept; a column that came late or never is null in the rows without it."""
    found = shared.evaluate("""() => {
        const table = Playground.emptyTable();
        const counts = [{ step: [1, 2], loss: [3, 2] }, undefined, { step: [] }, { step: [3], margin: [0.5] }]
            .map((rows) => Playground.extend(table, rows));
        const { step, loss, margin, never } = table;
        return { counts, step, loss, margin, never, names: Object.keys(table) };
    }""")
    assert found == {
        "counts": [2, 0, 0, 1], "step": [1, 2, 3], "loss": [3, 2, None], "margin": [None, None, 0.5],
        "never": [None] * 3, "names": ["step", "loss", "margin"],
    }  # fmt: skip


def test_every_metric_of_a_step_that_has_a_label_is_measured(shared: Any) -> None:
    labels = shared.evaluate("() => [Object.keys(Playground.stepMetrics()), Object.keys(Playground.stepMetrics(true))]")
    assert labels[0] == [name for name in columns(StepDone) if name not in ("step", "tokens", "seconds", "loss")]
    assert labels[1] == [name for name in labels[0] if name not in FOLLOW]


def test_numbers_are_counted_and_compared_as_python_does(shared: Any) -> None:
    counts = [0, 1, 2, 21, 999, 1_000, 1_234_567]
    assert shared.evaluate("counts => counts.map((n) => Playground.counted(n, 'token'))", counts) == [
        counted(n, "token") for n in counts
    ]
    pairs = [[5.59, 5.589], [5.59, 2.3], [0.0, 0.0], [1.0, 1.006]]
    found = shared.evaluate("pairs => pairs.map(([a, b]) => Playground.moved(a, b, 2))", pairs)
    assert found == [moved(a, b).replace("went", "goes").replace("stayed", "stays") for a, b in pairs]
    found = shared.evaluate("pairs => pairs.map(([a, b]) => Playground.apart(a, b, 2))", pairs)
    assert found == [list(apart(a, b, 2)) for a, b in pairs]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("signed(0)", "0.000"), ("signed(-0.0004)", "0.000"), ("signed(0.0006)", "+0.001"), ("signed(-1.5, 1)", "−1.5"),
        ("withError(0, 0.01)", "0.000 ± 0.010"), ("withError(0.5, null)", "+0.500"), ("points(-0.0001)", "0.0 points"),
        ("done(0)", "0 %"), ("done(0.999)", "99 %"), ("done(0.29)", "29 %"), ("done(1)", "100 %"),
        ("duration(0.4)", "under 1 s"), ("duration(89)", "89 s"), ("duration(5399)", "90 min"),
        ("duration(7199)", "2 h 0 min"), ("duration(5400)", "1 h 30 min"),
    ],
)  # fmt: skip
def test_numbers_in_sentences_are_true_at_their_edges(shared: Any, call: str, words: str) -> None:
    assert shared.evaluate(f"() => Playground.{call}") == words


def ask(page: Any, script: str, *arguments: Any) -> Any:
    """What one of a tab's scripts makes of the values of its controls, without the time of asking."""
    answer = page.evaluate(f"(arguments) => ({script})(...arguments)", list(arguments))
    return [without_nonce(one) for one in answer] if isinstance(answer, list) else without_nonce(answer)


def without_nonce(question: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in question.items() if name != "nonce"}


def test_a_view_is_asked_about_what_the_controls_say(shared: Any) -> None:
    one = {"visitor": "v", "run": "r", "step": 5, "text": "text"}
    nothing = {**one, "run": "", "step": None}
    assert ask(shared, look_everywhere(3), "r", 5, "text", "v") == [one] * 3
    assert ask(shared, look_everywhere(1), None, None, "text", "v") == [nothing]
    second = {"run": "s", "step": 7}
    assert ask(shared, inside_tab.LOOK, "r", 5, "text", "s", 7, "v") == [{**one, "beside": second}, one, one, one]
    assert ask(shared, inside_tab.LOOK, "r", 5, "text", "", None, "v") == [{**one, "beside": None}, one, one, one]
    assert ask(shared, inside_tab.LOOK_SECOND, {**one, "nonce": 1}, "s", 7) == {**one, "beside": second}
    assert ask(shared, inside_tab.LOOK_SECOND, {**one, "beside": second, "nonce": 1}, "", None) == {
        **one,
        "beside": None,
    }
    patched = ask(shared, inside_tab.LOOK_PATCHED, "r", 5, "A", "B", "a", "b", "v")
    prompts = {"clean prompt": "A", "corrupted prompt": "B", "clean answer": "a", "corrupted answer": "b"}
    assert patched == {"visitor": "v", "run": "r", "step": 5, **prompts}


def test_every_question_is_a_new_one(shared: Any) -> None:
    """So that pressing the button again asks again."""
    times = shared.evaluate("() => [1, 2].map(() => Playground.question('v', 'r', {}).nonce)")
    assert times[0] != times[1]


def test_opening_the_attention_tab_leaves_a_guided_reading_that_goes_on_there(shared: Any) -> None:
    asked = {"visitor": "v", "run": "r", "text": "text", "special": True}
    reading = {**asked, "reading": {"title": "t", "stages": []}}
    opening = attention_tab.LOOK_ON_OPENING
    assert ask(shared, opening, "r", "text", True, "v", {**reading, "nonce": 1}) == reading
    assert ask(shared, opening, "r", "other", True, "v", {**reading, "nonce": 1}) == {**asked, "text": "other"}
    assert ask(shared, opening, "s", "text", True, "v", {**reading, "nonce": 1}) == {**asked, "run": "s"}
    assert ask(shared, opening, "r", "text", True, "v", {**asked, "nonce": 1}) == asked
    assert ask(shared, opening, "r", "text", False, "v", None) == {**asked, "special": False}
    assert ask(shared, attention_tab.LOOK, "r", "text", True, "v") == asked


def test_a_new_subject_is_announced_at_once_and_the_latest_sentence_of_one_is_never_lost(page: Any) -> None:
    page.clock.install()
    page.set_content("<!doctype html><body></body>")
    page.add_script_tag(content=shared_script())
    page.evaluate("() => { window.announce = Playground.announcer(document.body); }")

    def announced(text: str, subject: str) -> str:
        page.evaluate("([text, subject]) => announce(text, subject)", [text, subject])
        return heard()

    def heard() -> str:
        return page.locator("[aria-live]").text_content()

    assert announced("A leads.", "first race") == "A leads."
    assert announced("B leads.", "first race") == "A leads."
    assert announced("B has won.", "first race") == "A leads."
    page.clock.fast_forward(10_000)
    assert heard() == "B has won."
    assert announced("C has won.", "second race") == "C has won."
    page.clock.fast_forward(60_000)
    assert heard() == "C has won."
