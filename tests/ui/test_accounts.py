"""Runs follow an account, where there are accounts; a browser's own token stays what it was."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from playground.runs.queue.accounts import Accounts, hand_over
from playground.runs.queue.hosting import SIGN_IN, Hosting
from playground.runs.races import create_race, get_race, prepare_race
from playground.runs.store.files import read_json, write_json
from playground.runs.store.run_store import Run, RunNotFound, hashed
from playground.ui.app import build_app
from playground.ui.server import accounts
from playground.ui.server.accounts import token_of
from playground.ui.services import TOKEN, Services
from tests.runs.test_races import SPEC
from tests.runs.test_races import TEXT as RACE_TEXT
from tests.ui.conftest import MakeRun
from tests.ui.test_api import PUBLIC

FACES = {"profile": "https://example.org", "picture": "https://example.org/a.png"}
ANN = {"sub": "64b0", "name": "Ann", "preferred_username": "ann", **FACES}
BOB = {"sub": "77c1", "name": "Bob", "preferred_username": "bob", **FACES}
BROWSER = "a" * 32


@pytest.fixture
def libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a Space, which installs what signing in needs."""
    known = importlib.util.find_spec
    monkeypatch.setattr(
        accounts, "find_spec", lambda name: known("json") if name in ("authlib", "itsdangerous") else known(name)
    )


@pytest.fixture
def space(local: Services, libraries: None) -> Services:
    return replace(local, public=True, hosting=Hosting(public=True, account_secret="hush"))


def owned_by(run: Run, token: str) -> None:
    """As if the run had been started by this visitor."""
    described = run.path / "run.json"
    write_json(described, {**(read_json(described) or {}), "owner": hashed(token)})


def test_tokens_of_accounts_are_secrets_that_only_the_host_can_tell() -> None:
    here, elsewhere = Accounts("hush"), Accounts("other")
    token = here.token("64b0")
    assert TOKEN.fullmatch(token)
    assert token == Accounts("hush").token("64b0")  # in every browser, and after a restart
    assert len({token, here.token("64b1"), elsewhere.token("64b0")}) == 3
    assert here.made(token)
    assert not elsewhere.made(token)
    assert not any(here.made(other) for other in (BROWSER, token[:-1] + "0", token[:16] * 2, ""))
    assert "hush" not in repr(here)


def test_signing_in_takes_the_browsers_runs_along(space: Services, make_run: MakeRun) -> None:
    run, foreign = make_run("modern"), make_run("classic")
    owned_by(run, BROWSER)
    owned_by(foreign, "c" * 32)
    race = create_race(space.store, prepare_race(SPEC, RACE_TEXT), owner=BROWSER)
    mine = token_of(space, BROWSER, ANN)
    assert space.store.get(run.id, mine).id == run.id
    assert get_race(space.store, race.id, mine).id == race.id
    assert {found.id for found in space.store.list(mine)} == {run.id, *(one for arm in race.runs for one in arm)}
    with pytest.raises(RunNotFound):
        space.store.get(run.id, BROWSER)
    with pytest.raises(RunNotFound):
        space.store.get(foreign.id, mine)
    assert token_of(space, "d" * 32, ANN) == mine  # another browser
    assert token_of(space, "", ANN) == mine
    assert token_of(space, mine, ANN) == mine


def test_signing_out_leaves_the_runs_with_the_account(space: Services, make_run: MakeRun) -> None:
    run = make_run("modern")
    owned_by(run, BROWSER)
    mine = token_of(space, BROWSER, ANN)
    after = token_of(space, mine, None)
    assert after not in (mine, BROWSER)
    assert TOKEN.fullmatch(after)
    other = token_of(space, mine, BOB)  # somebody else, in the browser that Ann has left without signing out
    assert other not in (mine, after)
    for token in (after, other):
        with pytest.raises(RunNotFound):
            space.store.get(run.id, token)
    assert space.store.get(run.id, mine)


def test_who_does_not_sign_in_keeps_their_token(space: Services, local: Services) -> None:
    assert token_of(space, BROWSER, None) == BROWSER
    assert TOKEN.fullmatch(token_of(space, "nonsense", None))
    assert token_of(space, BROWSER, {"sub": 5}) == BROWSER
    assert token_of(local, BROWSER, ANN) == ""  # one's own machine


def test_without_a_host_who_wants_it_nobody_signs_in(space: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    off = replace(space, hosting=Hosting(public=True))
    assert token_of(off, BROWSER, ANN) == BROWSER
    monkeypatch.setattr(accounts, "find_spec", lambda name: None)
    assert token_of(space, BROWSER, ANN) == BROWSER
    full = {"SPACE_ID": "x/y", "SYSTEM": "spaces", **dict.fromkeys(SIGN_IN, "hush")}
    for missing in ("SYSTEM", *SIGN_IN):
        assert Hosting.read({name: value for name, value in full.items() if name != missing}).account_secret == ""
    assert Hosting.read(full).account_secret == "hush"
    assert "hush" not in repr(Hosting.read(full))


def test_nothing_is_given_twice(space: Services, make_run: MakeRun) -> None:
    run = make_run("modern")
    owned_by(run, BROWSER)
    assert hand_over(space.store, BROWSER, "e" * 32) == 1
    assert hand_over(space.store, BROWSER, "e" * 32) == 0


def buttons(demo: gr.Blocks) -> list[Any]:
    return [block for block in demo.blocks.values() if isinstance(block, gr.LoginButton)]


def opened(demo: gr.Blocks) -> Callable[..., Any]:
    return next(function.fn for function in demo.fns.values() if function.api_name == "opened")


def test_the_page_has_the_button_and_reads_the_session(
    space: Services, local: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gradio.routes.attach_oauth", lambda app: None)  # whose libraries need not be here
    demo = build_app(space)
    assert [button.value for button in buttons(demo)] == ["Sign in"]
    assert set(demo.get_api_info()["named_endpoints"]) == {f"/{name}" for name in PUBLIC}
    request = SimpleNamespace(query_params={})
    mine = opened(demo)(BROWSER, request, gr.OAuthProfile(ANN))[0]
    assert mine == token_of(space, BROWSER, ANN)
    assert opened(demo)(BROWSER, request, None)[0] == BROWSER
    assert buttons(build_app(local)) == []
