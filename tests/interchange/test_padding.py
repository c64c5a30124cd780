"""A vocabulary that is larger than its tokenizer: taken as it is, kept on the way out, and what pads it is never written."""

import json
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.config import GenerationConfig
from playground.inference.beam import beam_search
from playground.inference.generation import DecodingSession, generate_batch
from playground.inference.native import decode_step
from playground.interchange.check import load_back
from playground.interchange.folders import read_folder, write_safetensors, write_transformers
from playground.interchange.package import Package
from playground.interp.ablation import continuation
from playground.runs.import_model import import_folder
from playground.runs.loading import ModelCache
from playground.runs.store.run_store import RunStore
from playground.tokenizers import build_tokenizer, decode, n_tokens, tokenizer_from_dict, tokenizers_json
from playground.tokenizers.identity import same_tokens
from playground.ui.sample import sample_tab
from tests.interchange.foreign import build, difference, save

PADDED = 320
TEXT = "Once there was a fox who saw the sea. " * 20


def padded(folder: Path, favoured: int | None = None) -> Package:
    """A folder of Transformers with 320 ids over 256 bytes; `favoured` is a token whose logit is the largest, always."""
    theirs = build("llama, biases of the MLP", vocab_size=PADDED, tie_word_embeddings=False)
    if favoured is not None:
        with torch.no_grad():
            theirs.lm_head.weight[favoured:] *= 100
    save(folder, theirs)
    read = read_folder(folder)
    assert difference(read, theirs) <= 2e-5 * (1 if favoured is None else 100)
    return read


def test_the_model_keeps_all_ids_and_the_tokenizer_says_how_many_it_knows(tmp_path: Path) -> None:
    read = padded(tmp_path)
    assert read.config.vocab_size == read.tokenizer.vocab_size == PADDED
    assert n_tokens(read.tokenizer) == 256
    assert read.notes == (
        "The model's vocabulary of 320 is padded: its tokenizer has 256, and the other ids are never generated.",
    )
    assert [read.tokenizer.token_bytes(token) for token in range(250, PADDED)] == [
        *(bytes([n]) for n in range(250, 256)), *[b""] * 64
    ]  # fmt: skip
    ids = read.tokenizer.encode(TEXT)
    assert decode(read.tokenizer, ids) == TEXT
    again = tokenizer_from_dict(json.loads(json.dumps(read.tokenizer.to_dict())))
    assert again.vocab_size == PADDED and n_tokens(again) == 256 and same_tokens(again, read.tokenizer)


