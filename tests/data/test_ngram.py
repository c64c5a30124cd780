"""The n-gram baseline against the textbook recursion, one byte at a time."""

import math
import random
import time
from collections import Counter, defaultdict

import numpy as np
import pytest

from playground.data.ngram import ngram_bits_per_byte, ngram_entropies
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


def brute_force_counted(text: bytes, order: int) -> float:
    """The plug-in conditional entropy, from a dictionary of dictionaries."""
    followers: dict[bytes, Counter[int]] = defaultdict(Counter)
    for i in range(order - 1, len(text)):
        followers[text[i - order + 1 : i]][text[i]] += 1
    total = sum(sum(counter.values()) for counter in followers.values())
    bits = 0.0
    for counter in followers.values():
        n = sum(counter.values())
        bits -= sum(count * math.log2(count / n) for count in counter.values())
    return bits / total


@pytest.mark.parametrize("alphabet", [b"ab", b"abc \n", bytes(range(256))])
def test_entropies_of_all_orders_equal_a_brute_force_count(alphabet: bytes) -> None:
    rng = random.Random(7)
    train = bytes(rng.choice(alphabet) for _ in range(400))
    held_out = bytes(rng.choice(alphabet) for _ in range(90))
    results = ngram_entropies(train, held_out, 5)
    assert [result.name for result in results] == ["unigram", "bigram", "trigram", "4-gram", "5-gram"]
    for result in results:
        assert result.held_out == pytest.approx(brute_force(train, held_out, result.order), rel=1e-12)
        assert result.counted == pytest.approx(brute_force_counted(train, result.order), rel=1e-12, abs=1e-12)


def test_a_mask_leaves_out_costs_but_not_contexts() -> None:
    train, held_out = b"3+4=7\n1+1=2\n" * 20, b"3+4=7\n"
    mask = np.array([False, False, False, False, True, True])
    (whole,) = (result for result in ngram_entropies(train, held_out, 3) if result.order == 3)
    (masked,) = (result for result in ngram_entropies(train, held_out, 3, mask) if result.order == 3)
    before = brute_force(train, held_out[:4], 3) * 4
    assert masked.held_out == pytest.approx((whole.held_out * 6 - before) / 2, rel=1e-12)
    with pytest.raises(ValueError, match="one of them is empty"):
        ngram_entropies(train, held_out, 3, np.zeros(6, dtype=bool))


def test_a_text_shorter_than_the_order_keeps_what_the_shorter_orders_knew() -> None:
    results = ngram_entropies(b"ab", b"abab", 5)
    assert results[4].held_out == results[1].held_out
    assert results[4].counted == results[1].counted == 0.0
