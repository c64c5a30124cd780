"""The run doctor: what a run's curves say, in one sentence a learner can act on.

Rules stand in order of urgency, and the first that holds speaks. Each is true of the numbers it quotes, and each is
tested on a real run that shows it. A change of the validation loss counts only if it is larger than its noise (`noise`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from playground.config import ModelConfig, TrainConfig, counted, moved
from playground.runs.curves import Columns
from playground.runs.store import Run

SMOOTHING = 0.8  # of the training loss over the points of the curve
ENDED = ("finished", "stopped", "failed", "diverged", "crashed")


@dataclass(frozen=True)
class Finding:
    """What a rule found: its name, the sentence, and whether something should be done about it."""

    rule: str
    sentence: str
    trouble: bool = False


@dataclass(frozen=True)
class Chart:
    """A run's curves as the rules read them. Losses in nats per token; `smooth` is the training loss without its noise."""

    state: str
    model: ModelConfig
    train: TrainConfig
    steps: list[float]
    losses: list[float]
    smooth: list[float]
    grad_norms: list[float]
    measured_at: list[int]
    measured: list[float]
    exact: list[float]
    passes: float  # over the training text
    imported: bool = False  # it came without the log of its training
    errors: tuple[float, ...] = ()  # standard errors of `measured`; 0 where the log has none

    @property
    def now(self) -> float:
        """The loss to talk about: on validation text as soon as there are two measurements, until then in training."""
        return self.measured[-1] if len(self.measured) > 1 or not self.smooth else self.smooth[-1]

    @property
    def first(self) -> float:
        return self.measured[0] if self.measured else self.losses[0]

    def noise(self, i: int, j: int) -> float:
        """How far two measurements may lie apart by chance: two standard errors of their difference, taken as independent.

        Both are made on the same windows, where the model's losses move together, so this errs on the side of silence.
        """
        errors = self.errors or (0.0,) * len(self.measured)
        return 2 * math.hypot(errors[i], errors[j])

    def trained_at(self, step: float) -> float:
        """The smooth training loss at a step."""
        return next((loss for at, loss in zip(self.steps, self.smooth, strict=True) if at >= step), self.smooth[-1])


Rule = Callable[[Chart], Finding | None]


def diagnose(run: Run, columns: Columns) -> Finding:
    """The one thing that matters most about a run now."""
    chart = read_chart(run, columns)
    for rule in RULES:
        finding = rule(chart)
        if finding is not None:
            return finding
    raise AssertionError("the last rule always speaks")


def read_chart(run: Run, columns: Columns) -> Chart:
    """A run's curves for the rules."""
    losses = [float(loss) for loss in columns.train["loss"]]
    exact = [float(share) for share in columns.validation["exact_match"] if share is not None]
    steps, grad_norms = list(columns.train["step"]), columns.train["grad_norm"]
    measured_at, measured = columns.validation["step"], columns.validation["loss"]
    curves = (steps, losses, smoothed(losses), grad_norms, measured_at, measured, exact, columns.passes)
    errors = tuple(float(error or 0.0) for error in columns.validation["loss_se"])
    return Chart(columns.state, run.model, run.train, *curves, imported=bool(run.origin), errors=errors)


def smoothed(values: list[float], weight: float = SMOOTHING) -> list[float]:
    """An exponential moving average, unbiased at its start."""
    total = mass = 0.0
    out = []
    for value in values:
        total, mass = weight * total + (1 - weight) * value, weight * mass + (1 - weight)
        out.append(total / mass)
    return out


def _one_digit(rate: float) -> str:
    """A learning rate as people write it."""
    return f"{float(f'{rate:.1g}'):g}"


def _unsure(loss: float) -> str:
    return f"as unsure as when choosing between {math.exp(min(loss, 20)):.3g} equally likely tokens"


# The rules


def waiting(chart: Chart) -> Finding | None:
    """Nothing to read yet."""
    if chart.state == "queued":
        return Finding("waiting", "Another run is training. This one starts by itself when its turn comes.")
    if chart.losses or chart.measured:
        return None
    if chart.imported:
        return Finding("imported", "There is no curve: this model came without the log of its training.")
    if chart.state in ENDED and chart.state != "diverged":
        return Finding("empty", "This run ended before its first measurement.")
    return Finding("waiting", "The first numbers arrive in a moment.") if chart.state != "diverged" else None


