"""The results table of Compare shows each column with the digits that were computed."""

from __future__ import annotations

import dataclasses

from playground.runs.curves import Curves
from playground.runs.store.paths import gallery_root
from playground.runs.store.run_store import RunStore
from playground.ui.compare import compare_tab
from playground.ui.services import Services


def test_no_column_shows_digits_that_were_rounded_away(local: Services) -> None:
    store = RunStore(local.store.root, gallery_root())
    services = dataclasses.replace(local, store=store, curves=Curves(store))
    runs = [run.id for run in store.list("") if run.name.endswith("on Tales, seed 0")]
    table = compare_tab.measured(services, runs, "")
    names, first = list(table.data.columns), table.data.iloc[0]
    cells = table.to_string(delimiter="|").splitlines()[1].split("|")
    shown = dict(zip(names, cells[-len(names) :], strict=True))
    assert shown["seconds"] == f"{first['seconds']:,.1f}"
    assert shown["perplexity"] == f"{first['perplexity']:.3f}"
    assert shown["accuracy"] == f"{first['accuracy']:.4f}"
    assert shown["tokens"] == f"{first['tokens']:,}"
