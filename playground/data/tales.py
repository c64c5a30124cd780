"""Tales: endless little English stories, written by a grammar of our own, the built-in training text.

A story is cast once (who, what, where, how many) and told sentence by sentence, so that later sentences can only be
predicted by remembering earlier ones: where the kite was put, which word opens the door, who owns the blue hat. This is
what makes the text worth a language model: an n-gram sees the grammar, only memory sees the story. The words and plots
are data, in `playground.data.tale_plots`.

Reproducible everywhere: story number `i` of a seed depends on (seed, i) alone, and the only method used of
`random.Random` is `random()`, whose sequence for an integer seed Python promises to keep.
"""

import itertools
import re
from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import TypeVar

from playground.data import tale_plots as words
from playground.data.documents import Text

MIN_BYTES = 1000  # no story is longer, so a text of this size holds at least one

_T = TypeVar("_T")
_Draw = Callable[[], float]


def tales(n_bytes: int, seed: int = 0) -> Text:
    """Return stories 0, 1, 2, ... of `seed`: plain ASCII, a blank line after each, as many as fit into `n_bytes`.

    Each story is a document.
    The length in bytes (= characters) lies in (n_bytes - 1000, n_bytes]; a smaller size is a prefix of a larger one.
    Raises ValueError if `n_bytes` is below 1000 or `seed` is outside 0 to 4294967295.
    """
    if n_bytes < MIN_BYTES:
        raise ValueError(f"Tales need at least {MIN_BYTES} bytes; {n_bytes} is too few. Ask for a larger text.")
    if not 0 <= seed < 2**32:
        raise ValueError(f"Seed must be 0 to 4294967295; {seed} is not.")
    told: list[str] = []
    size = 0
    for index in itertools.count():
        text = story(seed, index) + "\n\n"
        size += len(text)
        if size > n_bytes:
            return Text("".join(told), list(itertools.accumulate(map(len, told))))
        told.append(text)
    raise AssertionError("unreachable: every story has a length")


def story(seed: int, index: int) -> str:
    """Return story number `index` of `seed`, one paragraph without line breaks. Both are 0 to 4294967295."""
    draw = Random((seed << 32) | index).random
    roles = _cast(draw)
    sentences = [_pick(draw, _pick(draw, step)) for step in _pick(draw, _plots())]
    return " ".join(filter(None, sentences)).format_map(roles)


@cache
def _plots() -> tuple[tuple[tuple[tuple[str, ...], ...], ...], ...]:
    """The plots with the alternatives of every template written out: plot, step, template, wording."""
    return tuple(tuple(tuple(map(_wordings, step)) for step in plot) for plot in words.PLOTS)


@cache
def _wordings(template: str) -> tuple[str, ...]:
    """'[Yes|No], {A}.' -> ('Yes, {A}.', 'No, {A}.')."""
    parts = re.split(r"\[([^]]*)\]", template)  # odd positions hold the alternatives
    choices = [part.split("|") if i % 2 else [part] for i, part in enumerate(parts)]
    return tuple("".join(choice) for choice in itertools.product(*choices))


def _pick(draw: _Draw, items: Sequence[_T]) -> _T:
    return items[int(draw() * len(items))]


def _pick_distinct(draw: _Draw, items: Sequence[_T], k: int) -> list[_T]:
    picked: list[_T] = []
    while len(picked) < k:
        item = _pick(draw, items)
        if item not in picked:
            picked.append(item)
    return picked


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _with_article(noun: str) -> str:
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def _cast(draw: _Draw) -> dict[str, str]:
    """Draw every role of one story, whether its plot needs it or not; `tale_plots` lists their meanings."""
    people = _people(draw)
    return people | _possessions(draw, people) | _places(draw) | _creatures(draw) | _numbers(draw) | _happenings(draw)


