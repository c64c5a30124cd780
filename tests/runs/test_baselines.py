"""What counting reaches on a run's text: the right text, the right part of it, once, and never in the run's way."""

import json
import math
from pathlib import Path

import pytest

from playground.data.ngram import ngram_bits_per_byte
from playground.data.tasks import task_text
from playground.runs import baselines
from playground.runs.curves import Curves
from playground.runs.gallery import publish
from playground.runs.store.paths import gallery_root
from playground.runs.store.run_store import RunStore
from playground.runs.worker.execution import execute
from playground.tokenizers import build_tokenizer
from playground.train.dataset import split
from tests.data.test_ngram import brute_force
from tests.runs.conftest import MODEL, TEXT, TRAIN, MakeRun

NAMES = ["unigram", "bigram", "trigram", "4-gram", "5-gram"]


def test_a_trained_run_has_the_numbers_of_a_brute_force_count(
    make_run: MakeRun, store: RunStore, tmp_path: Path
) -> None:
    run = make_run()
    assert baselines.read(run.path) is None
    curves = Curves(store)
    first = curves.since(run)
    assert first["baselines"] is None
    execute(run, cache_dir=tmp_path)
    head, tail = (part.encode() for part in split(TEXT, TRAIN.validation_fraction))
    found = baselines.read(run.path)
    assert found is not None and list(found) == NAMES
    for order, name in enumerate(NAMES, 1):
        assert found[name] == pytest.approx(brute_force(head, tail, order), abs=1e-6)
    again = Curves(store).since(run, first["cursor"])
    assert again["baselines"] == found
    folder = publish(run, store.gallery, name="shown", run_id="0" * 32)  # type: ignore[arg-type]
    assert baselines.read(folder) == found


def test_the_gallery_has_them() -> None:
    runs = [path for path in gallery_root().iterdir() if (path / "run.json").exists()]
    assert runs
    for path in runs:
        found = baselines.read(path)
        assert found is not None
        if json.loads((path / "run.json").read_text())["train"]["corpus"] == "tales":  # random letters follow no n-gram
            assert list(found.values()) == sorted(found.values(), reverse=True)


def test_counted_once_per_text(make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = baselines.compute(make_run(name="one"), tmp_path)
    monkeypatch.setattr(baselines, "ngram_entropies", None)  # counting again would fail
    assert baselines.compute(make_run(name="two"), tmp_path) == first
    with pytest.raises(TypeError):
        baselines.compute(make_run(name="three", validation_fraction=0.3), tmp_path)


def test_of_a_strangers_text_nothing_is_put_into_the_cache(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(owner="secret")
    baselines.compute(run, tmp_path / "cache")
    assert baselines.read(run.path) is not None
    assert not (tmp_path / "cache").exists()


def test_of_a_task_only_the_answers_count(store: RunStore) -> None:
    train = TRAIN.replace(corpus="copy", corpus_bytes=20_000)
    run = store.create(MODEL, train, build_tokenizer("byte", ""), name="task", preset="modern")
    found = baselines.compute(run, None)
    whole = {name: ngram_bits_per_byte(*(p.encode() for p in split(task_text("copy", 20_000), 0.1)), order)
             for order, name in enumerate(NAMES, 1)}  # fmt: skip
    # Random letters cannot be foretold; in a copy they can, a little, by where the line ends.
    assert found["5-gram"] < whole["5-gram"]
    assert found["unigram"] == pytest.approx(math.log2(26), abs=1.0)


@pytest.mark.parametrize("start", [0, 1_000])
def test_of_a_large_text_evenly_spread_pieces_are_counted(tmp_path: Path, start: int) -> None:
    data = bytes(range(256)) * 100
    path = tmp_path / "text"
    path.write_bytes(bytes(start) + data + bytes(7))
    part = baselines.sample(data, 3200)
    assert len(part) == 3200
    assert part[:200] == data[:200] and part[-200:] == data[-200:]
    assert part == baselines.sample_file(path, start, start + len(data), 3200)
    assert data == baselines.sample(data, len(data)) == baselines.sample_file(path, start, start + len(data), 10**6)


def test_a_run_that_cannot_be_counted_trains_all_the_same(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no text")

    monkeypatch.setattr(baselines, "parts", broken)
    run = make_run()
    assert execute(run).state == "finished"
    assert baselines.read(run.path) is None
    assert "baselines: ValueError('no text')" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": 2}', b'{"format": 1, "bits_per_byte": [1]}'])
def test_a_damaged_file_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / baselines.FILE).write_bytes(content)
    assert baselines.read(tmp_path) is None
