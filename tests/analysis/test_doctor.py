"""Every rule of the run doctor, on a real run that shows it."""

from __future__ import annotations

import math
import random
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.analysis.doctor import OLDER_TASK, RULES, Chart, diagnose, read_chart, smoothed
from playground.analysis.exact_match import lower_bound
from playground.config import ModelConfig, TrainConfig, preset
from playground.runs.curves import Curves
from playground.runs.store import status
from playground.runs.store.log import LogWriter
from playground.runs.store.run_store import Run, RunStore
from playground.runs.worker.execution import execute
from playground.tokenizers import build_tokenizer
from playground.train.events import Evaluated, Started, StepDone

SMALL = preset("modern", block_size=16, n_layer=1, n_embd=16, n_head=2)
NOISE = "".join(random.Random(0).choices("abcdefgh", k=20_000))  # ln 8 = 2.08 is all that can be known of it
COUNTING = "".join(f"{n} and {n * 7 % 13} make {n + n * 7 % 13}.\n" for n in range(2_000))


@pytest.fixture
def trained(tmp_path):
    """Train a run, perhaps until some step only, and ask the doctor."""
    store = RunStore(tmp_path)

    def train(
        text: str = COUNTING, until: int | None = None, model: ModelConfig = SMALL, corpus: str = "own", **changes
    ):
        usual = dict(corpus=corpus, steps=100, batch_size=4, warmup_steps=0, eval_tokens=256, sample_interval=0)
        config = TrainConfig(**{**usual, "eval_interval": max(1, changes.get("steps", 100) // 10), **changes})
        own = text if corpus == "own" else None
        run = store.create(model, config, build_tokenizer("byte", ""), name="a run", preset="modern", own_text=own)

        def watch(event):
            if isinstance(event, StepDone) and event.step == until:
                status.request(run.path, "pause")

        execute(run, watch=watch)
        return ask(store, run)

    return train


def ask(store: RunStore, run: Run):
    return diagnose(run, Curves(store).columns(run))


def test_flat_at_ln_v(trained):
    finding = trained(learning_rate=1e-6)
    assert finding.rule == "flat"
    assert finding.sentence.startswith("Not learning: after 100 steps the training loss (")
    assert f"not clearly below ln V = {math.log(256):.2f}, the loss of a uniform guess" in finding.sentence
    assert "(1e-06) is probably too low. Try 1e-05." in finding.sentence
    assert finding.trouble


def test_still_warming_up(trained):
    assert trained(learning_rate=1e-5, warmup_steps=100, until=60).rule == "warm-up"


@pytest.mark.slow
def test_memorising(trained):
    wide = SMALL.replace(n_embd=64, n_layer=2)
    text = "".join(random.Random(1).choices("abcdefgh", k=1_200))
    finding = trained(text, model=wide, steps=400, learning_rate=3e-3, batch_size=8, validation_fraction=0.3)
    assert finding.rule == "memorising"
    assert "validation loss was lowest at step" in finding.sentence
    assert "It has trained on its text for" in finding.sentence


@pytest.mark.slow
def test_the_loss_jumped(trained):
    """The warm-up makes steps larger and larger, until they are too large."""
    wide = SMALL.replace(n_embd=64, n_layer=2)
    finding = trained(steps=300, model=wide, learning_rate=0.1, warmup_steps=200, schedule="constant", grad_clip=0.0)
    assert finding.rule == "jumped"
    assert "The training loss rose after step" in finding.sentence
    assert "the learning rate (0.1) is probably too high. Try 0.03." in finding.sentence


def test_diverged(trained):
    finding = trained(optimizer="sgd", learning_rate=1.0, grad_clip=0.0, weight_decay=10.0)
    assert finding.rule == "diverged"
    assert "The learning rate (1) is probably too high. Try 0.3." in finding.sentence


def test_clipped(trained):
    finding = trained(grad_clip=0.01, learning_rate=3e-3, until=90)
    assert finding.rule == "clipped"
    assert "rescaled to 0.01" in finding.sentence


def test_levelling_off_at_what_can_be_known(trained):
    finding = trained(NOISE, steps=300, learning_rate=1e-2)
    assert finding.rule == "levelling"
    perplexity = re.search(r"perplexity ([\d.]+)", finding.sentence)
    assert perplexity and float(perplexity[1]) == pytest.approx(8, abs=0.2)


def test_unfinished(trained):
    finding = trained(steps=100, learning_rate=3e-3, schedule="constant")
    assert finding.rule == "unfinished"
    assert "more steps would probably lower it further" in finding.sentence


def test_done(trained):
    finding = trained(NOISE, steps=40, learning_rate=1e-2, eval_interval=10)
    assert finding.rule == "done"
    assert "a uniform choice among as many tokens" in finding.sentence


def test_falling_fast_and_learning_steadily(trained):
    assert trained(until=21, learning_rate=1e-2).rule == "falling"
    assert trained(until=35, learning_rate=1e-2).rule == "steady"


def test_better_on_its_own_text(trained):
    """Between knowing the text by heart and getting worse elsewhere."""
    wide = SMALL.replace(n_embd=64, n_layer=2)
    text = COUNTING[:1_500]
    finding = trained(text, model=wide, steps=150, learning_rate=3e-3, batch_size=8, until=120)
    assert finding.rule in ("gap", "memorising")


def test_tasks_are_judged_by_whole_answers(trained):
    model = SMALL.replace(block_size=32)
    found = trained(corpus="reverse", corpus_bytes=20_000, steps=40, model=model)
    assert found.rule == "task"
    assert "task version" not in found.sentence
    older = trained(corpus="reverse", corpus_bytes=20_000, steps=40, model=model, task_version=1)
    assert older.sentence.endswith(OLDER_TASK)


def test_nothing_to_read_yet(trained, tmp_path):
    store = RunStore(tmp_path / "other")
    tokenizer = build_tokenizer("byte", "")
    run = store.create(SMALL, TrainConfig(corpus="own"), tokenizer, name="a", preset="modern", own_text=COUNTING)
    assert ask(store, run).rule == "empty"
    status.declare(run.path, status.Status("queued"))
    assert ask(store, run).rule == "waiting"


@pytest.mark.parametrize("evaluated", [True, False])
def test_the_first_loss_is_that_of_the_first_step_and_no_mean_of_many(tmp_path, evaluated):
    """A chart of 100,000 steps has one point in 250, the mean of their losses."""
    store = RunStore(tmp_path)
    config = TrainConfig(corpus="own", steps=100_000, warmup_steps=0)
    run = store.create(SMALL, config, build_tokenizer("byte", ""), name="a", preset="modern", own_text=COUNTING)
    with LogWriter(run.log) as log:
        log.append(Started(0, 100_000, 1000, 3000, 300, 1.44))
        if evaluated:
            log.append(Evaluated(0, 0, 0.0, 5.54, 0.01))
        for step in range(1, 1_001):
            log.append(StepDone(step, 64 * step, 0.01 * step, 2.0 + 3.5 / step, 1.0, 1e-3))
    assert "The loss went from 5.50 to 2.0" in ask(store, run).sentence


def written(measured, errors, losses=(), state="running", model=SMALL, train=None):
    """A chart of validation losses ten steps apart."""
    steps = [10 * (i + 1) for i in range(len(losses))]
    at = [10 * i for i in range(len(measured))]
    return Chart(state, model, train or TrainConfig(), steps, list(losses), smoothed(list(losses)), [0.1] * len(losses), at,
                 list(measured), [], 1.0, errors=tuple(errors))  # fmt: skip


def first_rule(chart):
    return next(finding for rule in RULES if (finding := rule(chart)) is not None)


@pytest.mark.parametrize(
    ("measured", "losses", "state", "claimed"),
    [
        ([3.0, 2.0, 2.1, 2.15, 2.2], [3.0, 2.0, 1.9, 1.8, 1.7], "running", "memorising"),
        ([3.0, 2.9, 2.8, 2.7, 2.6, 2.5], [3.0, 2.9, 2.8, 2.7, 2.6], "finished", "unfinished"),
        ([3.0, 2.9, 2.7], [3.0, 2.9], "running", "falling"),
        ([3.0, 2.9, 2.85, 2.83, 2.8], [3.0, 2.2, 2.2, 2.2, 2.2], "running", "gap"),
        ([3.0, 2.95], [3.0, 2.9], "running", "steady"),
    ],
)
def test_nothing_is_claimed_of_what_may_be_noise(measured, losses, state, claimed):
    clear = written(measured, [0.01] * len(measured), losses, state)
    noisy = written(measured, [0.5] * len(measured), losses, state)
    assert first_rule(clear).rule == claimed
    assert first_rule(written(measured, (), losses, state)).rule == claimed, "a log without errors is read as before"
    assert first_rule(noisy).rule in ("unclear", "done", "levelling")


@pytest.mark.parametrize("state", ["finished", "stopped", "failed", "crashed", "diverged"])
@pytest.mark.parametrize(
    ("measured", "losses", "train"),
    [
        ([], [], {}),
        ([3.0, 2.95], [3.0, 2.9], {}),
        ([3.0, 2.9, 2.7], [3.0, 2.9], {}),
        ([3.0, 3.0], [3.0, 3.0], {}),
        ([5.6] * 3, [5.6] * 12, {"warmup_steps": 200}),
    ],
)
def test_nothing_is_said_to_go_on_in_a_run_that_has_ended(state, measured, losses, train):
    sentence = first_rule(written(measured, (), losses, state, train=TrainConfig(**train))).sentence
    assert not re.search(r"Learning steadily|is falling|yet|arrive|Warming|Starting|Queued", sentence), sentence


def test_a_paused_run_awaits_no_numbers():
    assert (
        first_rule(written([], (), [], "paused")).sentence == "Paused before its first measurement. Resume it to train."
    )
    assert "Another run" not in first_rule(written([], (), [], "queued")).sentence


@given(
    st.sampled_from(["adamw", "muon", "sgd"]), st.floats(1e-6, 1.0), st.floats(0.98, 1.12),
    st.sampled_from([16, 256, 512, 1024]),
)  # fmt: skip
def test_the_learning_rate_that_a_flat_curve_advises_is_on_the_right_side(optimizer, rate, height, n_embd):
    """A rate that is "too low" is never answered with a lower one; what is advised is one that a run may have."""
    train = TrainConfig(optimizer=optimizer, learning_rate=rate, warmup_steps=0)
    found = first_rule(written([], (), [height * math.log(256)] * 30, model=SMALL.replace(n_embd=n_embd), train=train))
    assert found.rule == "flat"
    advised = re.search(r"too (low|high)\. Try (?:([\d.e-]+)\.|a longer warm-up\.)$", found.sentence)
    assert advised, found.sentence
    if advised[2]:
        new = TrainConfig(learning_rate=float(advised[2])).learning_rate
        assert new > rate if advised[1] == "low" else new < rate, found.sentence


@pytest.mark.parametrize(
    ("task", "context", "share", "words"),
    [
        ("sort", 32, 0.0, "0 of 32 held-out problems are answered exactly. On such tasks"),
        ("sort", 32, 1 / 32, "1 of 32 held-out problems is answered exactly. On such tasks the rule is often learned late"),
        ("sort", 32, 31 / 32, "31 of 32 held-out problems are answered exactly. On such tasks"),
        (
            "sort", 32, 1.0, "All 32 held-out problems are answered exactly, which shows with 95 % confidence that at least "
            "91 % of such problems are.",
        ),
        (
            "repeat", 32, 0.25, "3 of 12 held-out problems are answered exactly. Problems longer than the context are not "
            "scored (20 of 32 drawn). On such tasks",
        ),
        (
            "addition", 32, 0.5, "16 of 32 held-out problems are answered exactly. The same sum in the other order may be "
            "in the training text. On such tasks",
        ),
    ],
)  # fmt: skip
def test_exact_match_is_said_with_its_number_and_no_more_than_it_shows(task, context, share, words):
    model = SMALL.replace(block_size=context)
    chart = written([1.0, 1.0], (), [1.0, 1.0], model=model, train=TrainConfig(corpus=task))
    found = first_rule(replace(chart, exact=[0.0, share]))
    assert found.sentence.startswith(words)
    assert found.rule == ("solved" if share == 1 else "task")
    assert "has learned" not in found.sentence


@given(st.floats(), st.sampled_from(["sort", "repeat", "tales"]), st.sampled_from([8, 16, 25, 32]))
def test_whatever_share_a_log_holds_there_is_a_finding(share, task, context):
    model = SMALL.replace(block_size=context)
    chart = written([1.0, 1.0], (), [1.0, 1.0], model=model, train=TrainConfig(corpus=task))
    assert first_rule(replace(chart, exact=[0.0, share])).sentence


@pytest.mark.parametrize("n", [1, 2, 31, 32])
def test_all_right_is_plausible_down_to_the_bound(n):
    """A model that is right in this share of problems is so in all n of them in 5 % of cases."""
    assert lower_bound(n) ** n == pytest.approx(0.05)


def test_problems_that_were_trained_on_are_not_called_unseen():
    model, train = SMALL.replace(block_size=32), TrainConfig(corpus="sort", task_version=1)
    older = replace(written([1.0, 1.0], (), [1.0], model=model), exact=[0.0, 1.0], train=train)
    sentence = first_rule(older).sentence
    assert sentence.startswith("All 32 problems are answered exactly") and sentence.endswith(OLDER_TASK)
    assert "held-out problems" in first_rule(replace(older, train=TrainConfig(corpus="sort"))).sentence


def test_a_loss_above_its_lowest_is_not_called_steady_learning():
    sentence = first_rule(written([5.5, 3.0, 3.5], (), [5.5, 3.2, 3.2])).sentence
    assert sentence == "The loss went from 5.50 to 3.50; it was lowest at step 10 (3.00)."


def test_the_span_of_a_fall_is_the_measured_one():
    """Nine measurements: the last fifth of them is one interval, an eighth of the run."""
    falling = written([3.0 - 0.1 * i for i in range(9)], (), [3.0 - 0.1 * i for i in range(8)], "finished")
    assert "over its last 10 steps validation loss fell by 0.10 nats" in first_rule(falling).sentence


def test_a_fall_within_one_step_is_that_of_the_last_step():
    falling = written([3.0 - 0.1 * i for i in range(7)], (), [3.0 - 0.1 * i for i in range(8)], "finished")
    falling = replace(falling, measured_at=[0, 20, 40, 60, 80, 100, 101])
    assert "over its last step validation loss fell by 0.10 nats" in first_rule(falling).sentence


def test_perplexities_have_a_bound():
    assert "perplexity above 5e+08" in first_rule(written([25.0], ())).sentence
    assert "perplexity 1," in first_rule(written([0.001], ())).sentence


def test_coming_back_from_a_rise_is_not_called_falling():
    assert first_rule(written([2.0, 3.0, 2.0], (), [2.0, 2.0, 2.0])).rule != "falling"
    assert first_rule(written([3.0, 2.5, 2.0], (), [3.0, 2.5, 2.0])).rule == "falling"


def test_at_step_0_nothing_is_called_learning():
    finding = first_rule(written([5.59], [0.01]))
    assert finding.rule == "beginning"
    assert finding.sentence.startswith("Before the first step the loss is 5.59 (perplexity 268, ")
    finding = first_rule(written([5.59, 5.588], [0.02, 0.02], [5.59, 5.59]))
    assert (
        finding.sentence
        == "The loss has not clearly decreased yet: it stayed at 5.59, within its noise of ±\u00a00.06."
    )
    assert first_rule(written([5.59, 5.8], [0.02, 0.02], [5.59])).sentence == (
        "The loss has not clearly decreased yet: it went from 5.59 to 5.80."
    )


def test_smoothing_is_the_unbiased_average():
    assert smoothed([4.0, 2.0]) == pytest.approx([4.0, (0.16 * 4 + 0.2 * 2) / 0.36])
    assert smoothed([3.0] * 5) == pytest.approx([3.0] * 5)


def test_every_rule_has_a_name_of_its_own():
    assert len({rule.__name__ for rule in RULES}) == len(RULES)
    assert all(rule.__doc__ for rule in RULES)
    assert read_chart.__doc__


LOSSES = st.floats(1e-3, 20.0)


@given(
    st.lists(st.tuples(LOSSES, LOSSES), min_size=0, max_size=12), st.booleans(),
    st.sampled_from(["running", "finished", "stopped", "diverged", "queued"]), st.floats(0, 0.5),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_no_sentence_says_that_a_number_changed_into_itself(curves, still, state, error):
    measured, losses = ([pair[i] for pair in curves] for i in (0, 1))
    if still:  # everything as it was at first, but for what rounding hides
        measured, losses = (
            [values[0] + 1e-4 * i for i in range(len(values))] if values else [] for values in (measured, losses)
        )
    sentence = first_rule(written(measured, [error] * len(measured), losses, state)).sentence
    for before, now in re.findall(r"from ([\d.]+) to ([\d.]+)", sentence):
        assert before != now, sentence
    assert not re.search(r"\b1 steps\b|nan|inf", sentence)
    if "teadily" in sentence or "falling" in sentence:
        assert measured[-1] < measured[0] or losses[-1] < max(losses + measured), sentence
