"""What a tokenizer's errors and notes state, counted by hand; and the remedies that they name, applied."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, normalizers

from playground.config import TrainConfig
from playground.data.documents import Text
from playground.data.tales import tales
from playground.runs.create import prepare_run
from playground.tokenizers import (
    BPETokenizer,
    ImportedTokenizer,
    build_tokenizer,
    changed_words,
    decode,
    import_tokenizer,
    in_words,
    learn_bpe,
    limited,
    limited_process,
    tokenizer_from_dict,
)
from playground.tokenizers import imported as imported_module
from playground.tokenizers import seams as seams_module
from playground.tokenizers.bpe import MAX_VOCAB, MIN_VOCAB
from playground.tokenizers.bpe_from_scratch import learn
from playground.tokenizers.character import CharacterTokenizer
from playground.tokenizers.presplit import CHUNK
from playground.tokenizers.special import END_OF_TEXT
from tests.tokenizers.test_imported import gpt2_like
from tests.tokenizers.test_round_trip import LOWER, words_only
from tests.tokenizers.test_zoo import ours
from tests.tokenizers.zoo import file_of

TEXT = tales(20_000)
BPE = learn_bpe(TEXT, 300)
GPT2 = import_tokenizer(gpt2_like().to_str())


def words_file(**vocab: int) -> dict[str, Any]:
    """A ``tokenizer.json`` of words."""
    known = vocab or {"a": 0, "b": 1}
    return dict(json.loads(Tokenizer(models.WordLevel(known, unk_token=next(iter(known)))).to_str()))


# Characters that cannot be encoded


ENCODERS = {
    "byte": build_tokenizer("byte", "").encode,
    "byte prompt": build_tokenizer("byte", "", eos=True).encode_prompt,
    "char": build_tokenizer("char", TEXT + "é" + END_OF_TEXT).encode,
    "char prompt": build_tokenizer("char", TEXT + "é" + END_OF_TEXT, eos=True).encode_prompt,
    "bpe": BPE.encode,
    "bpe prompt": BPETokenizer(BPE.merges, True).encode_prompt,
    "imported": GPT2.encode,
    "imported prompt": GPT2.encode_prompt,
    "learning": lambda text: learn_bpe(text, 260),
    "learning, from scratch": lambda text: list(learn(text, 258)),
}


@pytest.mark.parametrize("kind", ENCODERS)
@given(
    st.lists(st.sampled_from(["ab ", "é", " a", "\ud800", "\udfff", END_OF_TEXT, "b"]), min_size=1, max_size=8),
    st.sampled_from([0, CHUNK + 7]),
)
@settings(max_examples=12, deadline=None)
def test_without_the_characters_at_the_named_positions_a_text_is_encoded(
    kind: str, parts: list[str], before: int
) -> None:
    text = ("ab " * before)[:before] + "".join(parts)
    for _ in range(text.count("\ud800") + text.count("\udfff")):
        with pytest.raises(ValueError, match="contains an invalid character at position") as caught:
            ENCODERS[kind](text)
        at = int(re.search(r"position ([\d,]+)\. Remove it\.$", str(caught.value))[1].replace(",", ""))  # type: ignore[index]
        assert "\ud800" <= text[at - 1] <= "\udfff" and not any("\ud800" <= c <= "\udfff" for c in text[: at - 1])
        text = text[: at - 1] + text[at:]
    ENCODERS[kind](text)


def test_in_a_text_of_several_windows_the_position_is_that_in_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imported_module, "CHUNK", 1_000)
    with pytest.raises(ValueError, match=r"at position 5,001\. Remove it"):
        GPT2.encode(TEXT[:5_000] + "\ud800" + TEXT[5_000:6_000])


@given(st.text("abcdefghijklmno☃é", max_size=30))
def test_the_characters_that_a_model_has_never_seen_are_named(text: str) -> None:
    tokenizer = build_tokenizer("char", "cab")
    unseen = sorted(set(text) - set("abc"))
    if unseen:
        names = re.escape(", ".join(map(repr, unseen[:8])))
        with pytest.raises(
            ValueError, match=f"has never seen {names}: its tokenizer knows only the characters it trained on"
        ):
            tokenizer.encode(text)
    known = "".join(character for character in text if character in "abc")
    assert decode(tokenizer, tokenizer.encode(known).tolist()) == known


# Sizes


@pytest.mark.parametrize("n", [0, 1, 65_537])
def test_how_many_characters_a_text_has_and_what_reads_it_all_the_same(n: int) -> None:
    text = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)[:n]
    with pytest.raises(
        ValueError, match=rf"^The text has {n:,} different characters?; the character tokenizer needs 2 to 65,536"
    ):
        CharacterTokenizer.from_text(text * 2)
    assert decode(build_tokenizer("byte", ""), build_tokenizer("byte", "").encode(text)) == text
    for enough in (2, 65_536):
        assert CharacterTokenizer.from_text("".join(map(chr, range(0x10000, 0x10000 + enough)))).vocab_size == enough


def test_repeated_characters_are_not_called_different() -> None:
    with pytest.raises(ValueError, match=r"^A character vocabulary lists each character once, in order\.$"):
        CharacterTokenizer("a" * 70_000)


@pytest.mark.parametrize("size", [MIN_VOCAB - 1, MAX_VOCAB + 1, -1])
def test_the_sizes_of_a_vocabulary_that_are_named_can_be_learned(size: int) -> None:
    with pytest.raises(ValueError, match=rf"^BPE vocabulary size must be 256 to 32,000; {size} is not\.$"):
        learn_bpe("abab", size)
    assert learn_bpe("abab", MIN_VOCAB).vocab_size == MIN_VOCAB
    assert learn_bpe("abab", MAX_VOCAB).merges == ((97, 98),)


@pytest.mark.parametrize("name", ["char", "byte", "bpe"])
@pytest.mark.parametrize("documents", ["joined", "separated"])
def test_a_tokenizer_has_as_many_characters_as_its_name_says(name: str, documents: str) -> None:
    text = Text.joined(["the fox sat. " * 40, "a mat. " * 40])
    prepared = prepare_run(
        "modern", {"block_size": 16}, {"tokenizer": name, "bpe_vocab": 270, "documents": documents}, text
    )
    words = in_words(prepared.tokenizer)
    n = len(set(text))
    assert words == {"char": f"{n} characters", "byte": "bytes", "bpe": f"BPE {prepared.tokenizer.vocab_size}"}[name]
    assert prepared.tokenizer.vocab_size == prepared.model.vocab_size
    assert (prepared.tokenizer.eos is not None) == (documents != "joined")


@pytest.mark.parametrize("over", [1, 999, 60_000])
def test_a_file_that_is_too_large_does_not_read_as_if_it_had_the_size_that_is_allowed(
    over: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imported_module, "MAX_BYTES", 1_000_000)
    data = BPE.json_text.encode()
    with pytest.raises(
        ValueError, match=r"^The tokenizer.json is ([\d.]+) MB; the limit is 1 MB\. Choose a smaller file"
    ) as caught:
        import_tokenizer(data.ljust(1_000_000 + over))
    assert float(str(caught.value).split()[3]) > 1
    assert import_tokenizer(data.ljust(1_000_000)).vocab_size == 300


@pytest.mark.parametrize("size", [1_000_000, 7_000_000])
def test_ids_reach_as_far_as_is_said_and_may_reach_the_limit(size: int) -> None:
    with pytest.raises(
        ValueError, match=rf"^The ids in this tokenizer.json reach {size:,}; the limit is 999,999\. Number its"
    ):
        ImportedTokenizer(words_file(a=0, b=size))
    assert ImportedTokenizer(words_file(a=0, b=999_999)).vocab_size == 1_000_000
    assert ImportedTokenizer(words_file(a=0, b=1)).vocab_size == 2, "numbered from 0"


@pytest.mark.parametrize("size", [1, 1_000_001, True, "9"])
def test_a_vocabulary_can_be_padded_to_the_sizes_that_are_named(size: Any) -> None:
    small = ImportedTokenizer(words_file())
    with pytest.raises(
        ValueError, match=rf"^A vocabulary of 2 tokens cannot be padded to {size}; choose 2 to 1,000,000\.$"
    ):
        small.padded(size)
    assert [small.padded(right).vocab_size for right in (2, 1_000_000)] == [2, 1_000_000]


# Files


@pytest.mark.parametrize("data", ["{", "1" * 5_000, "[" * 100_000 + "]" * 100_000, '{"a": 1,}', b"\xff\xfe\x00"])
def test_what_cannot_be_read_as_json_is_not_called_something_else(data: Any) -> None:
    """Numbers of 5,000 digits and lists in 100,000 lists are JSON, but Python's parser does not read them."""
    with pytest.raises(
        ValueError, match=r"^This file is not JSON that can be read here\. Choose a tokenizer.json as save_pr"
    ):
        import_tokenizer(data)


