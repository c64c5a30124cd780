"""The learning rate that suits a width: halved for each doubling, the same for models of nearly one size."""

import pytest

from playground.config import TrainConfig, followed_rate, usual_rate
from playground.config.rates import RATES


def test_forms_begin_with_the_usual_rate():
    assert usual_rate("adamw", 128) == TrainConfig().learning_rate


@pytest.mark.parametrize(
    ("width", "rate"),
    [(16, 0.003), (64, 0.003), (120, 0.003), (180, 0.003), (184, 0.0015), (256, 0.0015), (512, 0.00075)],
)
def test_wider_models_take_smaller_steps_and_narrow_ones_no_larger(width, rate):
    assert usual_rate("adamw", width) == pytest.approx(rate)
    assert usual_rate("muon", width) == pytest.approx(rate * RATES["muon"] / RATES["adamw"])


def test_a_rate_of_ones_own_stays():
    assert followed_rate(0.004, "adamw", 512) == 0.004
    assert followed_rate(0.003, "adamw", 512) == usual_rate("adamw", 512)
    assert followed_rate(usual_rate("muon", 256), "adamw", 128) == 0.003
    assert followed_rate(0.0015, "muon", 128) == usual_rate("muon", 128)
