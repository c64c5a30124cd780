"""The texts of the Sample tab: branches of a tree, which the page stores and sends back.

What the page sends back is untrusted: `read_tree` validates it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any, cast

import gradio as gr

from playground.inference.decoders import GeneratedToken
from playground.inference.generation import GeneratedText
from playground.tokenizers import StreamDecoder, Tokenizer, pieces
from playground.ui.components.contracts.texts import Branch, TextTree, WrittenToken

MAX_BRANCHES, MAX_TOKENS = 60, 40_000
UNREADABLE = "The text on the page cannot be continued: press Generate to begin a new one."


def new_tree(prompt: str, branches: Sequence[Branch], note: str = "") -> TextTree:
    """A new, empty tree."""
    return {"prompt": prompt, "branches": list(branches), "chosen": 0, "state": "writing", "note": note}


def branch(name: str = "", parent: int | None = None, at: int = 0, **more: Any) -> Branch:
    """A branch without tokens yet; `more` can be ``run`` and ``step``, the model of the branch."""
    empty: Branch = {"name": name, "note": "", "parent": parent, "at": at, "tokens": [], "writing": True}
    return cast(Branch, {**empty, **more})


def snapshot(tree: TextTree, state: str, note: str | None = None) -> TextTree:
    """A copy of the current tree, for the page."""
    branches: list[Branch] = [
        {**each, "tokens": list(each["tokens"]), "writing": each.get("writing", False) and state == "writing"}
        for each in tree["branches"]
    ]
    shown = tree["note"] if note is None else note
    return {**tree, "branches": branches, "state": state, "note": shown, "nonce": time.monotonic_ns()}


def stopped(text: Any) -> Any:
    """The text at the time when *Stop* was pressed."""
    being_written = isinstance(text, dict) and text.get("state") == "writing"
    return {**text, "state": "stopped", "nonce": time.monotonic_ns()} if being_written else gr.skip()


def read_tree(value: object) -> TextTree:
    """Validate a tree from the page. Raises ValueError if it is invalid or too large."""
    try:
        return _checked_tree(value)
    except (KeyError, TypeError, IndexError, OverflowError) as error:
        raise ValueError(UNREADABLE) from error


def _checked_tree(value: Any) -> TextTree:
    branches = [_checked_branch(each, number) for number, each in enumerate(value["branches"][: MAX_BRANCHES + 1])]
    if not branches or not isinstance(value["prompt"], str):
        raise ValueError(UNREADABLE)
    if len(branches) > MAX_BRANCHES or sum(len(each["tokens"]) for each in branches) > MAX_TOKENS:
        raise ValueError(
            f"The tree has grown beyond {MAX_BRANCHES} branches or {MAX_TOKENS:,} tokens. Press Generate to begin a new one."
        )
    chosen = value.get("chosen")
    tree = new_tree(value["prompt"], branches)
    tree["chosen"] = chosen if isinstance(chosen, int) and 0 <= chosen < len(branches) else 0
    for each in branches:
        if each["parent"] is not None and not 0 <= each["at"] <= len(path(tree, each["parent"])):
            raise ValueError(UNREADABLE)
    return tree


def _checked_branch(value: Any, number: int) -> Branch:
    parent = value["parent"]
    if parent is not None and not (type(parent) is int and 0 <= parent < number):
        raise ValueError(UNREADABLE)
    whose = {name: value[name] for name in ("run", "step") if name in value}
    found = branch(str(value["name"])[:80], parent, _number(value["at"], int), **whose)
    found["note"] = str(value["note"])[:200]
    found["writing"] = False
    found["tokens"] = [_checked_token(token) for token in value["tokens"][: MAX_TOKENS + 1]]
    return found


def _checked_token(value: Any) -> WrittenToken:
    others = [(_number(id, int), str(text)[:200], _number(p, int, float)) for id, text, p in value["alternatives"][:10]]
    id, p = _number(value["id"], int), _number(value["p"], int, float)
    return {"id": id, "text": str(value["text"])[:200], "p": p, "alternatives": others}


def _number(value: Any, *kinds: type) -> Any:
    if type(value) not in kinds or not math.isfinite(value):
        raise TypeError("not a number")
    return value


def path(tree: TextTree, number: int) -> list[WrittenToken]:
    """The tokens of a branch's whole text: those inherited from its parents, then its own."""
    each = tree["branches"][number]
    if each["parent"] is None:
        return list(each["tokens"])
    return [*path(tree, each["parent"])[: each["at"]], *each["tokens"]]


