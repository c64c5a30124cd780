"""Live updates of a race: what has changed since the client's last request, cheap enough for polling every second.

An answer has the race's state and, only when they have changed, a *head* (arms, conditions, what differs), a
*summary* (the verdict) and
*rows* (new points of each run). The client sends back the cursor; a forged or outdated one just results in a full answer.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from playground.races.lr_sweep import families
from playground.races.verdict import verdict
from playground.races.words import conditions, what_differs
from playground.runs.curves import Columns, Curves
from playground.runs.races import Race
from playground.runs.store.log import finite
from playground.train.estimate import count_parameters
from playground.train.flops import training_flops
from playground.train.race import tokens_per_step
from playground.train.race_spec import written

# Columns that follow from others and the arm, and are not sent.
FOLLOW = {"tokens", "learning_rate", "bits_per_byte", "bits_per_byte_se"}
MATCHED = {"none": "", "parameters": "parameters", "flops": "FLOPs per token"}
_CURSOR = re.compile(r"([0-9a-f]{4})\.([0-9a-f]{4})((?:,[0-9a-f]{4}\.[0-9]{1,6}\.[0-9]{1,6}){1,40})")


def race_news(race: Race, curves: Curves, cursor: object = None) -> dict[str, Any]:
    """What a client that holds `cursor` (None at first) lacks, JSON-able.

    ``rows``: ``{"i": run number (arm by arm, seed by seed), "reset": bool, "train": columns, "validation": columns}``.
    """
    runs = [run for arm in race.members for run in arm]
    found = [curves.columns(run) for run in runs]
    head_seen, summary_seen, had = _parse(cursor, len(runs))
    status = race.status()
    head = _head(race, found)
    head_sum = _sum(head)
    measured = [_sum([columns.state, *columns.validation["loss"]]) for columns in found]
    summary_sum = _sum([status.state, *measured])
    rows = [row for i, columns in enumerate(found) if (row := _row(i, columns, had[i])) is not None]
    marks = [f"{_sum(c.life)}.{len(c.train['step'])}.{len(c.validation['step'])}" for c in found]
    answer: dict[str, Any] = {
        "id": race.id,
        "state": status.state,
        "message": status.message,
        "steps": [columns.step for columns in found],
        "states": "".join(_LETTERS.get(columns.state, "r") for columns in found),
        "cursor": ",".join([f"{head_sum}.{summary_sum}", *marks]),
    }
    answer |= {"head": head} if head_sum != head_seen else {}
    answer |= {"summary": _summary(race, curves)} if summary_sum != summary_seen else {}
    return answer | ({"rows": rows} if rows else {})


_LETTERS = {"finished": "f", "diverged": "d", "failed": "x"}


def _head(race: Race, found: Sequence[Columns]) -> dict[str, Any]:
    """The fields that rarely change."""
    arms, n_seeds = [], len(race.spec.seeds)
    for number, (arm, members, solved) in enumerate(zip(race.spec.arms, race.members, race.solved, strict=True)):
        model, train = members[0].model, members[0].train
        arms.append(
            {
                "name": arm.name,
                "role": arm.preset,
                "short": written(arm),
                "steps": train.steps,
                "tokens_per_step": tokens_per_step(model, train),
                "flops_per_token": training_flops(model),
                "parameters": count_parameters(model),
                "bits_per_nat": found[number * n_seeds].bits_per_nat,
                "tokens": found[number * n_seeds].measure.tokens[:16],
                "text": found[number * n_seeds].measure.text[:16],
                "solved": solved,
                "runs": [run.id for run in members],
            }
        )
    return {
        "name": race.name,
        "reference": race.reference,
        "notes": race.notes,
        "seeds": list(race.spec.seeds),
        "arms": arms,
        "differs": what_differs(race),
        "matched": MATCHED[race.spec.match],
        "families": [list(family.arms) for family in families(race.spec)],
        "conditions": conditions(race),
    }


def _summary(race: Race, curves: Curves) -> dict[str, Any]:
    return finite(asdict(verdict(race, curves)))


def _row(i: int, columns: Columns, had: tuple[str, int, int]) -> dict[str, Any] | None:
    """New points of one run, or None."""
    life, points, measured = had
    n, m = len(columns.train["step"]), len(columns.validation["step"])
    reset = life != _sum(columns.life) or points > n or measured > m
    points, measured = (0, 0) if reset else (points, measured)
    if not reset and points == n and measured == m:
        return None
    row: dict[str, Any] = {"i": i, "reset": reset}
    if points < n:
        row["train"] = {name: rows[points:] for name, rows in columns.train.items() if name not in FOLLOW}
    if measured < m:
        row["validation"] = {name: rows[measured:] for name, rows in columns.validation.items() if name not in FOLLOW}
    return row


def _sum(value: object) -> str:
    return f"{zlib.crc32(json.dumps(value).encode()) & 0xFFFF:04x}"


def _parse(cursor: object, n: int) -> tuple[str, str, list[tuple[str, int, int]]]:
    """The checksums of head and summary, and per run (life, points, measurements) that the client has."""
    match = _CURSOR.fullmatch(cursor) if isinstance(cursor, str) and len(cursor) < 1000 else None
    marks = [mark.split(".") for mark in match[3][1:].split(",")] if match else []
    if match is None or len(marks) != n:
        return "", "", [("", 0, 0)] * n
    return match[1], match[2], [(life, int(points), int(measured)) for life, points, measured in marks]
