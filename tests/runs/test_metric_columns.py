"""A metric of the training is a field of its event: logs, curves, tables and files follow."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest

from playground.interchange.folders import write_csv
from playground.races.report import CSV_COLUMNS
from playground.runs.curves import Curves
from playground.runs.store import history
from playground.runs.store.log import LogWriter
from playground.runs.store.run_store import RunStore
from playground.train import events
from playground.train.events import Column, Evaluated, StepDone, columns, event_to_dict
from tests.runs.conftest import MakeRun


def test_the_columns_are_the_fields() -> None:
    assert list(columns(StepDone)) == ["step", "tokens", "seconds", "loss", "grad_norm", "learning_rate"]
    assert list(columns(Evaluated)) == ["step", "tokens", "seconds", "loss", "loss_se", "accuracy", "exact_match"]
    assert set(columns(Evaluated)) - {"step", "tokens"} | {"bits_per_byte", "bits_per_byte_se"} <= set(CSV_COLUMNS)
    assert [name for name, column in columns(Evaluated).items() if column.optional] == ["loss_se", "exact_match"]


@pytest.fixture
def with_margin(monkeypatch: pytest.MonkeyPatch) -> type[StepDone]:
    """`StepDone` as it is with one more metric, which older logs do not have."""

    @dataclass(frozen=True)
    class WithMargin(StepDone):
        margin: Annotated[float | None, Column(digits=2, optional=True)] = None

    WithMargin.__name__ = "StepDone"
    monkeypatch.setitem(events.EVENTS, "StepDone", WithMargin)
    monkeypatch.setattr(history, "TRAIN", columns(WithMargin))
    return WithMargin


def test_a_new_metric_reaches_curves_tables_and_files(
    store: RunStore, make_run: MakeRun, with_margin: Callable[..., StepDone], tmp_path: Path
) -> None:
    run = make_run(steps=4)
    measured = {1: 1 / 3, 2: None, 3: 2.0}
    done = [with_margin(step, step, 0.5 * step, 3.0, 1.0, 0.1, margin=margin) for step, margin in measured.items()]
    done.append(StepDone(4, 4, 2.0, 3.0, 1.0, 0.1))  # as an older version wrote it
    with LogWriter(run.log) as log:
        for event in done:
            log.append(event)
    curves = Curves(store)
    assert curves.since(run)["train"]["margin"] == [0.33, None, 2.0, None]
    assert curves.since(run)["train"]["grad_norm"] == [1.0] * 4
    frame = curves.dataframe(run)
    assert frame["margin"].isna().tolist() == [False, True, False, True]
    rows = [event_to_dict(event) for event in [Evaluated(0, 0, 0.0, 4.0, 0.1, loss_se=0.01), *done]]
    write_csv(tmp_path / "events.csv", rows)
    table = list(csv.DictReader((tmp_path / "events.csv").read_text("utf-8").splitlines()))
    assert [row["margin"] for row in table] == ["", str(1 / 3), "", "2.0", ""]
    assert [row["loss_se"] for row in table] == ["0.01", "", "", "", ""]
    last = ["margin", *list(columns(Evaluated))[4:]]
    assert list(table[0])[-len(last) :] == last
