"""The teacher's desk: only the password opens it, it shows everybody's runs, and what the host does there holds at once."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from playground.runs.limits import PUBLIC
from playground.runs.queue.host_changes import stored
from playground.runs.store.log import LogWriter
from playground.runs.store.run_store import ANONYMOUS, RunNotFound
from playground.train.events import Started, StepDone
from playground.ui import allowance, endpoints, links
from playground.ui.app import launch_options
from playground.ui.desk.desk import POINTS, Desk, limit_label
from playground.ui.desk.desk_routes import HOURS, MAX_BODY, MOST_LOGINS, Logins, routes
from playground.ui.server.logins import LoginThrottle
from playground.ui.services import Services
from playground.ui.train import train_tab
from tests.ui.test_allowance import ANN, BOB, make, services


def hosted(tmp_path: Path, **hosting: Any) -> Services:
    return services(tmp_path, **{"limits": PUBLIC, "host_password": "chalk", **hosting})


class Host:
    """The host's page."""

    def __init__(self, found: Services, password: str = "chalk") -> None:
        self.client = TestClient(Starlette(routes=routes(found)))
        token = self.client.post("/desk/login", json={"password": password}).json().get("token")
        self.client.headers["authorization"] = f"Bearer {token}"

    def state(self) -> dict[str, Any]:
        return self.client.post("/desk/state").json()

    def act(self, action: str, **more: Any) -> str:
        answer = self.client.post("/desk/act", json={"action": action, **more}).json()
        return answer.get("said") or answer["error"]


def test_only_the_password_opens_the_desk(tmp_path: Path) -> None:
    found = hosted(tmp_path)
    run = make(found, "mine")
    for wrong in ("", "Chalk", "chalk ", None, ["chalk"], "\ud800"):
        client = TestClient(Starlette(routes=routes(found)))
        assert client.post("/desk/login", content=json.dumps({"password": wrong})).json() == {
            "error": "This is not the host's password."
        }
        for header in ("", "Bearer ", "Bearer None", "Bearer chalk", f"Bearer {ANN}", "Basic chalk"):
            for path in ("state", "act", "export"):
                answer = client.post(
                    f"/desk/{path}", json={"action": "delete", "id": run.id}, headers={"authorization": header}
                )
                assert (answer.status_code, answer.json()) == (401, {"error": "Log in with the host's password."})
    assert found.store.get(run.id, ANN) == run
    assert routes(services(tmp_path)) == []
    assert run.name in str(Host(found).state())


def test_a_login_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("playground.ui.desk.desk_routes.time.monotonic", lambda: now[0])
    logins = Logins("chalk")
    tokens = [logins.log_in("chalk") for _ in range(MOST_LOGINS + 1)]

    def known(token: str | None) -> bool:
        from starlette.requests import Request

        headers = [(b"authorization", f"Bearer {token}".encode())]
        return logins.knows(Request({"type": "http", "headers": headers}))

    assert [known(token) for token in tokens] == [False] + [True] * MOST_LOGINS
    now[0] += 3600 * HOURS + 1
    assert not any(map(known, tokens))


def test_guesses_are_throttled_and_the_page_holds_nothing(tmp_path: Path) -> None:
    found = hosted(tmp_path)
    make(found, "secret name")
    middleware = [each.cls for each in launch_options(found)["app_kwargs"]["middleware"]]
    assert LoginThrottle in middleware
    page = TestClient(Starlette(routes=routes(found))).get("/desk")
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "secret name" not in page.text
    style = page.text.partition('href="')[2].partition('"')[0]
    text = TestClient(Starlette(routes=routes(found))).get(f"/{style}").text
    assert text.count("--pg-ground:") == 2
    assert "@media (prefers-color-scheme: dark)" in text


def test_large_and_broken_requests(tmp_path: Path) -> None:
    host = Host(hosted(tmp_path))
    for body, sentence in (
        (b"x" * (MAX_BODY + 1), "The request is larger than 100 kB."), (b"[]", "The request must be a JSON object."),
        (b"[" * 90_000, "The request must be a JSON object."), (b'{"action": "x"}', "Action must be one of stop, delete"),
        (b'{"action": "stop", "id": ["x"]}', "This run is not there any more."),
        (b'{"action": "limits", "changes": 3}', "Changes must be limits by name."),
    ):  # fmt: skip
        answer = host.client.post("/desk/act", content=body)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(sentence)


def test_everybodys_runs_the_queue_and_small_curves(tmp_path: Path) -> None:
    found = hosted(tmp_path)
    long, waits = make(found, "long"), make(found, "<b>waits</b>", BOB)
    with LogWriter(long.log) as log:
        for event in (Started(0, 2700, 300, 1, 1, 1.44), *(StepDone(n, n, n, 5 / n, 1.0, 1e-3) for n in range(1, 500))):
            log.append(event)
    found.launcher.start(waits, BOB)
    endpoints.live(found, {"visitor": BOB})
    state = Host(found).state()
    shown = {job["name"]: job for job in state["jobs"]}
    steps, losses = shown["long"]["curves"][0]
    assert POINTS <= len(steps) <= 2 * POINTS
    assert steps[-1] >= 490
    assert losses[-1] < losses[0]
    waiting = shown["<b>waits</b>"]
    assert (waiting["state"], waiting["place"], waiting["loss"]) == ("queued", 1, None)
    people = {person["name"]: person for person in state["people"]}
    owner = waits.owner or ""
    assert people[f"visitor {owner[:4]}"]["here"] is True
    assert people[f"visitor {owner[:4]}"]["active"] == 1
    assert sum(person["here"] for person in state["people"]) == 1
    assert ANN not in str(state)
    assert owner not in str(state), "what identifies a visitor to the store stays there"


