"""Texts that are hard on a program: each is prepared within two seconds, or refused."""

from __future__ import annotations

import time

import pytest

from playground.data.corpora import check_text
from playground.runs.create import create_run, prepare_run
from playground.runs.store.run_store import RunStore
from playground.tokenizers import decode

SECONDS = 2.0  # of this process: beside other work the clock on the wall says more
TEXTS = {
    "one line of 2 MB": "a word and " * 180_000,
    "one letter": "a" * 1_000_000,
    "spaces": " " * 1_000_000 + "x",
    "line ends": "\n" * 1_000_000 + "x",
    "combining marks": "\u0301" * 1_000_000,
    "NUL and controls": "\x00\x01\x1b[31m\x7f " * 20_000,
    "right to left": "\u202eevil\u202c \u2066\u2069" * 20_000,
    "families": "👩‍👩‍👧 \U0010ffff\ufffd" * 20_000,
    "byte order mark": "\ufeffstart " * 20_000,
    "markup": "<script>alert(1)</script><|endoftext|>" * 10_000,
    "half pairs": "good \ud800 bad" * 1_000,
    "nothing": " \t\n" * 10_000,
    "short": "hi",
}


REFUSED = {
    ("NUL and controls", "byte"): "33% of its characters", ("NUL and controls", "char"): "control characters",
    ("families", "byte"): "has lost letters", ("families", "char"): "has lost letters",
    ("half pairs", "byte"): "invalid character", ("half pairs", "char"): "invalid character",
    ("nothing", "byte"): "text is empty", ("nothing", "char"): "text is empty",
    ("short", "byte"): "context length 16 needs at least", ("short", "char"): "context length 16 needs at least",
    ("one letter", "char"): "different character", ("combining marks", "char"): "different character",
}  # fmt: skip


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What the first run of a process loads counts for no text."""
    create_run(
        RunStore(tmp_path_factory.mktemp("first")), prepare_run("modern", {"block_size": 16}, {}, "a text " * 1_000)
    )


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("tokenizer", ["byte", "char"])
@pytest.mark.parametrize("name", TEXTS)
def test_a_hard_text_is_kept_or_refused_quickly(store: RunStore, name: str, tokenizer: str) -> None:
    text, began = TEXTS[name], time.process_time()
    if (name, tokenizer) in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[name, tokenizer]) as caught:
            prepare_run("modern", {"block_size": 16}, {"tokenizer": tokenizer}, text)
        assert len(str(caught.value).splitlines()) == 1
    else:
        run = create_run(store, prepare_run("modern", {"block_size": 16}, {"tokenizer": tokenizer}, text))
        assert run.own_text() == text.removeprefix("\ufeff")
        beginning = (run.own_text() or "")[:5_000]
        assert decode(run.tokenizer, run.tokenizer.encode(beginning)) == beginning
    assert time.process_time() - began < SECONDS


def test_bytes_that_are_no_text_are_refused() -> None:
    for data in (b"\xff\xfe" * 100_000, b"\x80\x04\x95", bytes(range(256)) * 1_000, b"PK\x03\x04" + bytes(1_000)):
        with pytest.raises(ValueError, match="not UTF-8 text") as caught:
            check_text(data)
        assert len(str(caught.value)) < 300
