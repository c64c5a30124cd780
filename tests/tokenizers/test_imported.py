"""Anybody's tokenizer.json: read where it can be, refused in a sentence where not, and never able to hang the app."""

import json
import time
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from playground.data.tales import tales
from playground.tokenizers import (
    BPETokenizer,
    ImportedTokenizer,
    decode,
    import_tokenizer,
    learn_bpe,
    pieces,
    tokenizer_from_dict,
)
from playground.tokenizers import imported as module
from tests.tokenizers.texts import HARD, fuzz

TEXT = tales(30_000)


def gpt2_like() -> Tokenizer:
    """Byte-level BPE with GPT-2's pattern, and a special token."""
    library = Tokenizer(models.BPE())
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    library.train_from_iterator(
        [TEXT],
        trainers.BpeTrainer(
            vocab_size=600, show_progress=False, special_tokens=["<|endoftext|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )  # fmt: skip
    return library


def llama_like() -> Tokenizer:
    """BPE on text with U+2581 for spaces, falling back to bytes."""
    library = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    library.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    library.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    alphabet = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    library.train_from_iterator(
        [TEXT], trainers.BpeTrainer(vocab_size=900, show_progress=False, special_tokens=alphabet, max_token_length=12)
    )
    values = json.loads(library.to_str())
    values["added_tokens"] = values["added_tokens"][:1]  # in Llama's file the bytes are ordinary tokens
    return Tokenizer.from_str(json.dumps(values))


def bert_like() -> Tokenizer:
    vocab = {word: n for n, word in enumerate(["[UNK]", "[CLS]", "hello", "##s", "world", "a"])}
    library = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    library.normalizer = normalizers.Lowercase()
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.decoder = decoders.WordPiece()
    library.post_processor = processors.TemplateProcessing("[CLS] $A", special_tokens=[("[CLS]", 1)])
    return library


def test_a_file_of_ours_is_ours() -> None:
    ours = learn_bpe(TEXT, 500)
    assert isinstance(import_tokenizer(ours.json_text.encode()), BPETokenizer)


@pytest.mark.parametrize("make", [gpt2_like, llama_like])
def test_ids_are_the_librarys_and_bytes_come_back(make: Any) -> None:
    library = make()
    ours = import_tokenizer(library.to_str())
    assert isinstance(ours, ImportedTokenizer)
    assert ours.exact
    assert ours.trusted
    for text in [*HARD, *fuzz(100), TEXT]:
        library.encode_special_tokens = True
        ids = ours.encode(text).tolist()
        assert ids == library.encode(text, add_special_tokens=False).ids
        assert decode(ours, ids) == text
    assert ours.vocab_size == library.get_vocab_size()


def test_special_tokens_are_plain_text_and_nothing_is_added() -> None:
    ours = import_tokenizer(gpt2_like().to_str())
    ids = ours.encode("<|endoftext|>").tolist()
    assert 0 not in ids
    assert decode(ours, ids) == "<|endoftext|>"
    assert import_tokenizer(bert_like().to_str()).encode("a").tolist() == [5]


def test_one_that_changes_its_text_says_so() -> None:
    bert = import_tokenizer(bert_like().to_str())
    assert isinstance(bert, ImportedTokenizer)
    assert not bert.exact
    assert pieces(bert, bert.encode("Hellos WORLD")) == [" hello", "s", " world"]


def test_padding_truncation_and_dropout_are_switched_off() -> None:
    library = gpt2_like()
    library.enable_padding(length=50)
    library.enable_truncation(3)
    values = json.loads(library.to_str())
    values["model"]["dropout"] = 0.5
    ours = import_tokenizer(json.dumps(values))
    assert len(ours.encode("a long story about a fox and a key")) > 3
    assert ours.encode(TEXT).tolist() == ours.encode(TEXT).tolist() == gpt2_like().encode(TEXT).ids


def test_saved_and_loaded() -> None:
    ours = import_tokenizer(gpt2_like().to_str())
    again = tokenizer_from_dict(json.loads(json.dumps(ours.to_dict())))
    assert isinstance(again, ImportedTokenizer)
    assert again.encode(TEXT).tolist() == ours.encode(TEXT).tolist()


def test_numbers_that_are_skipped_stand_for_nothing() -> None:
    library = Tokenizer(models.WordLevel({"a": 0, "b": 7}, unk_token="a"))
    library.add_tokens([AddedToken("c")])
    ours = import_tokenizer(library.to_str())
    assert ours.vocab_size == 8
    assert [ours.token_bytes(n) for n in (0, 2, 3, 7)] == [b" a", b" c", b"", b" b"]


def hostile(pattern: str) -> str:
    values = json.loads(learn_bpe(TEXT, 400).json_text)
    values["pre_tokenizer"]["pretokenizers"][0]["pattern"] = {"Regex": pattern}
    return json.dumps(values)


def test_a_hostile_pattern_ends_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.limited, "SECONDS_PER_MEGABYTE", 0.0)
    ours = import_tokenizer(hostile(r"(\w+\s?)+$|(a+)+b"))
    assert isinstance(ours, ImportedTokenizer)
    assert not ours.trusted
    assert decode(ours, ours.encode("an ordinary text")) == "an ordinary text"
    began = time.monotonic()
    with pytest.raises(ValueError, match=r"does not work|too slow"):
        ours.encode("a" * 60 + "!" + "ab " * 10)
    assert time.monotonic() - began < 60


@pytest.mark.slow
def test_a_slow_one_is_ended() -> None:
    slow = hostile(r"(?:.*x){3}.*y|.")
    with pytest.raises(ValueError, match=r"did not finish within 1 s.*too slow"):
        module.limited.encode_limited(slow, ["x" * 100_000], seconds=0.7)


WRONG: list[tuple[Any, str]] = [
    ("", "not JSON"),
    ("{", "not JSON"),
    (b"\xff\xfe\x00", "not JSON"),
    ("[" * 100_000, "not JSON"),
    ("[]", "no vocabulary"),
    ("null", "no vocabulary"),
    ("{}", "no vocabulary"),
    ('{"model": {}}', "no vocabulary"),
    ('{"model": {"vocab": {}}}', "no vocabulary"),
    ('{"model": {"vocab": {"a": 0}}}', "does not work"),
    ('{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["x", "y"]]}}', "does not work"),
    ('{"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}', "does not work"),
    (
        '{"model": {"type": "WordLevel", "vocab": {"a": 4000000000}, "unk_token": "a"}}',
        "reach 4,000,000,000; the limit is",
    ),
    ('{"model": {"type": "Unigram", "vocab": [["a", 0.0]], "unk_id": 5}}', "does not work"),
    (" " * 41_000_000, "is 41.0 MB; the limit is 40 MB"),
]


@pytest.mark.parametrize(("data", "message"), WRONG, ids=range(len(WRONG)))
def test_other_files_are_refused_in_a_sentence(data: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        import_tokenizer(data)
    assert str(caught.value).count("\n") == 0


def test_a_broken_file_in_a_run_is_a_sentence_too() -> None:
    with pytest.raises(ValueError, match="does not work"):
        tokenizer_from_dict({"model": {"vocab": 5}})