def test_stopping_deleting_and_clearing(tmp_path: Path) -> None:
    found = hosted(tmp_path)
    host = Host(found)
    first, second, third = (make(found, name, owner) for name, owner in (("1st", ANN), ("2nd", BOB), ("3rd", BOB)))
    for run, owner in ((first, ANN), (second, BOB), (third, BOB)):
        found.launcher.start(run, owner)
    assert host.act("stop", id=first.id) == "1st is stopped."
    assert host.act("delete", id=second.id) == "2nd is deleted."
    assert host.act("clear") == "1 waiting job stopped."
    assert [(run.name, run.state()) for run in found.store.list()] == [("3rd", "stopped"), ("1st", "stopped")]
    assert host.act("delete", id=second.id) == "This run is not there any more."
    (tmp_path / "gallery").mkdir()
    third.path.rename(tmp_path / "gallery" / third.id)
    assert host.act("delete", id=third.id) == "This run is not there any more.", "reference runs are not the host's"


def test_a_reset_keeps_what_is_pinned(tmp_path: Path) -> None:
    found = hosted(tmp_path)
    host = Host(found)
    kept, goes = make(found, "kept"), make(found, "goes", BOB)
    found.launcher.usage.add(goes.owner, 3_600)
    endpoints.live(found, {"visitor": BOB})
    assert host.act("pin", id=kept.id, pinned=True) == "kept is pinned: everybody can view it."
    assert host.act("reset") == "1 run or race deleted. The next class can begin."
    assert [run.name for run in found.store.list()] == ["kept"]
    assert found.launcher.usage.seconds(goes.owner) == 0
    assert [person["here"] for person in host.state()["people"]] == [False]


def test_a_pinned_run_is_in_everybodys_list_and_only_by_id(tmp_path: Path) -> None:
    found = hosted(tmp_path)
    host, mine, theirs = Host(found), make(found, "mine"), make(found, "theirs", BOB)
    make(found, theirs.id, ANN)  # a name cannot be pinned by a visitor
    assert host.act("pin", id=theirs.id, pinned=True)
    assert [name for name, _ in found.choices(ANN)] == ["theirs · pinned", theirs.id, "mine"]
    assert [name for name, _ in found.choices("")] == ["theirs · pinned"]
    with pytest.raises(ValueError, match="only its owner can change it"):
        found.store.delete(theirs.id, ANN)
    assert host.act("pin", id=theirs.id, pinned=False).startswith("theirs is not pinned any more.")
    assert found.choices("") == []
    assert host.act("pin", id=mine.id, pinned=True)
    assert host.act("delete", id=mine.id) == "mine is deleted."
    assert found.hosting.pinned == ()
    with pytest.raises(RunNotFound):
        found.store.get(mine.id, ANONYMOUS)


def test_limits_hold_at_once_and_after_a_restart(tmp_path: Path) -> None:
    found = hosted(tmp_path)
    host, run = Host(found), make(found, "mine")
    assert host.act("limits", changes={"max_steps": 49, "frozen": ["n_layer"], "trainers": "everyone"}).startswith(
        "Changed."
    )
    with pytest.raises(ValueError, match=r"Steps: this run has 50; the limit here is 49\. Lower them\."):
        found.launcher.start(run, ANN)
    assert host.act("limits", changes={"max_steps": 60, "run_minutes": 2}).startswith("Changed.")
    assert host.state()["limits"]["changed"] == ["Max steps", "Run (minutes)", "Frozen"]
    found.launcher.start(run, ANN)
    found.launcher.stop(run.id, ANN)
    with pytest.raises(ValueError, match="Steps: this run has 70; the limit here is 60"):
        found.launcher.continue_for(run.id, 20, ANN)
    assert found.store.get(run.id, ANN).train.steps == 50
    again = stored(found.started_with or found.hosting, found.store.root)[0]
    assert (again.limits.max_steps, again.limits.frozen) == (60, ("n_layer",))
    assert host.act("limits", changes={"max_steps": -3}) == "Max steps must be a whole number above 0; -3 is not."
    assert found.limits.max_steps == 60
    assert host.act("undo") == "Class code and limits are those of the start."
    assert found.limits == found.launcher.limits == PUBLIC
    assert limit_label("memory_mb") == "Memory (MB)"


def test_a_page_that_opens_shows_the_limits_of_now(tmp_path: Path) -> None:
    found = hosted(tmp_path, limits=PUBLIC)
    Desk(found).act({"action": "limits", "changes": {"frozen": ["n_layer"], "trainers": "owner", "max_steps": 300}})
    with gr.Blocks():
        tab = train_tab.build(services(tmp_path, limits=PUBLIC))
    words, host = allowance.opened(found)
    assert "Only the host can train" in words["value"]
    assert "300 steps" in words["value"]
    assert host["visible"] is True
    assert allowance.opened_settings(found, tab.model, tab.train) == {"n_layer": gr.update(interactive=False)}
    updates = allowance.opened_forms(found, tab.model, tab.train)
    assert updates.count(gr.skip()) == len(updates) - 1 == len(tab.model) + len(tab.train) - 1
    assert links._merged(gr.skip(), gr.update(interactive=False)) == gr.update(interactive=False)
    assert links._merged(3, gr.update(interactive=False)) == gr.update(interactive=False, value=3)
    assert links._merged(3, None) == 3


def test_the_host_takes_all_runs(tmp_path: Path) -> None:
    found = hosted(tmp_path)
    make(found, "a"), make(found, "b", BOB)
    files = zipfile.ZipFile(io.BytesIO(Host(found).client.post("/desk/export").content))
    assert len([name for name in files.namelist() if name.endswith("/settings.json")]) == 2
    assert not any(name.endswith("text.txt") for name in files.namelist())
