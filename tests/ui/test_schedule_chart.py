"""The drawing of a schedule shows the very rates that training takes."""

import re

import pytest

from playground.config import TrainConfig
from playground.train.schedule import SCHEDULES, learning_rate
from playground.ui.train.schedule_chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, schedule_chart


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 7, 5_000])
def test_every_point_is_a_step_and_its_rate(name, steps):
    config = TrainConfig(steps=steps, warmup_steps=steps // 5, learning_rate=0.02).replace(schedule=name)
    points = re.search(r'<polyline points="([^"]+)"', schedule_chart(config))
    assert points is not None
    found = [tuple(map(float, pair.split(","))) for pair in points[1].split()]
    assert len(found) == min(steps, 240)
    for x, y in found:
        share = (x - LEFT) / (WIDTH - LEFT - RIGHT)
        step = round(1 + share * (steps - 1))
        rate = (1 - (y - TOP) / (HEIGHT - TOP - BOTTOM)) * config.learning_rate
        near = [learning_rate(max(1, min(steps, step + d)), config) for d in (-2, 0, 2)]
        assert min(near) - 3e-5 <= rate <= max(near) + 3e-5
    assert f"{steps:,}</text>" in schedule_chart(config)
