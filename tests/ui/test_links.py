"""Addresses: what they carry, what they open, and what they are not believed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import gradio as gr
import pytest

from playground.config import PRESETS, ModelConfig, TrainConfig, preset
from playground.runs.worker.execution import execute
from playground.ui import links
from playground.ui.links import MAX_TEXT, Place, Setup
from playground.ui.services import Services
from tests.ui.conftest import MakeRun

WHERE = {"train": Place(run=gr.Dropdown()), "inside": Place(gr.Dropdown(), gr.Dropdown(), gr.Textbox())}
ANN, BOB = "a" * 32, "b" * 32


def form(name: str, **changes: Any) -> dict[str, Any]:
    return {**preset(name).to_dict(), **changes}


@pytest.mark.parametrize("name", list(PRESETS))
@pytest.mark.parametrize(
    "changes",
    [{}, {"n_head": 8, "n_embd": 96}, {"n_head": 8, "n_kv_head": 2}, {"n_layer": 3, "position": "none", "bias": True}],
)
def test_a_whole_set_up_fits_into_a_link(name: str, changes: dict[str, Any]) -> None:
    wanted = form(name, **{**changes, "n_kv_head": changes.get("n_kv_head", changes.get("n_head", 4))})
    train = {**TrainConfig().to_dict(), "steps": 123, "learning_rate": 0.01, "optimizer": "muon"}
    setup = Setup.of(name, "sort", wanted, train)
    model, trained = Setup.from_json(setup.to_json()).settings()
    assert model == ModelConfig.from_dict(wanted)
    assert trained == TrainConfig.from_dict({**train, "corpus": "sort"})
    assert len(setup.to_json()) < 400


def test_only_what_differs_travels() -> None:
    setup = Setup.of("modern", "tales", form("modern", n_layer=2), TrainConfig(seed=7).to_dict())
    assert json.loads(setup.to_json()) == {
        "preset": "modern", "corpus": "tales", "model": {"n_layer": 2}, "train": {"seed": 7},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "damaged"), ("[]", "damaged"), ('{"model": []}', "damaged"), ('{"other": 1}', "damaged"),
        ("[" * 7_000, "damaged"), ("x" * 9_000, "has 9,000 characters; the limit is 8,000"),
        ('{"preset": "huge"}', "Preset must be one of classic, modern"), ('{"corpus": "../x"}', "unknown dataset, '../x'"),
        ('{"model": {"n_layer": 1e9}}', "Layers must be"), ('{"train": {"steps": "many"}}', "Steps must be a number"),
        ('{"model": {"n_embd": 100, "n_head": 3}}', "Embedding size 100 is not divisible"),
        ('{"train": {"learning_rate": NaN}}', "Learning rate must be a number. You sent NaN"),
        ('{"model": {"__class__": 1}}', "Unknown setting"),
    ],
)  # fmt: skip
def test_a_link_is_checked_like_a_form(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        Setup.from_json(text)


def test_the_address_of_a_view_names_its_run_step_and_text(local: Services, make_run: MakeRun) -> None:
    run = make_run()
    found = links.view_link(local, WHERE, "inside", "", "another", run.id, 10, "Hello <b>&")
    assert found["query"] == {"tab": "inside", "run": run.id, "step": "10", "text": "Hello <b>&"}
    assert found["note"] == ""
    assert links.view_link(local, WHERE, "tokenizer", "", None, None, None, "")["query"] == {"tab": "tokenizer"}
    assert links.view_link(local, WHERE, "<script>", "", run.id, None, None, "")["query"]["tab"] == "train"
    long = links.view_link(local, WHERE, "inside", "", None, run.id, 10, "x" * 9_000)
    assert len(long["query"]["text"]) == MAX_TEXT
    assert "cut to 2,000 characters" in long["note"]


def test_a_view_opens_as_the_address_says_and_no_further(local: Services, make_run: MakeRun) -> None:
    run = make_run()
    place = WHERE["inside"]
    opened = links.open_view(local, place, {"run": run.id, "step": "10", "text": "x" * 9_000}, "")
    assert opened["run"]["value"] == run.id
    assert opened["step"]["value"] == 10
    assert opened["text"] == "x" * MAX_TEXT
    assert "step" not in links.open_view(local, place, {"run": run.id, "step": "11"}, "")
    assert "step" not in links.open_view(local, place, {"run": run.id, "step": "9" * 5_000}, "")
    for unknown in ("", "../../etc", "f" * 32, run.id[:-1]):
        assert links.open_view(local, place, {"run": unknown, "step": "10"}, "") == {}


def test_a_strangers_run_opens_only_once_it_is_shared(local: Services, make_run: MakeRun) -> None:
    public = replace(local, public=True)
    kept = make_run()
    run = public.store.create(
        kept.model, kept.train, kept.tokenizer, name="Ann's", preset="modern", owner=ANN, own_text=kept.own_text()
    )
    assert execute(run).state == "finished"
    asked = {"run": run.id}
    assert "share the run first" in links.view_link(public, WHERE, "train", ANN, run.id, None, None, "")["note"]
    assert links.open_view(public, WHERE["train"], asked, BOB) == {}
    with pytest.raises(ValueError, match="Run not found"):
        links.share(public, run.id, BOB)
    assert links.share(public, run.id, ANN)["query"] == {"tab": "train", "run": run.id}
    opened = links.open_view(public, WHERE["train"], asked, BOB)["run"]
    assert ("Ann's", run.id) in opened["choices"]
    assert links.view_link(public, WHERE, "train", BOB, run.id, None, None, "")["note"] == ""
