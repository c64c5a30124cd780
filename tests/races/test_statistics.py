"""The statistics against tables, brute force, and 200 races between identical arms."""

import math

import numpy as np
import pytest

from playground.races.statistics import (
    LEVEL,
    Difference,
    Ratio,
    cost_ratio,
    cost_to_reach,
    paired_difference,
    ratio_interval,
    t_cdf,
    t_quantile,
)  # fmt: skip
from playground.races.verdict_words import claim, times

TABLE = {1: 12.7062, 2: 4.30265, 3: 3.18245, 4: 2.77645, 5: 2.57058, 9: 2.26216, 30: 2.04227}  # 97.5 %


@pytest.mark.parametrize(("degrees", "value"), TABLE.items())
def test_t_quantiles_are_those_of_the_tables(degrees, value):
    assert t_quantile(0.975, degrees) == pytest.approx(value, rel=2e-5)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 7, 8])
def test_the_t_distribution_is_the_integral_of_its_density(degrees):
    c = math.gamma((degrees + 1) / 2) / math.sqrt(degrees * math.pi) / math.gamma(degrees / 2)
    x = np.linspace(0, 2.5, 20_001)
    area = np.trapezoid(c * (1 + x**2 / degrees) ** (-(degrees + 1) / 2), x)
    assert t_cdf(2.5, degrees) == pytest.approx(0.5 + area, abs=1e-8)


def test_an_interval_by_hand():
    found = paired_difference([1.0, 1.2, 1.1], [1.2, 1.5, 1.2], level=0.05)
    differences = np.array([-0.2, -0.3, -0.1])
    assert found.mean == pytest.approx(-0.2)
    assert found.half == pytest.approx(4.30265 * differences.std(ddof=1) / math.sqrt(3), rel=1e-5)
    assert (found.outcome, found.n) == ("unclear", 3)
    assert paired_difference([1.0, 1.21, 1.1], [1.2, 1.4, 1.3]).outcome == "better"
    assert paired_difference([1.2, 1.4, 1.3], [1.0, 1.21, 1.1]).outcome == "worse"


def test_one_seed_has_no_interval_and_equal_runs_are_identical():
    assert paired_difference([1.0], [2.0]).half is None
    assert paired_difference([1.0], [2.0]).outcome == "one seed"
    assert paired_difference([1.0, 2.0], [1.0, 2.0]).outcome == "identical"
    with pytest.raises(ValueError, match="as many numbers on both sides; here are 1 and 2"):
        paired_difference([1.0], [1.0, 2.0])


@pytest.mark.parametrize("n_seeds", [2, 3, 5])
def test_identical_arms_are_called_different_at_most_as_often_as_stated(n_seeds):
    """200 simulated races: noise of each run, and noise that both arms of a seed share."""
    rng = np.random.default_rng(n_seeds)
    shared = rng.normal(1.5, 0.05, (200, n_seeds))
    a, b = (shared + rng.normal(0, 0.01, (200, n_seeds)) for _ in range(2))
    outcomes = [paired_difference(x, y).outcome for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert sum(outcome in ("better", "worse") for outcome in outcomes) / 200 <= LEVEL


def test_a_real_difference_is_found():
    rng = np.random.default_rng(0)
    shared = rng.normal(1.5, 0.05, (200, 5))
    a = shared - 0.02 + rng.normal(0, 0.005, (200, 5))
    b = shared + rng.normal(0, 0.005, (200, 5))
    found = [paired_difference(x, y).outcome for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert found.count("better") > 180


def test_costs_are_read_off_straight_lines():
    assert cost_to_reach([0, 10, 20], [4.0, 2.0, 1.0], 3.0) == 5
    assert cost_to_reach([0, 10, 20], [4.0, 2.0, 1.0], 1.0) == 20
    assert cost_to_reach([0, 10, 20], [4.0, 2.0, 1.0], 0.5) is None
    slow, quick = ([0, 10, 20], [4.0, 3.0, 2.0]), ([0, 10, 20], [4.0, 2.0, 1.0])
    assert cost_ratio(quick, slow) == 0.5
    assert cost_ratio(slow, quick) == 2.0


def test_a_ratio_has_the_interval_of_its_logarithm():
    found = ratio_interval([0.5, 0.6, 0.55], level=0.05)
    logs = np.log([0.5, 0.6, 0.55])
    half = 4.30265 * logs.std(ddof=1) / math.sqrt(3)
    expected = np.exp([logs.mean(), logs.mean() - half, logs.mean() + half])
    assert (found.mean, found.low, found.high) == pytest.approx(tuple(expected), rel=1e-5)
    assert found.clear and found.n == 3
    back = found.inverse()
    assert (back.mean, back.low, back.high) == pytest.approx((1 / found.mean, 1 / found.high, 1 / found.low))
    assert ratio_interval([0.5]) is None, "one ratio has no interval"
    wide = ratio_interval([1e-9, 1e9])
    assert wide.low < 1 < wide.high and math.isfinite(wide.high) and not wide.clear


def test_what_is_claimed_never_reads_as_if_it_were_not() -> None:
    """A clear ratio's interval leaves out 1 and a claimed difference is larger than its interval, in the text as well."""
    assert times(Ratio(1.003, 1.001, 1.004, 3), "the time") == "1.003 × the time (1.001 to 1.004)"
    assert times(Ratio(0.75, 0.71, 0.79, 3), "the time") == "0.75 × the time (0.71 to 0.79)"
    assert times(Ratio(1.0, 0.998, 1.002, 3), "the time") == "1.00 × the time (1.00 to 1.00)", "which is not clear"
    better = claim("B", "A", Difference(-0.01204, 0.01201, 3, "better"), "nats per token", 0.02)
    assert better.startswith("B is better by 0.01204 ±\u00a00.01201 nats per token")
    assert "0.0002 nats per token lower" in claim(
        "B", "A", Difference(-0.0002, None, 1, "one seed"), "nats per token", 0.02
    )
