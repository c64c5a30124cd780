"""Layout helpers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr


@contextmanager
def page(label: str, tab_id: str) -> Iterator[gr.Tab]:
    """A tab with controls on the left (`side`) and their results on the right (`main`)."""
    with gr.Tab(label, id=tab_id) as tab, gr.Row(elem_classes="pg-page"):
        yield tab


def side() -> gr.Column:
    """The column of controls."""
    return gr.Column(elem_classes="pg-side", min_width=300)


def main() -> gr.Column:
    """The column of results."""
    return gr.Column(elem_classes="pg-main")


@contextmanager
def card(title: str, about: str) -> Iterator[None]:
    """A group of controls with a title and a short description."""
    with gr.Group(elem_classes="pg-card"):
        gr.Markdown(f"**{title}** {about}".strip(), elem_classes="pg-title")
        yield
