"""What the process writes about itself: one line for each message, without what visitors sent.

Gradio prints tracebacks whose last line quotes the input; uvicorn and asyncio log them. All of these go through one handler
here. It leaves out the text of exceptions if the app has visitors, escapes control characters, so that no text can forge a
line or clear a terminal, shortens ids, with which a run could be opened, and repeats nothing for ever.
"""

from __future__ import annotations

import io
import logging
import re
import sys
import time
import traceback
from types import SimpleNamespace
from typing import Any, TextIO

from gradio import queueing, route_utils, routes
from starlette.exceptions import HTTPException
from uvicorn.config import LOGGING_CONFIG

from playground.runs.store.paths import code_root

ID = re.compile(r"\b([0-9a-f]{8})[0-9a-f]{24}\b")  # of a run, a race, a visitor or an event
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
LONGEST = 500  # characters of a message
FRAMES = 8
OWN = str(code_root() / "playground")
MOST = 5  # times that one message is written within `PERIOD`
MOST_TOGETHER = 200  # messages of all kinds within `PERIOD`
PERIOD = 60.0  # seconds


def escaped(text: str) -> str:
    """Text without control characters other than newlines, and with shortened ids."""
    return CONTROL.sub(lambda found: ascii(found[0])[1:-1], ID.sub(r"\1…", text))


def one_line(text: str) -> str:
    """Text as a single line."""
    text = escaped(text).replace("\n", "\\n")
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


class SafeFormatter(logging.Formatter):
    """``LEVEL name: message``, and the frames of an exception, each on a line of its own. With `quotes`, also its text."""

    def __init__(self, quotes: bool = False) -> None:
        super().__init__()
        self.quotes = quotes

    def format(self, record: logging.LogRecord) -> str:
        """The lines for a message."""
        line = one_line(f"{record.levelname} {record.name}: {record.getMessage().strip()}")
        if record.exc_info and record.exc_info[1] is not None:
            line += "\n" + self.exception(record.exc_info[1])
        return line

    def exception(self, error: BaseException) -> str:
        """Where an exception was raised: the innermost frames and those of this program, without lines of source code."""
        frames = list(traceback.extract_tb(error.__traceback__))
        inner = len(frames) - FRAMES
        frames = [each for n, each in enumerate(frames) if n >= inner or each.filename.startswith(OWN)][-3 * FRAMES :]
        lines = [one_line(f"  {frame.filename}:{frame.lineno} in {frame.name}") for frame in frames]
        return "\n".join([*lines, "  " + one_line(f"{type(error).__name__}: {error}" if self.quotes else _kind(error))])


def _kind(error: BaseException) -> str:
    number = f" {error.errno}" if isinstance(error, OSError) and error.errno else ""
    return f"{type(error).__name__}{number}"


class Quiet(logging.Filter):
    """Drops what says nothing new: answers with an error status, and repetitions, of which the number is written later."""

    def __init__(self) -> None:
        super().__init__()
        self._began = time.monotonic()
        self._seen: dict[object, int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a message is written."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HTTPException) or isinstance(error and error.__cause__, HTTPException):
            return False  # it was sent as the answer
        now, left_out = time.monotonic(), 0
        if now - self._began > PERIOD:
            left_out = sum(max(0, count - MOST) for count in self._seen.values())
            self._began, self._seen = now, {}
        key = (record.name, record.levelno, record.msg if error is None else _place(error))
        if key not in self._seen and len(self._seen) >= MOST_TOGETHER:
            key = ("all others", 0, "")
        self._seen[key] = self._seen.get(key, 0) + 1
        if left_out:
            record.msg, record.args = f"{record.getMessage()} ({left_out} repeated messages were left out before)", ()
        return self._seen[key] <= MOST


def _place(error: BaseException) -> object:
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return type(error), None if last is None else (last.tb_frame.f_code.co_filename, last.tb_lineno)


class Escaped(io.TextIOBase):
    """A stream whose text is `escaped`: the last barrier, for what is printed and not logged."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text."""
        self._stream.write(escaped(text))
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def configure(public: bool) -> None:
    """Send what this process logs and prints, and Gradio and uvicorn in it, through the one handler."""
    sys.stdout, sys.stderr = Escaped(sys.stdout), Escaped(sys.stderr)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(SafeFormatter(quotes=not public))
    handler.addFilter(Quiet())
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    # uvicorn makes handlers of its own from this, when Gradio starts it.
    LOGGING_CONFIG["handlers"], LOGGING_CONFIG["formatters"] = {}, {}
    for logger in LOGGING_CONFIG["loggers"].values():
        logger |= {"handlers": [], "propagate": True}
    log = logging.getLogger("playground.request")

    def print_exc() -> None:
        log.error("A request ended with an error that is not the visitor's", exc_info=True)

    for module in (queueing, routes, route_utils):
        module.traceback = SimpleNamespace(print_exc=print_exc)  # type: ignore[attr-defined]
