"""Start the app again whenever one of its files changes: ``make dev``. Open pages reload once the server is back."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

POLL_SECONDS = 0.3
STOP_SECONDS = 15.0  # for the app to end by itself
SUFFIXES = {".py", ".js", ".mjs", ".css", ".c", ".h", ".txt"}
PORTS = range(7860, 7960)


class Reloader:
    """A command that runs, and can be started again. The command must listen to SIGTERM."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._command, self._folder = command, folder
        self._process: subprocess.Popen[bytes] | None = None
        self._seen = self._files()

    def start(self, *more: str) -> None:
        """Run the command with `more` arguments, after ending the one that runs."""
        self.stop()
        # In a session of its own: Ctrl-C reaches only this process, which then ends the other once.
        self._process = subprocess.Popen([*self._command, *more], start_new_session=True)  # noqa: S603 - no shell

    def stop(self) -> None:
        """End the command, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def changed(self) -> list[str]:
        """The files that were changed, added or removed since the last call, once nothing changes any more."""
        before, now = self._seen, self._files()
        if now == before:
            return []
        while (later := self._wait_and_look()) != now:  # an editor or git is still writing
            now = later
        self._seen = now
        return sorted({str(path.relative_to(self._folder)) for path, _ in before.items() ^ now.items()})

    def run(self, *more: str) -> None:
        """Run the command until SIGINT or SIGTERM, and again after each change, then with the arguments `more`."""
        for number in (signal.SIGINT, signal.SIGTERM):  # SIGINT too: a shell's background jobs ignore it by default
            signal.signal(number, signal.default_int_handler)
        self.start()
        try:
            while True:
                time.sleep(POLL_SECONDS)
                if changed := self.changed():
                    print(
                        f"Changed: {', '.join(changed[:5])}{', …' if len(changed) > 5 else ''}. Restarting.",
                        file=sys.stderr,
                    )
                    self.start(*more)
        except KeyboardInterrupt:
            self.stop()

    def _files(self) -> dict[Path, int]:
        found = {}
        for path in self._folder.rglob("*"):
            if path.suffix in SUFFIXES:
                try:
                    found[path] = path.stat().st_mtime_ns
                except FileNotFoundError:  # removed meanwhile
                    continue
        return found

    def _wait_and_look(self) -> dict[Path, int]:
        time.sleep(POLL_SECONDS)
        return self._files()


def free_port() -> int:
    """The first free port of this machine from 7860, which the app then keeps when it starts again. Raises ValueError."""
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ValueError(f"All ports from {PORTS[0]} to {PORTS[-1]} are in use. Choose another with --port.")