def diverged(chart: Chart) -> Finding | None:
    """No longer a number."""
    if chart.state != "diverged":
        return None
    last = f" after step {chart.steps[-1]:,.0f}" if chart.steps else ""
    rate = chart.train.learning_rate
    return Finding(
        "diverged",
        f"The loss stopped being a usable number{last}. The learning rate ({rate:g}) is too high: try "
        f"{_one_digit(rate / 3)}, or a longer warm-up.",
        True,
    )


def jumped(chart: Chart) -> Finding | None:
    """The training loss rose far above where it had been."""
    if len(chart.smooth) < 10:
        return None
    lowest = min(range(len(chart.smooth)), key=chart.smooth.__getitem__)
    low, now = chart.smooth[lowest], chart.smooth[-1]
    if now < low + 0.3 or now < 1.15 * low:
        return None
    rate = chart.train.learning_rate
    return Finding(
        "jumped",
        f"The loss jumped after step {chart.steps[lowest]:,.0f}, from {low:.2f} to {now:.2f}: the learning rate ({rate:g}) "
        f"is probably too high. Try {_one_digit(rate / 3)}.",
        True,
    )


def flat(chart: Chart) -> Finding | None:
    """Where a model starts that knows nothing: every token equally likely."""
    ignorance = math.log(chart.model.vocab_size)
    if len(chart.smooth) < 10 or chart.steps[-1] < 20 or chart.exact or min(chart.smooth) < 0.97 * ignorance:
        return None
    rate = chart.train.learning_rate
    if chart.steps[-1] <= chart.train.warmup_steps:
        return Finding("warm-up", "Still warming up: the learning rate rises from zero, so little happens yet.")
    direction = "high" if chart.smooth[-1] > 1.05 * ignorance or rate > 0.1 else "low"
    better = rate / 3 if direction == "high" else min(3e-3, rate * 10)
    return Finding(
        "flat",
        f"Flat at ln V = {ignorance:.2f}: after {counted(int(chart.steps[-1]), 'step')} it is not learning, every token is "
        f"still equally likely. The learning rate ({rate:g}) is probably too {direction}: try {_one_digit(better)}.",
        True,
    )


def memorising(chart: Chart) -> Finding | None:
    """Validation gets worse while training gets better."""
    n = len(chart.measured)
    if n < 4 or not chart.smooth:
        return None
    best = min(range(n), key=chart.measured.__getitem__)
    low, now = chart.measured[best], chart.measured[-1]
    at = chart.measured_at[best]
    if best >= n - 2 or now < low + max(0.02, chart.noise(best, -1)) or chart.smooth[-1] >= chart.trained_at(at):
        return None
    passes = f" It has read its text {chart.passes:.0f} times." if chart.passes >= 3 else ""
    return Finding(
        "memorising",
        f"Validation was best at step {at:,} ({low:.2f}) and has risen to {now:.2f} while training loss still falls: it "
        f"is memorising its text.{passes} More text, dropout or a smaller model help.",
        True,
    )


