"""A text that people know, for tests and benchmarks: Tiny Shakespeare where it can be had."""

from __future__ import annotations

import hashlib
from pathlib import Path

from playground.data.downloads import DOWNLOADS, fetch
from playground.data.python_source import python_source
from playground.runs.store.paths import cache_root

PROJECT = Path(__file__).resolve().parents[1]


def real_text() -> Path:
    """Tiny Shakespeare: a copy in a folder beside the project or in the cache, else downloaded into the cache.

    Without network and copy, the standard library's source takes its place, so that the test runs everywhere.
    """
    source = DOWNLOADS["tiny_shakespeare"]
    for path in [*PROJECT.parent.glob("*/data/tinyshakespeare.txt"), *cache_root().glob("*hakespeare*")]:
        if hashlib.sha256(path.read_bytes()).hexdigest() == source.sha256:
            return path
    target = cache_root() / source.file_name
    try:
        return fetch(source.url, source.sha256, target, max_bytes=source.n_bytes)
    except ValueError:
        target = cache_root() / "python_source.txt"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(python_source(1_000_000), "utf-8")
        return target
