"""What the page and the server say to each other: types and typedefs have the same keys, and real answers have them too."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
from types import ModuleType
from typing import Any, get_type_hints, is_typeddict

import pytest

from playground.analysis.batch import Candidate, Explained
from playground.analysis.data_card import DataCard
from playground.analysis.semantic_search import Trial
from playground.config import GenerationConfig
from playground.races.payload import race_news
from playground.reference.make_runs import gallery_root
from playground.runs.curves import Curves
from playground.runs.races import list_races
from playground.runs.store.run_store import RunStore
from playground.ui import endpoints
from playground.ui.compare import compare_tab, race_endpoints
from playground.ui.components import COMPONENTS
from playground.ui.components.contracts import inside, shared, texts, training
from playground.ui.data import batch_endpoints, batch_tab, tokenizer_endpoints, tokenizer_tab
from playground.ui.inside import attention_endpoints, experts_endpoints, inside_endpoints, semantics_endpoints
from playground.ui.inside.guided_tours import READINGS
from playground.ui.sample import branches, sample_tab, streaming_tab
from playground.ui.services import Services
from tests.typedefs import SCRIPTS, keys, problems, records, written
from tests.ui.conftest import MakeRun

MODULES = (inside, shared, texts, training)
SERVER = {
    "attention": attention_endpoints.attention, "timeline": endpoints.timeline, "heads": inside_endpoints.heads,
    "ablate": inside_endpoints.ablate, "explain": batch_endpoints.explain_loss, "parts": inside_endpoints.parts,
    "curves": endpoints.curves, "embeddings": semantics_endpoints.embeddings, "near": semantics_endpoints.near,
    "analogies": semantics_endpoints.analogies, "experts": experts_endpoints.experts, "routes": experts_endpoints.routes,
    "head_by_hand": inside_endpoints.head_by_hand, "lens": inside_endpoints.lens, "band": endpoints.band,
    "search": semantics_endpoints.search, "similar": semantics_endpoints.similar, "replay": tokenizer_endpoints.replay,
    "patch": inside_endpoints.patch, "positions": semantics_endpoints.positions, "probes": semantics_endpoints.probes,
    "race": race_endpoints.race, "file": race_endpoints.race_file, "live": endpoints.live,
    "tokenize": tokenizer_endpoints.tokenize,
}  # fmt: skip
CALLS = {name: pair for component in COMPONENTS.values() for name, pair in component.functions.items()}


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_the_typedefs_of_a_script_are_those_of_its_types(path: Any) -> None:
    """After a change of a type: ``python -m tests.typedefs``."""
    text = path.read_text("utf-8")
    assert written(text, path.name) == text
    found = re.findall(r"^/\*\* @typedef \{\{ (.*) \}\} (\w+) \*/$", text, re.M)
    declared = {record.__name__: record for record in records().get(path.name, [])}
    assert [name for _, name in found] == list(declared)
    for words, name in found:
        names = re.findall(r'(?:^|, )(\w+|"[\w ]+")(\??): ', words)
        assert {(one.strip('"'), not mark) for one, mark in names} == {
            (one, required) for one, (_, required) in keys(declared[name]).items()
        }, name


def own_types(module: ModuleType) -> set[str]:
    """The TypedDicts that a module declares."""
    return {name for name, one in vars(module).items() if is_typeddict(one) and one.__module__ == module.__name__}


def test_every_type_is_used_and_declared_once() -> None:
    declared = [record.__name__ for found in records().values() for record in found]
    assert len(declared) == len(set(declared))
    extended = {
        base for module in MODULES for base in re.findall(r"^class \w+\((.*)\):", inspect.getsource(module), re.M)
    }
    bases = {name for names in extended for name in names.split(", ")}
    assert set().union(*map(own_types, MODULES)) <= {*declared, *bases}


@pytest.mark.parametrize(
    ("kind", "source", "more"),
    [
        (training.DataCardValue, DataCard, {"title", "nonce"}),
        (inside.SearchTrial, Trial, {"words"}),
        (training.ExplainAnswer, Explained, set()),
        (training.ExplainCandidate, Candidate, {"piece"}),
    ],
)
def test_a_type_that_repeats_a_dataclass_has_its_fields(kind: Any, source: Any, more: set[str]) -> None:
    assert set(get_type_hints(kind)) == {item.name for item in dataclasses.fields(source)} | more


class Recorded(dict[str, Any]):
    """A question that notes which of its keys were asked for."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def get(self, key: Any, default: Any = None) -> Any:
        self.read.add(key)
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        self.read.add(str(key))
        return super().__contains__(key)


