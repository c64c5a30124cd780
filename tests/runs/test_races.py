"""Races in the store and in a worker: whole or not at all, everyone's own, and bit for bit what the runs would be alone."""

import json
import time
from pathlib import Path

import pytest

from playground.runs.create import prepare_run
from playground.runs.queue.launcher import Launcher
from playground.runs.races import (
    RaceNotFound,
    create_race,
    delete_race,
    get_race,
    list_races,
    own_race,
    prepare_race,
    rename_race,
    share_race,
)  # fmt: skip
from playground.runs.store import status
from playground.runs.store.run_store import ANONYMOUS, RunNotFound, RunStore, hashed
from playground.runs.worker.execution import execute
from playground.runs.worker.racing import execute_race
from playground.train.events import StepDone
from playground.train.race_spec import Arm, RaceSpec
from tests.runs.conftest import TEXT, fork_worker
from tests.runs.test_worker import assert_same_course, losses, validation

SHARED = {
    "n_layer": 1, "n_embd": 16, "n_head": 2, "block_size": 16, "batch_size": 2, "eval_tokens": 64, "eval_interval": 10,
    "checkpoint_interval": 5, "dropout": 0.1,
}  # fmt: skip
SPEC = RaceSpec(
    "a race", (Arm("Classic", "classic"), Arm("Modern", "modern")), SHARED, "steps", 20, (0, 1), "parameters"
)
ALICE, BOB = "a" * 32, "b" * 32


def make(store, spec=SPEC, **options):
    return create_race(store, prepare_race(spec, TEXT), **options)


def members(race):
    return [run for arm in race.members for run in arm]


def test_a_race_appears_whole_and_its_runs_are_ordinary(store):
    race = make(store)
    assert [race.id for race in list_races(store)] == [race.id]
    assert {run.id for run in store.list()} == {run.id for run in members(race)}
    assert [[run.train.seed for run in arm] for arm in race.members] == [[0, 1], [0, 1]]
    assert [[run.preset for run in arm] for arm in race.members] == [["classic"] * 2, ["modern"] * 2]
    assert store.get(race.runs[1][0]).own_text() == TEXT
    assert race.solved[0] == ""
    assert race.solved[1].startswith("MLP hidden size")
    assert all(run.state() == "stopped" for run in members(race))


def test_nothing_is_left_when_writing_fails(store, monkeypatch):
    monkeypatch.setattr(
        "playground.runs.store.run_store.write_bytes",
        lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")),
    )
    with pytest.raises(ValueError, match="could not be written: No space left"):
        make(store)
    assert [path for path in store.root.iterdir() if path.name != ".lock"] == []


@pytest.mark.slow
def test_each_run_of_a_race_is_what_it_would_be_alone(store, tmp_path):
    race = make(store)
    assert execute_race(race).state == "finished"
    alone_store = RunStore(tmp_path / "alone")
    for run in members(race):
        alone = alone_store.create(
            run.model, run.train, run.tokenizer, name=run.name, preset=run.preset, own_text=TEXT
        )  # fmt: skip
        assert execute(alone).state == "finished"
        assert_same_course(run, alone)
        assert run.state() == "finished"


def test_no_arm_always_comes_second(store):
    """The second of a pair is measured a little faster, so the arms of every other seed take their turns backwards."""
    race, steps = make(store), []
    execute_race(race, watch=lambda run, event: steps.append(run.id) if isinstance(event, StepDone) else None)
    ids = [[run.id for run in arm] for arm in race.members]
    by_seed = [[arm[seed] for arm in ids] for seed in range(2)]
    once_round = [*by_seed[0], *reversed(by_seed[1])]
    assert steps[: len(once_round)] == once_round


@pytest.mark.slow
@pytest.mark.parametrize("cut", [1, 7, 33, 79])
def test_paused_and_resumed_a_race_is_the_same(store, cut):
    race, twin, seen = make(store), make(store), []

    def watch(run, event):
        seen.append(event)
        if sum(isinstance(event, StepDone) for event in seen) == cut:
            status.request(race.path, "pause")

    assert execute_race(race, watch=watch).state == "paused"
    assert {run.state() for run in members(race)} <= {"paused", "finished"}
    assert execute_race(race).state == "finished"
    assert execute_race(twin).state == "finished"
    for ours, theirs in zip(members(race), members(twin), strict=True):
        assert_same_course(ours, theirs)


@pytest.mark.slow
def test_killed_and_resumed_a_race_is_the_same(store, workers):
    spec = RaceSpec.from_dict({**SPEC.to_dict(), "amount": 200})
    race, twin = make(store, spec), make(store, spec)
    for kill_at in (8, 30):
        worker = fork_worker(workers, race.path)
        while min(max(losses(run), default=0) for run in members(race)) < kill_at:
            assert worker.poll() is None
            time.sleep(0.01)
        worker.kill()
        worker.wait()
        assert race.status().state == "crashed"
        assert {run.state() for run in members(race)} == {"crashed"}
    assert execute_race(race).state == "finished"
    assert execute_race(twin).state == "finished"
    for ours, theirs in zip(members(race), members(twin), strict=True):
        assert_same_course(ours, theirs)
        assert [step for step, _, _ in validation(ours)] == list(range(0, 201, 10))


def test_an_arm_that_diverges_says_so_and_the_others_go_on(store):
    wild = Arm("Wild", "modern", {"learning_rate": 1.0, "optimizer": "sgd", "grad_clip": 0.0, "weight_decay": 10.0})
    shared = {**SHARED, "dropout": 0.0, "warmup_steps": 0, "checkpoint_interval": 40}
    race = make(store, RaceSpec("wild", (Arm("Calm", "modern"), wild), shared, "steps", 40, (0, 1), "none"))
    ending = execute_race(race)
    assert ending.state == "finished"
    states = [[run.state() for run in arm] for arm in race.members]
    assert states == [["finished"] * 2, ["diverged"] * 2]
    assert "2 of 4 runs diverged" in ending.message
    assert "Try a lower learning rate" in race.members[1][0].status().message
    assert max(losses(race.members[0][0])) == 40


