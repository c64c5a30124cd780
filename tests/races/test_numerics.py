"""The numerics lab: the set-up of a form, unchanged but for its arithmetic."""

import pytest

from playground.config import TrainConfig, preset
from playground.races.numerics import numerics_race
from playground.runs.races import plan_race
from playground.train.race_spec import RaceSpec

MODEL = preset("speedrun", n_layer=1, n_embd=16, n_head=2, block_size=16)


def test_arms_differ_in_arithmetic_alone_and_read_the_same_batches() -> None:
    train = TrainConfig(batch_size=6, grad_accum=2, seed=7, optimizer="muon", precision="bf16", steps=1000, ema=0.9)
    spec = numerics_race("speedrun", MODEL, train)
    assert RaceSpec.from_dict(spec.to_dict()) == spec
    assert spec.seeds == (7,)
    arms = {arm.name: arm for arm in plan_race(spec)}
    assert list(arms) == ["fp32", "bf16", "fp16", "3 micro-batches", "recomputed"]
    first = arms["fp32"]
    for name, arm in arms.items():
        assert arm.model == first.model
        assert arm.train.batch_size * arm.train.grad_accum == 12
        assert arm.train.steps == 300
        same = {"precision": "fp32", "gradient_checkpointing": False, "batch_size": 6, "grad_accum": 2}
        assert arm.train.replace(**same) == first.train, name
    assert first.train.replace(**{key: getattr(train, key) for key in ("optimizer", "ema")}) == first.train
    assert [arms[name].train.precision for name in ("bf16", "fp16", "recomputed")] == ["bf16", "fp16", "fp32"]
    assert arms["recomputed"].train.gradient_checkpointing
    assert first.model.qk_norm, "the architecture is the form's"


@pytest.mark.parametrize(("batch", "name"), [(1, None), (5, None), (4, "4 micro-batches"), (10, "2 micro-batches")])
def test_micro_batches_are_equal_parts_of_the_batch(batch: int, name: str | None) -> None:
    arms = [arm.name for arm in numerics_race("modern", preset("modern"), TrainConfig(batch_size=batch)).arms]
    assert [arm for arm in arms if "micro" in arm] == ([name] if name else [])
