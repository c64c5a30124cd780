"""Two models reading one text: losses against a forward pass by hand, pieces against both tokenizers."""

import math

import pytest
import torch
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, pre_tokenizers, processors

from playground.analysis.compare_models import check_comparable, compare_text, token_losses
from playground.tokenizers import Tokenizer, build_tokenizer, import_tokenizer
from playground.tokenizers.bpe import learn_bpe
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


def two_models():
    byte, char = build_tokenizer("byte", ""), build_tokenizer("char", TEXT)
    first = build(VARIANTS["classic"].replace(vocab_size=256))
    second = build(VARIANTS["modern"].replace(vocab_size=char.vocab_size))
    return (first, byte), (second, char)


def test_one_tokenizer_gives_its_tokens():
    a, _ = two_models()
    spans, note = compare_text(a, a, "a key")
    assert [span.text for span in spans] == list("a key")
    assert [span.a for span in spans][1:] == pytest.approx(token_losses(a[0], list(b"a key"))[1:].tolist())
    assert all(span.difference == 0 for span in spans)
    assert spans[0].a is None
    assert note == ""


def test_two_tokenizers_meet_at_characters_and_lose_nothing():
    a, b = two_models()
    spans, _ = compare_text(a, b, TEXT)
    assert "".join(span.text for span in spans) == TEXT
    total = token_losses(a[0], list(TEXT.encode()))[1:].sum()
    assert sum(span.a for span in spans[1:]) == pytest.approx(total)
    special = next(span for span in spans if span.text == "ä")
    position = TEXT.encode().index("ä".encode())
    assert special.a == pytest.approx(token_losses(a[0], list(TEXT.encode()))[position : position + 2].sum())


def test_a_long_text_is_cut_and_said():
    a, _ = two_models()
    spans, note = compare_text(a, a, "x" * 300)
    limit = a[0].config.block_size
    assert len(spans) == limit
    assert note == (
        f"Only the first {limit} characters are compared, up to the last point where a token of each model ends within both "
        "contexts."
    )


def test_what_is_compared_ends_where_tokens_of_both_end():
    """The context of the one ends within a token of the other, so less than it holds is compared."""
    a, _ = two_models()
    model = build(VARIANTS["modern"].replace(vocab_size=257))
    limit = a[0].config.block_size
    merged = learn_bpe("xy" * 500, 257)  # one merge: each token but the last is two characters
    spans, note = compare_text(a, (model, merged), "z" + "xy" * limit)
    assert "".join(span.text for span in spans) == "z" + "xy" * ((limit - 1) // 2)
    assert note.startswith(f"Only the first {1 + (limit - 1) // 2 * 2} characters are compared, up to the last point")


@pytest.mark.parametrize("text", ["", "x"])
def test_too_short_a_text_is_refused(text):
    a, b = two_models()
    with pytest.raises(ValueError, match="too short"):
        compare_text(a, b, text)


def of_words(prefix: bool, decoder: bool) -> Tokenizer:
    """A tokenizer whose tokens are words, and which puts a space in front of a text or drops all of them."""
    words = ["[UNK]", "Once", "there", "was", "a", "key", ".", "fo", "##x"]
    library = Library(
        models.WordPiece(
            {(f"▁{w}" if prefix and w.isalpha() else w): n for n, w in enumerate(words)}, unk_token="[UNK]"
        )
    )
    library.pre_tokenizer = pre_tokenizers.Metaspace() if prefix else pre_tokenizers.Whitespace()
    library.decoder = (decoders.Metaspace() if prefix else decoders.WordPiece()) if decoder else None
    return import_tokenizer(library.to_str())


@pytest.mark.parametrize(("prefix", "decoder"), [(True, True), (False, True), (False, False)])
def test_losses_stand_on_the_letters_that_they_are_of(prefix, decoder):
    tokenizer = of_words(prefix, decoder)
    byte = build_tokenizer("byte", "")
    first, second = build(VARIANTS["classic"].replace(vocab_size=9)), build(VARIANTS["classic"].replace(vocab_size=256))
    text = "Once there was a fox" if not prefix else "Once there was a key"
    spans, note = compare_text((first, tokenizer), (second, byte), text)
    wanted = ["Once", " there", " was", " a", *([" fo", "x"] if not prefix else [" key"])]
    assert [span.text for span in spans] == wanted
    assert note == ""
    ids = tokenizer.encode(text).tolist()
    assert [span.a for span in spans[1:]] == pytest.approx(token_losses(first, ids)[1:].tolist())
    each, at = token_losses(second, list(text.encode())), 0
    for span in spans:
        if at:
            assert span.b == pytest.approx(each[at : at + len(span.text)].sum())
        at += len(span.text)


def test_no_token_of_a_lossy_tokenizer_is_dropped_at_the_end():
    tokenizer = of_words(False, True)
    model = build(VARIANTS["classic"].replace(vocab_size=9))
    spans, note = compare_text((model, tokenizer), (model, tokenizer), "Once there was a zebra . \n")
    assert [span.text for span in spans] == ["Once", " there", " was", " a", " zebra", " . \n"]
    assert note == ""


@pytest.mark.parametrize("template", ["<s> $A", "<s> $A </s>", "$A </s>"])
def test_a_text_begins_as_a_prompt_does(template):
    """With the token that the file puts before it, which is read and not scored; one behind it is left out."""
    library = Library(
        models.WordLevel({"[UNK]": 0, "the": 1, "fox": 2, "ran": 3, "<s>": 4, "</s>": 5}, unk_token="[UNK]")
    )
    library.pre_tokenizer = pre_tokenizers.Whitespace()
    library.add_special_tokens(["<s>", "</s>"])
    library.post_processor = processors.TemplateProcessing(template, special_tokens=[("<s>", 4), ("</s>", 5)])
    model, tokenizer = build(VARIANTS["classic"].replace(vocab_size=6)), import_tokenizer(library.to_str())
    spans, note = compare_text((model, tokenizer), (model, tokenizer), "the fox ran")
    assert [span.text for span in spans] == ["the", " fox", " ran"]
    before = [4] if template.startswith("<s>") else []
    each = token_losses(model, [*before, 1, 2, 3])[len(before) :]
    assert [span.a for span in spans] == [None if math.isnan(x) else pytest.approx(x) for x in each]
    assert note == ""


def test_a_lossy_tokenizer_is_compared_only_with_itself():
    """What it drops costs it nothing, so the losses of another tokenizer are of more text."""
    lossy, byte = of_words(False, True), build_tokenizer("byte", "")
    kept, lost = "Once there was a fox", "Once there was a zebra"
    check_comparable({"A": lossy, "B": byte}, kept)
    check_comparable({"A": lossy, "B": lossy}, lost)
    check_comparable({"A": byte, "B": learn_bpe(TEXT * 20, 260)}, lost)
    for models_of in ({"A": lossy, "B": byte}, {"B": byte, "A": lossy}):
        with pytest.raises(ValueError, match=r"^A: 27\u00a0% of the characters of this text do not come back"):
            check_comparable(models_of, lost)
