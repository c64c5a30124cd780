"""What the app uses beyond Gradio's public interface: where, and what breaks when a new version changes it.

Each of these modules depends on a part that Gradio may change without notice, so requirements.txt pins its minor version.
To raise the pin, run this file and the tests that it names.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Callable
from contextvars import ContextVar
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest
import safehttpx
from gradio import processing_utils, queueing, route_utils, routes
from gradio.blocks import BlocksConfig
from gradio.components.login_button import LoginButton
from gradio.context import LocalContext
from gradio.state_holder import SessionState
from gradio.utils import get_upload_folder
from uvicorn.config import LOGGING_CONFIG

from playground.runs.store.paths import code_root

PRIVATE = re.compile(r"_(?!_)\w+|fns|default_config")  # attributes of Blocks, its queue and its handlers


def event_queue() -> None:
    """`queued`: the queue polls as often as Gradio's, a lone surrogate in an error ends the page's stream, or waiting
    events are not limited by their memory (tests/ui/test_sendable.py, test_guard.py)."""
    with gr.Blocks(analytics_enabled=False) as demo:
        gr.Textbox()
    queue = demo.queue(max_size=1)._queue
    assert isinstance(queue.sleep_when_free, float)
    assert "self.sleep_when_free" in inspect.getsource(queueing.Queue.start_processing)
    assert list(inspect.signature(queue.send_message).parameters)[:2] == ["event", "event_message"]
    assert next(iter(inspect.signature(queue.push).parameters)) == "body"
    assert queue.event_ids_to_events == {}
    assert "self.data: PredictBodyInternal | None" in inspect.getsource(queueing.Event)
    queue.max_size = 0
    refused = asyncio.run(queue.push(SimpleNamespace(fn_index=0), None, None))
    assert refused[0] is False
    assert refused[2] == "queue_full"


def fair_queue() -> None:
    """`FairQueue`: one visitor fills the queue for all, or long texts never make room (tests/ui/test_fair_queue.py)."""
    with gr.Blocks(analytics_enabled=False) as demo:
        gr.Textbox()
    queue = demo.queue()._queue
    assert queue.event_queue_per_concurrency_id == {}
    assert {"request", "data", "fn", "concurrency_id"} <= set(queueing.Event.__init__.__code__.co_names)
    assert {"queue", "concurrency_limit", "current_concurrency"} <= set(queueing.EventQueue.__init__.__code__.co_names)
    assert "self.get_events()" in inspect.getsource(queueing.Queue.start_processing)
    assert queue.max_thread_count == 40
    assert isinstance(LocalContext.event_id, ContextVar)


def sessions() -> None:
    """`describe_once`: a new session describes all components again, or stores what visitors type
    (tests/ui/test_sessions.py)."""
    assert isinstance(inspect.getattr_static(BlocksConfig, "config_for_block"), staticmethod)
    parameters = inspect.signature(BlocksConfig.config_for_block).parameters
    assert list(parameters) == ["_id", "rendered_ids", "block", "renderable"]
    with gr.Blocks(analytics_enabled=False) as demo:
        gr.Textbox()
    assert type(demo.default_config) is BlocksConfig
    assert "default_config" in inspect.getsource(SessionState)


def outputs() -> None:
    """`json_safe_outputs`: handlers return values that Gradio cannot encode, which ends the page's stream
    (tests/ui/test_sendable.py)."""
    with gr.Blocks(analytics_enabled=False) as demo:
        box = gr.Textbox()
        box.change(str, box, box)
    (function,) = demo.fns.values()
    assert function.fn is str
    assert function.api_visibility == "public"

    assert list(inspect.signature(demo.validate_inputs).parameters) == ["block_fn", "inputs"]
    assert "self.validate_inputs(" in inspect.getsource(gr.Blocks)


def guard() -> None:
    """`RequestGuard`: an unknown endpoint is an error of the server with a traceback (tests/ui/test_logs.py)."""
    assert issubclass(route_utils.FnIndexInferError, Exception)


def logs() -> None:
    """`configure`: the log quotes what visitors send (tests/ui/test_logs.py)."""
    for module in (queueing, routes, route_utils):
        assert set(re.findall(r"\btraceback\.(\w+)", inspect.getsource(module))) == {"print_exc"}
    assert {"handlers", "formatters", "loggers"} <= LOGGING_CONFIG.keys()


def accounts() -> None:
    """`keep_private`: the login button's endpoint appears in the API and among the MCP tools (tests/ui/test_accounts.py)."""
    assert "self._check_login_status" in inspect.getsource(LoginButton.activate)


