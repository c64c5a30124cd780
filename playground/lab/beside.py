"""Two models reading the same text: where each is surprised, and where they differ most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F

from playground.models.transformer import Transformer
from playground.tokenizers import Tokenizer


@dataclass(frozen=True)
class Span:
    """A piece of text with the surprise of both models at it, in nats. None at the beginning, which nobody predicts."""

    text: str
    a: float | None
    b: float | None

    @property
    def difference(self) -> float:
        """b - a: below zero where b knew better."""
        return 0.0 if self.a is None or self.b is None else self.b - self.a


def token_losses(model: Transformer, ids: Sequence[int]) -> np.ndarray:
    """-log p (T,) float64 in nats of each token given those before; NaN for the first. At most `block_size` tokens."""
    tokens = torch.tensor([list(ids)], device=model.embed.weight.device)
    with torch.inference_mode():
        logits = model(tokens)[0, :-1].double()
        losses = F.cross_entropy(logits, tokens[0, 1:], reduction="none")
    return np.concatenate([[np.nan], losses.cpu().numpy()])


def compare_text(
    a: tuple[Transformer, Tokenizer], b: tuple[Transformer, Tokenizer], text: str
) -> tuple[list[Span], str]:
    """The text cut where both models' tokens begin, with each one's surprise; and a note if it had to be cut.

    With one tokenizer the pieces are its tokens. With two they are the finest pieces that are whole tokens, and whole
    characters, of both. Raises ValueError for a text without two pieces, or with characters a tokenizer does not know.
    """
    data = text.encode("utf-8")
    found = [_offsets(model, tokenizer, text, data) for model, tokenizer in (a, b)]
    end = min(offsets[-1] for offsets, _ in found)
    starts = _character_starts(data)
    cuts = sorted(set(found[0][0]) & set(found[1][0]) & starts)
    cuts = [cut for cut in cuts if cut <= end]
    if len(cuts) < 3:
        raise ValueError("The text is too short to compare on: write at least a few words.")
    spans = [
        Span(data[start:stop].decode("utf-8"), *(_between(*one, start, stop) for one in found))
        for start, stop in pairwise(cuts)
    ]
    note = (
        ""
        if cuts[-1] == len(data)
        else f"Only the first {len(data[: cuts[-1]].decode())} characters fit both contexts."
    )
    return spans, note


def _offsets(model: Transformer, tokenizer: Tokenizer, text: str, data: bytes) -> tuple[list[int], np.ndarray]:
    """Byte offsets (T + 1,) at which tokens begin and the last ends, and the sum of losses (T + 1,) up to each."""
    ids = [int(token) for token in tokenizer.encode(text)][: model.config.block_size]
    if len(ids) < 2:
        raise ValueError("The text is too short to compare on: write at least a few words.")
    lengths = [len(tokenizer.token_bytes(token)) for token in ids]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    sums = np.concatenate([[0.0], np.cumsum(np.nan_to_num(token_losses(model, ids), nan=0.0))])
    return [int(offset) for offset in offsets], sums


def _between(offsets: list[int], sums: np.ndarray, start: int, stop: int) -> float | None:
    if start == 0:
        return None  # the first token is given, not predicted
    return float(sums[offsets.index(stop)] - sums[offsets.index(start)])


def _character_starts(data: bytes) -> set[int]:
    return {i for i, byte in enumerate(data) if byte & 0xC0 != 0x80} | {len(data)}