@pytest.mark.parametrize(
    "values", [{}, {"name": "char"}, {"name": "char", "characters": 5}, {"name": "bpe"}, {"name": "x"}]
)
def test_what_a_saved_tokenizer_lacks(values: dict[str, Any]) -> None:
    """Of "char" the characters are missing, of "bpe" the model; "x" is no name."""
    with pytest.raises(
        ValueError, match=r"^This is not a saved tokenizer: its name is not known, or what belongs to it is miss"
    ):
        tokenizer_from_dict(values)
    whole: dict[str, Any] = {"char": {"name": "char", "characters": "ab"}, "bpe": BPE.to_dict(), "x": {"name": "byte"}}
    assert tokenizer_from_dict(whole[values.get("name", "x")]).vocab_size in (2, 300, 256)


def test_names_of_tokenizers() -> None:
    with pytest.raises(ValueError, match=r"^Tokenizer must be one of byte, char, bpe, imported\. You sent 'words'\.$"):
        build_tokenizer("words", "ab")
    with pytest.raises(
        ValueError, match=r"^Tokenizer is set to imported, but no file was given\. Choose a tokenizer.json\.$"
    ):
        build_tokenizer("imported", "ab")
    given_ = import_tokenizer(json.dumps(words_file()))
    made = [build_tokenizer(name, "abab", imported=given_).name for name in ("byte", "char", "bpe", "imported")]
    assert made == ["byte", "char", "bpe", "imported"]


