"""Algorithmic tasks as text: one example per line, `prompt answer newline`, the prompt ending in the task's marker.

Each task can be solved exactly, so a model is evaluated by exact match. Nothing about a prompt can be
predicted, only the answer (and the newline that ends it) can: `answer_mask` says where a loss makes sense, and
`answer_distance` in which windows of the text.

Held-out problems never occur in training text, whatever the seeds and however small the task's space: a prompt belongs
to the held-out tenth if its CRC-32 is divisible by ten, `task_text` writes only the others, `examples` only these.
`task_parts` gives a run's text: the training part is made of the others, the validation part of held-out problems. A
problem is identified by its prompt: 37+85 and 85+37 are different.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random

import numpy as np
import numpy.typing as npt

MIN_BYTES = 100  # longer than any line
_HELD_OUT_EVERY = 10
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_CLOSING = {"(": ")", "[": "]", "{": "}", "<": ">"}


@dataclass(frozen=True)
class Task:
    """One task. `example(rng)` draws a (prompt, answer) pair of ASCII text; the prompt's last character is `marker`,
    which occurs nowhere else in the line, and neither holds a newline. Of the generator only `rng.random()` is used,
    because that is the sequence which Python promises to keep. `caveat`: in what way a held-out problem may still be
    known from the training text, as a sentence."""

    name: str
    label: str
    blurb: str
    marker: str
    example: Callable[[Random], tuple[str, str]]
    caveat: str = ""


def task_text(name: str, n_bytes: int, seed: int = 0) -> str:
    """Return whole lines of training text for task `name`, as many as fit into `n_bytes` (ASCII: bytes = characters).

    A smaller size is a prefix of a larger one. Raises ValueError for an unknown task, fewer than 100 bytes or a seed
    outside 0 to 4294967295.
    """
    _check_size(n_bytes)
    lines = _lines(_task(name), _rng(seed), held_out=False)
    return _fill(lines, n_bytes)


def task_parts(name: str, n_bytes: int, validation_fraction: float, seed: int = 0) -> tuple[str, str]:
    """Return the training and the validation part of task `name`: whole lines, at most `n_bytes` together.

    No prompt occurs in both parts. The training part is the beginning of `task_text`; the validation part has about
    `validation_fraction` of the text, and its lines are not those of `examples` with the same seed. The boundary is where
    `train.dataset.split_text` cuts the two put together: at the first line end behind `validation_mark`. Raises ValueError
    as `task_text` does.
    """
    _check_size(n_bytes)
    task, rng = _task(name), _rng(seed)
    held_out = _lines(task, Random(seed + 2**32), held_out=True)  # no seed of `examples` is as large
    # A line of reserve, because the training part ends with the line that the mark is in.
    validation = _fill(held_out, max(0, int((n_bytes - MIN_BYTES) * validation_fraction - 1.5)))
    lines: list[str] = []
    size = 0
    for line in _lines(task, rng, held_out=False):
        lines.append(line)
        size += len(line)
        if size > validation_mark(size + len(validation), validation_fraction):
            break
    return "".join(lines), validation


def validation_mark(length: int, validation_fraction: float) -> int:
    """Where the last `validation_fraction` of so many characters begins."""
    return round(length * (1 - validation_fraction))


def examples(name: str, n: int, seed: int = 0) -> list[tuple[str, str]]:
    """Return `n` held-out (prompt, answer) pairs; none of their prompts can occur in any `task_text` of this task.

    A right model continues `prompt` with `answer + "\\n"`. Pairs may repeat where the space is small (addition has
    about 1000 held-out sums). Raises ValueError for an unknown task or a seed outside 0 to 4294967295.
    """
    task, rng = _task(name), _rng(seed)
    return [_draw(task, rng, held_out=True) for _ in range(n)]


def answer_mask(name: str, text: str) -> npt.NDArray[np.bool_]:
    """Return one bool a byte of `text`: True on the characters of an answer and on the newline that ends it.

    `text` is task text from the beginning of a line; the last line may be unfinished. Raises ValueError for an unknown
    task or for text that is not ASCII, since then it is not this task's.
    """
    marker = _task(name).marker
    if not text.isascii():
        raise ValueError("Task text must be plain ASCII; this text is not. Train on all bytes instead.")
    codes = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    is_marker, is_newline = codes == ord(marker), codes == ord("\n")
    # Position of the latest marker or newline up to each byte; -1 before the first.
    latest = np.maximum.accumulate(np.where(is_marker | is_newline, np.arange(len(codes)), -1))
    after_marker = (latest >= 0) & is_marker[latest]
    mask = np.zeros(len(codes), dtype=np.bool_)
    mask[1:] = after_marker[:-1]  # a byte is an answer's if the line's marker came before it
    return mask


def answer_distance(name: str, text: str) -> npt.NDArray[np.int16]:
    """Return for each byte of `text` how many bytes before it its line begins, where `answer_mask` is True; elsewhere -1.

    A window that begins later than that does not hold the whole prompt, so this byte cannot be known from it. Raises
    ValueError as `answer_mask` does.
    """
    mask = answer_mask(name, text)
    position = np.arange(len(mask))
    begins = np.zeros(len(mask), dtype=np.bool_)
    if len(mask):
        begins[0] = True
        begins[1:] = np.frombuffer(text.encode("ascii"), dtype=np.uint8)[:-1] == ord("\n")
    line = np.maximum.accumulate(np.where(begins, position, 0)) if len(mask) else position
    return np.where(mask, position - line, -1).astype(np.int16)


def _task(name: str) -> Task:
    if name not in TASKS:
        raise ValueError(f"Task must be one of {', '.join(TASKS)}; {str(name)[:40]!r} is not.")
    return TASKS[name]


def _rng(seed: int) -> Random:
    if not 0 <= seed < 2**32:
        raise ValueError(f"Seed must be 0 to 4294967295; {seed} is not.")
    return Random(seed)


def _check_size(n_bytes: int) -> None:
    if n_bytes < MIN_BYTES:
        raise ValueError(f"A task needs at least {MIN_BYTES} bytes; {n_bytes} is too few. Ask for a larger text.")


def _lines(task: Task, rng: Random, held_out: bool) -> Iterator[str]:
    while True:
        prompt, answer = _draw(task, rng, held_out)
        yield f"{prompt}{answer}\n"


def _fill(lines: Iterator[str], n_bytes: int) -> str:
    """As many of the first lines as fit into `n_bytes`."""
    kept: list[str] = []
    for line in lines:
        n_bytes -= len(line)
        if n_bytes < 0:
            break
        kept.append(line)
    return "".join(kept)


def _draw(task: Task, rng: Random, held_out: bool) -> tuple[str, str]:
    while True:
        prompt, answer = task.example(rng)
        if (zlib.crc32(prompt.encode("ascii")) % _HELD_OUT_EVERY == 0) == held_out:
            return prompt, answer


def _between(rng: Random, low: int, high: int) -> int:
    return low + int(rng.random() * (high - low + 1))


def _letters(rng: Random, low: int, high: int) -> str:
    return "".join(_LETTERS[int(rng.random() * len(_LETTERS))] for _ in range(_between(rng, low, high)))


def _repeat(rng: Random) -> tuple[str, str]:
    word = _letters(rng, 12, 24)
    return f"{word}|", word


def _copy(rng: Random) -> tuple[str, str]:
    word = _letters(rng, 3, 8)
    return f"{word}|", word


def _reverse(rng: Random) -> tuple[str, str]:
    word = _letters(rng, 4, 12)
    return f"{word}|", word[::-1]


def _sort(rng: Random) -> tuple[str, str]:
    word = _letters(rng, 4, 12)
    return f"{word}|", "".join(sorted(word))


def _addition(rng: Random) -> tuple[str, str]:
    a, b = _between(rng, 0, 99), _between(rng, 0, 99)
    return f"{a}+{b}=", str(a + b)


def _brackets(rng: Random) -> tuple[str, str]:
    opened: list[str] = []
    written: list[str] = []
    for _ in range(_between(rng, 4, 16)):
        if opened and rng.random() < 0.35:
            written.append(_CLOSING[opened.pop()])
        else:
            opened.append("([{<"[int(rng.random() * 4)])
            written.append(opened[-1])
    return f"{''.join(written)}|", "".join(_CLOSING[bracket] for bracket in reversed(opened))


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("repeat", "Repeat", "12 to 24 random letters, then the same again: a test of induction.", "|", _repeat),
        Task("copy", "Copy", "3 to 8 random letters, then the same again.", "|", _copy),
        Task("reverse", "Reverse", "4 to 12 random letters, then the same in reverse order.", "|", _reverse),
        Task("sort", "Sort", "4 to 12 random letters, then the same in alphabetical order.", "|", _sort),
        Task(
            "addition",
            "Addition",
            "Two numbers from 0 to 99 and their sum, as in 37+85=122.",
            "=",
            _addition,
            "The same sum in the other order may be in the training text.",
        ),
        Task(
            "brackets",
            "Brackets",
            "Opening and closing brackets, then the brackets that close the open ones.",
            "|",
            _brackets,
        ),
    )
}
