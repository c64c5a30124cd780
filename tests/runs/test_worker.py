import errno
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from safetensors import SafetensorError

from playground.config import ModelConfig
from playground.runs.store import checkpoints, status
from playground.runs.store.files import Lock
from playground.runs.store.history import History
from playground.runs.store.log import Tail
from playground.runs.store.processes import environment
from playground.runs.store.run_store import Run, RunStore
from playground.runs.worker import execution, failures
from playground.runs.worker.execution import AlreadyRunningError, execute
from playground.train.events import Event, StepDone
from tests.forks import Forked, Forks
from tests.runs.conftest import MakeRun, fork_worker

Worker = TypeVar("Worker", subprocess.Popen[bytes], Forked)


def losses(run: Run) -> dict[int, float]:
    history = History(run.log)
    history.refresh()
    assert history.damaged == 0
    return dict(zip(history.train["step"], history.train["loss"], strict=True))


def validation(run: Run) -> list[tuple[int, float, float]]:
    history = History(run.log)
    history.refresh()
    return [(event.step, event.loss, event.accuracy) for event in history.validation]


def weights(run: Run) -> dict[str, torch.Tensor]:
    saved = checkpoints.load_checkpoint(run.path)
    assert saved is not None
    return saved.tensors["model"] | saved.tensors["optimizer"]


def assert_same_course(run: Run, reference: Run) -> None:
    """Bit for bit the same losses, evaluations, weights and moments."""
    assert losses(run) == losses(reference)
    assert validation(run) == validation(reference)
    ours, theirs = weights(run), weights(reference)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def at_step(step: int, action: Callable[[], None]) -> Callable[[Event], None]:
    def watch(event: Event) -> None:
        if isinstance(event, StepDone) and event.step == step:
            action()

    return watch


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (KeyboardInterrupt(), "Interrupted. The checkpoint of step 20 is kept."),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "Disk full. The checkpoint of step 20 is kept. Free some space",
        ),
    ],
)
def test_a_run_that_ends_before_it_has_read_its_checkpoint_says_that_there_is_one(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, error: BaseException, sentence: str
) -> None:
    run = make_run()
    execute(run, watch=at_step(20, lambda: status.request(run.path, "pause")))

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(execution, "dataset", fails)
    status.withdraw(run.path)
    assert execute(run).message.startswith(sentence)


def test_a_run_trains_to_its_end(make_run: MakeRun) -> None:
    run = make_run(snapshots=4)
    seen: list[Event] = []
    ending = execute(run, watch=seen.append)
    assert (ending.state, ending.message) == ("finished", "")
    assert run.state() == "finished"
    assert [row["event"] for row in Tail(run.log).rows()] == [type(event).__name__ for event in seen]
    assert list(losses(run)) == list(range(1, 31))
    assert [step for step, _, _ in validation(run)] == [0, 10, 20, 30]
    assert checkpoints.steps(run.path, "checkpoints") == [20, 30]
    assert checkpoints.steps(run.path, "snapshots") == [0, 2, 9, 30]
    assert run.steps_available() == [0, 2, 9, 20, 30]


@pytest.mark.parametrize("what", ["pause", "stop"])
def test_a_request_is_obeyed_within_one_step(make_run: MakeRun, what: Any) -> None:
    run = make_run()
    ending = execute(run, watch=at_step(13, lambda: status.request(run.path, what)))
    assert ending.state == run.state() == {"pause": "paused", "stop": "stopped"}[what]
    assert max(losses(run)) == 13
    assert checkpoints.steps(run.path, "checkpoints")[-1] == 13


@pytest.mark.parametrize("steps", [(1,), (10,), (13, 14, 29)])
def test_paused_and_resumed_it_is_the_same_run(make_run: MakeRun, steps: tuple[int, ...]) -> None:
    reference, run = make_run(), make_run()
    execute(reference)
    for step in steps:
        interrupted = threading.Event()
        assert execute(run, interrupted=interrupted, watch=at_step(step, interrupted.set)).state == "paused"
    assert execute(run).state == "finished"
    assert_same_course(run, reference)


