"""From a text to what the trainer needs: two token streams, training and validation, and their scale in bytes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from playground.config import ModelConfig, TrainConfig
from playground.data.corpora import CORPORA
from playground.data.tasks import answer_mask
from playground.data.token_file import Progress, survey, token_file
from playground.tokenizers import RoundTrip, Tokenizer, round_trip


@dataclass(frozen=True)
class Dataset:
    """Token streams (N,) with, for algorithmic tasks, flags (N,) of those that are answers and so count as targets.

    `bits_per_nat`: a loss in nats per token times this is bits per byte of the validation text. None where the text is not
    what its tokens decode to: then there is less to predict than the text holds. `lost` is the share (0 to 1) of the
    validation text's characters that do not come back.
    """

    train: np.ndarray
    validation: np.ndarray
    bits_per_nat: float | None
    train_mask: np.ndarray | None = None
    validation_mask: np.ndarray | None = None
    task: str | None = None
    prompt: str = "\n"
    lost: float = 0.0


def prepare(text: str, tokenizer: Tokenizer, model: ModelConfig, config: TrainConfig) -> Dataset:
    """Split a text at a line end near its last `validation_fraction`, and encode both parts.

    Raises ValueError when either part is too short for one window of the model's context.
    """
    corpus = CORPORA[config.corpus]
    task = corpus.name if corpus.kind == "task" else None
    head, tail = split(text, config.validation_fraction)
    train, validation = tokenizer.encode(head), tokenizer.encode(tail)
    _check_length(train, validation, model)
    back = round_trip(tokenizer, tail, validation)
    return Dataset(
        train=train,
        validation=validation,
        bits_per_nat=bits_per_nat(len(validation), len(tail.encode("utf-8"))) if back.exact else None,
        train_mask=answer_mask(task, head) if task else None,
        validation_mask=answer_mask(task, tail) if task else None,
        task=task,
        prompt=config.prompt or corpus.prompt or "\n",
        lost=back.lost,
    )


def prepare_file(
    path: Path,
    tokenizer: Tokenizer,
    model: ModelConfig,
    config: TrainConfig,
    folder: Path,
    progress: Progress | None = None,
) -> Dataset:
    """What `prepare` makes of one's own text, for one in a file of any size: the tokens are mapped from a file in `folder`.

    The text is UTF-8 with ``\\n`` newlines, used up to `config.corpus_bytes`. Streams and scale are exactly those of
    `prepare`. Raises ValueError as that does, or when the tokens cannot be stored.
    """
    parts = survey(path, config.corpus_bytes, config.validation_fraction)
    tokens = token_file(
        path, parts, tokenizer.encode, tokenizer.vocab_size, tokenizer.to_dict(), folder, progress, RoundTrip(tokenizer)
    )
    _check_length(tokens.train, tokens.validation, model)
    return Dataset(
        train=tokens.train,
        validation=tokens.validation,
        bits_per_nat=bits_per_nat(len(tokens.validation), tokens.validation_bytes) if tokens.exact else None,
        prompt=config.prompt or CORPORA["own"].prompt,
        lost=tokens.lost,
    )


def bits_per_nat(n_tokens: int, n_bytes: int) -> float:
    """What turns a loss in nats per token into bits per byte, for a text of so many tokens and bytes."""
    return n_tokens / n_bytes / math.log(2)


def _check_length(train: np.ndarray, validation: np.ndarray, model: ModelConfig) -> None:
    shortest = min(len(train), len(validation))
    if shortest < model.block_size + 1:
        raise ValueError(
            f"The text has {shortest} tokens in its {'training' if shortest == len(train) else 'validation'} part; "
            f"context {model.block_size} needs at least {model.block_size + 1}. Lower the context or add text."
        )


def split(text: str, validation_fraction: float) -> tuple[str, str]:
    """Training and validation part: cut at the first line end behind the mark, or at the mark if there is none near."""
    mark = round(len(text) * (1 - validation_fraction))
    line_end = text.find("\n", mark, mark + min(2_000, (len(text) - mark) // 4))
    cut = mark if line_end < 0 else line_end + 1
    return text[:cut], text[cut:]
