"""Probes find what was planted, find nothing in noise, and read labels off texts as a person would."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from playground.data.tales import tales
from playground.interp import linear_probes
from playground.interp.linear_probes import labels_of, probe_label, probe_text
from playground.tokenizers import build_tokenizer

STORY = 'Mia had a ball. "Give it to me," said Tom, "or I cry." "No," said Mia. "It is mine."\n"Hm," she said. "Oh."\n'


def planted(strength: float, n_class: int = 3, seed: int = 0) -> tuple[torch.Tensor, np.ndarray]:
    """Streams (2, N, T, C): noise, and noise in which a label (N, T) lies along a direction."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, n_class, (60, 32))
    noise = rng.normal(size=(2, 60, 32, 20))
    noise[1] += strength * rng.normal(size=(n_class, 20))[values]
    return torch.from_numpy(noise).float(), values


def test_a_planted_label_is_read_and_noise_is_not():
    measured = probe_label(*planted(4.0))
    assert measured is not None
    nothing, something = measured.real
    assert something.accuracy > 0.98
    assert abs(nothing.accuracy - 1 / 3) < 0.06
    assert abs(measured.majority.accuracy - 1 / 3) < 0.06
    for control in measured.shuffled:
        assert abs(control.accuracy - 1 / 3) < 0.06, "shuffled labels sit at chance, even where the real ones are plain"
    assert 0.003 < nothing.error < 0.05


def test_errors_over_windows_are_larger_when_windows_agree_within_themselves():
    rng = np.random.default_rng(5)
    values = np.repeat(rng.integers(0, 2, (60, 1)), 32, axis=1)
    hidden = torch.from_numpy(rng.normal(size=(1, 60, 1, 20)).repeat(32, axis=2)).float()
    alike = probe_label(hidden, values)
    single = probe_label(*planted(0.0, n_class=2))
    assert alike is not None
    assert single is not None
    assert alike.real[0].error > 3 * single.real[0].error


def test_too_few_labels_are_no_probe():
    hidden, values = planted(1.0)
    assert probe_label(hidden, np.full_like(values, -1)) is None
    assert probe_label(hidden, np.zeros_like(values)) is None


def test_no_quotation_and_no_word_goes_on_behind_an_end_of_text():
    tokenizer = build_tokenizer("bpe", STORY * 9, vocab_size=280, eos=True)
    first, second = tokenizer.encode('"I cry'), tokenizer.encode('so "he" said.')
    ids = np.concatenate([first, [tokenizer.eos], second])
    labels = {label.id: label.values for label in labels_of(tokenizer, ids, tales=False)}
    assert labels["quote"][: len(first)].tolist() == [1] * len(first)
    alone = {label.id: label.values for label in labels_of(tokenizer, second, tales=False)}
    for name in ("quote", "word"):
        assert labels[name][len(first) + 1 :].tolist() == alone[name].tolist()
    assert labels["word"][len(first) - 1] == 1, "a word ends where its document does"


@pytest.mark.parametrize("kind", ["byte", "bpe"])
def test_labels_are_what_a_reader_sees(kind):
    tokenizer = build_tokenizer(kind, STORY * 9, vocab_size=280)
    ids = tokenizer.encode(STORY)
    labels = {label.id: label for label in labels_of(tokenizer, ids, tales=True)}
    inside, speaker, place = False, {}, 0
    spans = {"or I cry.": "Tom", "It is mine.": "Mia", "Oh.": None}
    for words, who in spans.items():
        at = STORY.index(words)
        speaker.update(dict.fromkeys(range(at, at + len(words)), who))
    for i, token in enumerate(ids):
        piece = tokenizer.token_bytes(int(token)).decode()
        for character in piece:
            inside = (not inside) if character == '"' else inside
        place += len(piece)
        assert labels["quote"].values[i] == int(inside), (piece, place)
        named = labels["speaker"].values[i]
        who = speaker.get(place - 1)
        assert (labels["speaker"].classes[named] if named >= 0 else None) == who
        assert labels["gender"].values[i] == (-1 if place - 1 not in speaker else int(who == "Tom"))
        if piece[-1].isalpha():
            assert labels["word"].values[i] == int(not STORY[place].isalpha())
        else:
            assert labels["word"].values[i] == -1
    assert "speaker" not in {label.id for label in labels_of(tokenizer, ids, tales=False)}


def test_a_quotation_left_open_ends_with_its_line():
    tokenizer = build_tokenizer("byte", "")
    ids = tokenizer.encode('a "b\nc "d" e\n')
    (quote,) = [label for label in labels_of(tokenizer, ids, tales=False) if label.id == "quote"]
    assert quote.values.tolist() == [0, 0, 1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0]


def test_windows_of_tales_are_those_in_which_somebody_speaks(monkeypatch):
    monkeypatch.setattr(linear_probes, "N_TOKENS", 640)
    tokenizer = build_tokenizer("byte", "")
    ids = tokenizer.encode(tales(40_000))
    text = probe_text(tokenizer, ids, 64, tales=True)
    assert text.sequences.shape == (10, 64)
    rows = {bytes(row.tolist()) for row in ids[: len(ids) // 64 * 64].reshape(-1, 64)}
    assert {bytes(row.tolist()) for row in text.sequences} <= rows
    everything = labels_of(tokenizer, ids[: len(ids) // 64 * 64], tales=True)[-1].values.reshape(-1, 64)
    most = np.sort((everything >= 0).sum(1))[-10:].sum()
    assert (text.labels[-1].values >= 0).sum() == most > 0
    assert probe_text(tokenizer, ids, 64, tales=False).sequences.shape == (10, 64)


def test_a_text_that_is_too_short_is_refused():
    tokenizer = build_tokenizer("byte", "")
    with pytest.raises(ValueError, match=r"at least 6 windows of 32 tokens; the validation text has 5\."):
        probe_text(tokenizer, tokenizer.encode("x" * 160), 32, tales=False)
