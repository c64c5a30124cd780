"""From text to token ids and back. A tokenizer is saved as a dictionary with each run."""

from playground.tokenizers.base import (
    Tokenizer,
    build_tokenizer,
    decode,
    decode_bytes,
    encode_each,
    encode_pieces,
    end_ids,
    in_words,
    kind_in_words,
    n_tokens,
    pieces,
    tokenizer_from_dict,
    tokenizers_json,
)
from playground.tokenizers.bpe import BPETokenizer, learn_bpe
from playground.tokenizers.imported import ImportedTokenizer, import_tokenizer
from playground.tokenizers.round_trip import RoundTrip, changed_words, lost_share, lost_words, round_trip
from playground.tokenizers.spans import Spans, spans_of, text_with_ends
from playground.tokenizers.stream import StreamDecoder

__all__ = [
    "BPETokenizer",
    "ImportedTokenizer",
    "RoundTrip",
    "Spans",
    "StreamDecoder",
    "Tokenizer",
    "build_tokenizer",
    "changed_words",
    "decode",
    "decode_bytes",
    "encode_each",
    "encode_pieces",
    "end_ids",
    "import_tokenizer",
    "in_words",
    "kind_in_words",
    "learn_bpe",
    "lost_share",
    "lost_words",
    "n_tokens",
    "pieces",
    "round_trip",
    "spans_of",
    "text_with_ends",
    "tokenizer_from_dict",
    "tokenizers_json",
]
