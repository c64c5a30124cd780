"""Two models on the same text: the losses of each, and where they differ most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F

from playground.config import counted
from playground.models.transformer import Transformer
from playground.tokenizers import Tokenizer, changed_words, round_trip, spans_of
from playground.tokenizers.identity import same_tokens


@dataclass(frozen=True)
class Span:
    """A piece of text with the loss of both models on it, in nats. None at the beginning, which is not predicted."""

    text: str
    a: float | None
    b: float | None

    @property
    def difference(self) -> float:
        """b - a: negative if b predicted it better."""
        return 0.0 if self.a is None or self.b is None else self.b - self.a


def token_losses(model: Transformer, ids: Sequence[int]) -> np.ndarray:
    """-log p (T,) float64 in nats of each token given those before; NaN for the first. At most `block_size` tokens."""
    tokens = torch.tensor([list(ids)], device=model.embed.weight.device)
    with torch.inference_mode():
        logits = model(tokens)[0, :-1].double()
        losses = F.cross_entropy(logits, tokens[0, 1:], reduction="none")
    return np.concatenate([[np.nan], losses.cpu().numpy()])


def check_comparable(tokenizers: Mapping[str, Tokenizer], text: str) -> None:
    """Raise ValueError if losses on a text cannot be compared: the tokenizers, given by the name of their model, differ, and
    one of them does not give the text back, so that its model predicts less than the text."""
    first, *others = tokenizers.values()
    if all(same_tokens(first, other) for other in others):
        return
    for name, tokenizer in tokenizers.items():
        back = round_trip(tokenizer, text, tokenizer.encode(text))
        if not back.exact:
            raise ValueError(
                f"{name}: {changed_words(back.lost)}, so its losses are not comparable with those of another tokenizer. "
                "Choose two runs with the same tokenizer, or a text that both reproduce."
            )


def compare_text(
    a: tuple[Transformer, Tokenizer], b: tuple[Transformer, Tokenizer], text: str
) -> tuple[list[Span], str]:
    """The text split where tokens of both models begin, with the loss of each; and a note if it was truncated.

    With one tokenizer the pieces are its tokens. With two they are the smallest pieces that consist of whole tokens,
    and whole characters, of both. Special tokens are treated as in a prompt. Raises ValueError for a text without two
    pieces, or with characters a tokenizer does not know.
    """
    found = [_read(model, tokenizer, text) for model, tokenizer in (a, b)]
    end = min(one.ends[-1] for one in found)
    cuts = sorted(cut for cut in {0, *found[0].ends.tolist()} & {0, *found[1].ends.tolist()} if cut <= end)
    if len(cuts) < 3:
        raise ValueError(
            "The text is too short to compare on: fewer than two of its pieces are whole tokens of both models. Write more "
            "words."
        )
    spans = [Span(text[start:stop], *(one.between(start, stop) for one in found)) for start, stop in pairwise(cuts)]
    return spans, "" if cuts[-1] == len(text) else _cut_note(cuts[-1], any(one.filled for one in found))


def _cut_note(end: int, filled: bool) -> str:
    """A note on how many characters are compared, and why not all."""
    within = " within both contexts" if filled else ""
    return (
        f"Only the first {counted(end, 'character')} {'is' if end == 1 else 'are'} compared, up to the last point where a "
        f"token of each model ends{within}."
    )


@dataclass(frozen=True)
class _Read:
    """A text as one model reads it: `ends` (T,) in characters, and the losses of its tokens up to each, `sums` (T + 1,)."""

    ends: np.ndarray
    sums: np.ndarray
    filled: bool  # the text is longer than its context
    foretold: bool  # the first token is a special token, so all of the text was predicted

    def between(self, start: int, stop: int) -> float | None:
        """The loss on a range of characters at token boundaries. None for the first token without one before it."""
        if start == 0 and not self.foretold:
            return None
        first, last = (int(np.searchsorted(self.ends, at, side="right")) for at in (start, stop))
        return float(self.sums[last] - self.sums[0 if start == 0 else first])


def _read(model: Transformer, tokenizer: Tokenizer, text: str) -> _Read:
    """Encoded like a prompt: with the tokenizer's beginning-of-sequence token, without an end token."""
    found = spans_of(tokenizer, text, prompt=True)
    own = np.flatnonzero(~found.added)
    needed = int(own[-1]) + 1 if len(own) else 0
    limit = min(model.config.block_size, needed)
    ids, ends = found.ids[:limit].tolist(), found.ends[:limit]
    if len(ids) < 2:
        raise ValueError(
            "The text is too short to compare on: it has fewer than two tokens for one of the models. Write more words."
        )
    sums = np.concatenate([[0.0], np.cumsum(np.nan_to_num(token_losses(model, ids), nan=0.0))])
    return _Read(ends, sums, limit < needed, bool(found.added[0]))
