"""Activations on text: the residual stream after every layer, and the text of each token.

Depth 0 is the embedding, depth l the stream after layer l, as in the logit lens.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from playground.data.batches import spread_windows
from playground.models.trace import Trace
from playground.models.transformer import Transformer
from playground.tokenizers import Tokenizer, text_with_ends

BATCH_TOKENS = 8192
KINDS = ("letter", "capital", "digit", "space", "line end", "punctuation", "other")


def text_windows(tokens: np.ndarray, block_size: int, n_tokens: int) -> np.ndarray:
    """About `n_tokens` tokens of a stream as windows (N, T), spread evenly over it."""
    offsets = spread_windows(len(tokens), block_size, n_tokens)
    return tokens[offsets[:, None] + np.arange(block_size)].astype(np.int64)


def streams(model: Transformer, sequences: np.ndarray, depths: Sequence[int]) -> Tensor:
    """The residual stream (D, N, T, C), float32, of token ids (N, T) at D depths from 0 to the number of layers."""
    names = ["embed" if depth == 0 else f"blocks.{depth - 1}.resid_post" for depth in depths]
    device, size = model.embed.weight.device, max(1, BATCH_TOKENS // max(1, sequences.shape[1]))
    parts = []
    with torch.inference_mode(), Trace(model, keep=names) as trace:
        for batch in torch.from_numpy(sequences).split(size):
            model.hidden(batch.to(device))
            parts.append(torch.stack([trace.kept[name].float().cpu() for name in names]))
    return torch.cat(parts, dim=1)


def passage_means(model: Transformer, passages: Sequence[Sequence[int]], depth: int) -> np.ndarray:
    """The mean over its tokens of the residual stream at a depth, (N, C) float64, of N passages, each read separately.

    Passages longer than the context are truncated. Raises ValueError for an empty one.
    """
    limit, device = model.config.block_size, model.embed.weight.device
    name = "embed" if depth == 0 else f"blocks.{depth - 1}.resid_post"
    cut = [list(passage[:limit]) for passage in passages]
    if not all(cut):
        raise ValueError("A passage has no tokens: it is empty, or the tokenizer drops all of it. Write some words.")
    order = sorted(range(len(cut)), key=lambda i: len(cut[i]))  # batches of similar length need less padding
    found = np.zeros((len(cut), model.config.n_embd))
    start = 0
    with torch.inference_mode(), Trace(model, keep=[name]) as trace:
        while start < len(order):
            longest = len(cut[order[start]]) + 16
            rows = order[start : start + max(1, BATCH_TOKENS // longest)]
            rows = [i for i in rows if len(cut[i]) <= longest]
            ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(cut[i]) for i in rows], batch_first=True)
            lengths = torch.tensor([len(cut[i]) for i in rows])
            valid = torch.arange(ids.size(1)) < lengths[:, None]
            model.hidden(ids.to(device), valid=valid.to(device))
            stream = trace.kept[name].double().cpu().masked_fill(~valid[..., None], 0)  # padding has undefined values
            found[rows] = (stream.sum(1) / lengths[:, None]).numpy()
            start += len(rows)
    return found


def text_of(tokenizer: Tokenizer, ids: np.ndarray) -> tuple[bytes, np.ndarray]:
    """The bytes of some ids, and for each id where its bytes end (T,)."""
    return text_with_ends(tokenizer, ids.tolist())


def kind_of(piece: str) -> str:
    """The kind of a token, by the first non-space character of its text: one of `KINDS`."""
    if piece and not piece.strip():
        return "line end" if "\n" in piece else "space"
    first = piece.strip()[:1]
    if piece.startswith("\\x") and len(piece) % 4 == 0:
        return "other"  # part of a multi-byte character
    if first.isupper():
        return "capital"
    if first.isalpha():
        return "letter"
    if first.isdigit():
        return "digit"
    return "punctuation" if first and first.isprintable() else "other"
