"""Turn a text into what the trainer needs: training and validation token streams, and the factor to bits per byte."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np

from playground.config import ModelConfig, TrainConfig, counted, label
from playground.data.batches import DocumentWindows
from playground.data.corpora import find_corpus, holds_out_problems
from playground.data.documents import NO_ENDS, Text, cut_near, encode_documents, ends_of
from playground.data.tasks import answer_distance, answer_mask, validation_mark
from playground.data.token_file import Packing, Progress, compared, survey, token_file
from playground.tokenizers import RoundTrip, Tokenizer, encode_each, encode_pieces
from playground.tokenizers.prompts import BEGINNING, check_prompt, default_prompt

NEAR = 2_000  # characters after the split position within which a line end is used


@dataclass(frozen=True)
class Dataset:
    """Token streams (N,) with, for algorithmic tasks, masks (N,) of the tokens that are answers and so count as targets:
    distances to the beginning of their line, or flags in task version 1 (`data.batches.windows`).

    `bits_per_nat`: a loss in nats per token times this is bits per byte of the validation text. A task's tokens are bytes or
    ASCII characters and its loss is that of the answers, so there it is bits per byte of the answers. None where the text
    is not what its tokens decode to, because then not all of the text is predicted. `lost` is the share (0 to 1) of the
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
    train_windows: DocumentWindows | None = None  # if windows must stay within their document
    validation_windows: DocumentWindows | None = None


def prepare(text: str, tokenizer: Tokenizer, model: ModelConfig, config: TrainConfig) -> Dataset:
    """Split a text near its last `validation_fraction`, at a line end or between documents, and encode both parts.

    `config.documents` says how documents are kept apart. Joined, the text is encoded as it is, with the empty lines between
    them. Else each is encoded by itself, the tokenizer's `eos` stands for the empty line after it, and a text is split
    between two documents. Isolated, windows stay within their document (`DocumentWindows`).
    The end-of-text token is a target like any other. As it takes the place of an empty line, what it costs is charged to
    the two bytes of that line: bits per byte are those of the whole text, as it is, whichever way it was encoded.
    Raises ValueError when either part is too short for one window of the model's context, or a prompt cannot be encoded.
    """
    corpus = find_corpus(config.corpus)
    task = corpus.name if corpus.kind == "task" else None
    head, tail = split_text(text, config)
    back = RoundTrip(tokenizer)
    train, validation = encoded(head, tokenizer, config), encoded(tail, tokenizer, config, back)
    _check_length(train, validation, model, back.lost)
    answers = answer_distance if holds_out_problems(config) else answer_mask
    masks = (answers(task, head), answers(task, tail)) if task else (None, None)
    if task and holds_out_problems(config):
        _check_prompts_fit(corpus.label, masks, model.block_size)
    return Dataset(
        train=train,
        validation=validation,
        bits_per_nat=bits_per_nat(len(validation), len(tail.encode("utf-8"))) if back.exact else None,
        train_mask=masks[0],
        validation_mask=masks[1],
        task=task,
        prompt=sample_prompt(tokenizer, config, text),
        lost=back.lost,
        train_windows=_windows(train, tokenizer, model, config),
        validation_windows=_windows(validation, tokenizer, model, config),
    )


def prepare_file(
    path: Path,
    tokenizer: Tokenizer,
    model: ModelConfig,
    config: TrainConfig,
    folder: Path,
    progress: Progress | None = None,
    ends: np.ndarray = NO_ENDS,
) -> Dataset:
    """Like `prepare`, for a user's text file of any size: the tokens are memory-mapped from a file in `folder`.

    The text is UTF-8 with ``\\n`` newlines, used up to `config.corpus_bytes`; `ends` (D,) says where its documents end, in
    bytes. The result is identical to that of `prepare`. Raises ValueError as `prepare` does, or if the tokens cannot be
    stored.
    """
    packing = None
    if config.documents != "joined":
        packing = Packing(ends, end_of_text(tokenizer, config), partial(encode_each, tokenizer))
    parts = survey(path, config.corpus_bytes, config.validation_fraction, ends=ends if packing else None)
    tokens = token_file(
        path,
        parts,
        partial(encode_pieces, tokenizer),
        tokenizer.vocab_size,
        tokenizer.to_dict(),
        folder,
        progress,
        RoundTrip(tokenizer),
        packing,
    )
    _check_length(tokens.train, tokens.validation, model, tokens.lost)
    return Dataset(
        train=tokens.train,
        validation=tokens.validation,
        bits_per_nat=bits_per_nat(len(tokens.validation), tokens.validation_bytes) if tokens.exact else None,
        prompt=sample_prompt(tokenizer, config, _beginning(path, config.corpus_bytes)),
        lost=tokens.lost,
        train_windows=_windows(tokens.train, tokenizer, model, config),
        validation_windows=_windows(tokens.validation, tokenizer, model, config),
    )


