"""Tales: reproducible, never repeating itself, right English, and long memories that are really there."""

import hashlib
import re
import time
from collections import Counter
from itertools import pairwise

import pytest

from playground.data import tale_plots as words
from playground.data.ngram import ngram_bits_per_byte
from playground.data.tales import story, tales


@pytest.fixture(scope="module")
def text() -> str:
    return tales(2_000_000, seed=0)


@pytest.fixture(scope="module")
def stories(text: str) -> list[str]:
    return text.removesuffix("\n\n").split("\n\n")


def test_output_is_pinned_for_every_machine_and_python() -> None:
    digest = hashlib.sha256(tales(20_000, seed=7).encode("ascii")).hexdigest()
    assert digest == "b471074d053ed7e059cf7995a84fb131066c6d11a3c5d7106b98c3fab723bab0"


@pytest.mark.parametrize("n_bytes", [1000, 1001, 5000, 123_456])
def test_size_is_cut_at_a_story(n_bytes: int) -> None:
    told = tales(n_bytes, seed=3)
    assert n_bytes - 1000 < len(told.encode("utf-8")) <= n_bytes
    assert told.endswith("\n\n")
    assert tales(200_000, seed=3).startswith(told)


def test_text_is_its_stories_with_empty_lines_between() -> None:
    assert tales(30_000, seed=5).split("\n\n")[:20] == [story(5, index) for index in range(20)]


@pytest.mark.parametrize(
    ("n_bytes", "seed", "message"), [(999, 0, "999"), (5000, -1, "-1"), (5000, 2**32, "4294967296")]
)
def test_refuses_impossible_requests(n_bytes: int, seed: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tales(n_bytes, seed)


def test_plain_ascii_and_no_story_too_long(text: str, stories: list[str]) -> None:
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ .,:;!?'\"\n")
    assert max(map(len, stories)) < 1000
    assert min(map(len, stories)) > 250


def test_stories_do_not_repeat(stories: list[str]) -> None:
    assert len(set(stories)) > 0.995 * len(stories)
    other = tales(200_000, seed=1).removesuffix("\n\n").split("\n\n")
    assert sum(told in set(stories) for told in other) < 0.005 * len(other)


def test_no_template_is_left_unfilled(stories: list[str]) -> None:
    assert not [told for told in stories if re.search(r"[\[\]{}|]|  | [.,!?]|\.\.", told)]


def test_articles_fit(stories: list[str]) -> None:
    wrong = re.compile(r"\b([Aa] [aeiou]|[Aa]n (?!hour)[^aeiou])")
    assert [match.group() for told in stories for match in wrong.finditer(told)] == []


def test_quotes_are_closed_and_sentences_begin_with_a_capital(stories: list[str]) -> None:
    for told in stories:
        outside, inside = told.split('"')[::2], told.split('"')[1::2]
        assert len(outside) == len(inside) + 1, told
        assert not [part for part in outside + inside if re.search(r"[.!?] [a-z]", part)], told
        assert not [speech for speech in inside if speech[-1] not in ".,!?" or speech != speech.strip()], told
        # Speech follows a space and is followed by one, and begins with a capital unless it goes on after "he said,".
        assert not [part for part in outside[1:-1] if part[0] != " " or part[-1] != " "], told
        begun = [speech for before, speech in zip(outside, inside, strict=False) if not before.endswith(", ")]
        assert not [speech for speech in begun if not speech[0].isupper()], told


def test_pronouns_agree_with_the_hero(stories: list[str]) -> None:
    # "called him Tom the Brave" and "His name was Tom" state the pronoun beside the name.
    checked = 0
    for told in stories:
        for his, name in re.findall(r"\b(His|Her) name was (\w+)", told) + re.findall(
            r"called (him|her) (\w+) the", told
        ):
            assert name in (words.GIRLS if his.lower() == "her" else words.BOYS), told
            checked += 1
    assert checked > 300


def test_vocabulary_is_small_and_every_word_common(text: str) -> None:
    counts = Counter(re.findall(r"[a-z]+", text.lower()))
    assert 400 < len(counts) < 900
    assert min(counts.values()) >= 3  # in 2 MB: nothing that a small model sees only once


def test_every_plot_and_every_wording_can_be_told() -> None:
    seen = {story(0, index).split(".")[0][:12] for index in range(2000)}
    assert len(seen) > 100
    assert len(words.PLOTS) == 18


def test_arithmetic_of_the_counting_stories(stories: list[str]) -> None:
    number = {word: value for value, word in enumerate(words.NUMBERS, start=1)}
    found = [
        re.search(r'I had (\w+)," \w+ said\. "I gave (\w+) to \w+ and (\w+) to \w+\. Now I have (\w+)\.', told)
        for told in stories
    ]
    sums = [tuple(number[word] for word in match.groups()) for match in found if match]
    assert len(sums) > 20
    assert all(n == given + given2 + left for n, given, given2, left in sums)


def test_the_found_thing_goes_back_to_its_owner(stories: list[str]) -> None:
    checked = 0
    for told in stories:
        if match := re.search(r'"It belongs to (\w+),"', told):
            found = re.search(r"(?:It was|\"\w+,) (an? \w+ \w+)[.!]", told)
            assert found is not None, told
            owners = re.findall(r"(\w+) (?:had|always carried|only had) (an? \w+ \w+)", told)
            assert [name for name, thing in owners if thing == found.group(1)] == [match.group(1)], told
            checked += 1
    assert checked > 20


def test_most_stories_name_a_thing_again_after_a_distance(stories: list[str]) -> None:
    # A color and a noun are one of 448 pairs, about 9 bits: free for whoever remembers, dear for an n-gram.
    thing = re.compile(rf"\b(?:{'|'.join(words.COLORS)}) (?:{'|'.join(words.THINGS)})\b")
    far = 0
    for told in stories:
        places: dict[str, list[int]] = {}
        for match in thing.finditer(told):
            places.setdefault(match.group(), []).append(match.start())
        gaps = [b - a for at in places.values() for a, b in pairwise(at)]
        far += any(50 <= gap <= 500 for gap in gaps)
    assert far > 0.6 * len(stories)


def test_a_six_gram_is_far_from_predicting_it() -> None:
    # A transformer of a million parameters (context 256) had 0.57 bits after 1500 steps of 8 x 256 bytes.
    bits = ngram_bits_per_byte(tales(1_000_000, 0).encode(), tales(50_000, 1).encode(), order=6)
    assert 0.8 < bits < 1.3


def test_it_is_fast() -> None:
    start = time.process_time()
    told = tales(1_000_000, seed=9)
    assert len(told) / (time.process_time() - start) > 2e6
