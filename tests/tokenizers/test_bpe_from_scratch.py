"""The page behind the lesson: each merge is the most frequent pair, and the text-book example comes out."""

from collections import Counter
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from playground.tokenizers import BPETokenizer
from playground.tokenizers.bpe_from_scratch import decode, encode, learn, merge
from playground.tokenizers.presplit import words
from tests.tokenizers.texts import HARD, fuzz

TEXT = "the cat sat on the mat, the rat sat on the cat\n" * 5 + "".join(fuzz(20))


def test_the_example_of_wikipedia() -> None:
    merges = list(learn("aaabdaaabac", 259))
    assert [(bytes(step.pair) if max(step.pair) < 256 else step.pair, step.token, step.count) for step in merges] == [
        (b"aa", 256, 4),
        (b"ab", 257, 2),
        ((256, 257), 258, 2),
    ]
    pairs = [step.pair for step in merges]
    assert encode("aaabdaaabac", pairs) == [258, 100, 258, 97, 99]
    assert decode([258, 100, 258, 97, 99], pairs) == b"aaabdaaabac"


def test_each_step_took_the_most_frequent_pair_and_shows_the_others() -> None:
    steps = list(learn(TEXT, 256 + 60, n_candidates=5))
    assert len(steps) == 60
    for n, step in enumerate(steps):
        pairs = [earlier.pair for earlier in steps[:n]]
        ids = [encode(word, pairs) for part in words(TEXT) for word in part]
        counts = Counter(pair for word in ids for pair in pairwise(word))
        assert step.count == counts[step.pair] == max(counts.values())
        assert step.candidates[0] == (step.pair, step.count)
        assert [count for _, count in step.candidates] == [count for _, count in counts.most_common(5)]
        assert all(counts[pair] == count for pair, count in step.candidates)
        assert step.token == 256 + n


def test_it_stops_when_no_pair_repeats_and_takes_its_time() -> None:
    assert list(learn("", 300)) == []
    assert list(learn("abc", 300)) == []
    assert len(list(learn("abab", 300))) == 1
    assert next(learn(TEXT, 10**9)).token == 256  # one step at a time: nothing is computed ahead


@settings(deadline=None)
@given(st.lists(st.integers(0, 2), max_size=30))
def test_merging_goes_from_left_to_right(ids: list[int]) -> None:
    expected = bytes(ids).replace(b"\x01\x01", b"\x07")
    assert bytes(merge(ids, (1, 1), 7)) == expected


def test_what_it_learned_is_what_the_library_needs() -> None:
    pairs = [step.pair for step in learn(TEXT, 400)]
    library = BPETokenizer(pairs)
    for text in [*HARD, *fuzz(200, seed=5), TEXT]:
        assert encode(text, pairs) == library.encode(text).tolist()
        assert decode(encode(text, pairs), pairs) == text.encode()
