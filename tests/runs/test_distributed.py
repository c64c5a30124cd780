"""torchrun: two processes train one run folder as one process would."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from playground.runs.store import checkpoints, status
from playground.runs.store.log import Tail
from playground.runs.store.processes import environment
from playground.runs.store.run_store import Run
from playground.runs.worker.execution import execute
from playground.train.distributed import Group
from playground.train.trainer import TrainState
from tests.forks import Forks
from tests.runs.conftest import MODEL, MakeRun, fork_worker
from tests.runs.test_worker import losses, validation, weights


class Together:
    """Two workers with the environment variables of torchrun, which would take three seconds of CPU time to start them."""

    def __init__(self, workers: Forks, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        self.processes = [
            fork_worker(workers, folder, **shared, RANK=rank, LOCAL_RANK=rank) for rank in ("0", "1")
        ]  # fmt: skip

    def running(self) -> bool:
        return any(process.poll() is None for process in self.processes)

    def wait(self) -> str:
        """What they have printed. Both must succeed."""
        try:
            codes = [process.wait() for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()
        words = self.processes[0].said()
        assert codes == [0, 0], words
        return words


def torchrun(folder: Path) -> tuple[int, str]:
    """Exit code and words of a whole run in two processes."""
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
        *("-m", "playground.runs.worker.worker", str(folder), "--threads", "1"),
    ]
    done = subprocess.run(
        command, env=environment(1), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=240, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def steps_logged(run: Run) -> list[int]:
    return [row["step"] for row in Tail(run.log).rows() if row["event"] == "StepDone"]


def assert_close(run: Run, reference: Run) -> None:
    ours, theirs = losses(run), losses(reference)
    assert ours.keys() == theirs.keys()
    assert max(abs(ours[step] - theirs[step]) for step in theirs) < 1e-5
    for name, value in weights(reference).items():
        assert (weights(run)[name] - value).abs().max() < 1e-5, name
    for (step, loss, _), (same_step, same_loss, _) in zip(validation(run), validation(reference), strict=True):
        assert step == same_step
        assert abs(loss - same_loss) < 1e-5


@pytest.mark.slow
def test_two_processes_equal_one_at_the_same_batch_over_fifty_steps(make_run: MakeRun, workers: Forks) -> None:
    """Batches of an odd number of sequences, accumulation, an average; asked to pause before and amid the training."""
    wish = dict(steps=50, batch_size=3, grad_accum=3, ema=0.9, z_loss=1e-3)
    model = MODEL.replace(dropout=0.0, n_layer=4)
    reference, run = make_run(model, **wish), make_run(model, **wish)
    execute(reference)
    status.request(run.path, "pause")
    Together(workers, run.path).wait()
    assert run.state() == "paused"
    assert steps_logged(run) in ([], [1]), "before the first step, or after it"
    together = Together(workers, run.path)
    while together.running() and (not run.log.exists() or len(steps_logged(run)) < 3):
        time.sleep(0.005)
    status.request(run.path, "pause")
    together.wait()
    assert run.state() == "paused"
    assert 3 <= len(steps_logged(run)) < 50, "both have stopped after the same step"
    Together(workers, run.path).wait()
    assert run.state() == "finished"
    assert checkpoints.steps(run.path, "checkpoints") == [40, 50]
    assert steps_logged(run) == list(range(1, 51)), "only one of them writes"
    assert_close(run, reference)


@pytest.mark.slow
def test_two_processes_equal_one_where_some_sequences_have_few_targets(make_run: MakeRun) -> None:
    """A task with a z-loss, which had been weighted by sequences: losses were 3e-3 apart after 40 steps."""
    wish = dict(steps=40, batch_size=3, grad_accum=2, z_loss=1e-2, corpus="copy", corpus_bytes=20_000)
    model = MODEL.replace(dropout=0.0)
    reference, run = make_run(model, **wish), make_run(model, **wish)
    execute(reference)
    code, words = torchrun(run.path)
    assert code == 0, words
    assert_close(run, reference)


@pytest.mark.slow
def test_experts_that_no_token_chose_and_steps_without_accumulation(make_run: MakeRun, workers: Forks) -> None:
    """Two sequences of 16 tokens a step and 64 experts: half of them at least learn nothing at each step."""
    model = MODEL.replace(dropout=0.0, n_expert=64, router_norm=False)
    wish = dict(steps=20, batch_size=2, grad_accum=1, balance_loss=0.0, router_z_loss=1e-3)
    reference, run = make_run(model, **wish), make_run(model, **wish)
    execute(reference)
    Together(workers, run.path).wait()
    assert run.state() == "finished"
    assert steps_logged(run) == list(range(1, 21))
    assert_close(run, reference)


@pytest.mark.slow
def test_two_processes_overflow_in_fp16_at_the_same_steps_as_one(make_run: MakeRun, workers: Forks) -> None:
    """Both resume a run whose loss scale is far too large, and repeat their first step until it fits."""
    wish = dict(steps=6, batch_size=2, grad_accum=2, precision="fp16")
    model = MODEL.replace(dropout=0.0)
    reference, run = make_run(model, **wish), make_run(model, **wish)
    for one in (reference, run):
        state = TrainState.new(one.model, one.train)
        checkpoints.save_checkpoint(one.path, state.tensors(), state.counters() | {"scale": 2.0**40})
    execute(reference)
    Together(workers, run.path).wait()
    scales = [checkpoints.counters(one.path, 6)["scale"] for one in (reference, run)]
    assert scales[0] == scales[1] < 2.0**40
    assert max(abs(losses(run)[step] - losses(reference)[step]) for step in range(1, 7)) < 1e-3


@pytest.mark.slow
def test_a_step_with_fewer_sequences_than_processes_fails_with_a_remedy(make_run: MakeRun) -> None:
    run = make_run(batch_size=1, grad_accum=1)
    code, _ = torchrun(run.path)
    assert code != 0
    assert run.state() == "failed"
    assert run.status().message.startswith(
        "2 processes need at least 2 sequences a step; batch times accumulation is 1."
    )


def test_shares_are_all_rows_once() -> None:
    rows = torch.arange(7)[:, None]
    shares = [Group(rank, 3).shard(rows) for rank in range(3)]
    assert torch.cat(shares).equal(rows)
    assert sorted(len(share) for share in shares) == [2, 2, 3]
    with pytest.raises(ValueError, match="Raise the batch or start fewer processes"):
        Group(0, 8).shard(rows)