def sprout(tree: TextTree, number: object, at: object, token: object) -> Branch:
    """A new branch in the tree, with another token instead of number `at` of a branch's whole text.

    Raises ValueError if there is no such position or the token is not among its alternatives.
    """
    if type(number) is not int or type(at) is not int or not 0 <= number < len(tree["branches"]):
        raise ValueError(UNREADABLE)
    whole = path(tree, number)
    if not 0 <= at < len(whole):
        raise ValueError(UNREADABLE)
    other = next((other for other in whole[at]["alternatives"] if other[0] == token), None)
    if other is None:
        raise ValueError("That token is not among the most likely ones at this position. Choose one from the list.")
    id, text, p = other
    origin = tree["branches"][number]
    more = {name: origin[name] for name in ("run", "step") if name in origin}
    new = branch(f"{len(tree['branches']) + 1}", number, at, **more)
    new["note"] = f"from {origin['name'] or '1'}, “{text}” instead of “{whole[at]['text']}”"
    new["tokens"] = [{"id": id, "text": text, "p": p, "alternatives": whole[at]["alternatives"]}]
    if not origin["name"]:
        origin["name"] = "1"
    tree["branches"].append(new)
    tree["chosen"] = len(tree["branches"]) - 1
    return new


def as_token(tokenizer: Tokenizer, token: GeneratedToken, text: str) -> WrittenToken:
    """A generated token as JSON for the page."""
    labels = pieces(tokenizer, [other for other, _ in token.alternatives])
    others = [(other, name, round(p, 4)) for name, (other, p) in zip(labels, token.alternatives, strict=True)]
    return {"id": token.id, "text": text, "p": round(token.probability, 6), "alternatives": others}


def add(tokenizer: Tokenizer, branches: Sequence[Branch], row: Iterable[GeneratedText | None]) -> None:
    """Append a token to each branch; remove a stop string from the end."""
    for each, piece in zip(branches, row, strict=True):
        if piece is None:
            continue
        each["tokens"].append(as_token(tokenizer, piece.token, piece.text))
        if piece.ended:
            each["writing"] = False
            note_end(tokenizer, each)
        if piece.cut is not None:
            each["writing"] = False
            cut(each["tokens"], piece.cut)
            each["note"] = " · ".join(filter(None, (each["note"], "stopped at a stop string")))


def note_end(tokenizer: Tokenizer, each: Branch) -> None:
    """Record the last token as the one that ended the text."""
    end = f"ended with {pieces(tokenizer, [each['tokens'][-1]['id']])[0]}"
    each["note"] = " · ".join(filter(None, (each["note"], end)))


def cut(tokens: list[WrittenToken], n: int) -> None:
    """Remove n characters from the end of a text."""
    while n > 0 and tokens:
        text = tokens[-1]["text"]
        if len(text) <= n:
            tokens.pop()
        else:
            tokens[-1] = {**tokens[-1], "text": text[:-n]}
        n -= len(text)


def spelled_out(
    tokenizer: Tokenizer,
    ids: Sequence[int],
    probabilities: Sequence[float],
    context: Sequence[int] = (),
    ends: Collection[int] = (),
) -> list[WrittenToken]:
    """Tokens without alternatives, as beam search finds them, behind those of a `context`; those of `ends` have no text."""
    decoder = StreamDecoder(tokenizer, context)
    texts = ["" if id in ends else decoder.feed(id) for id in ids]
    texts[-1:] = [text + decoder.finish() for text in texts[-1:]]
    return [
        {"id": id, "text": text, "p": round(p, 6), "alternatives": []}
        for id, text, p in zip(ids, texts, probabilities, strict=True)
    ]


def log_probability(tokens: Sequence[WrittenToken]) -> float:
    """Of the tokens as a whole, in nats."""
    return math.fsum(math.log(max(token["p"], 1e-6)) for token in tokens)