def ask(services: Services, name: str, /, **values: Any) -> Any:
    """What a server function answers to a question of its type; both are checked."""
    question, answer = CALLS[name]
    asked = Recorded({key: values[key] for key in keys(question) if key in values})
    assert problems(dict(asked), question, name) == []
    found = SERVER[name](services, asked)
    assert asked.read <= keys(question).keys(), name
    assert problems(json.loads(json.dumps(found)), answer, name) == [], name
    return found


def test_every_server_function_is_asked_here() -> None:
    assert set(SERVER) == set(CALLS)


def test_answers_about_a_run_are_of_their_types(local: Services, make_run: MakeRun) -> None:
    run = make_run("mixture")
    values = {
        "visitor": "", "run": run.id, "step": 20, "text": "the cat sat", "layer": 0, "head": 1, "position": 3, "key": 1,
        "anchor": 20, "axes": "own", "name": "a", "a": "a", "b": "t", "c": "o", "expected": "e", "depth": 1,
        "query": "the cat", "lines": "the cat\nthe dog", "cursors": {run.id: None}, "ids": [116, 104, 101, 32], "target": 32,
        "parts": [[0, "head", 0]], "how": "mean", "clean prompt": "the cat", "corrupted prompt": "the dog",
        "clean answer": "", "corrupted answer": "", "what": "tokens",
    }  # fmt: skip
    for name in CALLS.keys() - {"race", "file", "tokenize", "replay"}:
        ask(local, name, **values)
    ask(local, "embeddings", **{**values, "what": "words"})
    ask(local, "experts", **values, brief=True)
    news = ask(local, "curves", **values)["runs"][0]
    assert news.keys() == keys(shared.RunNews).keys()
    shown = batch_tab.show_run(local, run.id, 20, 1, "")
    assert problems(shown, training.BatchValue) == []
    other = make_run("classic")
    read = compare_tab.read(local, [("a", run), ("b", other)], "the cat")
    assert problems(json.loads(json.dumps(read)), training.LossesValue) == []
    model = local.models.get(run)
    config = GenerationConfig(max_new_tokens=3)
    assert problems(sample_tab.distribution(run, model, [116, 104], config), texts.NextTokenValue) == []
    for part in compare_tab.write([("a", run)], "the", 1.0, 3, 0, True, local):
        assert problems(json.loads(json.dumps(part)), training.SideBySideValue) == []
    assert "error" in endpoints.timeline(local, {})


def test_answers_about_texts_and_races_are_of_their_types(local: Services, tmp_path: Any) -> None:
    values = {"visitor": "", "text": "the cat sat on the mat", "learned": "text", "width": 64}
    asked, replay = tokenizer_tab.look(values["text"], ["byte", "char", "bpe:300", "run:none"], "text", 64, "")
    assert problems(asked, texts.TokenizeValue) == problems(replay, texts.ReplayValue) == []
    ask(local, "tokenize", **{**values, "tokenizers": asked["tokenizers"]})
    ask(local, "replay", **values)
    store = RunStore(tmp_path / "other", gallery_root())
    race = list_races(store)[0]
    news = race_news(race, Curves(store))
    assert news.keys() == keys(training.RaceAnswer).keys()
    assert problems(json.loads(json.dumps(news)), training.RaceAnswer) == []


def test_values_that_tabs_make_are_of_their_types() -> None:
    for reading in READINGS.values():
        assert problems(reading.as_value(), inside.Tour) == []
    assert problems(streaming_tab.story(8, 4, True), texts.SlotsValue) == []
    tree = branches.snapshot(branches.new_tree("the", [branches.branch(run="r", step=3)]), "done")
    assert problems(tree, texts.TextTree) == []
