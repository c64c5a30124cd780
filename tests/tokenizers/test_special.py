"""Special tokens: which there are, that a training text never has one, that a prompt is read as Transformers reads it."""

import json
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from playground.tokenizers import (
    BPETokenizer,
    ImportedTokenizer,
    build_tokenizer,
    decode,
    import_tokenizer,
    learn_bpe,
    tokenizer_from_dict,
    tokenizers_json,
)
from playground.tokenizers.byte import ByteTokenizer
from playground.tokenizers.character import CharacterTokenizer
from playground.tokenizers.identity import fingerprint
from playground.tokenizers.special import END_OF_TEXT, Special
from tests.tokenizers.test_imported import bert_like, gpt2_like, llama_like

TEXT = "A fox sat on the mat.\nThe mat was red, the fox was not; é was there too. " * 40


@cache
def ours(kind: str, eos: bool) -> Any:
    return build_tokenizer(kind, TEXT + END_OF_TEXT, vocab_size=270, eos=eos)


@pytest.mark.parametrize(("kind", "without", "with_eos"), [("byte", 256, 257), ("char", None, None), ("bpe", 270, 270)])
def test_an_end_of_text_token_is_the_last_id(kind: str, without: int | None, with_eos: int | None) -> None:
    plain, marked = ours(kind, False), ours(kind, True)
    assert (plain.bos, plain.eos) == (None, None)
    assert marked.bos is None
    assert marked.eos == marked.vocab_size - 1
    assert plain.vocab_size == (without or len(set(TEXT + END_OF_TEXT)))
    assert marked.vocab_size == (with_eos or plain.vocab_size + 1)
    assert build_tokenizer("bpe", TEXT, vocab_size=256, eos=True).vocab_size == 257
    assert fingerprint(plain) != fingerprint(marked)


@pytest.mark.parametrize("kind", ["byte", "char", "bpe"])
def test_saved_written_for_others_and_loaded(kind: str) -> None:
    tokenizer = ours(kind, True)
    again = tokenizer_from_dict(json.loads(json.dumps(tokenizer.to_dict())))
    assert type(again) is type(tokenizer)
    assert (again.eos, again.vocab_size) == (tokenizer.eos, tokenizer.vocab_size)
    library = Tokenizer.from_str(tokenizers_json(tokenizer))
    text = f"The fox.{END_OF_TEXT}A mat.\n"
    assert library.token_to_id(END_OF_TEXT) == tokenizer.eos
    assert library.encode(text).ids == tokenizer.encode_prompt(text) == again.encode_prompt(text)
    assert library.decode(tokenizer.encode_prompt(text), skip_special_tokens=False) == text


@given(st.text(st.sampled_from("ab é<|>\n"), max_size=30), st.sampled_from(["byte", "bpe"]))
def test_a_training_text_never_has_a_special_token(text: str, kind: str) -> None:
    tokenizer = ours(kind, True)
    text += END_OF_TEXT + text
    ids = tokenizer.encode(text).tolist()
    assert tokenizer.eos not in ids
    assert decode(tokenizer, ids) == text
    assert tokenizer.encode_prompt(text).count(tokenizer.eos) == 1


@cache
def libraries() -> list[tuple[Any, Tokenizer]]:
    found = ours("byte", True), ours("bpe", True), import_tokenizer(gpt2_like().to_str())
    return [(tokenizer, Tokenizer.from_str(tokenizers_json(tokenizer))) for tokenizer in found]


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a fox", " ", END_OF_TEXT, "\n", "mat.", "é"]), max_size=8).map("".join))
def test_a_prompt_is_read_as_the_library_reads_it(text: str) -> None:
    for tokenizer, library in libraries():
        assert tokenizer.encode_prompt(text) == library.encode(text).ids


def with_bos() -> Tokenizer:
    library = Tokenizer(models.WordLevel({"<unk>": 0, "<s>": 1, "</s>": 2, "a": 3, "fox": 4}, unk_token="<unk>"))
    library.pre_tokenizer = pre_tokenizers.Whitespace()
    library.add_special_tokens(["<unk>", "<s>", "</s>"])
    library.post_processor = processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    return library


def test_what_a_file_adds_is_read_before_a_prompt_and_never_in_training() -> None:
    tokenizer = import_tokenizer(with_bos().to_str())
    assert isinstance(tokenizer, ImportedTokenizer)
    assert (tokenizer.bos, tokenizer.eos, tokenizer.adds) == (1, 2, ((1,), ()))
    assert tokenizer.encode("a fox").tolist() == [3, 4]
    assert tokenizer.encode_prompt("a fox") == [1, 3, 4]
    assert tokenizer.encode_prompt("a</s>fox") == with_bos().encode("a</s>fox").ids == [1, 3, 2, 4]
    plain = tokenizer.plain()
    assert plain.encode_prompt("a fox") == [3, 4]
    assert (plain.bos, plain.eos, plain.adds) == (None if plain.bos is None else 1, 2, ((), ()))
    assert Tokenizer.from_str(plain.json_text).encode("a fox").ids == [3, 4]