def _people(draw: _Draw) -> dict[str, str]:
    girl, boy = _pick(draw, words.GIRLS), _pick(draw, words.BOYS)
    she, he = (girl, "she", "her", "her", "girl"), (boy, "he", "him", "his", "boy")
    hero, friend = (she, he) if draw() < 0.5 else (he, she)
    others = _pick_distinct(draw, words.GIRLS + words.BOYS, 3)  # one of three is neither of the two
    third = next(name for name in others if name not in (girl, boy))
    trait = _pick(draw, words.TRAITS)
    worker, worker_is = _pick(draw, words.WORKERS)
    return {
        **dict(zip(("A", "he", "him", "his", "who"), hero, strict=True)),
        **dict(zip(("B", "heB", "himB", "hisB"), friend[:4], strict=True)),
        **dict(He=_capital(hero[1]), His=_capital(hero[3]), HeB=_capital(friend[1]), adj=trait, Adj=_capital(trait)),
        **dict(C=third, G=_pick(draw, words.FAMILY), W=worker, Wc=_capital(worker), heW=worker_is),
        **(dict(who=_pick(draw, words.HERO_ANIMALS)) if draw() < 0.5 else {}),
    }


def _possessions(draw: _Draw, people: dict[str, str]) -> dict[str, str]:
    nouns, colors = _pick_distinct(draw, words.THINGS, 3), _pick_distinct(draw, words.COLORS, 3)
    things = [f"{color} {noun}" for color, noun in zip(colors, nouns, strict=True)]
    articled = [_with_article(thing) for thing in things]
    toy = f"{_pick(draw, words.COLORS)} {_pick(draw, words.FRAGILE)}"
    owners = [people["A"], people["B"], people["C"]]
    which, step = int(draw() * 3), 1 + int(draw() * 2)
    return {
        **dict(zip(("thing", "thing2", "thing3"), things, strict=True)),
        **dict(zip(("a_thing", "a_thing2", "a_thing3"), articled, strict=True)),
        **dict(A_thing=_capital(articled[0]), owner=owners[which], speaker=owners[(which + step) % 3]),
        **dict(owned=things[which], a_owned=articled[which], toy=toy, a_toy=_with_article(toy)),
    }


def _places(draw: _Draw) -> dict[str, str]:
    (_, home), (preposition, place), (preposition2, place2) = _pick_distinct(draw, words.PLACES, 3)
    at, at2 = f"{preposition} the {place}", f"{preposition2} the {place2}"
    spot, spot2, spot3 = _pick_distinct(draw, words.INDOOR_SPOTS, 3)
    out = _pick(draw, words.OUTDOOR_SPOTS)
    return {
        **dict(home=f"the {home}", place=f"the {place}", place2=f"the {place2}"),
        **dict(at=at, At=_capital(at), at2=at2, At2=_capital(at2)),
        **dict(spot=spot, Spot=_capital(spot), spot2=spot2, spot3=spot3, out=out, Out=_capital(out)),
    }


def _creatures(draw: _Draw) -> dict[str, str]:
    animal = _pick(draw, words.ANIMALS)
    trouble, rescue = _pick(draw, words.TROUBLES)
    pet = _pick(draw, words.PETS)
    return dict(animal=animal, an_animal=_with_article(animal), trouble=trouble, rescue=rescue, pet=pet)


def _numbers(draw: _Draw) -> dict[str, str]:
    given, given2 = 1 + int(draw() * 3), 1 + int(draw() * 2)
    most = len(words.NUMBERS) - given - given2
    left = 2 + int(draw() * (most - 1))  # two at least, so that the plural fits
    counts = dict(n1=given, n2=given2, gone=given + given2, left=left, n=given + given2 + left, m=3 + int(draw() * 10))
    roles = {role: words.NUMBERS[count - 1] for role, count in counts.items()}
    return roles | {_capital(role): _capital(roles[role]) for role in ("gone", "left", "m")}


def _happenings(draw: _Draw) -> dict[str, str]:
    word, decoy = _pick_distinct(draw, words.SECRET_WORDS, 2)
    plan, planned = _pick(draw, words.PLANS)
    storm, stormed = _pick(draw, words.STORMS)
    riddle, answer = _pick(draw, words.RIDDLES)
    return {
        **dict(day=_pick(draw, words.DAYS), word=word, Word=_capital(word), decoy=decoy, food=_pick(draw, words.FOODS)),
        **dict(plan=plan, planned=planned, inside=_pick(draw, words.INSIDE), storm=storm, stormed=stormed),
        **dict(fun=_pick(draw, words.FUN), chore=_pick(draw, words.CHORES), riddle=riddle, answer=answer),
    }
