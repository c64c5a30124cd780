"""The Tokenizer tab's questions: any shape gets an answer, and only one's own runs are read."""

import base64
import json

import gradio as gr
import numpy as np
import pytest

from playground.config import TrainConfig, preset
from playground.runs.curves import Curves
from playground.runs.loading import ModelCache
from playground.runs.store.run_store import RunStore
from playground.tokenizers import learn_bpe, limited
from playground.ui import imports
from playground.ui.data import tokenizer_endpoints, tokenizer_tab
from playground.ui.sample import sample_tab
from playground.ui.services import Services
from tests.tokenizers.hostile import words

ME, STRANGER = "a" * 32, "b" * 32


@pytest.fixture
def services(tmp_path):
    store = RunStore(tmp_path / "runs")
    return Services(store, None, Curves(store), ModelCache(), tmp_path / "corpora", public=True)


def ask(services, **asked):
    return tokenizer_endpoints.tokenize(services, {"text": "hello hello", "learned": "tales", "width": 64, **asked})


def test_rows_come_in_the_order_asked_with_their_numbers(services):
    answer = ask(services, tokenizers=["bpe:300", "byte", "byte", "char"])
    assert [row["name"] for row in answer["rows"]] == ["BPE 300", "bytes", "5 characters"]
    assert answer["rows"][1]["ids"] == list(b"hello hello")
    assert (answer["bytes"], answer["characters"], answer["words"]) == (11, 11, 2)
    assert json.dumps(answer)


def test_bpe_from_this_text_says_where_it_stopped(services):
    (row,) = ask(services, tokenizers=["bpe:4000"], learned="text")["rows"]
    assert row["vocab"] < 280
    assert row["note"] == "stopped before 4,000: no pair occurs twice any more"


def test_a_runs_tokenizer_is_for_those_who_may_see_the_run(services):
    bpe = learn_bpe("abab" * 50, 300)
    config = TrainConfig(tokenizer="bpe")
    run = services.store.create(
        preset("modern", vocab_size=bpe.vocab_size), config, bpe, name="mine", preset="modern", owner=ME
    )
    (row,) = ask(services, tokenizers=[f"run:{run.id}"], visitor=ME)["rows"]
    assert row["name"] == f"mine: BPE {bpe.vocab_size}"
    (row,) = ask(services, tokenizers=[f"run:{run.id}"], visitor=STRANGER)["rows"]
    assert row["error"] == "Run not found."
    assert (f"mine: BPE {bpe.vocab_size}", f"run:{run.id}") in tokenizer_tab.refresh(services, [], ME)["choices"]
    assert all("mine" not in label for label, _ in tokenizer_tab.refresh(services, [], STRANGER)["choices"])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (None, "text is empty"),
        ({}, "text is empty"),
        ({"text": 5}, "text is empty"),
        ({"text": "x" * 10_001}, "10,001 characters; the limit here is 10,000"),
        ({"text": "x", "learned": "../x", "width": 64}, "learned from this text or one of"),
        ({"text": "x", "learned": "tales", "width": "wide"}, "Embedding size must be 8 to 1024"),
        ({"text": "x", "learned": "tales", "width": 13}, "Embedding size must be 8 to 1024"),
    ],
)
def test_questions_of_any_shape_get_a_sentence(services, asked, message):
    assert message in tokenizer_endpoints.tokenize(services, asked)["error"]


@pytest.mark.parametrize("key", ["", "x", "bpe:", "bpe:-1", "bpe:99999999", "bpe:²", "run:../x", "file:x", "imported"])
def test_an_impossible_tokenizer_is_a_row_with_a_sentence(services, key):
    (row,) = ask(services, tokenizers=[key])["rows"]
    assert len(row["error"]) > 10


def test_a_lone_surrogate_is_told(services):
    assert (
        "invalid character at position 3"
        in tokenizer_endpoints.tokenize(
            services, {"text": "ab\ud800", "learned": "text", "width": 64, "tokenizers": ["byte"]}
        )["error"]
    )


def test_the_replay_holds_bytes_boundaries_and_counts(services):
    answer = tokenizer_endpoints.replay(services, {"text": "aaabdaaabac", "learned": "text"})
    assert base64.b64decode(answer["bytes"]) == b"aaabdaaabac"
    assert [step["pair"] for step in answer["merges"]] == [["a", "a"], ["a", "b"], ["aa", "ab"]]
    assert answer["merges"][0]["rivals"][:2] == [("a", "a", 4), ("a", "b", 2)]
    assert answer["stopped"]
    assert (
        len(tokenizer_endpoints.replay(services, {"text": "x", "learned": "python_source"})["merges"])
        == tokenizer_endpoints.LESSON_MERGES
    )
    assert "error" in tokenizer_endpoints.replay(services, {"text": "x", "learned": 5})


