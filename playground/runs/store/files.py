"""Atomic file operations, which leave the old or the new content after a crash, and a lock between processes.

Files are written under a temporary name and renamed; names that begin with a dot are never read.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


def temporary_name(path: Path, kind: str = "tmp") -> Path:
    """A unique hidden name in the folder of `path`."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.{kind}")


def write_bytes(path: Path, data: bytes) -> None:
    """Replace a file's content atomically and sync it to disk. Raises OSError, leaving the old content."""
    temporary = temporary_name(path)
    try:
        with open(temporary, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, which costs nothing and lasts when the first one is removed; or copy it where the disk
    knows no such thing. Raises OSError."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        sync_file(target)


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Replace a file by a JSON object. Raises ValueError for NaN and infinity, which JSON does not have."""
    write_bytes(path, json.dumps(value, allow_nan=False).encode("ascii"))


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON object from a file, or None when the file is missing, unreadable or something else."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def sync_file(path: Path) -> None:
    """Put a written file on disk."""
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Put a folder's list of names on disk, which makes a rename in it last. Windows has no such call and needs none."""
    if sys.platform == "win32":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def discard(path: Path) -> None:
    """Remove a folder, as seen from outside at once: it is renamed out of sight first. Nothing to do if it is gone."""
    hidden = temporary_name(path, "trash")
    try:
        os.rename(path, hidden)
    except FileNotFoundError:
        return
    shutil.rmtree(hidden, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove temporary files left by crashes. Requires the folder's lock."""
    for leftover in folder.glob(".*.tmp"):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)
    for leftover in folder.glob(".*.trash"):
        shutil.rmtree(leftover, ignore_errors=True)


class Lock:
    """A lock on a file, between threads and processes; the operating system releases it when its holder ends."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def acquire(self, timeout: float = 0.0) -> bool:
        """Try for `timeout` seconds; returns whether the lock is held."""
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        deadline = time.monotonic() + timeout
        while not _try_lock(handle):
            if time.monotonic() >= deadline:
                os.close(handle)
                return False
            time.sleep(0.01)
        self._handle = handle
        return True

    def release(self) -> None:
        """Release the lock if it is held."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def __enter__(self) -> Self:
        if not self.acquire(timeout=10.0):
            raise TimeoutError(f"{self.path.name} has been held by another process for 10 seconds.")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _try_lock(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
