"""Every view of a model that came without its training: an answer, or a sentence that says why there is none."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from playground.analysis.doctor import diagnose
from playground.cli.commands import run_command
from playground.config import GenerationConfig, TrainConfig, preset
from playground.data.corpora import CORPORA, find_corpus
from playground.races.comparison import told_apart
from playground.runs.import_model import import_package
from playground.runs.store.files import read_json, write_json
from playground.runs.store.run_store import Run
from playground.ui import endpoints
from playground.ui.api import Api
from playground.ui.compare import compare_tab
from playground.ui.data import batch_tab, tokenizer_endpoints
from playground.ui.inside import attention_endpoints, experts_endpoints, inside_endpoints, semantics_endpoints
from playground.ui.sample import sample_tab, streaming_tab
from playground.ui.services import Services
from playground.ui.train.export_panel import take
from tests.interchange.models import package

SHAPE: dict[str, Any] = {"block_size": 32, "n_layer": 2, "n_embd": 32}
SETTINGS = [getattr(GenerationConfig(max_new_tokens=4), name) for name in (*sample_tab.SHAPE, *sample_tab.LENGTH)]
NOT_HERE = "The text that this model was trained on is not here"
ASKED = {
    "visitor": "", "step": 0, "anchor": 0, "text": "the cat sat", "name": "a", "a": "a", "b": "t", "c": "o",
    "expected": "e", "query": "the cat sat", "lines": "the cat\nthe dog", "clean": "the cat", "corrupted": "the dog",
}  # fmt: skip


@pytest.fixture(params=["unknown", "own", "of another version"])
def imported(request: pytest.FixtureRequest, local: Services) -> list[Run]:
    """Two models without their texts: whose training is not known, or on a text that stayed behind or was never here."""
    made = []
    for name in ("classic", "mixture"):
        run = import_package(local.store, package(preset(name, **SHAPE), name), origin="a folder")
        values = read_json(run.path / "run.json")
        assert values is not None
        if request.param == "of another version":
            values |= {"preset": "a later preset", "train": {**values["train"], "corpus": "a later <corpus>"}}
        elif request.param == "own":
            values |= {"train": TrainConfig(corpus="own").to_dict()}
        write_json(run.path / "run.json", values)
        made.append(local.store.get(run.id))
    return made


def drained(answer: Any) -> Any:
    return list(answer) if isinstance(answer, Iterator) else answer


def test_an_unknown_corpus_has_a_name_and_known_ones_are_themselves() -> None:
    assert all(find_corpus(name) is corpus for name, corpus in CORPORA.items())
    assert (find_corpus("").label, find_corpus("deleted").label) == ("unknown text", "deleted")
    assert find_corpus("deleted").kind == "unknown" and find_corpus("deleted").prompt


def test_imported_models_are_compared(local: Services, imported: list[Run]) -> None:
    ids = [run.id for run in imported]
    _, apart, table = compare_tab.choose(local, ids, "")
    assert apart.columns.tolist() == ["setting", "classic", "mixture"]
    assert ["Positional encoding", "learned", "RoPE"] in apart.to_numpy().tolist()
    assert table.data["run"].tolist() == ["classic", "mixture"]
    assert table.data["step"].isna().all() and table.data["step"].dtype == "Int64", "counts have no decimals"
    assert compare_tab.measured(local, ids, "").data["parameters"].tolist() == table.data["parameters"].tolist()
    *_, shown = compare_tab.write([(run.name, run) for run in imported], "the cat", 1.0, 4, 0, True, local)
    assert [len(item["tokens"]) for item in shown["items"]] == [4, 4]
    assert "Positional encoding: learned → RoPE" in shown["differs"]
    read = compare_tab.read(local, [(run.name, run) for run in imported], "the cat sat")
    assert "".join(span[0] for span in read["spans"]) == "the cat sat"
    assert read["differs"] == shown["differs"] == told_apart(imported)


def test_texts_that_are_not_here_are_not_taken_for_the_same(local: Services, imported: list[Run]) -> None:
    one, two = (local.curves.since(run) for run in imported)
    assert one["tokens"] == two["tokens"] and one["text"] != two["text"]


def test_every_endpoint_answers_for_an_imported_model(local: Services, imported: list[Run]) -> None:
    asked = set()
    for module in (endpoints, attention_endpoints, experts_endpoints, inside_endpoints, semantics_endpoints):
        for name, endpoint in vars(module).items():
            if not getattr(endpoint, "__qualname__", "").startswith("json_endpoint."):
                continue
            for run in imported:
                answer = endpoint(local, {**ASKED, "run": run.id, "cursors": {run.id: None}})
                json.dumps(answer, allow_nan=False)
                asked.add(name)
    assert {"curves", "timeline", "attention", "experts", "ablate", "embeddings", "probes", "search"} < asked
    tokens = tokenizer_endpoints.tokenize(local, {**ASKED, "tokenizers": [f"run:{imported[0].id}"]})
    json.dumps(tokens, allow_nan=False)


def test_every_handler_answers_for_an_imported_model(local: Services, imported: list[Run]) -> None:
    run = imported[-1]
    prompt: tuple[Any, ...] = (local, run.id, None, "the cat")
    calls: dict[str, Callable[[], Any]] = {
        "write": lambda: sample_tab.write(*prompt, *SETTINGS, ""),
        "next token": lambda: sample_tab.look_ahead(*prompt, *SETTINGS, ""),
        "one token": lambda: sample_tab.one_token(*prompt, *SETTINGS, ""),
        "with and without cache": lambda: next(streaming_tab.prove(local, run.id, None, 16, "the cat", "")),
        "endless": lambda: next(streaming_tab.endless(local, run.id, None, 16, 2, "the cat", "")),
        "safetensors": lambda: take(local, run.id, None, "safetensors", ""),
        "transformers": lambda: take(local, run.id, None, "transformers", ""),
        "code": lambda: take(local, run.id, None, "code", ""),
        "status": lambda: Api(local).status(run.id),
        "metrics": lambda: Api(local).metrics(run.id),
        "generate": lambda: Api(local).generate(run.id, "the cat", max_new_tokens=4),
        "attention": lambda: Api(local).attention(run.id, "the cat"),
        "doctor": lambda: diagnose(run, local.curves.columns(run)),
    }
    for call in calls.values():
        assert drained(call()) is not None
    needs_text: dict[str, Callable[[], Any]] = {
        "batch": lambda: batch_tab.show_run(local, run.id, None, 0, ""),
        "reading beyond the context": lambda: drained(streaming_tab.read(local, run.id, None, 16, 2, "")),
        "sinks": lambda: drained(streaming_tab.find_sinks(local, run.id, None, "")),
    }
    for call in needs_text.values():
        with pytest.raises(ValueError, match=NOT_HERE):
            call()


def test_the_command_line_lists_and_samples_an_imported_model(
    local: Services, imported: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    data = ["--data", str(local.store.root)]
    assert run_command(["runs", *data]) == 0
    listed = capsys.readouterr().out
    rows = [line.split() for line in listed.splitlines() if line[:8] in {run.id[:8] for run in imported}]
    assert [row[2:] for row in rows] == [["imported", "-", "-", "-"]] * 2
    assert run_command(["sample", imported[0].id, "--tokens", "4", *data]) == 0
    assert capsys.readouterr().out
