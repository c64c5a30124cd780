"""What the Attention and Inside tabs ask the server, against the log and the models themselves."""

from __future__ import annotations

import base64
import io
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from playground.interp.ablation import Part, continuation, effect, probe
from playground.interp.attention import attention_patterns
from playground.interp.heads import head_scores, letters_of, repeated_tokens
from playground.interp.patching import patching
from playground.runs.store.log import Tail
from playground.runs.texts import dataset
from playground.train.evaluation import evaluate
from playground.ui import endpoints
from playground.ui.app import build_app
from playground.ui.inside import attention_endpoints, inside_endpoints
from playground.ui.inside.guided_tours import READINGS
from tests.ui.conftest import MakeRun

ENDPOINTS = [
    attention_endpoints.attention, endpoints.timeline, inside_endpoints.lens, inside_endpoints.heads, inside_endpoints.parts,
    inside_endpoints.ablate, inside_endpoints.head_by_hand, inside_endpoints.patch,
]  # fmt: skip
LOOKS = [
    attention_endpoints.attention,
    inside_endpoints.lens,
    inside_endpoints.heads,
    inside_endpoints.ablate,
    inside_endpoints.head_by_hand,
]  # that need a text
VIEWS = {
    "attention-grid",
    *(f"inside-{name}" for name in ("lens", "heads", "causes", "patching", "hand")),
    *(f"inside-{name}" for name in ("experts", "embeddings", "positions", "probes", "meaning")),
}


def test_a_timeline_tells_the_saved_steps_and_the_losses_of_the_log(local, make_run: MakeRun):
    run = make_run()
    answer = endpoints.timeline(local, {"run": run.id})
    assert answer["steps"] == [0, 2, 7, 10, 20] == run.steps_available()
    assert answer["last"] == 20
    assert answer["live"] is False
    rows = list(Tail(run.log).rows())
    trained = {row["step"]: row["loss"] for row in rows if row["event"] == "StepDone"}
    (first,) = [row["loss"] for row in rows if row["event"] == "Evaluated" and row["step"] == 0]
    assert answer["curve"]["step"] == [0, *range(1, 21)]
    assert answer["curve"]["loss"][0] == pytest.approx(first, rel=1e-3)
    assert answer["curve"]["loss"][1:] == pytest.approx([trained[step] for step in range(1, 21)], rel=1e-3)


def test_every_step_of_a_timeline_shows_the_attention_of_that_step(local, make_run: MakeRun):
    run, text = make_run(), "the cat sat on"
    ids = [int(token) for token in run.tokenizer.encode(text)]
    sprites = []
    for step in endpoints.timeline(local, {"run": run.id})["steps"]:
        answer = attention_endpoints.attention(local, {"run": run.id, "step": step, "text": text})
        grey = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["png"]))))
        shown = (grey.reshape(2, 14, 4, 14).transpose(0, 2, 1, 3) / 255.0) ** 2
        assert np.abs(shown - attention_patterns(local.models.get(run, step), ids)).max() < 0.005
        sprites.append(answer["png"])
    assert len(set(sprites)) == len(sprites), "training moves the heads"


def test_of_a_long_text_one_layer_is_sent_at_a_time(local, make_run: MakeRun, monkeypatch):
    monkeypatch.setattr(attention_endpoints, "SPRITE_PIXELS", 2 * 4 * 14**2 - 1)
    run, text = make_run(), "the cat sat on"
    whole = attention_patterns(local.models.get(run), [int(token) for token in run.tokenizer.encode(text)])
    for asked, layer in ((1, 1), (0, 0), (7, 0), (None, 0)):
        answer = attention_endpoints.attention(local, {"run": run.id, "text": text, "layer": asked})
        grey = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["png"]))))
        assert answer["layers"] == [layer]
        assert np.abs((grey.reshape(14, 4, 14).transpose(1, 0, 2) / 255.0) ** 2 - whole[layer]).max() < 0.005


@pytest.mark.parametrize("variant", [{"window": 8, "n_sink": 2}, {"window": 8, "global_every": 2}])
def test_windows_are_told_by_layer(local, make_run: MakeRun, variant):
    run = make_run(**variant)
    answer = attention_endpoints.attention(local, {"run": run.id, "text": "the cat"})
    assert answer["windows"] == list(run.model.windows)
    assert answer["n_sink"] == run.model.n_sink


def test_a_lens_ends_with_what_the_model_says(local, make_run: MakeRun):
    run, text = make_run(), "the cat sat"
    answer = inside_endpoints.lens(local, {"run": run.id, "step": 20, "text": text})
    ids = run.tokenizer.encode(text)
    with torch.inference_mode():
        p = local.models.get(run, 20)(torch.from_numpy(ids.astype(np.int64))[None])[0].softmax(-1)
    assert answer["tokens"] == list(text)
    assert len(answer["depths"]) == 3
    last = answer["depths"][-1]
    for t in range(len(text)):
        best = p[t].topk(5)
        assert [odds for _, odds in last["top"][t]] == pytest.approx(best.values.tolist(), abs=2e-4)
        assert last["top"][t][0][0] == run.tokenizer.token_bytes(int(best.indices[0])).decode(errors="replace")
        assert last["divergence"][t] == 0
    follows = [p[t, int(ids[t + 1])].item() for t in range(len(text) - 1)]
    assert last["actual"][:-1] == pytest.approx(follows, rel=1e-3)
    assert last["actual"][-1] is None
    json.dumps(answer, allow_nan=False)


