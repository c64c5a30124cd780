"""Token ids to text while the ids are still coming."""

from __future__ import annotations

import codecs
from collections.abc import Iterable

from playground.tokenizers.base import Tokenizer


class StreamDecoder:
    """Turns token ids into text as they come; a character's bytes are held back until it is complete."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def feed(self, token: int) -> str:
        """The text that this token completes; often one character, sometimes none."""
        return self._decoder.decode(self.tokenizer.token_bytes(token))

    def feed_all(self, ids: Iterable[int]) -> str:
        """The text that these tokens complete."""
        return self._decoder.decode(b"".join(self.tokenizer.token_bytes(int(token)) for token in ids))

    def finish(self) -> str:
        """What is left when no more tokens come: the replacement character for a cut-off one, or nothing."""
        return self._decoder.decode(b"", final=True)
