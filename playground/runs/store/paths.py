"""The folders of runs, reference runs and cached datasets. Everything else receives its folder as an argument."""

from __future__ import annotations

import os
from pathlib import Path

import playground

_PROJECT = Path(playground.__file__).resolve().parents[1]


def data_root() -> Path:
    """The user's own runs: ``$PLAYGROUND_DATA``, or ``checkpoints/runs`` in the project. May not exist yet."""
    chosen = os.environ.get("PLAYGROUND_DATA")
    return Path(chosen).expanduser().resolve() if chosen else _PROJECT / "checkpoints" / "runs"


def gallery_root() -> Path:
    """The reference runs that ship with the project, read-only."""
    return _PROJECT / "checkpoints" / "gallery"


def cache_root() -> Path:
    """Prepared and downloaded texts: ``$PLAYGROUND_CACHE``, or ``checkpoints/corpora`` in the project."""
    chosen = os.environ.get("PLAYGROUND_CACHE")
    return Path(chosen).expanduser().resolve() if chosen else _PROJECT / "checkpoints" / "corpora"


def code_root() -> Path:
    """The folder that a fresh Python must have on its path to import `playground`."""
    return _PROJECT
