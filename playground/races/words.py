"""Describe a race in words: the settings in which its arms differ, and what is equal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from playground.config import ModelConfig, counted
from playground.data.corpora import find_corpus
from playground.races.comparison import HARMLESS, in_short, unequal_settings
from playground.runs.comparable import same_batches, text_of
from playground.runs.races import Race
from playground.runs.store.run_store import Run
from playground.train.race import matched_size, tokens_per_step
from playground.train.race_spec import UNITS, Match


def what_differs(race: Race) -> list[str]:
    """The race's headline: the settings in which arms differ from the first, as "norm: LayerNorm → RMSNorm"."""
    firsts = [arm[0] for arm in race.members]
    return [in_short(name, values) for name, values in unequal_settings(firsts, _FOLLOWS)]


# Derived from budget, seed and text, or without effect on training.
_FOLLOWS = HARMLESS | {"seed", "steps", "warmup_steps", "vocab_size"}


def conditions(race: Race) -> str:
    """A race in one line: dataset, arms, seeds, budget, size, what is equal."""
    spec, firsts = race.spec, [arm[0] for arm in race.members]
    n, model, train = len(spec.seeds), firsts[0].model, firsts[0].train
    rates = {run.train.learning_rate for run in firsts}
    parts = [
        find_corpus(train.corpus).label,
        f"{counted(len(spec.arms), 'arm')} × {counted(n, 'seed')}",
        f"{spec.amount:,.6g} {UNITS[spec.budget]} each",
        matched_words(spec.match, [run.model for run in firsts]),
        _what_is_read(firsts),
        f"{counted(tokens_per_step(model, train), 'token')} a step",
        *([f"learning rate {train.learning_rate:g}"] if len(rates) == 1 else []),
    ]
    return " · ".join(parts)


def matched_words(match: Match, models: Sequence[ModelConfig]) -> str:
    """In what the arms' sizes are equal, and how nearly: sizes are whole numbers."""
    if match == "none":
        return "sizes as given"
    sizes = [matched_size(model, match) for model in models]
    share = max(abs(size / sizes[0] - 1) for size in sizes)
    within = f" within {math.ceil(1_000 * share) / 10:g} %" if share else ""
    return f"{'parameters' if match == 'parameters' else 'FLOPs per token'} equal{within}"


def _what_is_read(firsts: Sequence[Run]) -> str:
    """What runs with equal seeds have in common: text, batches, order."""
    if same_batches(firsts):
        return "same batches in the same order"
    return "same text" if len({text_of(run) for run in firsts}) == 1 else "different texts"
