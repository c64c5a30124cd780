"""A small chart of the learning rate schedule next to the form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from playground.config import TrainConfig, spelled
from playground.train.schedule import learning_rate
from playground.ui.forms import Form, read_form

FIELDS = ("steps", "learning_rate", "min_lr_ratio", "warmup_steps", "schedule")
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 300, 110, 46, 24, 10, 10  # of the drawing, in its own units
POINTS = 240


def schedule_chart(config: TrainConfig) -> str:
    """The chart as SVG; contains only numbers and names of settings, no user text."""
    steps = np.unique(np.linspace(1, config.steps, min(POINTS, config.steps)).round().astype(int))
    rates = [learning_rate(int(step), config) for step in steps]
    across, up = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    x = [LEFT + across * (step - 1) / max(1, config.steps - 1) for step in steps]
    y = [TOP + up * (1 - rate / config.learning_rate) for rate in rates]
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    floor = TOP + up
    words = f"{spelled(config.schedule)}: from {rates[0]:.2g}, at most {max(rates):.2g}, to {rates[-1]:.2g}"
    return f"""<svg class="pg-schedule" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Learning rate, {words}">
<path class="axis" d="M{LEFT} {TOP}V{floor}H{WIDTH - RIGHT}"/><polyline points="{points}"/>
<text x="{LEFT - 5}" y="{TOP + 4}" text-anchor="end">{config.learning_rate:.2g}</text>
<text x="{LEFT - 5}" y="{floor + 4}" text-anchor="end">0</text>
<text x="{LEFT}" y="{HEIGHT - 8}">step 1</text>
<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">step {config.steps:,}</text>
<text x="{WIDTH - RIGHT}" y="{TOP + 16}" text-anchor="end">learning rate</text></svg>"""


def show_schedule(form: Form, data: Mapping[Any, Any]) -> str:
    """The chart for the form's values; empty while they are invalid."""
    try:
        values = read_form({name: form[name] for name in FIELDS}, data)
        return schedule_chart(TrainConfig.from_dict(values))
    except (ValueError, TypeError):
        return ""