def test_two_tokens_with_one_id_and_each_with_its_own() -> None:
    values = words_file(a=0, b=1, c=2)
    values["model"]["vocab"] = {"a": 0, "b": 1, "c": 1}
    with pytest.raises(
        ValueError, match=r"^The tokens 'b' and 'c' of this tokenizer.json have the same id 1\. Give each token an"
    ):
        ImportedTokenizer(values)
    values["model"]["vocab"] = {"a": 0, "b": 1, "c": 2}
    assert ImportedTokenizer(values).vocab_size == 3


def test_a_string_instead_of_a_regular_expression_is_decoded() -> None:
    library = Tokenizer.from_str(json.dumps(words_file()))
    library.decoder = decoders.Replace(Regex("a"), "x")
    with pytest.raises(ValueError, match=r"has a regular expression .*Replace it with a String pattern\.$"):
        ImportedTokenizer(json.loads(library.to_str()))
    library.decoder = decoders.Sequence([decoders.Replace("a", "x"), decoders.Fuse()])
    assert ImportedTokenizer(json.loads(library.to_str())).decode([0, 1]) == "xb"


@pytest.mark.parametrize("steps", [[("a", "a" * 65)], [("a", "a" * 13), ("ab", "a" * 12)], [("", "a" * 70)]])
def test_the_growth_that_is_named_is_a_bound_and_shorter_steps_are_accepted(steps: list[tuple[str, str]]) -> None:
    def file(texts: list[tuple[str, str]]) -> dict[str, Any]:
        library = Tokenizer.from_str(json.dumps(words_file()))
        made = [normalizers.Replace(a, b) if a else normalizers.Prepend(b) for a, b in texts]
        library.normalizer = normalizers.Sequence(made)
        return dict(json.loads(library.to_str()))

    with pytest.raises(
        ValueError, match=r"^The steps of the normalizer .* the limit is 64\. Shorten or remove what"
    ) as caught:
        ImportedTokenizer(file(steps))
    bound = float(re.search(r"up to (\S+) times", str(caught.value))[1])  # type: ignore[index]
    normal = Tokenizer.from_str(json.dumps(file(steps))).normalizer
    assert normal is not None
    assert bound > 64 and all(
        len(normal.normalize_str(text)) <= bound * len(text) for text in ("a", "ab", "aab", "b" * 9)
    )
    assert ImportedTokenizer(file([(a, b[:5]) for a, b in steps])).vocab_size == 2


@pytest.mark.parametrize("merges", [[(97, 98), (256, 300)], [(97, 300)], [(-1, 97)]])
def test_a_merge_of_tokens_that_do_not_exist(merges: list[tuple[int, int]]) -> None:
    number = 255 + len(merges)
    left, right = merges[-1]
    with pytest.raises(ValueError, match=rf"^Token {number} joins {left} and {right}, which do not both exist yet\.$"):
        BPETokenizer(merges)
    assert not (0 <= left < number and 0 <= right < number)


def test_merges_that_spell_one_token_twice_or_the_end_of_a_text() -> None:
    with pytest.raises(ValueError, match=r"^Two of the merges spell the same token\.$"):
        BPETokenizer([(97, 98), (98, 99), (256, 99), (97, 257)])  # ab, bc, ab + c, a + bc
    ids = list(END_OF_TEXT.encode())
    chain = [(ids[0], ids[1]), *((255 + n, token) for n, token in enumerate(ids[2:], 1))]
    with pytest.raises(ValueError, match=r"^A merge spells <\|endoftext\|>, which is the end-of-text token\.$"):
        BPETokenizer(chain, eos=True)
    assert BPETokenizer(chain).tokens[-1] == END_OF_TEXT.encode() and BPETokenizer(chain[:-1], eos=True).eos is not None