def fetching() -> None:
    """`fetch_nothing`: Gradio fetches addresses that visitors send (tests/ui/test_fetching.py)."""
    assert "sh.get(" in inspect.getsource(processing_utils)
    assert processing_utils.sh is safehttpx
    assert "safehttpx.async_validate_url(" in inspect.getsource(route_utils)


def client_network() -> None:
    """`client_network`: visitors of one network are not recognized (tests/ui/test_client_network.py)."""
    assert isinstance(LocalContext.request, ContextVar)


def app() -> None:
    """`launch_options`: a busy machine ends the app three seconds after its start, uploads have no limit, or the app does
    not start because an option is unknown (tests/ui/test_allowance.py)."""
    assert inspect.signature(gr.Blocks.launch).parameters["_frontend"].default is True
    assert inspect.getsource(gr.Blocks.launch).count("_frontend") == 2
    assert Path(get_upload_folder()).name


def memory() -> None:
    """`limit_malloc_arenas`: the queue's statistics of its last 10,000 requests stay in memory (tests/ui/test_memory.py)."""
    assert "GRADIO_ANALYTICS_MAX_EVENTS" in inspect.getsource(queueing.Queue.__init__)


def session_files() -> None:
    """`SessionFiles`: downloads are copied before they are served, and files stay when a page is closed
    (tests/ui/test_session_files.py, tests/ui/test_export_panel.py)."""
    archive = Path(get_upload_folder()) / "any" / "model.zip"
    with gr.Blocks(analytics_enabled=False):
        assert gr.File().move_resource_to_block_cache(str(archive)) == str(archive)
    assert '"/heartbeat/{session_hash}"' in inspect.getsource(routes.App.create_app)


PARTS: dict[str, Callable[[], None]] = {
    "playground/ui/server/event_queue.py": event_queue,
    "playground/ui/server/fair_queue.py": fair_queue,
    "playground/ui/server/sessions.py": sessions,
    "playground/ui/server/outputs.py": outputs,
    "playground/ui/server/guard.py": guard,
    "playground/ui/server/logs.py": logs,
    "playground/ui/server/accounts.py": accounts,
    "playground/ui/server/fetching.py": fetching,
    "playground/ui/server/memory.py": memory,
    "playground/ui/client_network.py": client_network,
    "playground/ui/session_files.py": session_files,
    "playground/ui/app.py": app,
}


@pytest.mark.parametrize("module", PARTS)
def test_what_a_module_needs_of_gradio_is_there(module: str) -> None:
    try:
        PARTS[module]()
    except (AssertionError, AttributeError, TypeError) as change:
        pytest.fail(
            f"Gradio {version('gradio')} changed what {module} uses. Breaks: {PARTS[module].__doc__}\n{change!r}"
        )


def test_no_other_module_uses_what_gradio_may_change() -> None:
    found = {
        path.relative_to(code_root()).as_posix()
        for path in sorted((code_root() / "playground" / "ui").rglob("*.py"))
        if any(map(_is_internal, ast.walk(ast.parse(path.read_text("utf-8")))))
    }
    assert found == PARTS.keys()


def _is_internal(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return f"{node.module}.".startswith("gradio.") and node.module != "gradio.themes.utils"
    if isinstance(node, ast.Import):
        return any(name.name == "safehttpx" or name.name.startswith("gradio.") for name in node.names)
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and node.value.startswith("GRADIO_ANALYTICS_MAX")
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("demo", "gr", "blocks")
        and PRIVATE.fullmatch(node.attr) is not None
    )


def test_the_minor_version_is_pinned_and_installed() -> None:
    pin = re.search(r"^gradio>=6\.(\d+),<6\.(\d+)$", (code_root() / "requirements.txt").read_text("utf-8"), re.M)
    assert pin is not None
    assert int(pin[2]) == int(pin[1]) + 1
    assert version("gradio").split(".")[:2] == ["6", pin[1]]
    sdk = re.search(r"^sdk_version: 6\.(\d+)\.", (code_root() / "README.md").read_text("utf-8"), re.M)
    assert sdk is not None
    assert sdk[1] == pin[1]
