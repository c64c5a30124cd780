"""Principal components and cosines against float64 formulas, analogies on planted vectors."""

from __future__ import annotations

import numpy as np
import pytest

from playground.config import preset
from playground.interp.activations import kind_of, passage_means, streams, text_of, text_windows
from playground.interp.embeddings import (
    Vectors,
    analogy,
    capital_analogies,
    cosines,
    neighbours,
    principal_axes,
    token_vectors,
    turned_onto,
    word_vectors,
)
from playground.models.transformer import Transformer, initialise
from playground.tokenizers import build_tokenizer

TEXT = "the cat sat on the mat and the dog sat on the log. " * 40


def tiny(**changes) -> Transformer:
    shape = {"vocab_size": 256, "block_size": 32, "n_layer": 2, "n_embd": 16, "n_head": 2, **changes}
    return initialise(Transformer(preset("modern", **shape)), 5).eval().requires_grad_(False)


def named(names: str, matrix: np.ndarray) -> Vectors:
    return Vectors(tuple(names), matrix, np.ones(len(names), int))


def test_axes_are_the_eigenvectors_of_the_covariance():
    points = np.random.default_rng(0).normal(size=(60, 8)) * np.arange(1, 9)
    axes = principal_axes(points, 3)
    centred = points - points.mean(0)
    values, vectors = np.linalg.eigh(centred.T @ centred)
    np.testing.assert_allclose(axes.shares, values[::-1][:3] / values.sum(), rtol=1e-10)
    np.testing.assert_allclose(np.abs(np.sum(axes.directions * vectors[:, ::-1].T[:3], axis=1)), 1, rtol=1e-8)
    np.testing.assert_allclose(axes.place(points), centred @ axes.directions.T)
    assert (axes.directions[np.arange(3), np.abs(axes.directions).argmax(1)] > 0).all()


def test_axes_do_not_depend_on_the_sign_that_an_svd_happens_to_choose():
    points = np.random.default_rng(1).normal(size=(30, 5))
    first, mirrored = principal_axes(points), principal_axes(points[::-1])
    np.testing.assert_allclose(first.directions, mirrored.directions, atol=1e-9)


def test_turning_undoes_a_flip_and_keeps_distances():
    rng = np.random.default_rng(2)
    reference = rng.normal(size=(20, 3))
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    np.testing.assert_allclose(turned_onto(reference @ turn, reference), reference, atol=1e-10)
    other = rng.normal(size=(20, 3))
    turned = turned_onto(other, reference)
    np.testing.assert_allclose(cosines(turned), cosines(other), atol=1e-10)
    assert np.linalg.norm(turned - reference) <= np.linalg.norm(other - reference)


def test_cosines_are_those_of_float64():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(4, 7)), rng.normal(size=(5, 7))
    expected = [[x @ y / np.sqrt((x @ x) * (y @ y)) for y in b] for x in a]
    np.testing.assert_allclose(cosines(a, b), expected, rtol=1e-12)
    assert cosines(np.zeros((1, 7)), b).tolist() == [[0] * 5], "a vector of zeros is near nobody"
    listed = neighbours(named("abcd", a), 0, 2)
    own = sorted(range(1, 4), key=lambda i: -(a[0] @ a[i]) / np.linalg.norm(a[i]))[:2]
    assert [i for i, _ in listed] == own
    np.testing.assert_allclose([cosine for _, cosine in listed], cosines(a)[0, own])


def test_planted_capitals_are_solved_and_random_ones_are_not():
    rng = np.random.default_rng(4)
    letters = rng.normal(size=(6, 40))
    offset = rng.normal(size=40)
    planted = named("abcdefABCDEF", np.concatenate((letters, letters + offset)))
    test = capital_analogies(planted)
    assert test is not None
    assert (test.n, test.right, test.candidates) == (30, 30, 9)
    random = capital_analogies(named("abcdefABCDEF", rng.normal(size=(12, 40))))
    assert random is not None
    assert random.right < 15
    assert capital_analogies(named("abAB", rng.normal(size=(4, 8)))) is None
    one = analogy(planted, 0, 6, 1, 7)
    assert (one.rank, one.ranked[0][0]) == (1, 7)
    assert one.raw in range(12)


