import json
import re
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, processors

from playground.config import ModelConfig, TrainConfig, usual_rate
from playground.data.documents import NO_ENDS, Text
from playground.data.sources import TextFile, gather
from playground.runs import create, texts
from playground.runs.create import check_memory, create_run, prepare_run
from playground.runs.limits import Limits
from playground.runs.store.run_store import RunStore
from playground.runs.texts import dataset
from playground.tokenizers import import_tokenizer, learn_bpe
from playground.train.dataset import prepare
from playground.train.estimate import estimate
from tests.runs.conftest import MODEL, TEXT, TRAIN

SMALL = {"corpus_bytes": 20_000}


def test_a_prepared_run_has_the_vocabulary_of_its_tokenizer(store: RunStore) -> None:
    prepared = prepare_run("modern", {"n_layer": 2, "vocab_size": 7}, {**SMALL, "steps": 60, "tokenizer": "char"})
    assert prepared.model.vocab_size == prepared.tokenizer.vocab_size < 100
    assert (prepared.model.n_layer, prepared.model.norm, prepared.train.steps) == (2, "rmsnorm", 60)
    run = create_run(store, prepared, owner="me")
    assert run.name == "Modern on Tales"
    assert store.get(run.id, "me").model == prepared.model
    assert run.own_text() is None


def test_an_own_text_is_taken_whole_and_kept(store: RunStore) -> None:
    prepared = prepare_run("classic", {"block_size": 16}, {}, TEXT)
    assert (prepared.train.corpus, prepared.own_text) == ("own", TEXT)
    assert prepared.train.corpus_bytes >= len(TEXT)
    assert create_run(store, prepared, name="mine").own_text() == TEXT


def test_a_text_that_spells_the_end_of_text_token_gets_a_note(tmp_path: Path) -> None:
    note = "<|endoftext|> in this text is read as 13 characters, not as the end of a document. Documents are told apart only"
    path = tmp_path / "text.txt"
    path.write_text(TEXT + "\n<|endoftext|>\n" + TEXT)
    for text in (path.read_text(), gather([path], folder=tmp_path)):
        notes = prepare_run("classic", {"block_size": 16}, {}, text).notes
        assert sum(each.startswith(note) for each in notes) == 1
    assert not any("endoftext" in each for each in prepare_run("classic", {"block_size": 16}, {}, TEXT).notes)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"preset": "vintage"}, "Preset must be one of classic, modern"),
    ({"model_changes": {"n_layer": 0}}, "Layers must be"),
    ({"model_changes": {"n_layer": float("nan")}}, "Layers must be a number. You sent NaN"),
    ({"model_changes": {"width": 3}}, "Unknown setting 'width'"),
    ({"model_changes": {"n_embd": 100, "n_head": 8}}, "not divisible"),
    ({"train_changes": {"steps": "many"}}, "Steps must be a number"),
    ({"train_changes": {"steps": 10}}, "Warm-up"),
    ({"train_changes": {"corpus": "nonsense"}}, "Dataset must be one of"),
    ({"train_changes": {"corpus": "own"}}, "The text is empty"),
    ({"own_text": ""}, "The text is empty"),
    ({"own_text": " \n "}, "The text is empty"),
    ({"own_text": "too short", "model_changes": {"block_size": 64}}, "context length 64 needs at least 65"),
    ({"own_text": TEXT, "train_changes": {"validation_fraction": 0.001}}, "validation part"),
    ({"own_text": "a" * 5000, "train_changes": {"tokenizer": "char"}}, "1 different character;"),
    (
        {"own_text": TEXT, "train_changes": {"tokenizer": "char", "prompt": "Z"}},
        "Prompt 'Z': the text has no 'Z', and the character tokenizer",
    ),
    ({"own_text": "\ud800" * 5000}, "invalid character"),
    ({"train_changes": {"tokenizer": "imported"}}, "no file was given"),
    ({"train_changes": {"tokenizer": "bpe", "corpus": "reverse"}}, "scored letter by letter"),
    ({"train_changes": {"tokenizer": "bpe", "bpe_vocab": 10}}, "BPE vocabulary size must be 256 to 32000"),
    (
        {
            "train_changes": {"tokenizer": "bpe", "bpe_vocab": 32_000, "batch_size": 512},
            "model_changes": {"block_size": 2048},
        },
        "GB are free",
    ),
    ({"memory_limit": 10**8}, "This run needs about 0.[0-9] GB of memory; 0.1 GB is the limit here. Lower the batch"),
    (
        {"model_changes": {"n_layer": 24, "n_embd": 1024, "block_size": 2048}, "train_changes": {"batch_size": 512}},
        "GB are free",
    ),
]


