"""Two visitors of one public app: whatever one of them asks about the other's private run, it is as if there were none.

Every handler of the page, every server function of its components and every endpoint of the API is asked three times: by a
stranger about the private run, by the stranger about a run that never was, and by the owner. The first two answers must be
the same to the letter and leave the store as it was; the third must differ, so that the question is known to have arrived.
"""

from __future__ import annotations

import inspect
import json
import re
import secrets
import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from types import SimpleNamespace
from typing import Any

import gradio as gr
import httpx
import pytest
import torch
from pandas.io.formats.style import Styler

from playground.config import TrainConfig, preset
from playground.runs.curves import Curves
from playground.runs.loading import ModelCache
from playground.runs.queue.hosting import Hosting
from playground.runs.queue.launcher import Launcher
from playground.runs.races import create_race, prepare_race
from playground.runs.store.run_store import RunStore
from playground.runs.worker.execution import execute
from playground.runs.worker.racing import execute_race
from playground.tokenizers import build_tokenizer
from playground.train.race_spec import Arm, RaceSpec
from playground.ui.app import build_app, launch_options
from playground.ui.server.event_queue import queued
from playground.ui.services import Services
from tests.ui.conftest import SHAPE, TEXT
from tests.visitor import Visitor

ANN, BOB = "a" * 32, "b" * 32
SECRET = "Anns own"  # in the name of everything that is Ann's
TINY = {"steps": 20, "batch_size": 4, "warmup_steps": 2, "eval_interval": 10, "eval_tokens": 64, "sample_interval": 10,
        "checkpoint_interval": 10, "snapshots": 2}  # fmt: skip
RUN_FIELDS = re.compile(r"(^|-)(run|runs|tokenizers)$")  # element ids, and the API's parameters
TREE = {"prompt": "the", "chosen": 0, "branches": [
    {"name": "", "note": "", "parent": None, "at": 0, "tokens": [{"id": 32, "text": " ", "p": 0.5, "alternatives": [
        [32, " ", 0.5], [97, "a", 0.2]]}]}]}  # fmt: skip


@dataclass
class Stage:
    """A public app with a private run and a private race of Ann's in it."""

    services: Services
    demo: gr.Blocks
    run: str = ""
    race: str = ""

    def store(self) -> dict[str, bytes]:
        """All that Ann has."""
        return {
            str(path): path.read_bytes()
            for folder in (self.run, self.race)
            for path in (self.services.store.root / folder).rglob("*")
            if path.is_file()
        }

    def copy(self, job: str) -> str:
        """Another run or race of Ann's that is the same, for questions after which there is none."""
        root = self.services.store.root
        new = secrets.token_hex(14) + (job[-4:] if job == self.race else secrets.token_hex(2))
        shutil.copytree(root / job, root / f".{new}")
        if job == self.race:
            for arm in list((root / f".{new}" / "arms").iterdir()):
                arm.rename(arm.with_name(new[:-4] + arm.name[-4:]))
            described = root / f".{new}" / "race.json"
            described.write_text(described.read_text().replace(job[:-4], new[:-4]))
        (root / f".{new}").rename(root / new)
        return new


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    root = tmp_path_factory.mktemp("isolation")
    torch.set_num_threads(1)
    store = RunStore(root / "runs")
    launcher = Launcher(store, supervise=False, spare=False, threads=1)
    services = Services(store, launcher, Curves(store), ModelCache(), root / "corpora", public=True,
                        hosting=Hosting(public=True))  # fmt: skip
    run = store.create(
        preset("modern", **SHAPE, n_expert=4), TrainConfig(corpus="own", **TINY), build_tokenizer("byte", TEXT),
        name=f"{SECRET} run", preset="modern", own_text=TEXT, owner=ANN,
    )  # fmt: skip
    execute(run)
    small = {**TINY, "n_layer": 1, "n_embd": 16, "n_head": 2, "block_size": 16, "batch_size": 2}
    arms = (Arm("One", "classic"), Arm("Two", "modern"))
    spec = RaceSpec(f"{SECRET} race", arms, {k: v for k, v in small.items() if k != "steps"}, "steps", 10, (0,), "none")
    race = create_race(store, prepare_race(spec, TEXT), owner=ANN)
    execute_race(race)
    yield Stage(services, build_app(services), run.id, race.id)
    launcher.close()


