"""The text of an HTML page, without its tags, scripts and styles.

The standard library's parser is fast on ordinary pages, but malicious ones can keep it busy for long, and it cannot be
interrupted. So it runs in a separate process with limits on time and memory: this file, run as a program, reads a page and
writes its text.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser

MAX_BYTES = 20_000_000
SECONDS = 20.0
MEMORY = 2_000_000_000  # bytes
_CHUNK = 65_536
_HIDDEN = {"head", "script", "style", "template", "noscript", "svg", "iframe", "object", "select"}
_BLOCKS = {
    *("address", "article", "aside", "blockquote", "br", "caption", "dd", "div", "dl", "dt", "fieldset", "figcaption"),
    *("figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p"),
    *("pre", "section", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"),
}
_PARAGRAPHS = {"blockquote", "dl", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "ol", "p", "pre", "section", "table", "ul"}


def text_of(data: bytes, name: str) -> str:
    """The text of a page in UTF-8. Raises ValueError, naming the file by `name`, for one that is too large or too slow."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"{name} is larger than {MAX_BYTES // 10**6} MB, the limit for HTML. Use a part of it.")
    try:
        done = subprocess.run(  # noqa: S603 - this very file
            [sys.executable, "-I", __file__],
            input=data,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            env={name: os.environ[name] for name in ("LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ},
        )
    except subprocess.TimeoutExpired:
        raise ValueError(
            f"{name} was not read after {SECONDS:.0f} s: its tags are nested too deeply. Save the page as plain text."
        ) from None
    if done.returncode != 0:
        raise ValueError(f"{name} cannot be read as HTML. Save the page as plain text.")
    return done.stdout.decode("utf-8")


class _Page(HTMLParser):
    """Collects the visible text of a page."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden: list[str] = []
        self._pre = 0

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag == "body":
            self._hidden.clear()
        if tag in _HIDDEN:
            self._hidden.append(tag)
        self._pre += tag == "pre"
        self._break(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            del self._hidden[len(self._hidden) - 1 - self._hidden[::-1].index(tag) :]
        self._pre = max(0, self._pre - (tag == "pre"))
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if not self._pre:
            data = re.sub(r"[ \t\r\n\f]+", " ", data)
            if not self.parts or self.parts[-1][-1:] in (" ", "\n"):
                data = data.lstrip(" ")
        if data:
            self.parts.append(data)

    def _break(self, tag: str) -> None:
        if tag not in _BLOCKS or self._hidden or not self.parts:
            return
        if not self._pre:
            self.parts[-1] = self.parts[-1].rstrip(" ")
        self.parts.append("\n\n" if tag in _PARAGRAPHS else "\n")


def extract(page: str) -> str:
    """The text of a page: a line for each block, an empty line around paragraphs, white space as it is in ``<pre>`` only."""
    parser = _Page()
    for at in range(0, len(page), _CHUNK):
        parser.feed(page[at : at + _CHUNK])
    if "<" not in parser.rawdata:  # what waits for the end of a tag is no text; closing the parser could take hours
        parser.handle_data(unescape(parser.rawdata))
    return re.sub(r"\n{3,}", "\n\n", "".join(parser.parts)).strip("\n") + "\n"


def _limit_memory() -> None:
    """Not on Windows, which has no such limits."""
    with contextlib.suppress(ImportError):
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        most = MEMORY if hard == resource.RLIM_INFINITY else min(MEMORY, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


if __name__ == "__main__":
    _limit_memory()
    sys.stdout.buffer.write(extract(sys.stdin.buffer.read().decode("utf-8-sig")).encode("utf-8"))