def test_resuming_without_the_newest_checkpoint_is_the_same_run_and_says_so(make_run: MakeRun) -> None:
    reference, run = make_run(), make_run()
    execute(reference)
    execute(run, watch=at_step(23, lambda: status.request(run.path, "pause")))
    assert checkpoints.steps(run.path, "checkpoints") == [20, 23]
    path = run.path / "checkpoints" / "step_00000023" / "optimizer.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)
    messages = []
    ending = execute(run, watch=lambda event: messages.append(run.status().message))
    assert ending.state == "finished"
    for message in (ending.message, messages[0]):
        assert message.startswith("The checkpoint of step 23 is damaged: optimizer.safetensors does not have")
        assert message.endswith("Resumed from step 20.")
    assert_same_course(run, reference)


def test_with_no_good_checkpoint_it_starts_over(make_run: MakeRun) -> None:
    reference, run = make_run(), make_run()
    execute(reference)
    execute(run, watch=at_step(15, lambda: status.request(run.path, "pause")))
    for step in (10, 15):
        (run.path / "checkpoints" / f"step_{step:08d}" / "manifest.json").write_text("{")
    ending = execute(run)
    assert ending.message.endswith("Resumed from step 0.")
    assert_same_course(run, reference)


def test_a_run_has_one_worker(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "CLAIM_SECONDS", 0.05)
    run = make_run()
    lock = Lock(run.path / "lock")
    assert lock.acquire()
    with pytest.raises(AlreadyRunningError):
        execute(run)
    assert not run.log.exists()
    lock.release()
    assert execute(run).state == "finished"


