"""Compiled passes: the same numbers as the plain ones but for rounding, and a run that is resumed cannot tell."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from playground.config import ModelConfig, TrainConfig, preset
from playground.runs.store import checkpoints, status
from playground.runs.store.log import Tail
from playground.runs.store.processes import environment
from playground.runs.store.run_store import Run, RunStore
from playground.runs.worker import compiling
from playground.runs.worker.execution import execute
from playground.train.compiled import CompiledForwardBackward, build, name_of, obstacle
from playground.train.data_parallel import DataParallelThreads
from playground.train.gradients import accumulate
from playground.train.trainer import TrainState
from tests.runs.conftest import MODEL, MakeRun, new_run
from tests.runs.test_worker import assert_same_course, at_step, losses

SURE = {"TORCHINDUCTOR_VEC_ISA_OK": "1"}  # see `trusted_compiler`
PLAIN = MODEL.replace(dropout=0.0)
SMALL = dict(vocab_size=64, block_size=16, n_layer=1, n_embd=16, n_head=2)

needs_compiler = pytest.mark.skipif(
    bool(obstacle(ModelConfig(), TrainConfig())), reason="compiling needs Linux and a C++ compiler"
)


@pytest.fixture
def trusted_compiler() -> Iterator[None]:
    """Torch compiles and runs a program for each instruction set before it believes the processor: a third of a build."""
    from torch._inductor import config as inductor  # two seconds

    with inductor.patch({"cpp.vec_isa_ok": True}):
        yield


def notes(run: Run) -> list[str]:
    return [row["text"] for row in Tail(run.log).rows() if row["event"] == "Noted"]


@pytest.mark.slow
@needs_compiler
@pytest.mark.usefixtures("trusted_compiler")
@pytest.mark.parametrize(
    ("name", "precision", "tolerance", "lanes"),
    [("modern", "fp32", 1e-5, 3), ("gpt", "bf16", 0.02, 3)],
    ids=["fp32", "bf16"],
)
def test_compiled_passes_give_the_gradients_of_the_plain_ones(
    name, precision, tolerance, lanes, tmp_path: Path
) -> None:
    """A window, sinks, a soft cap, two micro-batches in three lanes; and biases, exact GELU, a z-loss."""
    changes = {"window": 8, "n_sink": 2, "logit_softcap": 15.0} if name == "modern" else {"mlp": "gelu_exact"}
    model = preset("modern" if name == "modern" else "classic", **SMALL, **changes)
    config = TrainConfig(batch_size=3, grad_accum=2, z_loss=0.0 if name == "modern" else 0.1).replace(
        precision=precision
    )
    library, split = tmp_path / "passes.so", DataParallelThreads.of(model, config, 3)
    assert split.count == lanes
    build(model, config, split, library)
    wide = torch.randint(0, 64, (2, 6, 17), generator=torch.Generator().manual_seed(0))
    x, y = wide[0, :, :-1], wide[1, :, 1:].clone()  # inputs come as views of something wider
    y[0, :5] = -100
    found = []
    for compiled in (False, True):
        state = TrainState.new(model, config)
        passes = CompiledForwardBackward(library, state.model, split) if compiled else None
        loss = accumulate(state.model.train(), x, y, config, targets=91, count=6, passes=passes)
        found.append((loss, torch.cat([p.grad.flatten() for p in state.model.parameters() if p.grad is not None])))
    assert found[1][0] == pytest.approx(found[0][0], rel=tolerance / 10)
    assert (found[1][1] - found[0][1]).norm() < tolerance * found[0][1].norm()
    assert not list(tmp_path.glob(".compiling*")), "nothing is left behind"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """A run whose passes were compiled before its first step, and the cache that has them since."""
    store, cache = RunStore(tmp_path_factory.mktemp("runs")), tmp_path_factory.mktemp("cache")
    whole = new_run(store, PLAIN, compile="on")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiling, "environment", lambda threads: environment(threads) | SURE)
        torch.set_num_threads(1)
        execute(whole, cache_dir=cache)
    return whole, cache


@pytest.mark.slow
@needs_compiler
def test_a_compiled_run_goes_its_eager_twins_way_and_resumes_bit_for_bit(
    make_run: MakeRun, built: tuple[Run, Path]
) -> None:
    whole, cache = built
    plain, broken = make_run(PLAIN), make_run(PLAIN, compile="on")
    execute(plain)
    assert notes(whole)[0].startswith("Compiled forward and backward passes from step 1 on, built in")
    for step, loss in losses(plain).items():
        assert abs(losses(whole)[step] - loss) < 1e-4
    assert losses(whole) != losses(plain), "otherwise nothing was compiled"
    execute(broken, cache_dir=cache, watch=at_step(7, lambda: status.request(broken.path, "pause")))
    assert broken.state() == "paused"
    execute(broken, cache_dir=cache)
    assert all(note.endswith("from the cache.") for note in notes(broken))
    assert_same_course(broken, whole)


@pytest.mark.slow
@needs_compiler
def test_a_long_run_is_compiled_beside_its_first_steps_and_remembers_since_when(
    make_run: MakeRun, built: tuple[Run, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The compiler is replaced by a process that copies what it has made of the same passes."""
    monkeypatch.setattr(compiling, "BUILD_SECONDS", 1e-9)
    _, cache = built

    start = subprocess.Popen

    def copying(command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        library = command[command.index("playground.train.compiled") + 2]
        return start(["cp", str(cache / "compiled" / Path(library).name), library], **options)

    monkeypatch.setattr(compiling.subprocess, "Popen", copying)
    run = make_run(PLAIN, compile="auto", steps=100_000, checkpoint_interval=100_000, eval_interval=100_000)
    taken: list[int] = []

    def watch(event: object) -> None:
        text = getattr(event, "text", "")
        if text.startswith("Compiled"):
            taken.append(event.step)  # type: ignore[attr-defined]
        if taken and getattr(event, "step", 0) >= taken[0] + 3:
            status.request(run.path, "pause")

    execute(run, cache_dir=tmp_path, watch=watch)
    assert taken
    assert taken[0] >= compiling.TRIAL_STEPS
    saved = checkpoints.load_checkpoint(run.path)
    assert saved is not None
    assert saved.counters["compiled_from"] == taken[0]
    assert notes(run)[0].startswith("Compiling while training continues")


def test_a_short_run_is_not_compiled_and_says_so(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(MODEL.replace(dropout=0.0), compile="auto")
    execute(run, cache_dir=tmp_path)
    assert run.state() == "finished"
    said = notes(run)
    assert len(said) == 1
    assert "too short to gain" in said[0] or "there is no C++ compiler" in said[0]


def test_what_cannot_be_compiled_says_why_and_trains(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(compile="on")  # with dropout
    execute(run, cache_dir=tmp_path)
    assert run.state() == "finished"
    assert notes(run) == ["Not compiled: dropout draws random numbers."]


def test_a_library_is_shared_by_runs_that_compute_the_same_and_by_no_others() -> None:
    model, config = preset("modern"), TrainConfig()
    name = name_of(model, config, 2)
    assert name_of(model, config.replace(steps=77, seed=5, learning_rate=0.1), 2) == name
    assert name_of(model, config.replace(batch_size=3), 1) == name, "a lane of 3 sequences either way"
    for other in (
        name_of(model.replace(n_layer=3), config, 2),
        name_of(model, config.replace(precision="bf16"), 2),
        name_of(model, config.replace(batch_size=7), 2),
        name_of(model, config, 1),
    ):
        assert other != name


@needs_compiler
def test_what_is_no_library_is_refused_with_an_error_that_compiling_expects(tmp_path: Path) -> None:
    model, config = preset("modern", **SMALL), TrainConfig(batch_size=1)
    wrong = Path(next(m for m in Path("/proc/self/maps").read_text().split() if "libc.so" in m or "libc-" in m))
    (tmp_path / "empty.so").write_bytes(b"")
    for library in (tmp_path / "empty.so", tmp_path / "missing.so", wrong):
        with pytest.raises(OSError, match=r"no compiled library|too short|cannot open"):
            CompiledForwardBackward(
                library, TrainState.new(model, config).model, DataParallelThreads.of(model, config, 1)
            )
