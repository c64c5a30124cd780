"""The finished races that ship with the project, and the command that makes them: ``python -m playground.lab.shipped``.

Each is one question with at least three seeds, reported as it came out, also where the modern model does not win. Curves of all
seeds are kept (one training step in `EVERY`), weights of the first seed of the named arms. Their runs are also the reference bands
that the Train tab draws a user's curve over.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playground.lab.race_command import as_text
from playground.lab.recipes import RECIPES, race_of
from playground.lab.verdict import verdict
from playground.runs.curves import Curves
from playground.runs.files import write_json
from playground.runs.gallery import publish_race
from playground.runs.paths import cache_root, gallery_root
from playground.runs.races import Race, create_race, get_race, prepare_race
from playground.runs.racing import execute_race
from playground.runs.reference import BUDGET, SEEDS, SIZES, reference_id
from playground.runs.store import FORMAT, RACE_SUFFIX, Run, RunStore
from playground.train.events import Evaluated, Event
from playground.train.race import Arm, RaceSpec

EVERY = 4


@dataclass(frozen=True)
class Shipped:
    """A race that ships: what is raced, whose weights are kept, and the words that explain its outcome."""

    title: str
    spec: RaceSpec
    weights: tuple[str, ...]  # arms whose first seed keeps its weights
    notes: str = ""

    @property
    def id(self) -> str:
        return hashlib.sha256(f"race {self.title}".encode()).hexdigest()[:28] + RACE_SUFFIX


def _race(recipe: str, title: str, steps: int, shared: dict[str, Any], weights: tuple[str, ...], notes: str, seeds: int = 3) -> Shipped:
    return Shipped(title, race_of(RECIPES[recipe], shared, amount=steps, seeds=seeds), weights, notes)


_MIDDLE = {"n_layer": 3, "n_embd": 96}
SHIPPED: tuple[Shipped, ...] = (
    _race("classic_modern", "Classic against modern on Python source", 700, {**_MIDDLE, "corpus": "python_source"},
          ("Classic", "Modern"), ""),
    _race("ladder", "The ladder on Tales", 500, {}, ("Classic", "+ GQA"), ""),
    _race("classic_modern", "A short budget: 100 steps on Python source", 100, {"corpus": "python_source", "n_embd": 32},
          (), "", seeds=5),
    _race("muon", "AdamW against Muon on Tales", 400, {}, (), ""),
)  # fmt: skip
