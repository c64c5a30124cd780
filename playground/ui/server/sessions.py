"""Reduce the CPU time and memory of sessions.

For every new session Gradio 6.31 describes each component of the page again, for links to a session's state, which this app
does not have. With 560 components that blocks the server for 50 ms or more. Here each component is described once, and a
session receives copies, as deep as Gradio modifies them.

For the same links Gradio stores the last input of each component during a session: possibly megabytes of pasted text for
each of 200 sessions, and the visitor's secret. Here they are not stored.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.blocks import Block, BlocksConfig

Description = dict[str, Any]


def describe_once(demo: gr.Blocks) -> gr.Blocks:
    """Make new sessions cheap. Call this after the whole layout has been built."""
    demo.default_config = _Parts(demo.default_config)
    return demo


class _Props(dict[str, Any]):
    """The description of a component. Its value stays as it was when the layout was built."""

    def __setitem__(self, key: str, value: Any) -> None:
        if key != "value":
            super().__setitem__(key, value)


class _Parts(BlocksConfig):
    """The parts of a page. A session begins with a copy of them (`__copy__`)."""

    def __init__(self, parts: BlocksConfig) -> None:
        self.__dict__ |= parts.__dict__
        self._known: dict[int, Description] = {}

    def __copy__(self) -> _SessionParts:
        return _SessionParts(super().__copy__(), self)

    def described(self, _id: int, block: Block) -> Description:
        """The description of one of the page's components."""
        if _id not in self._known:
            self._known[_id] = self.config_for_block(_id, [], block)
        found = self._known[_id]
        return {**found, "props": _Props(found["props"])}


class _SessionParts(BlocksConfig):
    """The components of a page for one session, copied when they are modified."""

    def __init__(self, parts: BlocksConfig, origin: _Parts) -> None:
        self.__dict__ |= parts.__dict__
        self._origin = origin

    def __copy__(self) -> _SessionParts:
        return _SessionParts(super().__copy__(), self._origin)

    def config_for_block(  # type: ignore[override]  # static in Gradio, which calls it on instances everywhere
        self, _id: int, rendered_ids: list[int], block: Block, renderable: Any = None
    ) -> Description:
        if renderable is None and self._origin.blocks.get(_id) is block:
            return self._origin.described(_id, block)
        found = BlocksConfig.config_for_block(_id, rendered_ids, block, renderable)
        return {**found, "props": _Props(found["props"])} if "props" in found else found