@pytest.mark.slow
def test_a_launcher_trains_a_race_and_its_buttons_work(store):
    spec = RaceSpec.from_dict({**SPEC.to_dict(), "amount": 5000, "shared": {**SHARED, "eval_interval": 500}})
    race = make(store, spec)
    with Launcher(store, spare=False, threads=1) as launcher:
        launcher.start(race)
        wait(lambda: race.status().state == "running" and all(losses(run) for run in members(race)))
        with pytest.raises(ValueError, match="part of a race"):
            launcher.pause(race.runs[0][0])
        launcher.pause(race.id)
        wait(lambda: race.status().state == "paused")
        launcher.resume(race.id)
        wait(lambda: race.status().state == "running")
        launcher.stop(race.id)
        wait(lambda: race.status().state == "stopped")
        with pytest.raises(ValueError, match="one budget for all"):
            launcher.continue_for(race.id, 10)
        wait(lambda: not launcher._workers)  # the process has ended and is buried
    delete_race(store, race.id)
    assert store.list() == []
    with pytest.raises(RaceNotFound):
        get_race(store, race.id)


def wait(what, seconds=60):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_race_belongs_to_its_owner(store):
    race = make(store, owner=ALICE)
    assert [r.id for r in list_races(store, ALICE)] == [race.id]
    assert list_races(store, BOB) == []
    for forbidden in (get_race, delete_race):
        with pytest.raises(RaceNotFound):
            forbidden(store, race.id, BOB)
    with pytest.raises(RaceNotFound):
        share_race(store, race.id, True, BOB)
    with pytest.raises(RaceNotFound):
        rename_race(store, race.id, "mine", BOB)
    with pytest.raises(RunNotFound):
        store.get(race.runs[0][0], BOB)
    share_race(store, race.id, True, ALICE)
    assert get_race(store, race.id, BOB).name == "a race"
    assert store.get(race.runs[0][0], BOB).train.seed == 0
    with pytest.raises(ValueError, match="shared with you to look at"):
        delete_race(store, race.id, BOB)
    share_race(store, race.id, False, ALICE)
    with pytest.raises(RunNotFound):
        store.get(race.runs[0][0], BOB)


@pytest.mark.parametrize("bad", ["", "../x", "0" * 32 + "0", "g" * 28 + "0000", None, 3, "0" * 32, ["a"]])
def test_ids_that_are_none(store, bad):
    with pytest.raises(RaceNotFound):
        get_race(store, bad)


def test_runs_of_a_race_cannot_be_changed_alone(store):
    race = make(store)
    for change in (lambda id_: store.delete(id_), lambda id_: store.extend(id_, 5)):
        with pytest.raises(ValueError, match="part of a race"):
            change(race.runs[0][0])


def test_names_are_kept_apart(store):
    first, second = make(store), make(store)
    assert (first.name, second.name) == ("a race", "a race (2)")
    assert rename_race(store, second.id, "another").name == get_race(store, second.id).name == "another"


def test_a_damaged_race_is_none(store):
    race = make(store)
    (race.path / "race.json").write_text(json.dumps({"format": 1, "spec": {}}))
    assert list_races(store) == []
    with pytest.raises(RaceNotFound):
        get_race(store, race.id)


def test_a_race_over_the_machines_memory_is_refused():
    with pytest.raises(ValueError, match=r"This race's 4 models need about 0\.3 GB of memory together; 0\.1 GB is the"):
        prepare_race(SPEC, TEXT, memory_limit=100_000_000)


def test_a_text_too_short_is_refused_with_the_arm():
    with pytest.raises(ValueError, match=r"Arm Classic: The text has \d+ tokens"):
        prepare_race(SPEC, "too short a text for a window of sixteen")


def test_a_budget_in_seconds_becomes_steps():
    spec = RaceSpec.from_dict({**SPEC.to_dict(), "budget": "seconds", "amount": 1.0, "match": "none"})
    shared = {name: value for name, value in SHARED.items() if name != "eval_interval"}
    prepared = prepare_race(RaceSpec.from_dict({**spec.to_dict(), "shared": shared}), TEXT)
    assert all(5 < arm.train.steps < 5000 for arm in prepared.arms)


def test_no_path_of_a_race_depends_on_its_name(store):
    race = make(store, name="../../etc: <b>")
    assert race.path == store.root / race.id
    assert Path(race.path / "arms").is_dir()


def test_prepare_run_and_race_agree_on_configs():
    prepared = prepare_race(RaceSpec.from_dict({**SPEC.to_dict(), "match": "none"}), TEXT)
    names = {"n_layer", "n_embd", "n_head", "block_size", "dropout"}
    alone = prepare_run("modern", {name: SHARED[name] for name in names}, own_text=TEXT)
    assert prepared.arms[1].model == alone.model


def test_an_anonymous_visitor_owns_no_race(store):
    with pytest.raises(ValueError, match=r"^Only a visitor with a token can do this\. Reload the page;"):
        make(store, owner=ANONYMOUS)
    race = make(store, owner="ann")
    described = race.path / "race.json"
    described.write_text(json.dumps({**json.loads(described.read_text()), "owner": hashed(ANONYMOUS)}))
    assert list_races(store, ANONYMOUS) == []
    with pytest.raises(ValueError, match="not found"):
        own_race(store, race.id, ANONYMOUS)
