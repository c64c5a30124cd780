"""What stands around a race: the buttons that can do something now, and a prompt and a text that suit it."""

from __future__ import annotations

import pytest

from playground.runs.races import Race, create_race, list_races, prepare_race
from playground.runs.store import status
from playground.runs.store.paths import gallery_root
from playground.runs.store.run_store import RunStore
from playground.runs.store.status import Status
from playground.train.race_spec import RaceSpec
from playground.ui.compare import race_tab
from playground.ui.compare.compare_tab import suit
from playground.ui.compare.race_tab import moved, reading
from playground.ui.services import Services
from tests.ui.conftest import TEXT

SHARED = {"n_layer": 1, "n_embd": 16, "n_head": 2, "block_size": 16, "batch_size": 2, "corpus_bytes": 50_000}
ALICE, BOB = "a" * 32, "b" * 32


def make(store: RunStore, corpus: str = "tales", own: str | None = None, owner: str | None = None) -> Race:
    values = {"arms": ["classic", "modern"], "shared": {**SHARED, "corpus": corpus}, "amount": 5, "seeds": 1}
    return create_race(store, prepare_race(RaceSpec.from_dict(values), own), owner=owner)


def shown(services: Services, race: Race, token: str = "") -> list[bool]:
    return [update["visible"] for update in moved(services, race.id, token)[:5]]


@pytest.mark.parametrize(
    ("state", "pause", "resume", "stop"),
    [("queued", True, False, True), ("stopped", False, True, False), ("finished", False, False, False)],
)
def test_only_buttons_that_can_do_something_are_shown(
    local: Services, state: str, pause: bool, resume: bool, stop: bool
) -> None:
    race = make(local.store)
    status.declare(race.path, Status(state))  # type: ignore[arg-type]
    assert shown(local, race) == [pause, resume, stop, True, True]
    assert moved(local, race.id, "")[5] == race.name, "to be changed, not typed anew"


def test_a_race_to_look_at_has_no_buttons(local: Services, tmp_path) -> None:
    public = Services(local.store, local.launcher, local.curves, local.models, local.cache_dir, public=True)
    race = make(local.store, owner=ALICE)
    status.declare(race.path, Status("queued"))
    assert shown(public, race, ALICE) == [True, False, True, True, True]
    assert shown(public, race, BOB) == [False] * 5
    store = RunStore(tmp_path / "other", gallery_root())
    shipped = Services(store, local.launcher, local.curves, local.models, local.cache_dir, public=False)
    assert shown(shipped, list_races(store)[0]) == [False] * 5


def test_a_race_that_the_opening_page_chooses_is_marked(local: Services) -> None:
    race = make(local.store)
    assert race_tab.arrive(local, "")[1] | {"nonce": 0} == {"visitor": "", "race": race.id, "nonce": 0, "arrived": True}
    assert race_tab.arrive(local, "", race.id)[1]["arrived"]
    assert "arrived" not in race_tab.follow(local, race.id, "")[1]


def test_the_prompt_of_a_race_can_be_encoded_by_all_its_arms(local: Services) -> None:
    arms = ["modern + tokenizer=bpe + bpe_vocab=280", "modern + tokenizer=char"]
    values = {"arms": arms, "shared": SHARED, "amount": 5, "seeds": 1}
    text = "все люди рождаются свободными\n" * 100
    race = create_race(local.store, prepare_race(RaceSpec.from_dict(values), text))
    assert suit(local, race.id, "")[2] == "все люди рождаются"


def test_prompt_and_text_suit_what_was_read(local: Services) -> None:
    own = make(local.store, own=TEXT)
    assert reading(own) == TEXT[-race_tab.READ_CHARACTERS :]
    task = make(local.store, "addition")
    assert reading(task).splitlines()[0].count("=") == 1
    assert suit(local, task.id, "")[2] == "37+85="
    assert suit(local, make(local.store).id, "")[2] == "Once there was a"


def test_of_a_race_without_its_models_it_is_said_instead_of_offered(local: Services, tmp_path) -> None:
    store = RunStore(tmp_path / "other", gallery_root())
    services = Services(store, local.launcher, local.curves, local.models, local.cache_dir, public=False)
    named = {race.name: race for race in list_races(store)}
    body, absent, prompt, text, *_ = suit(services, named["Classic against modern on Python source"].id, "")
    assert (body["visible"], absent["visible"], prompt) == (True, False, "def ")
    assert text.startswith("def mean(")
    body, absent, *_ = suit(services, named["AdamW against Muon on Tales"].id, "")
    assert (body["visible"], absent["visible"]) == (False, True)
