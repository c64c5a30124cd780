"""The run doctor: a diagnosis of a run's curves in one sentence, with advice.

Rules are in order of urgency, and the first that applies is used. Each is true of the numbers it quotes, and each is
tested on a real run that shows it. A change of the validation loss counts only if it is larger than its noise (`noise`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from playground.analysis.exact_match import count_scored, exact_match_words, right_of
from playground.config import ModelConfig, TrainConfig, counted, moved, nonzero, usual_rate
from playground.runs.curves import Columns
from playground.runs.store.run_store import Run

SMOOTHING = 0.8  # of the training loss over the points of the curve, as in the page (ui/static/runs.js)
ENDED = ("finished", "stopped", "failed", "diverged", "crashed")


@dataclass(frozen=True)
class Finding:
    """What a rule found: its name, the sentence, and whether something should be done about it."""

    rule: str
    sentence: str
    trouble: bool = False


@dataclass(frozen=True)
class Chart:
    """A run's curves as the rules read them. Losses in nats per token; `smooth` is the smoothed training loss."""

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
    imported: bool = False  # imported without a training log
    errors: tuple[float, ...] = ()  # standard errors of `measured`; 0 where the log has none
    first_loss: float | None = None  # training loss of the first logged step; None: `losses` has every step

    @property
    def now(self) -> float:
        """The loss to quote: the validation loss if there are at least two evaluations, otherwise the training loss."""
        return self.measured[-1] if self.by_validation else self.smooth[-1]

    @property
    def first(self) -> float:
        """The same loss at the beginning: of the first evaluation or the first logged step, never a mean of several."""
        if self.by_validation:
            return self.measured[0]
        return self.losses[0] if self.first_loss is None else self.first_loss

    @property
    def by_validation(self) -> bool:
        """Whether the loss to quote is the validation loss."""
        return len(self.measured) > 1 or not self.smooth

    def noise(self, i: int, j: int) -> float:
        """The noise of a difference of two evaluations: two standard errors, as if they were independent.

        Both use the same windows, on which the losses are correlated, so this is conservative.
        """
        errors = self.errors or (0.0,) * len(self.measured)
        return 2 * math.hypot(errors[i], errors[j])

    def trained_at(self, step: float) -> float:
        """The smooth training loss at a step."""
        return next((loss for at, loss in zip(self.steps, self.smooth, strict=True) if at >= step), self.smooth[-1])


Rule = Callable[[Chart], Finding | None]


def diagnose(run: Run, columns: Columns) -> Finding:
    """The most important finding about a run."""
    chart = read_chart(run, columns)
    for rule in RULES:
        finding = rule(chart)
        if finding is not None:
            return finding
    raise AssertionError("the last rule always speaks")


def read_chart(run: Run, columns: Columns) -> Chart:
    """Read a run's curves for the rules."""
    losses = [float(loss) for loss in columns.train["loss"]]
    exact = [float(share) for share in columns.validation["exact_match"] if share is not None]
    steps, grad_norms = list(columns.train["step"]), columns.train["grad_norm"]
    measured_at, measured = columns.validation["step"], columns.validation["loss"]
    curves = (steps, losses, smoothed(losses), grad_norms, measured_at, measured, exact, columns.passes)
    errors = tuple(float(error or 0.0) for error in columns.validation["loss_se"])
    return Chart(
        columns.state, run.model, run.train, *curves, imported=bool(run.origin), errors=errors,
        first_loss=columns.first_loss,
    )  # fmt: skip


def smoothed(values: list[float], weight: float = SMOOTHING) -> list[float]:
    """An exponential moving average, unbiased at its start."""
    total = mass = 0.0
    out = []
    for value in values:
        total, mass = weight * total + (1 - weight) * value, weight * mass + (1 - weight)
        out.append(total / mass)
    return out


def _one_digit(value: float, low: float = 1e-6, high: float = 1.0) -> str:
    """A setting's value as people write it, within the setting's bounds (by default the learning rate's)."""
    return f"{float(f'{min(max(value, low), high):.1g}'):g}"


def _steps(span: int) -> str:
    """A number of steps, for after "its last" or "the last"."""
    return "step" if span == 1 else counted(span, "step")


def _lower_rate(rate: float) -> str:
    """A lower learning rate to try: a third, within the setting's limits."""
    return f"Try {_one_digit(rate / 3)}." if rate > 2e-6 else "Try a longer warm-up."


def _perplexity(loss: float) -> str:
    """A loss in nats as a perplexity. Above 5e8 it only says so, because the number is meaningless."""
    if loss > math.log(5e8):
        return "perplexity above 5e+08"
    return f"perplexity {math.exp(loss):.3g}, that of a uniform choice among as many tokens"


# The rules


def waiting(chart: Chart) -> Finding | None:
    """No losses yet."""
    if chart.state == "queued":
        return Finding("waiting", "Queued. Training starts automatically when it is this run's turn.")
    if chart.losses or chart.measured:
        return None
    if chart.imported:
        return Finding("imported", "No curve: this model was imported without a training log.")
    if chart.state == "diverged":
        return None
    if chart.state in ENDED:
        return Finding("empty", "This run ended before its first measurement.")
    if chart.state == "paused":
        return Finding("waiting", "Paused before its first measurement. Resume it to train.")
    return Finding("waiting", "Starting: no measurements yet.")


