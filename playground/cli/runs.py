"""Listing runs."""

from __future__ import annotations

import argparse
import sys

from playground.cli.command import Command, short_ids
from playground.races.comparison import with_error
from playground.runs.curves import Curves
from playground.runs.store.run_store import RunStore


def _runs(options: argparse.Namespace, store: RunStore) -> int:
    curves = Curves(store)
    rows = [("id", "name", "state", "step", "validation loss (nats/token)", "bits/byte")]
    runs = store.list()
    shown = short_ids([run.id for run in runs])
    for run in runs:
        measured = curves.evaluations(run)
        last = None if measured.empty else measured.iloc[-1]
        loss = "-" if last is None else with_error(last["loss"], last["loss_se"])
        bits = (
            "-"
            if last is None or last.isna()["bits_per_byte"]
            else (with_error(last["bits_per_byte"], last["bits_per_byte_se"]))
        )
        now = curves.since(run)["step"]
        loss += "" if last is None or int(last["step"]) == now else f" at step {int(last['step']):,}"
        unlogged = bool(run.origin) and not now and last is None
        step = "-" if unlogged else f"{now}/{run.train.steps}"
        state = "gallery" if run.reference else "imported" if unlogged else run.state()
        rows.append((shown[run.id], run.name, state, step, loss, bits))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for sentence in store.unreadable():
        print(sentence, file=sys.stderr)
    return 0


RUNS = Command("runs", "list all runs", lambda parser: None, _runs)
