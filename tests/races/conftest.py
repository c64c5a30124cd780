"""Races that are written rather than trained: their logs say what a test wants them to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from playground.runs.races import Race, create_race, prepare_race
from playground.runs.store import status
from playground.runs.store.log import LogWriter
from playground.runs.store.run_store import RunStore
from playground.runs.store.status import Status
from playground.train.events import Evaluated, Finished, Started, StepDone
from playground.train.race_spec import RaceSpec

SHARED = {
    "n_layer": 1, "n_embd": 16, "n_head": 2, "block_size": 16, "batch_size": 2, "eval_tokens": 64, "corpus_bytes": 50_000,
}  # fmt: skip
NATS = 1.4426950

MakeRace = Callable[..., tuple[RunStore, Race]]


@pytest.fixture
def written_race(tmp_path) -> MakeRace:
    """A race whose run (arm, seed) was measured as ``losses[arm][seed]``, evenly over its steps. Training loss is 3, a token
    costs every run the same time, an arm's losses are as many bits per byte as ``nats[arm]`` says, and all have the
    standard error `error`."""

    def make(
        losses: Sequence[Sequence[Sequence[float]]],
        arms: Sequence[str] = ("classic", "modern"),
        ended: bool = True,
        nats: Sequence[float] = (),
        error: float | None = None,
        validation_tokens: int = 3,
        **spec: Any,
    ) -> tuple[RunStore, Race]:
        store = RunStore(tmp_path / "runs")
        values = {"arms": list(arms), "shared": SHARED, "amount": 40, "seeds": len(losses[0]), "match": "none", **spec}
        race = create_race(store, prepare_race(RaceSpec.from_dict(values)))
        for members, of_arm, scale in zip(race.members, losses, nats or [NATS] * len(losses), strict=True):
            for run, curve in zip(members, of_arm, strict=True):
                _write(run, curve, ended, scale, error, validation_tokens)
        if ended:
            status.declare(race.path, Status("finished"))
        return store, race

    return make


def _write(
    run: Any, curve: Sequence[float], ended: bool, bits_per_nat: float, error: float | None, validation_tokens: int
) -> None:
    each = run.train.batch_size * run.model.block_size
    last = run.train.steps if len(curve) == 1 else run.train.steps / (len(curve) - 1)
    with LogWriter(run.log) as log:
        log.append(Started(0, run.train.steps, 1, 2, validation_tokens, bits_per_nat))
        for i, loss in enumerate(curve):
            step = round(i * last)
            log.append(Evaluated(step, step * each, step * 0.5, loss, 0.25, loss_se=error))
            for done in range(step + 1, round((i + 1) * last) + 1 if i + 1 < len(curve) else step + 1):
                log.append(StepDone(done, done * each, done * 0.5, 3.0, 0.5, 0.1))
        if ended:
            log.append(Finished(run.train.steps, run.train.steps * each, run.train.steps * 0.5))
    if ended:
        status.declare(run.path, Status("finished"))