def answer(call: Callable[[], Any], *known: str) -> str:
    """All that a call says, in one text, in which ids do not matter."""
    with warnings.catch_warnings(record=True) as shown:  # gr.Warning without a page
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", ResourceWarning)  # what the garbage collector says, whenever it comes by
        try:
            found = call()
            found = list(islice(found, 3)) if inspect.isgenerator(found) else found  # some go on for ever
        except ValueError as error:  # gr.Error too
            found = ["refused", str(getattr(error, "message", error))]
    if isinstance(found, dict):  # by component, from a handler that fills a form
        found = {str(key): value for key, value in found.items()}
    text = json.dumps([found, [str(one.message) for one in shown]], default=in_words)
    text = re.sub(r'"(nonce|seconds|stamp)": [0-9.e+]+', "", text)
    for number, one in enumerate(known):
        text = text.replace(one[:-4], f"<id {number}>").replace(
            one[-4:], "<end>"
        )  # the runs of a race begin as it does
    return text


def in_words(value: Any) -> str:
    return value.to_html() if isinstance(value, Styler) and (value.set_uuid("") is value) else str(value)


def differing(one: str, other: str) -> tuple[str, str]:
    """Both from a little before the first letter that differs."""
    at = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
    return one[max(0, at - 60) : at + 120], other[max(0, at - 60) : at + 120]


def never_was(job: str) -> str:
    """An id that looks as if there were such a run or race."""
    return secrets.token_hex(14) + job[-4:]


# What is asked


def is_run_field(block: Any) -> bool:
    named = block.elem_id or (block.label if block.elem_id is None and block.label in ("run",) else "") or ""
    return bool(RUN_FIELDS.search(named))


def value_of(block: Any, run: str, race: str, token: str) -> Any:
    """What the page would send of a component, if it were about this run and race."""
    if isinstance(block, gr.BrowserState) or block.label == "token":
        return token
    if is_run_field(block):
        wanted = f"run:{run}" if block.elem_id == "tokenizers" else run
        return [wanted, f"{race[:-4]}0001"] if getattr(block, "multiselect", None) else wanted
    if block.elem_id == "race":
        return race
    if block.elem_id == "token-text":
        return {**TREE, "branches": [{**TREE["branches"][0], "run": run, "step": 20}]}
    if isinstance(block, gr.Textbox) and not block.value:
        return "the cat"
    return None if (block.elem_id or "").endswith("step") else getattr(block, "value", None)


EVENT = {"branch": 0, "at": 0, "id": 97, "tab": "inside", "kind": "svg"}


def ask(stage: Stage, function: Any, run: str, race: str, token: str) -> Any:
    """Run a handler as Gradio would, without what Gradio checks before."""
    blocks = function.inputs
    values = [value_of(block, run, race, token) for block in blocks]
    if function.inputs_as_dict:
        return function.fn(dict(zip(blocks, values, strict=True)))
    parameters = list(inspect.signature(function.fn).parameters.values())
    hints = inspect.get_annotations(function.fn)
    filled: list[Any] = []
    rest = iter(values)
    for parameter in parameters:
        kind = hints.get(parameter.name)
        if kind is gr.EventData:
            filled.append(SimpleNamespace(_data=EVENT, target=None))
        elif kind in (gr.Request, "gr.Request"):
            asked = {"run": run, "race": race, "tab": "inside", "text": "x"}
            filled.append(SimpleNamespace(query_params=asked, session_hash="a page"))
        elif "OAuthProfile" in str(kind):
            filled.append(None)
        elif parameter.kind is parameter.VAR_POSITIONAL:
            filled += rest
        elif (value := next(rest, rest)) is not rest:
            filled.append(value)
    return function.fn(*filled)


def concerned(stage: Stage) -> list[Any]:
    """The handlers that are told of a run or race, or of the address that the page was opened with."""
    found = []
    for function in stage.demo.fns.values():
        if function.fn is None:
            continue
        ids = {getattr(block, "elem_id", None) for block in function.inputs}
        named = any(is_run_field(block) for block in function.inputs) or ids & {"race", "token-text"}
        if named or function.api_name == "opened":
            found.append(function)
    return found


def test_no_handler_tells_a_stranger_anything(stage: Stage) -> None:
    before, told = stage.store(), []
    for function in concerned(stage):
        run, race = never_was(stage.run), never_was(stage.race)
        of_private = answer(lambda f=function: ask(stage, f, stage.run, stage.race, BOB), stage.run, stage.race)
        of_nothing = answer(lambda f=function, r=(run, race): ask(stage, f, *r, BOB), run, race)
        if of_private != of_nothing or SECRET in of_private:
            told.append((function._id, function.api_name, *differing(of_private, of_nothing)))
    assert told == [], told
    assert stage.store() == before


