"""Endpoints of the Tokenizer tab: cheap, read-only requests with JSON answers."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from playground.analysis.tokenization import (
    CORPORA,
    LARGEST,
    LESSON_BYTES,
    LESSON_MERGES,
    compression,
    corpus_bpe,
    lesson,
    lesson_text,
    read,
    removed_at,
    spelled,
    vocabulary_share,
)
from playground.config import counted
from playground.tokenizers import (
    BPETokenizer,
    Tokenizer,
    build_tokenizer,
    changed_words,
    in_words,
    learn_bpe,
    round_trip,
)
from playground.tokenizers.bpe import MAX_VOCAB, MIN_VOCAB
from playground.ui.components.contracts.texts import ReplayAnswer, TokenizeAnswer, TokenizedText, VocabularySize
from playground.ui.imports import kept
from playground.ui.json_endpoints import Request, json_endpoint
from playground.ui.services import Services

MAX_TEXT = 10_000  # characters
MAX_SHOWN = 1_500  # tokens of each tokenizer that are drawn; all are counted
MAX_TOKENIZERS = 6
MAX_CURVE = 4_000
CORPUS_LABELS = {"tales": "Tales", "python_source": "Python source"}


@dataclass(frozen=True)
class Chosen:
    """A tokenizer that the visitor chose."""

    name: str
    tokenizer: Tokenizer
    note: str = ""


@json_endpoint
def tokenize(services: Services, request: Request) -> TokenizeAnswer:
    """A text under several tokenizers: ``{"visitor", "text", "tokenizers", "learned", "width"}`` -> rows, curve, notice."""
    text, width = checked_text(request.get("text")), _width(request.get("width"))
    learned = _learned(request.get("learned"))
    keys = request.get("tokenizers")
    keys = [str(key)[:80] for key in keys][:MAX_TOKENIZERS] if isinstance(keys, list) else []
    rows = [_row(services, key, text, learned, width, request.get("visitor")) for key in dict.fromkeys(keys)]
    start = text[:MAX_CURVE]
    largest = learn_bpe(text, LARGEST) if learned == "text" else corpus_bpe(learned)
    curve: list[VocabularySize] = [
        {"size": size, "ratio": round(ratio, 3)} for size, ratio in compression(largest, start)
    ]
    n_bytes, n_characters = len(text.encode()), len(text)
    return {
        "rows": rows,
        "curve": curve,
        "bytes": n_bytes,
        "characters": n_characters,
        "words": len(text.split()),
        "learned": "this text" if learned == "text" else CORPUS_LABELS[learned],
        "notice": _notice(rows, n_bytes, n_characters, learned),
    }


def _row(services: Services, key: str, text: str, learned: str, width: int, visitor: object) -> TokenizedText:
    try:
        chosen = _tokenizer(services, key, text, learned, visitor)
        reading = read(chosen.tokenizer, text)
        note = chosen.note or _changes(chosen.tokenizer, text, reading.ids)
    except ValueError as error:
        return {"key": key, "name": _label(key), "error": str(error)}
    size = chosen.tokenizer.vocab_size
    return {
        "key": key,
        "name": chosen.name,
        "note": note,
        "vocab": size,
        "tokens": len(reading.ids),
        "bytes_per_token": round(reading.bytes_per_token, 3),
        "tokens_per_word": round(reading.tokens_per_word, 3) if text.strip() else None,
        "share": round(vocabulary_share(size, width), 4) if size <= 65_536 else None,
        "ids": list(reading.ids[:MAX_SHOWN]),
        "pieces": list(reading.pieces[:MAX_SHOWN]),
    }


def _tokenizer(services: Services, key: str, text: str, learned: str, visitor: object) -> Chosen:
    """The tokenizer of a key: "byte", "char", "bpe:SIZE", "run:ID" or "file:KEY". Raises ValueError."""
    kind, _, rest = key.partition(":")
    if kind == "run":
        run = services.run(rest, visitor)
        own = run.tokenizer
        return Chosen(f"{run.name}: {in_words(own)}", own)
    if kind == "file":
        found = kept(rest)
        return Chosen(in_words(found), found)
    if kind == "bpe":
        made = _bpe(rest, text, learned)
        return Chosen(in_words(made), made, _short(int(rest), made.vocab_size))
    made_here = build_tokenizer(key, text)
    return Chosen(in_words(made_here), made_here, "of this text" if key == "char" else "")


def _bpe(size: str, text: str, learned: str) -> BPETokenizer:
    if not size.isdecimal() or not MIN_VOCAB <= int(size) <= MAX_VOCAB:
        raise ValueError(f"BPE vocabulary must be {MIN_VOCAB} to {MAX_VOCAB:,}; {size[:20]!r} is not.")
    return learn_bpe(text, int(size)) if learned == "text" else corpus_bpe(learned).truncated(int(size))


def _short(requested: int, reached: int) -> str:
    return f"stopped before {requested:,}: no pair occurs twice any more" if reached < requested else ""


def _changes(tokenizer: Tokenizer, text: str, ids: Sequence[int]) -> str:
    """A note on characters that the tokens do not reproduce."""
    back = round_trip(tokenizer, text, np.array(ids, dtype=np.int64))
    return "" if back.exact else changed_words(back.lost)


def _label(key: str) -> str:
    kind, _, rest = key.partition(":")
    names = {"byte": "bytes", "char": "characters", "run": "a run", "file": "imported tokenizer"}
    return names.get(kind, f"BPE {rest}")


def _notice(rows: list[TokenizedText], n_bytes: int, n_characters: int, learned_from: str) -> str:
    """One sentence on what to notice, true of the numbers it quotes."""
    learned = [row for row in rows if row["key"].startswith("bpe") and "error" not in row]
    if not learned:
        return "Add a BPE vocabulary: it is a compromise between bytes and words, and most language models use one."
    best = max(learned, key=lambda row: row["bytes_per_token"])
    ratio, wide = best["bytes_per_token"], n_bytes / max(1, n_characters)
    if wide > 1.5 and ratio < 1.2 * wide and learned_from != "text":
        return (
            f"A character of this text takes {wide:.1f} bytes, and {best['name']} was hardly trained on this script: "
            f"it needs {best['tokens'] / n_characters:.1f} tokens per character. Text that a tokenizer was not trained "
            "on costs more compute and more of the context."
        )
    return (
        f"A token of {best['name']} holds {ratio:.1f} bytes: the same context covers {ratio:.1f} times as much text as with "
        f"bytes. The cost is an embedding with {100 * (best['share'] or 0):.0f} % of the parameters of the model."
    )


@json_endpoint
def replay(services: Services, request: Request) -> ReplayAnswer:
    """How BPE learns, merge by merge: ``{"text", "learned"}`` -> the text's bytes, when each boundary goes, the counts."""
    text, learned = checked_text(request.get("text")), _learned(request.get("learned"))
    merges = lesson(lesson_text(learned, text), LESSON_MERGES)
    pairs = [step.pair for step in merges]
    names = spelled(pairs)
    return {
        "bytes": base64.b64encode(text.encode()).decode("ascii"),
        "removed": removed_at(text, pairs),
        "merges": [
            {
                "token": step.token,
                "pair": [names[token] for token in step.pair],
                "ids": list(step.pair),
                "count": step.count,
                "rivals": [(names[left], names[right], count) for (left, right), count in step.candidates],
            }
            for step in merges
        ],
        "learned": "this text"
        if learned == "text"
        else f"the first {LESSON_BYTES / 1000:g} kB of {CORPUS_LABELS[learned]}",
        "stopped": len(merges) < LESSON_MERGES,
    }


def checked_text(text: object) -> str:
    """The visitor's text. Raises ValueError when there is none or too much of it."""
    if not isinstance(text, str) or not text:
        raise ValueError("The text is empty. Write something, or choose an example.")
    if len(text) > MAX_TEXT:
        raise ValueError(
            f"The text has {counted(len(text), 'character')}; the limit here is {MAX_TEXT:,}. Use a part of it."
        )
    return text


def _learned(name: object) -> str:
    if name == "text" or name in CORPORA:
        return str(name)
    raise ValueError(f"A vocabulary is learned from this text or one of {', '.join(CORPORA)}.")


def _width(width: object) -> int:
    if isinstance(width, bool) or not isinstance(width, (int, float)) or not 8 <= width <= 1024 or width % 8:
        raise ValueError("Embedding size must be 8 to 1024, a multiple of 8.")
    return int(width)