def test_scores_of_heads_are_those_of_the_model(local, make_run: MakeRun):
    run = make_run()
    answer = inside_endpoints.heads(local, {"run": run.id, "step": 7, "text": "the cat sat"})
    letters = list(range(ord("a"), ord("z") + 1))
    assert letters_of(run.tokenizer) == letters
    expected = head_scores(
        local.models.get(run, 7),
        repeated_tokens(letters, 32),
        [int(token) for token in run.tokenizer.encode("the cat sat")],
    )
    assert [score["id"] for score in answer["scores"]] == list(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(answer["values"][name], values, rtol=1e-4)
    json.dumps(answer, allow_nan=False)


def test_a_part_switched_off_changes_loss_next_token_and_continuation(local, make_run: MakeRun):
    run = make_run()
    assert inside_endpoints.parts(local, {"run": run.id})["parts"][:2] == [(0, "head", 0), (0, "head", 1)]
    asked = {"run": run.id, "step": 20, "text": "the cat", "parts": [[0, "head", 2], [1, "mlp", -1]]}
    answer = inside_endpoints.ablate(local, asked)
    model, data = local.models.get(run, 20), dataset(run, None)
    off = [Part(0, "head", 2), Part(1, "mlp")]
    found = effect(model, probe(model, data, 4_000), off)
    assert answer["change"] == pytest.approx(found.change, rel=1e-3)
    assert answer["standard_error"] == pytest.approx(found.error, rel=1e-3)
    whole, *_ = evaluate(model, data.validation, None, 4_000)
    assert answer["loss"] == pytest.approx(whole, rel=1e-4)
    without = continuation(model, list(b"the cat"), off, None, 48)
    assert answer["after"] == bytes(without.ids).decode("utf-8", errors="replace")
    assert len(answer["before"]) <= 26, "a continuation stays within the context"
    for piece, _, q in answer["next"]:
        assert q == pytest.approx(without.probabilities[ord(piece)], rel=1e-3)
    mean = inside_endpoints.ablate(local, {**asked, "how": "mean"})
    assert mean["change"] != answer["change"]
    assert inside_endpoints.ablate(local, {**asked, "parts": []})["change"] == 0
    json.dumps(answer, allow_nan=False)


def test_patches_are_those_of_the_model_and_answers_are_tokens(local, make_run: MakeRun):
    run = make_run()
    asked = {"run": run.id, "step": 20, "clean prompt": "the cat sat", "corrupted prompt": "the dog sat"}
    named = {**asked, "clean answer": " on", "corrupted answer": "s"}
    answer = inside_endpoints.patch(local, named)
    found = patching(local.models.get(run, 20), list(b"the cat sat"), list(b"the dog sat"), (ord(" "), ord("s")))
    np.testing.assert_allclose(answer["residual"], found.residual, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(answer["heads"], found.heads, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(answer["mlps"], found.mlps, rtol=1e-3, atol=1e-4)
    assert answer["answers"] == [" ", "s"]
    assert "".join(answer["tokens"]) == "the cat sat"
    assert "".join(answer["others"]) == "the dog sat"
    json.dumps(answer, allow_nan=False)
    free = inside_endpoints.patch(local, asked)
    assert len(set(free["answers"])) == 2
    assert free["clean"] > free["corrupted"], "each answer is the one that its prompt favours"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"clean prompt": ""}, "The clean prompt is empty."),
        ({"corrupted prompt": None}, "The corrupted prompt is empty."),
        (
            {"corrupted prompt": "the cats sat"},
            "The clean prompt has 11 tokens, the corrupted one 12. Make them equally",
        ),
        ({"corrupted prompt": "the cat sat"}, "The two prompts are the same tokens."),
        ({"corrupted answer": " x"}, "Both prompts have the same answer"),
        ({"step": 7777}, "There are no weights of step 7777"),
    ],
)
def test_what_cannot_be_patched_is_answered_with_a_sentence(local, make_run: MakeRun, changes, complaint):
    asked = {
        "run": make_run().id, "clean prompt": "the cat sat", "corrupted prompt": "the dog sat", "clean answer": " on",
        "corrupted answer": "s",
    }  # fmt: skip
    assert complaint in inside_endpoints.patch(local, {**asked, **changes})["error"]


