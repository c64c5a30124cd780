"""Token files against encoding in memory: the same tokens, the same split, whatever the text and wherever it is cut."""

import json
import os
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.config import ModelConfig, TrainConfig
from playground.data import token_file as module
from playground.data.batches import sample_batch, windows
from playground.data.corpora import load_text
from playground.data.token_file import encoded, key_of, survey, token_file, token_type
from playground.tokenizers import Tokenizer, build_tokenizer, encode_pieces, learn_bpe
from playground.train.dataset import prepare, prepare_file, split

TEXT = st.text(alphabet=st.sampled_from("ab é中🦊\n\t \u00a0.'1"), max_size=300)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PIECE_BYTES", 5)


@given(TEXT, st.sampled_from([0.001, 0.1, 0.3, 0.5]), st.integers(1, 400), st.integers(1, 9))
@settings(max_examples=400, deadline=None)
def test_the_split_is_that_of_the_text_in_memory(
    tmp_path_factory: pytest.TempPathFactory, text: str, fraction: float, n_bytes: int, piece: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "survey.txt"
    path.write_bytes(text.encode("utf-8"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PIECE_BYTES", piece)
        parts = survey(path, n_bytes, fraction)
    data = text.encode("utf-8")
    line = data.rfind(b"\n", 0, n_bytes) + 1  # as data.corpora cuts
    kept = text if len(data) <= n_bytes else data[: line or n_bytes].decode("utf-8", errors="ignore")
    head, tail = split(kept, fraction)
    assert data[: parts.cut].decode("utf-8") == head
    assert data[parts.cut : parts.end].decode("utf-8") == tail


LEARNED = learn_bpe(load_text("tales", n_bytes=20_000), 400)


@given(TEXT, st.integers(1, 40), st.sampled_from([LEARNED, build_tokenizer("byte", "")]))
@settings(max_examples=300, deadline=None)
def test_pieces_give_the_tokens_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory, text: str, piece: int, tokenizer: Tokenizer
) -> None:
    path = tmp_path_factory.getbasetemp() / "pieces.txt"
    path.write_bytes(text.encode("utf-8"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PIECE_BYTES", piece)
        made = [ids for ids, _ in encoded(path, 0, path.stat().st_size, partial(encode_pieces, tokenizer))]
    assert np.array_equal(np.concatenate([*made, np.empty(0, np.uint16)]), tokenizer.encode(text))


@pytest.mark.parametrize("line", ["é", "a", "中", "1", "é1", "\u3000", "a-"])
def test_a_text_without_blanks_is_cut_where_no_token_is(
    tmp_path: Path, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PIECE_BYTES", 300)
    path, text = tmp_path / "line.txt", line * 3_001
    path.write_text(text, "utf-8")
    made = [ids for ids, _ in encoded(path, 0, path.stat().st_size, partial(encode_pieces, LEARNED))]
    assert len(made) > 4
    assert np.array_equal(np.concatenate(made), LEARNED.encode(text))


@pytest.mark.parametrize("kind", ["byte", "char", "bpe"])
def test_a_file_gives_the_very_same_dataset_and_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(module, "_PIECE_BYTES", 1000)
    text = load_text("tales", n_bytes=60_000) + "Ünïcödé 中文 🦊\n" * 300
    path = tmp_path / "text.txt"
    path.write_bytes(text.encode("utf-8"))
    model, config = ModelConfig(block_size=32), TrainConfig(corpus="own", corpus_bytes=62_000, seed=5)
    tokenizer = build_tokenizer(kind, text)
    held = prepare(load_text("own", n_bytes=62_000, own_text=text), tokenizer, model, config)
    mapped = prepare_file(path, tokenizer, model, config, tmp_path / "tokens")
    assert isinstance(mapped.train, np.memmap) and mapped.train.dtype == (np.uint16 if kind == "bpe" else np.uint8)
    assert np.array_equal(held.train, mapped.train) and np.array_equal(held.validation, mapped.validation)
    assert (held.bits_per_nat, held.prompt, held.task) == (mapped.bits_per_nat, mapped.prompt, mapped.task)
    for step in (1, 7):
        for a, b in zip(
            *(sample_batch(data.train, None, block_size=32, count=4, seed=5, step=step) for data in (held, mapped)),
            strict=True,
        ):
            assert a.dtype == b.dtype and bool((a == b).all())


def make(path: Path, folder: Path, encode=None, **changes: object):
    def each(parts: Iterable[str]) -> Iterator[tuple[str, np.ndarray]]:
        return ((part, (encode or build_tokenizer("byte", "").encode)(part)) for part in parts)

    parts = survey(path, 10**9, 0.1)
    return token_file(path, parts, each, 256, {"name": "byte", **changes}, folder)


def test_made_once_and_again_when_damaged(tmp_path: Path) -> None:
    path, folder = tmp_path / "text.txt", tmp_path / "tokens"
    path.write_text("some words\n" * 100)
    calls = []

    def encode(text: str) -> np.ndarray:
        calls.append(text)
        return build_tokenizer("byte", "").encode(text)

    first = make(path, folder, encode)
    assert "".join(calls) == path.read_text()
    again = make(path, folder, encode)
    assert "".join(calls) == path.read_text()
    assert np.array_equal(first.train, again.train)
    (home,) = folder.iterdir()
    whole = np.frombuffer(path.read_bytes(), np.uint8)
    damages = [("tokens.bin", b"short"), ("tokens.json", b"{"), ("tokens.json", json.dumps({"train": 1}).encode())]
    for name, content in damages:
        calls.clear()
        (home / name).unlink()
        (home / name).write_bytes(content)
        mended = make(path, folder, encode)
        assert np.array_equal(np.concatenate([mended.train, mended.validation]), whole)
        assert calls, name


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    path, folder = tmp_path / "text.txt", tmp_path / "tokens"
    path.write_text("some words\n" * 100)

    def broken(text: str) -> np.ndarray:
        raise ValueError("This model has never seen 'x'.")

    with pytest.raises(ValueError, match="never seen"):
        make(path, folder, broken)
    assert list(folder.iterdir()) == []
    folder.rmdir()
    folder.write_text("in the way")
    with pytest.raises(ValueError, match="tokens of this text could not be stored"):
        make(path, folder)


def test_those_used_last_are_kept(tmp_path: Path) -> None:
    path, folder = tmp_path / "text.txt", tmp_path / "tokens"
    path.write_text("some words\n" * 100)
    for n in range(module.KEPT):
        make(path, folder, number=n)
    for age, n in enumerate(reversed(range(module.KEPT))):
        os.utime(folder / key_of(survey(path, 10**9, 0.1), {"name": "byte", "number": n}), (1e9 - age, 1e9 - age))
    make(path, folder, number=0)  # used again, so the oldest is number 1
    make(path, folder, number="new")
    kept = {home.name for home in folder.iterdir()}
    assert len(kept) == module.KEPT
    assert key_of(survey(path, 10**9, 0.1), {"name": "byte", "number": 0}) in kept
    assert key_of(survey(path, 10**9, 0.1), {"name": "byte", "number": 1}) not in kept


def test_another_text_split_or_tokenizer_is_another_file(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_text("some words\n" * 100)
    keys = {
        key_of(survey(path, size, share), {"name": kind})
        for size in (500, 900)
        for share in (0.1, 0.2)
        for kind in "ab"
    }
    path.write_text("some Words\n" * 100)
    keys.add(key_of(survey(path, 500, 0.1), {"name": "a"}))
    assert len(keys) == 9


def test_the_smallest_type_that_fits() -> None:
    assert [token_type(size).name for size in (2, 256, 257, 65_536, 65_537)] == [
        "uint8",
        "uint8",
        "uint16",
        "uint16",
        "uint32",
    ]


def test_reading_a_mapped_file_keeps_none_of_it_in_memory(tmp_path: Path) -> None:
    """After a batch from all over a file of 64 MB, none of its pages counts as ours."""
    smaps = Path("/proc/self/smaps")
    if not smaps.exists():
        pytest.skip("needs Linux's /proc")
    path = tmp_path / "tokens.bin"
    path.write_bytes(bytes(64 << 20))
    tokens = np.memmap(path, np.uint8, mode="r")
    windows(tokens, None, np.arange(0, len(tokens) - 4096, 4096), 64)
    lines = smaps.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.endswith("tokens.bin"))
    resident = next(line for line in lines[at:] if line.startswith("Rss:"))
    assert int(resident.split()[1]) < 1024  # kB
