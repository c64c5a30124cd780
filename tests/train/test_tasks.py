"""Algorithmic tasks in training and evaluation: what is measured is what the model does with whole prompts."""

import numpy as np
import pytest
import torch

from playground.analysis.exact_match import count_scored
from playground.config import TrainConfig, preset
from playground.data.corpora import training_text
from playground.data.tasks import TASKS, examples
from playground.models.transformer import Transformer, initialise
from playground.tokenizers import build_tokenizer
from playground.train import evaluation
from playground.train.dataset import Dataset, prepare
from playground.train.evaluation import evaluate, exact_match
from playground.train.events import Evaluated, StepDone
from playground.train.trainer import TrainState, train

BYTES = build_tokenizer("byte", "")


def data_of(task: str, block_size: int, **changes) -> tuple[TrainConfig, Dataset]:
    config = TrainConfig(**{"corpus": task, "corpus_bytes": 30_000, **changes})
    return config, prepare(training_text(config), BYTES, preset("modern", block_size=block_size), config)


@pytest.mark.parametrize(("task", "longest"), [("repeat", 25), ("copy", 9), ("reverse", 13), ("brackets", 17)])
def test_a_context_that_holds_no_whole_prompt_is_refused_with_the_one_to_take(task: str, longest: int) -> None:
    with pytest.raises(
        ValueError, match=rf"^Context length 8 is too short for {TASKS[task].label}: .* to {longest} or more\.$"
    ):
        data_of(task, 8)
    data_of(task, longest)
    data_of(task, 8, task_version=1)


def test_evaluation_is_a_sum_over_the_answers_of_whole_lines() -> None:
    """By hand, window by window and line by line: a line that began before the window counts nothing."""
    _, data = data_of("reverse", 64)
    model = initialise(Transformer(preset("modern", block_size=64, n_layer=1, n_embd=16, n_head=2)), 3).eval()
    text = bytes(data.validation).decode()
    total, hits, count = 0.0, 0, 0
    starts = np.linspace(0, (len(text) - 1) // 64 - 1, 1_000 // 64).astype(int) * 64
    for start in starts:
        seen = text[start : start + 65]
        with torch.no_grad():
            log_p = model(torch.tensor([[*seen.encode()[:-1]]]))[0].double().log_softmax(-1)
        begin = 0 if start == 0 or text[start - 1] == "\n" else seen.find("\n") + 1
        for line in seen[begin:].splitlines(keepends=True):
            for i in range(begin + line.find("|") + 1 if "|" in line else begin + len(line), begin + len(line)):
                total -= float(log_p[i - 1, ord(seen[i])])
                hits += int(log_p[i - 1].argmax() == ord(seen[i]))
                count += 1
            begin += len(line)
    found = evaluate(model, data.validation, data.validation_mask, 1_000)
    assert found.loss == pytest.approx(total / count, abs=1e-5)
    assert found.accuracy == pytest.approx(hits / count)


def test_steps_of_a_single_short_window_have_targets_and_a_loss() -> None:
    config, data = data_of("repeat", 25, steps=30, batch_size=1, warmup_steps=0, eval_interval=30, eval_tokens=64,
                           sample_interval=0)  # fmt: skip
    model = preset("modern", block_size=25, n_layer=1, n_embd=16, n_head=2)
    events = list(train(TrainState.new(model, config), data, config, BYTES))
    losses = [event.loss for event in events if isinstance(event, StepDone)]
    assert len(losses) == 30
    assert min(losses) > 2, "random letters: no loss of zero from windows without a target"
    assert all(event.loss > 2 for event in events if isinstance(event, Evaluated))


def test_exact_match_asks_at_the_beginning_of_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that needs to see a line begin is right in the text and was wrong in the measurement."""
    asked: list[str] = []

    def answers(model, tokenizer, prompt: str, answer: str) -> bool:
        asked.append(prompt)
        return prompt.startswith("\n")

    monkeypatch.setattr(evaluation, "_answers", answers)
    model = Transformer(preset("modern", block_size=64, n_layer=1, n_embd=16, n_head=2))
    assert exact_match(model, BYTES, "copy", 5) == 1.0
    assert asked == ["\n" + prompt for prompt, _ in examples("copy", 5)]
    assert exact_match(model, BYTES, "copy", 5, version=1) == 0.0
    assert asked[5:] == [prompt for prompt, _ in examples("copy", 5)]
    short = Transformer(preset("modern", block_size=8, n_layer=1, n_embd=16, n_head=2))
    assert exact_match(short, BYTES, "repeat", 5) is None, "none of them fits: that is not a share of zero"


@pytest.mark.parametrize(("task", "context"), [("repeat", 25), ("repeat", 32), ("sort", 16), ("addition", 16)])
def test_the_number_that_is_said_is_that_of_the_problems_asked(
    task: str, context: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(evaluation, "_answers", lambda *case: not asked.append(case[2]))
    assert (
        exact_match(Transformer(preset("modern", block_size=context, n_layer=1, n_embd=16, n_head=2)), BYTES, task) == 1
    )
    assert len(asked) == count_scored(task, context)
    assert all(len(prompt) - 1 + len(prompt) - 2 <= context for prompt in asked if task in ("repeat", "sort"))
