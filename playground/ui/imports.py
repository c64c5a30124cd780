"""Imported tokenizer files, cached by a digest of their content; knowing the key requires having had the file."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

from playground.tokenizers import Tokenizer, import_tokenizer

CAPACITY = 8
CAPACITY_BYTES = 100_000_000  # of their files; in memory each takes up to twenty times its size
_kept: OrderedDict[str, Tokenizer] = OrderedDict()
_sizes: dict[str, int] = {}
_lock = threading.Lock()


def keep(data: bytes) -> str:
    """Import a tokenizer.json and return the key under which `kept` finds it. Raises ValueError for any other file."""
    key = hashlib.sha256(data).hexdigest()
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return key
    tokenizer = import_tokenizer(data)
    with _lock:
        _kept[key], _sizes[key] = tokenizer, len(data)
        while len(_kept) > CAPACITY or sum(map(_sizes.__getitem__, _kept)) > CAPACITY_BYTES:
            del _sizes[_kept.popitem(last=False)[0]]
    return key


def kept(key: str) -> Tokenizer:
    """The tokenizer of a key. Raises ValueError if it is no longer cached."""
    with _lock:
        if key not in _kept:
            raise ValueError("The imported tokenizer is no longer in memory. Choose its file again.")
        _kept.move_to_end(key)
        return _kept[key]
