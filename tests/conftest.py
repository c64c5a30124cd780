"""One thread and fixed seeds: numbers in tests are the same each time. And the rule that keeps the fast tests fast."""

import ast
import asyncio
import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Where Gradio begins to look for a free port, which another process may take before it is bound: one range for each worker.
os.environ["GRADIO_SERVER_PORT"] = str(17_860 + 100 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:]))

import huggingface_hub
import pytest
import torch
from xdist.scheduler import LoadScopeScheduling

BROWSER_TESTS = Path(__file__).parent / "e2e"
# Fixtures that are costly to make, such as apps, which take 8 seconds of CPU time to start and more while they wait: tests
# that ask for the same one run one after the other on one worker of pytest-xdist. What takes longest first.
SHARED = ("own_app", "hostile_app", "public_app", "built", "forks", "task_texts")
MAX_SECONDS = 5.0  # of a test without the mark `slow`, with the processes that it waited for


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the browser tests, and let what takes longest begin first, so that all workers end at about the same time."""
    for item in items:
        if item.path.is_relative_to(BROWSER_TESTS):
            item.add_marker(pytest.mark.browser)
    items.sort(key=lambda item: (_shared(item), not _is_marked(item, "browser", "slow")))


def _shared(item: pytest.Item) -> int:
    names = getattr(item, "fixturenames", ())
    return next((number for number, name in enumerate(SHARED) if name in names), len(SHARED))


class OneWorkerPerFixture(LoadScopeScheduling):
    """Whichever worker is free gets the next test, and with the first that asks for a shared fixture all others that do.

    The mark `xdist_group` would say so, if pytest 9.2 and pytest-xdist 3.8 understood each other: each worker made its own.
    """

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        self.groups = {
            f"{path.relative_to(config.rootpath).as_posix()}::{function.name}": argument.arg
            for path in Path(__file__).parent.rglob("test_*.py")
            if any(name in (text := path.read_text("utf-8")) for name in SHARED)
            for function in ast.parse(text).body
            if isinstance(function, ast.FunctionDef)
            for argument in function.args.args
            if argument.arg in SHARED
        }

    def _split_scope(self, nodeid: str) -> str:
        return self.groups.get(nodeid.partition("[")[0], nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    """With `--dist loadgroup` the scheduler above."""
    return OneWorkerPerFixture(config, log) if config.getvalue("dist") == "loadgroup" else None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test that takes long and does not say so: long by the clock, which counts no threads in the background, and in
    CPU time, which a busy machine changes little."""
    began, cpu_began = time.monotonic(), _cpu_seconds()
    with contextlib.nullcontext() if _is_marked(item, "browser") else _without_event_loop():
        yield
    used = min(time.monotonic() - began, _cpu_seconds() - cpu_began)
    if used > MAX_SECONDS and not _is_marked(item, "browser", "slow"):
        pytest.fail(
            f"This test took {used:.1f} s; the limit is {MAX_SECONDS:.0f} s. "
            "Make it faster, or mark it with @pytest.mark.slow so that `make check` leaves it out."
        )


def _is_marked(item: pytest.Item, *names: str) -> bool:
    return any(item.get_closest_marker(name) for name in names)


@contextlib.contextmanager
def _without_event_loop() -> Iterator[None]:
    """Hide the event loop that Playwright keeps running in the thread of a worker that has driven a browser."""
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


@pytest.fixture(autouse=True)
def deterministic() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For tests with a server on this machine: as if HF_HUB_OFFLINE were not set. Connections are closed at the end."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    yield
    huggingface_hub.close_session()
