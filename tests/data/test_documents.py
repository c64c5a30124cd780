"""Documents: where they end is known from the source to the tokens, nothing of the text is lost, and windows stay in one."""

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.config import ModelConfig, TrainConfig
from playground.data import corpora, sources, token_file
from playground.data.batches import IGNORED, DocumentWindows, Spread, sample_batch, windows
from playground.data.corpora import check_text, load_text
from playground.data.documents import Text, documents, ends_of, n_documents, read_ends, write_ends
from playground.data.sources import TextFile, gather
from playground.tokenizers import build_tokenizer, decode, import_tokenizer
from playground.train.dataset import prepare, prepare_file, split

DOCUMENT = st.text(alphabet=st.sampled_from("ab é中🦊\n."), max_size=40)
MANY = st.lists(DOCUMENT, min_size=2, max_size=30)


def contents(text: str) -> list[str]:
    return [part for part, _ in documents(text, ends_of(text))]


@given(MANY)
def test_a_text_knows_its_documents(parts: list[str]) -> None:
    text = Text.joined(parts)
    assert text == "\n\n".join(parts)
    assert contents(text) == (parts if parts[-1] else parts[:-1])
    assert n_documents(text.ends, len(text)) == len(contents(text))
    data = text.encode("utf-8")
    again = Text.from_bytes(data, text.byte_ends())
    for same in (
        again,
        copy.deepcopy(text),
        pickle.loads(pickle.dumps(text)),
        Text.from_bytes(data, again.byte_ends()),
    ):
        assert same == text
        assert same.ends.tolist() == text.ends.tolist()
    assert ends_of(text + "!").tolist() == [], "another text is a single document"


@given(MANY, st.floats(0.001, 0.5))
def test_a_split_loses_nothing_even_within_an_empty_line(parts: list[str], fraction: float) -> None:
    text = Text.joined(parts)
    for documents_are in ("joined", "separated"):
        head, tail = split(text, fraction, documents_are)
        assert head + tail == text
        ends = [*ends_of(head).tolist(), *(ends_of(tail) + len(head)).tolist()]
        assert set(ends) <= set(text.ends.tolist())
        assert len(text.ends) - len(ends) <= 1
    assert split(text, fraction) == split(str(text), fraction)


def test_an_end_needs_an_empty_line() -> None:
    with pytest.raises(ValueError, match="without an empty line"):
        Text("a\n\nb", [2])


def test_ends_are_kept_on_disk(tmp_path: Path) -> None:
    assert read_ends(tmp_path / "none").tolist() == []
    write_ends(tmp_path / "ends", np.array([5, 9]))
    assert read_ends(tmp_path / "ends").tolist() == [5, 9]
    whole = (tmp_path / "ends").read_bytes()
    for bad in (whole[:-1], whole[::-1], whole[8:] + whole[:8]):
        (tmp_path / "bad").write_bytes(bad)
        with pytest.raises(ValueError, match="damaged"):
            read_ends(tmp_path / "bad")


def test_tales_are_stories() -> None:
    text = load_text("tales", n_bytes=5_000)
    stories = contents(text)
    assert "".join(f"{story}\n\n" for story in stories) == text
    assert len(stories) > 5
    assert not any("\n" in story for story in stories)
    assert isinstance(check_text(text), Text)


def test_tales_are_split_between_the_same_two_stories_joined_or_not() -> None:
    text = load_text("tales", n_bytes=50_000)
    for fraction in (0.05, 0.1, 0.3):
        tails = [split(text, fraction, documents_are)[1] for documents_are in ("joined", "separated")]
        assert tails[0] == "\n" + tails[1], "but for the line end between them"


def test_tiny_stories_are_stories_whatever_empty_lines_they_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stories = [f"Story {n}.\n\nIt has two paragraphs. {'x' * 90}" for n in range(20)]
    path = tmp_path / "stories.txt"
    path.write_text("\n<|endoftext|>\n".join(stories), "utf-8")
    monkeypatch.setattr(corpora, "fetch", lambda *_, **__: path)
    text = load_text("tiny_stories", cache_dir=tmp_path)
    assert contents(text) == stories
    assert text == "\n\n".join(stories), "as it was without knowing"
    cut = load_text("tiny_stories", n_bytes=1_000, cache_dir=tmp_path)
    assert contents(cut)[:-1] == stories[: len(contents(cut)) - 1]


def rows(path: Path, *texts: str) -> Path:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
    return path


