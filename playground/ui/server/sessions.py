"""What a visitor's session costs the server: as little as it can.

For every new session Gradio 6.31 describes each component of the page anew, for links to a session's state, which this page
does not have. With 560 components that is 50 ms and more in which the server answers nobody else. Here each is described
once, and a session has copies, as deep as Gradio changes them.

For the same links Gradio keeps the last value that each component of a session was sent, as long as there is the session:
megabytes of pasted text, times 200, and the visitor's secret. Here they are not kept.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
from gradio.blocks import Block, BlocksConfig

Description = dict[str, Any]


def describe_once(demo: gr.Blocks) -> gr.Blocks:
    """The app, with sessions that begin quickly. To be called once all of it has been laid out."""
    demo.default_config = _Parts(demo.default_config)
    return demo


class _Props(dict[str, Any]):
    """What describes a part. Its value stays as it was when the page was laid out."""

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
        """How one of the page's own parts looks."""
        if _id not in self._known:
            self._known[_id] = self.config_for_block(_id, [], block)
        found = self._known[_id]
        return {**found, "props": _Props(found["props"])}


class _SessionParts(BlocksConfig):
    """The parts of a page as one session sees them: its own as soon as they were changed for it."""

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
