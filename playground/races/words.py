"""What a race is, in words: where its arms differ, and what is equal for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from playground.config import ModelConfig, Settings, TrainConfig, counted, label, spelled
from playground.data.corpora import find_corpus
from playground.runs.comparable import same_batches, text_of
from playground.runs.races import Race
from playground.runs.store.run_store import Run
from playground.train.race import UNITS, tokens_per_step


def what_differs(race: Race) -> list[str]:
    """The race's headline: the settings in which arms differ from the first, as "norm: LayerNorm → RMSNorm"."""
    lines = []
    first = race.members[0][0]
    for kind, part in ((ModelConfig, "model"), (TrainConfig, "train")):
        base = getattr(first, part).to_dict()
        for name in base:
            if name in _FOLLOWS:
                continue
            values = [_value(getattr(arm[0], part), name) for arm in race.members]
            if any(value != values[0] for value in values):
                lines.append(f"{label(kind, name)}: {' → '.join(spelled(value) for value in dict.fromkeys(values))}")
    return lines


def _value(config: Settings, name: str) -> Any:
    """A field's value; of an MLP size that follows from a rule, the size."""
    return config.mlp_hidden if name == "mlp_width" and isinstance(config, ModelConfig) else config.to_dict()[name]


# From budget, seed and text, or without effect on what is learned.
_FOLLOWS = {
    "seed", "steps", "warmup_steps", "eval_interval", "checkpoint_interval", "vocab_size", "snapshots", "sample_interval",
    "prompt",
}  # fmt: skip


def conditions(race: Race) -> str:
    """A race in a line: text, arms, seeds, budget, size, what is equal."""
    spec, firsts = race.spec, [arm[0] for arm in race.members]
    n, model, train = len(spec.seeds), firsts[0].model, firsts[0].train
    equal = {"none": "sizes as given", "parameters": "equal parameters", "flops": "equal FLOPs per token"}[spec.match]
    rates = {run.train.learning_rate for run in firsts}
    parts = [
        find_corpus(train.corpus).label,
        f"{counted(len(spec.arms), 'arm')} × {counted(n, 'seed')}",
        f"{spec.amount:,.6g} {UNITS[spec.budget]} each",
        equal,
        _what_is_read(firsts),
        f"{counted(tokens_per_step(model, train), 'token')} a step",
        *([f"learning rate {train.learning_rate:g}"] if len(rates) == 1 else []),
    ]
    return " · ".join(parts)


def _what_is_read(firsts: Sequence[Run]) -> str:
    """How much of what they read equal seeds have in common."""
    if same_batches(firsts):
        return "same batches in the same order"
    return "same text" if len({text_of(run) for run in firsts}) == 1 else "different texts"
