"""The expected start of a run that waits, against sums done by hand."""

import pytest

from playground.analysis import queue_eta
from playground.analysis.queue_eta import seconds_until_start
from playground.runs.curves import Curves
from playground.runs.limits import LOCAL, Limits
from playground.runs.queue.queue import QueueView
from playground.runs.store.run_store import RunStore
from tests.runs.conftest import MODEL, TEXT, TRAIN


@pytest.fixture
def runs(tmp_path, monkeypatch):
    from playground.tokenizers import build_tokenizer

    store = RunStore(tmp_path / "runs")
    monkeypatch.setattr(queue_eta, "seconds_of", lambda need, model, train: float(train.steps))  # a second a step
    made = [
        store.create(MODEL, TRAIN.replace(steps=steps), build_tokenizer("byte", ""), name="r", preset="", own_text=TEXT)
        for steps in (30, 100, 40, 7)
    ]
    return Curves(store), made


def test_the_one_before_and_those_ahead_are_added_up(runs):
    curves, (training, first, second, third) = runs
    line = QueueView((training,), (first, second, third))
    starts = [seconds_until_start(line, run.id, curves, 1, LOCAL) for run in (training, first, second, third)]
    assert starts == [None, 30, 130, 170]
    assert seconds_until_start(line, third.id, curves, 2, LOCAL) == 70  # one worker does 100, the other 30 and 40
    assert seconds_until_start(QueueView((), (second, third)), second.id, curves, 1, LOCAL) == 0
    assert seconds_until_start(line, third.id, curves, 1, Limits(run_minutes=1)) == 30 + 60 + 40


def test_a_run_that_has_begun_counts_at_its_own_pace(runs):
    from playground.runs.store.log import LogWriter
    from playground.train.events import StepDone

    curves, (training, first, *_) = runs
    with LogWriter(training.log) as log:
        for step in range(1, 11):
            log.append(StepDone(step, step * 64, step * 2.0, 3.0, 1.0, 1e-3))
    assert seconds_until_start(QueueView((training,), (first,)), first.id, curves, 1, LOCAL) == pytest.approx(20 * 2.0)
