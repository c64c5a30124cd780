"""Limits on uploads: per request, and in total until they are deleted.

Gradio limits the size of each file and deletes uploads after an hour. It accepts a thousand files at a time, does not check
disk space, and never deletes aborted uploads.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from pathlib import Path

from playground.runs.queue.space import MIN_FREE

MOST_AT_ONCE = 250_000_000  # bytes of a request: a model's files, which may have 40 MB each
MOST = 2_000_000_000  # bytes of all uploads that are not deleted yet
MOST_FILES = 20_000
BROKEN_SECONDS = 600.0  # since its last byte, after which an unfinished upload counts as aborted


class Uploads:
    """The uploads in one app's folder. All methods may be called from any thread."""

    def __init__(self, folder: Path, at_once: int = MOST_AT_ONCE, most: int = MOST) -> None:
        self._folder, self._at_once, self._most = folder, at_once, most
        self._lock = threading.Lock()
        self._coming = 0

    def begin(self, size: int | None) -> tuple[int, str]:
        """Reserve space for an upload: status 200, or another status with a message. After 200, `end` must be called."""
        if size is None:
            return 411, "The size of the upload is missing. Send a Content-Length header."
        if size > self._at_once:
            return (
                413,
                f"An upload may have {self._at_once / 1e6:,.0f} MB; this one has {size / 1e6:,.0f} MB. Send fewer files.",
            )
        with self._lock:
            there, files = self._there()
            if there + self._coming + size > self._most or files > MOST_FILES:
                return (
                    503,
                    "Too much was uploaded in the last hours. Uploads are deleted after an hour: try again then.",
                )
            if shutil.disk_usage(_existing(self._folder)).free - self._coming - size < MIN_FREE:
                return 507, "The disk of this app is full. Tell the host."
            self._coming += size
        return 200, ""

    def end(self, size: int) -> None:
        """An upload has ended, successfully or not."""
        with self._lock:
            self._coming -= size

    def _there(self) -> tuple[int, int]:
        """Bytes and number of files; deletes aborted uploads."""
        total, files = 0, 0
        for place, _, names in os.walk(self._folder):
            for name in names:
                path = os.path.join(place, name)
                try:
                    found = os.lstat(path)
                    # A finished upload is in a folder named by a hash of its content.
                    if place == str(self._folder) and time.time() - found.st_mtime > BROKEN_SECONDS:
                        os.unlink(path)
                        continue
                except OSError:  # deleted meanwhile
                    continue
                total, files = total + found.st_size, files + 1
        return total, files


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())