@pytest.mark.parametrize("large", [False, True])
def test_files_and_rows_are_documents(tmp_path: Path, large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if large:
        monkeypatch.setattr(sources, "MAX_BYTES", 10)
    (tmp_path / "a.txt").write_text("one é\n\nstill one\n", "utf-8")
    paths = [tmp_path / "a.txt", rows(tmp_path / "b.jsonl", "two\n\nstill two", "three"), tmp_path / "a.txt"]
    text = gather(paths, folder=tmp_path / "texts")
    assert isinstance(text, TextFile) is large
    if isinstance(text, TextFile):
        text = Text.from_bytes(text.path.read_bytes(), text.ends)
    assert contents(text) == ["one é\n\nstill one", "two\n\nstill two", "three", "one é\n\nstill one\n"]


def test_one_file_is_one_document(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n\nstill one\n", "utf-8")
    assert n_documents(ends_of(gather([tmp_path / "a.txt"])), 15) == 1


# Into tokens


def config(documents: str, **changes: object) -> TrainConfig:
    return TrainConfig.from_dict({"corpus": "own", "documents": documents, "validation_fraction": 0.3, **changes})


SHAPE = ModelConfig(block_size=8, n_layer=1, n_embd=8, n_head=1, n_kv_head=1)
STORIES = Text.joined([f"Story {n} of é and 中, {'long ' * (n % 7)}.\n\nThe end of it." for n in range(60)])


@pytest.mark.parametrize("documents_are", ["separated", "isolated"])
@pytest.mark.parametrize("kind", ["byte", "char", "bpe"])
def test_every_document_by_itself_with_an_end_of_text_token_behind(kind: str, documents_are: str) -> None:
    tokenizer = build_tokenizer(kind, STORIES, vocab_size=300, eos=True)
    data = prepare(STORIES, tokenizer, SHAPE, config(documents_are))
    eos = tokenizer.eos
    assert eos is not None
    both = np.concatenate([data.train, data.validation])
    expected: list[int] = []
    for number, story in enumerate(contents(STORIES)):
        expected += [*tokenizer.encode(story).tolist(), *([eos] if number < 59 else [])]
    assert both.tolist() == expected
    assert decode(tokenizer, both[both != eos].tolist()) == "".join(contents(STORIES))
    assert data.train[-1] == eos, "split between two documents"
    tail = split(STORIES, 0.3, documents_are)[1]
    assert 0.15 < len(tail) / len(STORIES) <= 0.3
    assert data.bits_per_nat == pytest.approx(len(data.validation) / len(tail.encode()) / np.log(2))


def test_joined_is_as_it_always_was() -> None:
    tokenizer = build_tokenizer("byte", "")
    data = prepare(STORIES, tokenizer, SHAPE, config("joined"))
    head, tail = split(str(STORIES), 0.3)
    assert data.train.tobytes() == head.encode()
    assert data.validation.tobytes() == tail.encode()
    assert (data.train_windows, data.validation_windows) == (None, None)


def test_the_same_code_costs_the_same_bits_per_byte_joined_and_separated() -> None:
    """A model that spends b bits on each byte of a story, and on each end what it would on an empty line."""
    tail, tokenizer = STORIES, build_tokenizer("byte", "", eos=True)
    joined = prepare(tail, tokenizer, SHAPE, config("joined"))
    apart = prepare(tail, tokenizer, SHAPE, config("separated"))
    bytes_joined = len(split(tail, 0.3)[1].encode())
    bytes_apart = len(split(tail, 0.3, "separated")[1].encode())
    nats_joined = 2.0 * len(joined.validation)  # 2 nats a byte
    ends = int((apart.validation == 256).sum())
    nats_apart = 2.0 * (len(apart.validation) - ends) + 4.0 * ends
    assert joined.bits_per_nat is not None
    assert apart.bits_per_nat is not None
    assert nats_joined / len(joined.validation) * joined.bits_per_nat == pytest.approx(2 / np.log(2))
    assert nats_apart / len(apart.validation) * apart.bits_per_nat == pytest.approx(2 / np.log(2))
    assert bytes_joined > 0 < bytes_apart


def test_without_an_end_of_text_token_they_cannot_be_kept_apart() -> None:
    with pytest.raises(ValueError, match="Documents is separated, but this tokenizer has no end-of-text token"):
        prepare(STORIES, build_tokenizer("byte", ""), SHAPE, config("separated"))


@given(MANY, st.sampled_from(["separated", "isolated"]), st.sampled_from(["byte", "char", "bpe"]), st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_a_large_file_gives_the_tokens_of_the_text_in_memory(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str], documents_are: str, kind: str, piece: int
) -> None:
    text = Text.joined([*parts, "the last one is not empty " * 3])
    folder = tmp_path_factory.mktemp("documents")
    (folder / "text.txt").write_bytes(text.encode("utf-8"))
    tokenizer = build_tokenizer(kind, text, vocab_size=258, eos=True)
    wanted = prepare(text, tokenizer, SHAPE, config(documents_are))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_file, "_PIECE_BYTES", piece)
        found = prepare_file(
            folder / "text.txt", tokenizer, SHAPE, config(documents_are), folder, ends=text.byte_ends()
        )
    assert found.train.tolist() == wanted.train.tolist()
    assert found.validation.tolist() == wanted.validation.tolist()
    assert found.bits_per_nat == wanted.bits_per_nat
    if documents_are == "isolated":
        assert found.train_windows is not None
        assert wanted.train_windows is not None
        assert found.train_windows.offsets.tolist() == wanted.train_windows.offsets.tolist()


def test_other_ends_are_another_token_file(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(STORIES.encode())
    tokenizer = build_tokenizer("byte", "", eos=True)
    ends, lengths = STORIES.byte_ends(), []
    for documents_are, known in (("separated", ends), ("separated", ends[::2]), ("joined", ends)):
        data = prepare_file(path, tokenizer, SHAPE, config(documents_are), tmp_path, ends=known)
        lengths.append(len(data.train) + len(data.validation))
    n_bytes = len(STORIES.encode())
    assert lengths == [n_bytes - len(ends), n_bytes - len(ends[::2]), n_bytes]  # one token for two line ends


# Windows

EOS = 9
STREAM = st.lists(st.sampled_from([1, 2, 3, EOS]), min_size=2, max_size=80).map(np.array)


@given(STREAM, st.integers(1, 9))
def test_each_token_is_the_target_of_one_window_and_none_sees_another_document(tokens: np.ndarray, size: int) -> None:
    found = DocumentWindows.of(tokens, EOS, size)
    document = np.concatenate(
        [[0], np.cumsum(tokens == EOS)[:-1]]
    )  # of each token; its end-of-text token belongs to it
    x, y = windows(tokens, None, found.offsets, size, found.lengths)
    seen: list[int] = []
    for row, (offset, length) in enumerate(zip(found.offsets, found.lengths, strict=True)):
        places = offset + 1 + np.arange(length)
        seen += places.tolist()
        assert y[row, :length].tolist() == tokens[places].tolist()
        assert (y[row, length:] == IGNORED).all()
        assert x[row, :length].tolist() == tokens[places - 1].tolist()
        assert len(set(document[places].tolist())) == 1
        assert document[offset] == document[places[0]] or tokens[offset] == EOS
    assert sorted(seen) == list(range(1, len(tokens)))


def test_drawn_windows_are_those_of_documents() -> None:
    tokens = np.array([1, 2, 3, EOS, 4, 5, EOS] * 20)
    among = DocumentWindows.of(tokens, EOS, 3)
    x, y = sample_batch(tokens, None, block_size=3, count=50, seed=1, step=2, among=among)
    again, _ = sample_batch(tokens, None, block_size=3, count=50, seed=1, step=2, among=among)
    assert (x == again).all()
    rows_found = {tuple(row) for row in y.tolist()}
    assert rows_found <= {(2, 3, EOS), (1, 2, 3), (EOS, IGNORED, IGNORED), (4, 5, EOS)}
    spread = Spread.of(len(tokens), 3, 30, among)
    assert spread.lengths is not None
    assert abs(int(spread.lengths.sum()) - 30) <= 3
    assert sum(len(part.offsets) for part in spread.split(4)) == len(spread.offsets)


@pytest.mark.parametrize("lower", [False, True])
def test_what_a_tokenizer_loses_is_known_of_documents_too(lower: bool, tmp_path: Path) -> None:
    values = build_tokenizer("bpe", STORIES, vocab_size=300, eos=True).to_dict()
    tokenizer = import_tokenizer(json.dumps(values | {"normalizer": {"type": "Lowercase" if lower else "NFC"}}))
    held = prepare(STORIES, tokenizer, SHAPE, config("separated"))
    path = tmp_path / "text.txt"
    path.write_bytes(STORIES.encode("utf-8"))
    mapped = prepare_file(path, tokenizer, SHAPE, config("separated"), tmp_path, ends=STORIES.byte_ends())
    assert (held.bits_per_nat is None, mapped.bits_per_nat is None) == (lower, lower)
    assert held.lost == mapped.lost
    assert (held.lost > 0) == lower
    assert held.train.tolist() == mapped.train.tolist()
