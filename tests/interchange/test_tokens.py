"""Tokenizers go out and come back with the same ids for any text, through Transformers too."""

import json
import random
from pathlib import Path

import pytest
import transformers

from playground.interchange.tokens import from_tokenizer_json
from playground.tokenizers import Tokenizer, build_tokenizer, decode, tokenizers_json

CHARACTERS = "abc xyz\n\té狐😀'\u200b\u0301.,0129<|>#▁Ġ"


def fuzz(count: int = 300) -> list[str]:
    rng = random.Random(0)
    return ["", "\n", " ", "  a", *("".join(rng.choices(CHARACTERS, k=rng.randrange(40))) for _ in range(count))]


TEXT = "".join(fuzz(2_000)) + CHARACTERS
TOKENIZERS = {name: build_tokenizer(name, TEXT, vocab_size=400) for name in ("byte", "char", "bpe")}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_transformers_gives_the_same_ids(name: str, tmp_path: Path) -> None:
    ours: Tokenizer = TOKENIZERS[name]
    (tmp_path / "tokenizer.json").write_text(tokenizers_json(ours), "utf-8")
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False})
    )
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    for text in fuzz():
        ids = ours.encode(text).tolist()
        assert theirs(text)["input_ids"] == ids
        assert theirs.decode(ids) == decode(ours, ids) == text
    assert len(theirs) == ours.vocab_size


@pytest.mark.parametrize("name", TOKENIZERS)
def test_there_and_back(name: str) -> None:
    ours: Tokenizer = TOKENIZERS[name]
    back = from_tokenizer_json(json.loads(tokenizers_json(ours)), ours.vocab_size)
    assert back.to_dict() == ours.to_dict()
    with pytest.raises(ValueError, match=r"tokens and the model only [\d,]+: the last tokens would have no embedding"):
        from_tokenizer_json(json.loads(tokenizers_json(ours)), ours.vocab_size - 1)
