"""What a form says about a text, made into that text; for one person and for strangers."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tokenizers import ByteLevelBPETokenizer
from tokenizers.pre_tokenizers import ByteLevel

from playground.analysis.data_card import data_card
from playground.config import TrainConfig, preset
from playground.data import sources
from playground.data.documents import Text
from playground.data.sources import TextFile
from playground.runs import create
from playground.runs.create import create_run, prepare_run
from playground.runs.curves import Curves
from playground.runs.loading import ModelCache
from playground.runs.queue.launcher import Launcher
from playground.runs.store.run_store import RunStore
from playground.runs.worker.execution import execute
from playground.tokenizers import ImportedTokenizer, build_tokenizer
from playground.ui import texts
from playground.ui.data import batch_endpoints, batch_tab
from playground.ui.services import Services
from playground.ui.text_card import about_text, build_text_card, read_text_source, show_text, show_upload
from playground.ui.texts import DATASETS, Cards, TextSource, described, fitted, loaded, own_text, size_of
from tests.runs.conftest import MODEL, TEXT, TRAIN

OWN = TextSource(corpus="own")


@pytest.fixture
def services(tmp_path: Path) -> Services:
    store = RunStore(tmp_path / "runs", tmp_path / "gallery")
    return Services(store, Launcher(store, spare=False), Curves(store), ModelCache(), tmp_path / "cache", False)


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (sources, texts, create):
        monkeypatch.setattr(module, "MAX_BYTES", 1_000)


def test_uploads_come_before_paths_before_what_was_pasted(services: Services, tmp_path: Path) -> None:
    for name in ("up", "path"):
        (tmp_path / f"{name}.txt").write_text(f"from the {name}")
    wish = replace(OWN, pasted="from the box")
    assert own_text(services, wish, 10_000) == "from the box"
    wish = replace(wish, path=f" {tmp_path / 'path.txt'} ")
    assert own_text(services, wish, 10_000) == "from the path"
    wish = replace(wish, files=[str(tmp_path / "up.txt")])
    assert own_text(services, wish, 10_000) == "from the up"
    assert own_text(services, replace(wish, corpus="tales"), 10_000) is None


def test_a_data_set_is_asked_for_by_column_and_split(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str, int]] = []

    def dataset_text(name: str, column: str, *, split: str, folder: Path, max_bytes: int) -> str:
        asked.append((name, column, split, max_bytes))
        return "once upon a time"

    monkeypatch.setattr(texts, "dataset_text", dataset_text)
    assert own_text(services, replace(OWN, dataset="ann/stories", column="story", split="test"), 10_000)
    assert asked == [("ann/stories", "story", "test", 10_000)]


@pytest.mark.parametrize("wish", [{"path": "/etc/hostname"}, {"dataset": "ann/stories"}])
def test_strangers_can_read_neither_this_machine_nor_the_hub(services: Services, wish: dict[str, str]) -> None:
    hosted = replace(services, public=True)
    with pytest.raises(ValueError, match="only on your own computer"):
        own_text(hosted, replace(OWN, **wish), 10_000)


def test_strangers_have_20_mb_and_leave_nothing_in_the_cache(services: Services, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"x\n" * 10_000_001)
    with pytest.raises(ValueError, match=r"the limit here is 20(,000,000 bytes| MB)"):
        own_text(replace(services, public=True), replace(OWN, files=[str(tmp_path / "a.txt")]), 10_000)
    assert not services.cache_dir.exists()


@pytest.mark.usefixtures("large")
def test_a_large_file_is_read_once(services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "big.txt"
    path.write_text(TEXT)
    wish = replace(OWN, files=[str(path)])
    text = own_text(services, wish, 10_000)
    assert isinstance(text, TextFile)
    real = texts.gather
    monkeypatch.setattr(texts, "gather", None)
    assert own_text(services, wish, 10_000) == text
    assert (described(text), size_of(text)) == ("`big.txt`: 0.0 MB.", len(TEXT))
    hostile = replace(text, name="<img src=x onerror=alert(1)>`<b>.txt")
    assert described(hostile).startswith("`<img src=x onerror=alert(1)>'<b>.txt`:")  # all of it inside one code span
    monkeypatch.setattr(texts, "gather", real)
    path.write_text(TEXT + "more")
    again = own_text(services, wish, 10_000)
    assert isinstance(again, TextFile) and again.n_bytes == len(TEXT) + 4
    text.path.unlink()
    path.write_text(TEXT)
    assert isinstance(own_text(services, wish, 10_000), TextFile)


@pytest.mark.usefixtures("large")
def test_what_is_too_large_stays_a_file_and_what_is_cut_small_does_not(services: Services, tmp_path: Path) -> None:
    (tmp_path / "big.txt").write_text(TEXT)
    own = own_text(services, replace(OWN, path=str(tmp_path / "big.txt")), 10_000)
    assert isinstance(own, TextFile)
    train = TrainConfig(corpus="own", corpus_bytes=len(TEXT), tokenizer="char")
    assert loaded(services, own, train) == own
    assert fitted(own, train)[0].to_dict() == build_tokenizer("char", TEXT).to_dict()
    short = loaded(services, own, train.replace(corpus_bytes=1_000))
    assert isinstance(short, str) and TEXT.startswith(short) and 900 < len(short) <= 1_000 and short.endswith("\n")


def test_a_card_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cards, train = Cards(), TrainConfig(corpus="own")
    card = cards.get(TEXT, train)
    assert card == data_card(TEXT, build_tokenizer("byte", TEXT), train)
    monkeypatch.setattr(texts, "data_card", None)
    assert cards.get(TEXT, train) is card
    with pytest.raises(TypeError):
        cards.get(TEXT, train.replace(validation_fraction=0.3))


@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("documents", ["joined", "separated", "isolated"])
def test_card_and_batch_are_those_of_the_run(
    services: Services, tmp_path: Path, request: pytest.FixtureRequest, documents: str, size: str
) -> None:
    """What is said of rows before training is what a run on them reads, whether their text is held or lies in a file."""
    if size == "large":
        request.getfixturevalue("large")
    words = random.Random(0)
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps({"text": " ".join(words.choices(["cat", "dog", "sees"], k=3))}) for _ in range(900)]
    path.write_text("\n".join(lines))
    wish = replace(OWN, files=[str(path)])
    own = own_text(services, wish, 10**9)
    assert own is not None and isinstance(own, TextFile) == (size == "large")
    asked = {"tokenizer": "bpe", "bpe_vocab": 300, "documents": documents, "corpus_bytes": 10**6}
    form = preset("modern", block_size=16, n_embd=16, n_head=2, n_kv_head=1).to_dict()
    run = create_run(services.store, prepare_run("modern", form, asked, own))
    data = DATASETS.get(run, services.cache_dir)
    assert run.train.documents == documents
    card = about_text(services, wish, TrainConfig.from_dict({**asked, "corpus": "own"}), None)
    assert card["vocab_size"] == run.tokenizer.vocab_size
    assert (card["train_tokens"], card["validation_tokens"]) == (len(data.train), len(data.validation))
    for gram in card["grams"]:
        assert gram["nats_per_token"] * data.bits_per_nat == pytest.approx(gram["held_out"], rel=1e-12)
    before = batch_tab.show_text(services, wish, form, {**asked, "corpus": "own"}, 3)
    assert before["rows"] == batch_tab.show_run(services, run.id, None, 3, "")["rows"]


def test_documents_are_apart_only_where_training_keeps_them_apart() -> None:
    """The same characters are another text where they are several documents; an imported tokenizer may have no mark."""
    text, cards = Text.joined(["one two three"] * 300), Cards()
    train = TrainConfig(corpus="own", documents="separated")
    several, single = cards.get(text, train), cards.get(str(text), train)
    assert single.train_tokens == single.train_bytes and several.train_tokens < several.train_bytes
    values = json.loads(ByteLevelBPETokenizer().to_str())
    values["model"]["vocab"] = {letter: at for at, letter in enumerate(ByteLevel.alphabet())}
    plain = ImportedTokenizer(values)
    assert plain.eos is None
    card = cards.get(text, train.replace(tokenizer="imported"), plain)
    assert (card.train_tokens, card.validation_tokens) == (single.train_tokens, single.validation_tokens)


def test_the_form_is_read_and_answers(services: Services, tmp_path: Path) -> None:
    import gradio as gr

    path = tmp_path / "said.jsonl"
    path.write_text("".join(json.dumps({"said": f"line {n}"}) + "\n" for n in range(300)))
    with gr.Blocks():
        card, size = build_text_card(services), gr.Number()
    empty: dict[Any, Any] = dict.fromkeys(card.inputs)
    data = {**empty, card.text: "task", card.task: "sort", size: 4_000_000}
    assert read_text_source(card, data) == TextSource(corpus="sort", column="")
    data |= {card.upload: [str(path)], card.field: ""}
    note, field, n_bytes = show_upload(services, card, size, 1_000_000_000, data)
    assert note.endswith("distinct.") and field["visible"] and not isinstance(n_bytes, int)  # it fits as it is
    text = own_text(services, replace(read_text_source(card, data), corpus="own"), 10_000)
    assert isinstance(text, str) and text.startswith("line 0\n\nline 1")
    assert show_upload(services, card, size, 1_000_000_000, {**data, size: 1_000})[2] == len(text)
    assert show_upload(services, card, size, 1_000_000_000, {**empty, size: 1})[0] == ""
    plain = tmp_path / "plain.txt"
    plain.write_text("words " * 100)
    stale = {**data, card.upload: [str(plain)], card.field: "said"}
    _, hidden, _ = show_upload(services, card, size, 1_000_000_000, stale)
    assert (hidden["visible"], hidden["value"]) == (False, ""), "a field that belongs to another file goes with it"
    assert [update.get("visible") for update in show_text("own", 10**9)[1:3]] == [False, True]
    assert show_text("tales", 10**9)[3] == 4_000_000  # what a large text of one's own needed is no size for this
    assert not isinstance(show_text("tales", 50_000)[3], int)


@pytest.fixture
def trained(services: Services) -> Any:
    run = services.store.create(
        MODEL, TRAIN, build_tokenizer("byte", TEXT), name="a run", preset="modern", owner=None, own_text=TEXT
    )
    assert execute(run, cache_dir=services.cache_dir).state == "finished"
    return run


def test_a_runs_batch_and_one_of_its_losses(services: Services, trained: Any) -> None:
    value = batch_tab.show_run(services, trained.id, 30, 2.0, "")
    json.dumps(value, allow_nan=False)
    assert (value["batch"], value["n_rows"], len(value["rows"])) == (2, 4, 4)
    row = value["rows"][1]
    assert bytes(row["ids"]).decode() in TEXT and "".join(row["pieces"]) == bytes(row["ids"]).decode()
    assert len(row["ids"]) == len(row["loss"]) + 1 == len(row["counts"]) + 1 == 17
    asked = {
        "visitor": "",
        "run": trained.id,
        "step": 30,
        "ids": row["ids"][:-1],
        "position": 5,
        "target": row["ids"][6],
    }
    answer = batch_endpoints.explain_loss(services, asked)
    assert answer["loss"] == pytest.approx(row["loss"][5], abs=2e-4)
    assert {candidate["piece"] for candidate in answer["candidates"]} and answer["target"] == row["ids"][6]
    for wrong in (
        {**asked, "ids": None}, {**asked, "ids": [1.5]}, {**asked, "position": "x"}, {**asked, "ids": [1] * 5000},
        {**asked, "target": 999}, {**asked, "run": "0" * 32}, {**asked, "step": 7}, {**asked, "position": True}, {}, None,
    ):  # fmt: skip
        assert set(batch_endpoints.explain_loss(services, wrong)) == {"error"}


def test_a_run_without_weights_and_no_run(services: Services) -> None:
    run = services.store.create(MODEL, TRAIN, build_tokenizer("byte", ""), name="new", preset="modern", own_text=TEXT)
    value = batch_tab.show_run(services, run.id, None, 1, "")
    assert value["rows"][0]["loss"] is None and "no saved weights yet" in value["note"]
    assert batch_tab.show_run(services, None, None, 1, "") == {}
    with pytest.raises(ValueError, match="Step must be a whole number"):
        batch_tab.show_run(services, run.id, None, None, "")


def test_a_task_shows_targets_that_do_not_count(services: Services) -> None:
    form = preset("modern", block_size=32, n_embd=32).to_dict()
    value = batch_tab.show_text(services, TextSource(corpus="reverse"), form, {"corpus_bytes": 20_000}, 3)
    for row in value["rows"]:
        assert not all(row["counts"]) and any(row["counts"])
        assert all(token >= 0 for token in row["ids"])
    assert value["run"] == "" and "start the training" in value["note"]


def test_the_batch_of_another_is_not_shown(services: Services, trained: Any) -> None:
    hosted = replace(services, public=True)
    with pytest.raises(ValueError, match="Run not found"):
        batch_tab.show_run(hosted, trained.id, 30, 1, "f" * 32)
    assert batch_endpoints.explain_loss(hosted, {"run": trained.id, "visitor": "f" * 32}) == {"error": "Run not found."}
