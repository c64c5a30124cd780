"""A run's text on its way to the trainer: mapped from a file or held in memory, the numbers are the same."""

from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models

from playground.config import preset
from playground.data import sources, token_file
from playground.data.sources import TextFile, gather
from playground.data.tasks import answer_mask, task_text
from playground.runs import comparable, create
from playground.runs.create import create_run, prepare_run
from playground.runs.store import status
from playground.runs.store.files import read_json, write_json
from playground.runs.store.run_store import Run, RunStore
from playground.runs.texts import dataset, fitted_tokenizer
from playground.runs.worker.execution import execute
from playground.tokenizers import build_tokenizer, import_tokenizer
from playground.train.dataset import prepare
from playground.train.events import Evaluated, StepDone
from playground.train.trainer import TrainState, train
from tests.runs.conftest import MODEL, TEXT, TRAIN, MakeRun


def numbers(events: Any) -> list[tuple[float, ...]]:
    """What may not differ between two ways to the same run."""
    found: list[tuple[float, ...]] = []
    for event in events:
        match event:
            case StepDone():
                found.append((event.step, event.tokens, event.loss, event.grad_norm))
            case Evaluated():
                found.append((event.step, event.loss, event.accuracy))
    return found


def trained(run: Run, cache_dir: Path | None) -> list[tuple[float, ...]]:
    events: list[Any] = []
    assert execute(run, cache_dir=cache_dir, watch=events.append).state == "finished"
    return numbers(events)


