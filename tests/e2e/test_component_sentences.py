"""What components say, in the states that are easily forgotten: none, one, equal numbers, broken runs, no standard error."""

from __future__ import annotations

import json
import math
import struct
from base64 import b64encode
from typing import Any

import pytest

from playground.ui import scripts
from playground.ui.components import COMPONENTS

NO_PLOT = "<script>window.Plotly = { react: async (plot) => { plot.on = () => {}; } };</script>"


@pytest.fixture
def shown(page: Any) -> Any:
    """A function (component, value, answers of server functions) -> the component's text on a blank page.

    With `failures`, so many questions in all are answered by an error first. A list holds the answers to one question after
    the other. Each answer takes `delay` milliseconds.
    """

    def show(name: str, value: Any, failures: int = 0, delay: int = 0, **answers: Any) -> str:
        page.goto("about:blank")  # a page has one import map
        modules = scripts.import_map(f"components/{name}.js")
        host = f"<div id='host'>{COMPONENTS[name].template}</div>"
        page.set_content(f"<!doctype html><head>{NO_PLOT}{modules}</head><body>{host}</body>")
        page.evaluate(
            """async ([name, value, answers, failures, delay]) => {
                const { mount } = await import(`playground/components/${name}.js`);
                const functions = Object.entries(answers).map(([name, answer]) => [name, async () => {
                    if (delay) await new Promise((done) => setTimeout(done, delay));
                    if (failures-- > 0) throw new Error("HTTP 500");
                    return Array.isArray(answer) ? answer.shift() : answer;
                }]);
                const props = { value };
                mount({
                    element: document.getElementById("host"), props, trigger() {},
                    watch: (name, changed) => (window.ask = (value) => {
                        props.value = value;
                        changed();
                    }),
                    server: Object.fromEntries(functions),
                });
            }""",
            [name, value, answers, failures, delay],
        )
        page.wait_for_timeout(30)
        return str(page.locator("#host").inner_text())

    return show


def a_run(name: str, losses: dict[int, float], state: str = "finished", **more: Any) -> dict[str, Any]:
    validation = {"step": list(losses), "loss": list(losses.values()), "loss_se": [None] * len(losses)}
    return {
        "id": name, "name": name, "model": "Custom", "state": state, "reset": True, "corpus": "Tales", "text": "t",
        "tokens": "same", "tokenizer_id": more.get("tokens", "same"), "documents": "joined",
        "bits_per_nat": 1.4, "tokenizer": "bytes", "steps": 100, "step": max(losses, default=0),
        "train": {}, "validation": validation, **more,
    }  # fmt: skip


def unequal(name: str, losses: dict[int, float]) -> dict[str, Any]:
    """A run with a tokenizer of its own."""
    run = a_run(name, losses, tokens=name)
    run["validation"]["bits_per_byte"] = list(losses.values())
    return run


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([a_run("A", {10: 2.5})], "Choose a second run to compare with."),
        ([a_run("A", {10: 2.5}), a_run("B", {10: 9.0}, "diverged")], "Fewer than two of these runs have a final validation"),
        ([a_run("A", {10: 2.5}), a_run("B", {}, "stopped")], "Fewer than two of these runs have a final validation loss."),
        ([a_run("A", {10: 2.5}), a_run("B", {}, "queued")], "Waiting for the evaluation on validation text."),
        ([a_run("A", {10: 2.5}), a_run("B", {10: 2.5})], "A and B have the same validation loss: 2.500 nats per token."),
        ([a_run("A", {10: 2.50001}), a_run("B", {10: 2.50002})], "B: 2.50001 against 2.50002"),
        ([a_run("A", {10: 2.3}), a_run("B", {10: 2.5})], "At step 10, the last at which all were evaluated, A has"),
        (
            [a_run("A", {0: 5.0, 100: 2.9, 200: 2.0}), a_run("B", {0: 5.0, 100: 3.0, 150: 1.0})],
            "At step 100, the last at which all were evaluated, A has the lowest validation loss: 2.900 against 3.000",
        ),
        (
            [unequal("A", {0: 5.0, 1: 2.9}), unequal("B", {0: 5.0, 20: 3.0})],
            "At the end of each (A after 1 step, B after 20 steps), ",
        ),
        (
            [a_run("A", {0: 5.0, 90: 2.9}), a_run("B", {0: 5.0, 100: 3.0})],
            "cannot be ranked: there is no step after the start at which all were evaluated (A: last at step 90, B: last at "
            "step 100).",
        ),
        (
            [a_run("A", {10: 2.5}), a_run("B", {10: 2.4}, tokens="other", bits_per_nat=None)],
            "they use different tokenizers, and the tokenizer of B does not decode back to the text",
        ),
    ],
)  # fmt: skip
def test_the_sentence_below_compared_curves(shown: Any, runs: list[dict[str, Any]], words: str) -> None:
    text = shown("compare_chart", {"runs": [run["id"] for run in runs]}, curves={"runs": runs})
    if words.startswith("B: "):
        assert "A has the lowest validation loss: 2.50001 against 2.50002 nats per token for B." in text
    else:
        assert words in text