def clipped(chart: Chart) -> Finding | None:
    """Nearly every step is shortened to the limit, so the limit sets the pace."""
    limit = chart.train.grad_clip
    late = sorted(chart.grad_norms[len(chart.grad_norms) // 2 :])
    if not limit or len(late) < 10 or late[len(late) // 10] < 3 * limit:
        return None
    middle = late[len(late) // 2]
    return Finding(
        "clipped",
        f"Nearly every gradient is clipped: they are about {middle:.2g} long and shortened to {limit:g}. The limit, not the "
        f"gradient, sets how far a step goes; try clipping at {_one_digit(2 * middle)}.",
        True,
    )


OLDER_TASK = (
    " This run follows older rules (task version 1): its loss also counts answers whose prompt was outside the window, and "
    "its validation text repeats problems of the training text. Do not compare it with newer runs."
)


def solved(chart: Chart) -> Finding | None:
    """Algorithmic tasks are judged by whole answers."""
    if len(chart.exact) < 2:
        return None
    share = f"{100 * chart.exact[-1]:.0f} %"
    older = OLDER_TASK if chart.train.task_version < 2 else ""
    if chart.exact[-1] >= 0.99:
        return Finding(
            "solved",
            f"It now gives {share} of whole answers right on problems that it has not seen: the rule is learnt.{older}",
        )
    return Finding(
        "task",
        f"It gives {share} of whole answers right. Watch for a sudden jump: on such tasks the rule is often found late."
        f"{older}",
    )


def unfinished(chart: Chart) -> Finding | None:
    """The budget ended while the curve still fell."""
    n = len(chart.measured)
    if chart.state != "finished" or n < 6:
        return None
    before = n - 1 - max(1, n // 5)
    gain = chart.measured[before] - chart.measured[-1]
    if gain < max(0.02, 0.02 * chart.measured[-1], chart.noise(before, -1)):
        return None
    return Finding(
        "unfinished",
        f"The budget ended while it was still learning: the last fifth brought {gain:.2f} nats. The loss "
        f"{moved(chart.first, chart.now)}; more steps would take it further.",
    )


def done(chart: Chart) -> Finding | None:
    """The end, in numbers."""
    if chart.state != "finished":
        return None
    return Finding("done", f"Done: the loss {moved(chart.first, chart.now)}; it is now {_unsure(chart.now)}.")


def falling(chart: Chart) -> Finding | None:
    """The quick beginning."""
    if len(chart.measured) < 3 or chart.measured[-1] >= min(
        chart.measured[:-1]
    ):  # coming back from a rise is no beginning
        return None
    if chart.measured[-2] - chart.measured[-1] <= max(0.04 * chart.first, chart.noise(-2, -1)):
        return None
    return Finding(
        "falling", "Falling fast. The commonest patterns come first: in text, letters and spaces, then short words."
    )


def gap(chart: Chart) -> Finding | None:
    """Better on its own text than on other text, not yet worse."""
    if len(chart.measured) < 5 or not chart.smooth:
        return None
    if chart.measured[-1] - chart.smooth[-1] <= max(0.25, chart.noise(-1, -1)):
        return None
    return Finding(
        "gap",
        f"It does better on the text it trains on ({chart.smooth[-1]:.2f}) than on text it has not seen "
        f"({chart.measured[-1]:.2f}): part of what it learns is this text by heart.",
    )


def levelling(chart: Chart) -> Finding | None:
    """Hardly any change over the last two fifths."""
    n = len(chart.measured)
    if n < 6:
        return None
    start = math.floor(n * 0.6)
    change = abs(chart.measured[start] - chart.measured[-1])
    if change >= 0.01 * chart.first:
        return None
    span = chart.measured_at[-1] - chart.measured_at[start]
    return Finding(
        "levelling",
        f"Levelling off: over the last {counted(span, 'step')} validation loss changed by {change:.3f}. "
        f"It is {_unsure(chart.now)}.",
    )


def beginning(chart: Chart) -> Finding | None:
    """Measured once, and nothing trained."""
    if chart.smooth or len(chart.measured) != 1:
        return None
    return Finding("beginning", f"Before its first step the loss is {chart.first:.2f}: it is {_unsure(chart.first)}.")


def unclear(chart: Chart) -> Finding | None:
    """No fall that stands out."""
    noise = chart.noise(0, -1) if chart.measured else 0.0
    if chart.first - chart.now > max(noise, 0.005):
        return None
    within = f", within its noise of ±\u00a0{noise:.2f}" if noise > abs(chart.now - chart.first) else ""
    return Finding("unclear", f"No clear fall of the loss yet: it {moved(chart.first, chart.now)}{within}.")


def steady(chart: Chart) -> Finding:
    """Nothing else to say."""
    return Finding(
        "steady",
        f"Learning steadily: the loss {moved(chart.first, chart.now)}; it is now {_unsure(chart.now)}.",
    )


RULES: tuple[Rule, ...] = (
    waiting, diverged, jumped, flat, memorising, solved, clipped, unfinished, levelling, done, falling, gap,
    beginning, unclear, steady,
)  # fmt: skip