def test_what_files_suggest() -> None:
    bert, llama, gpt2 = (import_tokenizer(make().to_str()) for make in (bert_like, llama_like, gpt2_like))
    assert (bert.bos, bert.eos) == (1, None)
    assert (llama.bos, llama.eos) == (None, None)
    assert (gpt2.bos, gpt2.eos) == (None, 0)


def with_added(number: int, content: str = "</s>", **parts: Any) -> dict[str, Any]:
    """A file whose one added token has this id, and is not in ``model.vocab``."""
    values = json.loads(gpt2_like().to_str())
    values["added_tokens"] = [{**values["added_tokens"][0], "id": number, "content": content}]
    return {**values, **parts}


@pytest.mark.parametrize("number", [0, 7, 599, 600, 5_000])
def test_the_end_of_text_token_has_the_id_that_the_library_gives_it(number: int) -> None:
    values = with_added(number)
    library = Tokenizer.from_str(json.dumps(values))
    tokenizer = import_tokenizer(json.dumps(values))
    assert tokenizer.eos == library.token_to_id("</s>") == 600
    assert tokenizer.encode_prompt("a</s>")[-1] == 600 < tokenizer.vocab_size


def test_an_id_that_the_library_gives_twice_is_explained() -> None:
    values = with_added(5_000, "<|late|>")
    vocab = values["model"]["vocab"]
    vocab[max(vocab, key=vocab.get)] = 600
    with pytest.raises(ValueError, match=r"gives the added token '<\|late\|>' the id 600, .* and not 5000 as this"):
        import_tokenizer(json.dumps(values))


def test_a_template_with_an_id_of_no_token_is_refused() -> None:
    piece, known = {"SpecialToken": {"id": "</s>", "type_id": 0}}, {"id": "</s>", "ids": [5_000], "tokens": ["</s>"]}
    text = {"Sequence": {"id": "A", "type_id": 0}}
    template = {
        "type": "TemplateProcessing", "single": [text, piece], "pair": [text, text], "special_tokens": {"</s>": known},
    }  # fmt: skip
    with pytest.raises(ValueError, match="adds the id 5000 to every text, which no token has"):
        import_tokenizer(json.dumps(with_added(5_000, post_processor=template)))


@pytest.mark.parametrize("kind", ["BertProcessing", "RobertaProcessing", "TemplateProcessing", "Sequence"])
def test_every_kind_of_post_processor(kind: str) -> None:
    library = with_bos()
    pair = ("</s>", 2), ("<s>", 1)
    template = processors.TemplateProcessing("<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    library.post_processor = {
        "BertProcessing": processors.BertProcessing(*pair),
        "RobertaProcessing": processors.RobertaProcessing(*pair),
        "TemplateProcessing": template,
        "Sequence": processors.Sequence([processors.ByteLevel(trim_offsets=False), template]),
    }[kind]
    tokenizer = import_tokenizer(library.to_str())
    assert isinstance(tokenizer, ImportedTokenizer)
    assert tokenizer.adds == ((1,), (2,))
    assert (tokenizer.bos, tokenizer.eos) == (1, 2)
    assert tokenizer.encode_prompt("a fox") == library.encode("a fox").ids == [1, 3, 4, 2]
    assert tokenizer.plain().encode_prompt("a fox") == [3, 4]


def test_what_a_models_files_say_is_kept() -> None:
    tokenizer = import_tokenizer(with_bos().to_str())
    assert isinstance(tokenizer, ImportedTokenizer)
    told = tokenizer.with_special(Special(bos=None, eos=(4, 2)))
    again = tokenizer_from_dict(json.loads(json.dumps(told.to_dict())))
    assert isinstance(again, ImportedTokenizer)
    assert (again.bos, again.eos, again.special.eos) == (None, 4, (4, 2))
    assert again.json_text == tokenizer.json_text, "the library knows nothing of our key"
    with pytest.raises(ValueError, match="not ids of its vocabulary"):
        _ = tokenizer.with_special(Special(bos=5)).special


def test_old_files_have_none() -> None:
    for values in ({"name": "byte"}, {"name": "char", "characters": "ab"}, learn_bpe(TEXT, 260).to_dict()):
        tokenizer = tokenizer_from_dict(values)
        assert isinstance(tokenizer, (ByteTokenizer, CharacterTokenizer, BPETokenizer))
        assert (tokenizer.bos, tokenizer.eos) == (None, None)
        assert tokenizer.encode_prompt("ab").copy() == tokenizer.encode("ab").tolist()