def diverged(chart: Chart) -> Finding | None:
    """The loss is no longer finite."""
    if chart.state != "diverged":
        return None
    last = f" after step {chart.steps[-1]:,.0f}" if chart.steps else ""
    rate = chart.train.learning_rate
    return Finding(
        "diverged",
        f"The loss or its gradient is no longer finite{last}. The learning rate ({rate:g}) is probably too high. "
        f"{_lower_rate(rate)}",
        True,
    )


def jumped(chart: Chart) -> Finding | None:
    """The training loss rose far above its earlier level."""
    if len(chart.smooth) < 10:
        return None
    lowest = min(range(len(chart.smooth)), key=chart.smooth.__getitem__)
    low, now = chart.smooth[lowest], chart.smooth[-1]
    if now < low + 0.3 or now < 1.15 * low:
        return None
    rate = chart.train.learning_rate
    return Finding(
        "jumped",
        f"The training loss rose after step {chart.steps[lowest]:,.0f}, from {low:.2f} to {now:.2f}: the learning rate "
        f"({rate:g}) is probably too high. {_lower_rate(rate)}",
        True,
    )


def flat(chart: Chart) -> Finding | None:
    """The loss is still that of a uniform distribution."""
    ignorance = math.log(chart.model.vocab_size)
    if len(chart.smooth) < 10 or chart.steps[-1] < 20 or chart.exact or min(chart.smooth) < 0.97 * ignorance:
        return None
    rate, usual = chart.train.learning_rate, usual_rate(chart.train.optimizer, chart.model.n_embd)
    if chart.steps[-1] <= chart.train.warmup_steps:
        if chart.state in ENDED:
            return Finding("warm-up", "The run ended within its warm-up, in which the learning rate rises to its peak.")
        end = f"{chart.train.warmup_steps:,}"
        return Finding("warm-up", f"Warming up: the learning rate rises from zero to its peak until step {end}.")
    low = rate < usual and chart.smooth[-1] <= 1.05 * ignorance
    higher = f"{usual:g}" if usual <= rate * 10 else _one_digit(rate * 10)
    advice = f"Try {higher}." if low else _lower_rate(rate)
    return Finding(
        "flat",
        f"Not learning: after {counted(int(chart.steps[-1]), 'step')} the training loss ({chart.smooth[-1]:.2f}) is not "
        f"clearly below ln V = {ignorance:.2f}, the loss of a uniform guess. The learning rate ({rate:g}) is probably too "
        f"{'low' if low else 'high'}. {advice}",
        True,
    )


def memorising(chart: Chart) -> Finding | None:
    """Overfitting: the validation loss rises while the training loss falls."""
    n = len(chart.measured)
    if n < 4 or not chart.smooth:
        return None
    best = min(range(n), key=chart.measured.__getitem__)
    low, now = chart.measured[best], chart.measured[-1]
    at = chart.measured_at[best]
    if best >= n - 2 or now < low + max(0.02, chart.noise(best, -1)) or chart.smooth[-1] >= chart.trained_at(at):
        return None
    passes = f" It has trained on its text for {chart.passes:.0f} epochs." if chart.passes >= 3 else ""
    return Finding(
        "memorising",
        f"Overfitting: validation loss was lowest at step {at:,} ({low:.2f}) and has risen to {now:.2f}, while training "
        f"loss "
        f"has fallen further.{passes} More text, dropout or a smaller model can help.",
        True,
    )


