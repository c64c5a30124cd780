"""What a visitor may use: each limit refuses in one sentence, wherever one tries."""

import json
import re
import threading
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from playground.config import PRESETS, ModelConfig, TrainConfig, preset, recipe
from playground.races.recipes import RECIPES, race_of
from playground.races.tokenizer_comparison import Arm
from playground.races.tokenizer_comparison import _plan as duel_plan
from playground.runs.create import prepare_run
from playground.runs.limits import CLASSROOM, LOCAL, PUBLIC, Limits
from playground.runs.queue.usage import BIN_SECONDS, Usage
from playground.runs.races import create_race, plan_race, prepare_race
from playground.runs.store import checkpoints, status
from playground.runs.store.run_store import RunStore
from playground.runs.store.status import Status
from playground.runs.worker import watchdog
from playground.runs.worker.execution import execute
from playground.runs.worker.racing import execute_race
from playground.runs.worker.watchdog import Watchdog, WorkerLimits
from playground.runs.worker.worker import JobSpec
from playground.train.estimate import estimate
from playground.train.race_spec import RaceSpec
from playground.train.trainer import TrainState
from tests.runs.conftest import TEXT, MakeRun

SMALL = {"block_size": 16, "n_layer": 1, "n_embd": 16, "n_head": 2}
RACE = {"arms": ["classic", "modern"], "shared": {**SMALL, "corpus": "own"}, "amount": 3, "seeds": 2}
REFUSED = [  # what is too large, limits, the sentence's beginning
    ({"n_embd": 32}, {}, {"max_parameters": 9_000}, r"Parameters: this model has \d+,\d+; the limit here is 9,000. Lower"),
    ({"block_size": 32}, {}, {"max_context": 16}, "Context length: this model has 32 tokens; the limit here is 16."),
    ({}, {"grad_accum": 3, "batch_size": 2}, {"max_batch_tokens": 95}, "Batch: a step reads 96 tokens; the limit here is"),
    ({}, {}, {"max_vocabulary": 255}, "Vocabulary size: this model has 256 tokens; the limit here is 255."),
    ({}, {}, {"memory_mb": 200}, "Memory: this r[a-z]+ needs about 3.. MB; the limit here is 200. Lower the "),
    ({"n_embd": 64}, {}, {"visitor_mb": 1}, "Disk space: this r[a-z]+ needs up to .* MB; the limit here is 1. Lower"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "train", "limits", "sentence"), REFUSED)
