"""What a store lives through: both processes killed, a disk only to be read, another version's runs, old age."""

import errno
import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from playground.runs.limits import Limits
from playground.runs.queue.launcher import Launcher
from playground.runs.queue.space import Kept, Space, doomed, folder_bytes
from playground.runs.store import files, status
from playground.runs.store.history import History
from playground.runs.store.run_store import RunNotFound, RunStore
from playground.runs.store.status import Status
from playground.runs.worker.execution import execute
from tests.runs.conftest import MakeRun
from tests.runs.test_launcher import app
from tests.runs.test_worker import assert_same_course, step_of, wait_until

DAY = 86_400.0


@pytest.mark.slow
def test_app_and_worker_killed_together_lose_nothing(store: RunStore, make_run: MakeRun) -> None:
    """kill -9 of both at random moments; PLAYGROUND_KILLS=50 for the long version."""
    rng = random.Random(int.from_bytes(os.urandom(4)))
    wanted = int(os.environ.get("PLAYGROUND_KILLS", "2"))
    shape = {"steps": 60 * (wanted + 1), "checkpoint_interval": 15, "eval_interval": 20, "snapshots": 3}
    run = make_run(**shape)
    acknowledged: list[int] = []
    for kill in range(wanted):
        process = app(store, "--die-with-ui")
        goal = 60 * kill + rng.randrange(60)
        wait_until(lambda goal=goal: step_of(run) >= goal)  # type: ignore[misc]
        pid = status.declared(run.path).pid
        process.kill()
        if status.alive(status.declared(run.path)):
            os.kill(pid, signal.SIGKILL)
        process.communicate()
        wait_until(lambda pid=pid: status.process_start(pid) is None, timeout=10)  # type: ignore[misc]
        assert run.state() in ("crashed", "paused")
        history = History(run.log)
        history.refresh()
        assert history.damaged == 0
        assert history.step >= max(acknowledged, default=0)  # what was on disk before is there still
        acknowledged.append(max(run.steps_available(), default=0))
    process = app(store)
    wait_until(lambda: run.state() == "finished", timeout=120)
    process.communicate()
    reference = make_run(**shape)
    execute(reference)
    assert_same_course(run, reference)


@pytest.fixture
def read_only(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Call it, and the store's disk takes nothing any more. (Tests may run as root, whom file modes do not stop.)"""

    def refuse(path: Any) -> None:
        if str(path).startswith(str(store.root)):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    def guarded(function: Callable[..., Any], writes: Callable[..., bool]) -> Callable[..., Any]:
        def call(path: Any, *arguments: Any, **options: Any) -> Any:
            if writes(*arguments, **options):
                refuse(path)
            return function(path, *arguments, **options)

        return call

    def switch() -> None:
        def for_writing(mode: str = "r", *_: Any, **__: Any) -> bool:
            return mode not in ("r", "rb")

        def flagged(flags: int, *_: Any, **__: Any) -> bool:
            return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))

        monkeypatch.setattr("builtins.open", guarded(open, for_writing))
        monkeypatch.setattr(os, "open", guarded(os.open, flagged))
        for name in ("mkdir", "rename", "replace", "unlink"):
            monkeypatch.setattr(os, name, guarded(getattr(os, name), lambda *_, **__: True))

    return switch


def test_a_read_only_disk_still_shows_what_is_there(
    store: RunStore, make_run: MakeRun, read_only: Callable[[], None], capsys: pytest.CaptureFixture[str]
) -> None:
    finished, waiting = make_run(), make_run()
    execute(finished)
    read_only()
    again = RunStore(store.root)
    assert {run.id for run in again.list()} == {finished.id, waiting.id}
    assert again.get(finished.id).state() == "finished"
    assert again.get(finished.id).steps_available()[-1] == 30
    with Launcher(again, threads=1, spare=False) as launcher:
        for action in (
            lambda: launcher.start(waiting),
            lambda: launcher.stop(waiting.id),
            lambda: again.rename(waiting.id, "b"),
        ):
            with pytest.raises(OSError, match="Read-only file system"):
                action()
        time.sleep(0.2)  # the supervisor goes on trying, and does not fall
        assert launcher._thread.is_alive()
    assert "Read-only file system" in capsys.readouterr().out
    assert waiting.state() == "stopped"