def sample_prompt(tokenizer: Tokenizer, config: TrainConfig, text: str) -> str:
    """The prompt of a run's samples: the setting, or by default its corpus's, or the first words of the run's `text`.

    Raises ValueError for a setting that the tokenizer cannot encode.
    """
    if config.prompt:
        check_prompt(tokenizer, config.prompt)
        return config.prompt
    corpus = find_corpus(config.corpus)
    return default_prompt(tokenizer, corpus.prompt, text, found=corpus.kind == "own")


def _beginning(path: Path, n_bytes: int) -> str:
    """The first characters of the `n_bytes` of a UTF-8 file that are used."""
    with open(path, "rb") as file:
        return file.read(min(n_bytes, 4 * BEGINNING)).decode("utf-8", errors="ignore")


def encoded(text: str, tokenizer: Tokenizer, config: TrainConfig, back: RoundTrip | None = None) -> np.ndarray:
    """The ids (T,) of a text for training (`config.documents`); `back` receives them with the text to check the round
    trip."""
    if config.documents != "joined":
        each = compared(partial(encode_each, tokenizer), back)
        return encode_documents(text, ends_of(text), each, end_of_text(tokenizer, config))
    ids = tokenizer.encode(text)
    if back is not None:
        back.feed(text, ids)
        back.finish()
    return ids


def _windows(
    tokens: np.ndarray, tokenizer: Tokenizer, model: ModelConfig, config: TrainConfig
) -> DocumentWindows | None:
    if config.documents != "isolated":
        return None
    return DocumentWindows.of(tokens, end_of_text(tokenizer, config), model.block_size)


def end_of_text(tokenizer: Tokenizer, config: TrainConfig) -> int:
    """The token that ends a document. Raises ValueError if there is none."""
    if tokenizer.eos is None:
        raise ValueError(
            f"{label(TrainConfig, 'documents')} is {config.documents}, but this tokenizer has no end-of-text token. "
            "Set it to joined, or choose another tokenizer."
        )
    return tokenizer.eos


def bits_per_nat(n_tokens: float, n_bytes: int) -> float:
    """The factor from nats per token to bits per byte, for a text with this many tokens and bytes."""
    return n_tokens / n_bytes / math.log(2)


def _check_length(train: np.ndarray, validation: np.ndarray, model: ModelConfig, lost: float) -> None:
    """Raise ValueError with a remedy if a part is shorter than a window. `lost`: share that the tokenizer does not know."""
    shortest = min(len(train), len(validation))
    if shortest >= model.block_size + 1:
        return
    lowest = int(next(item.metadata["low"] for item in fields(ModelConfig) if item.name == "block_size"))
    if lost > 0.5:
        remedy = f"The tokenizer does not know {lost:.0%} of its characters: choose another tokenizer or text."
    else:
        remedy = "Lower the context length or add text." if shortest > lowest else "Add text."
    raise ValueError(
        f"The text has {counted(shortest, 'token')} in its {'training' if shortest == len(train) else 'validation'} part; "
        f"context length {model.block_size} needs at least {model.block_size + 1}. {remedy}"
    )


def _check_prompts_fit(label: str, masks: Iterable[np.ndarray | None], block_size: int) -> None:
    """An answer counts where its prompt is in the window, so a window must have room for the longest prompt."""
    longest = max(
        int(mask[np.flatnonzero((mask[1:] >= 0) & (mask[:-1] < 0)) + 1].max()) for mask in masks if mask is not None
    )
    if block_size < longest:
        raise ValueError(
            f"Context length {block_size} is too short for {label}: its prompts have up to {counted(longest, 'character')}, "
            f"and an answer counts only where its whole prompt is visible. Raise the context length to {longest} or more."
        )


def split_text(text: str, config: TrainConfig) -> tuple[str, str]:
    """Training and validation part of the text of a run (`data.corpora.training_text`).

    Tasks are always split at a line end, so that no problem is in both parts.
    """
    near = None if holds_out_problems(config) else NEAR
    return split(text, config.validation_fraction, config.documents, near)


def split(text: str, validation_fraction: float, documents: str = "joined", near: int | None = NEAR) -> tuple[str, str]:
    """Training and validation part, split at the first line end after the fraction, or exactly there if none is near.

    Near is within `near` characters and a quarter of the validation text; None is anywhere. Where `documents` are kept
    apart, split between two of them if there is a boundary within that quarter.
    """
    mark = validation_mark(len(text), validation_fraction)
    quarter = (len(text) - mark) // 4
    cut = None if documents == "joined" else cut_near(ends_of(text), mark, mark + quarter)
    if cut is None:
        line_end = text.find("\n", mark, len(text) if near is None else mark + min(near, quarter))
        cut = mark if line_end < 0 else line_end + 1
    if isinstance(text, Text):
        return text.part(0, cut), text.part(cut, len(text))
    return text[:cut], text[cut:]