def within(error: float, **losses: float) -> list[dict[str, Any]]:
    runs = [a_run(name, {10: loss}) for name, loss in losses.items()]
    for run in runs:
        run["validation"]["loss_se"] = [error]
    return runs


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        (
            within(0.034, A=1.714, B=1.714),
            "A and B have the same validation loss: 1.714 ± 0.034 nats per token. ± is one standard error",
        ),
        (
            within(0.034, A=1.71, B=1.75),
            "the validation losses are within two standard errors of each other: 1.710 ± 0.034 for A and 1.750 ± 0.034 nats "
            "per token for B.",
        ),
        (
            within(0.01, C=2.5, B=1.7143, A=1.7141),
            "the two lowest validation losses are within two standard errors of each other: 1.7141 ± 0.010 for A and 1.7143",
        ),
        (within(0.01, A=1.71, B=1.75), "A has the lowest validation loss: 1.710 ± 0.010 against 1.750 ± 0.010"),
        (within(0.0, A=1.71, B=1.75), "A has the lowest validation loss: 1.710 ± 0.000 against"),
    ],
)  # fmt: skip
def test_no_run_is_the_lowest_within_the_errors(shown: Any, runs: list[dict[str, Any]], words: str) -> None:
    text = shown("compare_chart", {"runs": [run["id"] for run in runs]}, curves={"runs": runs})
    assert words in text
    assert ("has the lowest" in text) == ("has the lowest" in words)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"documents": "isolated"}, "per token are not comparable: documents are joined in A and isolated in B, so 2.50"),
        ({"tokenizer_id": "other"}, " bytes of this text with bytes of A and 0.96"),
        ({"tokenizer_id": "other", "tokenizer": "BPE 400"}, " bytes of this text with bytes and 0.96"),
        (
            {"tokenizer_id": "other", "tokenizer": "BPE 400", "documents": "separated"},
            "with BPE 400, and documents are joined in A and separated in B, so 2.50 and",
        ),
        ({}, "Their losses per token are not comparable: their documents end at different places, so 2.50 and"),
    ],
)  # fmt: skip
def test_why_losses_per_token_are_not_compared(shown: Any, more: dict[str, Any], words: str) -> None:
    runs = [
        a_run("A", {10: 2.5}),
        a_run("B", {10: 2.4}, **{"tokens": "other", "tokenizer_id": "same", "bits_per_nat": 1.5, **more}),
    ]
    for run in runs:
        run["validation"]["bits_per_byte"] = [loss * run["bits_per_nat"] for loss in run["validation"]["loss"]]
    assert words in shown("compare_chart", {"runs": ["A", "B"]}, curves={"runs": runs})


