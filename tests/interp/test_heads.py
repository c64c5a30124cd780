"""Scores of heads: 1 on patterns built by hand, and equal to definitions written out token by token."""

import math

import numpy as np
import pytest

from playground.interp.heads import SCORES, head_scores, patterns_of, repeat_scores, repeated_tokens, text_scores
from tests.models.variants import VARIANTS, build

N = 12
IDS = np.tile(np.random.default_rng(0).permutation(40)[:N], (1, 2))


def looking_at(place) -> np.ndarray:
    """A pattern (1, 1, 1, T, T) in which row t gives all its attention to place(t), or to itself if that is nowhere."""
    pattern = np.zeros((1, 1, 1, 2 * N, 2 * N))
    for t in range(2 * N):
        at = place(t)
        pattern[0, 0, 0, t, t if at < 0 else at] = 1
    return pattern


@pytest.mark.parametrize(
    ("name", "place"),
    [("previous", lambda t: t - 1), ("duplicate", lambda t: t - N), ("induction", lambda t: t - N + 1)],
)
def test_a_head_that_does_one_thing_scores_one_in_it_and_nothing_in_the_rest(name, place):
    scores = repeat_scores(looking_at(place), IDS)
    assert scores.pop(name) == 1
    assert all(other == 0 for other in scores.values())


def test_text_scores_of_patterns_built_by_hand():
    size = 10
    first, own, even = (np.zeros((1, 1, size, size)) for _ in range(3))
    for t in range(size):
        first[..., t, 0] = own[..., t, t] = 1
        even[..., t, : t + 1] = 1 / (t + 1)
    assert text_scores(first) == {"sink": 1, "entropy": 0, "distance": np.mean(range(1, size))}
    assert text_scores(own) == {"sink": 0, "entropy": 0, "distance": 0}
    found = text_scores(even)
    assert found["entropy"] == pytest.approx(np.mean([math.log2(t + 1) for t in range(1, size)]))
    assert found["distance"] == pytest.approx(np.mean([t / 2 for t in range(1, size)]))
    assert found["sink"] == pytest.approx(np.mean([1 / (t + 1) for t in range(1, size)]))
    assert text_scores(np.ones((2, 3, 1, 1)))["sink"].tolist() == [[0] * 3] * 2


def by_hand(pattern: np.ndarray, ids: list[int], kind: str) -> tuple[float, int]:
    """The sum of attention to the places a detector looks for (as TransformerLens's head detector names them), and the
    number of rows in which there is one; written out with loops."""
    total, rows = 0.0, 0
    for t, token in enumerate(ids):
        if kind == "previous":
            places = [t - 1] if t else []
            counted = t > 0
        else:
            copies = [s for s in range(t) if ids[s] == token]
            places = [s + (kind == "induction") for s in copies]
            counted = bool(copies)
        if counted:
            rows += 1
            total += sum(pattern[t, place] for place in places)
    return total, rows


@pytest.mark.parametrize("name", ["classic", "modern", "window and sinks", "multi-query"])
@pytest.mark.parametrize("kind", ["previous", "duplicate", "induction"])
def test_scores_are_the_definitions_written_out(name, kind):
    model = build(VARIANTS[name])
    rng = np.random.default_rng(1)
    ids = rng.integers(0, 12, (3, 40))  # tokens that come several times, at any distance
    patterns = patterns_of(model, ids)
    found = repeat_scores(patterns, ids)[kind]
    for layer in range(3):
        for head in range(model.config.n_head):
            parts = [by_hand(patterns[i, layer, head], ids[i].tolist(), kind) for i in range(3)]
            expected = sum(total for total, _ in parts) / sum(rows for _, rows in parts)
            assert found[layer, head] == pytest.approx(expected, abs=1e-12)


def test_on_a_repeated_sequence_induction_is_the_mean_of_a_stripe():
    """TransformerLens's demonstration takes the diagonal at 1 - n; without its first entry, whose token is no repetition."""
    patterns = np.random.default_rng(2).random((1, 2, 3, 2 * N, 2 * N))
    stripe = np.diagonal(patterns, 1 - N, axis1=-2, axis2=-1)[..., 1:].mean(-1)[0]
    np.testing.assert_allclose(repeat_scores(patterns, IDS)["induction"], stripe)


def test_probes_repeat_different_tokens_of_the_vocabulary():
    probes = repeated_tokens(range(100, 140), block_size=64)
    assert probes.shape == (8, 48)
    assert (probes[:, :24] == probes[:, 24:]).all()
    assert all(len(set(row)) == 24 for row in probes.tolist())
    assert probes.min() >= 100
    assert probes.max() < 140
    assert not np.array_equal(probes[0], probes[1])
    assert repeated_tokens([3], block_size=8).tolist() == [[3, 3]] * 8
    assert repeated_tokens(range(50), block_size=10).shape == (8, 10)


def test_every_score_is_measured_and_explained():
    model = build(VARIANTS["modern"])
    found = head_scores(model, repeated_tokens(range(61), 96), [1, 2, 3, 1, 2, 3])
    assert set(found) == {score.id for score in SCORES}
    assert all(values.shape == (3, 4) for values in found.values())
    assert all(score.definition.endswith(".") and score.source and score.unit for score in SCORES)
