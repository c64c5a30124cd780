"""Search finds what was planted, n-grams are TF-IDF as written out, and the comparison is counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from playground.analysis.semantic_search import (
    Corpus,
    Index,
    NGrams,
    Passage,
    Trial,
    build_index,
    in_words,
    passages_of,
    right_pairs,
    same_document,
    search,
    similarity_map,
)
from playground.config import preset
from playground.data.tales import tales
from playground.interp.activations import streams
from playground.models.transformer import Transformer, initialise
from playground.tokenizers import build_tokenizer

BYTES = build_tokenizer("byte", "")
PLANTED = "A purple zebra jumped over the quiet quartz mine."


@pytest.fixture(scope="module")
def model() -> Transformer:
    shape = {"vocab_size": 256, "block_size": 64, "n_layer": 2, "n_embd": 32, "n_head": 2}
    return initialise(Transformer(preset("modern", **shape)), 5).eval().requires_grad_(False)


def test_passages_keep_their_documents_and_lose_nothing():
    text = tales(20_000)
    passages = passages_of(text, 10_000)
    joined = " ".join(passage.text for passage in passages)
    kept = len(joined.split()) / len(text.split())
    assert kept > 0.98, "only what is shorter than a passage at a document's end is dropped"
    stories = text.split("\n\n")
    assert all(passage.text in stories[passage.document] for passage in passages)
    assert all(25 <= len(passage.text) <= 300 for passage in passages)
    assert passages_of(text, 7) == passages[:7]
    assert [one.text for one in passages_of("for i in range(100):\n    print('hello', i)\n    print(i)\n", 9)]
    assert passages_of("", 5) == passages_of(" \n\n \n", 5) == []


@pytest.mark.parametrize("depth", [0, 2])
def test_a_planted_passage_is_found_by_both(model, depth):
    passages = [*passages_of(tales(15_000), 100), Passage(PLANTED, 9_999)]
    index = build_index(model, BYTES, Corpus(passages), depth)
    found = search(index, model, BYTES, PLANTED)
    for hits in (found.model, found.ngrams):
        assert hits[0].index == len(passages) - 1
        assert hits[0].score == pytest.approx(1, abs=1e-5)
        assert hits[0].other == 1
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    by_index = {hit.index: place for place, hit in enumerate(found.ngrams, start=1)}
    assert all(by_index.get(hit.index, hit.other) == hit.other for hit in found.model)


def test_ngrams_are_tf_idf_written_out():
    texts = ["aba ab", "abc", "xyz xyz xyz"]
    found, n = NGrams(texts).scores("aba"), len(texts)

    def grams(text: str) -> list[str]:
        text = f" {text} "
        return [text[i : i + size] for size in (3, 4, 5) for i in range(len(text) - size + 1)]

    vocabulary = sorted({gram for text in [*texts, "aba"] for gram in grams(text)})
    holding = {gram: sum(gram in grams(text) for text in texts) for gram in vocabulary}

    def vector(text: str) -> np.ndarray:
        counts = [grams(text).count(gram) for gram in vocabulary]
        weights = [
            (1 + math.log(count)) * (1 + math.log((1 + n) / (1 + holding[gram]))) if count else 0
            for count, gram in zip(counts, vocabulary, strict=True)
        ]
        return np.array(weights)

    query = vector("aba")
    expected = [query @ vector(text) / np.linalg.norm(query) / np.linalg.norm(vector(text)) for text in texts]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_same_document_is_counted_right():
    """Vectors that know the document, letters that do not, and the other way round."""
    rng = np.random.default_rng(0)
    texts = [f"{rng.bytes(30).hex()} {i}" for i in range(40)]
    passages = tuple(Passage(text, i // 2) for i, text in enumerate(texts))
    knowing = np.repeat(rng.normal(size=(20, 16)), 2, axis=0) + 0.01 * rng.normal(size=(40, 16))
    trial = same_document(Index(Corpus(passages), 0, knowing, np.zeros(16)))
    assert trial is not None
    assert (trial.n, trial.model, trial.model_error) == (20, 1, 0)
    assert abs(trial.ngrams - 0.5) < 4 * trial.ngrams_error
    assert "The model is better than n-grams here." in in_words(trial)
    alike = [f"{texts[i - i % 2]} {i}" for i in range(40)]
    other = Corpus([Passage(text, i // 2) for i, text in enumerate(alike)])
    lost = same_document(Index(other, 0, rng.normal(size=(40, 16)), np.zeros(16)))
    assert lost is not None
    assert lost.ngrams == 1
    assert abs(lost.model - 0.5) < 4 * lost.model_error
    assert lost.difference == pytest.approx(lost.model - 1)
    assert "N-grams are better than the model" in in_words(lost)
    assert same_document(Index(Corpus(passages[:8]), 0, knowing[:8], np.zeros(16))) is None
    assert "no advantage of the model" in in_words(Trial(50, 0.6, 0.02, 0.58, 0.02, 0.02, 0.02))
    assert "not clearly better than chance" in in_words(Trial(50, 0.52, 0.02, 0.42, 0.02, 0.1, 0.02))
    assert "no advantage of the model" in in_words(Trial(1, 0.9, float("nan"), 0.4, float("nan"), 0.5, float("nan")))


def test_right_pairs_are_counted_one_by_one():
    rng = np.random.default_rng(7)
    scores, same = rng.integers(0, 6, 30).astype(float), rng.random(30) < 0.3
    pairs = [(a, b) for a in scores[same] for b in scores[~same]]
    assert right_pairs(scores, same) == pytest.approx(np.mean([(a > b) + (a == b) / 2 for a, b in pairs]))


def test_a_similarity_map_is_cosines_of_means(model):
    lines = ["the cat sat", "a dog ran home", "the cat sat"]
    found, letters = similarity_map(model, BYTES, lines, 1, None)
    means = [streams(model, np.array([list(line.encode())]), [1])[0, 0].double().mean(0).numpy() for line in lines]
    expected = [[a @ b / np.sqrt((a @ a) * (b @ b)) for b in means] for a in means]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(np.diag(letters), 1)
    np.testing.assert_allclose(letters, letters.T)
    assert letters[0, 2] == pytest.approx(1)
    assert letters[0, 1] < 0.2
    centre = np.mean(means, axis=0)
    centred, _ = similarity_map(model, BYTES, lines, 1, centre)
    assert centred[0, 1] < found[0, 1]


def test_nothing_to_search_in_is_said():
    with pytest.raises(ValueError, match="fewer than two passages"):
        Corpus([Passage("alone", 0)])
