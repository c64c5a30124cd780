"""How a component is made: a constant template, a script read from the file beside it, and server functions.

A `gr.HTML` template is evaluated as code in the browser (Handlebars, then a JavaScript template literal), so templates
here are constants; data travels in `value` and through server functions, and the scripts write it with ``textContent``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr

HERE = Path(__file__).parent
SHARED = (
    "common.js", "sampling.js", "curve_chart.js", "timeline.js", "looking.js", "attention_map.js", "attention_lines.js",
    "head_card.js", "guide.js",
)  # fmt: skip
ServerFunction = Callable[[Any], Any]


def component(
    name: str,
    template: str,
    value: Mapping[str, Any] | None,
    functions: Mapping[str, ServerFunction] | None = None,
    *,
    elem_id: str | None = None,
) -> gr.HTML:
    """A `gr.HTML` that shows `template` and runs ``<name>.js``; `functions` are callable there by their keys."""
    return gr.HTML(
        value=dict(value) if value is not None else None,
        html_template=template,
        js_on_load=(HERE / f"{name}.js").read_text(encoding="utf-8"),
        apply_default_css=False,
        server_functions=[_named(key, function) for key, function in (functions or {}).items()],
        elem_id=elem_id,
        elem_classes=["pg-component"],
    )


def _named(name: str, function: ServerFunction) -> ServerFunction:
    """Gradio knows a server function by its ``__name__``, and marks the object: give each component its own."""

    def endpoint(asked: Any) -> Any:
        return function(asked)

    endpoint.__name__ = endpoint.__qualname__ = name
    return endpoint


def shared_script() -> str:
    """The JavaScript that every component builds on; it belongs into the page's head, once."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in SHARED)
