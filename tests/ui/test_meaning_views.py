"""What the views on experts and meaning ask the server, against the labs and the models themselves."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from playground.config import TrainConfig, preset
from playground.data.documents import Text
from playground.data.tales import tales
from playground.interp.activations import text_windows
from playground.interp.embeddings import cosines, principal_axes
from playground.runs.texts import dataset
from playground.tokenizers import build_tokenizer
from playground.ui.inside import experts_endpoints, semantics_endpoints
from tests.ui.conftest import MakeRun

ENDPOINTS = [
    experts_endpoints.experts, experts_endpoints.routes, semantics_endpoints.embeddings, semantics_endpoints.near,
    semantics_endpoints.analogies, semantics_endpoints.positions, semantics_endpoints.probes, semantics_endpoints.search,
    semantics_endpoints.similar,
]  # fmt: skip
ASKED = {
    "step": 20, "anchor": 20, "text": "the cat", "name": "a", "a": "a", "b": "t", "c": "o", "expected": "e",
    "query": "the cat sat", "lines": "the cat\nthe dog",
}  # fmt: skip


@pytest.mark.parametrize("active", [1, 2])
def test_experts_are_told_as_the_router_decides(local, make_run: MakeRun, active):
    run = make_run("mixture", n_expert_active=active)
    answer = experts_endpoints.experts(local, {"run": run.id, "step": 20})
    load = np.array(answer["load"])
    assert load.shape == (2, 4)
    np.testing.assert_allclose(load.sum(1), 1, atol=1e-3)
    assert np.all((np.array(answer["effective"]) >= 1) & (np.array(answer["effective"]) <= 4.001))
    assert answer["kinds"][0][0] == "letter"
    np.testing.assert_allclose(np.array(answer["table"]).sum(-1), 1, atol=1e-3)
    for layer in answer["information"]:
        assert 0 <= layer["kind"]["bits"] <= layer["token"]["bits"] + 1e-9 <= layer["expert"] + 2e-3
    brief = experts_endpoints.experts(local, {"run": run.id, "step": 20, "brief": True})
    assert brief["load"] == answer["load"]
    assert "table" not in brief
    sent = experts_endpoints.routes(local, {"run": run.id, "step": 20, "text": "the cat sat"})
    assert np.array(sent["chosen"]).shape == np.array(sent["odds"]).shape == (2, 11, active)
    assert "".join(sent["tokens"]) == "the cat sat"
    json.dumps([answer, sent], allow_nan=False)


def test_a_dense_run_is_told_what_to_do(local, make_run: MakeRun):
    run = make_run()
    assert experts_endpoints.experts(local, {"run": run.id, "step": 20}) == {"n_expert": 1}
    answer = experts_endpoints.routes(local, {"run": run.id, "step": 20, "text": "the cat"})
    assert answer["error"].startswith("This model is dense")
    assert answer["error"].endswith("preset Mixture.")


def test_the_map_is_the_projection_of_the_embeddings(local, make_run: MakeRun):
    run = make_run()
    asked = {"run": run.id, "anchor": 20, "what": "tokens", "axes": "fixed"}
    first, last = (semantics_endpoints.embeddings(local, {**asked, "step": step}) for step in (0, 20))
    seen = sorted(set(dataset(run, None).validation.tolist()))
    assert sorted(ord(name) for name in last["names"]) == seen
    assert first["names"] == last["names"], "the same points at every step, so that they can move"
    matrices = [local.models.get(run, step).embed.weight.double().numpy() for step in (0, 20)]
    ids = [ord(name) for name in last["names"]]
    axes = principal_axes(matrices[1][ids])
    np.testing.assert_allclose(last["points"], axes.place(matrices[1][ids]), rtol=2e-3, atol=1e-4)
    np.testing.assert_allclose(first["points"], axes.place(matrices[0][ids]), rtol=2e-3, atol=1e-4)
    np.testing.assert_allclose(last["shares"], axes.shares, rtol=2e-3)
    own = semantics_endpoints.embeddings(local, {**asked, "step": 0, "axes": "own"})
    assert sum(own["shares"]) > sum(first["shares"]), "a step's own axes hold most of its variance"
    near = semantics_endpoints.near(local, {**asked, "step": 20, "name": "a"})
    expected = cosines(matrices[1][[ord("a")]], matrices[1][ids])[0]
    assert near["near"][0][1] == pytest.approx(np.sort(expected)[-2], abs=1e-3)
    json.dumps([first, near], allow_nan=False)


def test_words_have_vectors_at_every_depth(local, make_run: MakeRun):
    run = make_run()
    asked = {"run": run.id, "step": 20, "anchor": 20, "what": "words"}
    answer = semantics_endpoints.embeddings(local, asked)
    assert {"the", "cat", "sat"} <= set(answer["names"])
    text = bytes(int(t) for t in text_windows(dataset(run, None).validation, 32, 32_000).ravel())
    assert dict(zip(answer["names"], answer["counts"], strict=True))["cat"] <= text.count(b"cat")
    given = dict(zip(("a", "b", "c", "expected"), answer["names"], strict=False))
    solved = semantics_endpoints.analogies(local, {**asked, **given})
    assert 1 <= solved["rank"] <= solved["of"]
    names = [name for name, _ in solved["ranked"]]
    assert names.index(given["expected"]) == solved["rank"] - 1 if solved["rank"] <= len(names) else True
    assert solved["test"] is None


@pytest.mark.parametrize(
    ("position", "extra"),
    [("rope", "frequencies"), ("learned", "similarity"), ("sinusoidal", "similarity"), ("alibi", "slopes"), ("none", "at")],
)  # fmt: skip
def test_positions_of_every_scheme_are_shown(local, make_run: MakeRun, position, extra):
    answer = semantics_endpoints.positions(local, {"run": make_run(position=position).id, "step": 20})
    assert answer["scheme"] == position
    assert answer[extra]
    assert (answer["similarity"] is None) == (position in ("alibi", "none"))
    json.dumps(answer, allow_nan=False)


@pytest.mark.slow
def test_probes_name_what_they_could_not_measure(local, make_run: MakeRun, monkeypatch):
    monkeypatch.setattr("tests.ui.conftest.TEXT", tales(60_000))
    answer = semantics_endpoints.probes(local, {"run": make_run().id, "step": 20})
    assert answer["depths"] == ["embedding", "layer 1", "layer 2"]
    (kind,) = [label for label in answer["labels"] if label["id"] == "kind"]
    assert kind["real"][0][0] > 0.97, "what a token is stands in its embedding"
    assert kind["real"][0][0] > kind["shuffled"][0][0] + 0.1
    assert {label["id"] for label in answer["labels"]} >= {"kind", "word"}
    json.dumps(answer, allow_nan=False)


def test_a_search_finds_the_passage_that_was_typed(local, make_run: MakeRun, monkeypatch):
    monkeypatch.setattr("tests.ui.conftest.TEXT", tales(60_000))
    run = make_run(block_size=64)
    asked = {"run": run.id, "step": 20, "query": "the cat sat"}
    passage = semantics_endpoints.search(local, asked)["ngrams"][3][0]
    answer = semantics_endpoints.search(local, {**asked, "query": passage})
    assert answer["model"][0][0] == answer["ngrams"][0][0] == passage
    assert answer["ngrams"][0][1:] == (1.0, 1)
    assert answer["trial"]["n"] >= 5
    assert answer["depth"] == 1
    lines = semantics_endpoints.similar(local, {**asked, "lines": f"{passage}\n\n  {passage}  \nzzz"})
    assert lines["model"][0][1] == pytest.approx(1, abs=1e-3)
    assert lines["ngrams"][0][2] == pytest.approx(0, abs=1e-9)
    json.dumps([answer, lines], allow_nan=False)


@pytest.mark.parametrize("documents", ["separated", "isolated"])
def test_passages_end_with_their_document_and_hold_no_end_of_text(local, documents):
    text = Text.joined([f"Tom has {n} cats. They sat on the mat and on the log" for n in range(200)])
    tokenizer = build_tokenizer("bpe", text, vocab_size=300, eos=True)
    train = TrainConfig(corpus="own", corpus_bytes=len(text), tokenizer="bpe", bpe_vocab=300, documents=documents)
    model = preset("modern", n_layer=1, n_embd=32, block_size=32, vocab_size=tokenizer.vocab_size)
    run = local.store.create(model, train, tokenizer, name="stories", preset="modern", own_text=text)
    data = dataset(run, local.cache_dir)
    read = semantics_endpoints._text_of(run, data.validation)
    assert tokenizer.eos in data.validation.tolist()
    assert read.rstrip("\n") == text[-len(read.rstrip("\n")) :] and len(read) > 500


@pytest.mark.parametrize(
    ("endpoint", "changes", "complaint"),
    [
        ("search", {"query": " "}, "The query is empty. Write something in it."),
        ("search", {"query": "x" * 1_001}, "The query has 1,001 characters; the limit here is 1,000."),
        ("similar", {"lines": "one line"}, "A map needs 2 to 12 lines of text; there are 1."),
        ("similar", {"lines": "a\n" * 13}, "A map needs 2 to 12 lines of text; there are 13."),
        ("similar", {"lines": "a\n" + "b" * 1_001}, "A line has 1,001 characters; the limit here is 1,000."),
        ("near", {"name": "<b>"}, "“<b>” is not among the"),
        ("near", {"name": ""}, "The name is empty."),
        ("analogies", {"b": "a"}, "The three given names must differ"),
        ("analogies", {"expected": "a"}, "The expected answer is one of the three given names"),
        ("analogies", {"c": "Ω"}, "“Ω” is not among the"),
        ("embeddings", {"step": 7777}, "There are no weights of step 7777"),
        ("probes", {"step": 7777}, "There are no weights of step 7777"),
        ("positions", {"step": 7777}, "There are no weights of step 7777"),
    ],
)
def test_what_cannot_be_answered_is_a_sentence(local, make_run: MakeRun, endpoint, changes, complaint):
    asked = {"run": make_run().id, **ASKED, **changes}
    answer = getattr(semantics_endpoints, endpoint)(local, asked)
    assert complaint in answer["error"]
    assert answer["error"].endswith(".")


def test_a_text_too_short_for_probes_is_a_sentence(local, make_run: MakeRun):
    run = make_run(block_size=64)
    assert "Probes need at least 6 windows of 64 tokens" in semantics_endpoints.probes(local, {"run": run.id})["error"]


def test_a_vanished_checkpoint_is_a_sentence(local, make_run: MakeRun):
    run = make_run("mixture")
    for folder in ("snapshots", "checkpoints"):
        shutil.rmtree(run.path / folder, ignore_errors=True)
    for endpoint in ENDPOINTS:
        answer = endpoint(local, {"run": run.id, **ASKED})
        assert "no" in answer["error"] and "weights" in answer["error"], endpoint


@pytest.mark.parametrize(
    "text",
    ["\x00\x07\u202e", "${window.pwned=1} {{x}}", "<img src=x onerror=alert(1)>", "\ud800 half", "é😀"],
    ids=ascii,
)
def test_any_text_is_looked_at_or_refused_in_a_sentence(local, make_run: MakeRun, text):
    run = make_run("mixture")
    asked = {**ASKED, **dict.fromkeys(("text", "name", "a", "b", "query"), text), "lines": f"{text}\nx"}
    for endpoint in ENDPOINTS:
        answer = endpoint(local, {"run": run.id, **asked})
        assert "error" not in answer or answer["error"].endswith(".")


def test_questions_of_any_shape_get_a_sentence(local):
    for endpoint in ENDPOINTS:
        for question in (None, 5, [], {}, {"run": 7, "step": [], "text": {}}):
            assert endpoint(local, question) == {"error": "Run not found."}


def test_a_strangers_run_is_not_looked_at(local, make_run: MakeRun):
    run = make_run("mixture")
    for endpoint in ENDPOINTS:
        asked = {"run": run.id, **ASKED, "visitor": "f" * 32}
        assert endpoint(replace(local, public=True), asked) == {"error": "Run not found."}
