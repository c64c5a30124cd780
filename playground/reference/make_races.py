"""Make the reference races: ``python -m playground.reference.make_races``.

Each is one question with at least three seeds, reported as it came out, also where the modern model does not win.
Curves of all seeds are kept (one training step in `every`), weights of the first seed of the named arms. Their runs
are also among the reference bands that the Train tab draws a user's curve over (`shipped_bands` has the others).
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playground.races.recipes import RECIPES, race_of
from playground.races.report import as_text
from playground.races.verdict import verdict
from playground.reference.make_runs import BUDGET, SEEDS, SIZES, reference_id
from playground.runs.curves import Curves
from playground.runs.gallery import publish_race
from playground.runs.races import create_race, get_race, prepare_race
from playground.runs.store.files import read_json, write_json
from playground.runs.store.paths import cache_root, gallery_root
from playground.runs.store.run_store import FORMAT, RACE_SUFFIX, Run, RunStore
from playground.runs.worker.racing import execute_race
from playground.train.events import Evaluated, Event
from playground.train.race_spec import Arm, RaceSpec

EVERY = 4


@dataclass(frozen=True)
class Shipped:
    """A reference race: its arms, whose weights are kept, and notes that explain its outcome."""

    title: str
    spec: RaceSpec
    weights: tuple[str, ...]  # arms whose first seed keeps its weights
    notes: str = ""
    every: int = EVERY

    @property
    def id(self) -> str:
        return hashlib.sha256(f"race {self.title}".encode()).hexdigest()[:28] + RACE_SUFFIX


def _race(
    recipe: str,
    title: str,
    steps: int,
    shared: dict[str, Any],
    weights: tuple[str, ...],
    notes: str,
    seeds: int = 3,
    every: int = EVERY,
) -> Shipped:
    return Shipped(title, race_of(RECIPES[recipe], shared, amount=steps, seeds=seeds), weights, notes, every)


_MIDDLE = {"n_layer": 3, "n_embd": 96}
SHIPPED: tuple[Shipped, ...] = (
    _race(
        "classic_modern", "Classic against modern on Python source", 700, {**_MIDDLE, "corpus": "python_source"},
        ("Classic", "Modern"),
        "What to notice. At first both learn the same: which letters are common. Then the curves separate as modern "
        "improves faster. A likely reason: it learns early to copy what stands a few tokens back, which names and "
        "indentation in source code reward; with learned positions that happens much later.",
        every=8,
    ),
    _race(
        "ladder", "The ladder on Tales", 500, {}, ("Classic", "+ GQA"),
        "What to notice. At this size most of the gain comes from RoPE; a likely reason is that relative positions let "
        "a small model copy names from earlier in the story. RMSNorm alone brings no gain, it is only simpler. SwiGLU "
        "may add a little, which three seeds cannot show reliably. Grouped-query attention costs nothing that three "
        "seeds can measure, and halves the KV cache.",
    ),
    _race(
        "classic_modern", "A short budget: 100 steps on Python source", 100, {"corpus": "python_source", "n_embd": 32}, (),
        "Modern does not win here, and five seeds cannot tell the two apart. In 100 steps a model this small "
        "learns little more than how common each letter is, which needs neither positions nor a better MLP, while "
        "every modern token takes longer to compute. What makes modern better on larger budgets pays off only once "
        "there is something to copy and to compose.",
        seeds=5,
    ),
    _race(
        "best_rate", "Each at its best rate on Tales", 300, {}, (),
        "What to notice. 0.003 is the best of the three rates for both, so the rate did not put classic at a disadvantage. "
        "The size of the difference depends on the rate, though: at 0.001 and at 0.01 it is smaller, and modern at 0.01 "
        "ends above classic at 0.003. (Other programs ran meanwhile: tokens per second are those of a busy machine.)",
        every=20,  # of eighteen runs
    ),
    _race(
        "muon", "AdamW against Muon on Tales", 400, {}, (),
        "What to notice. An optimizer cannot be judged at another optimizer's learning rate: at AdamW's rate, Muon is "
        "worse; at 0.02 it needs well under half the tokens. On this small model a step of Muon takes about a quarter more "
        "time, so over seconds the advantage is smaller, but it is there. (AdamW at 0.006 was worse than at 0.003, with one "
        "seed.) Compare the curves over tokens and over seconds.",
    ),
)  # fmt: skip


def reference_race(root: Path) -> Path:
    """The race of the reference runs on Tales, which are next to it in the gallery: nothing is trained for it."""
    title = "Classic against modern on Tales"
    shared = {**BUDGET, **{name: SIZES["classic"][name] for name in ("n_layer", "n_head", "block_size")}}
    steps = shared.pop("steps")
    arms = tuple(Arm(name.capitalize(), name, {"n_embd": size["n_embd"]}) for name, size in SIZES.items())
    spec = RaceSpec(title, arms, shared, "steps", steps, SEEDS, "parameters", "width")
    race_id = hashlib.sha256(f"race {title}".encode()).hexdigest()[:28] + RACE_SUFFIX
    folder = root / race_id
    folder.mkdir(parents=True, exist_ok=True)
    facts: dict[str, Any] = {"format": FORMAT, "name": title, "created": 0.0, "owner": None, "shared": False}
    runs = [[reference_id(name, seed) for seed in SEEDS] for name in SIZES]
    solved = ["", "Embedding size (d_model) 120 → 128"]
    write_json(
        folder / "race.json", {**facts, "spec": spec.to_dict(), "runs": runs, "solved": solved, "notes": TALES_NOTES}
    )
    return folder


TALES_NOTES = (
    "What to notice. The modern model reaches the final loss of the classic one with a third of the tokens. In these "
    "stories, who has the key depends on an earlier sentence; that relative positions make it easier to find is a likely "
    "reason. The models were trained one after the other, not in turns."
)


def make(shipped: Shipped, root: Path, work: Path) -> Path:
    """Train one race in the store `work` and publish it in the gallery `root`."""
    store = RunStore(work)
    race = create_race(store, prepare_race(shipped.spec, cache_dir=cache_root()), name=shipped.title)
    ending = execute_race(race, cache_dir=cache_root(), watch=_report())
    if ending.state != "finished":
        raise SystemExit(f"{shipped.title}: {ending.state}. {ending.message}")
    race = get_race(store, race.id)
    names = [arm.name for arm in race.spec.arms]
    weights = [race.runs[names.index(name)][0] for name in shipped.weights]
    folder = publish_race(race, root, notes=shipped.notes, weights=weights, every=shipped.every, race_id=shipped.id)
    print(as_text(race, verdict(race, Curves(store))), flush=True)
    return folder


def rewrite_notes(root: Path) -> None:
    """Update the notes of existing races from this file."""
    for shipped in SHIPPED:
        path = root / shipped.id / "race.json"
        values = read_json(path)
        if values is not None:
            write_json(path, {**values, "notes": shipped.notes})


def _report() -> Callable[[Run, Event], None]:
    began = time.monotonic()

    def report(run: Run, event: Event) -> None:
        if isinstance(event, Evaluated) and run.train.seed == 0:
            print(f"{time.monotonic() - began:6.0f} s  {run.name}: step {event.step} of {run.train.steps}, "
                  f"validation loss {event.loss:.4f}", file=sys.stderr, flush=True)  # fmt: skip

    return report


def main(arguments: list[str] | None = None) -> None:
    """Make all reference races, or some of them by number."""
    parser = argparse.ArgumentParser(prog="python -m playground.reference.make_races", description=__doc__)
    parser.add_argument("--root", type=Path, default=gallery_root(), help="where the gallery goes")
    parser.add_argument(
        "--only", type=int, nargs="*", metavar="NUMBER", help=f"0 to {len(SHIPPED) - 1}; none: notes only"
    )
    options = parser.parse_args(arguments)
    wanted = range(len(SHIPPED)) if options.only is None else options.only
    reference_race(options.root)
    with tempfile.TemporaryDirectory() as work:
        for number in wanted:
            print(make(SHIPPED[number], options.root, Path(work) / "runs"), flush=True)
    rewrite_notes(options.root)


if __name__ == "__main__":
    main()
