"""How a component is made: its entry in the table, a module of the same name with a function `mount`, and server functions.

A `gr.HTML` template is evaluated as code in the browser (Handlebars, then a JavaScript template literal), so templates
are constants; data travels in `value` and through server functions, and the scripts write it with ``textContent``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from playground.ui import scripts
from playground.ui.components.table import COMPONENTS

ServerFunction = Callable[[Any], Any]
GIVEN = "element, props, server, watch, trigger"  # what Gradio gives a script, by the names that it has there


def component(
    name: str,
    /,
    *,
    value: Mapping[str, object] | None = None,
    elem_id: str | None = None,
    **functions: ServerFunction,
) -> gr.HTML:
    """The component of this name in `COMPONENTS`; `functions` are callable in its script by their names.

    Raises KeyError for an unknown name, and TypeError unless exactly the functions that its entry names are given.
    """
    if name not in COMPONENTS:
        raise KeyError(f"There is no component {name!r}; there are {', '.join(COMPONENTS)}.")
    kind = COMPONENTS[name]
    if set(functions) != set(kind.functions):
        raise TypeError(
            f"The component {name!r} takes the server functions {sorted(kind.functions)}, not {sorted(functions)}."
        )
    return gr.HTML(
        value=dict(value) if value is not None else None,
        html_template=kind.template,
        js_on_load=_mounting(name),
        apply_default_css=False,
        server_functions=[_named(key, functions[key]) for key in kind.functions],
        elem_id=elem_id,
        elem_classes=["pg-component"],
    )


def _mounting(name: str) -> str:
    """The script that Gradio runs when a component appears. Gradio takes the names of its events from quotes in it."""
    events = "".join(f"'{event}' " for event in COMPONENTS[name].events)
    call = f"{scripts.importing(f'components/{name}.js')}.then(({{ mount }}) => mount({{ {GIVEN} }}))"
    return f"{call} // events: {events}" if events else call


def _named(name: str, function: ServerFunction) -> ServerFunction:
    """Gradio knows a server function by its ``__name__``, and marks the object: give each component its own."""

    def endpoint(request: Any) -> Any:
        return function(request)

    endpoint.__name__ = endpoint.__qualname__ = name
    return endpoint