@pytest.mark.parametrize("favoured", [None, 256])
@pytest.mark.parametrize("compiled", [True, False])
def test_what_pads_is_never_written(
    compiled: bool, favoured: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where the model gives it nearly all probability; the others keep what the model gives them."""
    if compiled:
        decode_step.warm(wait=True)
    else:
        monkeypatch.setattr(decode_step, "_library", None)
    model = padded(tmp_path, favoured=favoured).build().requires_grad_(False)
    tokens = torch.tensor([[5, 6, 7]])
    whole = model(tokens)[0, -1]
    assert favoured is None or int(whole.argmax()) >= 256
    scale = 1 if favoured is None else 100
    assert np.abs(DecodingSession(model).feed([5, 6, 7]) - whole.numpy()).max() < 2e-5 * scale
    config = GenerationConfig(temperature=1.0, max_new_tokens=60, n_sample=3, repetition_penalty=1.3)
    for row in generate_batch(model, [5, 6, 7], config, n_alternatives=8):
        assert all(token.id < 256 for token in row)
        assert all(other < 256 for token in row for other, _ in token.alternatives)
    assert all(token < 256 for beam in list(beam_search(model, [5, 6, 7], 8, 4))[-1] for token in beam.ids)
    written = [5, 6, 7]
    for (token,) in generate_batch(model, written, config.replace(n_sample=1, max_new_tokens=20), n_alternatives=3):
        own = model(torch.tensor([written]))[0, -1].double().softmax(0)  # over all ids, as in losses
        assert own[256:].sum() > 0.05, "and what pads has its part"
        for other, probability in ((token.id, token.probability), *token.alternatives):
            assert probability == pytest.approx(float(own[other]), rel=2e-3 * scale, abs=1e-300)
        written.append(token.id)
    best = list(beam_search(model, [5, 6, 7], 1, 4))[-1]
    own = whole.double().softmax(0)
    assert [beam.probabilities[0] for beam in best] == pytest.approx(
        own[:256].topk(4).values.tolist(), rel=2e-3 * scale
    )


def test_it_goes_out_with_all_its_ids_and_becomes_a_run_that_writes_none_of_them(tmp_path: Path) -> None:
    read = padded(tmp_path / "theirs", favoured=256)
    for number, write in enumerate((write_transformers, write_safetensors)):
        folder = tmp_path / str(number)
        folder.mkdir()
        write(folder, read)
        if write is write_transformers:
            load_back(folder, read)
            assert json.loads((folder / "config.json").read_text())["vocab_size"] == PADDED
        again = read_folder(folder)
        assert n_tokens(again.tokenizer) == 256
        assert all(torch.equal(again.weights[name], weight) for name, weight in read.weights.items())
    store = RunStore(tmp_path / "runs")
    run = store.get(import_folder(store, tmp_path / "theirs").id)
    model = ModelCache(1).get(run)
    assert (model.n_tokens, run.model.vocab_size, run.tokenizer.vocab_size) == (256, PADDED, PADDED)
    assert "is padded" in (run.status().message or "")


def test_the_distribution_that_is_shown_is_the_models_own(tmp_path: Path) -> None:
    padded(tmp_path / "theirs")
    run = import_folder(RunStore(tmp_path / "runs"), tmp_path / "theirs")
    model = ModelCache(1).get(run)
    shown = sample_tab.distribution(run, model, [5, 6, 7], GenerationConfig())
    own = model(torch.tensor([[5, 6, 7]]))[0, -1].double().softmax(0)
    assert shown["padding"]["p"] == pytest.approx(float(own[256:].sum()), rel=1e-4)
    assert shown["padding"]["entropy"] == pytest.approx(float(-(own[256:] * own[256:].log2()).sum()), rel=1e-4)
    logits = shown["low"] + (shown["high"] - shown["low"]) * np.frombuffer(b64decode(shown["logits"]), "<u2") / 65_535
    assert len(logits) == 256
    possible = np.exp(logits) / np.exp(logits).sum() * (1 - shown["padding"]["p"])
    assert possible == pytest.approx(np.sort(own[:256].numpy())[::-1], rel=1e-3)
    assert "Ids that only pad the vocabulary (64 ids) have a probability of" in shown["note"]


def test_what_is_written_greedily_with_parts_switched_off_is_no_padding(tmp_path: Path) -> None:
    model = padded(tmp_path, favoured=256).build().requires_grad_(False)
    found = continuation(model, [5, 6, 7], [], None, 8)
    assert max(found.ids) < 256
    own = model(torch.tensor([[5, 6, 7]]))[0, -1].double().softmax(0).numpy()
    assert found.probabilities == pytest.approx(own, rel=0.05, abs=1e-9)


def test_a_tokenizer_that_is_too_large_is_refused_in_a_sentence(tmp_path: Path) -> None:
    save(tmp_path, build("llama"))
    larger = build_tokenizer("bpe", TEXT, vocab_size=280)
    (tmp_path / "tokenizer.json").write_text(tokenizers_json(larger), "utf-8")
    wanted = rf"^The tokenizer has {larger.vocab_size} tokens and the model only 256: the last tokens would"
    with pytest.raises(ValueError, match=wanted):
        read_folder(tmp_path)


@settings(max_examples=30, deadline=None)
@given(st.one_of(st.none(), st.booleans(), st.integers(-5, 2**70), st.floats(), st.text(max_size=3)))
def test_a_saved_tokenizer_is_padded_to_a_size_that_there_can_be_or_refused(size: object) -> None:
    values = {**json.loads(tokenizers_json(build_tokenizer("byte", ""))), "padded": size}
    if type(size) is int and 256 <= size <= 1_000_000:
        assert tokenizer_from_dict(values).vocab_size == size
    else:
        with pytest.raises(ValueError, match=r"cannot be padded to"):
            tokenizer_from_dict(values)
