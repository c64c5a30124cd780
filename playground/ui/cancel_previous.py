"""Only the latest event of a tab continues on each page; earlier ones are cancelled, since they would update the same
outputs.

Gradio cancels events only if the page has already received their ids. Here started events are tracked on the server, so
this also works on a slow server.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import gradio as gr

Known = TypeVar("Known")
MOST_PAGES = 10_000  # that are tracked


class Pages(dict[str | None, Known]):
    """State of pages, by session, for the latest `MOST_PAGES`."""

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
        """Cancel what this page has started."""
        self._take(request.session_hash)

    def only(self, handler: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """Wrap a handler so that it ends, without changing outputs, as soon as its page starts another one."""

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
