"""Default prompts: every text has one that its tokenizer can encode."""

from pathlib import Path

import pytest

from playground.config import ModelConfig, TrainConfig
from playground.tokenizers import Tokenizer, build_tokenizer
from playground.tokenizers.prompts import can_encode, check_prompt, default_prompt
from playground.train.dataset import prepare, prepare_file

LINES = {
    "все люди рождаются свободными и равными": "все люди рождаются",
    "the cat sat on the mat": "the cat sat on the",
    "ALL CAPITALS": "ALL CAPITALS",
    "人人生而自由在尊严和权利上一律平等他们赋有理性和良心": "人人生而自由在尊严和权利上一律平等他们赋",
    "يولد جميع الناس أحرارًا": "يولد جميع الناس",
    "0123456789": "0123456789",
    "The end of The Road": "The ",
}


@pytest.mark.parametrize("kind", ["byte", "char", "bpe"])
@pytest.mark.parametrize(("line", "words"), LINES.items())
def test_a_text_without_the_usual_prompt_begins_its_samples_as_it_begins_itself(
    tmp_path: Path, line: str, words: str, kind: str
) -> None:
    text = f"\n  {line}\n" * 60
    tokenizer = build_tokenizer(kind, text, vocab_size=300)
    config, model = TrainConfig(corpus="own", tokenizer=kind), ModelConfig(block_size=16)
    held = prepare(text, tokenizer, model, config)
    path = tmp_path / "text.txt"
    path.write_bytes(text.encode())
    mapped = prepare_file(path, tokenizer, model, config, tmp_path / "tokens")
    assert held.prompt == mapped.prompt == words
    assert can_encode(tokenizer, words)


def test_a_corpus_cut_short_may_lack_the_letters_of_its_prompt() -> None:
    for text, prompt in (
        ("First Citizen: speak, speak.\n" * 40, "First Citizen:"),
        ("ROMEO:\nO, speak.\n" * 60, "ROMEO:\n"),
    ):
        tokenizer, config = build_tokenizer("char", text), TrainConfig(corpus="tiny_shakespeare", tokenizer="char")
        assert prepare(text, tokenizer, ModelConfig(block_size=16), config).prompt == prompt


def test_a_prompt_from_the_settings_is_used_or_refused() -> None:
    text = "the cat sat on the mat\n" * 60
    tokenizer: Tokenizer = build_tokenizer("char", text)
    given = TrainConfig(corpus="own", tokenizer="char", prompt="a mat")
    assert prepare(text, tokenizer, ModelConfig(block_size=16), given).prompt == "a mat"
    with pytest.raises(ValueError, match=r"Prompt 'The dog': the text has no 'T', 'd', 'g', and"):
        prepare(text, tokenizer, ModelConfig(block_size=16), given.replace(prompt="The dog"))
    with pytest.raises(ValueError, match="invalid character at position 2"):
        check_prompt(tokenizer, "a\ud800")


def test_without_a_text_some_tokens_are_the_prompt() -> None:
    tokenizer = build_tokenizer("char", "бвг")
    assert default_prompt(tokenizer, "The ") == "бвг"
