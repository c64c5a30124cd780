"""Of what a page has started in one tab, only the last goes on: two writers would take turns on the same picture.

Gradio cancels what the page asks it to, if the page knows of it by then. What was started is known here, whatever the page
has heard, so a slow server obeys too.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import gradio as gr

Known = TypeVar("Known")
MOST_PAGES = 10_000  # of which something is remembered


class Pages(dict[str | None, Known]):
    """What is remembered of pages, by session: of the latest `MOST_PAGES` of which something was said."""

    def __setitem__(self, session: str | None, known: Known) -> None:
        self.pop(session, None)
        super().__setitem__(session, known)
        while len(self) > MOST_PAGES:
            del self[next(iter(self))]


class CancelPrevious:
    """For the handlers of one tab."""

    def __init__(self) -> None:
        self._last: Pages[object] = Pages()

    def end_what_runs(self, request: gr.Request) -> None:
        """End what this page has started, before it shows anything else."""
        self._take(request.session_hash)

    def only(self, handler: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """A handler that ends, and leaves everything as it is, as soon as its page has started another one."""

        def latest(*arguments: Any) -> Iterator[Any]:
            request, *own = arguments
            session = request.session_hash
            mine = self._take(session)
            for shown in handler(*own):
                if self._last.get(session) is not mine:
                    yield tuple(gr.skip() for _ in shown) if isinstance(shown, tuple) else gr.skip()
                    return
                yield shown

        request = inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=gr.Request)
        signature = inspect.signature(handler)
        latest.__name__ = handler.__name__
        latest.__signature__ = signature.replace(  # type: ignore[attr-defined]  # Gradio finds its own type there
            parameters=[request, *signature.parameters.values()]
        )
        latest.__annotations__ = {"request": gr.Request, **handler.__annotations__}
        return latest

    def _take(self, session: str | None) -> object:
        self._last[session] = mine = object()
        return mine
