"""From text to token ids and back. A tokenizer is saved as a dictionary beside each run and used everywhere from there."""

from playground.tokenizers.base import Tokenizer, build_tokenizer, decode, pieces, tokenizer_from_dict

__all__ = ["Tokenizer", "build_tokenizer", "decode", "pieces", "tokenizer_from_dict"]
