"""Text generation: an iterator of tokens, each computed by one forward pass of one token with the KV cache."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from playground.config import GenerationConfig
from playground.inference.decoders import Decoder, GeneratedToken, NativeDecoder, PlainDecoder, choose
from playground.inference.native.decode_step import AHEAD, Floats, Marks, covers
from playground.models.kv_cache import KVCache
from playground.models.transformer import Transformer
from playground.tokenizers import StreamDecoder, Tokenizer, end_ids

SHORT = 16  # prompt tokens that compiled steps read one by one faster than PyTorch, given its overhead
BURST_SECONDS = 0.02  # of generation between checks, so that text appears smoothly and stopping takes effect at once


class DecodingSession:
    """Feeds tokens to a model and returns the logits of the next token, without a limit on length.

    A model with a rolling window, or with a streaming cache, can continue indefinitely in constant memory. Any other model
    rereads the last half of its context when the context is full, so it sees between half a context and a full one.

    It starts with one text; `fork` continues it as several, which share the tokens read so far.
    """

    def __init__(self, model: Transformer, cache: KVCache | None = None) -> None:
        """`cache`: an empty cache to use instead of the model's default, such as `KVCache.streaming`."""
        config = model.config
        self.model, self.cache = model, cache or KVCache(config)
        self.decoder: Decoder = PlainDecoder(model, self.cache)
        # Learned positions are limited; sinusoidal positions and sinks beyond the context were never trained.
        unbounded = not config.n_sink and config.position in ("rope", "alibi", "none")
        self.rolls = self.cache.endless and (self.cache.streams or unbounded)
        self.contexts: list[list[int]] = [[]]

    @property
    def context(self) -> list[int]:
        """What a model without a rolling window looks back over, in the first text."""
        return self.contexts[0]

    def feed(self, ids: Sequence[int]) -> np.ndarray:
        """Logits (V,) float32 after these tokens and all before, of the model's whole vocabulary: those of ids from
        `model.n_tokens` on, which no tokenizer has, are there because the model gives these ids probability too.

        Raises ValueError for no tokens at all.
        """
        if not len(ids) and not self.context:
            raise ValueError("The prompt is empty: there is nothing to continue. Write at least one character.")
        return np.asarray(self.feed_rows([ids])[0])

    def feed_rows(self, rows: Sequence[Sequence[int]]) -> np.ndarray:
        """Logits (B, V) float32 after these tokens, equally many for each of the B texts, and all before."""
        fresh = [[int(token) for token in row] for row in rows]
        if not self.rolls:
            for context, new in zip(self.contexts, fresh, strict=True):
                context += new
            limit = self.model.config.block_size
            if len(self.context) > limit:
                keep = max(1, limit // 2) if self._has_read else limit
                fresh = [context[-keep:] for context in self.contexts]
                self.contexts = [list(context) for context in fresh]
                self.cache = KVCache(self.model.config, len(fresh))
                self.decoder = PlainDecoder(self.model, self.cache)
        if len(fresh[0]) <= (1 if self._has_read else SHORT):
            self._use_native()
        return self.decoder.feed(fresh)

    def decode(
        self, tokens: Sequence[int], uniforms: Floats, config: GenerationConfig, seen: Marks, n_alternatives: int
    ) -> list[list[GeneratedToken]]:
        """Feed one token to each text and draw `uniforms.shape[1]` more, `max_burst` at most: see `Decoder.decode`."""
        if not self._room():  # the context is full, and its last half is read again
            logits = self.feed_rows([[token] for token in tokens])
            return [choose(logits, uniforms[:, 0], config, seen, n_alternatives)]
        self._use_native()
        drawn = self.decoder.decode(tokens, uniforms, config, seen, n_alternatives)
        if not self.rolls:
            for row, context in enumerate(self.contexts):
                context += [int(tokens[row]), *(step[row].id for step in drawn[:-1])]
        return drawn

    @property
    def max_burst(self) -> int:
        """How many tokens `decode` can draw at a time."""
        return max(1, min(self._room(), AHEAD))

    def fork(self, rows: Sequence[int]) -> None:
        """Continue with these texts, by index; an index that occurs several times becomes several texts."""
        self.contexts = [list(self.contexts[row]) for row in rows]
        self.decoder.select(rows)

    @property
    def _has_read(self) -> bool:
        return self.cache.length > 0 or isinstance(self.decoder, NativeDecoder)

    def _room(self) -> int:
        """How many tokens can be fed before the context is full."""
        return AHEAD if self.rolls else self.model.config.block_size - len(self.context)

    def _use_native(self) -> None:
        """Let compiled steps continue the texts from now on, if they can."""
        if isinstance(self.decoder, PlainDecoder) and covers(self.model, self.cache):
            self.decoder = NativeDecoder(self.model, self.cache)


def generate(
    model: Transformer, ids: Sequence[int], config: GenerationConfig, n_alternatives: int = 0
) -> Iterator[GeneratedToken]:
    """Continue token ids for `max_new_tokens` tokens. The same model, ids and config give the same tokens.

    The model must be in eval mode. Of a prompt longer than the context, the last part is used. Raises ValueError for an
    empty prompt. Only the first of the config's samples is generated, and stop strings are
    ignored: see `generate_text_batch`.
    """
    return (tokens[0] for tokens in generate_batch(model, ids, config.replace(n_sample=1), n_alternatives))


def generate_batch(
    model: Transformer,
    ids: Sequence[int],
    config: GenerationConfig,
    n_alternatives: int = 0,
    drawn: int = 0,
    first_row: int = 0,
) -> Iterator[list[GeneratedToken]]:
    """`n_sample` continuations at once, a token of each at a time; the prompt is read once.

    Each has random numbers of its own, and the first has those of a single one. `drawn` random numbers were used before:
    continuing after n tokens with drawn = n gives the same text as generating all at once; of the second of several
    samples, with first_row = 1.
    """
    return continue_batch(DecodingSession(model), ids, config, config.max_new_tokens, n_alternatives, drawn, first_row)


def continue_batch(
    session: DecodingSession,
    ids: Sequence[int],
    config: GenerationConfig,
    n_tokens: int,
    n_alternatives: int = 0,
    drawn: int = 0,
    first_row: int = 0,
) -> Iterator[list[GeneratedToken]]:
    """`generate_batch` with a given, unused session, without a limit on the number of tokens."""
    rngs = [sequence_rng(config.seed, first_row + row, drawn) for row in range(config.n_sample)]
    logits = session.feed(ids)[None].repeat(config.n_sample, axis=0)
    session.fork([0] * config.n_sample)
    seen = np.zeros((config.n_sample, session.model.n_tokens), dtype=np.uint8)
    seen[:, [token for token in ids if token < seen.shape[1]]] = 1
    steps = [choose(logits, np.array([rng.random() for rng in rngs]), config, seen, n_alternatives)]
    yield steps[0]
    left, burst = n_tokens - 1, 1
    while left > 0:
        began, n = time.perf_counter(), min(left, burst, session.max_burst)
        uniforms = np.stack([rng.random(n) for rng in rngs])
        steps = session.decode([token.id for token in steps[-1]], uniforms, config, seen, n_alternatives)
        burst = max(1, burst // 2) if time.perf_counter() - began > BURST_SECONDS else min(2 * burst, AHEAD)
        left -= n
        yield from steps


def sequence_rng(seed: int, row: int, drawn: int = 0) -> np.random.Generator:
    """The random numbers of one of several samples, after `drawn` of them were used."""
    rng = np.random.default_rng([seed, row] if row else seed)
    rng.random(drawn)
    return rng


@dataclass(frozen=True)
class GeneratedText:
    """A token as text. `cut`: a stop string was found, and so many characters at the end of the whole text go.
    `ended`: it is the token that ends a text, and has no text of its own.
    """

    token: GeneratedToken
    text: str  # what the token completes
    cut: int | None = None
    ended: bool = False


def generate_text_batch(
    model: Transformer,
    tokenizer: Tokenizer,
    ids: Sequence[int],
    config: GenerationConfig,
    n_alternatives: int = 0,
    drawn: int = 0,
    first_row: int = 0,
) -> Iterator[list[GeneratedText | None]]:
    """`generate_batch` with text, each continuation until its stop string or an end-of-text token comes: from then on it
    gives None.

    Ends when all have stopped.
    """
    decoders = [StreamDecoder(tokenizer, ids) for _ in range(config.n_sample)]
    watches = [StopStringMatcher(config.stops) for _ in decoders]
    running, ends = set(range(config.n_sample)), end_tokens(tokenizer, config)
    for count, tokens in enumerate(generate_batch(model, ids, config, n_alternatives, drawn, first_row), start=1):
        written: list[GeneratedText | None] = [None] * config.n_sample
        for row in sorted(running):
            if tokens[row].id in ends:
                written[row] = GeneratedText(tokens[row], decoders[row].finish(), ended=True)
                running.discard(row)
                continue
            text = decoders[row].feed(tokens[row].id) + (
                decoders[row].finish() if count == config.max_new_tokens else ""
            )
            cut = watches[row].feed(text)
            written[row] = GeneratedText(tokens[row], text, cut)
            if cut is not None:
                running.discard(row)
        yield written
        if not running:
            return


class StopStringMatcher:
    """Finds stop strings in text that arrives in pieces."""

    def __init__(self, stops: Sequence[str]) -> None:
        self.stops = list(stops)
        self.reach = (
            max(map(len, self.stops), default=1) - 1
        )  # this many characters may be the beginning of a stop string
        self._tail = ""

    def feed(self, text: str) -> int | None:
        """None, or once a stop string is complete: how many characters from its first on there are."""
        joined = self._tail + text
        found = [at for stop in self.stops if (at := joined.find(stop)) >= 0]
        self._tail = joined[len(joined) - self.reach :] if self.reach else ""
        return len(joined) - min(found) if found else None


def generate_text(model: Transformer, tokenizer: Tokenizer, prompt: str, config: GenerationConfig) -> str:
    """The continuation of a prompt as text. Restores the model's mode (train or eval)."""
    was_training = model.training
    model.eval()
    try:
        ids = encode_prompt(tokenizer, prompt, config.special_tokens)
        decoder = StreamDecoder(tokenizer, ids)
        text = "".join(decoder.feed(t.id) for t in until_end(generate(model, ids, config), tokenizer, config))
        return text + decoder.finish()
    finally:
        model.train(was_training)


def end_tokens(tokenizer: Tokenizer, config: GenerationConfig) -> frozenset[int]:
    """The tokens at which a text ends."""
    return end_ids(tokenizer) if config.special_tokens else frozenset()


def until_end(
    tokens: Iterable[GeneratedToken], tokenizer: Tokenizer, config: GenerationConfig
) -> Iterator[GeneratedToken]:
    """Generated tokens up to the one that ends the text, which is left out."""
    ends = end_tokens(tokenizer, config)
    return takewhile(lambda token: token.id not in ends, tokens)


def encode_prompt(tokenizer: Tokenizer, prompt: str, special: bool = True) -> list[int]:
    """Ids of a prompt, as Transformers reads it; with `special` off all is plain text, and nothing is put before it.

    An empty one becomes what the file puts before every text, else the token that begins or ends one, else a line end, the
    start of anything. A character tokenizer that has no line end starts with its first character instead.
    """
    ids = tokenizer.encode_prompt(prompt) if special else [int(token) for token in tokenizer.encode(prompt)]
    if ids:
        return ids
    first = tokenizer.eos if tokenizer.bos is None else tokenizer.bos
    if special and first is not None:
        return [first]
    try:
        return [int(token) for token in tokenizer.encode("\n")] or [0]
    except ValueError:
        return [0]