def test_losses_and_bits_are_those_of_the_step_that_is_ranked(shown: Any) -> None:
    """Not the last evaluation of the one that has trained longer."""
    runs = [unequal("A", {0: 5.0, 100: 2.9, 200: 2.0}), unequal("B", {0: 5.0, 100: 3.0})]
    runs[0]["state"] = "running"
    text = shown("compare_chart", {"runs": ["A", "B"]}, curves={"runs": runs})
    assert (
        "At step 100, the last at which all were evaluated, A has the lowest validation loss: 2.900 against 3.000"
        in text
    )
    assert "so at step 100 2.90 and 3.00 nats per token are 2.90 and 3.00 bits per byte." in text
    runs[0]["state"] = "finished"
    text = shown("compare_chart", {"runs": ["A", "B"]}, curves={"runs": runs})
    assert "so 2.00 and 3.00 nats per token are 2.00 and 3.00 bits per byte." in text


def test_equal_losses_make_neither_model_better(shown: Any) -> None:
    value = {
        "a": "A",
        "b": "B",
        "differs": [],
        "note": "",
        "spans": [["x", None, 1.0], ["y", 2.0, 2.0], ["z", 3.0, 1.0]],
    }
    text = shown("loss_compare", value)
    assert "A 5.0 nats, B 3.0 nats in total" in text, "only what both predict is added up"
    assert text.count("better by") == 1 and "B better by 2.00 nats" in text
    both = shown("loss_compare", {**value, "spans": [["x", None, None], ["y", 2.0, 2.0]]})
    assert "better by" not in both


def test_one_model_differs_from_none_and_an_ended_text_says_so(shown: Any) -> None:
    one = {"prompt": "p", "items": [{"name": "A", "role": "other", "tokens": [], "note": ""}], "differs": []}
    text = shown("side_by_side", one)
    assert "Same settings" not in text and "The model ended the text at once." in text
    two = {**one, "items": [*one["items"], {"name": "B", "role": "other", "tokens": [["x", 0.5]], "note": ""}]}
    assert "Same settings" in shown("side_by_side", two)


def test_the_last_position_of_a_row_is_no_input_of_the_next(shown: Any, page: Any) -> None:
    row = {"ids": [1, 2, 3], "pieces": ["a", "b", "c"], "loss": None, "counts": [True, False]}
    value = {"n_rows": 1, "title": "of it", "rows": [row], "note": "", "code": [], "batch": 1}
    text = shown("batch_view", json.loads(json.dumps(value)))
    assert "At position 1 the model has read 2 tokens, up to “b”. The target is “c”. This target is not counted" in text
    page.locator(".pg-shift-pick").first.click()
    text = page.locator("#host").inner_text()
    assert "has read 1 token, up to “a”. The target is “b”, which is the input of position 1." in text


def test_the_next_tokens_of_a_padded_vocabulary_have_the_models_own_probabilities(shown: Any) -> None:
    """Logits 0 and -ln 3 among the tokens, and ids that pad with half of all probability, each a quarter."""
    words = b64encode(struct.pack("<2H", 65_535, 0)).decode()
    value = {
        "labels": ["a", "b"], "logits": words, "low": -math.log(3), "high": 0.0, "by_id": "", "seen": [], "temperature": 0.0,
        "padding": {"p": 0.5, "entropy": 1.0}, "note": "Padded.",
    }  # fmt: skip
    text = shown("next_token", value)
    own = [0.375, 0.125, 0.25, 0.25]
    entropy = -sum(p * math.log2(p) for p in own)
    assert f"entropy {entropy:.2f} → 0.00 bits" in text and "Padded." in text