def test_imported_files_are_kept_by_content_and_forgotten_in_turn(services):
    files = [learn_bpe(letter * 4, 300).json_text.encode() for letter in "ab"]
    keys = [imports.keep(data) for data in files]
    assert imports.keep(files[0]) == keys[0]
    assert imports.kept(keys[1]).vocab_size > 256
    (row,) = ask(services, tokenizers=[f"file:{keys[0]}"])["rows"]
    assert row["vocab"] == imports.kept(keys[0]).vocab_size
    for letter in "cdefghijklmn":
        imports.keep(learn_bpe(letter * 4, 300).json_text.encode())
    with pytest.raises(ValueError, match="Choose its file again"):
        imports.kept(keys[0])


def test_importing_adds_a_choice_and_chooses_it(services):
    data = learn_bpe("abab" * 9, 300).json_text.encode()
    files, update = tokenizer_tab.add_file(services, data, [], ["byte"], ME)
    assert update["value"] == ["byte", files[0][1]]
    again, update = tokenizer_tab.add_file(services, data, files, update["value"], ME)
    assert again == files
    with pytest.raises(ValueError, match="not JSON"):
        tokenizer_tab.add_file(services, b"PK", files, [], ME)


def test_the_plan_of_a_duel_is_a_table_and_a_reason(services):
    table, why = tokenizer_tab.show_plan(services, "tales", 50, 32, 300, 700)
    assert table["tokenizer"].tolist() == ["bytes", "59 characters", "BPE 300", "BPE 700"]
    assert "a token of BPE 700 stands for" in why
    for wrong in (
        (50, 32, "x", 700),
        (50, 32, 300.5, 700),
        (50, 32, 300, 10**9),
        (50, 33, 300, 700),
        (None, 32, 300, 700),
    ):
        with pytest.raises(ValueError, match=r"must be|divisible|needs"):
            tokenizer_tab.show_plan(services, "tales", *wrong)


def test_the_next_token_chart_gets_all_logits_in_two_bytes_each():
    logits = np.sort(np.random.default_rng(0).normal(0, 4, 32_000))[::-1].astype(np.float32)
    packed = sample_tab.packed(logits)
    steps = np.frombuffer(base64.b64decode(packed["logits"]), dtype="<u2")
    back = packed["low"] + (packed["high"] - packed["low"]) * steps / 65_535
    assert np.abs(back - logits).max() <= (packed["high"] - packed["low"]) / 131_000
    assert len(json.dumps(packed)) < 90_000
    assert sample_tab.packed(np.zeros(3, dtype=np.float32))["low"] == 0


def test_the_tab_lays_itself_out(services):
    with gr.Blocks():
        tab = tokenizer_tab.build(services)
    assert len(tab.duel) == 4


def test_few_large_imported_files_are_kept(monkeypatch):
    files = [learn_bpe(letter * 4, 300).json_text.encode() for letter in "uvw"]
    monkeypatch.setattr(imports, "CAPACITY_BYTES", 2 * len(files[0]))
    keys = [imports.keep(data) for data in files]
    with pytest.raises(ValueError, match="Choose its file again"):
        imports.kept(keys[0])
    assert imports.kept(keys[1]) and imports.kept(keys[2])


def test_a_hostile_imported_file_is_a_sentence_in_the_comparison(services, monkeypatch):
    """Its pattern is slow only for a letter that the texts on which a file is tried do not have."""
    split = {"type": "Split", "pattern": {"Regex": "(?:.*ж){9}.*y|."}, "behavior": "Isolated", "invert": False}
    key = imports.keep(json.dumps(words(pre_tokenizer=split)).encode())
    monkeypatch.setattr(limited, "SECONDS", 0.5)
    hostile, plain = ask(services, text="ж" * 90, tokenizers=[f"file:{key}", "byte"])["rows"]
    assert "does not work" in hostile["error"] or "too slow" in hostile["error"]
    assert plain["tokens"] == 180
    monkeypatch.undo()
    assert ask(services, text="a", tokenizers=[f"file:{key}"])["rows"][0]["tokens"] == 1
