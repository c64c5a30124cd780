"""The n-gram baseline against the textbook recursion, one byte at a time."""

import math
import random
import time
from collections import Counter, defaultdict

import pytest

from playground.data.ngram import ngram_bits_per_byte
from playground.data.tales import tales


def brute_force(train: bytes, held_out: bytes, order: int) -> float:
    followers: dict[bytes, Counter[int]] = defaultdict(Counter)
    for i in range(len(train)):
        for k in range(order):
            if i >= k:
                followers[train[i - k : i]][train[i]] += 1

    def p(byte: int, context: bytes) -> float:
        shorter = p(byte, context[1:]) if context else 1 / 256
        seen = followers.get(context)
        if not seen:
            return shorter
        kinds, total = len(seen), sum(seen.values())
        return (seen[byte] + kinds * shorter) / (total + kinds)

    bits = 0.0
    for i, byte in enumerate(held_out):
        bits -= math.log2(p(byte, held_out[max(0, i - order + 1) : i]))
    return bits / len(held_out)


@pytest.mark.parametrize("order", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("alphabet", [b"ab", b"abc \n", bytes(range(256))])
def test_equals_the_recursion(order: int, alphabet: bytes) -> None:
    rng = random.Random(order)
    train = bytes(rng.choice(alphabet) for _ in range(300))
    held_out = bytes(rng.choice(alphabet) for _ in range(80))
    assert ngram_bits_per_byte(train, held_out, order) == pytest.approx(brute_force(train, held_out, order), rel=1e-12)


@pytest.mark.parametrize(
    ("train", "held_out"), [(b"a", b"b"), (b"a", b"abcdef"), (b"ab", b"x" * 20), (b"xyz" * 9, b"z")]
)
def test_equals_the_recursion_where_texts_are_shorter_than_the_order(train: bytes, held_out: bytes) -> None:
    assert ngram_bits_per_byte(train, held_out, 6) == pytest.approx(brute_force(train, held_out, 6), rel=1e-12)


def test_bytes_never_seen_cost_eight_bits_and_a_little() -> None:
    # One kind seen once: p = (0 + 1/256) / (1 + 1).
    assert ngram_bits_per_byte(b"a", b"b", 1) == pytest.approx(9.0)


def test_probabilities_sum_to_one() -> None:
    # The cost of each possible last byte after the same beginning gives back its probability.
    train, start = b"the cat sat on the mat", b"the c"
    before = ngram_bits_per_byte(train, start, 4) * len(start)
    costs = [ngram_bits_per_byte(train, start + bytes([b]), 4) * (len(start) + 1) - before for b in range(256)]
    assert sum(2.0**-cost for cost in costs) == pytest.approx(1.0, rel=1e-9)


def test_fast_enough_for_the_corpora_we_ship() -> None:
    train, held_out = tales(1_000_000, 0).encode(), tales(100_000, 1).encode()
    start = time.process_time()
    ngram_bits_per_byte(train, held_out, 6)
    assert time.process_time() - start < 4


@pytest.mark.parametrize("order", [0, 9, -1])
def test_refuses_orders_it_cannot_pack(order: int) -> None:
    with pytest.raises(ValueError, match=f"1 to 8; {order}"):
        ngram_bits_per_byte(b"a", b"b", order)


@pytest.mark.parametrize(("train", "held_out"), [(b"", b"a"), (b"a", b"")])
def test_refuses_empty_texts(train: bytes, held_out: bytes) -> None:
    with pytest.raises(ValueError, match="one of them is empty"):
        ngram_bits_per_byte(train, held_out, 2)