@pytest.mark.parametrize(("wishes", "message"), WRONG)
def test_what_is_wrong_is_said_in_a_sentence(wishes: dict[str, Any], message: str, tmp_path: Path) -> None:
    asked = {"preset": "modern", "cache_dir": tmp_path, **wishes}
    asked["train_changes"] = SMALL | asked.get("train_changes", {})
    with pytest.raises(ValueError, match=message):
        prepare_run(**asked)
    assert list(tmp_path.iterdir()) == []


def test_bpe_is_learned_from_the_text_and_goes_with_the_run(store: RunStore) -> None:
    heard: list[str] = []
    wanted = {**SMALL, "tokenizer": "bpe", "bpe_vocab": 500}
    prepared = prepare_run("modern", {"n_layer": 1}, wanted, learning=lambda share, what: heard.append(what))
    assert prepared.model.vocab_size == prepared.tokenizer.vocab_size == 500
    assert prepared.notes == ("Documents: separated by <|endoftext|>.",)
    assert heard
    run = create_run(store, prepared)
    assert (
        run.tokenizer.encode("Once there was a fox").tolist()
        == prepared.tokenizer.encode("Once there was a fox").tolist()
    )
    file = Tokenizer.from_file(str(run.path / "tokenizer.json"))
    assert file.encode("Once there was a fox").ids == run.tokenizer.encode("Once there was a fox").tolist()


def test_a_vocabulary_that_the_text_cannot_fill_is_told() -> None:
    prepared = prepare_run("modern", {"block_size": 16}, {"tokenizer": "bpe", "bpe_vocab": 9000}, TEXT)
    assert prepared.model.vocab_size < 9000
    assert prepared.notes[0].startswith(f"The vocabulary stopped at {prepared.model.vocab_size:,} of 9,000 tokens")


def test_an_imported_tokenizer_is_used_and_one_that_changes_text_says_so() -> None:
    ours = learn_bpe(TEXT, 300)
    prepared = prepare_run("modern", {"block_size": 16}, {"tokenizer": "imported"}, TEXT, imported=ours)
    assert prepared.tokenizer is ours
    assert prepared.model.vocab_size == ours.vocab_size
    lower = json.loads(ours.json_text) | {"normalizer": {"type": "Lowercase"}}
    changed = prepare_run(
        "modern", {"block_size": 16}, {"tokenizer": "imported"}, TEXT, imported=import_tokenizer(json.dumps(lower))
    )
    said = "This tokenizer changes what it reads in some texts (case, accents or spaces), and so what the model writes."
    lost = any("do not come back" in note for note in changed.notes)
    assert changed.notes[-1] == (said if lost else said + " The validation text of this run comes back unchanged.")
    small = prepare_run(
        "modern", {"block_size": 16}, {"tokenizer": "imported"}, TEXT.lower(),
        imported=import_tokenizer(json.dumps(lower)),
    )  # fmt: skip
    assert small.notes[-1] == said + " The validation text of this run comes back unchanged."


def test_a_run_that_fits_fits() -> None:
    check_memory(MODEL, TRAIN)


def test_a_bad_name_writes_nothing(store: RunStore) -> None:
    prepared = prepare_run("modern", {"block_size": 16}, {}, TEXT)
    with pytest.raises(ValueError, match="1 to 60 printable"):
        create_run(store, prepared, name="a\nb")
    assert store.list() == []


