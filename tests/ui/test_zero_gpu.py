"""ZeroGPU's package is used where it is, and not missed where it is not."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

from playground.ui.server import zero_gpu
from playground.ui.server.zero_gpu import announce


def test_anywhere_else_there_is_nothing_to_announce() -> None:
    assert announce({}) is None
    assert announce({"SPACES_ZERO_GPU": "false"}) is None


def test_without_the_package_the_app_starts_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zero_gpu, "find_spec", lambda name: None)
    assert announce({"SPACES_ZERO_GPU": "true"}) is None


def test_on_zero_gpu_one_short_call_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    spaces, known = ModuleType("spaces"), []
    spaces.__spec__ = ModuleSpec("spaces", None)

    def gpu(duration: int) -> Callable[[Callable[[], str]], Callable[[], str]]:
        def decorate(function: Callable[[], str]) -> Callable[[], str]:
            known.append((function.__name__, duration))
            return function

        return decorate

    spaces.GPU = gpu  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spaces", spaces)
    lent = announce({"SPACES_ZERO_GPU": "true"})
    assert lent is not None
    assert lent() == "none"  # no GPU here
    assert known == [("which_gpu", 10)]