@pytest.mark.parametrize(("bos", "eos"), [(2, []), (-1, []), (None, [5]), (0, ["1"])])
def test_special_tokens_that_are_no_ids_of_the_vocabulary(bos: Any, eos: Any) -> None:
    values = words_file()
    with pytest.raises(ValueError, match=r"^The special tokens of this tokenizer are not ids of its vocabulary\."):
        _ = ImportedTokenizer({**values, "special": {"bos": bos, "eos": eos}}).special
    assert ImportedTokenizer({**values, "special": {"bos": 1, "eos": [0]}}).special.eos == (0,)


# The process with a limit


@pytest.mark.parametrize("seconds", [0.03, 0.26])
def test_the_time_that_is_named_is_not_longer_than_what_was_allowed(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a file without any pattern, while its process starts."""
    monkeypatch.setattr(limited, "SECONDS_PER_MEGABYTE", 0.0)
    slow = json.loads(file_of("own pattern"))
    slow["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(?:.*x){3}.*y|."
    values, text = (words_file(), "a") if seconds < 0.1 else (slow, "x" * 100_000)
    limited_process.end_all()
    with pytest.raises(
        ValueError, match=r"^This tokenizer did not finish within \S+ s: it is too slow for this text\."
    ) as caught:
        limited.encode_limited(json.dumps(values), [text], seconds=seconds)
    assert float(str(caught.value).split()[6]) <= seconds


def test_a_file_that_does_not_work_does_when_it_is_whole() -> None:
    broken = json.loads(file_of("gpt2"))
    broken["model"]["merges"] = [["x", "nowhere"]]
    with pytest.raises(
        ValueError, match=r"^This tokenizer.json does not work: the tokenizers library gives up \(.+\)\. Export it"
    ):
        import_tokenizer(json.dumps(broken))
    assert import_tokenizer(file_of("gpt2")).vocab_size > 256


# Long texts


def test_a_shorter_text_or_another_tokenizer_is_encoded_where_no_place_to_cut_was_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(seams_module, "LONGEST", 5_000)
    monkeypatch.setattr(seams_module, "OVERLAP", 100)
    monkeypatch.setattr(imported_module, "CHUNK", 500)
    whole = ours("unigram, one word")
    with pytest.raises(
        ValueError, match=r"no place to cut the text was found in 0\.005 million characters, and it is too long"
    ):
        whole.encode(TEXT)
    assert len(whole.encode(TEXT[:4_000])) and len(ours("gpt2").encode(TEXT))


@pytest.mark.parametrize(("step", "at"), [(1, 4), (2, 4), (3, 4), (3, 6), (4, 6)])
def test_a_tokenizer_that_reads_the_same_words_in_two_ways_is_found_out(step: int, at: int) -> None:
    """The text before character `at` was given out; read again with more behind it, a token may reach over that place."""

    def read(texts: list[str]) -> list[np.ndarray]:
        starts = np.arange(0, len(texts[0]), step)
        return [np.stack([starts, starts, starts + step, starts], 1)]

    ones = np.arange(8)
    window = seams_module._Window("abababab", 0, np.stack([ones, ones, ones + 1, ones], 1), at, at)
    if at % step:
        with pytest.raises(
            ValueError, match=r"^This tokenizer reads the same words in different ways\. Use another tokenizer"
        ):
            seams_module._longer(read, window, "abab")
    else:
        assert seams_module._longer(read, window, "abab").first == at // step


# What does not come back


@pytest.mark.parametrize("lost", [1e-7, 3e-6, 0.0421, 0.0999, 0.38, 0.994, 0.996, 0.99999, 1 - 1e-9, 1.0])
def test_a_share_reads_as_all_only_if_it_is(lost: float) -> None:
    words = changed_words(lost, "this text")
    number = re.match(r"(\S+)\u00a0% of the characters of this text do not come back", words)
    assert number and float(number[1]) == pytest.approx(100 * lost, rel=0.06)
    assert (float(number[1]) == 100) == (lost == 1) and float(number[1]) > 0


@pytest.mark.parametrize(
    ("tokenizer", "line"), [(LOWER, "A Fox.\n"), (words_only(), "the fox.\n")], ids=["lower", "words"]
)
@pytest.mark.parametrize("clean", [False, True])
def test_the_note_on_a_new_run_is_about_the_text_that_it_names(tokenizer: Any, line: str, clean: bool) -> None:
    """The training text has what is lost, the validation text perhaps not."""
    tail = "a fox.\n" if clean else line
    text = line * 90 + tail * 100
    train = {"tokenizer": "imported", "validation_fraction": 0.3, "documents": "joined"}
    notes = " ".join(prepare_run("modern", {"block_size": 8}, train, text, imported=tokenizer).notes)
    back = decode(tokenizer, tokenizer.encode(tail).tolist())
    assert ("% of the characters of the validation text do not come back" in notes) == (back != tail)
    assert ("The validation text of this run comes back unchanged." in notes) == (back == tail)
    assert TrainConfig(**train).validation_fraction == 0.3