def test_a_failing_analogy_says_which_place_the_answer_took():
    matrix = np.eye(6)
    found = analogy(named("abcdef", matrix), 0, 1, 2, 5)
    assert 1 <= found.rank <= 3
    assert found.ranked[found.rank - 1][0] == 5
    assert analogy(named("abcdef", matrix), 0, 1, 2, 1).rank is None, "one of the three cannot be the answer"


def test_a_name_that_is_not_there_is_refused_with_some_that_are():
    vectors = named("abc", np.eye(3))
    assert vectors.find(" b ") == 1
    with pytest.raises(ValueError, match=r"“zebra” is not among the 3 vectors shown.*such as: a b c\.$"):
        vectors.find("zebra")


def test_tokens_come_by_how_often_they_occur():
    model, tokenizer = tiny(), build_tokenizer("byte", TEXT)
    vectors = token_vectors(model, tokenizer, tokenizer.encode(TEXT), 5)
    assert vectors.names == (" ", "t", "o", "a", "n")[:1] + vectors.names[1:]
    assert (np.diff(vectors.counts) <= 0).all()
    for name, row, count in zip(vectors.names, vectors.matrix, vectors.counts, strict=True):
        np.testing.assert_allclose(row, model.embed.weight[ord(name)].double())
        assert count == TEXT.count(name)
    assert len(token_vectors(model, tokenizer, tokenizer.encode("abca"), 50).names) == 3
    assert len(token_vectors(model, tokenizer, None, 50).names) == 50


@pytest.mark.parametrize("kind", ["byte", "bpe"])
def test_a_word_is_the_mean_of_what_stands_at_its_last_letter(kind):
    tokenizer = build_tokenizer(kind, TEXT, vocab_size=270)
    model = tiny(vocab_size=tokenizer.vocab_size)
    sequences = text_windows(tokenizer.encode(TEXT), 32, 400)
    vectors = word_vectors(model, tokenizer, sequences, 1, 50)
    hidden = streams(model, sequences, [1])[0].double().numpy()
    expected, count = np.zeros(16), 0
    for row, ids in enumerate(sequences):
        text, ends = text_of(tokenizer, ids)
        for at in range(1, len(text) - 3):
            word = text[at : at + 3] == b"cat" and not text[at - 1 : at].isalpha()
            if word and not text[at + 3 : at + 4].isalpha():
                expected += hidden[row, int(np.argmax(ends >= at + 3))]
                count += 1
    index = vectors.find("cat")
    assert vectors.counts[index] == count > 4
    np.testing.assert_allclose(vectors.matrix[index], expected / count, rtol=1e-10)
    with pytest.raises(ValueError, match="Fewer than four words"):
        word_vectors(model, tokenizer, sequences[:1, :8], 1, 50)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_passages_in_a_padded_batch_mean_what_they_mean_alone(depth):
    model = tiny()
    passages = [list(b"the cat"), list(b"a"), list(b"a much longer passage than that, cut at the context")]
    found = passage_means(model, passages, depth)
    for row, passage in zip(found, passages, strict=True):
        alone = streams(model, np.array([passage[:32]]), [depth])[0, 0].double().mean(0)
        np.testing.assert_allclose(row, alone, atol=2e-6)
    with pytest.raises(ValueError, match="empty"):
        passage_means(model, [[1], []], depth)


@pytest.mark.parametrize(
    ("piece", "kind"),
    [("a", "letter"), (" the", "letter"), ("A", "capital"), (" Ab", "capital"), ("7", "digit"), (" ", "space"),
     ("\n", "line end"), (" \n", "line end"), (".", "punctuation"), ("\\xE2", "other"), ("\x07", "other"), ("é", "letter"),
     ("", "other"), ("\\", "punctuation")],
)  # fmt: skip
def test_kinds_of_tokens(piece, kind):
    assert kind_of(piece) == kind