@pytest.mark.parametrize(
    ("run", "words", "bar"),
    [
        (a_run("A", {100: 2.5}, step=100), "step 100 of 100", True),
        (a_run("A", {}, "queued", waiting="number 2 in the queue"), "number 2 in the queue · step 0 of 100", True),
        (a_run("A", {}, step=0, message="Imported. There is no log.", imported=True), "no training log", False),
    ],
    ids=["trained", "waiting", "imported"],
)  # fmt: skip
def test_steps_are_said_of_what_was_trained_here(
    shown: Any, page: Any, run: dict[str, Any], words: str, bar: bool
) -> None:
    """A model that comes without a log has a number of steps, none of which is known."""
    run["train"] = {"step": [], "loss": []}
    shown("live_run", {"run": "A"}, curves={"runs": [run]}, band={"band": None})
    assert page.locator(".pg-live-line .pg-soft").inner_text() == words
    assert (page.locator(".pg-progress").get_attribute("hidden") is None) == bar
    chart = page.locator(".pg-tiles, [aria-label='Training curves'] > div:first-child")
    assert chart.evaluate_all("(all) => all.map((each) => each.hidden)") == [not bar, not bar]
    assert (page.locator(".pg-live-line strong").inner_text() == "Imported") == (not bar)


@pytest.mark.parametrize(
    ("step", "after"),
    [(100, ""), (9_601, ", at step\u00a0100"), (99, ", at step\u00a0100")],
    ids=["now", "later", "logged late"],
)
def test_tiles_say_of_which_step_an_earlier_evaluation_is(shown: Any, page: Any, step: int, after: str) -> None:
    run = a_run("A", {0: 5.54, 100: 2.5}, "running", step=step)
    run |= {"steps": 100_000, "train": {"step": [50], "loss": [2.6], "grad_norm": [1.0]}}
    run["validation"] |= {"loss_se": [None, 0.01], "bits_per_byte": [7.9, 3.6]}
    shown("live_run", {"run": "A"}, curves={"runs": [run]}, band={"band": None})
    assert page.locator(".pg-tile .pg-unit").all_inner_texts() == [
        "nats/token, smoothed", f"nats/token, ± 0.010 (s.e.){after}", f"exp of the validation loss{after}",
        f"of validation text{after}", "L2, last step",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("runs", "words"),
    [
        ([a_run("A", {10: 1.71}), a_run("B", {10: 1.75})], "The log of A and of B has no standard error, so a small"),
        (
            [*within(0.01, A=1.71), a_run("B", {10: 1.75})],
            "The log of B has no standard error, so a small difference may",
        ),
        (within(0.01, A=1.71, B=1.75), ""),
    ],
)
def test_a_loss_without_a_standard_error_is_said_to_have_none(
    shown: Any, runs: list[dict[str, Any]], words: str
) -> None:
    text = shown("compare_chart", {"runs": [run["id"] for run in runs]}, curves={"runs": runs})
    assert words in text
    assert ("has no standard error" in text) == bool(words)
    assert ("± is one standard error" in text) == any(run["validation"]["loss_se"][0] is not None for run in runs)


RACE = {
    "id": "r", "state": "running", "message": "", "steps": [5], "states": "r", "cursor": "c", "rows": [],
    "head": {
        "name": "R", "reference": False, "notes": "", "seeds": [0], "differs": [], "matched": "steps", "families": [],
        "conditions": "Two arms.", "arms": [{
            "name": "A", "role": "classic", "short": "A", "steps": 10, "tokens_per_step": 1, "flops_per_token": 1,
            "parameters": 1, "bits_per_nat": None, "tokens": "t", "text": "t", "solved": "", "runs": ["a"],
        }],
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "failures", "answers", "after"),
    [
        ("race_view", {"race": "r"}, 1, {"race": RACE}, "Training · 50 % done"),
        ("live_run", {"run": "A"}, 2, {"curves": {"runs": [a_run("A", {100: 2.5})]}, "band": {"band": None}}, "2.50"),
        ("compare_chart", {"runs": ["A"]}, 1, {"curves": {"runs": [a_run("A", {100: 2.5})]}}, "Choose a second run"),
    ],
    ids=["race", "run", "runs"],
)  # fmt: skip
def test_a_view_that_got_no_answer_says_so_and_asks_again(
    shown: Any, page: Any, name: str, value: Any, failures: int, answers: Any, after: str
) -> None:
    assert "The server did not answer. Trying again…" in shown(name, value, failures, **answers)
    page.locator("#host", has_text=after).wait_for(timeout=5000)
    assert not page.locator("#host .pg-alert", has_text="did not answer").is_visible()