def test_divergence_ends_a_run_at_its_step(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run()
    from playground.train import gradients

    calm = gradients.cross_entropy
    calls = 0

    def explosive(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return calm(logits, targets) * (float("nan") if calls > 2 * 13 else 1.0)

    monkeypatch.setattr(gradients, "cross_entropy", explosive)
    ending = execute(run)
    assert ending.state == run.state() == "diverged"
    assert "Diverged at step 14" in ending.message
    assert "NaN" not in run.log.read_text()
    assert list(losses(run)) == list(range(1, 14))
    saved = checkpoints.load_checkpoint(run.path)
    assert saved is not None
    assert saved.step == 10
    assert all(tensor.isfinite().all() for part in saved.tensors.values() for tensor in part.values())


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    return fail


ALLOCATOR = (
    "[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError(ALLOCATOR)])
def test_out_of_memory_is_a_state_with_advice(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    run = make_run()
    monkeypatch.setattr(execution.TrainState, "new", raising(error))
    ending = execute(run)
    assert ending.state == run.state() == "failed"
    assert ending.message.startswith("Out of memory: this run needs about 0.3 GB. Lower the batch")


def test_a_real_allocation_failure_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert failures.is_out_of_memory(caught.value)


FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EFBIG, "File too large"),
    RuntimeError("[enforce fail at inline_container.cc:659] . unexpected pos 64 vs 0: No space left on device"),
    SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
]


@pytest.mark.parametrize("error", FULL)
def test_a_full_disk_keeps_the_last_checkpoint(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    reference, run = make_run(), make_run()
    execute(reference)
    with monkeypatch.context() as patch:
        execute(run, watch=at_step(15, lambda: patch.setattr(checkpoints, "save_file", raising(error))))
    assert run.status().state == "failed"
    assert run.status().message == "Disk full. The checkpoint of step 10 is kept. Free some space, then resume."
    assert os.listdir(run.path / "checkpoints") == ["step_00000010"]
    assert execute(run).state == "finished"  # there is space again
    assert_same_course(run, reference)


def test_a_file_size_limit_is_a_full_disk(make_run: MakeRun) -> None:
    """The real thing: the system refuses to let a file grow."""
    run = make_run(model=ModelConfig(block_size=8, n_layer=1, n_embd=64, n_head=2, n_kv_head=2))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        ending = execute(run, watch=at_step(15, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert ending.message.startswith("Disk full. The checkpoint of step 10 is kept.")
    assert run.state() == "failed"
    assert execute(run).state == "finished"


def test_a_text_too_short_is_a_sentence(store: RunStore, make_run: MakeRun) -> None:
    run = make_run(validation_fraction=0.001)
    ending = execute(run)
    assert ending.state == "failed"
    assert "context length 16 needs at least 17" in ending.message


def test_other_errors_do_not_show_their_insides(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run()
    monkeypatch.setattr(execution, "dataset", raising(KeyError("/secret/path")))
    ending = execute(run)
    assert ending.message == "An unexpected error (KeyError) ended the training. No checkpoint was saved yet."
    assert "/secret/path" in capsys.readouterr().err  # for the log


def test_leftovers_of_a_crash_are_swept(make_run: MakeRun) -> None:
    run = make_run()
    leftover = run.path / "checkpoints" / ".step_00000010.abcd.tmp"
    leftover.mkdir(parents=True)
    execute(run)
    assert not leftover.exists()


# Real processes


def working(run: Run) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "playground.runs.worker.worker", "--threads", "1", str(run.path)]
    return subprocess.Popen(command, env=environment(1), stderr=subprocess.DEVNULL)


@contextmanager
def ended(process: Worker) -> Iterator[Worker]:
    """At the end of the block at the latest."""
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(condition: Callable[[], bool], timeout: float = 60.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.01)


def step_of(run: Run) -> int:
    history = History(run.log)
    history.refresh()
    return history.step


@pytest.mark.slow
def test_killed_again_and_again_it_is_still_the_same_run(make_run: MakeRun, workers: Forks) -> None:
    """kill -9 at random moments; PLAYGROUND_KILLS=50 for the long version."""
    import random

    rng = random.Random(int.from_bytes(os.urandom(4)))
    wanted = int(os.environ.get("PLAYGROUND_KILLS", "4"))
    shape = {"steps": 50 * (wanted + 1), "checkpoint_interval": 15, "eval_interval": 20, "snapshots": 3}
    reference, run = make_run(**shape), make_run(**shape)
    execute(reference)
    for kill in range(wanted):
        with ended(fork_worker(workers, run.path)) as process:
            goal = 50 * kill + rng.randrange(50)
            wait_until(lambda goal=goal: step_of(run) >= goal)  # type: ignore[misc]
            time.sleep(rng.random() * 0.02)
            process.kill()
            process.wait()
        assert run.state() == "crashed"
        assert "ended unexpectedly" in run.status().message
        history = History(run.log)
        history.refresh()
        assert history.damaged == 0
    with ended(fork_worker(workers, run.path)) as process:
        assert process.wait(timeout=120) == 0
    assert run.state() == "finished"
    assert_same_course(run, reference)


@pytest.mark.slow
def test_sigterm_saves_and_pauses(make_run: MakeRun) -> None:
    run = make_run(steps=100_000, checkpoint_interval=100_000)
    with ended(working(run)) as process:
        wait_until(lambda: step_of(run) >= 3)
        assert run.state() == "running"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    assert run.state() == "paused"
    assert run.steps_available() == [step_of(run)]


@pytest.mark.slow
def test_a_sleeping_worker_looks_dead_until_it_wakes(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "STALE_SECONDS", 2.5)
    run = make_run(steps=100_000)
    with ended(working(run)) as process:
        wait_until(lambda: step_of(run) >= 3)
        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: run.state() == "crashed", timeout=10)
        assert "is not responding after step" in run.status().message
        process.send_signal(signal.SIGCONT)
        wait_until(lambda: run.state() == "running", timeout=10)


def test_the_worker_knows_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "HF_TOKEN",
        "HUGGING_FACE_HUB_TOKEN",
        "OAUTH_CLIENT_SECRET",
        "AWS_SECRET_ACCESS_KEY",
        "PLAYGROUND_SECRET",
    ):
        monkeypatch.setenv(name, "s3cret")
    given = environment(1)
    assert "s3cret" not in given.values()
    assert given["HF_HUB_OFFLINE"] == "1"
    assert Path(given["PYTHONPATH"], "playground").is_dir()
