"""The exact match of an algorithmic task in words: of how many problems, and what that shows."""

from __future__ import annotations

import math
from functools import lru_cache

from playground.config import counted
from playground.data.tasks import TASKS
from playground.train.evaluation import SCORED, scored_problems

CONFIDENCE = 0.95


@lru_cache(maxsize=256)
def count_scored(task: str, block_size: int) -> int:
    """The number of problems that `train.evaluation.exact_match` scores: those that fit into the context.

    0 for a text that is no task.
    """
    return len(scored_problems(task, block_size)) if task in TASKS else 0


def lower_bound(n: int) -> float:
    """The lowest share of right answers (0 to 1) that `n` right ones of `n` leave plausible: exact binomial, one-sided."""
    return float((1 - CONFIDENCE) ** (1 / n))


def right_of(share: float, n: int) -> int:
    """The number of right answers for a share of `n`."""
    return round(min(max(0.0, share), 1.0) * n)  # a log may hold anything


def exact_match_words(task: str, block_size: int, share: float, *, held_out: bool = True) -> str:
    """How many problems are answered exactly, as sentences, for a task and a context that some problems fit into.

    `held_out`: none of them is in the training text.
    """
    n = count_scored(task, block_size)
    right, kind = right_of(share, n), "held-out problem" if held_out else "problem"
    of = f"All {counted(n, kind)}" if right == n > 1 else f"{right} of {counted(n, kind)}"
    words = f"{of} {'is' if right == 1 else 'are'} answered exactly"
    if right == n:
        least = math.floor(100 * lower_bound(n))
        words += f", which shows with {100 * CONFIDENCE:.0f} % confidence that at least {least} % of such problems are"
    words += "."
    if n < SCORED:
        words += f" Problems longer than the context are not scored ({SCORED - n} of {SCORED} drawn)."
    return f"{words} {TASKS[task].caveat if held_out else ''}".rstrip()
