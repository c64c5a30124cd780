"""Duration of `make check` and `make test`, and the number of assertions.

``--before REVISION`` also counts the assertions of an earlier revision: making the tests faster must not lose any.
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from tests.benchmarks._report import figure, machine

TINY = ["--commands"]
ROOT = Path(__file__).resolve().parents[2]
TARGETS = {"check": "< 180", "test": "<= 720"}
CALLS = ("expect", "raises", "warns")  # playwright's and pytest's; numpy's and torch's begin with "assert"


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="suite", description=__doc__)
    parser.add_argument("--before", metavar="REVISION", help="a commit to compare the number of assertions with")
    parser.add_argument("--commands", nargs="*", choices=TARGETS, default=list(TARGETS), help="make targets to time")
    options = parser.parse_args(arguments)
    machine()
    before = "-" if options.before is None else f">= {_count(_sources_at(options.before))}"
    figure("assertions_in_tests", _count(_sources_here()), before)
    for name in options.commands:
        began = time.monotonic()
        done = subprocess.run(["make", name], cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"make {name} failed:\n{done.stdout[-3_000:]}{done.stderr[-1_000:]}")
        figure(f"make_{name}_seconds", time.monotonic() - began, TARGETS[name])


def _sources_here() -> Iterable[str]:
    return (path.read_text("utf-8") for path in (ROOT / "tests").rglob("*.py"))


def _sources_at(revision: str) -> Iterable[str]:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    names = git("ls-tree", "-r", "--name-only", revision, "tests").splitlines()
    return (git("show", f"{revision}:{name}") for name in names if name.endswith(".py"))


def _count(sources: Iterable[str]) -> int:
    """Assertions as they are written, each once, however often they run."""
    return sum(_is_assertion(node) for source in sources for node in ast.walk(ast.parse(source)))


def _is_assertion(node: ast.AST) -> bool:
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func).rpartition(".")[2]
        return name in CALLS or name.startswith("assert_")
    return isinstance(node, ast.Assert)
