"""What handlers return to Gradio, made safe to encode; and requests with too few inputs, rejected in a sentence."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction

from playground.ui.services import json_safe, to_gr_error


def json_safe_outputs(demo: gr.Blocks) -> gr.Blocks:
    """Make every handler's outputs JSON-safe: Gradio's JSON encoder fails on lone surrogates and integers beyond 64
    bits, and then aborts the stream. Uncaught ValueErrors become messages too.
    """
    for function in demo.fns.values():
        if function.fn is not None:
            function.fn = _json_safe(function.fn)
    demo.validate_inputs = _enough_inputs  # type: ignore[method-assign]
    return demo


def _enough_inputs(block_fn: BlockFunction, inputs: list[Any]) -> None:
    """Replaces Gradio's check, whose message quotes all inputs, in the answer and in the log."""
    needed = len(block_fn.inputs)
    if len(inputs) < needed:
        name = block_fn.api_name or block_fn.name
        raise to_gr_error(
            ValueError(f"{name} takes {needed} inputs, but the request has {len(inputs)}. Send all of them.")
        )


def _json_safe(handler: Callable[..., Any]) -> Callable[..., Any]:
    def function(*arguments: Any) -> Any:
        try:
            return json_safe(handler(*arguments))
        except ValueError as error:
            raise to_gr_error(error) from error

    def generator(*arguments: Any) -> Any:
        try:
            for value in handler(*arguments):
                yield json_safe(value)
        except ValueError as error:
            raise to_gr_error(error) from error

    # Keep name and docstring, which the API documentation and MCP tools use.
    return functools.wraps(handler)(generator if inspect.isgeneratorfunction(handler) else function)
