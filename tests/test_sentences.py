"""Every sentence that states a number is true of it: 1 token, not 1 tokens."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import playground

PACKAGE = Path(playground.__file__).parent
COUNTABLE = (
    "arms|bytes|branches|cells|characters|checkpoints|columns|comparisons|contexts|curves|days|dimensions|entries|evaluations"
    "|examples|experts|files|heads|hours|kinds|layers|lines|merges|minutes|models|others|pairs|parameters|pieces|positions"
    "|prompts|races|rows|runs|samples|seconds|seeds|sequences|sinks|snapshots|steps|targets|tensors|texts|tokens|vectors"
    "|visitors|weights|windows|words"
)
AFTER_A_NUMBER = re.compile(rf" (?:[a-zé-]+ )?(?:{COUNTABLE})\b")
# Numbers that are no counts of one or more: shares, rates, names, what is bounded from below where it is written.
NEVER_ONE = {
    "share", "spelled(model.position)", "config.position", "shown(name)", "value", "ratio", "wide", "timeout", "limit",
    "wait / 60", "numbers / 1000000.0", "n_parameters / 1000000.0", "(last.tokens - first.tokens) / elapsed",
    "best['tokens'] / n_characters", "last.arm.bytes_per_token", "max(KEPT)", "n / max(seconds, 0.001)",
    "1000 * len(proof.uncached) / sum(proof.uncached_ms)", "n / max(0.001, time.monotonic() - began)",
    "texts.shape[1] / run.model.block_size", "difference.n", "n_others",
}  # fmt: skip


def is_fixed(value: ast.expr) -> bool:
    """Whether an expression is made of numbers and of constants, which are written in capitals."""
    return all(
        not isinstance(node, (ast.Call, ast.Attribute)) and (not isinstance(node, ast.Name) or node.id.isupper())
        for node in ast.walk(value)
    )


def is_counted(value: ast.expr) -> bool:
    """Whether `counted` wrote it: "3 kinds", of something."""
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "counted"


def uncounted(source: str) -> list[str]:
    """The places of a program where a number stands before a plural that does not ask how many there are."""
    found = []
    for node in ast.walk(ast.parse(source)):
        for number, text in zip(node.values, node.values[1:], strict=False) if isinstance(node, ast.JoinedStr) else ():
            if not isinstance(number, ast.FormattedValue) or not isinstance(text, ast.Constant):
                continue
            if AFTER_A_NUMBER.match(str(text.value)) and not is_fixed(number.value) and not is_counted(number.value):
                found.append(f"line {number.lineno}: {{{ast.unparse(number.value)}}}{text.value}")
    return [place for place in found if not any(f"{{{known}}}" in place for known in NEVER_ONE)]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_is_counted_is_counted_by_counted(path: Path) -> None:
    """`config.counted` knows the singular."""
    assert uncounted(path.read_text("utf-8")) == []


def test_the_check_finds_what_it_is_for() -> None:
    assert uncounted("f'{n} tokens'") and uncounted("f'{n:,} different characters'") and uncounted("f'a {len(x)} runs'")
    assert (
        not uncounted("f'{LIMIT} tokens'")
        and not uncounted("f'{2 * N} tokens'")
        and not uncounted("f'{n} is 3 tokens'")
    )


IN_SCRIPTS = re.compile(rf"\$\{{([^{{}}]*)\}}`? (?:(?!of )[a-zé-]+ )?(?:{COUNTABLE}|planes|places|questions)\b")
# What is a rate, a width or never one in the scripts.
NEVER_ONE_IN_SCRIPTS = {
    "value.n_rows", "rate(run.tokens_per_second)", "number(2 ** values.entropy)", "number(a.bytes)",
    "number(b.bytes)", "whole(SHOWN)", "whole(row.pieces.length)", "heads.length", "n",
    "2 * reply.frequencies.length", "whole(reply.block_size)",
    "number(bytes.length / Math.max(1, tokens))",
}  # fmt: skip


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.js")), ids=lambda path: path.name)
def test_scripts_count_as_python_does(path: Path) -> None:
    found = [match[1] for match in IN_SCRIPTS.finditer(path.read_text("utf-8"))]
    assert [value for value in found if "counted(" not in value and value not in NEVER_ONE_IN_SCRIPTS] == []
