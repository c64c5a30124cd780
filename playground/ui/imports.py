"""Imported tokenizer files, cached by a digest of their content; knowing the key requires having had the file."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

from playground.tokenizers import Tokenizer, import_tokenizer

CAPACITY = 8
_kept: OrderedDict[str, Tokenizer] = OrderedDict()
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
        _kept[key] = tokenizer
        while len(_kept) > CAPACITY:
            _kept.popitem(last=False)
    return key


def kept(key: str) -> Tokenizer:
    """The tokenizer of a key. Raises ValueError if it is no longer cached."""
    with _lock:
        if key not in _kept:
            raise ValueError("The imported tokenizer is no longer in memory. Choose its file again.")
        _kept.move_to_end(key)
        return _kept[key]