def a_lens(name: str, tokens: str, p: float) -> dict[str, Any]:
    """Of a model without layers that gives every token the same probability."""
    numbers = {"entropy": [1.0] * len(tokens), "divergence": [0.0] * len(tokens)}
    depth = {"top": [[["x", p]]] * len(tokens), "actual": [*[p] * (len(tokens) - 1), None], **numbers}
    return {"name": name, "tokens": list(tokens), "depths": [depth], "note": ""}


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("one two", "one two", "B · step 2 predicts this text better: by 1.00 bits per token on average."),
        ("one two", "two", "reads 7 and B · step 2 3 of the tokens; only 2 tokens that both predict are compared."),
        ("two", "one two", "reads 3 and B · step 2 7 of the tokens; only 2 tokens that both predict are compared."),
        ("two", "o", "One token: nothing to compare."),
        ("one two", "One two", "The two use different tokens, so bits per token are not comparable."),
    ],
)  # fmt: skip
def test_a_shorter_context_does_not_make_tokens_different(
    shown: Any, page: Any, first: str, second: str, words: str
) -> None:
    value = {"run": "A", "step": 1, "text": "one two", "second": {"run": "B", "step": 2}, "nonce": 1}
    text = shown("lens_view", value, lens=[a_lens("A", first, 0.25), a_lens("B", second, 0.5)])
    assert words in text
    if "compared" in words:
        page.locator(".pg-token-flow").first.locator(".pg-token").last.click()
        chosen = page.locator(".pg-token-chosen")
        assert chosen.all_inner_texts() == ["o", "o"]
        page.locator(".pg-token-flow").first.locator(".pg-token").nth(len(first) - 3).click()
        assert chosen.all_inner_texts() == ["t", "t"]


ABLATED = {
    "loss": 2.0, "change": 0.1, "standard_error": 0.01, "n_tokens": 9, "n_windows": 3, "next": [], "before": "",
    "after": "", "note": "",
}  # fmt: skip


def test_another_replacement_ends_the_ranking_under_way(shown: Any, page: Any) -> None:
    errors: list[Any] = []
    page.on("pageerror", lambda error: errors.append(error))
    heads = [[0, "head", head] for head in range(20)]
    value = {"run": "A", "step": 1, "text": "one two", "nonce": 1}
    shown("causes", value, delay=100, parts={"n_layer": 1, "n_head": 20, "parts": heads}, ablate=ABLATED)
    rank, card = page.locator(".pg-causes-bar button").last, page.locator("[aria-label='Parts measured']")
    rank.click(timeout=5000)
    page.locator(".pg-ranking li").first.wait_for(timeout=5000)
    page.get_by_text("Mean", exact=True).click()
    page.wait_for_timeout(250)  # the answer that was on its way has come
    assert errors == []
    assert rank.inner_text() == "Rank all parts" and not card.is_visible()
    assert "parts measured" not in page.locator("#host").inner_text()
    rank.click()
    page.locator(".pg-ranking li").first.wait_for(timeout=5000)
    rank.click()  # Stop: what was measured stays, and says how much it is
    page.wait_for_timeout(250)
    assert rank.inner_text() == "Rank all parts"
    assert "of 20 parts measured." in page.locator("#host").inner_text()


