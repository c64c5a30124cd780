"""The reference runs that ship with the project, and the command that makes them: ``python -m playground.runs.reference``.

A classic and a modern model read the same text in the same order, with parameters within two per cent of each other, for
three seeds each. All six keep their curves; seed 0 keeps weights: the last ones of each, and of the modern model twelve
log-spaced snapshots, so that attention can be watched forming. Weights are stored as bfloat16.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playground.config import TrainConfig, preset
from playground.runs.create import Prepared
from playground.runs.gallery import publish
from playground.runs.paths import cache_root, gallery_root
from playground.runs.store import Run, RunStore
from playground.runs.worker import execute
from playground.tokenizers import build_tokenizer
from playground.train.estimate import count_parameters
from playground.train.events import Event, StepDone

SEEDS = (0, 1, 2)
SNAPSHOTS = 12
# Full attention over 256 tokens reaches back over most of a story. Heads and layers are equal; the width of the classic
# model is smaller because its biases, positions and multi-head attention take parameters that grouped queries save.
SIZES: dict[str, dict[str, Any]] = {
    "classic": {"n_layer": 4, "n_head": 4, "n_embd": 120, "block_size": 256},
    "modern": {"n_layer": 4, "n_head": 4, "n_embd": 128, "block_size": 256},
}
BUDGET: dict[str, Any] = {
    "corpus": "tales", "corpus_bytes": 4_000_000, "steps": 1600, "batch_size": 8, "learning_rate": 2e-3, "eval_interval": 50,
    "eval_tokens": 32_768, "sample_interval": 100, "checkpoint_interval": 1600,
}  # fmt: skip


def recipe(name: str, seed: int) -> Prepared:
    """One reference run, ready to be created."""
    tokenizer = build_tokenizer("byte", "")
    model = preset(name, vocab_size=tokenizer.vocab_size, **SIZES[name])
    snapshots = SNAPSHOTS if name == "modern" and seed == 0 else 0
    return Prepared(name, model, TrainConfig(**BUDGET, seed=seed, snapshots=snapshots), tokenizer)


def make(root: Path, name: str, seed: int, work: Path) -> Path:
    """Train one reference run in the store `work` and move what ships of it to the gallery `root`."""
    prepared = recipe(name, seed)
    store = RunStore(work)
    title = f"{name.capitalize()} on Tales, seed {seed}"
    run = store.create(prepared.model, prepared.train, prepared.tokenizer, name=title, preset=name)
    ending = execute(run, cache_dir=cache_root(), watch=_report(title, run))
    if ending.state != "finished":
        raise SystemExit(f"{title}: {ending.state}. {ending.message}")
    steps = run.steps_available() if seed == 0 else []
    return publish(run, root, name=title, steps=steps, every=4, run_id=reference_id(name, seed))


def reference_id(name: str, seed: int) -> str:
    """The id of a reference run: always the same, so that links to it last."""
    return hashlib.sha256(f"gallery {name} {seed}".encode()).hexdigest()[:32]


def _report(title: str, run: Run) -> Any:
    began = time.monotonic()

    def report(event: Event) -> None:
        if isinstance(event, StepDone) and event.step % 100 == 0:
            print(f"{title}: step {event.step} of {run.train.steps}, loss {event.loss:.3f}, "
                  f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)  # fmt: skip

    return report


def main(arguments: list[str] | None = None) -> None:
    """Make the whole gallery, or one run of it."""
    parser = argparse.ArgumentParser(prog="python -m playground.runs.reference", description=__doc__)
    parser.add_argument("--root", type=Path, default=gallery_root(), help="where the gallery goes")
    parser.add_argument("--only", nargs=2, metavar=("PRESET", "SEED"), help="for instance: --only modern 0")
    options = parser.parse_args(arguments)
    wanted = [(options.only[0], int(options.only[1]))] if options.only else [(n, s) for s in SEEDS for n in SIZES]
    counts = {name: count_parameters(recipe(name, 0).model) for name in SIZES}
    print(", ".join(f"{name}: {count:,} parameters" for name, count in counts.items()), file=sys.stderr)
    with tempfile.TemporaryDirectory() as work:
        for name, seed in wanted:
            print(make(options.root, name, seed, Path(work) / "runs"))


if __name__ == "__main__":
    main()