def clipped(chart: Chart) -> Finding | None:
    """Gradients are clipped in nearly every step."""
    limit = chart.train.grad_clip
    late = sorted(chart.grad_norms[len(chart.grad_norms) // 2 :])
    if not limit or len(late) < 10 or late[len(late) // 10] < 3 * limit:
        return None
    middle = late[len(late) // 2]
    higher = _one_digit(2 * middle, 0.0, 1000.0)
    advice = f"Try Gradient clipping {higher}." if float(higher) > limit else _lower_rate(chart.train.learning_rate)
    return Finding(
        "clipped",
        f"Nearly every gradient is clipped: the median norm is {middle:.2g}, and gradients are rescaled to {limit:g}. "
        f"{advice}",
        True,
    )


OLDER_TASK = (
    " This run follows older rules (task version 1): its loss also counts answers whose prompt was outside the window, and "
    "its validation text repeats problems of the training text. Do not compare it with newer runs."
)


def solved(chart: Chart) -> Finding | None:
    """Algorithmic tasks are evaluated by exact match."""
    task, context = chart.train.corpus, chart.model.block_size
    n = count_scored(task, context)
    if len(chart.exact) < 2 or not n:
        return None
    held_out = chart.train.task_version >= 2
    all_right = right_of(chart.exact[-1], n) == n
    words = exact_match_words(task, context, chart.exact[-1], held_out=held_out)
    if not held_out:
        words += OLDER_TASK
    elif not all_right:
        late = "more steps may help" if chart.state in ENDED else "watch for a sudden jump"
        words += f" On such tasks the rule is often learned late and suddenly: {late}."
    return Finding("solved" if all_right else "task", words)


def unfinished(chart: Chart) -> Finding | None:
    """The run ended while the loss was still falling."""
    n = len(chart.measured)
    if chart.state != "finished" or n < 6:
        return None
    before = n - 1 - max(1, n // 5)
    gain = chart.measured[before] - chart.measured[-1]
    if gain < max(0.02, 0.02 * chart.measured[-1], chart.noise(before, -1)):
        return None
    span = chart.measured_at[-1] - chart.measured_at[before]
    return Finding(
        "unfinished",
        f"The run ended while still learning: over its last {_steps(span)} validation loss fell by {gain:.2f} "
        f"nats. It {moved(chart.first, chart.now)}; more steps would probably lower it further.",
    )


def done(chart: Chart) -> Finding | None:
    """The run has finished: its result."""
    if chart.state != "finished":
        return None
    return Finding("done", f"Finished: the loss {moved(chart.first, chart.now)} ({_perplexity(chart.now)}).")


def falling(chart: Chart) -> Finding | None:
    """The fast initial decrease."""
    if len(chart.measured) < 3 or chart.measured[-1] >= min(
        chart.measured[:-1]
    ):  # recovery from a rise is not the initial decrease
        return None
    if chart.measured[-2] - chart.measured[-1] <= max(0.04 * chart.first, chart.noise(-2, -1)):
        return None
    if chart.state in ENDED:
        return Finding("falling", "The run ended while validation loss was still falling fast.")
    return Finding(
        "falling",
        "Validation loss is falling fast. The most common patterns are learned first: in text, letters and spaces, then "
        "short words.",
    )


def gap(chart: Chart) -> Finding | None:
    """A gap between training and validation loss, without overfitting yet."""
    if len(chart.measured) < 5 or not chart.smooth:
        return None
    if chart.measured[-1] - chart.smooth[-1] <= max(0.25, chart.noise(-1, -1)):
        return None
    return Finding(
        "gap",
        f"Training loss ({chart.smooth[-1]:.2f}) is lower than validation loss ({chart.measured[-1]:.2f}): the model "
        f"memorizes "
        "part of its text, or the validation text is harder.",
    )


def levelling(chart: Chart) -> Finding | None:
    """Little change over the last two fifths."""
    n = len(chart.measured)
    if n < 6:
        return None
    start = math.floor(n * 0.6)
    late = chart.measured[start:]
    change = abs(late[0] - late[-1])
    if max(late) - min(late) >= min(0.01 * chart.first, 0.05 * chart.now):  # of a small loss the first is no measure
        return None
    span = chart.measured_at[-1] - chart.measured_at[start]
    shown = f"{change:.3f}" if change >= 0.0005 else "less than 0.001"
    return Finding(
        "levelling",
        f"Plateau: over the last {_steps(span)} validation loss changed by {shown}. It is "
        f"{chart.now:.2f} ({_perplexity(chart.now)}).",
    )


def beginning(chart: Chart) -> Finding | None:
    """Evaluated once, no training yet."""
    if chart.smooth or len(chart.measured) != 1:
        return None
    return Finding("beginning", f"Before the first step the loss is {chart.first:.2f} ({_perplexity(chart.first)}).")


def unclear(chart: Chart) -> Finding | None:
    """No significant decrease."""
    noise = chart.noise(0, -1) if chart.by_validation else 0.0
    if chart.first - chart.now > max(noise, 0.01):  # less may read the same at two digits
        return None
    within = f", within its noise of ±\u00a0{nonzero(noise, 2)}" if noise > abs(chart.now - chart.first) else ""
    yet = "" if chart.state in ENDED else " yet"
    return Finding("unclear", f"The loss has not clearly decreased{yet}: it {moved(chart.first, chart.now)}{within}.")


def past_best(chart: Chart) -> Finding | None:
    """Lower than at first, but not at its minimum."""
    if len(chart.measured) < 3:
        return None
    best = min(range(len(chart.measured)), key=chart.measured.__getitem__)
    low = chart.measured[best]
    if chart.now < low + max(0.02, chart.noise(best, -1)):
        return None
    return Finding(
        "past best",
        f"The loss {moved(chart.first, chart.now)}; it was lowest at step {chart.measured_at[best]:,} ({low:.2f}).",
    )


def steady(chart: Chart) -> Finding:
    """None of the other rules applies."""
    words = f"the loss {moved(chart.first, chart.now)} ({_perplexity(chart.now)})"
    if chart.state in ENDED:
        return Finding("steady", f"{words[0].upper()}{words[1:]} before the run ended.")
    return Finding("steady", f"Learning steadily: {words}.")


RULES: tuple[Rule, ...] = (
    waiting, diverged, jumped, flat, memorising, solved, clipped, unfinished, levelling, done, falling, gap,
    beginning, unclear, past_best, steady,
)  # fmt: skip
