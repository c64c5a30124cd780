"""Listing runs."""

from __future__ import annotations

import argparse
import sys

from playground.cli.command import Command
from playground.runs.curves import Curves
from playground.runs.store.run_store import RunStore


def _runs(options: argparse.Namespace, store: RunStore) -> int:
    curves = Curves(store)
    rows = [("id", "name", "state", "step", "validation loss (nats/token)", "bits/byte")]
    for run in store.list():
        measured = curves.evaluations(run)
        last = None if measured.empty else measured.iloc[-1]
        loss = "-" if last is None else f"{last['loss']:.4f}"
        loss += "" if last is None or last.isna()["loss_se"] else f" ± {last['loss_se']:.4f}"
        bits = "-" if last is None or last.isna()["bits_per_byte"] else f"{last['bits_per_byte']:.4f}"
        now = curves.since(run)["step"]
        unlogged = bool(run.origin) and not now and last is None
        step = "-" if unlogged else f"{now}/{run.train.steps}"
        state = "gallery" if run.reference else "imported" if unlogged else run.state()
        rows.append((run.id[:8], run.name, state, step, loss, bits))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for sentence in store.unreadable():
        print(sentence, file=sys.stderr)
    return 0


RUNS = Command("runs", "list all runs", lambda parser: None, _runs)
