"""Two models reading one text: losses against a forward pass by hand, pieces against both tokenizers."""

import math

import pytest
import torch

from playground.lab.beside import compare_text, token_losses
from playground.tokenizers import build_tokenizer
from tests.models.variants import VARIANTS, build

TEXT = "Once there was ä key."


def test_losses_are_those_of_the_logits():
    model = build(VARIANTS["modern"])
    ids = [1, 5, 3, 8]
    with torch.no_grad():
        chances = model(torch.tensor([ids]))[0].double().softmax(-1)
    losses = token_losses(model, ids)
    assert math.isnan(losses[0])
    for t in (1, 2, 3):
        assert losses[t] == pytest.approx(-math.log(chances[t - 1, ids[t]]), abs=1e-6)


def models():
    byte, char = build_tokenizer("byte", ""), build_tokenizer("char", TEXT)
    first = build(VARIANTS["classic"].replace(vocab_size=256))
    second = build(VARIANTS["modern"].replace(vocab_size=char.vocab_size))
    return (first, byte), (second, char)


def test_one_tokenizer_gives_its_tokens():
    a, _ = models()
    spans, note = compare_text(a, a, "a key")
    assert [span.text for span in spans] == list("a key")
    assert [span.a for span in spans][1:] == pytest.approx(token_losses(a[0], list(b"a key"))[1:].tolist())
    assert all(span.difference == 0 for span in spans)
    assert spans[0].a is None
    assert note == ""


def test_two_tokenizers_meet_at_characters_and_lose_nothing():
    a, b = models()
    spans, _ = compare_text(a, b, TEXT)
    assert "".join(span.text for span in spans) == TEXT
    total = token_losses(a[0], list(TEXT.encode()))[1:].sum()
    assert sum(span.a for span in spans[1:]) == pytest.approx(total)
    special = next(span for span in spans if span.text == "ä")
    position = TEXT.encode().index("ä".encode())
    assert special.a == pytest.approx(token_losses(a[0], list(TEXT.encode()))[position : position + 2].sum())


def test_a_long_text_is_cut_and_said():
    a, _ = models()
    spans, note = compare_text(a, a, "x" * 300)
    limit = a[0].config.block_size
    assert len(spans) == limit
    assert note == f"Only the first {limit} characters fit both contexts."


@pytest.mark.parametrize("text", ["", "x"])
def test_too_short_a_text_is_refused(text):
    a, b = models()
    with pytest.raises(ValueError, match="too short"):
        compare_text(a, b, text)