@pytest.mark.parametrize(
    ("name", "root", "function", "answer", "shows", "error"),
    [
        ("lens_view", "pg-lens", "lens", a_lens("A", "one", 0.25), "perplexity of 4", {"error": "Not to be had."}),
        ("causes", "pg-causes", "ablate", ABLATED, "Loss 2.000 nats", {"error": "Not to be had."}),
        (
            "probes", "pg-probes", "probes", {"labels": [], "depths": [], "note": ""}, "No label has enough tokens",
            {"error": "Not to be had."},
        ),
    ],
)  # fmt: skip
def test_an_error_is_not_shown_above_the_answer_to_another_question(
    shown: Any, page: Any, name: str, root: str, function: str, answer: Any, shows: str, error: Any
) -> None:
    value = {"run": "A", "step": 1, "text": "one", "second": None, "nonce": 1}
    parts = {"n_layer": 1, "n_head": 1, "parts": [[0, "head", 0]]}
    assert shows in shown(name, value, parts=parts, **{function: [answer, error, None, answer]})
    for other in ({"run": "B"}, {"run": "C"}):
        page.evaluate("(value) => ask(value)", {**value, **other})
        page.locator(".pg-alert-bad").wait_for(timeout=5000)
        assert shows not in page.locator("#host").inner_text()
    page.evaluate("(value) => ask(value)", value)
    page.locator("#host", has_text=shows).wait_for(timeout=5000)
    assert page.locator(".pg-waiting").count() == 0


def test_a_part_that_could_not_be_measured_again_stays_dimmed(shown: Any, page: Any) -> None:
    value = {"run": "A", "step": 1, "text": "one", "nonce": 1}
    parts = {"n_layer": 1, "n_head": 1, "parts": [[0, "head", 0]]}
    shown("causes", value, parts=parts, ablate=[ABLATED, {"error": "Not to be had."}, ABLATED])
    page.locator(".pg-switch").click()
    page.locator(".pg-alert-bad", has_text="Not to be had.").wait_for(timeout=5000)
    assert page.locator(".pg-waiting", has_text="Loss 2.000").is_visible()
    page.locator(".pg-switch").click()
    page.locator(".pg-alert-bad").wait_for(state="hidden", timeout=5000)
    assert page.locator(".pg-waiting").count() == 0


def test_a_race_that_cannot_be_shown_leaves_nothing_of_the_one_before(shown: Any, page: Any) -> None:
    shown("race_view", {"race": "r", "nonce": 1}, race=[RACE, *[{"error": "There is no such race."}] * 9])
    page.locator("#host", has_text="Training · 50 % done").wait_for(timeout=5000)
    page.evaluate("(value) => ask(value)", {"race": "other", "nonce": 2})
    page.locator("#host [role=alert]", has_text="There is no such race.").wait_for(timeout=5000)
    assert page.locator("#host").inner_text().strip() == "There is no such race."


@pytest.mark.parametrize(
    ("name", "field", "answers"),
    [
        ("race_view", "race", {"race": RACE}),
        ("live_run", "run", {"curves": {"runs": [a_run("r", {100: 2.5})]}, "band": {"band": None}}),
    ],
)
def test_only_what_the_visitor_chose_scrolls_a_narrow_page(
    shown: Any, page: Any, name: str, field: str, answers: Any
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(reduced_motion="reduce")
    shown(name, {field: "", "nonce": 1}, **answers)
    page.evaluate(
        "document.getElementById('host').style.paddingTop = document.getElementById('host').style.paddingBottom = '2000px'"
    )
    page.evaluate("(value) => ask(value)", {field: "r", "nonce": 2, "arrived": True})
    page.locator(".pg-race-facts, .pg-live-line strong").first.wait_for(timeout=5000)
    assert page.evaluate("scrollY") == 0
    page.evaluate("(value) => ask(value)", {field: "other", "nonce": 3})
    page.wait_for_function("scrollY > 1000", timeout=5000)