def test_a_disk_that_becomes_read_only_ends_a_training_and_keeps_its_checkpoint(
    make_run: MakeRun, read_only: Callable[[], None]
) -> None:
    run = make_run(steps=100, checkpoint_interval=10)
    ending = execute(run, watch=lambda event: read_only() if getattr(event, "step", 0) == 12 else None)
    assert ending == Status(
        "failed",
        "The disk is read-only. The checkpoint of step 10 is kept. Make it writable, or ask the host to, then resume.",
    )
    assert run.steps_available() == [10]
    assert run.state() == "running"  # nothing could be written about it: while this process lives it is taken for well


def test_a_page_gets_a_sentence_about_the_disk_without_any_path() -> None:
    import gradio as gr

    from playground.ui.services import show_errors

    def handler() -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "/secret/place")

    with pytest.raises(gr.Error, match="The disk of this app does not take it: Read-only file system") as caught:
        show_errors(handler)()
    assert "/secret" not in str(caught.value)


# Other versions


FIRST_FORM = {  # a run as the first version of the playground described it: half of today's settings are missing
    "format": 1, "name": "Old", "created": 1795490241.1, "preset": "modern", "owner": None, "shared": False,
    "model": {
        "vocab_size": 256, "block_size": 16, "n_layer": 1, "n_embd": 16, "n_head": 2, "n_kv_head": 1, "position": "rope",
        "rope_theta": 10000.0, "norm": "rmsnorm", "mlp": "swiglu", "match_parameters": True, "window": 0, "n_sink": 0,
        "bias": False, "tie_embeddings": True, "dropout": 0.0,
    },
    "train": {
        "corpus": "own", "corpus_bytes": 4000000, "tokenizer": "byte", "steps": 20, "batch_size": 2, "grad_accum": 1,
        "learning_rate": 0.002, "min_lr_ratio": 0.1, "warmup_steps": 5, "weight_decay": 0.1, "beta1": 0.9, "beta2": 0.99,
        "grad_clip": 1.0, "eval_interval": 10, "eval_tokens": 64, "validation_fraction": 0.1, "sample_interval": 0,
        "prompt": "", "checkpoint_interval": 10, "snapshots": 0, "seed": 0,
    },
}  # fmt: skip


def test_a_run_of_the_first_version_is_read_and_trains(store: RunStore, make_run: MakeRun) -> None:
    run = make_run()
    (run.path / "run.json").write_text(json.dumps(FIRST_FORM))
    old = RunStore(store.root).get(run.id)
    assert (old.name, old.model.norm_placement, old.train.optimizer) == ("Old", "pre", "adamw")
    assert execute(old).state == "finished"
    assert store.unreadable() == ()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": 2}, "was made by another version of the playground. Open it with that version"),
        ({"format": None}, "was made by another version"),
        (
            {"model": {"n_layer": 1, "warp_drive": True}},
            "has settings that this version of the playground does not know.",
        ),
        ({"train": {"steps": "many"}}, "has settings that this version of the playground does not know."),
        (None, "is damaged: its description cannot be read."),
    ],
)
def test_what_cannot_be_read_is_said_and_left_alone(
    store: RunStore, make_run: MakeRun, change: dict[str, Any] | None, sentence: str
) -> None:
    run, good = make_run(), make_run()
    values = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text("{" if change is None else json.dumps({**values, **change}))
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    again = RunStore(store.root)
    assert [found.id for found in again.list()] == [good.id]
    with pytest.raises(RunNotFound):
        again.get(run.id)
    (said,) = again.unreadable()
    assert said.startswith(f"{run.id[:8]} {sentence}")
    again.sweep()
    Space(again).tidy(Limits(total_mb=1), keep_days=0.0001, now=time.time() + 400 * DAY)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before


