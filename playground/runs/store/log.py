"""A run's event log on disk: appended by its worker, tailed by readers.

One event is one line, ``{json}<tab>{crc32 in 8 hex digits}<newline>``. So a reader can tell a line that is not yet
complete (no newline: wait), from one that was damaged (wrong checksum: skip and count), from a good one.
"""

from __future__ import annotations

import errno
import json
import math
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from playground.train.events import Event, event_to_dict

CHUNK_BYTES = 4 << 20


def frame(row: dict[str, Any]) -> bytes:
    """One row as a line. Numbers that are not finite become null: JSON has no NaN."""
    body = json.dumps(finite(row), allow_nan=False, separators=(",", ":")).encode("ascii")
    return b"%s\t%08x\n" % (body, zlib.crc32(body))


def unframe(line: bytes) -> dict[str, Any] | None:
    """The row of a line without its newline, or None if the line is damaged."""
    body, tab, checksum = line.rpartition(b"\t")
    if not tab or checksum != b"%08x" % zlib.crc32(body):
        return None
    try:
        row = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def finite(value: Any) -> Any:
    """Numbers that are not finite become null: JSON has none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, (list, tuple)) else value


class LogWriter:
    """Appends events. Each is passed to the operating system before `append` returns, so a killed worker loses none.

    A write costs a few microseconds, so there is nothing to gain from collecting several. Use as a context manager.
    """

    def __init__(self, path: Path) -> None:
        _cut_torn_line(path)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def append(self, event: Event) -> None:
        """Write one event. Raises OSError when the disk is full; a part of a line may then stay and is never read."""
        line = frame(event_to_dict(event))
        if os.write(self._file, line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def sync(self) -> None:
        """Sync to disk: done before each checkpoint, so that the log is never behind it."""
        os.fsync(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)


def _cut_torn_line(path: Path) -> None:
    """Remove an incomplete last line left by a killed worker; readers ignore lines without a newline."""
    if not path.exists():
        return
    with open(path, "rb+") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - CHUNK_BYTES)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
            if newline >= 0:
                file.truncate(start + newline + 1)
                return
            end = start
        file.truncate(0)


def last_step(path: Path) -> int | None:
    """The step of the newest undamaged row, None for a log without one. Reads no more than the log's last piece."""
    try:
        with open(path, "rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - CHUNK_BYTES))
            lines = file.read().split(b"\n")[:-1]  # what has no newline is not complete
    except OSError:
        return None
    steps = (row.get("step") for line in reversed(lines) if (row := unframe(line)) is not None)
    return next((step for step in steps if isinstance(step, int)), None)


class Tail:
    """Reads a log incrementally. A missing file counts as empty."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.offset = 0
        self.damaged = 0
        self.file = 0  # identifies the file that was read

    def changed(self) -> bool:
        """Whether the file was deleted, replaced or cut since the last read: then what was read holds no longer."""
        try:
            found = os.stat(self.path)
        except OSError:
            return self.offset > 0
        return self.offset > 0 and (found.st_ino != self.file or found.st_size < self.offset)

    def rows(self) -> Iterator[dict[str, Any]]:
        """The complete, undamaged rows that were added."""
        try:
            file = open(self.path, "rb")  # noqa: SIM115 - closed below; the guard is for this call alone
        except OSError:
            return
        with file:
            self.file = os.fstat(file.fileno()).st_ino
            file.seek(self.offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # not yet complete
                self.offset += len(line)
                row = unframe(line[:-1])
                if row is None:
                    self.damaged += 1
                else:
                    yield row
