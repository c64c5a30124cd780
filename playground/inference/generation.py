"""Writing text: an iterator of tokens, one forward pass of one token each, thanks to the KV cache."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from playground.config import SampleConfig
from playground.inference.sampling import draw, filter_distribution
from playground.models.kv_cache import KVCache
from playground.models.transformer import Transformer
from playground.tokenizers import Tokenizer


class Reader:
    """Feeds tokens to a model and returns the logits of what comes next, for as long as one likes.

    A model whose window rolls on goes on for ever in constant memory, and so does any that is given a streaming cache.
    One that can see only `block_size` tokens rereads the last half of its context when that is full: its view is then
    between a half and a whole context long.
    """

    def __init__(self, model: Transformer, cache: KVCache | None = None) -> None:
        """`cache`: a fresh one of another kind than the model's own, such as `KVCache.streaming`."""
        config = model.config
        self.model = model
        self.cache = cache or KVCache(config)
        # Learned positions end, sines beyond the context were never trained, and neither were so distant sinks.
        unbounded = not config.n_sink and config.position in ("rope", "alibi", "none")
        self.rolls = self.cache.endless and (self.cache.streams or unbounded)
        self.context: list[int] = []

    def feed(self, ids: Sequence[int]) -> np.ndarray:
        """Logits (V,) float32 after these tokens and all before. Raises ValueError for no tokens at all."""
        if not len(ids) and not self.context:
            raise ValueError("The prompt is empty: there is nothing to continue. Write at least one character.")
        fresh = [int(token) for token in ids]
        if not self.rolls:
            self.context += fresh
            limit = self.model.config.block_size
            if len(self.context) > limit:
                keep = limit if self.cache.length == 0 else max(1, limit // 2)
                self.context = fresh = self.context[-keep:]
                self.cache = KVCache(self.model.config)
        with torch.inference_mode():
            tokens = torch.tensor([fresh], device=self.model.embed.weight.device)
            hidden = self.model.hidden(tokens, cache=self.cache)
            return self.model.unembed(hidden[0, -1]).float().cpu().numpy()


@dataclass(frozen=True)
class GeneratedToken:
    """A token, and the distribution it was drawn from."""

    id: int
    probability: float  # under the model itself, before any filter
    alternatives: tuple[tuple[int, float], ...]  # the likeliest tokens with their probabilities, before any filter


def generate(
    model: Transformer, ids: Sequence[int], config: SampleConfig, n_alternatives: int = 0
) -> Iterator[GeneratedToken]:
    """Continue token ids for `max_new_tokens` tokens. The same model, ids and config give the same tokens.

    The model must be in eval mode. Of a prompt longer than the context, the last part is used. Raises ValueError for an
    empty prompt.
    """
    rng = np.random.default_rng(config.seed)
    reader = Reader(model)
    logits = reader.feed(ids)
    for count in range(config.max_new_tokens):
        filtered = filter_distribution(logits, config)
        token = draw(filtered.after, rng)
        top = np.argsort(-logits, kind="stable")[:n_alternatives]
        alternatives = tuple((int(other), float(filtered.before[other])) for other in top)
        yield GeneratedToken(token, float(filtered.before[token]), alternatives)
        if count + 1 < config.max_new_tokens:
            logits = reader.feed([token])


class StreamDecoder:
    """Turns token ids into text as they come; a character's bytes are held back until it is complete."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, token: int) -> str:
        """The text that this token completes; often one character, sometimes none."""
        return self._decoder.decode(self.tokenizer.token_bytes(token))

    def finish(self) -> str:
        """What is left when no more tokens come: the replacement character for a cut-off one, or nothing."""
        return self._decoder.decode(b"", final=True)


def write(model: Transformer, tokenizer: Tokenizer, prompt: str, config: SampleConfig) -> str:
    """The continuation of a prompt as text. The model's mode (training or not) is left as it was."""
    was_training = model.training
    model.eval()
    try:
        decoder = StreamDecoder(tokenizer)
        text = "".join(decoder.feed(t.id) for t in generate(model, encode_prompt(tokenizer, prompt), config))
        return text + decoder.finish()
    finally:
        model.train(was_training)


def encode_prompt(tokenizer: Tokenizer, prompt: str) -> list[int]:
    """Ids of a prompt; an empty one becomes a line end, the start of anything.

    A character tokenizer that has no line end starts with its first character instead.
    """
    if prompt:
        return [int(token) for token in tokenizer.encode(prompt)]
    try:
        return [int(token) for token in tokenizer.encode("\n")]
    except ValueError:
        return [0]