# Handlers that only hand the wish on to a component, whose script then asks (below), and some that look at no run at all.
SILENT = re.compile(r"show_run|show|(look|partial)(_\d+)?|add_file|stopped")


@pytest.mark.slow
def test_every_one_of_these_handlers_answers_its_owner(stage: Stage) -> None:
    """Otherwise the test above would prove nothing."""
    silent, count = [], 0
    for function in concerned(stage):
        run, race = stage.copy(stage.run), stage.copy(stage.race)
        nothing = never_was(run), never_was(race)
        mine = answer(lambda f=function, r=(run, race): ask(stage, f, *r, ANN), run, race)
        of_nothing = answer(lambda f=function, r=nothing: ask(stage, f, *r, ANN), *nothing)
        count += 1
        if mine == of_nothing:
            silent.append((function._id, function.api_name, mine[:200]))
        for job in (run, race):
            shutil.rmtree(stage.services.store.root / job, ignore_errors=True)
    assert [one for one in silent if not SILENT.fullmatch(one[1])] == []
    assert count > 70


# What components' scripts ask


def scripted(stage: Stage) -> list[tuple[str, Callable[[Any], Any]]]:
    return [
        (f"{block.elem_id}.{function.__name__}", function)
        for block in stage.demo.blocks.values()
        for function in getattr(block, "server_functions", None) or []
    ]


def question(run: str, race: str, token: str) -> dict[str, Any]:
    return {
        "visitor": token, "run": run, "race": race, "cursors": {run: None}, "cursor": None, "step": None, "kind": "csv",
        "text": "the cat sat", "other": None, "layer": 0, "head": 0, "position": 2, "target": 97, "ids": [116, 104, 101],
        "parts": [], "clean prompt": "the cat", "corrupted prompt": "the dog", "tokenizers": [f"run:{run}"],
        "key": f"run:{run}", "query": "the", "clean": "the cat", "corrupted": "the dog", "page": 0, "word": "the",
    }  # fmt: skip


def test_no_script_is_told_of_a_strangers_run(stage: Stage) -> None:
    before, told = stage.store(), []
    for name, function in scripted(stage):
        run, race = never_was(stage.run), never_was(stage.race)
        private, nothing = question(stage.run, stage.race, BOB), question(run, race, BOB)
        of_private = answer(lambda f=function, q=private: f(q), stage.run, stage.race)
        of_nothing = answer(lambda f=function, q=nothing: f(q), run, race)
        if of_private != of_nothing or SECRET in of_private:
            told.append((name, *differing(of_private, of_nothing)))
    assert told == [], told
    assert stage.store() == before


def test_every_script_answers_the_owner(stage: Stage) -> None:
    run, race = never_was(stage.run), never_was(stage.race)
    silent = []
    for name, function in scripted(stage):
        mine = answer(lambda f=function: f(question(stage.run, stage.race, ANN)), stage.run, stage.race)
        if mine == answer(lambda f=function: f(question(run, race, ANN)), run, race):
            silent.append((name, mine[:200]))
    print(silent)
    assert silent == []


# Over HTTP, by number, past everything that the page itself would do


@pytest.fixture(scope="module")
def address(stage: Stage) -> Iterator[str]:
    demo = queued(stage.demo)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options(stage.services))
    yield url
    demo.close()


@pytest.mark.parametrize("button", ["delete-run", "stop-run", "resume-run"])
@pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting'")  # Gradio's statistics ask pandas for it
def test_private_functions_by_their_number(stage: Stage, address: str, button: str) -> None:
    """Also by somebody who knows the run's id and the owner's session: neither is a secret of ours."""
    before = stage.store()
    with Visitor(address) as ann, Visitor(address, session=ann.session) as bob:
        for run in (stage.run, never_was(stage.run)):
            bob.press(button, [run, BOB])
            output = next(output for kind, output in bob.answers() if kind == "process_completed")
            assert re.search(r"Run not found\.|not in the list of choices", str(output["error"])), output
            assert SECRET not in str(output)
    assert stage.store() == before


def test_no_file_of_a_run_has_an_address(stage: Stage, address: str) -> None:
    folder = stage.services.store.root / stage.run
    for path in (
        folder / "run.json",
        folder / "text.txt",
        folder / "checkpoints",
        stage.services.store.root / "usage.json",
    ):
        for spelling in (
            str(path),
            str(path).replace("/", "%2F"),
            str(path.parent / "x" / ".." / path.name),
            f"file://{path}",
        ):
            reply = httpx.get(f"{address}gradio_api/file={spelling}", trust_env=False)
            assert reply.status_code in (403, 404), (spelling, reply.status_code)
            assert SECRET not in reply.text
