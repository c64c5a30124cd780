"""Numbers and lists in sentences, so that each is true of every number: 1 token, not 1 tokens."""

from __future__ import annotations

import math
from collections.abc import Sequence


def counted(n: int, noun: str, plural: str = "") -> str:
    """A number of things: "1 token", "2 tokens", "1,000 entries" with `plural` where an s is not enough."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def listed(words: Sequence[str]) -> str:
    """Words as a sentence lists them: "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def apart(a: float, b: float, digits: int = 1) -> tuple[str, str]:
    """Two numbers as text, with more decimals than `digits` where two different ones would read the same."""
    for more in range(digits, digits + 9):
        left, right = f"{a:,.{more}f}", f"{b:,.{more}f}"
        if left != right or a == b:
            break
    return left, right


def nonzero(value: float, digits: int = 3) -> str:
    """A number as text, with more decimals than `digits` where one that is not zero would read as zero."""
    shown = f"{value:.{digits}f}"
    return f"{value:.1g}" if value and not float(shown) else shown


def moved(before: float, now: float, digits: int = 2) -> str:
    """How a number changed: "went from 5.59 to 2.31", or "stayed at 5.59" where both read the same."""
    first, last = f"{before:.{digits}f}", f"{now:.{digits}f}"
    return f"stayed at {last}" if first == last else f"went from {first} to {last}"


def duration(seconds: float) -> str:
    """Seconds in words: "42 s", "3 min", "1 h 30 min", "2 h". The scripts' `duration` says the same."""
    if seconds < 90:
        return f"{max(1, math.floor(seconds + 0.5))} s"
    minutes = math.floor(seconds / 60 + 0.5)
    hours, rest = divmod(minutes, 60)
    return f"{minutes} min" if minutes < 90 else f"{hours} h {rest} min" if rest else f"{hours} h"