@pytest.mark.parametrize("variant", [{}, {"position": "alibi"}, {"window": 8, "n_sink": 2}, {"sink_logit": "learned"}])
def test_a_head_by_hand_ends_in_what_the_attention_tab_shows(local, make_run: MakeRun, variant):
    run, text = make_run(**variant), "the cat sat on the mat"
    asked = {"run": run.id, "step": 20, "text": text, "layer": 1, "head": 2, "position": 15, "key": 3}
    answer = inside_endpoints.head_by_hand(local, asked)
    patterns = attention_patterns(local.models.get(run, 20), [int(token) for token in run.tokenizer.encode(text)])
    weights = [weight for *_, weight in answer["rows"]]
    np.testing.assert_allclose(weights, patterns[1, 2, 15], atol=1e-4)
    assert (answer["layer"], answer["head"], answer["position"], answer["key"]) == (1, 2, 15, 3)
    assert answer["rows"][3][0] == pytest.approx(np.dot(answer["query"], answer["key_vector"]), rel=1e-3, abs=1e-4)
    assert answer["top"][0][0] == int(np.argmax(weights))
    wild = inside_endpoints.head_by_hand(local, {**asked, "layer": 99, "head": None, "position": "x", "key": -1})
    assert (wild["layer"], wild["head"], wild["position"]) == (0, 0, 21)
    json.dumps(answer, allow_nan=False)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"parts": [[9, "mlp", -1]]}, "Layer 10 is not there: this model has 2."),
        ({"parts": [[0, "head", 4]]}, "Head 5 is not there: a layer has 4."),
        ({"parts": [["0", "head", 1]]}, "This part does not exist in the model."),
        ({"parts": [[0, "soul", 1]]}, "This part does not exist in the model."),
        ({"parts": [5]}, "This part does not exist in the model."),
        ({"how": "gone"}, "by zero or by its mean"),
    ],
)
def test_parts_that_are_not_there_are_refused(local, make_run: MakeRun, changes, complaint):
    asked = {"run": make_run().id, "text": "x", "parts": [[0, "head", 0]], **changes}
    assert complaint in inside_endpoints.ablate(local, asked)["error"]


def test_a_text_longer_than_the_context_loses_its_beginning_and_the_answer_says_so(local, make_run: MakeRun):
    answer = attention_endpoints.attention(local, {"run": make_run().id, "text": "x" + "y" * 32})
    assert answer["note"] == "The text has 33 tokens; the model reads the last 32."
    assert answer["tokens"] == ["y"] * 32


HOSTILE = ["\x00\x07\u202e", "${window.pwned=1} {{x}}", "<img src=x onerror=alert(1)>", "\ud800 half a pair", "é😀"]


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_any_text_is_looked_at_or_refused_in_a_sentence(local, make_run: MakeRun, text):
    run = make_run()
    for endpoint in ENDPOINTS:
        answer = endpoint(local, {"run": run.id, "text": text})
        assert "error" not in answer or answer["error"].endswith(".")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"text": ""}, "The text is empty. Write a sentence to analyze."),
        ({"text": "x" * 20_001}, "20,001 characters; the limit here is 20,000"),
        ({"step": 7777}, "There are no weights of step 7777"),
        ({"run": "0" * 32}, "Run not found."),
    ],
)
def test_what_cannot_be_looked_at_is_answered_with_a_sentence(local, make_run: MakeRun, changes, complaint):
    asked = {"run": make_run().id, "step": 20, "text": "the cat", **changes}
    for endpoint in LOOKS:
        assert complaint in endpoint(local, asked)["error"]


def test_checkpoints_that_vanish_or_break_are_answered_with_a_sentence(local, make_run: MakeRun):
    run = make_run()
    shutil.rmtree(run.path / "snapshots" / "step_00000007")
    weights = run.path / "snapshots" / "step_00000002" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert 7 not in endpoints.timeline(local, {"run": run.id})["steps"]
    for endpoint in LOOKS:
        gone = endpoint(local, {"run": run.id, "step": 7, "text": "the cat"})["error"]
        assert gone.startswith("There are no weights of step 7. The newest there are:")
        broken = endpoint(local, {"run": run.id, "step": 2, "text": "the cat"})["error"]
        assert "step 2" in broken
        assert broken.endswith(".")
        assert "error" not in endpoint(local, {"run": run.id, "step": 20, "text": "the cat"})


def test_questions_of_any_shape_get_a_sentence(local):
    for endpoint in ENDPOINTS:
        for question in (None, 5, [], {}, {"run": 7, "step": [], "text": {}}):
            assert endpoint(local, question) == {"error": "Run not found."}


def test_a_strangers_run_is_not_looked_at(local, make_run: MakeRun):
    from dataclasses import replace

    run = make_run()
    for endpoint in ENDPOINTS:
        asked = {"run": run.id, "text": "the cat", "visitor": "f" * 32}
        assert endpoint(replace(local, public=True), asked) == {"error": "Run not found."}


def test_a_question_is_made_in_the_page(local):
    """Two requests on their way could overtake each other, and the view would then show what was asked first."""
    demo = build_app(local)
    views = {block._id for block in demo.blocks.values() if block.elem_id in VIEWS}
    assert len(views) == len(VIEWS)
    events = [event for event in demo.fns.values() if views & {block._id for block in event.outputs}]
    on_server, in_page = ([event for event in events if (event.fn is None) is alone] for alone in (False, True))
    assert len(on_server) == len(READINGS), "a guided tour brings the list of runs along"
    assert len(in_page) > 10
    assert all(event.js for event in in_page)
