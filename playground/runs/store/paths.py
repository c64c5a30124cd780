"""The folders of runs, reference runs and cached datasets. Everything else receives its folder as an argument."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import playground

_PACKAGE = Path(playground.__file__).resolve().parent
# A wheel has the reference runs inside the package. A checkout has them, and the user's runs, next to it.
INSTALLED = (_PACKAGE / "gallery").is_dir()


def data_root() -> Path:
    """The user's own runs: ``$PLAYGROUND_DATA``, or ``runs`` in `default_root`. May not exist yet."""
    chosen = os.environ.get("PLAYGROUND_DATA")
    return Path(chosen).expanduser().resolve() if chosen else default_root() / "runs"


def gallery_root() -> Path:
    """The reference runs that ship with the project, read-only."""
    return (_PACKAGE if INSTALLED else code_root() / "checkpoints") / "gallery"


def cache_root() -> Path:
    """Prepared and downloaded texts: ``$PLAYGROUND_CACHE``, or ``corpora`` in `default_root`."""
    chosen = os.environ.get("PLAYGROUND_CACHE")
    return Path(chosen).expanduser().resolve() if chosen else default_root() / "corpora"


def default_root() -> Path:
    """Where runs and texts are kept: ``checkpoints`` in a checkout, the user's own folder after an installation."""
    return user_folder() if INSTALLED else code_root() / "checkpoints"


def user_folder(platform: str = sys.platform, environment: Mapping[str, str] = os.environ) -> Path:
    """The folder in which the operating system's conventions keep a user's data of this program. May not exist yet."""
    if platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    elif platform == "win32":
        base = Path(environment.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(environment.get("XDG_DATA_HOME", ""))
        base = base if base.is_absolute() else Path.home() / ".local" / "share"  # the XDG rule for relative paths
    return base / "llm-playground"


def code_root() -> Path:
    """The folder that a fresh Python must have on its path to import `playground`."""
    return _PACKAGE.parent
