"""Head scores against TransformerLens, on a small GPT-2 of random weights, where it defines the same thing.

Its head detector multiplies a pattern with a mask of the places that a kind of head looks at, and divides by the whole
pattern, so by all rows; ours divides by the rows in which there is such a place. The places must be the same and so, but
for this factor, the numbers. TransformerLens is no dependency of the project: without it these tests are skipped, and its
definitions written out below stand in.
"""

import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from playground.config import preset
from playground.interp.heads import patterns_of, repeat_scores
from tests.models.test_transformers_parity import twin
from tests.models.variants import build

CONFIG = preset("classic", vocab_size=61, block_size=64, n_layer=3, n_embd=48, n_head=4)
KINDS = {"previous": "previous_token_head", "duplicate": "duplicate_token_head", "induction": "induction_head"}


def sequence(kind: str) -> np.ndarray:
    rng = np.random.default_rng(3)
    if kind == "repeated":
        return np.tile(rng.permutation(61)[:20], 2)[None]
    return rng.integers(0, 12, (1, 40))  # tokens that come several times, at any distance


def places(kind: str, ids: np.ndarray) -> np.ndarray:
    """Its detection patterns (T, T), from their published definitions."""
    same = np.tril(ids[:, None] == ids[None, :], -1).astype(float)
    if kind == "previous":
        return np.eye(len(ids), k=-1)
    return same if kind == "duplicate" else np.pad(same, ((0, 0), (1, 0)))[:, :-1]


def rows_with_a_place(kind: str, ids: np.ndarray) -> int:
    """An earlier copy counts for duplicate and induction alike; each token but the first has one before it."""
    return len(ids) - 1 if kind == "previous" else int(np.tril(ids[:, None] == ids[None, :], -1).any(1).sum())


@pytest.mark.parametrize("text", ["repeated", "random"])
@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_its_definitions(kind, text):
    model, ids = build(CONFIG), sequence(text)
    patterns = patterns_of(model, ids)
    theirs = (patterns[0] * places(kind, ids[0])).sum((-1, -2)) / patterns[0].sum((-1, -2))
    ours = repeat_scores(patterns, ids)[kind]
    np.testing.assert_allclose(ours, theirs * ids.size / rows_with_a_place(kind, ids[0]), atol=1e-12)


@pytest.fixture(scope="module")
def hooked(tmp_path_factory):
    """Our model, and the same as Hugging Face's GPT-2 behind TransformerLens's bridge."""
    pytest.importorskip("transformer_lens")
    from transformer_lens.model_bridge import TransformerBridge

    ours, folder = build(CONFIG), tmp_path_factory.mktemp("gpt2")
    theirs = twin(ours, folder)
    assert isinstance(theirs, transformers.GPT2LMHeadModel)
    words = WordLevel({f"t{n}": n for n in range(61)}, unk_token="t0")
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words), eos_token="t0", pad_token="t0")
    return ours, TransformerBridge.boot_transformers(str(folder), hf_model=theirs, tokenizer=tokenizer, device="cpu")


@pytest.mark.parametrize("text", ["repeated", "random"])
def test_patterns_and_logits_are_its_own(hooked, text):
    ours, model = hooked
    ids = sequence(text)
    with torch.no_grad():
        logits, cache = model.run_with_cache(torch.from_numpy(ids))
        expected = ours(torch.from_numpy(ids))
    patterns = np.stack([cache["pattern", layer].numpy()[0] for layer in range(3)])
    np.testing.assert_allclose(patterns_of(ours, ids)[0], patterns, atol=2e-5)
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("text", ["repeated", "random"])
@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_those_of_its_head_detector(hooked, kind, text, monkeypatch):
    ours, model = hooked
    from transformer_lens.head_detector import detect_head

    ids = sequence(text)
    monkeypatch.setattr(model, "to_tokens", lambda tokens: tokens, raising=False)  # it has no tokenizer: ids are given
    found = detect_head(model, torch.from_numpy(ids), KINDS[kind]).numpy()
    expected = found * ids.size / rows_with_a_place(kind, ids[0])
    np.testing.assert_allclose(repeat_scores(patterns_of(ours, ids), ids)[kind], expected, atol=2e-5)