def test_a_full_disk_is_said_and_leaves_nothing(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    prepared = prepare_run("modern", {"block_size": 16}, {}, TEXT)
    monkeypatch.setattr("playground.runs.store.run_store.write_json", full)
    with pytest.raises(ValueError, match="could not be written: No space left on device"):
        create_run(store, prepared)
    assert [path.name for path in store.root.iterdir()] == [".lock"]


def test_the_learning_rate_follows_width_and_optimizer_unless_one_is_given() -> None:
    model = {"n_layer": 1, "n_embd": 256, "block_size": 16}
    wide = prepare_run("modern", model, {}, TEXT)
    assert wide.train.learning_rate == usual_rate("adamw", 256) < TrainConfig().learning_rate
    assert wide.notes == ("The learning rate is 0.0015, the default for this optimizer at embedding size 256.",)
    assert prepare_run("modern", model, {"optimizer": "muon"}, TEXT).train.learning_rate == usual_rate("muon", 256)
    given = prepare_run("modern", model, {"learning_rate": 0.003}, TEXT)
    assert given.train.learning_rate == 0.003 and given.notes == ()
    fixed = prepare_run("modern", model, {}, TEXT, limits=Limits(frozen=("learning_rate",)))
    assert fixed.train.learning_rate == TrainConfig().learning_rate


def own_texts(text: str, n: int = 12) -> Text:
    return Text.joined([f"{text} {number}" for number in range(n)])


@pytest.mark.parametrize(
    ("tokenizer", "chosen", "found", "vocabulary", "note"),
    [
        ("byte", None, "joined", 256, ()),
        ("bpe", None, "separated", 270, ("Documents: separated by <|endoftext|>.",)),
        ("bpe", "joined", "joined", 270, ()),
        ("byte", "separated", "separated", 257, ("Documents: separated by <|endoftext|>.",)),
        ("byte", "isolated", "isolated", 257,
         ("Documents: separated by <|endoftext|>, and no training window reaches into another one.",)),
    ],
)  # fmt: skip
def test_documents_are_kept_apart_as_is_usual_for_the_tokenizer_or_as_chosen(
    store: RunStore, tokenizer: str, chosen: str | None, found: str, vocabulary: int, note: tuple[str, ...]
) -> None:
    asked = {"tokenizer": tokenizer, "bpe_vocab": 270, **({"documents": chosen} if chosen else {})}
    prepared = prepare_run("modern", {"block_size": 16}, asked, own_texts(TEXT))
    assert (prepared.train.documents, prepared.tokenizer.vocab_size, prepared.notes) == (found, vocabulary, note)
    run = create_run(store, prepared, name="apart")
    assert run.train.documents == found
    text = run.own_text()
    assert isinstance(text, Text)
    assert text == own_texts(TEXT)
    assert text.ends.tolist() == own_texts(TEXT).ends.tolist()
    data = dataset(run, None)
    ends = [int((part == run.tokenizer.eos).sum()) for part in (data.train, data.validation)]
    assert sum(ends) == (0 if found == "joined" else 11)
    assert (data.train_windows is not None) == (found == "isolated")


def test_a_single_document_is_joined_whatever_was_chosen() -> None:
    for tokenizer in ("byte", "bpe"):
        asked = {"tokenizer": tokenizer, "bpe_vocab": 270, "documents": "isolated"}
        prepared = prepare_run("modern", {"block_size": 16}, asked, TEXT)
        assert prepared.train.documents == "joined"
        assert prepared.tokenizer.eos is None
        assert prepared.notes == ("This text is a single document, so Documents is joined, not isolated.",)
    assert prepare_run("modern", {"block_size": 16}, {"tokenizer": "bpe", "bpe_vocab": 270}, TEXT).notes == ()


def test_an_imported_tokenizer_separates_by_its_own_token_or_not_at_all() -> None:
    own = own_texts(TEXT)
    asked = {"tokenizer": "imported"}
    lacking = "This tokenizer has no end-of-text token, so Documents is joined, not separated."
    for eos, documents, notes in (
        ("</s>", "separated", ("Documents: separated by </s>.",)), (None, "joined", (lacking,)),
    ):  # fmt: skip
        library = Tokenizer.from_str(learn_bpe(TEXT, 300).json_text)
        library.add_special_tokens(["<s>", *([eos] if eos else [])])
        library.post_processor = processors.TemplateProcessing(
            "<s> $A", special_tokens=[("<s>", library.token_to_id("<s>"))]
        )
        prepared = prepare_run("modern", {"block_size": 16}, asked, own, imported=import_tokenizer(library.to_str()))
        assert (prepared.train.documents, prepared.notes) == (documents, notes)
        tokens = prepare(own, prepared.tokenizer, prepared.model, prepared.train).train
        assert int((tokens == library.token_to_id("<s>")).sum()) == 0, "what the file adds is not trained on"
        assert prepared.tokenizer.encode_prompt("a") == prepared.tokenizer.encode("a").tolist(), "nor read in a prompt"
        if eos:
            assert int((tokens == library.token_to_id(eos)).sum()) > 5


def test_memory_that_is_short_by_little_does_not_read_the_same() -> None:
    need = estimate(ModelConfig(), TrainConfig()).memory_bytes
    with pytest.raises(ValueError, match="memory") as caught:
        check_memory(ModelConfig(), TrainConfig(), need - 1)
    needed, left = re.findall(r"([\d.]+) GB", str(caught.value))
    assert float(needed) > float(left)


def test_a_vocabulary_that_stops_early_names_what_it_was_learned_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a file larger than what BPE learns from, that is its beginning: behind it pairs do occur twice."""
    beginning, rest = "ab " * 1_333, "the cat sat on the mat. " * 400
    path = tmp_path / "text.txt"
    path.write_text(beginning + rest)
    for module in (create, texts):
        monkeypatch.setattr(module, "MAX_BYTES", len(beginning))
    own = TextFile(path, path.stat().st_size, "text.txt", NO_ENDS)
    settings = {"corpus": "own", "tokenizer": "bpe", "bpe_vocab": 500}
    prepared = prepare_run("modern", {"block_size": 16}, settings, own_text=own)
    assert prepared.model.vocab_size < 500
    note = f"no pair of tokens occurs twice any more in the first {len(beginning) / 1e6:g} MB, from which BPE learns."
    assert any(note in each for each in prepared.notes), prepared.notes
