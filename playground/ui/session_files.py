"""Uploads and prepared downloads of a public app: deleted with the run that they belong to, and with the page's session.

Gradio deletes them after an hour, or when the app ends. It names an upload by a hash of its content, so two visitors who
upload the same file share it: a file goes when no session and no run has it any more.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

SWEEP_SECONDS = 30.0
HEARTBEAT = re.compile(r"/heartbeat/([^/]+)/?$")  # the stream that a page keeps open


def files_folder() -> Path:
    """The folder in which Gradio keeps uploads, and from which it serves downloads without a copy."""
    folder = Path(get_upload_folder())
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class EndOfSession:
    """ASGI middleware that deletes a session's files when its page closes.

    Gradio's event for it, `unload`, describes the whole page for each session that ends, known or not: a thousand streams
    that close at once would stop the app for half a minute, and push the sessions of others out of memory.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], files: SessionFiles) -> None:
        self.app = app
        self._files = files

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self.app(scope, receive, send)
        finally:
            if scope["type"] == "http" and (stream := HEARTBEAT.search(scope["path"])):
                self._files.session_ended(stream[1])


class SessionFiles:
    """Which sessions and runs have which files of `folder`. All methods may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._lock = threading.Lock()
        self._of_sessions: dict[str, set[Path]] = {}
        self._of_jobs: dict[str, set[Path]] = {}

    def sent(self, session: str | None, data: Any) -> None:
        """Note the files in the inputs of an event."""
        self._note(self._of_sessions, session, _paths(data))

    def used(self, job: str, files: Iterable[str | Path]) -> None:
        """Note that a run or race was made from these files, or that they were made from it."""
        self._note(self._of_jobs, job, files)

    def session_ended(self, session: str | None) -> None:
        """Delete the files of a session that has ended."""
        with self._lock:
            self._forget(self._of_sessions, session or "")

    def sweep(self, exists: Callable[[str], bool]) -> None:
        """Delete the files of runs and races that do not exist any more, also those that a session still has."""
        with self._lock:
            for job in [job for job in self._of_jobs if not exists(job)]:
                for files in self._of_sessions.values():
                    files -= self._of_jobs[job]
                self._forget(self._of_jobs, job)

    def _note(self, known: dict[str, set[Path]], key: str | None, files: Iterable[str | Path]) -> None:
        found = {path for path in map(self._placed, files) if path is not None}
        if key and found:
            with self._lock:
                known.setdefault(key, set()).update(found)

    def _placed(self, name: str | Path) -> Path | None:
        """The path of a file of the folder, else None: what a request names may be anything."""
        try:
            path = Path(name).resolve()
        except (OSError, ValueError):
            return None
        return path if path.is_relative_to(self._folder) and path != self._folder else None

    def _forget(self, known: dict[str, set[Path]], key: str) -> None:
        files = known.pop(key, set())
        others = [*self._of_sessions.values(), *self._of_jobs.values()]
        for path in files:
            if not any(path in other for other in others):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
                    path.parent.rmdir()  # named by the hash; not empty if there is another file of it


def _paths(data: Any) -> list[str]:
    """The paths in Gradio's descriptions of files, wherever they are."""
    found, waits = [], [data]
    while waits:
        each = waits.pop()
        if isinstance(each, dict):
            if isinstance(each.get("path"), str):
                found.append(each["path"])
            waits += each.values()
        elif isinstance(each, list):
            waits += each
    return found


def sweep_regularly(sweep: Callable[[], None]) -> None:
    """Sweep every half minute in a thread of its own: runs are also deleted by the host, by age and by size."""

    def loop() -> None:
        while True:
            time.sleep(SWEEP_SECONDS)
            sweep()

    threading.Thread(target=loop, name="session-files", daemon=True).start()
