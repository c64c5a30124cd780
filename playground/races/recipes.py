"""One-click races: a question, and the arms that answer it. Sizes, dataset, budget and seeds are chosen in the form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_args, get_type_hints

from playground.config import RACE_START, setting_kinds
from playground.train.race_spec import BudgetKind, Match, MatchBy, RaceSpec, parse_arm


@dataclass(frozen=True)
class Recipe:
    """A question that a race answers. `arms` use the short notation; `shared` are settings that the question requires."""

    name: str
    title: str
    question: str
    arms: tuple[str, ...]
    match: Match = "parameters"
    match_by: MatchBy = "mlp"
    shared: Mapping[str, Any] = field(default_factory=dict)


LADDER = ("norm=rmsnorm", "position=rope", "mlp=swiglu", "n_kv_head=2")
LADDER_NAMES = ("+ RMSNorm", "+ RoPE", "+ SwiGLU", "+ GQA")


def _rungs() -> tuple[str, ...]:
    """Classic, then with one more change each time."""
    steps = [f"{name}: classic + {' + '.join(LADDER[: i + 1])}" for i, name in enumerate(LADDER_NAMES)]
    return ("classic", *steps)


_ALL = (
    Recipe(
        "classic_modern",
        "Classic against modern",
        "Do RoPE, RMSNorm, SwiGLU and grouped queries help a model of the same size?",
        ("classic", "modern"),
    ),
    Recipe(
        "best_rate",
        "Each at its best rate",
        "One learning rate may suit only one of them. Both at three rates: which is better at its best?",
        tuple(
            f"{preset.capitalize()} {rate}: {preset} + learning_rate={rate}"
            for preset in ("classic", "modern")
            for rate in ("0.001", "0.003", "0.01")
        ),
    ),
    Recipe(
        "ladder",
        "The ladder",
        "Which change brings the improvement? Each arm adds one more.",
        _rungs(),
    ),
    Recipe(
        "window",
        "Full against window",
        "What does it cost to attend only to the last 32 tokens?",
        ("Full: modern", "Window 32: modern + window=32", "Window 32, 4 sinks: modern + window=32 + n_sink=4"),
    ),
    Recipe(
        "moe",
        "Dense against MoE",
        "Do four experts of which one or two work beat one MLP, at equal FLOPs for each token?",
        ("Dense: modern", "MoE 1 of 4: modern + n_expert=4", "MoE 2 of 4: modern + n_expert=4 + n_expert_active=2"),
        match="flops",
    ),
    Recipe(
        "balance",
        "Experts without balance",
        "What happens to four experts, two of them active for each token, without a load-balancing loss?",
        ("Balance 0.01: mixture", "Balance 0: mixture + balance_loss=0"),
        match="none",
    ),
    Recipe(
        "muon",
        "AdamW against Muon",
        "Does Muon learn more from the same tokens, at AdamW's learning rate and at one that suits it?",
        (
            "AdamW: modern",
            "Muon, same rate: modern + optimizer=muon",
            "Muon, rate 0.02: modern + optimizer=muon + learning_rate=0.02",
        ),
        match="none",
    ),
    Recipe(
        "numerics",
        "Numerics",
        "What do half precision, micro-batches and gradient checkpointing change in the curve, in time and in memory, with "
        "the same seed?",
        (
            "fp32: modern + batch_size=8",
            "bf16: modern + batch_size=8 + precision=bf16",
            "fp16: modern + batch_size=8 + precision=fp16",
            "4 micro-batches: modern + batch_size=2 + grad_accum=4",
            "recomputed: modern + batch_size=8 + gradient_checkpointing=true",
        ),
        match="none",
    ),
    Recipe(
        "tokenizer",
        "Bytes against BPE",
        "BPE tokens are longer: the same context and the same steps cover more text. Is that worth it, in bits per byte?",
        ("Bytes: modern", "BPE: modern + tokenizer=bpe + bpe_vocab=512"),
        match="none",
    ),
)


def _possible(recipe: Recipe) -> bool:
    """Whether this version of the playground has the settings that the recipe names, with these values."""
    kinds = setting_kinds()
    try:
        arms = [parse_arm(text) for text in recipe.arms]
    except ValueError:
        return False
    for arm in arms:
        for name, value in arm.changes.items():
            choices = get_args(get_type_hints(kinds[name])[name])
            if choices and value not in choices:
                return False
    return True


RECIPES: dict[str, Recipe] = {recipe.name: recipe for recipe in _ALL if _possible(recipe)}

DEFAULTS = RACE_START


def race_of(
    recipe: Recipe,
    shared: Mapping[str, Any] | None = None,
    *,
    budget: BudgetKind = "steps",
    amount: float = 300,
    seeds: int = 3,
) -> RaceSpec:
    """The recipe as a race, with settings for all arms on top of the defaults. Raises ValueError."""
    return RaceSpec.from_dict(
        {
            "name": recipe.title,
            "arms": list(recipe.arms),
            "shared": {**DEFAULTS, **recipe.shared, **(shared or {})},
            "budget": budget,
            "amount": amount,
            "seeds": seeds,
            "match": recipe.match,
            "match_by": recipe.match_by,
        }
    )
