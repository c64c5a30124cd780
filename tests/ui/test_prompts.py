"""The prompt that Sample begins with is one that the chosen model can read."""

from __future__ import annotations

import pytest

from playground.inference.generation import encode_prompt
from playground.runs.create import create_run, prepare_run
from playground.runs.store.run_store import Run
from playground.ui.sample.prompts import STARTING, suited
from playground.ui.services import Services

RUSSIAN = "все люди рождаются свободными и равными\n" * 60
SMALL = {"n_layer": 1, "n_embd": 16, "n_head": 2, "n_kv_head": 1, "block_size": 16}


def made(services: Services, tokenizer: str, text: str | None = RUSSIAN, **train: object) -> Run:
    changes = {"tokenizer": tokenizer, "corpus_bytes": 20_000, **train}
    return create_run(services.store, prepare_run("modern", SMALL, changes, text))


def kept(update: object) -> bool:
    return isinstance(update, dict) and update["__type__"] == "update" and "value" not in update


@pytest.mark.parametrize(
    ("prompt", "wanted"), [("", "все люди рождаются"), ("равными", "равными")], ids=["default", "in the settings"]
)
def test_the_starting_prompt_gives_way_to_the_runs_own(local: Services, prompt: str, wanted: str) -> None:
    run = made(local, "char", prompt=prompt)
    assert suited(local, run.id, STARTING, "") == wanted
    assert encode_prompt(run.tokenizer, wanted)


def test_what_was_written_and_what_can_be_read_stay(local: Services) -> None:
    run = made(local, "char")
    assert kept(suited(local, run.id, "What a visitor wrote", ""))
    for other in (made(local, "byte"), made(local, "char", None, corpus="tales")):
        assert kept(suited(local, other.id, STARTING, ""))
    assert kept(suited(local, None, STARTING, ""))
