"""The standard error of a validation loss, against closed formulas, a bootstrap and many texts of one kind."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from playground.config import TrainConfig, preset
from playground.data.batches import spread_windows
from playground.train.evaluation import evaluate, mean_with_error
from playground.train.trainer import TrainState

MODEL = preset("modern", vocab_size=256, n_layer=1, n_embd=16, n_head=2, block_size=16)
STREAM = np.random.default_rng(0).integers(0, 256, 4_000).astype(np.uint8)


def by_window(state, mask):
    """Loss sums and counts of the windows of `evaluate`, in float64 with plain torch."""
    twin = state.model.double().eval()
    sums, counts = [], []
    for offset in spread_windows(len(STREAM), 16, 640):
        x = torch.from_numpy(STREAM[offset : offset + 17].astype(np.int64))
        with torch.no_grad():
            losses = -twin(x[None, :-1])[0].log_softmax(-1)[range(16), x[1:]]
        counted = torch.from_numpy(mask[offset + 1 : offset + 17])
        sums.append(float(losses[counted].sum()))
        counts.append(int(counted.sum()))
    return np.array(sums), np.array(counts)


@pytest.mark.parametrize("share", [1.0, 0.3, 0.02], ids=["every token", "some", "few: windows without a target"])
def test_the_error_is_that_of_the_windows_of_this_text(share):
    state = TrainState.new(MODEL, TrainConfig())
    mask = np.random.default_rng(1).random(len(STREAM)) < share
    found = evaluate(state.model, STREAM, mask, 640)
    sums, counts = by_window(state, mask)
    sums, counts = sums[counts > 0], counts[counts > 0]
    n, mean = len(sums), sums.sum() / counts.sum()
    variance = n / (n - 1) * sum((s - mean * c) ** 2 for s, c in zip(sums, counts, strict=True)) / counts.sum() ** 2
    assert found.loss == pytest.approx(mean, abs=1e-5)
    assert found.loss_se == pytest.approx(variance**0.5, rel=1e-4)


def test_of_equal_windows_it_is_the_error_of_their_mean():
    means = np.random.default_rng(2).normal(2.0, 0.3, 50)
    mean, error = mean_with_error(means * 128, np.full(50, 128))
    assert (mean, error) == pytest.approx((means.mean(), means.std(ddof=1) / 50**0.5))


def test_it_agrees_with_a_bootstrap_over_windows():
    rng = np.random.default_rng(3)
    counts = rng.integers(5, 60, 200)
    sums = counts * rng.normal(1.5, 0.4, 200) + rng.normal(0, 1, 200)
    draws = rng.integers(0, 200, (4_000, 200))
    bootstrap = (sums[draws].sum(1) / counts[draws].sum(1)).std()
    assert mean_with_error(sums, counts)[1] == pytest.approx(bootstrap, rel=0.05)


def test_intervals_of_texts_whose_windows_differ_cover_the_truth():
    """A window has its own level, so its targets agree with each other: an error over targets would be far too small."""
    rng, inside, naive = np.random.default_rng(4), 0, 0
    for _ in range(400):
        losses = rng.normal(2.0, 0.3, (60, 1)) + rng.normal(0, 0.5, (60, 32))
        mean, error = mean_with_error(losses.sum(1), np.full(60, 32))
        assert error is not None
        inside += abs(mean - 2.0) < 1.96 * error
        naive += abs(mean - 2.0) < 1.96 * losses.std() / losses.size**0.5
    assert 0.92 < inside / 400 < 0.98
    assert naive / 400 < 0.6


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 50)), min_size=1, max_size=20))
def test_windows_without_a_target_change_nothing(windows):
    sums = np.array([total if count else 0.0 for total, count in windows])
    counts = np.array([count for _, count in windows])
    kept = mean_with_error(sums[counts > 0], counts[counts > 0])
    assert mean_with_error(sums, counts) == kept
    assert (kept[1] is None) == ((counts > 0).sum() < 2)
