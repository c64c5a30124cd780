"""Publishing a run as a reference run: the same layout, small enough to ship."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from playground.runs import baselines
from playground.runs.loading import parameter_shapes
from playground.runs.races import Race
from playground.runs.store import checkpoints
from playground.runs.store.checkpoints import Precision, load_weights, save_snapshot
from playground.runs.store.files import read_json, write_json
from playground.runs.store.log import Tail, frame
from playground.runs.store.run_store import ARMS, Run


def publish(
    run: Run,
    gallery: Path,
    *,
    name: str,
    steps: Sequence[int] | None = None,
    precision: Precision = "bfloat16",
    every: int = 1,
    run_id: str | None = None,
) -> Path:
    """Copy a finished run into a gallery folder under a new name and return its folder there.

    Kept are the log (of the training steps one in `every`, to six digits), the weights of `steps` (default: the last) at
    `precision`, and nothing about the owner. `run_id` replaces the run that has this id. Raises ValueError when the run has
    not finished or has no such weights.
    """
    available = run.steps_available()
    if run.state() != "finished" or not available:
        raise ValueError(f"Only a finished run can be published; {run.name} is {run.state()}.")
    gallery.mkdir(parents=True, exist_ok=True)
    hidden = gallery / f".{run.id}.{secrets.token_hex(4)}.tmp"
    hidden.mkdir()
    try:
        _fill(hidden, run, name, available[-1:] if steps is None else steps, precision, every)
        target = gallery / (run_id or secrets.token_hex(16))
        shutil.rmtree(target, ignore_errors=True)
        hidden.rename(target)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    return target


def publish_race(
    race: Race, gallery: Path, *, notes: str, weights: Collection[str] = (), every: int = 1, race_id: str | None = None
) -> Path:
    """Copy a finished race into a gallery folder and return its folder there.

    Kept are all curves (of the training steps one in `every`), and the last weights, in bfloat16, of the runs in `weights`.
    `notes` is what a reader should know. `race_id` replaces the race that has this id. Raises ValueError unless it finished.
    """
    if race.status().state != "finished":
        raise ValueError(f"Only a finished race can be published; {race.name} is {race.status().state}.")
    target_id = race_id or race.id
    gallery.mkdir(parents=True, exist_ok=True)
    hidden = gallery / f".{target_id}.{secrets.token_hex(4)}.tmp"
    (hidden / ARMS).mkdir(parents=True)
    try:
        renamed = [[target_id[:-4] + run_id[-4:] for run_id in arm] for arm in race.runs]
        values = {**(read_json(race.path / "race.json") or {}), "owner": None, "shared": False}
        write_json(hidden / "race.json", {**values, "runs": renamed, "notes": notes})
        for run in (run for arm in race.members for run in arm):
            folder = hidden / ARMS / (target_id[:-4] + run.id[-4:])
            folder.mkdir()
            steps = run.steps_available()[-1:] if run.id in weights else []
            _fill(folder, run, run.name, steps, "bfloat16", every)
        shutil.rmtree(gallery / target_id, ignore_errors=True)
        hidden.rename(gallery / target_id)
    except BaseException:
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    return gallery / target_id


def _kept(row: dict[str, Any], every: int) -> bool:
    return row.get("event") != "StepDone" or row["step"] % every == 0 or row["step"] == 1


def shortened(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the log whose training steps, of which there are many, have six digits: a curve is not drawn finer."""
    if row.get("event") != "StepDone":
        return row
    return {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in row.items()}


def _fill(folder: Path, run: Run, name: str, steps: Sequence[int], precision: Precision, every: int = 1) -> None:
    write_json(
        folder / "run.json", {**(read_json(run.path / "run.json") or {}), "name": name, "owner": None, "shared": False}
    )
    write_json(folder / "tokenizer.json", run.tokenizer.to_dict())
    if (run.path / baselines.FILE).exists():
        shutil.copyfile(run.path / baselines.FILE, folder / baselines.FILE)
    with open(folder / "events.jsonl", "wb") as log:
        log.writelines(frame(shortened(row)) for row in Tail(run.log).rows() if _kept(row, every))
    for step in steps:
        counters = checkpoints.counters(run.path, step)
        save_snapshot(folder, load_weights(run.path, step, parameter_shapes(run.model)), counters, precision)