# What goes when there is too much


def kept(name: str, days: float, size: int = 10, shared: bool = False) -> Kept:
    return Kept(name, Path(name), size, 1000 * DAY - days * DAY, shared)


def names(found: list[Kept]) -> str:
    return "".join(one.id for one in found)


def test_the_oldest_go_first_and_what_is_shared_last() -> None:
    runs = [kept("a", 1), kept("b", 30), kept("c", 9, shared=True), kept("d", 20), kept("e", 50, shared=True)]
    now = 1000 * DAY
    assert names(doomed(runs, None, None, now)) == ""
    assert names(doomed(runs, 40, None, now)) == ""  # e is older, but shared
    assert names(doomed(runs, 25, None, now)) == "b"
    assert names(doomed(runs, 10, None, now)) == "b"  # one in ten at a time, at least one: d goes in the next pass
    assert names(doomed(runs, None, 50, now)) == ""
    assert names(doomed(runs, None, 49, now)) == "b"
    assert names(doomed(runs, None, 20, now)) == "bda"
    assert names(doomed(runs, None, 10, now)) == "bdae"
    assert names(doomed(runs, None, -5, now)) == "bdaec"
    assert names(doomed(runs, 25, 20, now)) == "bda"


def test_a_clock_that_jumps_takes_a_tenth_not_everything() -> None:
    runs = [kept(f"{n}", 1) for n in range(40)]
    assert len(doomed(runs, 14, None, 1000 * DAY)) == 0
    assert len(doomed(runs, 14, None, 9000 * DAY)) == 4
    assert doomed(runs, 14, 0, 0.0) == []


def test_tidying_spares_what_trains_waits_or_ships(store: RunStore, make_run: MakeRun, tmp_path: Path) -> None:
    old, waiting, shared, gallery = (
        make_run(name=name, owner="ann") for name in ("old", "waiting", "shared", "gallery")
    )
    status.declare(waiting.path, Status("queued", queued=1.0))
    store.share(shared.id, True, "ann")
    (tmp_path / "gallery").mkdir()
    gallery.path.rename(tmp_path / "gallery" / gallery.id)
    space = Space(store)
    assert space.tidy(Limits(), None, now=time.time() + 999 * DAY) == []  # a local store keeps everything
    assert space.tidy(Limits(), 14) == []
    assert space.tidy(Limits(), 14, now=time.time() + 15 * DAY) == [old.id]
    assert {run.name for run in store.list()} == {"waiting", "shared", "gallery"}
    (shared.path / "padding").write_bytes(b"x" * 1_200_000)
    assert space.total() < 10_000_000
    assert space.tidy(Limits(total_mb=1), None) == []  # somebody has just worked on it
    assert space.tidy(Limits(total_mb=1), None, now=time.time() + 3600) == [shared.id]
    assert {run.name for run in store.list()} == {"waiting", "gallery"}
    assert folder_bytes(tmp_path / "nowhere") == 0


def test_a_launcher_tidies_when_a_start_finds_no_room(store: RunStore, make_run: MakeRun) -> None:
    old, new = make_run(owner="ann"), make_run(owner="bob")
    (old.path / "padding").write_bytes(b"x" * 1_500_000)
    for path in old.path.iterdir():
        os.utime(path, (time.time() - 3600,) * 2)
    with Launcher(store, supervise=False, spare=False, limits=Limits(total_mb=1)) as launcher:
        with pytest.raises(
            ValueError, match=r"Disk space: all runs here use .* Old runs are deleted every few minutes"
        ):
            launcher.start(new, "bob")
        launcher._tick()
        assert not old.path.exists()
        launcher.space._total = None
        assert launcher.start(new, "bob").state == "queued"


def test_a_disk_that_runs_full_while_tidying_is_no_catastrophe(
    store: RunStore, make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    monkeypatch.setattr(files.os, "rename", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(OSError, match="No space"):
        Space(store).tidy(Limits(), 14, now=time.time() + 99 * DAY)
    assert run.path.exists()
