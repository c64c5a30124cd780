"""Tokenizer comparison: one model on bytes, on characters and on two BPE vocabularies, at equal training FLOPs.

The FLOPs of a step depend on the vocabulary, so each arm trains for the steps within the budget. All arms read the same
text and are evaluated on about as many bytes of the same part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from playground.analysis.tokenization import CORPORA, CORPUS_BYTES, corpus_bpe
from playground.config import ModelConfig, TrainConfig
from playground.config import preset as preset_config
from playground.data.corpora import load_text
from playground.tokenizers import Tokenizer, build_tokenizer, in_words
from playground.train.estimate import estimate

PRESET = "modern"
EVALUATIONS = 20
EVALUATED_BYTES = 32_768


@dataclass(frozen=True)
class Arm:
    """One of the models. `bytes_per_token` is that of the corpus's beginning."""

    name: str
    tokenizer: str
    bpe_vocab: int
    vocab_size: int
    bytes_per_token: float


@dataclass(frozen=True)
class Plan:
    """The configuration and cost of one arm, for `runs.create.prepare_run`."""

    arm: Arm
    model: ModelConfig
    train: TrainConfig
    parameters: int
    flops: float

    @property
    def bytes_read(self) -> float:
        """Bytes of text that it will have read."""
        tokens = self.train.steps * self.train.batch_size * self.train.grad_accum * self.model.block_size
        return tokens * self.arm.bytes_per_token


def plan(sizes: Sequence[int], model: Mapping[str, Any], train: Mapping[str, Any]) -> list[Plan]:
    """The arms: bytes, characters and one BPE per size, which must differ.

    `train["steps"]` are the steps of the first arm; the FLOPs that they cost are the budget of every arm. Raises ValueError
    for settings out of range.
    """
    config = TrainConfig.from_dict({**train, "corpus_bytes": CORPUS_BYTES, "sample_interval": 0})
    if config.corpus not in CORPORA:
        raise ValueError(f"The duel's text must be one of {', '.join(CORPORA)}; {config.corpus[:40]!r} is not.")
    arms = [_arm(config.corpus, *choice) for choice in (("byte", 0), ("char", 0), *(("bpe", size) for size in sizes))]
    if len({arm.name for arm in arms}) < len(arms):
        raise ValueError("The two BPE vocabularies come out the same. Choose two different sizes.")
    first = preset_config(PRESET, **model, vocab_size=arms[0].vocab_size)
    budget = estimate(first, config).flops_per_step * config.steps
    return [_plan(arm, preset_config(PRESET, **model, vocab_size=arm.vocab_size), config, budget) for arm in arms]


def _plan(arm: Arm, model: ModelConfig, config: TrainConfig, budget: float) -> Plan:
    need = estimate(model, config)
    steps = max(1, round(budget / need.flops_per_step))
    train = config.replace(
        tokenizer=arm.tokenizer,
        bpe_vocab=max(256, arm.bpe_vocab),
        steps=steps,
        warmup_steps=min(config.warmup_steps, steps // 10),
        eval_interval=max(1, steps // EVALUATIONS),
        eval_tokens=max(64, round(EVALUATED_BYTES / arm.bytes_per_token)),
        checkpoint_interval=max(1, steps),
    )
    return Plan(arm, model, train, need.parameters, need.flops_per_step * steps)


@lru_cache(maxsize=16)
def _arm(corpus: str, tokenizer: str, size: int) -> Arm:
    text = load_text(corpus, n_bytes=CORPUS_BYTES)
    made: Tokenizer = corpus_bpe(corpus).truncated(size) if tokenizer == "bpe" else build_tokenizer(tokenizer, text)
    start = text[:100_000]
    ratio = len(start.encode()) / len(made.encode(start))
    return Arm(in_words(made), tokenizer, size, made.vocab_size, ratio)
