"""The setting for documents in the form: it follows the tokenizer, and what a person chose otherwise stays."""

import gradio as gr
import pytest

from playground.ui.train.follow_documents import follow_documents


@pytest.mark.parametrize(
    ("documents", "tokenizer", "new"),
    [
        ("joined", "bpe", "separated"),
        ("joined", "imported", "separated"),
        ("separated", "byte", "joined"),
        ("separated", "char", "joined"),
        ("isolated", "byte", None),
        ("isolated", "bpe", None),
        ("joined", "byte", None),
        (7, "bpe", None),
    ],
)
def test_it_follows_the_tokenizer_while_it_is_usual(documents: object, tokenizer: str, new: str | None) -> None:
    found = follow_documents(documents, tokenizer)
    assert found == (gr.skip() if new is None else new)