def test_what_is_too_large_is_refused_with_a_sentence(model: Any, train: Any, limits: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        prepare_run("modern", {**SMALL, **model}, {"warmup_steps": 1, **train}, TEXT, limits=Limits(**limits))
    spec = RaceSpec.from_dict({**RACE, "shared": {**RACE["shared"], **model, **train}})
    with pytest.raises(ValueError, match=sentence.replace("this run", "this race")):
        prepare_race(spec, TEXT, limits=Limits(**limits))


@pytest.mark.parametrize(("model", "train", "limits", "sentence"), REFUSED)
def test_the_worker_refuses_a_folder_that_is_over_its_limits(
    store: RunStore, model: Any, train: Any, limits: Any, sentence: str
) -> None:
    """Whoever wrote the folder: the limits are the worker's."""
    prepared = prepare_run("modern", {**SMALL, **model}, {"warmup_steps": 1, "steps": 5, **train}, TEXT)
    run = store.create(prepared.model, prepared.train, prepared.tokenizer, name="big", preset="modern", own_text=TEXT)
    ending = execute(run, guard=WorkerLimits(Limits(**limits)))
    assert ending.state == "failed"
    assert ending.message.startswith(sentence.partition(":")[0] + ":")
    assert not run.log.exists() or b"step" not in run.log.read_bytes()
    assert run.steps_available() == []


def test_the_worker_refuses_a_race_that_is_over_its_limits(store: RunStore) -> None:
    race = create_race(store, prepare_race(RaceSpec.from_dict(RACE), TEXT))
    ending = execute_race(race, guard=WorkerLimits(Limits(max_parameters=1_000)))
    assert ending.state == "failed"
    assert ending.message.startswith("Parameters: this model has ")
    assert all(run.steps_available() == [] for arm in race.members for run in arm)


def test_everything_one_click_starts_is_allowed_in_public() -> None:
    for limits in (PUBLIC, CLASSROOM):
        for name in PRESETS:
            limits.check_run(preset(name, **recipe(name, ModelConfig)), TrainConfig(**recipe(name, TrainConfig)))
            limits.check_run(preset(name), TrainConfig())
        for question in RECIPES.values():
            arms = plan_race(race_of(question))
            limits.check_race([(arm.model, arm.train) for arm in arms], 3)
        for kind, size in (("byte", 0), ("bpe", 512), ("bpe", 2000)):
            model = preset("modern", n_embd=128, n_layer=4, n_head=4, block_size=128, vocab_size=max(size, 256))
            plan = duel_plan(Arm("arm", kind, size, model.vocab_size, 3.0), model, TrainConfig(warmup_steps=0), 1e13)
            limits.check_run(plan.model, plan.train)
        assert limits.waiting_runs is not None
        assert limits.waiting_runs >= 4  # the arms of a duel


def test_frozen_settings_stay_as_they_are_found() -> None:
    limits = Limits(frozen=("learning_rate", "n_layer", "mlp"))
    same = {**SMALL, "n_layer": 4, "mlp": "swiglu"}
    prepare_run("modern", same, {"learning_rate": 3e-3, "warmup_steps": 1}, TEXT, limits=limits)
    with pytest.raises(
        ValueError, match=r"Learning rate is fixed here at 0.003; 0.01 was requested. Leave it unchanged."
    ):
        prepare_run("modern", same, {"learning_rate": 0.01}, TEXT, limits=limits)
    with pytest.raises(ValueError, match="MLP is fixed here at SwiGLU; GELU was requested"):
        prepare_run("modern", {**same, "mlp": "gelu"}, {}, TEXT, limits=limits)
    shared = {"shared": {"corpus": "own", "block_size": 16, "n_layer": 2}}  # two layers is what races start with
    prepare_race(RaceSpec.from_dict({**RACE, **shared}), TEXT, limits=limits)
    with pytest.raises(ValueError, match="Layers is fixed here at 4; 3 was requested"):
        prepare_race(RaceSpec.from_dict({**RACE, "shared": {"corpus": "own", "n_layer": 3}}), TEXT, limits=limits)
    with pytest.raises(ValueError, match="MLP is fixed here"):
        prepare_race(
            RaceSpec.from_dict({**RACE, **shared, "arms": ["modern", "modern + mlp=gelu"]}), TEXT, limits=limits
        )


def test_limits_travel_to_a_worker_and_nonsense_does_not() -> None:
    limits = replace(CLASSROOM, frozen=("mlp",), trainers="owner")
    assert Limits.from_dict(json.loads(json.dumps(limits.to_dict()))) == limits
    order = JobSpec.read(json.dumps({"run": "/r", "cache": None, "limits": limits.to_dict(), "seconds": 3.5}))
    assert (order.folder, order.guard) == (Path("/r"), WorkerLimits(limits, 3.5, deadly=True))
    for wrong in ({"max_parameters": 0}, {"max_parameters": 1.5}, {"run_minutes": float("nan")}, {"visitor_mb": True},
                  {"queue_length": "many"}, {"unheard_of": 1}, {"trainers": "me"}, {"frozen": ["nothing"]}):  # fmt: skip
        with pytest.raises(ValueError, match=f"{next(iter(wrong))}|Unknown limit"):
            Limits.from_dict(wrong)
    assert LOCAL.in_words() == ""
    assert "5,000,000 parameters" in PUBLIC.in_words()
    assert all(getattr(LOCAL, item.name) is None for item in fields(Limits) if "help" in item.metadata)


# Time and memory


@pytest.mark.slow
def test_a_run_ends_at_its_time_limit_with_a_checkpoint(make_run: MakeRun) -> None:
    run = make_run(steps=100_000, checkpoint_interval=100_000)
    ending = execute(run, guard=WorkerLimits(Limits(run_minutes=0.02)))
    step = run.steps_available()[-1]
    assert ending.state == "stopped"
    assert ending.message == (
        "Time: the limit here is 0.02 min of training per run, and it is reached. Start one with fewer steps or a "
        "smaller model. "
        f"The checkpoint of step {step:,} is kept."
    )
    assert checkpoints.counters(run.path, step)["seconds"] > 0.2
    again = execute(run, guard=WorkerLimits(Limits(run_minutes=0.001)))  # what was trained before counts
    assert again.state == "stopped"
    assert run.steps_available()[-1] <= step + 1
    later = execute(run, guard=WorkerLimits(Limits(daily_minutes=30), seconds=0.2))
    assert "the limit of 30 min of training per visitor within 24 hours is reached" in later.message


def test_a_race_ends_at_its_time_limit_with_checkpoints(store: RunStore) -> None:
    race = create_race(store, prepare_race(RaceSpec.from_dict({**RACE, "amount": 20_000}), TEXT))
    ending = execute_race(race, guard=WorkerLimits(Limits(run_minutes=0.01)))
    assert ending.state == "stopped"
    assert ending.message.startswith("Time: the limit here is 0.01 min of training per race")
    assert all(run.steps_available() for arm in race.members for run in arm)


def test_a_run_that_grows_past_its_memory_is_ended_and_keeps_its_checkpoint(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(steps=100_000, checkpoint_interval=10)
    sizes = {"now": 300_000_000}
    monkeypatch.setattr(watchdog, "used_memory", lambda: sizes["now"])
    ending = execute(
        run,
        guard=WorkerLimits(Limits(memory_mb=700)),
        watch=lambda event: sizes.update(now=701_000_000) if getattr(event, "step", 0) == 15 else None,
    )
    assert ending.state == "failed"
    assert ending.message.startswith(
        "Memory: the training process took 701 MB; the limit here is 700 MB. Lower the batch"
    )
    assert f"The checkpoint of step {run.steps_available()[-1]:,} is kept." in ending.message
    assert execute(run, guard=WorkerLimits(seconds=0.1)).state == "stopped"  # it can go on where there is more


def test_a_machine_that_runs_out_of_memory_ends_the_training_not_everything(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(steps=100_000)
    free = iter([10**10])  # at the start there was enough
    monkeypatch.setattr(watchdog, "free_memory", lambda: next(free, 50_000_000))
    ending = execute(run)
    assert ending.state == "failed"
    assert ending.message.startswith("Memory: only 50 MB were left on this machine, ")
    assert "is kept" in ending.message


def test_two_sizes_of_memory_that_round_alike_are_told_apart(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    need = estimate(run.model, run.train).memory_bytes - watchdog.PROCESS_BYTES
    monkeypatch.setattr(watchdog, "free_memory", lambda: need - 100_000)
    sizes = re.findall(r"([\d.,]+) MB", execute(run).message)
    assert len(sizes) == 2 and float(sizes[0]) > float(sizes[1])
    limits = Limits(memory_mb=100)
    with pytest.raises(
        ValueError, match=r"Memory: this run needs about 100\.4 MB; the limit here is 100\.0\. Lower the batch"
    ):
        limits._check_memory(100_400_000, "this run", "the batch size")


def test_a_race_that_was_ended_says_which_runs_have_checkpoints(store: RunStore) -> None:
    race = create_race(store, prepare_race(RaceSpec.from_dict(RACE), TEXT))
    assert watchdog.newest(race) == "No checkpoint was saved yet."
    first = race.members[0][0]
    state = TrainState.new(first.model, first.train)
    checkpoints.save_checkpoint(first.path, state.tensors(), state.counters())
    n_runs = sum(len(arm) for arm in race.members)
    assert watchdog.newest(race) == f"Checkpoints of 1 of {n_runs} runs are kept."


def test_a_run_that_does_not_fit_any_more_does_not_start(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    monkeypatch.setattr(watchdog, "free_memory", lambda: 2_000)
    ending = execute(run)
    assert (ending.state, run.steps_available()) == ("failed", [])
    assert "0 MB are free on this machine now. Close other programs and resume" in ending.message


def test_a_training_that_does_not_come_to_its_next_step_is_ended(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(checkpoint_interval=10)
    execute(run, guard=WorkerLimits(seconds=0.05), watch=lambda event: None)
    ended: list[int] = []
    over = threading.Event()
    monkeypatch.setattr(watchdog, "PATIENCE", {"time": 0.1, "memory": 0.1})
    monkeypatch.setattr(watchdog.os, "_exit", lambda code: (ended.append(code), over.set()))
    status.declare(run.path, Status("running"))
    with Watchdog(run, WorkerLimits(seconds=0.0, deadly=True)) as dog:
        assert over.wait(5)  # nobody obeys
        assert dog.verdict
    assert ended == [1]
    assert run.state() == "stopped"
    assert "of training per visitor within 24 hours is reached" in run.status().message
    assert "checkpoint" in run.status().message


# What was used


def test_what_is_used_is_kept_and_comes_back_after_a_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"now": 1_000_000 * BIN_SECONDS + 5.0}
    monkeypatch.setattr("playground.runs.queue.usage.time.time", lambda: clock["now"])
    usage, reader = Usage(tmp_path / "usage.json"), Usage(tmp_path / "usage.json")
    usage.add("ann", 30)
    usage.add("bob", 5)
    assert (usage.seconds("ann"), reader.seconds("ann")) == (30, 0)
    usage.flush()
    usage.add("ann", 10)
    assert (usage.seconds("ann"), reader.seconds("ann"), reader.seconds(None)) == (40, 30, 0)
    clock["now"] += 12 * 3600
    usage.flush()
    assert reader.seconds("ann") == 40
    assert 11.9 * 3600 < reader.returns_in("ann") < 12.2 * 3600
    clock["now"] += 12 * 3600 + BIN_SECONDS
    assert (reader.seconds("ann"), reader.seconds("bob"), usage.seconds("ann")) == (10, 0, 10)
    clock["now"] += 12 * 3600
    assert (reader.seconds("ann"), reader.returns_in("ann")) == (0, 0)


def test_a_clock_that_jumps_neither_frees_nor_locks_out_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = {"now": 2e9}
    monkeypatch.setattr("playground.runs.queue.usage.time.time", lambda: clock["now"])
    usage = Usage(tmp_path / "usage.json")
    usage.add("ann", 60)
    usage.flush()
    clock["now"] = 1.7e9  # ten years back
    assert Usage(tmp_path / "usage.json").seconds("ann") == 60
    usage.add("ann", 1)
    usage.flush()
    assert Usage(tmp_path / "usage.json").seconds("ann") == 61
    clock["now"] += 25 * 3600
    assert Usage(tmp_path / "usage.json").seconds("ann") == 0


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"ann": 3}', '{"ann": {"x": 1, "12": "a", "-3": 2, "7": null}}', '{"ann": {"9": 1e99}}'],
)
def test_a_damaged_file_of_use_is_an_empty_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "usage.json").write_text(text)
    usage = Usage(tmp_path / "usage.json")
    assert usage.seconds("ann") == 0
    usage.add("ann", 2)
    usage.flush()
    assert Usage(tmp_path / "usage.json").seconds("ann") == 2


def test_what_cannot_be_written_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = Usage(tmp_path / "usage.json")
    usage.add("ann", 2)
    with monkeypatch.context() as broken:
        broken.setattr(
            "playground.runs.queue.usage.write_json", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left"))
        )
        with pytest.raises(OSError, match="No space"):
            usage.flush()
    assert usage.seconds("ann") == 2
    usage.flush()
    assert Usage(tmp_path / "usage.json").seconds("ann") == 2