@pytest.fixture
def tiny_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on 1,000 bytes are too large to hold."""
    for module in (sources, create):
        monkeypatch.setattr(module, "MAX_BYTES", 1_000)
    monkeypatch.setattr(token_file, "_PIECE_BYTES", 500)


@pytest.mark.parametrize("cached", [True, False])
def test_mapped_and_held_texts_train_bit_for_bit_alike(make_run: MakeRun, tmp_path: Path, cached: bool) -> None:
    run = make_run()
    tokenizer = build_tokenizer("byte", TEXT)
    held = prepare(TEXT, tokenizer, MODEL, TRAIN)
    in_memory = numbers(train(TrainState.new(MODEL, TRAIN), held, TRAIN, tokenizer))
    assert trained(run, tmp_path / "cache" if cached else None) == in_memory
    assert (run.path / "tokens").exists() is not cached
    assert (tmp_path / "cache" / "tokens").exists() is cached


def test_a_task_run_from_before_versions_keeps_its_text_its_targets_and_its_numbers(store: RunStore) -> None:
    """Its file has no `task_version`: the text is one stream, cut in two, and flags say what a target is."""
    train_config = TRAIN.replace(corpus="copy", corpus_bytes=4_000, task_version=1)
    run = store.create(MODEL, train_config, build_tokenizer("byte", ""), name="older", preset="modern")
    values = read_json(run.path / "run.json")
    assert values is not None
    del values["train"]["task_version"]
    write_json(run.path / "run.json", values)
    run = store.get(run.id)
    assert run.train == train_config
    data, text = dataset(run, None), task_text("copy", 4_000)
    assert bytes(data.train.tolist() + data.validation.tolist()).decode() == text
    assert data.train_mask is not None
    assert data.train_mask.tolist() == answer_mask("copy", text)[: len(data.train)].tolist()
    newer = store.create(
        MODEL, train_config.replace(task_version=2), build_tokenizer("byte", ""), name="newer", preset="modern"
    )
    data = dataset(newer, None)
    assert not {*bytes(data.train.tolist()).split()} & {*bytes(data.validation.tolist()).split()}
    assert comparable.text_of(newer) != comparable.text_of(run)


def test_the_tokens_of_a_strangers_text_go_with_their_run(store: RunStore, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(owner="a visitor's secret")
    dataset(run, tmp_path / "cache")
    assert (run.path / "tokens").exists() and not (tmp_path / "cache").exists()
    store.delete(run.id, "a visitor's secret")
    assert not run.path.exists()


@pytest.mark.usefixtures("tiny_limits")
@pytest.mark.parametrize("kind", ["byte", "char", "bpe"])
def test_a_large_text_is_linked_prepared_and_trained_on(store: RunStore, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "mine.txt"
    path.write_text(TEXT)
    text = gather([path], folder=tmp_path / "cache" / "texts")
    assert isinstance(text, TextFile)
    wishes = {name: value for name, value in TRAIN.to_dict().items() if name not in ("corpus", "corpus_bytes")}
    model = {"n_layer": 1, "n_embd": 16, "n_head": 2, "n_kv_head": 1, "block_size": 16}
    prepared = prepare_run("modern", model, {**wishes, "tokenizer": kind}, text)
    assert (prepared.train.corpus, prepared.train.corpus_bytes) == ("own", len(TEXT))
    assert prepared.default_name == "Modern on mine.txt"
    run = create_run(store, prepared)
    assert run.text_path is not None and run.text_path.samefile(text.path)
    mapped = trained(run, tmp_path / "cache")

    tokenizer = build_tokenizer(kind, TEXT, vocab_size=prepared.train.bpe_vocab)
    assert tokenizer.to_dict() == prepared.tokenizer.to_dict()
    data = prepare(TEXT, tokenizer, prepared.model, prepared.train)
    in_memory = train(TrainState.new(prepared.model, prepared.train), data, prepared.train, tokenizer)
    assert mapped == numbers(in_memory)
    store.delete(run.id)
    assert text.path.exists()


def test_characters_are_collected_from_the_whole_of_a_large_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(token_file, "_PIECE_BYTES", 3)
    path = tmp_path / "text.txt"
    path.write_text("abc é中🦊\n" * 20, "utf-8")
    whole = path.read_text("utf-8")
    config = TRAIN.replace(tokenizer="char", corpus_bytes=2_000)
    assert fitted_tokenizer(config, path).to_dict() == build_tokenizer("char", whole).to_dict()
    path.write_text("abc é中🦊\n" + "a" * 986 + "Z", "utf-8")
    short = fitted_tokenizer(config.replace(corpus_bytes=1_000), path)
    assert short.to_dict() == build_tokenizer("char", "abc é中🦊\n").to_dict()
    assert fitted_tokenizer(TRAIN, path).name == "byte"
    bpe = fitted_tokenizer(config.replace(tokenizer="bpe", bpe_vocab=260), path)
    assert bpe.to_dict() == build_tokenizer("bpe", path.read_text("utf-8"), vocab_size=260).to_dict()


def test_asked_to_stop_while_the_text_is_prepared(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run()
    for asked, state in (("pause", "paused"), ("stop", "stopped")):
        status.request(run.path, asked)
        ending = execute(run, cache_dir=tmp_path)
        assert (ending.state, ending.message) == (state, "The dataset was not prepared yet.")
        assert list((tmp_path / "tokens").iterdir()) == []
    assert execute(run, cache_dir=tmp_path).state == "finished"


def test_how_far_it_is_is_said_and_then_no_longer(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(steps=3)
    told: list[str] = []
    real = status.declare
    monkeypatch.setattr(token_file, "_PIECE_BYTES", 500)
    clock = iter(range(10**6))
    monkeypatch.setattr("playground.runs.worker.execution.time.monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(status, "declare", lambda folder, now: (told.append(now.message), real(folder, now)))
    execute(run, cache_dir=tmp_path)
    assert "Preparing the dataset: 0 of 0 MB." in told
    assert told[-2:] == ["", ""]


def test_an_imported_model_has_no_text(store: RunStore) -> None:
    train = TRAIN.replace(corpus="unknown text")
    run = store.create(MODEL, train, build_tokenizer("byte", ""), name="imported", preset="")
    with pytest.raises(ValueError, match="was trained on is not here"):
        dataset(run, None)


def test_a_text_whose_tokens_are_too_few_ends_with_a_sentence(store: RunStore, tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("short\n" * 4)
    run = store.create(
        preset("modern", block_size=64), TRAIN, build_tokenizer("byte", ""), name="a", preset="modern",
        own_text=tmp_path / "t.txt",
    )  # fmt: skip
    ending = execute(run, cache_dir=tmp_path)
    assert ending.state == "failed"
    assert ending.message.endswith("context length 64 needs at least 65. Add text.")


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("w" * 400, "Lower the context length or add text."),
        ("w" * 30, "Add text."),  # no context is so short
        ("unknown " * 500, "The tokenizer does not know 100% of its characters: choose another tokenizer or text."),
    ],
)
def test_the_remedy_for_too_few_tokens_is_one_that_helps(text: str, remedy: str) -> None:
    library = Tokenizer(models.BPE({"w": 0, "v": 1}, []))  # what it does not know it drops
    model = preset("modern", block_size=64, vocab_size=2)
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message follows
        prepare(text.replace("w", "") if "un" in text else text, import_tokenizer(library.to_str()), model, TRAIN)
    assert str(caught.value).endswith(remedy)
