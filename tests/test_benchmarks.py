"""Every benchmark can be run by `make nightly`: it says with which arguments it is small."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import tests.benchmarks
from tests.benchmarks import _nightly
from tests.benchmarks.suite import _count

NAMES = [module.name for module in pkgutil.iter_modules(tests.benchmarks.__path__) if not module.name.startswith("_")]


@pytest.mark.parametrize("name", NAMES)
def test_a_benchmark_has_a_tiny_size_and_prints_figures(name: str) -> None:
    module = importlib.import_module(f"tests.benchmarks.{name}")
    assert all(isinstance(word, str) for word in _nightly.tiny_arguments(name))
    assert callable(module.main)
    assert callable(module.figure)
    assert module.__doc__


def test_a_benchmark_without_a_figure_fails(capsys: pytest.CaptureFixture[str]) -> None:
    python = "import sys; print(sys.argv[1])"
    assert _nightly._passes("one", ["python3", "-c", python, "figure: speed 1 (target -)"])
    assert not _nightly._passes("two", ["python3", "-c", python, "nothing"])
    assert not _nightly._passes("three", ["python3", "-c", "print('figure: x 1'); raise SystemExit(2)"])
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[:2]] == [
        ["one", "passed"],
        ["two", "FAILED"],
    ]


def test_assertions_are_counted_as_they_are_written() -> None:
    first = "assert x\nwith pytest.raises(ValueError):\n    expect(page).to_have_text('a')\n"
    assert _count([first, "np.testing.assert_allclose(a, b)\n", "y = 1"]) == 4
