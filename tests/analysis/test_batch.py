"""A batch under the lens: the very windows of training, losses that torch confirms, and code that is the code."""

import inspect
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from playground.analysis import batch as module
from playground.analysis.batch import batch_of_step, code, explain, loss_of_row, losses, softmax_of_row
from playground.config import ModelConfig, TrainConfig
from playground.data.corpora import load_text
from playground.models.transformer import Transformer, initialise
from playground.tokenizers import build_tokenizer
from playground.train import gradients
from playground.train.dataset import Dataset, prepare
from playground.train.trainer import TrainState, train

MODEL = ModelConfig(block_size=16, n_layer=2, n_embd=16, n_head=2, n_kv_head=2)


def data_of(corpus: str, config: TrainConfig) -> Dataset:
    text = load_text(corpus, n_bytes=config.corpus_bytes)
    return prepare(text, build_tokenizer("byte", text), MODEL, config)


@pytest.mark.parametrize("corpus", ["tales", "reverse"])
def test_it_is_the_batch_that_training_saw(corpus: str, monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainConfig(
        corpus=corpus, corpus_bytes=20_000, batch_size=5, grad_accum=2, steps=3, warmup_steps=0, seed=9
    )
    data = data_of(corpus, config)
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(
        gradients, "cross_entropy", lambda logits, targets: (seen.append(targets), F.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), reduction="sum"))[1]
    )  # fmt: skip
    state = TrainState.new(MODEL, config)
    for _ in train(state, data, config.replace(eval_interval=1000, sample_interval=0), build_tokenizer("byte", "")):
        continue
    for step in (1, 2, 3):
        batch = batch_of_step(data, config, 16, step)
        assert batch.n_rows == 10 and len(batch.targets) == module.MAX_ROWS
        assert torch.equal(batch.targets, torch.cat(seen[2 * step - 2 : 2 * step])[:8])
        counted = batch.targets[:, :-1] != -100
        assert torch.equal(batch.inputs[:, 1:][counted], batch.targets[:, :-1][counted])


@pytest.mark.parametrize("corpus", ["tales", "reverse"])
def test_losses_are_torchs(corpus: str) -> None:
    config = TrainConfig(corpus=corpus, corpus_bytes=20_000, batch_size=4)
    model = initialise(Transformer(MODEL), 1).eval()
    batch = batch_of_step(data_of(corpus, config), config, 16, 1)
    with torch.no_grad():
        wanted = F.cross_entropy(model(batch.inputs).flatten(0, 1), batch.targets.flatten(), reduction="none").numpy()
    found = losses(model, batch)
    counted = batch.targets.numpy() != -100
    assert np.isnan(found[~counted]).all()
    np.testing.assert_allclose(found[counted], wanted.reshape(4, 16)[counted], rtol=1e-5)
    if corpus == "reverse":
        assert not counted.all()


def test_one_row_is_explained_down_to_its_loss() -> None:
    model = initialise(Transformer(MODEL), 2).eval()
    ids = list(range(60, 76))
    with torch.no_grad():
        logits = model(torch.tensor([ids]))[0].double()
    for position, target in ((0, 61), (7, 3), (15, 255)):
        row = explain(model, ids, position, target)
        wanted = F.cross_entropy(logits[position], torch.tensor(target)).item()
        assert row.loss == pytest.approx(wanted, rel=1e-4)
        assert row.loss == pytest.approx(-math.log(row.p)) and row.p == pytest.approx(math.exp(-wanted), rel=1e-4)
        assert target in [candidate.token for candidate in row.candidates]
        assert row.others + len(row.candidates) == 256
        assert sum(candidate.p for candidate in row.candidates) + row.p_others == pytest.approx(1.0)
        for candidate in row.candidates:
            assert candidate.logit == pytest.approx(logits[position, candidate.token].item(), abs=1e-4)
            assert candidate.weight == pytest.approx(math.exp(candidate.logit - row.largest))
            assert candidate.p == pytest.approx(candidate.weight / row.total)
        ranked = [candidate.p for candidate in row.candidates[:8]]
        assert ranked == sorted(ranked, reverse=True)


def test_the_spelled_out_formula_is_torchs_even_for_huge_logits() -> None:
    logits = torch.tensor([1000.0, 999.0, -1000.0, 5.0], dtype=torch.float64)
    _, probabilities = softmax_of_row(logits)
    torch.testing.assert_close(probabilities, logits.softmax(-1))
    assert loss_of_row(logits, 1) == pytest.approx(F.cross_entropy(logits, torch.tensor(1)).item())


@pytest.mark.parametrize(
    ("ids", "position", "target", "message"),
    [
        ([], 0, 1, "1 to 16 tokens"),
        (list(range(17)), 0, 1, "1 to 16 tokens"),
        ([1, 256], 0, 1, "ids below 256"),
        ([1, -1], 0, 1, "ids below 256"),
        ([1, 2], 0, 300, "ids below 256"),
        ([1, 2], 2, 1, "Position must be 0 to 1; 2 is not."),
        ([1, 2], -1, 1, "Position must be 0 to 1"),
    ],
)
def test_what_cannot_be_explained(ids: list[int], position: int, target: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        explain(initialise(Transformer(MODEL), 0).eval(), ids, position, target)


@pytest.mark.parametrize("step", [0, -1, 10**8, 1.5, None, True, "x"])
def test_steps_that_cannot_be(step: object) -> None:
    config = TrainConfig(corpus_bytes=20_000)
    with pytest.raises(ValueError, match="Step must be a whole number"):
        batch_of_step(data_of("tales", config), config, 16, step)  # type: ignore[arg-type]


def test_the_code_shown_is_the_code_that_ran() -> None:
    shown = {entry["name"]: entry["text"] for entry in code()}
    assert shown["playground.analysis.batch.softmax_of_row"] == inspect.getsource(softmax_of_row)
    assert "ignore_index" in shown["playground.train.gradients.cross_entropy"]
    assert "chunk[:, 1:]" in shown["playground.data.batches.windows"]
